"""LEGUS's catalogues, with any number of header lines, bands and classes."""

import logging
from pathlib import Path

import numpy as np
import pytest

from data_tools.positions.columns import ORIGIN_KEY
from data_tools.positions.legus import read_legus

REAL = Path(__file__).parents[4] / "shared/data/reference"
NAME = "hlsp_legus_hst_uvis_ngc1_multiband_v1_padagb-mwext-avgapcor.tab"


def row(number, bands=5, frames=1, classes=("1.0", "1.333"), mags=None):
    """Return the words of one row as LEGUS writes them."""
    mags = mags or [(21.5 + number / 9 + band, 0.1) for band in range(bands)]
    words = [number, 2000.5 + 31 * number, 3000.25 - 17 * number]
    words += [500.5 + number, 600.5] if frames == 2 else []
    words += [f"{204.2 + 1e-4 * number:.5f}", f"{-29.8 + 1e-4 * number:.5f}"]
    words += [value for pair in mags for value in pair] + [1.6]
    words += ["1.000e+07", "2.000e+07", "5.000e+06", "3.2e+03", "5.4e+03", "1.0e+03"]
    words += [0.1, 0.2, 0.0, *([0.05] * bands), 0.7, 0.8, bands, *classes]
    return "  ".join(map(str, words))


@pytest.fixture
def write(tmp_path):
    def write(lines, name=NAME):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
        return tmp_path / name

    return write


def names_of(table):
    return [n for n in table.colnames if n.endswith("_mag")]


@pytest.mark.parametrize("bands", [3, 4, 5, 6, 7])
@pytest.mark.parametrize("n_classes", [0, 1, 2, 3, 4])
def test_any_number_of_bands_and_classes_is_told_apart(write, bands, n_classes):
    classes = ("2.0", "2.333", "1", "0")[:n_classes]
    table = read_legus(write([row(i, bands, classes=classes) for i in range(1, 9)]))
    assert len(names_of(table)) == bands
    np.testing.assert_allclose(table["ra"].value[0], 204.2001)
    np.testing.assert_allclose(table["age_max"].value, 2e7)
    np.testing.assert_allclose(table["mass_min"].value, 1e3)
    np.testing.assert_array_equal(table["n_bands"], bands)
    assert ("class" in table.colnames) == (n_classes > 0)
    assert len(table.colnames) == 5 + 2 * bands + 10 + bands + 3 + n_classes


@pytest.mark.parametrize(
    "header",
    [
        [],
        ["# LEGUS cluster catalogue", "#"],
        ["id x y RA DEC F275W err ..."],
        ["Catalogue of NGC 1", "", "1. source id", "2. x coordinates", "-----"],
    ],
)
def test_lines_before_the_rows_are_no_rows(write, header):
    table = read_legus(write([*header, *(row(i) for i in range(1, 6))]))
    assert len(table) == 5
    assert table["x"].value[0] == 2031.5
    assert table.meta[ORIGIN_KEY] == 1


def test_two_more_columns_of_a_mosaic_frame_are_found_before_the_sky(write):
    table = read_legus(write([row(i, frames=2) for i in range(1, 6)]))
    assert table.colnames[:7] == ["id", "x", "y", "x_mosaic", "y_mosaic", "ra", "dec"]
    np.testing.assert_allclose(table["dec"].value[0], -29.7999)
    assert len(names_of(table)) == 5


def test_sentinels_are_masked_and_stay_rows(write):
    dark = [(22, 0.1), (66.666, 66.666), (99.999, 99.999), (23, 0.2), (21, 0.1)]
    table = read_legus(write([row(1), row(2, mags=dark), row(3)]))
    assert len(table) == 3
    masked = [bool(np.ma.getmaskarray(_plain(table[n]))[1]) for n in names_of(table)]
    assert masked == [False, True, True, False, False]


def _plain(column):
    return np.ma.masked_array(
        np.asarray(getattr(column, "unmasked", column)), getattr(column, "mask", False)
    )


def test_a_band_that_was_never_observed_is_still_a_band(write):
    mags = [(99.999, 99.999), *[(22, 0.1)] * 4]
    table = read_legus(write([row(i, mags=mags) for i in range(1, 6)]))
    assert len(names_of(table)) == 5
    assert names_of(table)[0] == "F275W_mag"


def test_bands_are_named_by_the_header_or_a_readme_else_by_custom(write, caplog):
    rows = [row(i) for i in range(1, 6)]
    named = read_legus(write(["# F225W F336W F435W F606W F814W", *rows]))
    assert names_of(named)[3] == "F606W_mag"
    path = write(rows, NAME.replace("uvis", "acs-wfc3"))
    with caplog.at_level(logging.WARNING):
        assert names_of(read_legus(path))[2] == "F435W_mag"
    assert "the file does not name them" in caplog.text
    readme = "\n".join(
        f"final total mag in ACS/F{n}W" for n in (225, 275, 336, 438, 606)
    )
    path.with_suffix(".readme.txt").write_text(readme)
    assert names_of(read_legus(path))[4] == "F606W_mag"
    four = read_legus(write([row(i, 4) for i in range(1, 6)]))
    assert names_of(four) == [f"band{i}_mag" for i in (1, 2, 3, 4)]


def test_numbers_that_are_not_understood_are_kept_by_their_place(write, caplog):
    lines = [row(i, classes=("3.0", "0.0", "4", "1")) for i in range(1, 6)]
    with caplog.at_level(logging.WARNING):
        table = read_legus(write(lines))
    assert table.colnames[-4:] == ["class", "column_35", "column_36", "column_37"]
    assert "not recognised: column_35, column_36, column_37" in caplog.text


def test_photometry_without_a_fit_is_read(write):
    lines = [" ".join(row(i).split()[:16]) for i in range(1, 6)]
    table = read_legus(write(lines))
    assert table.colnames[-1] == "ci"
    assert len(table.colnames) == 16


def test_a_row_that_was_cut_off_is_told(write):
    lines = [row(i) for i in range(1, 6)]
    with pytest.raises(ValueError, match=r"line 5 has 12 columns, the others 35"):
        read_legus(write([*lines[:4], " ".join(lines[4].split()[:12])]))


@pytest.mark.parametrize("text", ["", "x y\n10 20\n30 40\n", "a b c d e f g h\n" * 9])
def test_another_table_is_none_of_them(write, text):
    assert read_legus(write([text])) is None


@pytest.mark.shared
@pytest.mark.parametrize(
    ("galaxy", "rows", "clusters"), [("eso486-g021", 110, 17), ("ic559", 269, 21)]
)
def test_the_real_catalogues_are_read(galaxy, rows, clusters):
    paths = sorted(REAL.glob(f"*{galaxy}*.tab"))
    if not paths:
        pytest.skip("no LEGUS catalogues beside the repository")
    table = read_legus(paths[0])
    assert len(table) == rows
    assert names_of(table)[1:3] == ["F336W_mag", "F438W_mag"]
    assert np.isin(table["class"], (1, 2)).sum() == clusters
    ages = _plain(table["age_best"]).compressed()
    assert 1e6 <= ages.min() <= ages.max() <= 1.4e10
