import importlib
from pathlib import Path

import numpy as np
import pytest

from data_tools.tables import load_tables
from data_tools.target import Target

BANDS = ("F336W", "F438W", "F814W")


@pytest.fixture
def m83(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("published.m83")


@pytest.fixture
def tables(tmp_path):
    """Write the two tables: four clusters, of which one is a saturated star's."""
    seen = np.full((4, 53), 18.0)
    seen[:, 4] = (7, 8, 9, 10)
    # within 3 pixels, and from there to all light
    seen[:, [17, 25, 49]] = (19.0, 20.0, 19.5)
    seen[:, 9] = 0.45
    seen[:, 10] = (0, 0, 1, 0)
    fitted = np.zeros((4, 11))
    # in another order, and one without an age
    fitted[:, 2] = (10, 9, 8, 7)
    fitted[:, 4] = 0.1
    fitted[:, 7] = (-999.0, 7.0, 8.0, 6.5)
    fitted[:, 9] = (-999.0, 1e4, 1e5, 1e3)
    paths = tmp_path / "photometry.txt", tmp_path / "ages.data"
    text = "\n".join(" ".join(f"{v:.10g}" for v in row) for row in seen)
    # an error that IRAF could not tell
    first, _, rest = text.partition("\n")
    words = first.split()
    words[12] = "INDEF"
    paths[0].write_text("# header\n" + " ".join(words) + "\n" + rest)
    np.savetxt(paths[1], fitted, "%.6g")
    return paths


def test_clusters_have_their_published_values_and_all_their_light(m83, tables):
    found = m83.read_m83(*tables, Target.load("m83-wfc3-uvis"))
    assert list(found["name"]) == ["M83 8", "M83 7"]
    np.testing.assert_allclose(found["log_age"], [8.0, 6.5])
    np.testing.assert_allclose(found["log_mass"], [5.0, 3.0])
    # E(B-V) 0.1 of its own and the Milky Way's
    np.testing.assert_allclose(found["a_v"], 0.31 + 0.205)
    # the correction makes it brighter, the Milky Way's extinction that was taken off
    # fainter again
    vega = np.array([19.0 + 0.361, 20.0 + 0.290, 19.5 + 0.133]) - 0.45
    ab = vega + load_tables(BANDS).vega_ab
    np.testing.assert_allclose(
        np.asarray(found["flux"]),
        np.tile(10 ** (-0.4 * (ab - 31.4)), (2, 1)),
        rtol=1e-3,
    )


def test_tables_in_the_other_order_are_refused(m83, tables):
    with pytest.raises(ValueError, match="expected rows of 53 numbers"):
        m83.read_m83(*tables[::-1], Target.load("m83-wfc3-uvis"))


def test_bands_that_were_not_measured_are_refused(m83, tables):
    with pytest.raises(ValueError, match="the model also has F275W"):
        m83.read_m83(*tables, Target.load("ngc628-wfc3-uvis"))
