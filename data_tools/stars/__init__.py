"""Isochrones to the stars of one cluster, and their places."""
