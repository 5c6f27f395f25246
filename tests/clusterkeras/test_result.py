"""A catalogue in memory knows what it was made from, and is a table in every way."""

import numpy as np
import pytest
from astropy.table import QTable, Table, vstack

from clusterkeras.catalogue import infer
from clusterkeras.result import Catalogue
from data_tools.schema import PARAMETERS


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory, m83, write_band):
    directory = tmp_path_factory.mktemp("result")
    rng = np.random.default_rng(5)
    images = [
        write_band(
            directory / f"{band.name}.fits",
            0.1 + 0.01 * rng.standard_normal((90, 120)),
            band,
        )
        for band in m83.bands
    ]
    places = directory / "places.ecsv"
    QTable({"id": ["a7", "b8"], "x": [60.2, 50], "y": [40.7, 45]}).write(places)
    output = directory / "catalogue.ecsv"
    return infer(images, places, output, "m83-wfc3-uvis", progress=False)


def test_a_row_is_drawn_without_being_told_mosaics_or_model(catalogue):
    figure = catalogue.plot(1)
    assert len(figure.axes) == len(PARAMETERS) ** 2 + 1
    assert any("b8" in text.get_text() for text in figure.texts)


@pytest.mark.parametrize(
    "choose", [lambda t: t[[1]], lambda t: t[t["id"] == "b8"], lambda t: t[1:].copy()]
)
def test_chosen_rows_are_drawn_as_they_were(catalogue, choose):
    chosen = choose(catalogue)
    assert isinstance(chosen, Catalogue)
    assert any("b8" in text.get_text() for text in chosen.plot(0).texts)


def test_what_is_stacked_says_how_it_is_drawn(catalogue):
    with pytest.raises(ValueError, match=r"use clusterkeras\.plot_cluster"):
        vstack([catalogue, catalogue], metadata_conflicts="silent").plot(0)
    with pytest.raises(IndexError, match="the catalogue has 2 rows"):
        catalogue.plot(2)


def test_a_plain_table_is_a_copy_with_units(catalogue):
    plain = catalogue.to_table()
    assert type(plain) is Table
    assert plain["log_snr"].unit == catalogue["log_snr"].unit
    plain["flags"] = -1
    assert (catalogue["flags"] != -1).all()
    assert plain.colnames == catalogue.colnames
