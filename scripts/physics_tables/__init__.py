"""How the tables of stellar and PSF physics are made, a kind of input a file."""
