"""Work that takes hours: where it writes, and what a kill leaves."""
