"""Options from data classes, YAML and docstrings; words of before."""
