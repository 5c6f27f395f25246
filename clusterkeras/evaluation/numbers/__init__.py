"""The numbers of an evaluation, from plain arrays of what was predicted."""
