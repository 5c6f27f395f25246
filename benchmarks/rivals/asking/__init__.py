"""Ask a method: all that needs the mock set, and models."""
