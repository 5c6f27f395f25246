"""The pictures of what `clusterkeras.diagnostics.metrics` measures."""
