"""Trained models on disk: found by name or path, checked, read, written, shared."""

#: The file that a run directory and a preset's directory keep their model in.
MODEL_FILE = "model.keras"
