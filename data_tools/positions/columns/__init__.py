"""What a table's columns say of positions: their names, units, words and frames."""
