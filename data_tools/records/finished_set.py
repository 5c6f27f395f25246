"""A finished mock set on disk: checked, and what is in it."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_tools.foreign.typed import build
from data_tools.priors import Priors
from data_tools.records.plan import MockSet
from data_tools.records.shard_file import (
    AGAIN,
    ShardEntry,
    check_shard,
    first_size,
    read_shard,
)
from data_tools.running.plain_files import read_json, read_yaml, write_json
from data_tools.schema import FEATURES, PIXEL_UNIT_NJY, SCHEMA_VERSION, SPLITS
from data_tools.target import Target

#: All shards of a set by split, and what is finished of them.
MANIFEST = "manifest.json"

#: What to do about a set that cannot be read, at the end of an error.
_AGAIN = "Make the set again, in another directory, with `clusterkeras simulate`"


@dataclass(frozen=True)
class FinishedSet:
    """A finished mock set on disk.

    Attributes
    ----------
    directory : Path
        Where it lies.
    name : str
        Name of the set, the beginning of each shard's file name.
    target : Target
        What the mocks imitate.
    splits : dict of str to int
        Number of records of each split.
    shards : dict of str to tuple of (Path, int)
        File and number of records of each shard of a split, in order.
    configuration : dict
        Content of ``configuration.yaml``: target, priors, mocks, tables, versions.
    """

    directory: Path
    name: str
    target: Target
    splits: dict[str, int]
    shards: dict[str, tuple[tuple[Path, int], ...]]
    configuration: dict[str, Any]


@dataclass(frozen=True)
class Manifest:
    """What ``manifest.json`` says of a set.

    Attributes
    ----------
    splits : dict of str to list of str
        Names of all shards of each split, in order.
    shards : dict of str to ShardEntry
        Those that are finished, by name.
    """

    splits: dict[str, list[str]]
    shards: dict[str, ShardEntry]

    def write(self, directory: Path) -> None:
        """Write it into a set's directory."""
        finished = {
            name: dataclasses.asdict(self.shards[name])
            for names in self.splits.values()
            for name in names
            if name in self.shards
        }
        write_json(directory / MANIFEST, {"splits": self.splits, "shards": finished})


def _check_shard(path: Path, entry: ShardEntry, px: int, bands: int) -> None:
    """Compare a shard's size with the manifest and its first record with the schema."""
    if not path.resolve().is_relative_to(path.parent.resolve()):
        raise ValueError(
            f"{path}: expected a file of the set's directory; it is a link to "
            f"{path.resolve()}. Copy that file there"
        )
    size = path.stat().st_size
    if size != entry.size:
        records = check_shard(path).records  # names the record that is cut
        raise ValueError(
            f"{path}: {size} bytes and {records} records; the manifest says "
            f"{entry.size} bytes and {entry.records} records. {AGAIN}"
        )
    first = next(read_shard(path))
    for f in FEATURES:
        expected = math.prod(f.sizes(px, bands))
        if first[f.name].size != expected:
            raise ValueError(
                f"{path}: record 0 has {first[f.name].size} values of {f.name}; the "
                f"target with {px} px and {bands} bands has {expected}"
            )
    # records differ by the few bytes of their whole numbers
    fits = size / first_size(path)
    if abs(fits - entry.records) > max(1, 0.02 * fits):
        raise ValueError(
            f"{path}: {size} bytes, which are some {fits:.0f} records; the manifest "
            f"says {entry.records}. {AGAIN}"
        )


def read_set(directory: str | Path, checksums: bool = False) -> FinishedSet:
    """Check that a directory holds a whole mock set, and say what is in it.

    Parameters
    ----------
    directory : str or Path
        Output of `data_tools.records.simulate.simulate`.
    checksums : bool
        Whether to read every byte and compare its SHA-256 with the manifest's, and
        not only sizes and the first record of each shard.

    Raises
    ------
    FileNotFoundError
        If it is not a mock set or shards are missing.
    ValueError
        If a shard is cut or damaged, of another schema version or shape, or lies
        elsewhere; the message names the file.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from data_tools import MockSet, Priors, Target, read_set, simulate
    >>> target, priors = Target.load("m83-wfc3-uvis"), Priors(field_px=128)
    >>> mocks = MockSet(n_train=4, n_validation=0, n_test=0)
    >>> with TemporaryDirectory() as directory:
    ...     path = simulate(directory, target, priors, mocks, workers=1, progress=False)
    ...     read_set(path).splits
    {'train': 4}
    """
    directory = Path(directory)
    for name in (MANIFEST, "configuration.yaml"):
        if not (directory / name).is_file():
            raise FileNotFoundError(
                f"{directory}: expected a mock set made by `clusterkeras simulate`; "
                f"there is no {name}"
            )
    configuration = read_configuration(directory)
    target = Target.from_dict(configuration["target"])
    manifest = read_manifest(directory)
    shards: dict[str, tuple[tuple[Path, int], ...]] = {}
    for split, names in manifest.splits.items():
        missing = [
            n
            for n in names
            if n not in manifest.shards or not (directory / n).is_file()
        ]
        if missing:
            raise FileNotFoundError(
                f"{directory}: {len(missing)} of {len(names)} shards of {split} are "
                f"missing, {missing[0]} first. Run `clusterkeras simulate` with the "
                "set's options again: it makes what is missing"
            )
        for name in names:
            path, entry = directory / name, manifest.shards[name]
            _check_shard(path, entry, target.cutout_px, len(target.bands))
            if checksums and check_shard(path) != entry:
                raise ValueError(
                    f"{path}: SHA-256 differs from the manifest's. {AGAIN}"
                )
        shards[split] = tuple(
            (directory / n, manifest.shards[n].records) for n in names
        )
    return FinishedSet(
        directory=directory,
        name=configuration["mocks"]["name"],
        target=target,
        splits={s: sum(n for _, n in files) for s, files in shards.items()},
        shards=shards,
        configuration=configuration,
    )


def read_configuration(directory: Path) -> dict[str, Any]:
    """Read ``configuration.yaml`` of a mock set.

    Raises
    ------
    ValueError
        If it is not a mapping in YAML, of another schema version, or target, priors or
        sizes are missing or make no sense; the message names the file.
    """
    path = directory / "configuration.yaml"
    try:
        configuration = read_yaml(path)
    except ValueError as error:
        raise ValueError(f"{error}. {_AGAIN}") from error
    version = configuration.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"{path}: expected a mock set of schema version {SCHEMA_VERSION}; received "
            f"{version or 'none'}. {_AGAIN}"
        )
    try:
        Target.from_dict(configuration["target"])
        build(Priors, configuration["priors"], "priors")
        MockSet.from_dict(configuration["mocks"])
    except KeyError as error:
        raise ValueError(
            f"{path}: expected {error.args[0]} in it; it is cut short or damaged. "
            f"{_AGAIN}"
        ) from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}. {_AGAIN}") from error
    return configuration


def read_manifest(directory: Path) -> Manifest:
    """Read ``manifest.json`` of a mock set.

    Raises
    ------
    ValueError
        If it is not what `clusterkeras simulate` writes, or names a file elsewhere;
        the message names the file.
    """
    path = directory / MANIFEST
    said = read_json(path)
    problem = _problem_of(said)
    if problem:
        raise ValueError(
            f"{path}: {problem}; it is damaged. Remove it and run `clusterkeras "
            "simulate` with the set's options again: whole shards are kept"
        )
    shards = {
        name: ShardEntry(entry["records"], entry["size"], entry["sha256"])
        for name, entry in said["shards"].items()
    }
    return Manifest(said["splits"], shards)


def _problem_of(said: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a manifest, None if nothing is."""
    splits, shards = said.get("splits"), said.get("shards")
    if not isinstance(splits, dict) or not isinstance(shards, dict):
        return "expected splits and shards"
    names = []
    for split, listed in splits.items():
        if split not in SPLITS or not isinstance(listed, list) or not listed:
            return f"expected splits among {', '.join(SPLITS)}, each a list of names"
        names += listed
    for name in (*names, *shards):
        # what is more than a name leads to another directory
        if not isinstance(name, str) or not re.fullmatch(r"[\w-][\w.-]{0,254}", name):
            return f"expected names of files beside it; received {name!r}"
    if len(set(names)) < len(names):
        return "expected each shard once"
    for name, entry in shards.items():
        if not isinstance(entry, dict) or not all(
            isinstance(entry.get(key), int)
            and entry[key] > 0
            and entry[key] is not True
            for key in ("records", "size")
        ):
            return f"expected records and size of {name}, numbers above 0"
        if not isinstance(entry.get("sha256"), str):
            return f"expected sha256 of {name}"
    return None


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
    for split, shards in manifest.splits.items():
        entries = [manifest.shards[shard] for shard in shards]
        splits.append(
            {
                "name": split,
                "shardLengths": [str(e.records) for e in entries],
                "numBytes": str(sum(e.size for e in entries)),
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
