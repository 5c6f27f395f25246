"""A linear-Gaussian image model: the posterior is a Gaussian that a formula gives.

The prior, flat in the box, is a standard normal in u (see
`clusterkeras.network.posteriors.transforms`). An image is the sum of four templates,
one a parameter, times u, plus white noise. So the posterior in u is the normal
distribution of linear regression, the same width for every image, and its density in
the box follows from the change of variables.
"""

import numpy as np
import pytest
from scipy import stats

from data_tools.schema import PARAMETERS

LOW, HIGH = np.transpose([(p.low, p.high) for p in PARAMETERS])
SIDE, BANDS = 6, 2

#: Standard deviation of the noise of a pixel, where templates are of order unity.
NOISE = 2.0


def templates():
    """Return four images, (4, pixels); the first two nearly alike, as age and dust."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    blob = np.exp(-0.25 * (x**2 + y**2))
    ring = np.exp(-0.1 * (x**2 + y**2)) - blob
    images = [
        [blob, 0.3 * blob],
        [blob, 0.5 * blob],
        [0.5 * blob, blob],
        [ring, ring],
    ]
    return np.stack(images).reshape(4, -1)


def simulate(n, seed):
    rng = np.random.default_rng(seed)
    u = rng.normal(size=(n, 4))
    pixels = u @ templates() + NOISE * rng.normal(size=(n, BANDS * SIDE**2))
    parameters = LOW + (HIGH - LOW) * stats.norm.cdf(u)
    return pixels.astype("f4"), parameters.astype("f4"), u


def exact_log_prob(pixels, u):
    precision = np.eye(4) + templates() @ templates().T / NOISE**2
    covariance = np.linalg.inv(precision)
    mean = pixels @ templates().T @ covariance / NOISE**2
    in_u = stats.multivariate_normal(cov=covariance).logpdf(u - mean)
    # the flat density of the box, times what the image changes of the normal prior
    return in_u - stats.norm.logpdf(u).sum(axis=1) - np.log(HIGH - LOW).sum()


@pytest.mark.parametrize("name", ["mixture", "flow"])
def test_a_short_training_comes_close_to_the_exact_posterior(
    name, learn, check_divergence
):
    pixels, parameters, _ = simulate(800 * 512, seed=1)
    learned = learn(name, LOW, HIGH, pixels, parameters, batch=512)
    pixels, parameters, u = simulate(20_000, seed=2)
    exact = exact_log_prob(pixels, u)
    # the image tells much, and of two parameters mostly their sum
    assert exact.mean() + np.log(HIGH - LOW).sum() > 1
    check_divergence(name, *learned, pixels, parameters, exact)
