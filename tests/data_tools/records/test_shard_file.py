"""A shard: the bytes TensorFlow would write, whole or not there, damage named."""

import subprocess
import sys

import numpy as np
import pytest

from data_tools.records import shard_file
from data_tools.records.shard_file import (
    check_shard,
    read_shard,
    serialise,
    write_shard,
)
from data_tools.schema import FEATURES, SCHEMA_VERSION

PX, BANDS = 64, 3


def example(number):
    """Return a record of random features in the schema's types and shapes."""
    rng = np.random.default_rng(number)
    return {
        f.name: rng.uniform(0, 100, f.sizes(PX, BANDS)).astype(f.dtype)
        for f in FEATURES
        if f.name != "schema_version"
    }


@pytest.fixture(scope="module")
def examples():
    return [example(i) for i in range(4)]


@pytest.fixture
def shard(tmp_path, examples):
    """Return a shard that a test may spoil."""
    write_shard(tmp_path / "shard", examples)
    return tmp_path / "shard"


def spoil(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(bytes(data))


def test_a_record_read_back_is_the_example(shard, examples):
    for before, after in zip(examples, read_shard(shard), strict=True):
        assert after.pop("schema_version") == [SCHEMA_VERSION]
        assert set(after) == set(before)
        for name, value in before.items():
            assert after[name].dtype == value.dtype, name
            np.testing.assert_array_equal(after[name], np.ravel(value), err_msg=name)


def test_the_bytes_are_those_that_tensorflow_writes(tmp_path, shard, examples):
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for values in examples:
            record = tf.train.Example()
            for f in FEATURES:
                entry = record.features.feature[f.name]
                if f.name == "schema_version":
                    entry.int64_list.value.append(SCHEMA_VERSION)
                elif f.dtype == "float16":
                    entry.bytes_list.value.append(values[f.name].tobytes())
                elif f.dtype == "float32":
                    entry.float_list.value.extend(values[f.name].ravel())
                else:
                    entry.int64_list.value.extend(values[f.name].ravel())
            writer.write(record.SerializeToString(deterministic=True))
    assert shard.read_bytes() == (tmp_path / "theirs").read_bytes()


def test_shards_are_written_without_tensorflow():
    code = "import data_tools.records.shards, sys; print('tensorflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_the_same_example_gives_the_same_bytes(examples):
    assert serialise(examples[0]) == serialise(dict(reversed(examples[0].items())))


def test_what_is_written_is_what_a_check_finds(tmp_path, examples):
    entry = write_shard(tmp_path / "shard", iter(examples))
    assert entry.records == 4
    assert entry.size == (tmp_path / "shard").stat().st_size
    assert check_shard(tmp_path / "shard") == entry


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"colour": 1.0}, r"missing \[\], unknown \['colour'\]"),
        ({"centre": np.zeros(3)}, r"centre must have shape \(2,\); received \(3,\)"),
        ({"background": np.zeros((8, 8, 3))}, r"background must have shape \(64, 64"),
        ({"cluster": np.zeros((PX, PX, 3))}, "finite float16 .*; received float64"),
        ({"cluster": np.full((PX, PX, 3), np.inf, np.float16)}, "finite.* inf"),
        ({"cluster": np.full((PX, PX, 3), np.nan, np.float16)}, "finite.* nan"),
        ({"background": np.full((PX, PX, 3), np.inf, np.float16)}, "finite.* inf"),
    ],
)
def test_a_bad_example_is_refused_by_name(values, message):
    with pytest.raises(ValueError, match=f"^example: .*{message}"):
        serialise({**example(0), **values})


def test_an_example_without_a_feature_is_refused():
    values = example(0)
    del values["centre"]
    with pytest.raises(ValueError, match=r"missing \['centre'\]"):
        serialise(values)


def test_a_shard_that_is_not_whole_does_not_appear(tmp_path, examples):
    def stopped():
        yield examples[0]
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_shard(tmp_path / "shard", stopped())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", [3, 10, 20_000, -1])
def test_a_damaged_byte_is_named_with_its_record(shard, place):
    size = shard.stat().st_size // 4
    spoil(shard, 2 * size + place)
    number = 1 if place < 0 else 2
    for read in (check_shard, lambda path: list(read_shard(path))):
        with pytest.raises(ValueError, match=f"^{shard}: record {number} is cut or"):
            read(shard)


@pytest.mark.parametrize("rest", [1, 11, 12, 30_000])
def test_a_file_that_ends_within_a_record_is_named(shard, rest):
    data = shard.read_bytes()
    shard.write_bytes(data[: len(data) // 4 * 3 + rest])
    with pytest.raises(ValueError, match=f"^{shard}: record 3 is cut or damaged"):
        check_shard(shard)


def test_a_record_of_something_else_is_named(shard):
    shard.write_bytes(shard.read_bytes() + shard_file.framed(b"no such message"))
    assert check_shard(shard).records == 5
    with pytest.raises(ValueError, match=f"^{shard}: record 4 is no tf.train.Example"):
        list(read_shard(shard))


def test_a_record_of_another_schema_version_is_named(shard, examples, monkeypatch):
    monkeypatch.setattr(shard_file, "SCHEMA_VERSION", 1)
    write_shard(shard, examples)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=f"^{shard}: record 0 is of schema version 1;"):
        next(read_shard(shard))
