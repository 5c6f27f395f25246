"""What a mock set says of itself: configuration, manifest, description for TFDS."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from data_tools.schema import FEATURES, PIXEL_UNIT_NJY, SCHEMA_VERSION
from data_tools.target import Target


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file that is never seen half written."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(values, indent=1) + "\n")
    partial.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file; a `ValueError` names the file if it is not JSON."""
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON: {error}") from error


def write_yaml(path: Path, values: Mapping[str, Any]) -> None:
    """Write a YAML file, in the order of the values, never seen half written."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(yaml.safe_dump(values, sort_keys=False))
    partial.replace(path)


def read_configuration(directory: Path) -> dict[str, Any]:
    """Read ``configuration.yaml`` of a mock set.

    Raises
    ------
    ValueError
        If it is not a mapping in YAML, or of another schema version; the message names
        the file.
    """
    path = directory / "configuration.yaml"
    try:
        configuration = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML: {error}") from error
    version = isinstance(configuration, dict) and configuration.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"{path}: expected a mock set of schema version {SCHEMA_VERSION}; received "
            f"{version or 'none'}. Make the set again with `clusterkeras simulate`"
        )
    return configuration


def describe(directory: Path, name: str, target: Target) -> None:
    """Write ``features.json`` and ``dataset_info.json`` beside finished shards.

    ``manifest.json`` must be there: ``splits`` with the names of all shards of each
    split, in order, and ``shards`` with ``records``, ``size`` in bytes and ``sha256``
    of each finished shard by name.

    They are in the form that ``tfds.builder_from_directory`` reads (TensorFlow
    Datasets 4.9), so that a set loads with that library too.
    """
    module = "tensorflow_datasets.core.features"
    px, bands = target.cutout_px, len(target.bands)
    features = {}
    for f in FEATURES:
        kind = "tensor_feature.Tensor" if f.shape else "scalar.Scalar"
        size = [str(s) for s in f.sizes(px, bands)]
        features[f.name] = {
            "pythonClassName": f"{module}.{kind}",
            "description": f.description,
            "tensor": {
                "shape": {"dimensions": size} if size else {},
                "dtype": f.dtype,
                "encoding": "bytes" if f.dtype == "float16" else "none",
            },
        }
    write_json(
        directory / "features.json",
        {
            "pythonClassName": f"{module}.features_dict.FeaturesDict",
            "featuresDict": {"features": features},
        },
    )
    manifest = read_json(directory / "manifest.json")
    splits = []
    for split, shards in manifest["splits"].items():
        entries = [manifest["shards"][shard] for shard in shards]
        splits.append(
            {
                "name": split,
                "shardLengths": [str(e["records"]) for e in entries],
                "numBytes": str(sum(e["size"] for e in entries)),
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            }
        )
    write_json(
        directory / "dataset_info.json",
        {
            "name": name,
            "version": f"{SCHEMA_VERSION}.0.0",
            "description": f"Mock star clusters of {target.name}, images in units of "
            f"{PIXEL_UNIT_NJY} nJy, bands {', '.join(target.band_names)}",
            "fileFormat": "tfrecord",
            "splits": splits,
        },
    )
