"""Clusters of real galaxies as they were published."""
