"""Mocks: records follow the schema and can be made again."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from data_tools.imaging.field_spectrum import measure_spectrum
from data_tools.imaging.visibility import visibility
from data_tools.mocks import mock
from data_tools.mocks.mock import MockMaker
from data_tools.priors import Priors
from data_tools.schema import (
    FEATURES,
    FIELD_TRAIT_NAMES,
    KINDS,
    PARAMETERS,
    PIXEL_UNIT_NJY,
    TRAIT_NAMES,
)
from data_tools.target import Target

PRIORS = Priors(field_px=128, cosmic_ray_fraction=0.0, gap_fraction=0.0)
ALONE = {
    "host_fraction": 0.0,
    "young_stars_fraction": 0.0,
    "complex_peak_fraction": 0.0,
}


MAKE_RECORDS = """
import sys
import numpy as np
from data_tools import Priors, Target
from data_tools.mocks import mock
from data_tools.mocks.mock import MockMaker
maker = MockMaker(Target.load("m83-wfc3-uvis"), Priors(field_px=128))
rng = np.random.default_rng(2)
records = list(maker.mocks(maker.make_field(rng), 48, rng, 0, 0))
np.savez(sys.argv[1], **{k: [r[k] for r in records] for k in records[0]})
"""


@pytest.fixture(scope="module")
def target():
    return Target.load("m83-wfc3-uvis")


@pytest.fixture(scope="module")
def maker(target):
    return MockMaker(target, PRIORS)


@pytest.fixture(scope="module")
def field(maker):
    return maker.make_field(np.random.default_rng(11))


@pytest.fixture(scope="module")
def records(maker, field):
    return list(maker.mocks(field, 150, np.random.default_rng(12), 3, 1000))


def test_records_hold_the_features_of_the_schema(records):
    sizes = {"px": 64, "bands": 3}
    for record in records[:5]:
        assert set(record) == {f.name for f in FEATURES} - {"schema_version"}
        for feature in FEATURES:
            if feature.name == "schema_version" or not feature.shape:
                continue
            value = record[feature.name]
            assert value.dtype == feature.dtype
            assert value.shape == tuple(sizes.get(n, n) for n in feature.shape)


def test_parameters_lie_in_the_box_and_are_nan_without_cluster(records, target):
    clusters = [r for r in records if r["is_cluster"]]
    for i, parameter in enumerate(PARAMETERS):
        low, high = target.box[parameter.name]
        values = np.array([r["parameters"][i] for r in clusters])
        assert ((values >= low) & (values <= high)).all()
        assert np.ptp(values) > 0.8 * (high - low)
    assert all(np.isnan(r["parameters"]).all() for r in records if not r["is_cluster"])


def test_shares_of_clusters_and_kinds_are_those_asked_for(records):
    share = np.mean([r["is_cluster"] for r in records])
    assert abs(share - PRIORS.cluster_fraction) < 0.12
    kinds = {KINDS[r["kind"]] for r in records}
    assert {"cluster", "field_peak", "bright_star", "blend"} <= kinds
    assert all((KINDS[r["kind"]] == "cluster") == r["is_cluster"] for r in records)


def test_a_record_says_what_its_field_was_drawn_with(records, field):
    for record in records[:5]:
        traits = dict(zip(FIELD_TRAIT_NAMES, record["field_traits"], strict=True))
        assert traits["sky_pedestal"] == np.float32(field.properties["sky_pedestal"])


def test_clusters_leave_no_pixel_fuller_than_it_can_be(target, field):
    # wells so shallow that many clusters fill them
    shallow = dataclasses.replace(field.observation, full_well=2000.0)
    shallow_field = dataclasses.replace(field, observation=shallow)
    maker = MockMaker(target, dataclasses.replace(PRIORS, neighbour_fraction=1.0))
    rng = np.random.default_rng(3)
    room = 2000 * shallow.exposures * shallow.electron_njy - shallow.sky_njy
    filled = 0
    for record in maker.mocks(shallow_field, 40, rng, 0, 0):
        image = record["background"].astype(float) + record["cluster"]
        excess = (image * PIXEL_UNIT_NJY / room - 1).max()
        before = (record["background"] * float(PIXEL_UNIT_NJY) / room - 1).max()
        # the neighbour has brought its noise, and a record rounds
        assert excess < max(before, 0) + 2e-3
        filled += abs(excess) < 2e-3
    assert filled > 3


def test_some_records_have_cosmic_rays_and_gaps_and_are_the_same_otherwise(
    target, field, records
):
    often = dataclasses.replace(PRIORS, cosmic_ray_fraction=0.4, gap_fraction=0.4)
    maker = MockMaker(target, often)
    rng = np.random.default_rng(12)
    kinds = set()
    made = maker.mocks(field, 60, rng, 3, 1000)
    for record, clean in zip(made, records, strict=False):
        told = dict(zip(FIELD_TRAIT_NAMES, record["field_traits"], strict=True))
        image = record["background"]
        assert np.isnan(image).mean() == pytest.approx(told["missing"], abs=1e-6)
        kinds.add((told["cosmic_rays"] > 0, told["missing"] > 0))
        changed = (image != clean["background"]) & np.isfinite(image)
        assert changed.any() <= (told["cosmic_rays"] > 0)
        assert changed.mean() < 0.01
        for name in ("cluster", "parameters", "log_snr", "background_variance"):
            np.testing.assert_array_equal(record[name], clean[name])
    assert len(kinds) == 4


@pytest.mark.parametrize("faintest", [-9, -5, 0])
def test_light_is_stored_as_numpy_rounds_it(faintest):
    rng = np.random.default_rng(3)
    values = rng.normal(0, 10.0 ** rng.uniform(faintest, 4, (64, 64, 3)))
    special = [0.0, -0.0, np.nan, 2**-14, 2**-24, 2**-25, 3 * 2**-25, -(2**-25)]
    values[0, : len(special), 0] = special
    values = np.clip(values, -65504, 65504).astype(np.float32)
    with np.errstate(under="ignore"):
        expected = values.astype(np.float16)
    found = mock._stored(values * np.float32(PIXEL_UNIT_NJY))
    np.testing.assert_array_equal(found.view(np.uint16), expected.view(np.uint16))


def test_visibility_is_that_of_what_is_stored_on_its_field(records, field):
    spectrum = measure_spectrum(field.image, 64)
    loose = [KINDS.index(kind) for kind in ("cluster", "association")]
    others = [r for r in records if r["kind"] not in loose][:40]
    for record in others:
        light = record["cluster"].astype(np.float32) * PIXEL_UNIT_NJY
        found = visibility(light, spectrum, record["electron_njy"])
        # the steps of float16 are seen in the even light beside a dust lane
        near = 0.05 if KINDS[record["kind"]] == "dust_edge" else 1e-3
        assert np.isclose(record["log_snr"], found, atol=near, equal_nan=True)


def test_clusters_and_backgrounds_are_finite_and_not_the_field_itself(records, field):
    for record in records:
        assert np.isfinite(record["cluster"]).all()
        assert np.isfinite(record["background"]).all()
    one = records[0]["background"].astype(np.float32) * PIXEL_UNIT_NJY
    assert one.std() > 0
    assert all(
        np.isfinite(r["log_snr"]) == (KINDS[r["kind"]] not in ("empty", "field_peak"))
        for r in records
    )


def test_some_records_have_a_neighbour_and_none_where_none_is_asked_for(target, field):
    def changed(fraction):
        priors = dataclasses.replace(PRIORS, neighbour_fraction=fraction, **ALONE)
        maker = MockMaker(target, priors)
        rng = np.random.default_rng(5)
        images = [r["background"] for r in maker.mocks(field, 30, rng, 0, 0)]
        windows = np.lib.stride_tricks.sliding_window_view(
            (field.image[..., 0] / PIXEL_UNIT_NJY).astype(np.float16), 64, axis=1
        )
        rows = {row.tobytes() for row in windows.reshape(-1, 64)}
        return [image[40, :, 0].tobytes() not in rows for image in images]

    assert not any(changed(0.0))
    # a faint one may be lost in a record's rounding
    assert np.mean(changed(1.0)) > 0.9


def test_a_young_cluster_s_host_is_in_its_background_and_named(target, field):
    # the same records with and without: the cluster itself stays, the background gains
    def made(fraction):
        priors = dataclasses.replace(PRIORS, **ALONE | {"host_fraction": fraction})
        return list(
            MockMaker(target, priors).mocks(field, 160, np.random.default_rng(5), 0, 0)
        )

    place = TRAIT_NAMES.index("host_log_mass")
    hosts = 0
    for alone, record in zip(made(0.0), made(1.0), strict=True):
        np.testing.assert_array_equal(alone["parameters"], record["parameters"])
        has_host = np.isfinite(record["traits"][place])
        young = record["is_cluster"] and record["parameters"][0] <= 7.7
        assert has_host == young
        assert np.isnan(alone["traits"][place])
        same = np.array_equal(alone["background"], record["background"])
        if not has_host:
            assert same
        elif record["parameters"][1] < 1 and record["parameters"][2] > 3.5:
            light = record["background"].astype(float) - alone["background"]
            assert light.sum() > 0
            hosts += 1
    assert hosts > 2


def test_unrelated_young_stars_are_near_objects_of_every_kind(target, field):
    def made(fraction):
        priors = dataclasses.replace(
            PRIORS, **ALONE | {"young_stars_fraction": fraction}
        )
        return list(
            MockMaker(target, priors).mocks(field, 60, np.random.default_rng(5), 0, 0)
        )

    pairs = list(zip(made(0.0), made(0.5), strict=True))
    changed = [not np.array_equal(a["background"], b["background"]) for a, b in pairs]
    assert 0.3 < np.mean(changed) < 0.7
    kinds = {a["kind"] for (a, _), other in zip(pairs, changed, strict=True) if other}
    assert len(kinds) > 3
    assert all(
        np.isnan(b["traits"][TRAIT_NAMES.index("host_log_mass")]) for _, b in pairs
    )


def test_cutouts_start_only_where_the_field_allows(maker, field):
    corners = np.array([[3, 5], [40, 20]])
    limited = dataclasses.replace(field, corners=corners, peaks=np.empty((0, 2)))
    allowed = {
        (field.image[r : r + 64, c : c + 64] / PIXEL_UNIT_NJY)
        .astype(np.float16)[32]
        .tobytes()
        for r, c in corners
    }
    alone = MockMaker(
        maker.target, dataclasses.replace(PRIORS, neighbour_fraction=0.0, **ALONE)
    )
    records = alone.mocks(limited, 20, np.random.default_rng(6), 0, 0)
    assert {r["background"][32].tobytes() for r in records} == allowed


@pytest.mark.parametrize("in_complex", [0.0, 1.0])
def test_a_field_peak_is_a_peak_where_the_record_says(target, field, in_complex):
    only = dataclasses.replace(
        PRIORS,
        cluster_fraction=0.0,
        negatives={"field_peak": 1.0},
        complex_peak_fraction=in_complex,
        neighbour_fraction=0,
    )
    records = list(
        MockMaker(target, only).mocks(field, 20, np.random.default_rng(7), 0, 0)
    )
    for record in records:
        assert KINDS[record["kind"]] == "field_peak"
        assert not record["cluster"].any()
    # moved so that the centres agree, the peaks add up in the middle
    moved = [
        shift(r["background"].astype(float).sum(-1), -r["centre"][::-1], order=1)
        for r in records
    ]
    mean = np.median(moved, axis=0)
    # what stands out of its surroundings
    mean = (gaussian_filter(mean, 1) - gaussian_filter(mean, 4))[22:42, 22:42]
    row, column = np.unravel_index(mean.argmax(), mean.shape)
    assert np.hypot(row - 9.5, column - 9.5) < 1.5


def test_complexes_bring_their_light_to_some_peaks_and_leave_the_others(target, field):
    drawn = {}
    for share in (0.0, 0.5):
        only = dataclasses.replace(
            PRIORS,
            cluster_fraction=0.0,
            negatives={"field_peak": 1.0},
            complex_peak_fraction=share,
            neighbour_fraction=0,
        )
        maker = MockMaker(target, only)
        drawn[share] = list(maker.mocks(field, 40, np.random.default_rng(7), 0, 0))
    same = [
        (a["background"] == b["background"]).all()
        for a, b in zip(drawn[0.0], drawn[0.5], strict=True)
    ]
    assert 10 <= sum(same) <= 30
    light = [
        b["background"].astype(float).mean() - a["background"].astype(float).mean()
        for a, b in zip(drawn[0.0], drawn[0.5], strict=True)
    ]
    assert np.mean(light) > 0


def test_a_field_without_known_peaks_has_empty_records_instead(target, field):
    only = dataclasses.replace(
        PRIORS,
        cluster_fraction=0.0,
        negatives={"field_peak": 1.0},
        complex_peak_fraction=0.0,
    )
    bare = dataclasses.replace(field, peaks=np.empty((0, 2)))
    records = MockMaker(target, only).mocks(bare, 3, np.random.default_rng(7), 0, 0)
    assert [KINDS[r["kind"]] for r in records] == ["empty"] * 3


def test_records_are_numbered_and_named_by_field(records):
    assert [r["mock_id"] for r in records] == list(range(1000, 1150))
    assert {r["field_id"] for r in records} == {3}


def test_same_seed_gives_the_same_records(maker, field, records):
    again = list(maker.mocks(field, 20, np.random.default_rng(12), 3, 1000))
    for first, second in zip(records, again, strict=False):
        for key, value in first.items():
            assert np.array_equal(value, second[key], equal_nan=key != "cluster")


def test_neighbours_of_a_small_cutout_leave_it_finite(target):
    small = dataclasses.replace(target, cutout_px=16)
    maker = MockMaker(small, dataclasses.replace(PRIORS, neighbour_fraction=1.0))
    rng = np.random.default_rng(6)
    mocks = maker.mocks(maker.make_field(rng), 100, rng, 0, 0)
    assert all(np.isfinite(mock["background"]).all() for mock in mocks)


def test_another_processor_s_kernels_give_the_same_records_but_for_rounding(
    other_kernels, tmp_path
):
    records = []
    for i, kernels in enumerate([{}, other_kernels]):
        path = tmp_path / f"{i}.npz"
        subprocess.run(
            [sys.executable, "-c", MAKE_RECORDS, str(path)],
            env={**os.environ, **kernels},
            check=True,
        )
        records.append(dict(np.load(path)))
    these, others = records
    for name in ("kind", "is_cluster", "field_id", "mock_id"):
        np.testing.assert_array_equal(these[name], others[name])
    for name in ("parameters", "traits", "field_traits", "log_snr", "centre"):
        np.testing.assert_allclose(these[name], others[name], rtol=2e-5, atol=2e-5)
    # a last digit may round to the next number that a record holds
    for name in ("cluster", "background"):
        first, second = (r[name].astype(float) for r in records)
        step = 2.0**-10 * np.abs(first) + 1e-4 * np.nanstd(first)
        assert np.nanmax(np.abs(first - second) / step) < 1.01
        np.testing.assert_array_equal(np.isnan(first), np.isnan(second))
