"""The numbers of an evaluation as Markdown."""
