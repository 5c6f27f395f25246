"""Candidates for clusters: peaks of a mosaic, or the network asked all over it."""
