"""What the table of all methods is made of; see ``bench_rivals.py``."""
