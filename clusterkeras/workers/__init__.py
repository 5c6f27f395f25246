"""Processes that share every batch of a training."""
