"""Mock sets: complete, disjoint, the same bytes however they came to be."""

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from data_tools.manifest import read_json, write_json
from data_tools.records import read_set, read_shard
from data_tools.simulate import MockSet, disk_size, simulate

MOCKS = MockSet(n=40, n_validation=10, n_test=8, shard_size=16)


def content(directory):
    """Give the bytes of every file by name."""
    return {p.name: p.read_bytes() for p in Path(directory).iterdir()}


def stored(directory, split, name):
    """Give one feature of every record of a split."""
    shards = read_set(directory).shards[split]
    return np.concatenate([r[name] for path, _ in shards for r in read_shard(path)])


@pytest.fixture
def copy_set(small_set, tmp_path):
    """Give a copy of the small set that a test may spoil."""
    for name, data in content(small_set).items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def test_a_set_has_the_records_asked_for_numbered_through(small_set):
    numbers = [stored(small_set, s, "mock_id") for s in ("train", "validation", "test")]
    assert [len(n) for n in numbers] == [40, 10, 8]
    np.testing.assert_array_equal(np.concatenate(numbers), range(58))


def test_shards_and_splits_share_no_field(small_set):
    fields = [
        set(stored(small_set, split, "field_id"))
        for split in ("train", "validation", "test")
    ]
    # 8 mocks a field: 2 + 2 + 1 fields for shards of 16, 16 and 8, and so on
    assert [len(f) for f in fields] == [5, 2, 1]
    assert len(set.union(*fields)) == 8


def test_no_two_mocks_are_alike(small_set):
    cluster = [stored(small_set, s, "parameters") for s in ("train", "test")]
    ages = np.concatenate(cluster).reshape(-1, 4)[:, 0]
    ages = ages[np.isfinite(ages)]
    assert len(np.unique(ages)) == len(ages) > 20


def test_the_bytes_do_not_depend_on_the_number_of_workers(
    small_set, tmp_path, m83, small_priors
):
    other = simulate(tmp_path / "two", m83, small_priors, MOCKS, workers=2)
    assert content(other) == content(small_set)


def test_a_missing_shard_is_made_again_alone_bit_for_bit(
    small_set, copy_set, m83, small_priors, capfd
):
    lost = copy_set / "mocks-train.tfrecord-00001-of-00003"
    lost.unlink()
    kept = {p: p.stat().st_mtime_ns for p in copy_set.glob("*.tfrecord-*")}
    simulate(copy_set, m83, small_priors, MOCKS, workers=1)
    assert content(copy_set) == content(small_set)
    assert all(p.stat().st_mtime_ns == made for p, made in kept.items())
    assert "58/58" in capfd.readouterr().err


def test_a_shard_that_comes_out_differently_is_refused_and_not_kept(
    copy_set, m83, small_priors
):
    name = "mocks-test.tfrecord-00000-of-00001"
    manifest = read_json(copy_set / "manifest.json")
    manifest["shards"][name]["sha256"] = "0" * 64
    write_json(copy_set / "manifest.json", manifest)
    (copy_set / name).unlink()
    with pytest.raises(ValueError, match=f"{name}: made again, it is not what"):
        simulate(copy_set, m83, small_priors, MOCKS, workers=1, progress=False)
    assert not (copy_set / name).exists()


SCRIPT = """
import sys
from data_tools.priors import Priors
from data_tools.simulate import MockSet, simulate
from data_tools.target import Target

priors = Priors(field_px=128, mocks_per_field=8)
mocks = MockSet(n=40, n_validation=10, n_test=8, shard_size=16)
simulate(sys.argv[1], Target.load("m83-wfc3-uvis"), priors, mocks, workers=1)
"""


def running(pid):
    """Say whether a process runs: not gone, and not waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_run_killed_with_sigkill_goes_on_to_the_same_bytes(
    small_set, tmp_path, m83, small_priors
):
    output = tmp_path / "killed"
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(output)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.DEVNULL,
    ) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        begun = (output / "manifest.json").exists
        try:
            wait_for(lambda: process.poll() is not None or begun())
            workers = children.read_text().split()
        finally:
            process.kill()
    assert workers
    wait_for(lambda: not any(running(pid) for pid in workers))

    made = read_json(output / "manifest.json")["shards"]
    assert 1 <= len(made) < 5
    with pytest.raises(FileNotFoundError, match="are missing"):
        read_set(output)
    simulate(output, m83, small_priors, MOCKS, workers=1, progress=False)
    assert content(output) == content(small_set)


def test_another_configuration_is_refused_with_what_differs(
    copy_set, m83, small_priors
):
    before = content(copy_set)
    mocks = dataclasses.replace(MOCKS, seed=1)
    priors = dataclasses.replace(small_priors, eff_eta=(1.2, 2.0))
    with pytest.raises(ValueError) as caught:
        simulate(copy_set, m83, priors, mocks, workers=1)
    message = str(caught.value)
    assert "priors.eff_eta: [1.2, 3.0] there, [1.2, 2.0] now" in message
    assert "mocks.seed: 0 there, 1 now" in message
    assert content(copy_set) == before


def test_another_seed_gives_other_mocks(small_set, tmp_path, m83, small_priors):
    mocks = dataclasses.replace(MOCKS, n=8, n_validation=0, n_test=0, seed=1)
    simulate(tmp_path / "one", m83, small_priors, mocks, workers=1, progress=False)
    assert read_set(tmp_path / "one").splits == {"train": 8}
    other = stored(tmp_path / "one", "train", "background_variance")
    assert not np.isin(other, stored(small_set, "train", "background_variance")).any()


def test_a_directory_of_something_else_is_left_alone(tmp_path, m83, small_priors):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="neither an empty directory nor a mock set"):
        simulate(tmp_path, m83, small_priors, MOCKS)
    assert content(tmp_path) == {"thesis.tex": b"years of work"}


def test_a_disk_without_room_is_said_before_anything_is_written(
    tmp_path, m83, small_priors
):
    mocks = MockSet(n=10**12, shard_size=10**11)
    with pytest.raises(OSError, match=r"need 4\.\d+e\+07 GB, the disk has"):
        simulate(tmp_path / "huge", m83, small_priors, mocks)
    assert not (tmp_path / "huge").exists()


def test_a_bad_psf_is_said_before_anything_is_written(tmp_path, m83, small_priors):
    target = dataclasses.replace(m83, psf={"F336W": str(tmp_path / "none.fits")})
    with pytest.raises(FileNotFoundError, match=r"none\.fits"):
        simulate(tmp_path / "set", target, small_priors, MOCKS)
    assert not (tmp_path / "set").exists()


def test_the_size_on_disk_is_known_beforehand(small_set, m83):
    size = sum(p.stat().st_size for p in small_set.glob("*.tfrecord-*"))
    assert disk_size(m83, MOCKS) == pytest.approx(size, rel=0.001)
    # issue 2's set of 200,000 with validation and test
    assert disk_size(m83, MockSet()) == pytest.approx(10.8e9, rel=0.01)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n": 0}, "n must be a whole number >= 1; received 0"),
        ({"n": 1e5}, "n must be a whole number >= 1; received 100000.0"),
        ({"n_validation": -1}, "n_validation must be a whole number >= 0"),
        ({"n_test": -1}, "n_test must be a whole number >= 0"),
        ({"shard_size": 0}, "shard_size must be a whole number >= 1"),
        ({"seed": -3}, "seed must be a whole number >= 0; received -3"),
        ({"name": "My-Mocks"}, "name must be small letters.*; received 'My-Mocks'"),
    ],
)
def test_a_bad_size_or_name_is_refused(values, message):
    with pytest.raises(ValueError, match=f"^mocks: {message}"):
        MockSet(**values)


def test_a_negative_number_of_workers_is_refused(tmp_path, m83, small_priors):
    with pytest.raises(ValueError, match="workers must be >= 0"):
        simulate(tmp_path, m83, small_priors, MOCKS, workers=-1)
