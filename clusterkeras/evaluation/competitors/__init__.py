"""Other methods on the same mocks, scored by the same code."""
