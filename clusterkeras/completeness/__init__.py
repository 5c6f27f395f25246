"""What is found of what is there, by clusters put on the user's own mosaics."""
