"""The SavedModel: what it promises, how it is written, read and held to it."""
