"""Shards: what a plan says of them, and each made alone."""

import dataclasses

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from data_tools.priors import Priors
from data_tools.records.finished_set import read_manifest
from data_tools.records.plan import MockSet, Plan, mocks_per_field
from data_tools.records.shards import ShardMaker

MOCKS = MockSet(n_train=40, n_validation=10, n_test=8, shard_size=16)


@pytest.fixture(scope="module")
def plan(m83, small_priors):
    """Return the plan of `small_set`."""
    return Plan(m83, small_priors, MOCKS)


@pytest.fixture(scope="module")
def maker(plan):
    return ShardMaker(plan)


def test_a_plan_numbers_mocks_and_fields_through_the_whole_set(plan):
    rows = [(s.split, s.records, s.first_mock, s.first_field) for s in plan.shards]
    assert rows == [
        ("train", 16, 0, 0),
        ("train", 16, 16, 2),
        ("train", 8, 32, 4),
        ("validation", 10, 40, 5),
        ("test", 8, 50, 7),
    ]
    assert plan.shards[1].name == "mocks-train.tfrecord-00001-of-00003"


def test_any_shard_made_alone_has_the_bytes_of_the_set(
    plan, maker, small_set, tmp_path
):
    entries = read_manifest(small_set).shards
    for shard in reversed(plan.shards):
        assert maker.make(shard, tmp_path) == entries[shard.name]
        made, there = tmp_path / shard.name, small_set / shard.name
        assert made.read_bytes() == there.read_bytes()


def test_a_shard_that_is_there_and_whole_is_not_made_again(plan, maker, tmp_path):
    shard = plan.shards[-1]
    directory = tmp_path / "made" / "for it"
    entry = maker.make(shard, directory)
    made = (directory / shard.name).stat().st_mtime_ns
    assert maker.make(shard, directory) == maker.make(shard, directory, entry) == entry
    assert (directory / shard.name).stat().st_mtime_ns == made


def test_a_shard_that_is_not_what_the_manifest_says_is_refused(plan, maker, tmp_path):
    shard = plan.shards[-1]
    entry = dataclasses.replace(maker.make(shard, tmp_path), sha256="0" * 64)
    with pytest.raises(ValueError, match=f"{shard.name}: made again, it is not what"):
        maker.make(shard, tmp_path, entry)
    assert not list(tmp_path.iterdir())


def test_a_configuration_has_the_names_of_the_sets_that_lie_on_disks(plan):
    stated = plan.configuration["mocks"]
    assert list(stated) == ["n", "n_validation", "n_test", "shard_size", "seed", "name"]
    assert list(stated.values()) == [40, 10, 8, 16, 0, "mocks"]


@pytest.mark.parametrize("changed", ["priors", "mocks", "target"])
def test_every_part_of_a_plan_changes_the_draws(plan, changed):
    other = {
        "priors": dataclasses.replace(plan.priors, king_fraction=0.3),
        "mocks": dataclasses.replace(plan.mocks, seed=1),
        "target": dataclasses.replace(plan.target, feh=0.1),
    }
    assert dataclasses.replace(plan, **{changed: other[changed]}).entropy != (
        plan.entropy
    )


def test_draws_depend_on_what_is_in_a_named_file_and_not_on_its_place(
    tmp_path, m83, small_priors
):
    def entropy(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        target = dataclasses.replace(m83, psf={"F336W": str(path)})
        return Plan(target, small_priors, MOCKS).entropy

    assert entropy("here", b"psf") == entropy("there", b"psf")
    assert entropy("here", b"psf") != entropy("here", b"another psf")


def test_fields_draw_differently(plan, maker):
    mocks = [m for shard in plan.shards for m in maker.mocks(shard)]
    variances = {m["field_id"]: m["background_variance"].tobytes() for m in mocks}
    assert sorted(variances) == list(range(8))
    assert len(set(variances.values())) == 8
    np.testing.assert_array_equal([m["mock_id"] for m in mocks], range(58))


def test_the_default_set_has_shards_of_one_size():
    plan = Plan(None, Priors(), MockSet())
    assert len(plan.shards) == 98 + 4 + 5
    assert sum(s.records for s in plan.shards) == 218_000
    fields = [s.first_field for s in plan.shards]
    assert np.diff(fields).tolist()[:97] == [4] * 97


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_train": 0}, "n_train must be a whole number >= 1, .*; received 0"),
        ({"n_train": 1e5}, "n_train must be a whole number >= 1, .*; received 1000"),
        ({"n_validation": -1}, "n_validation must be a whole number >= 0"),
        ({"n_test": -1}, "n_test must be a whole number >= 0"),
        ({"shard_size": 0}, "shard_size must be a whole number >= 1"),
        ({"seed": -3}, "seed must be a whole number >= 0, .*; received -3"),
        ({"name": "My-Mocks"}, "name must be small letters.*; received 'My-Mocks'"),
    ],
)
def test_a_bad_size_or_name_is_refused(values, message):
    with pytest.raises(ValueError, match=f"^mocks: {message}"):
        MockSet(**values)


def test_a_shard_is_made_in_one_thread(plan, maker, tmp_path):
    # more of them change the last bits of matrix products
    def watched(mocks):
        for mock in mocks:
            threads.update(pool["num_threads"] for pool in threadpool_info())
            yield mock

    threads = set()
    shard = plan.shards[-1]
    with threadpool_limits(2):
        maker.make(shard, tmp_path, mocks=watched(maker.mocks(shard)))
    assert threads == {1}


def test_how_well_the_distance_is_known_changes_no_mock(plan, m83):
    unknown = dataclasses.replace(m83, distance_uncertainty_mpc=None)
    assert dataclasses.replace(plan, target=unknown).entropy == plan.entropy


def test_more_files_than_a_manifest_can_name_are_refused(m83):
    plan = Plan(m83, Priors(), MockSet(n_train=10**12))
    with pytest.raises(ValueError, match=r"488,281,259 files\. Ask for fewer"):
        _ = plan.shards


@pytest.mark.parametrize(
    ("records", "a_field", "fields"),
    [
        (16_384, 64, 256),
        (10_000, 39, 259),
        (8192, 32, 256),
        # too few for so many fields of 32
        (4000, 32, 125),
        (300, 32, 10),
        # never more a field than in training
        (1_000_000, 512, 1954),
    ],
)
def test_a_set_to_judge_by_has_256_fields_and_training_s_are_as_they_were(
    records, a_field, fields
):
    assert mocks_per_field(512, records) == a_field
    mocks = MockSet(n_train=4096, n_validation=0, n_test=records)
    plan = Plan(None, Priors(), mocks)
    assert plan.mocks_per_field("test") == a_field
    assert plan.mocks_per_field("train") == 512
    train = [s.first_field for s in plan.shards if s.split == "train"]
    tested = [s for s in plan.shards if s.split == "test"]
    last = tested[-1]
    end = last.first_field + -(-last.records // a_field)
    assert train == [0, 4]
    assert (tested[0].first_field, end - tested[0].first_field) == (8, fields)


def test_records_of_a_test_split_are_of_as_many_fields_as_planned(m83):
    priors = Priors(field_px=128, mocks_per_field=64)
    mocks = MockSet(n_train=64, n_validation=0, n_test=70)
    plan = Plan(m83, priors, mocks)
    maker = ShardMaker(plan)
    train, tested = ([m["field_id"] for m in maker.mocks(s)] for s in plan.shards)
    assert train == [0] * 64
    assert tested == [1] * 32 + [2] * 32 + [3] * 6
