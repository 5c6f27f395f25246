"""True clusters: which rows are theirs, and what share of them is found."""
