"""LEGUS's catalogues, with any number of header lines, bands and classes."""

import logging
from pathlib import Path

import numpy as np
import pytest

from data_tools.positions.columns.names import ORIGIN_KEY
from data_tools.positions.legus import read_legus

REAL = Path(__file__).parents[4] / "shared/data/reference"
NAME = "hlsp_legus_hst_uvis_ngc1_multiband_v1_padagb-mwext-avgapcor.tab"


#: Age, mass and E(B-V), each the best, the largest and the smallest.
FIT = ["1.000e+07", "2.000e+07", "5.000e+06", "3.2e+03", "5.4e+03", "1.0e+03"]
FIT += [0.1, 0.2, 0.0]


def row(
    number,
    bands=5,
    frames=1,
    classes=("1.0", "1.333"),
    mags=None,
    fit=None,
    quality=None,
):
    """Return the words of one row as LEGUS writes them."""
    mags = mags or [(21.5 + number / 9 + band, 0.1) for band in range(bands)]
    words = [number, 2000.5 + 31 * number, 3000.25 - 17 * number]
    words += [500.5 + number, 600.5] if frames == 2 else []
    words += [f"{204.2 + 1e-4 * number:.5f}", f"{-29.8 + 1e-4 * number:.5f}"]
    words += [value for pair in mags for value in pair] + [1.6]
    words += fit or FIT
    words += quality or [*([0.05] * bands), 0.7, 0.8, bands]
    return "  ".join(map(str, [*words, *classes]))


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


def test_a_band_in_which_all_is_faint_is_still_a_band(write):
    mags = [(29.782, 64.872), *[(22, 0.1)] * 4]
    assert len(names_of(read_legus(write([row(1, mags=mags)])))) == 5


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


#: A line for each row: what stands in it after the number of bands.
TAILS = {
    "mode, mean": ["1 1.333", "4 4.0", "0 0.0", "2 2.333"],
    "mode, mean, flag": ["1 1.333 1", "2 2.0 0", "0 0.0 0", "2 1.667 0"],
    "class, quality, halpha, flag": ["4 1 4 0", "0 0 0 0", "1 2 3 1", "3 1 1 0"],
    "flag, class, quality, halpha": ["0 4 1 4", "0 0 0 0", "1 1 2 3", "0 3 1 1"],
    "flag, class, quality": ["1 1 3", "0 2 1", "0 0 0", "0 2 1"],
    "hybrid, method, class, ml": ["1 0 0 1", "2 3 2 1", "4 6 0 3", "3 1 0 4"],
    "class of 5 for none, quality": ["5 0", "1 2", "4 1", "0 1"],
    "class": ["1", "0", "2", "2"],
    "flag, flag": ["1 0", "0 1", "0 0", "0 2"],
}


@pytest.mark.parametrize("unfitted", [0, 200])
@pytest.mark.parametrize("tail", TAILS)
def test_the_class_by_eye_is_found_wherever_it_stands(write, tail, unfitted):
    none = {"fit": [unfitted] * 9, "quality": [unfitted] * 8}
    lines = TAILS[tail]
    table = read_legus(
        write(
            [
                row(i, classes=line.split(), **(none if i > 1 and "0" in line else {}))
                for i, line in enumerate(lines)
            ]
        )
    )
    which = [word.strip() for word in tail.split(",")]
    place = next((i for i, w in enumerate(which) if w.split()[0] in WORDS), None)
    if place is None:
        assert "class" not in table.colnames
    else:
        assert table.colnames.index("class") == 33 + place
        expected = [float(line.split()[place]) for line in lines]
        np.testing.assert_array_equal(table["class"], expected)
    assert ("class_mean" in table.colnames) == ("mean" in which)


#: What is a class by eye, and not how it came about.
WORDS = ("mode", "class", "hybrid")


@pytest.mark.parametrize("unfitted", [0, 200])
def test_a_fit_is_recognised_where_most_rows_have_none(write, unfitted):
    none = row(1, fit=[unfitted] * 9, quality=[unfitted] * 8)
    table = read_legus(write([none, row(2), row(3), *[none] * 5]))
    for name in ("age_best", "mass_min", "ebv_max", "F275W_residual", "q"):
        mask = np.ma.getmaskarray(_plain(table[name]))
        assert mask.tolist() == [True, False, False, *[True] * 5], name
    np.testing.assert_allclose(table["ebv_max"][1].value, 0.2)
    assert bool(np.ma.getmaskarray(_plain(table["n_bands"]))[0]) == (unfitted == 200)


def test_limits_are_told_by_their_size_not_their_place(write):
    fit = [f"{v:.3e}" for v in (5e6, 1e7, 2e7, 1e3, 3.2e3, 5.4e3, 0.0, 0.1, 0.2)]
    order = [6, 7, 8, 3, 4, 5, 0, 1, 2]  # E(B-V) first, ages last
    table = read_legus(write([row(i, fit=[fit[j] for j in order]) for i in range(9)]))
    assert table.colnames[16:19] == ["ebv_min", "ebv_best", "ebv_max"]
    assert table["age_best"].value.tolist() == [1e7] * 9
    assert table["mass_max"].value.tolist() == [5.4e3] * 9


def test_where_nothing_was_fitted_nothing_is_named(write):
    none = row(1, fit=[0] * 9, quality=[0] * 8, classes=())
    names = read_legus(write([none, none])).colnames
    assert names[15:] == ["ci", *(f"column_{i}" for i in range(17, 34))]


def test_a_limit_of_zero_is_none(write):
    fit = [5e6, 0, 0, 563.3, 0, 0, 0, 0, 0]
    table = read_legus(write([row(1, fit=fit), row(2), row(3)]))
    for name in ("age_max", "age_min", "mass_max", "ebv_min"):
        assert np.ma.getmaskarray(_plain(table[name])).tolist() == [True, False, False]
    assert table["mass_best"][0].value == 563.3


def test_what_is_made_of_a_sentinel_is_masked(write):
    mags = [(99.449, 66.666), *[(22, 0.1)] * 3, (44.444, 44.444)]
    lines = [row(1, mags=mags).replace(" 1.6 ", " 72.909 "), row(2), row(3)]
    table = read_legus(write(lines))
    for name in ("F275W_mag", "F275W_err", "F814W_mag", "F814W_err", "ci"):
        assert np.ma.getmaskarray(_plain(table[name])).tolist() == [True, False, False]


def test_what_is_no_fit_keeps_its_place(write, caplog):
    fit = [f"{v:.2f}" for v in (-3, -2, -4, 3.5, 3.7, 3.1, -1, -2, -3)]
    with caplog.at_level(logging.WARNING):
        table = read_legus(write([row(i, fit=fit, classes=()) for i in range(9)]))
    assert table.colnames[15:] == ["ci", *(f"column_{i}" for i in range(17, 34))]
    assert "not recognised: column_17, " in caplog.text


@pytest.mark.parametrize("frames", [1, 2])
def test_a_field_where_right_ascension_begins_anew_is_one_field(write, frames):
    lines = [row(i, frames=frames) for i in range(1, 6)]
    across = [359.9996, 359.9998, 0.0, 0.0002, 0.0004]
    at = 3 + 2 * (frames - 1)
    words = [line.split() for line in lines]
    for line, ra in zip(words, across, strict=True):
        line[at] = f"{ra:.5f}"
    table = read_legus(write(map("  ".join, words)))
    assert table["ra"].value.tolist() == across
    assert len(names_of(table)) == 5


@pytest.mark.parametrize(
    ("field", "bands"),
    [
        ("acs-wfc3_ngc3351", "F438W F555W"),
        ("wfc3_ngc1313-w", "F435W F555W"),
        ("acs-wfc3_ngc5474", "F438W F606W"),
        ("acs-wfc3_ngc628-e", "F435W F555W"),
        ("wfc3_ngc45", "F438W F555W"),
    ],
)
def test_a_field_s_bands_are_those_it_was_observed_in(write, field, bands):
    name = f"hlsp_legus_hst_{field}_multiband_v1_padagb-mwext-avgapcor.tab"
    table = read_legus(write([row(i) for i in range(1, 6)], name))
    assert names_of(table)[2:4] == [f"{band}_mag" for band in bands.split()]


README = """# Final catalogue produced by the pipeline
# Order of the columns
1. source id
2. x coordinates in the ref single frame (image aligned)
3. y coordinates in the ref single frame (image aligned)
4. x coordinates in the ref mosaic frame (image aligned)
5. y coordinates in the ref mosaic frame
6. RA coordinates in the ref single frame. The RA and DEC are the same in mosaic
7. DEC coordinates in the ref single frame
8. final total mag in WFC3/F275W
9. final photometric error in WFC3/F275W
10. final total mag in  WFC3/F336W
11. final photometric error in F336W
12. final total mag in ACS/F435W
13. final photometric error in ACS/F435W
14. CI=mag(1px)-mag(3px) measured in the F555W
15. best age in yr
16. max age in yr (within 68 % confidence level)
17. min age in yr (within 68 % confidence level)
18. best mass in solar masses
19. max mass in solar masses
20. min mass in solar masses
21. best E(B-V)
22. max E(B-V)
23. min E(B-V)
24. chi2 fit residual in F275W, if positive the flux is higher
25. chi2 fit residual in F336W
26. chi2 fit residual in F435W
27. reduced chi2
28. Q probability is a measurement of the quality of the fit
29. Number of filter. Sources with UBVI detection have Nflt=4
30. Flag indicates how the source has been selected
31. Method of visual inspection. Flag 0, the source has been classified only by ML
32. Final morphological flag. The flag in column 31 is its source. Only clusters
 with CI>=1.35 have one
33. Final assigned class of the source using the machine learning (ML) approach
34. Final morphological class of the source after visual inspection (mode value)
"""


@pytest.mark.parametrize("place", ["beside", "within"])
def test_a_readme_names_the_columns(write, place):
    classes = ["3", "1", "2", "1", "4"]
    lines = [row(i, 3, frames=2, classes=classes) for i in range(1, 6)]
    head = README.splitlines() if place == "within" else []
    path = write([*head, *lines])
    if place == "beside":
        path.with_suffix(".readme").write_text(README)
    table = read_legus(path)
    assert table.colnames[13:16] == ["ci", "age_best", "age_max"]
    assert names_of(table) == ["F275W_mag", "F336W_mag", "F435W_mag"]
    names = ["n_bands", "selection", "class_method", "class", "class_ml", "column_34"]
    assert table.colnames[28:] == names
    assert table["class"].tolist() == [2] * 5


@pytest.mark.parametrize("head", ["# {}", "{}"])
@pytest.mark.parametrize("mark", ["\t", " ", ","])
def test_a_table_whose_header_names_its_columns_is_none_of_them(write, head, mark):
    names = head.format(mark.join(f"n{i}" for i in range(35)))
    assert read_legus(write([names, *(row(i) for i in range(1, 6))], "a.tab")) is None


@pytest.mark.parametrize("columns", [8, 9, 11])
def test_positions_and_a_few_numbers_are_none_of_them(write, columns):
    lines = [row(i).split()[:5] + ["310", "2.5", "0.4"] * 2 for i in range(1, 9)]
    assert read_legus(write([" ".join(line[:columns]) for line in lines])) is None


def test_only_of_a_file_that_says_legus_the_first_pixel_is_one(write):
    lines = [row(i) for i in range(1, 6)]
    assert read_legus(write(lines)).meta[ORIGIN_KEY] == 1
    assert read_legus(write(["# LEGUS", *lines], "a.tab")).meta[ORIGIN_KEY] == 1
    assert ORIGIN_KEY not in read_legus(write(lines, "mine.tab")).meta


@pytest.mark.parametrize("text", ["", "x y\n10 20\n30 40\n", "a b c d e f g h\n" * 9])
def test_another_table_is_none_of_them(write, text):
    assert read_legus(write([text])) is None


@pytest.mark.shared
@pytest.mark.parametrize(
    ("galaxy", "rows", "clusters", "fitted", "columns"),
    [
        ("eso486-g021", 110, 17, 109, 37),
        ("ic559", 269, 21, 269, 36),
        ("ngc3351", 1389, 198, 1241, 37),
        ("ngc1313-e", 5284, 137, 1629, 37),
    ],
)
def test_the_real_catalogues_are_read(galaxy, rows, clusters, fitted, columns):
    paths = sorted(REAL.glob(f"*{galaxy}*.tab"))
    if not paths:
        pytest.skip("no LEGUS catalogues beside the repository")
    table = read_legus(paths[0])
    assert (len(table), len(table.colnames)) == (rows, columns)
    assert names_of(table)[1] == "F336W_mag"
    assert np.isin(table["class"], (1, 2)).sum() == clusters
    ages = _plain(table["age_best"]).compressed()
    assert len(ages) == fitted
    assert 1e6 <= ages.min() <= ages.max() <= 1.4e10
    masses = [_plain(table[f"mass_{end}"]) for end in ("min", "best", "max")]
    assert np.ma.median(masses[0] <= masses[1]) == 1
    assert np.ma.median(masses[1] <= masses[2]) == 1
