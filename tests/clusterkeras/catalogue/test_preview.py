"""A page of colour cutouts with their numbers."""

import dataclasses

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from matplotlib.figure import Figure
from matplotlib.image import imread

from clusterkeras.catalogue.cluster_pictures import (
    CAPTION_INCH,
    HEAD_INCH,
    SIDE_INCH,
    best_rows,
    caption,
    draw_preview,
)
from clusterkeras.catalogue.overlap import SMALLEST_PX
from clusterkeras.catalogue.read import Catalogue
from data_tools.mosaics.mosaic import open_mosaics
from data_tools.schema import FLAGS, PARAMETERS

PX = 32
N = 7


@pytest.fixture
def catalogue():
    table = QTable({"id": np.arange(11, 11 + N)})
    table["x"] = np.linspace(10, 110, N) * u.pix
    table["y"] = np.full(N, 45.0) * u.pix
    table["p_cluster"] = [0.1, 0.9, np.nan, 0.5, 0.95, 0.2, 0.3]
    table["log_snr"] = np.full(N, 1.26) * u.dex
    for parameter in PARAMETERS:
        middle = {"log_age": 7.2, "a_v": 0.4}.get(parameter.name, -0.6)
        for key, shift in (("median", 0), ("p16", -0.11), ("p84", 0.23)):
            values = np.full(N, middle + shift)
            unit = u.Unit(parameter.unit)
            table[f"{parameter.name}_{key}"] = u.Quantity(values, unit, subok=True)
    table["flags"] = np.full(N, FLAGS["edge"][0] | FLAGS["outside_training"][0])
    return Catalogue(table)


@pytest.fixture
def mosaics(request, tmp_path, m83, write_band):
    """Return mosaics, bluest first or last, with a red source in the fifth row."""
    rng = np.random.default_rng(9)
    order = slice(None, None, getattr(request, "param", 1))
    paths = []
    for i, band in enumerate(m83.bands):
        rate = 0.1 + 0.01 * rng.standard_normal((90, 120))
        y, x = np.mgrid[:90, :120]
        source = np.exp(-((x - 76.7) ** 2 + (y - 45) ** 2) / 8)
        rate += source * (0.1, 0.3, 3.0)[i]
        paths.append(write_band(tmp_path / f"{band.name}.fits", rate, band))
    names = m83.band_names[order]
    with open_mosaics(paths[order], names, m83.pixel_scale_arcsec) as mosaics:
        yield mosaics


def test_the_most_likely_clusters_come_first_and_those_without_number_not(catalogue):
    assert best_rows(catalogue, 3).tolist() == [4, 1, 3]
    assert best_rows(catalogue, 100).tolist() == [4, 1, 3, 6, 5, 0]


def test_overlaps_with_a_likelier_cluster_are_not_shown(catalogue):
    catalogue["flags"][1] |= FLAGS["overlap"][0]
    assert best_rows(catalogue, 3).tolist() == [4, 3, 6]


def test_one_object_is_shown_once_by_its_likeliest_row(catalogue):
    catalogue["p_cluster"] *= 0.01
    catalogue["x"][1] = catalogue["x"][4] + SMALLEST_PX * u.pix
    catalogue["x"][3] = catalogue["x"][6] + (SMALLEST_PX + 0.1) * u.pix
    assert best_rows(catalogue, 100).tolist() == [4, 3, 6, 5, 0]


def test_a_caption_gives_the_numbers_and_flags(catalogue):
    words = caption(catalogue, 4)
    assert words.split("\n")[0] == "15   p = 0.95   log S/N 1.3"
    assert "log age 7.20 $_{-0.11}^{+0.23}$  $A_V$ 0.40 $_{-0.11}^{+0.23}$" in words
    assert words.endswith("edge outside_training")
    catalogue["p_cluster"][4] = 0.0032
    assert caption(catalogue, 4).startswith("15   p < 0.01   log S/N 1.3")


@pytest.mark.parametrize("mosaics", [1, -1], indirect=True)
def test_a_page_shows_a_red_cluster_orange(catalogue, mosaics, tmp_path):
    draw_preview(catalogue, mosaics, tmp_path / "page.png", np.array([4]), px=PX)
    page = imread(tmp_path / "page.png")[..., :3]
    # what is bright and coloured, without white words and the yellow mark
    coloured = (np.ptp(page, axis=-1) > 0.3) & (
        np.abs(page[..., 0] - page[..., 1]) > 0.2
    )
    red, green, blue = page[coloured].T
    assert len(red) > 50
    assert (red > blue).mean() > 0.95
    assert (red > green).mean() > 0.95


@pytest.mark.parametrize(
    ("n", "lines", "columns"), [(1, 1, 5), (7, 1, 7), (10, 1, 10), (21, 3, 10)]
)
def test_a_page_grows_with_its_cutouts(catalogue, mosaics, tmp_path, n, lines, columns):
    rows = np.arange(n) % N
    draw_preview(catalogue, mosaics, tmp_path / "page.png", rows, px=PX)
    height, width = imread(tmp_path / "page.png").shape[:2]
    inches = HEAD_INCH + lines * (SIDE_INCH + CAPTION_INCH)
    assert (width, height) == pytest.approx((200 * columns, 100 * inches), abs=1)


def test_fifty_cutouts_are_a_page_and_no_column(catalogue, mosaics, tmp_path):
    rows = np.arange(50) % N
    draw_preview(catalogue, mosaics, tmp_path / "page.png", rows, px=PX)
    height, width = imread(tmp_path / "page.png").shape[:2]
    assert 1 < width / height < 2
    assert height < 1500


@pytest.fixture
def drawn(monkeypatch):
    """Return figures as they are saved."""
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure,
        "savefig",
        lambda self, *a, **k: figures.append(self) or save(self, *a, **k),
    )
    return figures


def test_a_page_names_bands_scale_and_what_is_white(
    catalogue, mosaics, tmp_path, drawn
):
    draw_preview(catalogue, mosaics, tmp_path / "page.png", px=PX, n=2)
    (figure,) = drawn
    (head,) = (text.get_text() for text in figure.texts)
    assert head.startswith("2 likeliest of 7 rows (none within 8 px of a likelier one)")
    assert (
        "clusters (p ≥ 0.5, no overlap): 2 of these 2.\nColours: red F814W, green F438W"
        in head
    )
    for axes in figure.axes:
        words = [text.get_text() for text in axes.texts]
        assert words[0] == "0.2″"
        assert words[1].startswith("white ")
        assert all(text.get_fontsize() >= 8 for text in axes.texts)


def test_a_page_says_how_many_of_its_rows_count_as_clusters(
    catalogue, mosaics, tmp_path, drawn
):
    catalogue["flags"][1] |= FLAGS["overlap"][0]
    draw_preview(catalogue, mosaics, tmp_path / "page.png", np.arange(N), px=PX)
    (head,) = (text.get_text() for text in drawn[0].texts)
    assert head.startswith(
        "7 of 7 rows. Counting as clusters (p ≥ 0.5, no overlap): 2 of"
    )


def test_a_pdf_is_written(catalogue, mosaics, tmp_path):
    draw_preview(catalogue, mosaics, tmp_path / "page.pdf", px=PX)
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


def test_a_catalogue_without_posteriors_gives_a_page_that_says_so(
    catalogue, mosaics, tmp_path
):
    catalogue["p_cluster"] = np.nan
    draw_preview(catalogue, mosaics, tmp_path / "page.png", px=PX)
    assert (tmp_path / "page.png").is_file()


def test_an_unknown_picture_format_is_refused(catalogue, mosaics, tmp_path):
    with pytest.raises(ValueError, match=r"name of a preview to end in .png"):
        draw_preview(catalogue, mosaics, tmp_path / "page.gif")


def test_two_bands_are_drawn_too(catalogue, tmp_path, m83, write_band):
    pair = dataclasses.replace(m83, bands=m83.bands[::2])
    rate = np.random.default_rng(10).normal(0.1, 0.01, (90, 120))
    paths = [write_band(tmp_path / f"{b.name}.fits", rate, b) for b in pair.bands]
    with open_mosaics(paths, pair.band_names, pair.pixel_scale_arcsec) as mosaics:
        draw_preview(catalogue, mosaics, tmp_path / "page.png", px=PX)
    assert (tmp_path / "page.png").is_file()
