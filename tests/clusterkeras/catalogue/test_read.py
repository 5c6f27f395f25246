"""A catalogue made, read back, chosen from, drawn and compared."""

import dataclasses
import pickle

import astropy.units as u
import h5py
import numpy as np
import pyarrow as pa
import pytest
from astropy.table import QTable, Table, vstack
from pyarrow import parquet

from clusterkeras.catalogue.infer import infer, measure_catalogue
from clusterkeras.catalogue.read import Catalogue, Origin
from clusterkeras.config import InferenceConfig
from data_tools.mosaics.mosaic import open_mosaics
from data_tools.schema import FLAGS, PARAMETERS

FORMATS = ("ecsv", "fits", "vot", "parquet", "csv")


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
    return infer(
        images,
        places,
        directory / "catalogue.ecsv",
        config=InferenceConfig(draws=32, seed=3),
        draws_file=directory / "draws.h5",
        progress=False,
    )


@pytest.fixture(scope="module")
def directory(catalogue):
    return catalogue._origin.images[0].parent


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


def made_up(p, flags=None, **columns):
    """Return a catalogue of rows in a line, all parameters in the middle of the box."""
    table = QTable({"x": 10.0 * np.arange(len(p)), "y": np.zeros(len(p))})
    table["p_cluster"] = p
    for parameter in PARAMETERS:
        for part in ("median", "p16", "p84"):
            middle = (parameter.low + parameter.high) / 2
            table[f"{parameter.name}_{part}"] = np.full(len(p), middle)
    if flags is not None:
        table["flags"] = flags
    for name, values in columns.items():
        table[name] = values
    return Catalogue.of(table)


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_gives_the_catalogue_back(catalogue, tmp_path, ending):
    catalogue.write(tmp_path / f"c.{ending}")
    again = Catalogue.read(tmp_path / f"c.{ending}")
    assert again.colnames == catalogue.colnames
    for name in catalogue.colnames:
        assert again[name].info.unit == catalogue[name].info.unit, name
        if name == "other_kind":
            words = np.ma.filled(np.ma.asarray(again[name], dtype=str), "")
            np.testing.assert_array_equal(words, np.asarray(catalogue[name]))
        elif name != "id":
            # text has as many digits as tell float32 apart
            found, written = again.numbers(name), catalogue.numbers(name)
            dtype = catalogue[name].dtype
            np.testing.assert_array_equal(found.astype(dtype), written.astype(dtype))
    assert again["a_v_p84"].info.description == catalogue["a_v_p84"].info.description
    if ending != "csv":  # it has no room for metadata
        assert again.meta["model"] == "m83-wfc3-uvis"
        assert again.meta["target"]["bands"][0]["name"] == "F336W"
        for key in ("cluster_share", "pixels_with_data"):
            assert again.meta[key] == catalogue.meta[key]
        assert again.seed == 3


def test_a_survey_is_read_as_one_catalogue(catalogue, tmp_path):
    for field in ("east", "west"):
        (tmp_path / f"field={field}").mkdir()
        catalogue.write(tmp_path / f"field={field}" / "part-0.parquet")
    survey = Catalogue.read(tmp_path)
    assert survey["field"].tolist() == ["east"] * 2 + ["west"] * 2
    assert survey["x"].unit == "pix"
    images = catalogue._origin.images
    with pytest.raises(ValueError, match=r"one field beside `images`; .* survey of 2"):
        Catalogue.read(tmp_path, images=images)
    with pytest.raises(ValueError, match="expected a survey with parts"):
        Catalogue.read(tmp_path / "field=east")


@pytest.mark.parametrize("other", [[3.0, 4.0], [3.0, 4.0] * u.arcsec])
def test_a_survey_s_columns_of_unlike_units_lose_them(
    catalogue, tmp_path, other, caplog
):
    for field, width in (("east", [1.0, 2.0] * u.pix), ("west", other)):
        (tmp_path / f"field={field}").mkdir()
        some = catalogue.copy()
        some["width"] = width
        some.write(tmp_path / f"field={field}" / "part-0.parquet")
    survey = Catalogue.read(tmp_path)
    assert survey["width"].tolist() == [1, 2, 3, 4]
    assert survey["width"].unit is None
    assert "width has not the same unit in all fields" in caplog.text
    assert str(survey["log_age_median"].unit) == "dex(yr)"


def test_a_table_that_is_no_catalogue_is_refused(tmp_path):
    table = QTable(made_up([0.5]))
    table.remove_columns(["a_v_p16", "p_cluster"])
    table.write(tmp_path / "t.ecsv")
    with pytest.raises(ValueError, match=r"t.ecsv.*no column p_cluster, a_v_p16"):
        Catalogue.read(tmp_path / "t.ecsv")
    with pytest.raises(FileNotFoundError, match=r"u\.ecsv"):
        Catalogue.read(tmp_path / "u.ecsv")


def test_clusters_are_likely_no_overlaps_and_the_likeliest_first():
    overlap = FLAGS["overlap"][0]
    some = made_up([0.6, np.nan, 0.9, 0.5, 0.95, 0.4], flags=[0, 0, 1, 1, overlap, 0])
    assert some.clusters().numbers("x").tolist() == [20, 0, 30]
    assert some.clusters(0.7).numbers("x").tolist() == [20]
    assert some.are_clusters(0.0).tolist() == [True, False, True, True, False, True]
    assert some.best_first().tolist() == [4, 2, 0, 3, 5, 1]


def test_a_cluster_without_a_place_does_not_count():
    some = made_up([0.9, 0.9])
    some["x"][0] = np.nan
    assert some.are_clusters().tolist() == [False, True]


def test_flags_are_asked_by_name():
    some = made_up([0.1, 0.2], flags=[FLAGS["edge"][0] | FLAGS["depth"][0], 0])
    assert some.flagged("depth").tolist() == [True, False]
    assert some.flagged("overlap").tolist() == [False, False]
    assert made_up([0.1]).flagged("edge").tolist() == [False]
    with pytest.raises(ValueError, match=r"expected one of edge, .*received 'egde'"):
        some.flagged("egde")


def test_numbers_are_nan_where_they_are_masked_and_asked_by_name():
    masked = np.ma.array([0.1, 0.2], mask=[False, True])
    some = made_up([0.1, 0.2], log_snr=masked)
    np.testing.assert_array_equal(some.numbers("log_snr"), [0.1, np.nan])
    with pytest.raises(ValueError, match="no column 'log_nsr'"):
        some.numbers("log_nsr")


def test_memory_and_files_give_the_same_rows_and_draws(catalogue, directory, m83):
    images, config = catalogue._origin.images, InferenceConfig(draws=32, seed=3)
    places = Table.read(directory / "places.ecsv")
    bands, scale = m83.band_names, m83.pixel_scale_arcsec
    with open_mosaics(images, bands, scale) as mosaics:
        core = measure_catalogue(mosaics, places, config=config, draws=32)
    assert core.colnames == catalogue.colnames
    for name in catalogue.colnames[1:]:
        np.testing.assert_array_equal(core[name], catalogue[name])
    with h5py.File(directory / "draws.h5") as file:
        for row in range(2):
            np.testing.assert_array_equal(core.draws(row), file["draws"][row])


def test_draws_follow_their_row_and_are_made_anew_where_there_are_none(
    catalogue, directory
):
    read = Catalogue.read(
        directory / "catalogue.ecsv",
        images=catalogue._origin.images,
        draws_file=directory / "draws.h5",
    )
    assert read.draws(0).shape == (32, len(PARAMETERS))
    np.testing.assert_array_equal(read[::-1].draws(1), read.draws(0))
    anew = catalogue.draws(0, 32)  # it was made without draws in memory
    # a batch of one, where the catalogue had two
    np.testing.assert_allclose(anew, read.draws(0), atol=1e-4)
    assert catalogue.draws(1, 5).shape == (5, len(PARAMETERS))
    assert len(read.draws(1, 40)) == 40


def test_draws_in_a_file_follow_rows_that_were_sorted_or_chosen(
    catalogue, directory, tmp_path
):
    whole = Catalogue.read(
        directory / "catalogue.ecsv", draws_file=directory / "draws.h5"
    )
    catalogue[::-1].write(tmp_path / "turned.ecsv")
    catalogue[1:].write(tmp_path / "one.ecsv")
    for name in ("turned", "one"):
        read = Catalogue.read(
            tmp_path / f"{name}.ecsv", draws_file=directory / "draws.h5"
        )
        np.testing.assert_array_equal(read.draws(0), whole.draws(1))


def test_draws_of_another_catalogue_are_refused(catalogue, directory, tmp_path):
    other = catalogue[:1].copy()
    other["x"] += 1 * other["x"].unit
    other.write(tmp_path / "other.ecsv")
    with pytest.raises(ValueError, match="none of which are at x, y = "):
        Catalogue.read(tmp_path / "other.ecsv", draws_file=directory / "draws.h5")
    with h5py.File(tmp_path / "old.h5", "w") as file:  # without places
        file["draws"] = np.zeros((2, 32, 4), np.float32)
    with pytest.raises(ValueError, match="catalogue of 1 rows; received 2"):
        Catalogue.read(tmp_path / "other.ecsv", draws_file=tmp_path / "old.h5")
    with pytest.raises(FileNotFoundError, match="no such file of draws"):
        Catalogue.read(tmp_path / "other.ecsv", draws_file=tmp_path / "draws.h5")


def test_a_read_catalogue_is_drawn_on_its_images(catalogue, directory):
    path = directory / "catalogue.ecsv"
    read = Catalogue.read(path, images=catalogue._origin.images)
    assert any("b8" in text.get_text() for text in read.plot(1).texts)
    with pytest.raises(ValueError, match="read without `images` knows no mosaics"):
        Catalogue.read(path).plot(1)


def test_the_old_word_for_the_file_of_draws_still_works(catalogue, directory, tmp_path):
    with pytest.warns(DeprecationWarning, match="now `draws_file`"):
        infer(
            catalogue._origin.images,
            directory / "places.ecsv",
            draws=tmp_path / "draws.h5",
            progress=False,
        )
    assert (tmp_path / "draws.h5").is_file()


def test_open_mosaics_of_other_bands_are_refused(directory, m83, write_band):
    bands = [dataclasses.replace(m83.bands[0], name="F275W"), *m83.bands[1:]]
    paths = [
        write_band(directory / f"other-{band.name}.fits", np.ones((90, 120)), band)
        for band in bands
    ]
    names = [band.name for band in bands]
    places = QTable({"x": [60.2], "y": [40.7]})
    with (
        open_mosaics(paths, names, m83.pixel_scale_arcsec) as mosaics,
        pytest.raises(ValueError, match="received F275W, F438W, F814W"),
    ):
        measure_catalogue(mosaics, places, progress=False)


def test_a_parquet_file_of_another_program_is_no_catalogue(tmp_path):
    parquet.write_table(pa.table({"x": [1.0], "y": [2.0]}), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="it has no column p_cluster"):
        Catalogue.read(tmp_path / "t.parquet")


def test_astropy_s_own_words_for_writing_are_taken(catalogue, tmp_path):
    path = tmp_path / "catalogue.ecsv"
    catalogue.write(path, overwrite=True)
    with pytest.raises(FileExistsError, match="overwrite=True replaces it"):
        catalogue.write(path, overwrite=False)
    catalogue.write(tmp_path / "places.txt", format="ascii", include_names=["x", "y"])
    assert (tmp_path / "places.txt").read_text().startswith("x y\n60.2 40.7\n")


def test_chosen_columns_still_know_their_draws(catalogue, directory):
    path, images = directory / "catalogue.ecsv", catalogue._origin.images
    read = Catalogue.read(path, images=images, draws_file=directory / "draws.h5")
    np.testing.assert_array_equal(read["x", "y"].draws(0), read.draws(0))


def test_a_pickled_catalogue_knows_its_draws_and_paths(catalogue, directory):
    path, images = directory / "catalogue.ecsv", catalogue._origin.images
    read = Catalogue.read(path, images=images, draws_file=directory / "draws.h5")
    again = pickle.loads(pickle.dumps(read))
    assert isinstance(again, Catalogue)
    assert again.meta == read.meta
    assert again["log_age_median"].unit == read["log_age_median"].unit
    np.testing.assert_array_equal(again[1:].draws(0), read.draws(1))
    assert again._origin.images == images
    opened = Catalogue(read, origin=Origin(model=lambda: None))
    assert pickle.loads(pickle.dumps(opened))._origin == Origin()


@pytest.mark.parametrize("n", [0, -3])
def test_a_number_of_draws_that_is_none_is_refused(catalogue, directory, n):
    with pytest.raises(ValueError, match=f"at least 1; received {n}"):
        catalogue.draws(0, n)
    with pytest.raises(ValueError, match="at least 0; received -1"):
        infer(catalogue._origin.images, directory / "places.ecsv", draws=-1)


def test_images_may_come_from_a_generator_and_not_as_one_name(catalogue, directory):
    images, places = catalogue._origin.images, directory / "places.ecsv"
    again = infer((path for path in images), places, draws=4, progress=False)
    assert again.draws(0, 8).shape == (8, len(PARAMETERS))
    with pytest.raises(ValueError, match=r"in a list, one a band; received 'one.fits'"):
        infer("one.fits", places)


def test_a_survey_has_no_share_of_clusters_and_no_area_of_one_field(
    catalogue, tmp_path
):
    for share, field in ((0.1, "east"), (0.2, "west")):
        (tmp_path / f"field={field}").mkdir()
        part = catalogue.copy()
        part.meta["cluster_share"] = {"trained": 0.7, "here": share}
        part.write(tmp_path / f"field={field}" / "part-0.parquet")
    survey = Catalogue.read(tmp_path)
    assert not {"cluster_share", "pixels_with_data"} & set(survey.meta)
    assert survey.meta["model"] == "m83-wfc3-uvis"
