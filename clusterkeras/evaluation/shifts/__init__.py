"""A model where one thing is not as in its mocks."""
