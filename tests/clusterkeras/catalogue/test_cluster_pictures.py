"""One cluster as a figure."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from clusterkeras.catalogue.cluster_pictures import numbers_in_words, plot_cluster
from data_tools.schema import FLAGS, PARAMETERS


@pytest.fixture
def catalogue():
    """Return a catalogue of a cluster, and of a place off the mosaics."""
    table = QTable({"id": ["a7", "off"], "x": [60.2, -500], "y": [40.7, 40]})
    table["p_cluster"] = [0.934, np.nan]
    table["log_snr"] = [1.26, np.nan] * u.dex
    for parameter in PARAMETERS:
        middle = {"log_age": 7.2, "log_half_light_radius": -1.0}.get(parameter.name, 3)
        for key, shift in (("median", 0), ("p16", -0.11), ("p84", 0.23)):
            values = [middle + shift, np.nan]
            unit = u.Unit(parameter.unit)
            table[f"{parameter.name}_{key}"] = u.Quantity(values, unit, subok=True)
    table["flags"] = [FLAGS["edge"][0] | FLAGS["saturated"][0], FLAGS["no_data"][0]]
    return table


@pytest.fixture
def images(tmp_path, m83, write_band):
    rng = np.random.default_rng(5)
    rates = [0.1 + 0.01 * rng.standard_normal((90, 120)) for _ in m83.bands]
    return [
        write_band(tmp_path / f"{band.name}.fits", rate, band)
        for band, rate in zip(m83.bands, rates, strict=True)
    ]


def test_numbers_come_with_units_and_flags_in_words(catalogue, m83):
    lines = numbers_in_words(catalogue, 0, m83).split("\n")
    assert lines[0] == "a7:  p = 0.93"
    assert "log age [yr]: 7.20 $_{-0.11}^{+0.23}$" in lines
    # 0.1 arcsec at 4.5 Mpc
    assert "$r_h$ = 2.18 pc" in lines
    assert lines[-1] == "flags: edge, saturated"


def test_a_figure_holds_posterior_cutout_and_numbers(catalogue, images, tmp_path):
    figure = plot_cluster(catalogue, 0, images, "m83-wfc3-uvis")
    *corner, cutout = figure.axes
    assert len(corner) == len(PARAMETERS) ** 2
    assert cutout.images[0].get_array().shape == (64, 64, 3)
    # the middle of the cutout is px / 2 - 1 plus what is left of the place
    assert cutout.patches[0].center == pytest.approx((31.2, 31.7))
    assert cutout.patches[0].radius == pytest.approx(0.1 / 0.0396)
    figure.savefig(tmp_path / "figure.png")
    assert any("a7" in text.get_text() for text in figure.texts)
    assert "red F814W, green F438W + F814W, blue F336W" in cutout.get_title()


def test_a_place_without_data_and_a_row_too_many_are_refused(catalogue, images):
    with pytest.raises(ValueError, match="no usable pixel at x, y = -500"):
        plot_cluster(catalogue, 1, images, "m83-wfc3-uvis")
    with pytest.raises(IndexError, match="the catalogue has 2 rows"):
        plot_cluster(catalogue, 2, images)
