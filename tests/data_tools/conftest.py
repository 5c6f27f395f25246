"""A small mock set for the tests of records and of simulation."""

import pytest

from data_tools.priors import Priors
from data_tools.records.plan import MockSet
from data_tools.records.simulate import simulate


@pytest.fixture(scope="session")
def small_priors():
    """Return priors with fields that are quick to draw."""
    return Priors(field_px=128, mocks_per_field=8)


@pytest.fixture(scope="session")
def small_set(tmp_path_factory, m83, small_priors):
    """Return the directory of a finished set: 40 + 10 + 8 mocks, 16 a shard."""
    output = tmp_path_factory.mktemp("mocks") / "set"
    mocks = MockSet(n_train=40, n_validation=10, n_test=8, shard_size=16)
    return simulate(output, m83, small_priors, mocks, workers=1, progress=False)
