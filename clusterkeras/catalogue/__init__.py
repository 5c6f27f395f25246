"""Places on mosaics to a table of posteriors."""
