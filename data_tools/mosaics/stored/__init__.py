"""Images as a FITS file stores them: opened within bounds, found, their pixels read."""
