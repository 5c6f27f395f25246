"""One self-contained web page of a catalogue; `page.write_page` writes it."""
