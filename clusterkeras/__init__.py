"""Joint posteriors of star-cluster parameters from HST images."""

__version__ = "0.1.0"
