"""Real FITS mosaics: read in parts in nJy, cut out, their noise measured."""
