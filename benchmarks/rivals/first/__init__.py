"""The first mock set, and models of its priors, as the first version drew them."""
