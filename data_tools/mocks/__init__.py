"""A cluster, or a look-alike, put somewhere."""
