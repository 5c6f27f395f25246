"""Positions and mosaics in, a catalogue of posteriors out."""

import dataclasses

import astropy.units as u
import keras
import numpy as np
import pytest
from astropy.table import QTable, Table

from clusterkeras.catalogue.infer import infer
from clusterkeras.config import InferenceConfig, ModelConfig
from clusterkeras.detection.candidates import detect
from clusterkeras.network import presence
from clusterkeras.network.model import ClusterModel
from clusterkeras.network.presence import at_share
from data_tools.schema import (
    FLAGS,
    KINDS,
    PARAMETER_NAMES,
    PARAMETERS,
    stellar_model_columns,
)

SHAPE = (90, 120)
PX = 16
BIT = {name: bit for name, (bit, _) in FLAGS.items()}

#: x, y and the flags that the image decides: good, at the edge, over a hole in one
#: band, on the hole, beside a saturated pixel, off the mosaic, unknown, good again.
PLACES = (
    (60.2, 70.6, 0),
    (3.0, 40.0, BIT["edge"] | BIT["missing"]),
    (35.0, 20.0, BIT["missing"]),
    (25.0, 20.0, BIT["missing"] | BIT["no_data"]),
    (95.0, 22.0, BIT["saturated"]),
    (-500.0, 40.0, BIT["edge"] | BIT["missing"] | BIT["no_data"]),
    (np.nan, 40.0, BIT["edge"] | BIT["missing"] | BIT["no_data"]),
    (60.2, 30.6, 0),
)
IMAGE_BITS = sum(BIT[k] for k in ("edge", "missing", "saturated", "no_data"))


@pytest.fixture(scope="module", autouse=True)
def no_empty_places():
    """Weigh kinds as they are: an untrained network knows nothing from a cluster."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(presence, "EMPTY_PLACES", 0.0)
        yield


@pytest.fixture(scope="module")
def model(m83):
    keras.utils.set_random_seed(7)
    target = dataclasses.replace(m83, cutout_px=PX)
    config = ModelConfig("resnet_small", "mixture", components=2, hidden=16)
    model = ClusterModel(target, config)
    # an untrained posterior is the prior everywhere; this one depends on the image
    head = model.heads["posterior"]
    head.kernel.assign(3 * head.kernel)
    return model


@pytest.fixture(scope="module")
def images(tmp_path_factory, m83, write_band):
    rng = np.random.default_rng(8)
    directory = tmp_path_factory.mktemp("mosaics")
    paths = []
    for i, band in enumerate(m83.bands):
        rate = 0.1 + 0.02 * rng.standard_normal(SHAPE)
        rate[70:72, 59:62] += 5
        if i == 1:
            rate[5:35, 15:30] = np.nan
        if i == 2:
            rate[25, 98] = 70_000 * band.n_exposures / band.exposure_s
        paths.append(write_band(directory / f"{band.name}.fits", rate, band))
    return paths


@pytest.fixture(scope="module")
def positions(tmp_path_factory):
    path = tmp_path_factory.mktemp("positions") / "positions.ecsv"
    x, y, _ = np.transpose(PLACES)
    name = [f"object {i}" for i in range(len(x))]
    Table({"name": name, "X": x, "Y": y, "flags": name}).write(path)
    return path


@pytest.fixture(scope="module")
def run(images, model, tmp_path_factory):
    """Return a function that infers with small batches and returns table and file."""
    directory = tmp_path_factory.mktemp("catalogues")

    def run(positions, output="catalogue.ecsv", preview=None, **settings):
        # the training set's own shares, so that a row's numbers are its own
        shares = {"cluster_share": model.cluster_share}
        shares["other_shares"] = dict(model.negatives)
        default = {"batch_size": 3, **shares}
        config = InferenceConfig(**{**default, **settings})
        output = directory / output
        table = infer(images, positions, output, model, config, preview, progress=False)
        return table, output

    return run


@pytest.fixture(scope="module")
def catalogue(run, positions):
    return run(positions)[0]


def write(path, **columns):
    Table(columns).write(path, overwrite=True)
    return path


def test_no_row_is_dropped_and_the_order_is_kept(catalogue):
    assert list(catalogue["name"]) == [f"object {i}" for i in range(len(PLACES))]
    x, y, _ = np.transpose(PLACES)
    np.testing.assert_array_equal(catalogue["x"].value, x)
    np.testing.assert_array_equal(catalogue["y"].value, y)


@pytest.mark.parametrize("row", range(len(PLACES)))
def test_what_the_image_says_is_flagged(catalogue, row):
    assert catalogue["flags"][row] & IMAGE_BITS == PLACES[row][2]


def test_rows_without_data_have_no_posterior_and_others_do(catalogue):
    no_data = (catalogue["flags"] & BIT["no_data"]) > 0
    for name in ("p_cluster", "log_snr", "log_age_median", "cov_log_age_a_v"):
        values = catalogue[name]
        np.testing.assert_array_equal(
            np.isnan(getattr(values, "value", values)), no_data
        )


def test_the_covered_share_is_reported(catalogue):
    # the cutout of the second row begins 4 pixels left of the mosaic
    expected = [1, 1 - 4 / PX, None, None, 1, 0, 0, 1]
    for value, wanted in zip(catalogue["covered"], expected, strict=True):
        assert wanted is None or value == pytest.approx(wanted)
    assert 0 < catalogue["covered"][3] < catalogue["covered"][2] < 1


def test_every_column_of_the_contract_has_unit_and_description(catalogue):
    for parameter in PARAMETERS:
        for key in ("median", "p16", "p84", "mean"):
            column = catalogue[f"{parameter.name}_{key}"]
            assert column.unit == u.Unit(parameter.unit)
            assert parameter.description in column.info.description
    assert catalogue["log_age_std"].unit == u.dex
    assert catalogue["a_v_std"].unit == u.mag
    assert catalogue["cov_log_age_a_v"].unit == u.dex * u.mag
    assert catalogue["cov_log_mass_log_half_light_radius"].unit == u.dex**2
    assert len([n for n in catalogue.colnames if n.startswith("cov_")]) == 6
    results = catalogue.colnames[catalogue.colnames.index("x") :]
    assert all(catalogue[name].info.description for name in results)


def test_percentiles_are_ordered_and_inside_the_box(catalogue, model):
    for name in PARAMETER_NAMES:
        columns = [catalogue[f"{name}_{k}"].value for k in ("p16", "median", "p84")]
        good = np.isfinite(columns[0])
        low, high = model.target.box[name]
        assert (columns[0] < columns[1])[good].all()
        assert (columns[1] < columns[2])[good].all()
        assert columns[0][good].min() > low
        assert columns[2][good].max() < high


def test_numbers_are_those_of_the_model(catalogue, model, images):
    from data_tools.mosaics.mosaic import open_mosaics

    target = model.target
    with open_mosaics(images, target.band_names, target.pixel_scale_arcsec) as mosaics:
        image = mosaics.cutout(*PLACES[0][:2], PX).image
        exposure = mosaics.exposure(*PLACES[0][:2])
    summary = model.summarise({"images": image[None], "exposure_s": exposure})
    row = catalogue[0]
    assert row["p_cluster"] == pytest.approx(float(summary["p_cluster"][0]), abs=1e-5)
    assert row["log_snr"].value == pytest.approx(float(summary["log_snr"][0]), abs=1e-5)
    deviation = np.sqrt(np.diag(summary["covariance"][0]))
    names = {"median": "median", "p16": "lower", "p84": "upper", "mean": "mean"}
    for i, name in enumerate(PARAMETER_NAMES):
        for key, of_model in names.items():
            value = float(summary[of_model][0, i])
            assert row[f"{name}_{key}"].value == pytest.approx(value, abs=1e-4)
        assert row[f"{name}_std"].value == pytest.approx(deviation[i], rel=1e-3)


def test_given_columns_are_kept_and_renamed_where_they_clash(catalogue):
    assert list(catalogue["input_flags"]) == list(catalogue["name"])
    assert catalogue.colnames[:2] == ["name", "X"]
    assert "input_x" not in catalogue.colnames


def test_metadata_say_what_made_the_catalogue(catalogue, m83):
    meta = catalogue.meta
    assert meta["model"] == "cluster_model"
    assert meta["target"]["name"] == m83.name
    assert meta["images"] == ["F336W.fits", "F438W.fits", "F814W.fits"]
    # but for the hole in one band
    assert meta["pixels_with_data"] == np.prod(SHAPE) - 30 * 15
    # zero point = -2.5 log10 PHOTFLAM - 5 log10 PHOTPLAM - 2.408
    assert meta["zero_points_ab"]["F438W"] == pytest.approx(24.824, abs=1e-3)
    assert len(meta["configuration_hash"]) == 16
    assert {"tensorflow", "keras", "clusterkeras", "schema_version"} <= set(meta)


def test_a_row_depends_on_its_place_alone(run, catalogue, tmp_path):
    x, y = np.transpose(PLACES)[:2, [7, 4, 0]]
    table, _ = run(write(tmp_path / "few.ecsv", x=x, y=y), "few.ecsv", batch_size=2)
    for name in ("p_cluster", "log_age_median", "cov_a_v_log_mass"):
        few, all_rows = (
            np.asarray(t[name].data if name == "p_cluster" else t[name].value)
            for t in (table, catalogue)
        )
        np.testing.assert_allclose(few, all_rows[[7, 4, 0]], rtol=2e-4, atol=1e-5)


def test_presence_is_under_the_share_of_clusters_asked_for(
    run, catalogue, positions, model
):
    rare, _ = run(positions, "rare.ecsv", cluster_share=0.01)
    estimated, _ = run(positions, "estimated.ecsv", cluster_share=None)
    trained = np.asarray(catalogue["p_cluster"])
    for table in (rare, estimated):
        shares = table.meta["cluster_share"]
        assert shares["trained"] == model.cluster_share
        of_all = table.meta["kind_shares"]
        assert of_all["here"]["cluster"] == shares["here"]
        assert sum(of_all["here"].values()) == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(list(of_all["trained"].values()), model.kind_shares)
        expected = at_share(trained, shares["trained"], shares["here"])
        np.testing.assert_allclose(np.asarray(table["p_cluster"]), expected, rtol=1e-3)
    assert rare.meta["cluster_share"]["here"] == 0.01
    assert 0 < estimated.meta["cluster_share"]["here"] < 1


def test_the_likeliest_other_kind_stands_in_the_catalogue(catalogue):
    no_data = (catalogue["flags"] & BIT["no_data"]) > 0
    kinds, p = (
        np.asarray(catalogue["other_kind"]),
        np.asarray(catalogue["p_other_kind"]),
    )
    assert set(kinds[~no_data]) <= set(KINDS[1:])
    assert set(kinds[no_data]) == {""}
    np.testing.assert_array_equal(np.isnan(p), no_data)
    others = 1 - np.asarray(catalogue["p_cluster"])
    assert (p[~no_data] <= others[~no_data] + 1e-6).all()
    assert (p[~no_data] >= others[~no_data] / 8 - 1e-6).all()


def test_of_two_rows_on_one_cluster_one_is_an_overlap(run, tmp_path):
    x, y = np.transpose(PLACES)[:2, [0, 0]] + [[0.0, 1.0], [0.0, 0.0]]
    both = write(tmp_path / "both.ecsv", x=x, y=y)
    sure, _ = run(both, "both.ecsv", cluster_share=0.999)
    unsure, _ = run(both, "unsure.ecsv", cluster_share=0.001)
    assert ((sure["flags"] & BIT["overlap"]) > 0).sum() == 1
    assert not (unsure["flags"] & BIT["overlap"]).any()


def test_sky_positions_and_pixels_from_one_give_the_same_rows(run, catalogue, tmp_path):
    good = [0, 1, 2, 4, 7]
    sky = write(
        tmp_path / "sky.fits",
        RA=catalogue["ra"].value[good],
        Dec=catalogue["dec"].value[good],
    )
    one = write(
        tmp_path / "one.csv",
        x=catalogue["x"].value[good] + 1,
        y=catalogue["y"].value[good] + 1,
    )
    for table in (run(sky, "sky.ecsv")[0], run(one, "one.ecsv", origin=1)[0]):
        np.testing.assert_allclose(
            table["x"].value, catalogue["x"].value[good], atol=1e-6
        )
        np.testing.assert_allclose(
            table["a_v_median"].value, catalogue["a_v_median"].value[good], atol=1e-4
        )


def test_a_row_whose_positions_disagree_has_a_flag_and_a_remark(
    run, catalogue, tmp_path
):
    x = np.array(catalogue["x"].value)
    x[0] += 20
    table = write(
        *(tmp_path / "mixed.csv",),
        **{"x": x, "y": catalogue["y"].value},
        **{"ra": catalogue["ra"].value, "dec": catalogue["dec"].value},
    )
    found, _ = run(table, "mixed.ecsv")
    np.testing.assert_array_equal(
        (found["flags"] & BIT["position"]) > 0, np.arange(len(PLACES)) == 0
    )
    assert found["x"].value[0] == pytest.approx(PLACES[0][0], abs=1e-4)


@pytest.mark.parametrize("suffix", [".fits", ".vot", ".parquet"])
def test_a_catalogue_can_be_read_and_inferred_again(run, positions, suffix):
    from data_tools.positions.read_positions import read_positions

    table, path = run(positions, f"again{suffix}")
    read = read_positions(path)
    assert len(read) == len(PLACES)
    again, _ = run(path, "again.ecsv")
    for name in ("x", "p_cluster", "flags"):
        values = (
            np.asarray(getattr(t[name], "value", t[name])) for t in (table, again)
        )
        np.testing.assert_allclose(*values, atol=1e-6)


def test_candidates_of_detect_are_read(run, images, model, tmp_path):
    candidates = detect(images, tmp_path / "c.ecsv", model, progress=False)
    assert len(candidates) >= 1
    table, _ = run(tmp_path / "c.ecsv", "detected.ecsv")
    np.testing.assert_array_equal(table["snr"], candidates["snr"])
    assert not [name for name in table.colnames if name.startswith("input_")]


def test_an_empty_table_gives_an_empty_catalogue(run, tmp_path):
    table, path = run(write(tmp_path / "none.ecsv", x=[], y=[]), "none.ecsv")
    assert len(table) == len(QTable.read(path)) == 0
    assert "log_mass_p84" in table.colnames


def test_a_preview_is_drawn_if_asked(run, positions, tmp_path):
    run(positions, "with_preview.ecsv", preview=tmp_path / "preview.png")
    assert (tmp_path / "preview.png").stat().st_size > 10_000


def test_an_unknown_output_is_refused_before_the_work(run, positions):
    with pytest.raises(ValueError, match=r"name of a table to end in .ecsv or"):
        run(positions, "catalogue.doc")
    with pytest.raises(ValueError, match=r"name of a preview to end in .png"):
        run(positions, preview="preview.gif")


def test_a_table_without_positions_names_itself(run, tmp_path):
    path = write(tmp_path / "bad.csv", a=[1], b=[2])
    with pytest.raises(ValueError, match=r"bad.csv: expected the columns x and y"):
        run(path)


def test_a_model_of_other_bands_is_refused(images, positions, model, tmp_path):
    with pytest.raises(ValueError, match="in this order"):
        infer(images[::-1], positions, tmp_path / "out.ecsv", model, progress=False)


def test_a_model_is_loaded_by_its_path(images, positions, model, tmp_path, catalogue):
    model.save(tmp_path / "mine.keras")
    table = infer(
        images,
        positions,
        tmp_path / "out.ecsv",
        tmp_path / "mine.keras",
        InferenceConfig(),
        progress=False,
    )
    assert table.meta["model"].endswith("mine.keras")
    np.testing.assert_allclose(
        table["log_age_mean"].value, catalogue["log_age_mean"].value, atol=1e-4
    )


WIDTHS = (2.3, 2.2, 2.1)


def test_what_the_network_was_told_stands_in_the_metadata(catalogue, run, positions):
    told = catalogue.meta["context"]
    assert told["psf_fwhm_px"] == dict.fromkeys(["F336W", "F438W", "F814W"])
    assert told["psf_stars"] == dict.fromkeys(["F336W", "F438W", "F814W"], 0)
    assert told["stellar_model"] == "any"
    assert all(exposure > 0 for exposure in told["exposure_s"].values())
    given, _ = run(positions, "given.ecsv", psf_fwhm_px=WIDTHS, stellar_model="SSE")
    told = given.meta["context"]
    assert list(told["psf_fwhm_px"].values()) == list(WIDTHS)
    assert told["psf_stars"] is None
    assert told["stellar_model"] == "SSE"
    good = np.isfinite(np.asarray(given["p_cluster"]))
    assert not np.any(
        given["log_age_mean"].value[good] == catalogue["log_age_mean"].value[good]
    )


def test_a_row_is_looked_at_again_in_the_same_context(images, positions, model):
    config = InferenceConfig(psf_fwhm_px=WIDTHS, stellar_model="SSE", draws=16)
    made = infer(images, positions, None, model, config, draws=16, progress=False)
    kept, bare = made.draws(0), made.copy()
    bare._origin = dataclasses.replace(made._origin, draws=None)
    np.testing.assert_allclose(bare.draws(0, 16), kept, atol=1e-4)


def test_batches_of_other_widths_are_of_another_run(model, images):
    from clusterkeras.catalogue.asking.settings import InferenceSettings
    from clusterkeras.catalogue.finished_batches import describe_run
    from data_tools.mosaics.mosaic import opened

    settings = InferenceSettings.of(model, InferenceConfig())
    told = dataclasses.replace(
        settings, config=dataclasses.replace(settings.config, psf_fwhm_px=WIDTHS)
    )
    with opened(images, model.target) as mosaics:
        place = (np.zeros(1), np.zeros(1))
        runs = [describe_run(s, model, mosaics, *place, 0) for s in (settings, told)]
    differ = [key for key in runs[0] if runs[0][key] != runs[1][key]]
    assert differ == ["psf_fwhm_px"]


@pytest.mark.parametrize(("told", "warned"), [("SSE", True), ("MIST", False)])
def test_who_names_a_model_without_old_clusters_is_warned(
    run, positions, caplog, told, warned
):
    run(positions, f"told_{told}.ecsv", stellar_model=told)
    assert ("above log age 9" in caplog.text) == warned


@pytest.mark.parametrize("suffix", [".ecsv", ".fits", ".vot", ".parquet", ".csv"])
def test_ages_by_stellar_model_are_in_every_format(run, positions, suffix):
    from clusterkeras.catalogue.read import Catalogue

    table, path = run(positions, f"models{suffix}", by_stellar_model=True)
    names = [c.name for c in stellar_model_columns()]
    assert table.colnames[-len(names) :] == names
    again = Catalogue.read(path)
    for name in names:
        np.testing.assert_allclose(again.numbers(name), table.numbers(name), rtol=1e-6)
        assert again[name].unit == table[name].unit
        assert again[name].info.description == table[name].info.description
