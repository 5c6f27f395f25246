"""Training a network, watching it, and recalibrating what came out."""
