"""Mock star clusters in HST images: physics, fields, records, real mosaics."""
