"""Mock sets: complete, disjoint, the same bytes however they came to be."""

import contextlib
import dataclasses
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from data_tools.fields.mosaic_field import Backgrounds
from data_tools.records.finished_set import read_set
from data_tools.records.plan import MockSet
from data_tools.records.shard_file import read_shard
from data_tools.records.simulate import disk_size, simulate
from data_tools.running.plain_files import read_json, write_json

MOCKS = MockSet(n_train=40, n_validation=10, n_test=8, shard_size=16)


def content(directory):
    """Return the bytes of every file by name."""
    return {p.name: p.read_bytes() for p in Path(directory).iterdir()}


def stored(directory, split, name):
    """Return one feature of every record of a split."""
    shards = read_set(directory).shards[split]
    return np.concatenate([r[name] for path, _ in shards for r in read_shard(path)])


@pytest.fixture
def copy_set(small_set, tmp_path):
    """Return a copy of the small set that a test may spoil."""
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


def damage(path):
    """Change a byte in the middle of a file and give its time of change."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    return path.stat().st_mtime_ns


def unlist(directory, name):
    """Take a shard out of the manifest, as a kill after its writing does."""
    manifest = read_json(directory / "manifest.json")
    del manifest["shards"][name]
    write_json(directory / "manifest.json", manifest)


def test_a_shard_that_a_kill_kept_off_the_manifest_is_kept(
    small_set, copy_set, m83, small_priors
):
    path = copy_set / "mocks-train.tfrecord-00001-of-00003"
    unlist(copy_set, path.name)
    made = path.stat().st_mtime_ns
    simulate(copy_set, m83, small_priors, MOCKS, workers=1, progress=False)
    assert path.stat().st_mtime_ns == made
    assert content(copy_set) == content(small_set)


@pytest.mark.parametrize(
    "other", ["damaged", "mocks-train.tfrecord-00000-of-00003", "short"]
)
def test_a_shard_that_is_not_listed_and_not_whole_or_another_is_made_again(
    small_set, copy_set, m83, small_priors, other
):
    path = copy_set / "mocks-train.tfrecord-00001-of-00003"
    unlist(copy_set, path.name)
    if other == "damaged":
        damage(path)
    elif other == "short":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        path.write_bytes((copy_set / other).read_bytes())
    simulate(copy_set, m83, small_priors, MOCKS, workers=1, progress=False)
    assert content(copy_set) == content(small_set)


def test_damage_that_keeps_the_size_is_found_and_mended_on_demand(
    small_set, copy_set, m83, small_priors
):
    path = copy_set / "mocks-validation.tfrecord-00000-of-00001"
    damaged = damage(path)
    kept = {p: p.stat().st_mtime_ns for p in copy_set.glob("*train.tfrecord-*")}
    simulate(copy_set, m83, small_priors, MOCKS, workers=1, progress=False)
    assert path.stat().st_mtime_ns == damaged
    simulate(copy_set, m83, small_priors, MOCKS, workers=1, progress=False, verify=True)
    assert content(copy_set) == content(small_set)
    assert all(p.stat().st_mtime_ns == made for p, made in kept.items())


SCRIPT = """
import json, resource, signal, sys
from data_tools.priors import Priors
from data_tools.records.plan import MockSet
from data_tools.records.simulate import simulate
from data_tools.target import Target

output, mocks, workers, largest_file = sys.argv[1:]
if int(largest_file):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest_file),) * 2)
if __name__ == "__main__":
    # a suite that was started in the background ignores it, and its children too
    signal.signal(signal.SIGINT, signal.default_int_handler)
    priors = Priors(field_px=128, mocks_per_field=8)
    mocks = MockSet(**json.loads(mocks))
    target = Target.load("m83-wfc3-uvis")
    try:
        simulate(output, target, priors, mocks, int(workers), progress=False)
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}")
"""


@pytest.fixture
def start(tmp_path):
    """Return a function that begins a run in a process, which ends with the test."""
    with contextlib.ExitStack() as stack:

        def begin(output, mocks=MOCKS, workers=1, largest_file=0, **keywords):
            plain = json.dumps(dataclasses.asdict(mocks))
            process = subprocess.Popen(
                [sys.executable, "-c", SCRIPT]
                + [str(a) for a in (output, plain, workers, largest_file)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stderr=subprocess.PIPE,
                text=True,
                **keywords,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield begin


def running(pid):
    """Say whether a process runs: not gone, and not waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, process, seconds=120):
    """Wait while a run goes on; its end is told with what it said."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def begun(output):
    """Say whether a run has begun to write a shard there."""
    return output.exists() and any(".tfrecord-" in p.name for p in output.iterdir())


MANY = MockSet(n_train=400, n_validation=40, n_test=40, shard_size=20)


@pytest.mark.slow
def test_kills_at_random_moments_leave_the_bytes_of_a_run_without(
    tmp_path, m83, small_priors, start
):
    expected = simulate(
        tmp_path / "never", m83, small_priors, MANY, workers=2, progress=False
    )
    output = tmp_path / "killed"

    def whole():
        return len(list(output.glob("*.tfrecord-?????-of-?????")))

    moments = random.Random(3)
    finished = []
    for _ in range(3):
        process = start(output, MANY, workers=2)
        # at a random moment while it starts, or some shards and moments later
        enough = whole() + moments.choice([1, 2, 3])
        wait_for(lambda enough=enough: whole() >= enough, process)
        time.sleep(moments.uniform(0, 0.1))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        finished.append(whole())
    assert finished == sorted(finished)
    assert 1 < finished[-1] < 24
    with pytest.raises(FileNotFoundError, match=r"missing|no manifest"):
        read_set(output)
    simulate(output, m83, small_priors, MANY, workers=2, progress=False)
    assert content(output) == content(expected)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_workers_end_with_a_killed_parent(tmp_path, start):
    output = tmp_path / "killed"
    process = start(output, MANY, workers=2)
    wait_for(lambda: begun(output), process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers = children.read_text().split()
    process.kill()
    assert len(workers) >= 2
    end = time.monotonic() + 60
    while any(running(pid) for pid in workers):
        assert time.monotonic() < end, "a worker outlives its parent"
        time.sleep(0.01)


def test_an_interrupt_ends_a_run_soon_and_leaves_nothing_half_written(tmp_path, start):
    output = tmp_path / "interrupted"
    process = start(output, MANY, workers=2)
    wait_for(lambda: begun(output), process)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert error.rstrip().endswith("KeyboardInterrupt")
    assert not list(output.glob("*.partial"))


def test_a_second_run_in_a_directory_is_refused_at_once_and_harms_nothing(
    small_set, tmp_path, m83, small_priors, start
):
    output = tmp_path / "set"
    first = start(output)
    wait_for(lambda: begun(output), first)
    with pytest.raises(BlockingIOError, match=f"{output}: another process is writing"):
        simulate(output, m83, small_priors, MOCKS, workers=1, progress=False)
    assert first.wait() == 0
    assert content(output) == content(small_set)


def test_a_full_disk_names_the_file_and_leaves_a_set_that_can_go_on(
    small_set, tmp_path, m83, small_priors, start
):
    # shards of 8 and 10 records are written, those of 16 are too large
    output = tmp_path / "full"
    process = start(output, largest_file=600_000)
    _, error = process.communicate()
    assert process.returncode == 1
    assert re.search(
        r"mocks-train\.tfrecord-0000[01]-of-00003: File too large while writing it\. "
        "Make room, then run the same again: files that are finished are kept",
        error,
    ), error
    assert not list(output.glob("*.partial"))
    sizes = {p.name: p.stat().st_size for p in output.glob("*.tfrecord-*")}
    whole = {p.name: p.stat().st_size for p in small_set.glob("*.tfrecord-*")}
    assert sizes.items() <= whole.items()
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


@pytest.fixture
def mosaics(tmp_path, small_target, write_band):
    """Return a mosaic of 400 px of noise in each band of the small target."""
    rates = np.random.default_rng(1).normal(0.1, 0.01, (2, 400, 400))
    return [
        str(write_band(tmp_path / f"{band.name}.fits", rate, band))
        for rate, band in zip(rates, small_target.bands, strict=True)
    ]


def test_a_set_on_real_mosaics_has_the_same_bytes_and_each_split_its_own_sky(
    tmp_path, small_target, small_priors, mosaics
):
    backgrounds = Backgrounds(
        tuple(mosaics),
        tile_px=112,
        guard_px=32,
        shares={"train": 1, "validation": 1, "test": 1},
    )
    mocks = MockSet(n_train=48, n_validation=16, n_test=16, shard_size=16)
    sets = [
        simulate(
            tmp_path / str(workers),
            small_target,
            small_priors,
            mocks,
            workers=workers,
            progress=False,
            backgrounds=backgrounds,
        )
        for workers in (1, 2)
    ]
    assert content(sets[0]) == content(sets[1])
    configuration = read_set(sets[0]).configuration
    assert configuration["backgrounds"]["tile_px"] == 112
    for path in mosaics:
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        assert configuration["tables"][path] == digest
    # noise: where a pixel's value is, the sky is the same
    seen = {
        split: stored(sets[0], split, "background").reshape(-1, 2 * 16 * 16)
        for split in ("train", "validation", "test")
    }
    corners = {split: {tuple(b[:8]) for b in values} for split, values in seen.items()}
    assert not corners["train"] & (corners["validation"] | corners["test"])


def test_a_mosaic_that_has_changed_makes_another_set(
    tmp_path, small_target, small_priors, mosaics
):
    def make():
        return simulate(
            tmp_path / "set",
            small_target,
            small_priors,
            MockSet(n_train=8, n_validation=0, n_test=0),
            workers=1,
            progress=False,
            backgrounds=Backgrounds(
                tuple(mosaics), tile_px=112, guard_px=32, shares={"train": 1}
            ),
        )

    make()
    with fits.open(mosaics[1], mode="update") as hdus:
        hdus[0].data[7, 7] += 1
    with pytest.raises(ValueError, match=rf"tables\.{mosaics[1]}: '[0-9a-f]+' there"):
        make()


def test_another_seed_gives_other_mocks(small_set, tmp_path, m83, small_priors):
    mocks = dataclasses.replace(MOCKS, n_train=8, n_validation=0, n_test=0, seed=1)
    simulate(tmp_path / "one", m83, small_priors, mocks, workers=1, progress=False)
    assert read_set(tmp_path / "one").splits == {"train": 8}
    other = stored(tmp_path / "one", "train", "background_variance")
    assert not np.isin(other, stored(small_set, "train", "background_variance")).any()


def test_a_directory_of_something_else_is_left_alone(tmp_path, m83, small_priors):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match=r"an empty directory.*holds thesis\.tex"):
        simulate(tmp_path, m83, small_priors, MOCKS)
    (tmp_path / "target.yaml").write_text("a target")
    with pytest.raises(FileExistsError, match=r"target\.yaml: a target of its own is"):
        simulate(tmp_path, m83, small_priors, MOCKS, overwrite=True)
    assert content(tmp_path) == {
        "thesis.tex": b"years of work",
        "target.yaml": b"a target",
    }


@pytest.mark.parametrize("shard_size", [2048, 10**9])
def test_a_disk_without_room_is_said_before_anything_is_planned_or_written(
    tmp_path, m83, small_priors, shard_size
):
    mocks = MockSet(n_train=10**12, shard_size=shard_size)
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
    ("arguments", "message"),
    [
        ({"workers": -1}, "workers must be a whole number >= 0, .*; received -1"),
        ({"workers": 10**6}, "workers must be .* cores here.*; received 1000000"),
        ({"runner": "flink"}, r"runner must be one of .*'beam'.*; received 'flink'"),
        (
            {"runner_options": ["--runner=X"]},
            r"expected runner 'beam' beside \['--runner=X'\]; received 'local'",
        ),
    ],
)
def test_a_bad_argument_is_refused(tmp_path, m83, small_priors, arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate(tmp_path / "set", m83, small_priors, MOCKS, **arguments)
    assert not (tmp_path / "set").exists()
