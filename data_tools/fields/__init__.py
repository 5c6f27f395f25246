"""Backgrounds of mocks: synthetic discs, or patches of the user's mosaics."""
