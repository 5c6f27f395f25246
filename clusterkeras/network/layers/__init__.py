"""Layers of the network: input scaling, photometry, likeness to the mocks."""
