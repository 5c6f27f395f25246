"""The Keras model: backbone, joint posterior, and what is loaded by name."""
