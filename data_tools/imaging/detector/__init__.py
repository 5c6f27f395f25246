"""What a CCD does to the light that falls on it."""
