"""Pure functions that say how good posteriors are, and their pictures."""
