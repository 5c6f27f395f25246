"""A finished set: whole, or what is wrong with it and in which file."""

import json
import shutil
import struct

import numpy as np
import pytest
import yaml

from data_tools.records import shard_file
from data_tools.records.dataset import make_dataset
from data_tools.records.finished_set import read_set
from data_tools.records.shard_file import read_shard, write_shard
from data_tools.schema import FEATURES, SCHEMA_VERSION


@pytest.fixture
def own_set(tmp_path, small_set):
    """Return a set that a test may spoil."""
    return shutil.copytree(small_set, tmp_path / "own")


def first_shard(directory):
    return directory / "mocks-train.tfrecord-00000-of-00003"


def test_a_set_that_was_simulated_is_read_whole(small_set, m83):
    info = read_set(small_set, checksums=True)
    assert info.target == m83
    assert info.splits == {"train": 40, "validation": 10, "test": 8}
    assert [n for _, n in info.shards["train"]] == [16, 16, 8]


def test_a_shard_cut_in_half_is_named_with_its_record(own_set):
    path = first_shard(own_set)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 100])
    with pytest.raises(ValueError, match=f"{path.name}: record 8 is cut or damaged"):
        make_dataset(own_set, "train", 4, training=True)


def test_a_shard_cut_between_records_is_named(own_set):
    path = first_shard(own_set)
    size = path.stat().st_size // 16
    path.write_bytes(path.read_bytes()[: 5 * size])
    with pytest.raises(ValueError, match=f"{path.name}: .* 5 records; the manifest"):
        read_set(own_set)


def test_a_damaged_byte_is_found_by_its_checksum(own_set):
    path = first_shard(own_set)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=f"{path.name}: record [78] is cut or damaged"):
        read_set(own_set, checksums=True)


def test_a_shard_exchanged_for_another_is_found_by_its_checksum(own_set):
    path = first_shard(own_set)
    path.write_bytes(path.with_name(path.name.replace("00000", "00001")).read_bytes())
    with pytest.raises(ValueError, match=f"{path.name}: SHA-256 differs"):
        read_set(own_set, checksums=True)


def test_a_record_of_another_schema_version_is_named(own_set, monkeypatch):
    path = first_shard(own_set)
    records = [
        {
            f.name: record[f.name].reshape(f.sizes(64, 3))
            for f in FEATURES
            if f.name != "schema_version"
        }
        for record in read_shard(path)
    ]
    with monkeypatch.context() as patch:
        patch.setattr(shard_file, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
        write_shard(path, records)
    other, own = SCHEMA_VERSION + 1, SCHEMA_VERSION
    message = f"{path.name}: record 0 is of schema version {other}; .* version {own}"
    with pytest.raises(ValueError, match=message):
        make_dataset(own_set, "train", 4, training=True)


def test_a_set_of_an_older_schema_is_refused_with_what_to_do(own_set):
    path = own_set / "configuration.yaml"
    now = f"schema_version: {SCHEMA_VERSION}"
    path.write_text(path.read_text().replace(now, "schema_version: 1"))
    message = rf"configuration\.yaml: .* version {SCHEMA_VERSION}; received 1\. Make"
    with pytest.raises(ValueError, match=message):
        make_dataset(own_set, "train", 4, training=True)


def test_a_target_with_other_bands_than_the_records_is_refused(own_set):
    path = own_set / "configuration.yaml"
    path.write_text(path.read_text().replace("cutout_px: 64", "cutout_px: 32"))
    with pytest.raises(
        ValueError, match=r"record 0 has 12288 values of cluster; .* 3072"
    ):
        read_set(own_set)


def test_an_unfinished_set_says_so(own_set):
    first_shard(own_set).unlink()
    with pytest.raises(FileNotFoundError, match="1 of 3 shards of train are missing"):
        read_set(own_set)


def test_a_directory_that_is_no_mock_set_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a mock set"):
        read_set(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("manifest.json", "{", r"manifest\.json: not JSON"),
        ("configuration.yaml", "a: [", r"configuration\.yaml: not readable as YAML"),
        (
            "configuration.yaml",
            "words",
            r"configuration\.yaml: .* a str.*again",
        ),
    ],
)
def test_a_damaged_description_names_itself(own_set, name, text, message):
    (own_set / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_set(own_set)


def test_a_shard_elsewhere_is_not_read(own_set, tmp_path):
    """Neither by its name in the manifest nor by a link of that name."""
    path = first_shard(own_set)
    elsewhere = path.rename(tmp_path / path.name)
    text = (own_set / "manifest.json").read_text()
    (own_set / "manifest.json").write_text(text.replace(path.name, f"../{path.name}"))
    with pytest.raises(ValueError, match=r"manifest\.json: expected names of files"):
        read_set(own_set)
    (own_set / "manifest.json").write_text(text)
    path.symlink_to(elsewhere)
    with pytest.raises(ValueError, match=f"{path.name}: .* a link to .*Copy that file"):
        read_set(own_set)


def test_a_link_to_the_whole_set_is_followed(small_set, tmp_path):
    (tmp_path / "link").symlink_to(small_set)
    assert read_set(tmp_path / "link").splits == read_set(small_set).splits


def test_more_records_than_a_shard_holds_are_refused(own_set):
    path = own_set / "manifest.json"
    path.write_text(path.read_text().replace('"records": 16', '"records": 16000000'))
    with pytest.raises(ValueError, match="some 16 records; the manifest says 16000000"):
        read_set(own_set)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 10**12])
def test_a_record_longer_than_its_shard_is_refused_before_it_is_read(own_set, length):
    path = first_shard(own_set)
    head = struct.pack("<Q", length)
    crc = struct.pack("<I", shard_file._checksum(head))
    path.write_bytes(head + crc + path.read_bytes()[12:])
    with pytest.raises(ValueError, match=f"{path.name}: record 0 is cut or damaged"):
        read_set(own_set)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("target", [1], "target: expected a mapping"),
        ("target", {"name": 5}, "target: name: expected text"),
        ("mocks", 5, "mocks: expected a mapping"),
        ("mocks", {"name": [1]}, "mocks: name: expected text"),
        ("mocks", {"name": "../evil"}, "mocks: name must be small letters"),
        ("mocks", {"n": "many"}, "mocks: n_train: expected a whole number"),
        ("priors", None, "priors: expected a mapping"),
        ("priors", {"cluster_fraction": "x"}, "cluster_fraction: expected a number"),
        ("priors", {"cluster_fraction": 7}, "cluster_fraction must be"),
        ("priors", {"fraction": 1}, "priors: unknown key 'fraction'"),
        ("schema_version", [2], "expected a mock set of schema version"),
    ],
)
def test_values_of_other_types_in_a_configuration_name_it(own_set, key, value, message):
    path = own_set / "configuration.yaml"
    configuration = yaml.safe_load(path.read_text())
    there = configuration[key]
    both = isinstance(value, dict)
    configuration[key] = {**there, **value} if both else value
    path.write_text(yaml.safe_dump(configuration))
    with pytest.raises(ValueError, match=rf"configuration\.yaml: .*{message}"):
        read_set(own_set)


def test_the_description_lists_features_and_shards_for_tfds(small_set):
    features = json.loads((small_set / "features.json").read_text())
    described = features["featuresDict"]["features"]
    assert set(described) == {f.name for f in FEATURES}
    image = described["cluster"]["tensor"]
    assert image["shape"]["dimensions"] == ["64", "64", "3"]
    assert (image["dtype"], image["encoding"]) == ("float16", "bytes")
    info = json.loads((small_set / "dataset_info.json").read_text())
    lengths = {s["name"]: s["shardLengths"] for s in info["splits"]}
    assert lengths["train"] == ["16", "16", "8"]


def test_tensorflow_datasets_loads_the_set(small_set):
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder_from_directory(small_set)
    sizes = {name: split.num_examples for name, split in builder.info.splits.items()}
    assert sizes == {"train": 40, "validation": 10, "test": 8}
    read = tfds.ReadConfig(interleave_cycle_length=1)
    dataset = builder.as_dataset(split="train", read_config=read)
    shards = read_set(small_set).shards["train"]
    stored = (record for path, _ in shards for record in read_shard(path))
    for there, here in zip(dataset.as_numpy_iterator(), stored, strict=True):
        assert set(there) == set(here) == {f.name for f in FEATURES}
        for f in FEATURES:
            assert there[f.name].dtype == f.dtype
            assert there[f.name].shape == f.sizes(64, 3)
            np.testing.assert_array_equal(there[f.name].ravel(), here[f.name])
