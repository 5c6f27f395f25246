"""Made-up catalogues whose population, selection and contaminants are known."""

import numpy as np
import pytest
from astropy.table import QTable
from scipy import stats

from clusterkeras.catalogue.draws_file import write_draws
from clusterkeras.catalogue.read import Catalogue
from clusterkeras.population.cluster_sample import ClusterSample
from data_tools.schema import PARAMETER_NAMES, PARAMETERS

BOX = {p.name: (p.low, p.high) for p in PARAMETERS}
LOW, HIGH = np.transpose(list(BOX.values()))
#: Errors of what is seen of each parameter, and the least mass that is.
SIGMA = np.array([0.25, 0.4, 0.2, 0.15])
LEAST_MASS = 3.8
TRUTH = {"mass_slope": -1.8, "age_slope": -0.6, "number": 1500.0}
META = {
    "target": {"box": {name: list(ends) for name, ends in BOX.items()}},
    "cluster_share": {"trained": 0.7, "here": 0.25},
    "images": ["a.fits"],
    "model": "m83",
}
#: How far the scores of clusters and others are apart, in sigmas.
APART = 3.0


def power_law(slope, low, high, size, rng):
    """Draw log10 of what goes as a power."""
    rate = (slope + 1) * np.log(10)
    share = rng.uniform(size=size)
    return low + np.log1p(share * np.expm1(rate * (high - low))) / rate


def draw_clusters(n, rng, slopes=None):
    """Draw parameters (n, P), evenly but for powers of mass and age."""
    theta = rng.uniform(LOW, HIGH, (n, 4))
    if slopes is not None:
        theta[:, 0] = power_law(slopes["age_slope"], *BOX["log_age"], n, rng)
        theta[:, 2] = power_law(slopes["mass_slope"], *BOX["log_mass"], n, rng)
    return theta


def _make_sample(seed, draws=32, injected=4000, contaminants=300):
    """Make a sample: each object is seen with Gaussian errors, and gets a score.

    What counts is decided by what is seen; a contaminant looks like a cluster of the
    flat population, but for its score.
    """
    rng = np.random.default_rng(seed)
    flat_number = 400.0

    def seen(theta, score):
        at = theta + SIGMA * rng.normal(size=theta.shape)
        score = score + rng.normal(size=len(at))
        odds = flat_number / contaminants * np.exp(APART * (score - APART / 2))
        p = odds / (1 + odds)
        return at, p, (p >= 0.5) & (at[:, 2] > LEAST_MASS)

    n = rng.poisson(TRUTH["number"])
    theta = draw_clusters(n, rng, TRUTH)
    others = draw_clusters(rng.poisson(contaminants), rng)
    objects = np.vstack([theta, others])
    at, p, counts = seen(objects, APART * (np.arange(len(objects)) < n))
    at = at[counts]
    ends = ((end - at)[:, None] / SIGMA for end in (LOW, HIGH))
    posterior = at[:, None] + SIGMA * stats.truncnorm.rvs(
        *ends, size=(len(at), draws, 4), random_state=rng
    )
    known = draw_clusters(injected, rng)
    return ClusterSample(
        box=BOX,
        draws=posterior.astype(np.float32),
        p_cluster=p[counts],
        injected=known,
        recovered=seen(known, APART)[2],
        flat_number=flat_number,
        left_out={},
        threshold=0.5,
    )


def _write(directory, p, flags, draws, injected, true):
    """Write a catalogue, its draws and its completeness.

    Given are probability, flags and draws (n, S, P) of each row, and of each injected
    cluster what was found and its true parameters (m, P).
    """
    place = np.arange(len(p)) + 0.5
    table = QTable({"x": place, "y": place, "p_cluster": p, "flags": flags})
    table.meta = META
    injected = QTable(injected)
    injected.meta = {**META, "cluster_share": 0.25, "p_cluster": 0.5}
    for i, name in enumerate(PARAMETER_NAMES):
        parts = zip(("p16", "median", "p84"), (0.16, 0.5, 0.84), strict=True)
        for part, q in parts:
            table[f"{name}_{part}"] = np.quantile(draws[..., i], q, axis=1)
        injected[name] = true[:, i]
    Catalogue.of(table).write(directory / "catalogue.ecsv")
    batch = (np.arange(len(p)), {"draws": draws.astype(np.float32)})
    places = np.column_stack([place, place])
    write_draws(directory / "draws.h5", [batch], draws.shape[:2], {}, places)
    (directory / "completeness").mkdir()
    injected.write(directory / "completeness" / "injected.ecsv")


@pytest.fixture(scope="session")
def write_files():
    """Return what writes a catalogue, its draws and its completeness."""
    return _write


@pytest.fixture(scope="session")
def make_sample():
    """Return what makes a sample of a seed."""
    return _make_sample


@pytest.fixture(scope="session")
def truth():
    """Return the population of every sample."""
    return TRUTH
