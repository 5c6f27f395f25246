"""One self-contained web page of a catalogue; `page.write_report` writes it."""
