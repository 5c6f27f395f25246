"""Layers of the network: gaps, input scaling, photometry, likeness to the mocks."""
