import dataclasses
import json

import numpy as np
import pytest

from clusterkeras.evaluation.shifts.kinds import UserFiles
from clusterkeras.evaluation.shifts.measure import measure_shifts
from data_tools.fields.mosaic_field import Backgrounds
from data_tools.priors import Priors
from data_tools.schema import PARAMETER_NAMES

PRIORS = Priors(field_px=128, mocks_per_field=16)
ONLY = ("king", "zero_points", "blank", "isochrones", "real_background")


@pytest.fixture(scope="module")
def given(small_target, write_band, tmp_path_factory):
    """Return mosaics of empty sky in the two bands of the small target."""
    rng = np.random.default_rng(0)
    directory = tmp_path_factory.mktemp("mosaics")
    images = [
        write_band(directory / f"{b.name}.fits", rng.normal(0, 0.01, (300, 300)), b)
        for b in small_target.bands
    ]
    return UserFiles(Backgrounds(tuple(images), tile_px=128, guard_px=16))


@pytest.fixture(scope="module")
def measure(finished_run, given, tmp_path_factory):
    """Return a function that measures shifts of a small model, and the directory."""
    output = tmp_path_factory.mktemp("shifts") / "out"

    def measure(priors=PRIORS, only=ONLY, **options):
        options = {"n": 48, "draws": 16, "workers": 1, "batch_size": 16} | options
        return measure_shifts(finished_run, output, priors, given, only=only, **options)

    return measure, output


@pytest.fixture(scope="module")
def report(measure):
    return measure[0]()


@pytest.fixture
def rows(report):
    return {row["name"]: row for row in report["shifts"]}


def test_every_shift_that_can_be_made_has_a_row(report, rows):
    assert list(rows) == ["nominal", "zero_points", "king", "real_background", "blank"]
    assert [r["name"] for r in report["left_out"]] == ["isochrones"]
    for name in ("nominal", "king", "zero_points", "real_background"):
        assert rows[name]["n_clusters"] == rows["nominal"]["n_clusters"] > 20
        assert list(rows[name]["coverage_68"]) == list(PARAMETER_NAMES)
        assert 0 <= rows[name]["presence_auc"] <= 1
    assert "nll" not in rows["blank"]


def test_differences_are_between_the_same_clusters(rows):
    assert rows["nominal"]["delta_nll"] == 0
    for name in ("king", "zero_points", "real_background"):
        assert rows[name]["paired"]
        assert rows[name]["delta_nll"] != 0
        gap = rows[name]["nll"] - rows["nominal"]["nll"]
        assert rows[name]["delta_nll"] == pytest.approx(gap, abs=1e-6)


def test_blank_images_are_flagged_and_mocks_are_not(tmp_path):
    # by the model that ships: one of a few steps takes most mocks for strange
    report = measure_shifts(
        "m83-wfc3-uvis", tmp_path, PRIORS, n=48, only=["blank"], draws=16, workers=1
    )
    flagged = {row["name"]: row["flagged"] for row in report["shifts"]}
    assert flagged["blank"] == 1
    assert flagged["nominal"] < 0.1


def test_a_set_has_as_many_fields_as_a_test_split_of_its_size(tmp_path, finished_run):
    many = dataclasses.replace(PRIORS, mocks_per_field=512)
    measure_shifts(
        finished_run, tmp_path, many, n=65, only=["blank"], draws=16, workers=1
    )
    fields = np.load(tmp_path / "scores" / "nominal.npz")["field_id"]
    assert np.bincount(fields).tolist() == [32, 32, 1]


def test_table_json_and_picture_are_written(report, measure):
    output = measure[1]
    assert json.loads((output / "shifts.json").read_text()) == report
    lines = (output / "shifts.md").read_text().splitlines()
    assert len([line for line in lines if line.startswith("| ")]) == 2 + 5
    assert "- isochrones of the file that was given: no isochrones" in lines[-1]
    assert (output / "shifts.png").stat().st_size > 10_000


def test_what_was_measured_is_not_measured_again(report, measure):
    again, output = measure
    scores = output / "scores" / "king.npz"
    before = scores.stat().st_mtime_ns
    (output / "scores" / "blank.npz").unlink()
    assert again()["shifts"] == report["shifts"]
    assert scores.stat().st_mtime_ns == before
    assert (output / "scores" / "blank.npz").is_file()


def test_the_shifts_of_something_else_are_refused(report, measure):
    with pytest.raises(ValueError, match=r"other settings \(n: 48 there, 20 now\)"):
        measure[0](n=20)
    other = dataclasses.replace(PRIORS, king_fraction=0.5)
    with pytest.raises(ValueError, match=r"priors\.king_fraction: 0.2 there, 0.5 now"):
        measure[0](priors=other)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"draws": 8}, "draws must be >= 16; received 8"),
        ({"n": 2}, "n must be >= 16; received 2"),
        ({"batch_size": 0}, "batch_size must be >= 1; received 0"),
        ({"seed": -1}, "seed must be a whole number >= 0, .*received -1"),
        ({"workers": -1}, "workers must be a whole number >= 0.*received -1"),
        ({"only": ["queen"]}, r"expected names among .*received \['queen'\]"),
    ],
)
def test_what_is_out_of_range_leaves_nothing(options, match, finished_run, tmp_path):
    with pytest.raises(ValueError, match=match):
        measure_shifts(finished_run, tmp_path / "out", PRIORS, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        (UserFiles(Backgrounds(("a", "b"))), FileNotFoundError, "a: no such mosaic"),
        (
            UserFiles(Backgrounds(("a",))),
            ValueError,
            "expected 2 mosaics, one per band",
        ),
        (UserFiles(isochrones="none.dat"), FileNotFoundError, "none.dat: no such file"),
    ],
)
def test_the_user_s_files_are_tried_before_the_work(
    given, error, match, finished_run, tmp_path
):
    with pytest.raises(error, match=match):
        measure_shifts(finished_run, tmp_path / "out", PRIORS, given, n=16)
    assert list(tmp_path.iterdir()) == []


def test_scores_that_are_damaged_are_named(report, measure):
    again, output = measure
    kept = output / "scores" / "king.npz"
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-40])
    with pytest.raises(ValueError, match=r"king\.npz: .*damaged. Remove it and run"):
        again()
    kept.write_bytes(whole)
