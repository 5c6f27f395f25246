"""Damaged files for the package's readers: where they come from, what must hold."""
