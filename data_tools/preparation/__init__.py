"""The user's own mosaics before a training set: PSFs, and if mocks are like them."""
