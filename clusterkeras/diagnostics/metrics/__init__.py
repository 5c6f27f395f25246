"""What posteriors and probabilities are worth: pure functions on arrays."""
