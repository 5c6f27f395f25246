"""Many fields, here or by Beam, to one partitioned data set."""
