import re

import numpy as np
import pytest
from astropy.table import Table, vstack
from matplotlib.backends.backend_agg import FigureCanvasAgg

from clusterkeras.catalogue.read import Catalogue
from clusterkeras.commands.cli import main
from data_tools.running.plain_files import read_json
from data_tools.schema import FLAGS, PARAMETERS


def compare(catalogue, truth, match_px=4.0):
    return Catalogue.read(catalogue).compare(truth, match_px)


def tables(directory, n=400, offset=0.0, sigma=0.1, p_cluster=0.9, seed=1):
    """Write a truth and a catalogue whose posteriors are normal and right."""
    rng = np.random.default_rng(seed)
    grid = np.arange(n)
    truth = Table({"x": 20.0 * (grid % 20), "y": 20.0 * (grid // 20)})
    catalogue = Table({"x": truth["x"] + 0.4, "y": truth["y"] - 0.3})
    catalogue["p_cluster"] = np.full(n, p_cluster)
    for p in PARAMETERS:
        truth[p.name] = rng.uniform(p.low, p.high, n)
        median = truth[p.name] + offset + sigma * rng.standard_normal(n)
        catalogue[f"{p.name}_median"] = median
        catalogue[f"{p.name}_p16"] = median - sigma
        catalogue[f"{p.name}_p84"] = median + sigma
    truth["log_snr"] = rng.uniform(0, 3, n)
    paths = directory / "catalogue.ecsv", directory / "truth.ecsv"
    catalogue.write(paths[0])
    truth.write(paths[1])
    return paths


def test_right_posteriors_score_as_right(tmp_path):
    result = compare(*tables(tmp_path))
    for score in result["parameters"].values():
        assert score["n"] == 400
        assert abs(score["bias"]) < 4 * 0.1 * 1.25 / 20
        assert score["scatter"] == pytest.approx(0.1, rel=0.2)
        assert score["coverage"] == pytest.approx(0.683, abs=4 * 0.0233)
    assert result["completeness"]["all"] == {"n": 400, "found": 1.0, "taken": 1.0}
    assert result["purity"] == 1.0


def test_a_catalogue_of_several_fields_is_refused(tmp_path):
    catalogue, truth = tables(tmp_path, n=40)
    table = Table.read(catalogue)
    table["field"] = np.repeat(["north", "south"], 20)
    table.write(catalogue, overwrite=True)
    with pytest.raises(ValueError, match=r"expected one field.*received 2 .*=nor"):
        compare(catalogue, truth)
    table["field"] = "north"
    table.write(catalogue, overwrite=True)
    assert compare(catalogue, truth)["purity"] == 1.0


def test_a_bias_is_reported_with_its_sign(tmp_path):
    result = compare(*tables(tmp_path, offset=-0.5))
    assert result["parameters"]["a_v"]["bias"] == pytest.approx(-0.5, abs=0.03)
    assert result["parameters"]["a_v"]["coverage"] < 0.01


def test_overlaps_are_found_but_not_taken_for_clusters(tmp_path):
    catalogue, truth = tables(tmp_path)
    table = Table.read(catalogue)
    table["flags"] = np.where(np.arange(400) < 100, FLAGS["overlap"][0], 0)
    table.write(catalogue, overwrite=True)
    result = compare(catalogue, truth)
    assert result["completeness"]["all"] == {"n": 400, "found": 1.0, "taken": 0.75}
    assert result["purity"] == 1.0


def test_clusters_not_taken_for_clusters_are_found_but_not_scored(tmp_path):
    result = compare(*tables(tmp_path, p_cluster=0.2))
    assert result["completeness"]["all"] == {"n": 400, "found": 1.0, "taken": 0.0}
    assert result["purity"] is None
    assert result["parameters"]["log_age"]["n"] == 0
    assert "that are clusters: none (the highest p_cluster is 0.2)" in repr(result)
    assert result["highest_p_cluster"] == 0.2


def test_a_table_that_would_be_empty_has_no_header(tmp_path):
    catalogue, truth = tables(tmp_path, n=40, p_cluster=0.2)
    result = compare(catalogue, truth)
    assert "parameter" not in repr(result)
    assert "log mass [Msun]" in repr(result)
    unknown = Table.read(truth)
    unknown["log_mass"], unknown["log_snr"] = np.nan, np.nan
    assert "log mass [Msun]" not in repr(compare(catalogue, unknown))


def test_print_and_picture_use_the_same_words(tmp_path):
    result = compare(*tables(tmp_path, n=40))
    assert re.search(
        r"\nparameter +n +bias +scatter +in 68 %\nlog_age +40 ", repr(result)
    )
    figure = result.plot()
    assert re.search(r"bias .*, scatter .*, in 68 %: \d+ %", figure.axes[0].get_title())
    legend = figure.axes[5].texts[0].get_text()
    assert "in 68 %: share of truths" in legend
    assert "each cluster that is found and taken" in legend


def test_completeness_in_bins_of_visibility_counts_every_cluster(tmp_path):
    result = compare(*tables(tmp_path))
    bins = result["completeness"]["by_log_snr"]
    assert sum(b["n"] for b in bins) == 400
    assert bins[0]["low"] is None and bins[-1]["high"] is None


def test_completeness_is_by_mass_and_visibility_or_by_magnitude_where_there_is_one(
    tmp_path,
):
    catalogue, path = tables(tmp_path, n=40)
    result = compare(catalogue, path)
    bins = result["completeness"]["by_log_mass"]
    assert sum(b["n"] for b in bins) == 40
    assert "visibility, log S/N" in repr(result) and "log mass [Msun]" in repr(result)
    truth = Table.read(path)
    truth["mag_F336W"] = np.full(40, 20.0)
    truth["mag_F814W"] = np.repeat([17.0, 21.5, 28.0, np.nan], 10)
    truth["x"][:5] += 10
    result = compare(catalogue, truth)
    assert [b["n"] for b in result["completeness"]["by_mag_F336W"] if b["n"]] == [40]
    bins = result["completeness"]["by_mag_F814W"]
    assert [(b["low"], b["high"]) for b in bins if b["n"]] == [
        *((None, 18.0), (21.0, 22.0), (26.0, None))
    ]
    assert [b["taken"] for b in bins if b["n"]] == [0.5, 1.0, 1.0]
    assert re.search(
        r"F814W \[mag\] +n +found +taken\n<18 +10 +50 % +50 %", repr(result)
    )
    assert "visibility" not in repr(result)
    label = "true F814W [mag] (number of clusters)"
    assert result.plot().axes[4].get_xlabel() == label


def test_the_picture_s_legend_stands_above_the_tallest_bar(tmp_path):
    figure = compare(*tables(tmp_path, n=40)).plot()
    FigureCanvasAgg(figure).draw()
    axes = figure.axes[4]
    highest = max(bar.get_height() for bar in axes.patches)
    top = axes.transData.transform((0, highest))[1]
    assert highest == 1 and axes.get_legend().get_window_extent().y0 > top


@pytest.mark.parametrize(
    ("column", "unit", "values", "is_one"),
    [
        ("mag_F814W", None, 20.0, True),
        ("mag_F814W", "mag", 20, True),
        ("mag_F814W", "mag(AB)", 20.0, True),
        ("F814W_mag", "mag", 20.0, True),
        ("mag_F814W_err", "mag", 0.1, False),
        ("magerr_F814W", "mag", 0.1, False),
        ("mag_F814W", "nJy", 20.0, False),
        ("mag_system", None, "AB", False),
        ("magnification", None, 1.0, False),
    ],
)
def test_magnitudes_are_told_by_name_and_unit(tmp_path, column, unit, values, is_one):
    catalogue, path = tables(tmp_path, n=20)
    truth = Table.read(path)
    truth[column] = [values] * 20
    truth[column].unit = unit
    found = compare(catalogue, truth)["completeness"]
    assert (f"by_{column}" in found) is is_one


def test_what_is_found_of_clusters_like_m83_s_is_said(tmp_path):
    catalogue, path = tables(tmp_path)
    table, truth = Table.read(catalogue), Table.read(path)
    # of the young and light, which M83 has most of, half are not taken
    light = (truth["log_mass"] < 4.3) & (np.arange(400) % 2 == 0)
    table["p_cluster"][light] = 0.1
    table.meta["pixels_with_data"] = 1_000_000
    result = Catalogue.of(table).compare(truth)
    like = result["completeness"]["like_m83"]
    assert like["found"] == 1.0 and 0.95 < like["covered"] <= 1
    assert 0.3 < like["taken"] < result["completeness"]["all"]["taken"]
    assert like["purity"] == 1.0
    assert "like M83's: found 100 ±" in repr(result)
    assert "Like M83's: found 100 ±" in result.plot().axes[5].texts[0].get_text()


def test_json_and_picture_are_written_into_a_new_directory(tmp_path):
    result = compare(*tables(tmp_path))
    result.write(tmp_path / "new" / "directory")
    written = read_json(tmp_path / "new/directory/comparison.json")
    assert written == result
    picture = (tmp_path / "new/directory/comparison.png").read_bytes()
    assert picture.startswith(b"\x89PNG")


@pytest.mark.parametrize(("p", "taken"), [(0.9, 400), (0.2, 0)])
def test_the_picture_says_that_it_shows_what_is_taken_for_a_cluster(tmp_path, p, taken):
    figure = compare(*tables(tmp_path, p_cluster=p)).plot()
    title = figure.get_suptitle()
    assert title.startswith(
        f"Of 400 true clusters the {taken} that are found and taken"
    )
    assert "p_cluster ≥ 0.5, no overlap" in title
    width, height = figure.get_size_inches()
    # a page and no strip
    assert width < 2 * height


def test_where_none_is_taken_the_picture_shows_what_is_found_and_the_highest_p(
    tmp_path,
):
    figure = compare(*tables(tmp_path, p_cluster=0.2)).plot()
    assert "in grey, the 400 that are only found" in figure.get_suptitle()
    assert "(the highest p_cluster is 0.2)" in figure.get_suptitle()
    assert "cluster that is only found" in figure.axes[5].texts[0].get_text()
    assert figure.axes[4].get_title() == "no row is taken for a cluster"
    assert len(figure.axes[0].containers[0].lines[0].get_xdata()) == 400
    (tmp_path / "likely").mkdir()
    figure = compare(*tables(tmp_path / "likely", p_cluster=0.9)).plot()
    assert "grey" not in figure.get_suptitle()


def test_matches_by_chance_are_counted_where_rows_are_everywhere(tmp_path):
    catalogue, truth = tables(tmp_path, n=40)
    alone = compare(catalogue, truth, match_px=2)["completeness"]
    assert alone["by_chance"] == {"n": 40, "found": 0.0, "taken": 0.0}
    table = Table.read(catalogue)
    beside = table.copy()
    beside["x"] += 10
    vstack([table, beside]).write(catalogue, overwrite=True)
    crowded = compare(catalogue, truth, match_px=2)["completeness"]
    assert crowded["all"]["found"] == 1.0
    # but for two that meet in the middle, in each of two lines
    assert crowded["by_chance"]["found"] == 38 / 40


def with_large_cluster(directory, r_h_px=12.0, meta=True, **columns):
    """Write a truth of four clusters, the first large, and rows around them."""
    scale = 0.04
    truth = Table({"x": [100.0, 200.0, 300.0, 400.0], "y": np.full(4, 100.0)})
    x = np.array([101.0, 106.0, 94.0, 200.5, 260.0, 300.0])
    catalogue = Table({"x": x, "y": np.full(6, 100.0)})
    catalogue["p_cluster"] = [0.1, 0.9, 0.8, 0.9, 0.9, 0.2]
    catalogue["ra"], catalogue["dec"] = 204 - x * scale / 3600, np.zeros(6)
    for p in PARAMETERS:
        truth[p.name] = np.full(4, p.low)
        for part in ("median", "p16", "p84"):
            catalogue[f"{p.name}_{part}"] = np.full(6, p.low)
    truth["log_half_light_radius"][0] = np.log10(r_h_px * scale)
    for name, values in columns.items():
        catalogue[name] = values
    if meta:
        catalogue.meta["target"] = {"pixel_scale_arcsec": scale}
    paths = directory / "catalogue.ecsv", directory / "truth.ecsv"
    catalogue.write(paths[0])
    truth.write(paths[1])
    return paths


@pytest.mark.parametrize("meta", [True, False], ids=["metadata", "ra and dec"])
def test_a_large_cluster_is_not_hidden_by_its_pieces_and_claims_them(tmp_path, meta):
    result = compare(*with_large_cluster(tmp_path, meta=meta))
    # a row of low p_cluster is the nearest to the first; the third has only such a row
    assert result["completeness"]["all"] == {"n": 4, "found": 0.75, "taken": 0.5}
    assert result["pieces"] == 1
    assert result["false"] == 1
    assert result["purity"] == 2 / 3
    assert "67 % (2 of 3; 1 more lies within these)" in repr(result)


@pytest.mark.parametrize("r_h_px", [1.0, np.nan])
def test_what_lies_outside_of_a_small_cluster_or_one_of_no_size_is_false(
    tmp_path, r_h_px
):
    result = compare(*with_large_cluster(tmp_path, r_h_px))
    assert result["completeness"]["all"]["taken"] == 0.25
    assert (result["pieces"], result["false"], result["purity"]) == (0, 3, 0.25)
    assert "25 % (1 of 4)" in repr(result)


@pytest.mark.parametrize("r_h_px", [1e5, 1e300])
def test_a_size_beyond_any_cutout_claims_no_whole_mosaic(tmp_path, caplog, r_h_px):
    result = compare(*with_large_cluster(tmp_path, r_h_px))
    assert result["pieces"] == 1
    assert result["false"] == 1
    assert "truth: 1 clusters have half-light radii above 32 px" in caplog.text


def test_false_rows_are_counted_on_the_area_of_the_mosaics(tmp_path):
    paths = with_large_cluster(tmp_path)
    unknown = compare(*paths)
    assert unknown["false_per_million_pixels"] is None
    assert "in a million pixels is unknown" in repr(unknown)
    table = Table.read(paths[0])
    table.meta["pixels_with_data"] = 400_000
    table.write(paths[0], overwrite=True)
    result = compare(*paths)
    assert (result["false"], result["false_per_million_pixels"]) == (1, 2.5)
    assert "false rows: 1 on 0.4 million pixels, 2.5 in a million" in repr(result)
    assert "2.5 in a million" in result.plot().axes[4].get_title()


def test_the_command_takes_the_mosaics_for_their_area(tmp_path, write_band, capsys):
    catalogue, truth = with_large_cluster(tmp_path)
    image = write_band(tmp_path / "one.fits", np.ones((500, 800)))
    given = ("--catalogue", catalogue, "--truth", truth, "--images", image)
    main([str(word) for word in ("compare", *given, "-o", tmp_path / "out")])
    assert "false rows: 1 on 0.4 million pixels" in capsys.readouterr().out
    written = read_json(tmp_path / "out/comparison.json")
    assert written["false_per_million_pixels"] == 2.5


def test_without_a_size_of_pixels_rows_are_held_to_match_px_and_the_log_says_so(
    tmp_path, caplog
):
    paths = with_large_cluster(tmp_path, meta=False, ra=np.full(6, np.nan))
    assert compare(*paths)["false"] == 3
    assert "the catalogue tells no size of a pixel" in caplog.text


@pytest.mark.parametrize(
    ("rows", "clusters", "purity", "taken"),
    [
        ("empty", "all", None, 0.0),
        ("all", "empty", 0.0, None),
        ("empty", "empty", None, None),
        ("nan", "all", None, 0.0),
        ("all", "nan", 0.0, 0.0),
        ("unlikely", "all", None, 0.0),
    ],
)
def test_tables_without_anything_to_match_have_no_shares(
    tmp_path, rows, clusters, purity, taken
):
    paths = tables(tmp_path, n=20)
    for path, kind in zip(paths, (rows, clusters), strict=True):
        table = Table.read(path)
        if kind == "empty":
            table = table[:0]
        elif kind == "nan":
            for name in table.colnames:
                table[name] = np.full(len(table), np.nan)
        elif kind == "unlikely":
            table["p_cluster"] = 0.1
        table.write(path, overwrite=True)
    result = compare(*paths)
    assert (result["purity"], result["pieces"]) == (purity, 0)
    assert result["completeness"]["all"]["taken"] == taken
    repr(result)
    result.write(tmp_path / "out")


def test_a_missing_column_is_named(tmp_path):
    catalogue, truth = tables(tmp_path, n=20)
    table = Table.read(truth)
    del table["a_v"]
    table.write(truth, overwrite=True)
    with pytest.raises(ValueError, match=r"truth\.ecsv.*\['a_v'\] are missing"):
        compare(catalogue, truth)


def test_a_missing_or_unreadable_table_is_named(tmp_path):
    catalogue, truth = tables(tmp_path, n=20)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.ecsv: no such catalogue"):
        compare(tmp_path / "nowhere.ecsv", truth)
    truth.write_bytes(b"\x00\x01\x02")
    with pytest.raises(ValueError, match=r"truth\.ecsv: not readable as a table"):
        compare(catalogue, truth)


def test_units_and_masks_do_not_change_the_numbers(tmp_path):
    catalogue, truth = tables(tmp_path, n=40)
    expected = compare(catalogue, truth)["parameters"]["log_age"]
    table = Table.read(catalogue, format="ascii.ecsv")
    table["x"].unit = "pix"
    for part in ("median", "p16", "p84"):
        table[f"log_age_{part}"].unit = "dex(yr)"
    table["a_v_median"] = np.ma.array(table["a_v_median"], mask=np.arange(40) < 3)
    table.write(catalogue, format="ascii.ecsv", overwrite=True)
    result = compare(catalogue, truth)["parameters"]
    assert result["log_age"] == expected
    assert result["a_v"]["n"] == 37


def test_a_truth_in_other_units_is_converted(tmp_path):
    catalogue, path = tables(tmp_path)
    expected, truth = compare(catalogue, path), Table.read(path)
    truth["log_age"] -= 6
    truth["log_age"].unit = "dex(Myr)"
    found = compare(catalogue, truth)
    for key, value in expected["parameters"]["log_age"].items():
        assert found["parameters"]["log_age"][key] == pytest.approx(value)
    truth["log_age"].unit = "Myr"
    with pytest.raises(
        ValueError, match=r"expected log_age in dex\(yr\); received Myr"
    ):
        compare(catalogue, truth)


def test_a_true_cluster_without_a_place_is_not_found(tmp_path):
    catalogue, path = tables(tmp_path)
    truth = Table.read(path)
    truth["x"][7] = np.nan
    assert compare(catalogue, truth)["completeness"]["all"]["found"] == 399 / 400


@pytest.mark.parametrize(
    ("column", "becomes"),
    [
        ("y", "count as not found"),
        ("log_age", "are left out of its scores"),
        ("log_snr", "are in no bin of visibility"),
    ],
)
def test_rows_of_a_truth_without_a_number_are_named(tmp_path, caplog, column, becomes):
    catalogue, path = tables(tmp_path, n=20)
    truth = Table.read(path)
    truth[column][[3, 7]] = np.nan
    truth.write(path, overwrite=True)
    compare(catalogue, path)
    said = f"truth.ecsv: no number in {column} of 2 of 20 rows (4, 8, counted from 1)"
    assert f"{said}: they {becomes}" in caplog.text


def test_words_in_a_truth_are_refused_by_file_and_column(tmp_path):
    catalogue, path = tables(tmp_path, n=20)
    truth = Table.read(path)
    truth["a_v"] = ["low"] * 20
    truth.write(path, overwrite=True)
    with pytest.raises(ValueError, match=r"truth\.ecsv: expected numbers .* a_v: "):
        compare(catalogue, path)


def test_a_radius_of_zero_is_refused(tmp_path):
    with pytest.raises(ValueError, match="match_px must be above 0; received 0"):
        compare(*tables(tmp_path, n=20), match_px=0)
