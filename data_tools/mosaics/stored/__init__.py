"""Images as a FITS file stores them: opened within bounds, their pixels read."""
