"""What a mock set says of itself: configuration, manifest, description for TFDS."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from data_tools.mock_set import MockSet
from data_tools.priors import Priors
from data_tools.running.output import whole_file
from data_tools.schema import FEATURES, PIXEL_UNIT_NJY, SCHEMA_VERSION
from data_tools.tables import table_files
from data_tools.target import Target

if TYPE_CHECKING:
    from data_tools.fields.mosaic_field import Backgrounds

#: Libraries whose version changes random numbers or the last bits of a mock.
_VERSIONS_OF = ("clusterkeras", "numpy", "scipy")


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file that is never seen half written."""
    with whole_file(path) as file:
        file.write((json.dumps(values, indent=1) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read an object from a JSON file; a `ValueError` names the file if it has none."""
    try:
        values = json.loads(path.read_text())
    except ValueError as error:  # neither JSON nor even text
        raise ValueError(
            f"{path}: not JSON: {error}. It is cut short, damaged or something else"
        ) from error
    if not isinstance(values, dict):
        raise ValueError(
            f"{path}: expected a JSON object; received a {type(values).__name__}"
        )
    return values


def write_yaml(path: Path, values: Mapping[str, Any]) -> None:
    """Write a YAML file, in the order of the values, never seen half written."""
    with whole_file(path) as file:
        file.write(yaml.safe_dump(dict(values), sort_keys=False).encode())


def configuration(
    target: Target,
    priors: Priors,
    mocks: MockSet,
    backgrounds: Backgrounds | None = None,
) -> dict[str, Any]:
    """Give everything the bytes of a set depend on, as plain values.

    Target, priors, size and backgrounds; SHA-256 of the tables that hold the target's
    bands and of each file that target and backgrounds name; versions of this package
    and of the libraries that draw and compute.
    """
    tables = {file.name: Path(str(file)) for file in table_files(target.band_names)}
    named = [target.isochrones, *target.psf.values()]
    if backgrounds is not None:
        named += backgrounds.files
    tables |= {str(path): Path(path) for path in named if path}
    versions = {}
    for package in _VERSIONS_OF:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    plain = {
        "schema_version": SCHEMA_VERSION,
        "target": target.to_dict(),
        "priors": dataclasses.asdict(priors),
        "mocks": dataclasses.asdict(mocks),
        "backgrounds": backgrounds and dataclasses.asdict(backgrounds),
        "tables": {name: sha256_of(path) for name, path in sorted(tables.items())},
        "versions": versions,
    }
    return json.loads(json.dumps(plain))


def sha256_of(path: Path) -> str:
    """Give the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def same_by_content(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Give what the draws of a set depend on: content of files, not where they lie.

    Two sets whose configurations are alike in this have the same mocks, but for the
    last bits that another version of a library may change.
    """
    tables = configuration["tables"]

    def by_content(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: by_content(v) for k, v in value.items()}
        if isinstance(value, list):
            return [by_content(v) for v in value]
        return tables.get(value, value) if isinstance(value, str) else value

    draws = {k: v for k, v in configuration.items() if k not in ("tables", "versions")}
    target = dict(draws["target"])
    target.pop("distance_uncertainty_mpc", None)  # of no mock
    draws["target"] = target
    return {**by_content(draws), "files": sorted(tables.values())}


def differences(there: Any, now: Any, where: str = "") -> list[str]:
    """List what differs between two configurations, a line each."""
    if isinstance(there, dict) and isinstance(now, dict):
        return [
            line
            for key in sorted(there.keys() | now.keys(), key=str)
            for line in differences(there.get(key), now.get(key), f"{where}.{key}")
        ]
    if there == now:
        return []
    return [f"{where.lstrip('.')}: {there!r} there, {now!r} now"]


def read_configuration(directory: Path) -> dict[str, Any]:
    """Read ``configuration.yaml`` of a mock set.

    Raises
    ------
    ValueError
        If it is not a mapping in YAML, of another schema version, or without target
        or size; the message names the file.
    """
    path = directory / "configuration.yaml"
    try:
        configuration = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not YAML: {error}") from error
    version = isinstance(configuration, dict) and configuration.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"{path}: expected a mock set of schema version {SCHEMA_VERSION}; received "
            f"{version or 'none'}. Make the set again, in another directory, with "
            "`clusterkeras simulate`"
        )
    try:
        Target.from_dict(configuration["target"])
        str(configuration["mocks"]["name"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: cut short or damaged: {error}. Make the set again, in another "
            "directory, with `clusterkeras simulate`"
        ) from error
    return configuration


def read_manifest(directory: Path) -> dict[str, Any]:
    """Read ``manifest.json`` of a mock set.

    Raises
    ------
    ValueError
        If it is not what `clusterkeras simulate` writes; the message names the file.
    """
    path = directory / "manifest.json"
    manifest = read_json(path)
    shards = manifest.get("shards")
    if not (
        isinstance(manifest.get("splits"), dict)
        and isinstance(shards, dict)
        and all(
            {"records", "size", "sha256"} <= set(entry) for entry in shards.values()
        )
    ):
        raise ValueError(
            f"{path}: expected splits and shards with records, size and sha256; it is "
            "damaged. Remove it and run `clusterkeras simulate` with the set's options "
            "again: whole shards are kept"
        )
    return manifest


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
    manifest = read_manifest(directory)
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
