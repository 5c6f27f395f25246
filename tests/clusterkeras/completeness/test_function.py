"""The chance that a cluster is found, as a smooth function."""

import numpy as np
import pytest
from astropy.table import QTable

from clusterkeras.completeness.function import (
    FEATURES,
    fit_completeness,
    load_completeness,
    place_feature,
)
from data_tools.running.plain_files import read_json, write_json

LOW = np.array([6.6, 0.0, 2.5, -1.6, -1.0])
HIGH = np.array([10.1, 4.0, 6.0, -0.2, 0.0])
SCATTER = np.array([[-1.0, -0.5, 0.0], [-0.8, -0.4, -0.2]])


def truth(features):
    """Return a known completeness: a magnitude, crowding, and 5 % that stay lost."""
    log_age, a_v, log_mass, log_radius, log_scatter = np.moveaxis(features, -1, 0)
    magnitude = -2.5 * log_mass + 1.5 * (log_age - 6.6) + 0.6 * a_v + log_radius
    return 0.95 / (1 + np.exp(1.5 * (magnitude + 7 + 2 * log_scatter)))


def injections(n, seed):
    rng = np.random.default_rng(seed)
    features = rng.uniform(LOW, HIGH, (n, len(LOW)))
    recovered = rng.random(n) < truth(features)
    return features, {"recovered": recovered, "detected": rng.random(n) < 0.9}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    directory = tmp_path_factory.mktemp("completeness")
    features, outcomes = injections(1500, 1)
    path = directory / "completeness.json"
    checks = fit_completeness(features, outcomes, SCATTER, 64, path, {"seed": 1})
    return directory, checks


def test_the_function_is_near_a_known_truth(fitted):
    features, _ = injections(2000, 2)
    error = load_completeness(fitted[0]).predict(features) - truth(features)
    assert abs(error.mean()) < 0.02
    assert np.sqrt(np.square(error).mean()) < 0.06


def test_held_out_injections_say_that_it_is_calibrated(fitted):
    for check in fitted[1].values():
        assert check["n"] == 300
        for part in check["bins"]:
            # a bin of 60: 0.065 at most, four of them
            assert part["predicted"] == pytest.approx(part["share"], abs=0.26)
        assert check["predicted"] == pytest.approx(check["share"], abs=0.09)
    assert fitted[1]["recovered"]["log_loss"] < fitted[1]["recovered"]["constant"] / 2


def test_what_nothing_changes_is_near_its_share_everywhere(fitted):
    features, _ = injections(500, 3)
    assert (
        np.abs(load_completeness(fitted[0], "detected").predict(features) - 0.9).max()
        < 0.1
    )


def test_catalogue_columns_and_places_are_understood(fitted):
    function = load_completeness(fitted[0])
    rows = np.array([[7.0, 0.5, 4.0, -1.0, -0.5], [8.0, 1.0, 5.0, -0.8, -0.2]])
    expected = function.predict(rows)
    table = QTable({f"{n}_median": rows[:, i] for i, n in enumerate(FEATURES[:4])})
    table["x"], table["y"] = [100.0, 500.0], [-3.0, 70.0]
    np.testing.assert_allclose(function(table), expected)
    one = dict(zip(FEATURES, rows[0], strict=True))
    assert function(one) == pytest.approx(expected[0])
    table["x"][1] = np.nan
    assert np.isnan(function(table)[1])


def test_beyond_the_injections_it_is_what_it_is_at_their_end(fitted):
    function = load_completeness(fitted[0])
    rows = np.stack([HIGH, HIGH + 1])
    assert function.predict(rows)[0] == function.predict(rows)[1]


def test_a_place_takes_the_box_it_is_in():
    x, y = [0, 63.4, 63.6, 900, np.nan], [0, 0, 63.6, -4, 1]
    found = place_feature(x, y, SCATTER, 64)
    np.testing.assert_array_equal(found, [-1.0, -1.0, -0.4, 0.0, np.nan])


def test_where_all_are_found_the_function_is_a_constant(tmp_path):
    features, _ = injections(50, 4)
    every = dict.fromkeys(("recovered", "detected"), np.ones(50, bool))
    fit_completeness(features, every, SCATTER, 64, tmp_path / "completeness.json", {})
    assert load_completeness(tmp_path).predict(features) == pytest.approx(50.5 / 51)


def test_missing_columns_are_named(fitted):
    with pytest.raises(ValueError, match="log_mass, x and y missing among"):
        load_completeness(fitted[0])(
            {"log_age": 7, "a_v": 1, "log_half_light_radius": -1}
        )


def test_files_that_hold_no_function_are_refused(tmp_path, fitted):
    with pytest.raises(FileNotFoundError, match="`clusterkeras completeness` writes"):
        load_completeness(tmp_path)
    (tmp_path / "completeness.json").write_text("{}")
    with pytest.raises(ValueError, match="expected a completeness function of version"):
        load_completeness(tmp_path)
    with pytest.raises(ValueError, match="outcome: expected one of"):
        load_completeness(fitted[0], "seen")


@pytest.mark.parametrize("key", ["outcomes", "low", "high", "scatter", "step_px"])
@pytest.mark.parametrize("value", [None, "x", [], {}, [["x"]], 1e300, -1, 5 * [[0.5]]])
def test_a_function_of_wrong_types_or_shapes_names_its_file(
    tmp_path, fitted, key, value
):
    values = read_json(fitted[0] / "completeness.json")
    write_json(tmp_path / "completeness.json", {**values, key: value})
    if key == "scatter" and value == 5 * [[0.5]]:  # a map of another size is one
        return
    with pytest.raises(ValueError, match=r"completeness\.json: .*damaged"):
        load_completeness(tmp_path)
