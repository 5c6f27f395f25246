"""Distributions over the parameters, each in the prior box."""
