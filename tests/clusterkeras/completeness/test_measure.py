"""Which clusters are found on a user's own mosaics."""

import dataclasses

import keras
import numpy as np
import pytest
from astropy.table import QTable
from scipy.spatial.distance import pdist

from clusterkeras.completeness import measure
from clusterkeras.completeness.injection_rounds import InjectionRounds
from clusterkeras.completeness.measure import load_completeness, measure_completeness
from clusterkeras.config import CompletenessConfig, InferenceConfig, ModelConfig
from clusterkeras.network.model import ClusterModel
from data_tools.mocks.mock_mosaic import MosaicConfig, make_mosaic
from data_tools.preparation.psf_width import as_wide
from data_tools.priors import Priors
from data_tools.running.work_directory import alone

CONFIG = CompletenessConfig(n=10, spacing_px=60, seed=3)
#: The share at which `model` is sure of some of what is found.
INFERENCE = InferenceConfig(cluster_share=0.7)


@pytest.fixture(scope="module")
def model(small_target):
    """Return a network that has learned nothing, but tells cutouts apart."""
    keras.utils.set_random_seed(1)
    config = ModelConfig("resnet_tiny", "mixture", components=2, hidden=8, kinds=False)
    model = ClusterModel(small_target, config)
    presence = model.heads["presence"]
    presence.kernel.assign(100 * presence.kernel)
    presence.bias.assign(presence.bias + 1.0)
    return model


@pytest.fixture(scope="module")
def images(model, tmp_path_factory):
    directory = tmp_path_factory.mktemp("mosaic")
    config = MosaicConfig(size_px=256, n=3, edge_px=8)
    make_mosaic(model.target, Priors(), config, directory)
    return [directory / f"{band}.fits" for band in model.target.band_names]


@pytest.fixture(scope="module")
def measured(model, images, tmp_path_factory):
    """Return the directory of a measurement and what it returned."""
    output = tmp_path_factory.mktemp("completeness")
    result = measure_completeness(
        images, output, model, CONFIG, inference=INFERENCE, progress=False
    )
    return output, result


def run(model, images, output, config=CONFIG, **options):
    options = {"inference": INFERENCE, "progress": False, **options}
    return measure_completeness(images, output, model, config, **options)


def test_each_injected_cluster_has_a_row_of_truth_and_of_what_was_found(
    measured, model
):
    output, result = measured
    table = QTable.read(output / "injected.ecsv")
    assert len(table) == result["n"] >= CONFIG.n
    for name, (low, high) in model.target.box.items():
        assert np.all((table[name] >= low) & (table[name] <= high))
    seen = np.asarray(table["detected"])
    assert np.all(seen >= table["recovered"])
    assert 0 < table["recovered"].sum() < seen.sum()
    np.testing.assert_array_equal(np.isfinite(table["p_cluster"]), seen)
    np.testing.assert_array_equal(np.isfinite(table["log_mass_median"]), seen)
    radius = 10 ** table["log_half_light_radius"] / model.target.pixel_scale_arcsec
    reach = np.where(table["recovered"], np.maximum(radius, CONFIG.match_px), 4.0)
    assert np.all(table["distance"][seen] <= reach[seen])
    assert np.all(table["p_cluster"][table["recovered"]] >= CONFIG.p_cluster)
    # what shines is found, what nobody could see is not
    assert table["detected"][table["log_snr"] > 2].mean() > 0.7
    assert table["detected"][table["log_snr"] < 0].mean() <= 0.5
    assert all(table[name].info.description for name in table.colnames)


def test_clusters_of_one_round_keep_their_distance(measured):
    table = QTable.read(measured[0] / "injected.ecsv")
    assert len(np.unique(table["round"])) > 1
    for number in np.unique(table["round"]):
        rows = table["round"] == number
        places = np.column_stack([table["x"][rows], table["y"][rows]])
        assert len(places) == 1 or pdist(places).min() >= CONFIG.spacing_px


def test_function_and_picture_are_beside_the_table(measured):
    output, result = measured
    assert (output / "completeness.png").read_bytes().startswith(b"\x89PNG")
    table = QTable.read(output / "injected.ecsv")
    p = load_completeness(output)(table)
    assert np.all((p > 0) & (p < 1))
    assert p.mean() == pytest.approx(result["recovered"], abs=0.1)
    assert load_completeness(output, "detected")(table).mean() > p.mean() - 0.1


def test_what_was_interrupted_goes_on_to_the_same_end(
    measured, model, images, tmp_path, monkeypatch
):
    output = tmp_path / "interrupted"
    made = InjectionRounds.make

    def killed_in_the_second(rounds, number):
        if number == 1:
            raise KeyboardInterrupt
        return made(rounds, number)

    monkeypatch.setattr(InjectionRounds, "make", killed_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        run(model, images, output)
    assert [p.name for p in sorted((output / "rounds").iterdir())] == ["0000.ecsv"]
    first = (output / "rounds" / "0000.ecsv").stat().st_mtime_ns
    # and what a kill leaves
    (output / "rounds" / ".0001.ecsv.1f.partial.ecsv").touch()
    (output / "infer-0123456789abcdef.part").mkdir()
    monkeypatch.undo()
    run(model, images, output)
    for directory in (".", "rounds"):
        names = {p.name for p in (output / directory).iterdir()}
        assert names == {p.name for p in (measured[0] / directory).iterdir()}
    assert (output / "rounds" / "0000.ecsv").stat().st_mtime_ns == first
    one, other = (QTable.read(d / "injected.ecsv") for d in (output, measured[0]))
    for name in one.colnames:
        np.testing.assert_array_equal(one[name], other[name])


def test_more_clusters_are_added_to_those_that_are_there(measured, model, images):
    output, result = measured
    before = QTable.read(output / "injected.ecsv")
    more = dataclasses.replace(CONFIG, n=result["n"] + 1)
    assert run(model, images, output, more)["n"] > result["n"]
    after = QTable.read(output / "injected.ecsv")
    np.testing.assert_array_equal(after["x"][: len(before)], before["x"])


def test_the_share_of_clusters_is_that_of_the_users_catalogue(
    measured, model, images, tmp_path
):
    catalogue = QTable.read(measured[0] / "catalogue.ecsv")
    catalogue.meta["cluster_share"]["here"] = 0.05
    catalogue.write(tmp_path / "own.ecsv")
    one = CompletenessConfig(n=1, spacing_px=60, seed=3)
    result = run(
        *(model, images, tmp_path / "rare", one),
        catalogue=tmp_path / "own.ecsv",
    )
    assert result["cluster_share"] == 0.05
    rare = QTable.read(tmp_path / "rare" / "rounds" / "0000.ecsv")
    usual = QTable.read(measured[0] / "rounds" / "0000.ecsv")
    seen = np.asarray(rare["detected"] & usual["detected"])
    # fewer rows of the catalogue count as clusters, so places may differ
    same = seen[: len(usual)] & np.isclose(rare["x"], usual["x"])
    assert same.any()
    odds = [t["p_cluster"][same] / (1 - t["p_cluster"][same]) for t in (rare, usual)]
    expected = (0.05 / 0.95) / (0.7 / 0.3)
    np.testing.assert_allclose(odds[0] / odds[1], expected, rtol=1e-3)


def test_a_catalogue_without_its_share_is_refused(measured, model, images, tmp_path):
    catalogue = QTable.read(measured[0] / "catalogue.ecsv")
    catalogue.meta.clear()
    catalogue.write(tmp_path / "own.ecsv")
    with pytest.raises(ValueError, match=r"state cluster_share \(not .csv\)"):
        run(
            *(model, images, tmp_path / "new"),
            catalogue=tmp_path / "own.ecsv",
            inference=InferenceConfig(),
        )


def test_other_settings_in_the_same_directory_are_refused(measured, model, images):
    other = dataclasses.replace(CONFIG, seed=4)
    with pytest.raises(ValueError, match=r"other settings \(completeness\.seed: 3 t"):
        run(model, images, measured[0], other)


def test_rounds_of_a_version_that_counted_otherwise_are_not_gone_on_with(
    measured, model, images, monkeypatch
):
    monkeypatch.setattr(measure, "_RECOVERED", "the nearest row")
    with pytest.raises(ValueError, match=r"other settings \(counted\.recovered: 'rows"):
        run(model, images, measured[0])


def test_injected_clusters_are_seen_through_a_psf_of_the_mosaics_width(
    model, images, tmp_path, monkeypatch
):
    class GivenError(Exception):
        pass

    def injector(target, priors, mosaics):
        raise GivenError(priors)

    monkeypatch.setattr(measure, "Injector", injector)
    widths = (2.6,) * len(images)
    inference = dataclasses.replace(INFERENCE, psf_fwhm_px=widths)
    with pytest.raises(GivenError) as raised:
        run(model, images, tmp_path, inference=inference)
    (priors,) = raised.value.args
    assert priors == as_wide(Priors(), model.target, widths) != Priors()


def test_another_process_in_the_same_directory_is_refused(model, images, tmp_path):
    with (
        alone(tmp_path),
        pytest.raises(BlockingIOError, match="another process is writing here"),
    ):
        run(model, images, tmp_path)


def test_input_that_is_refused_leaves_nothing(model, images, tmp_path):
    output = tmp_path / "new" / "out"
    (tmp_path / "positions.csv").write_text("x,y\n1,2\n")
    for given, catalogue, error, match in [
        (["none.fits"] * 2, None, FileNotFoundError, "none.fits: no such mosaic"),
        (images[:1], None, ValueError, "expected 2 mosaics"),
        (images, "none.ecsv", FileNotFoundError, "none.ecsv"),
        (images, "positions.csv", ValueError, r"no column p_cluster, .*\. Leave"),
    ]:
        catalogue = catalogue and tmp_path / catalogue
        with pytest.raises(error, match=match):
            run(model, given, output, catalogue=catalogue)
    assert [path.name for path in tmp_path.iterdir()] == ["positions.csv"]
