"""A finished mock set on disk: checked, and what is in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_tools.running.plain_files import read_configuration, read_manifest
from data_tools.schema import FEATURES
from data_tools.shard_file import AGAIN, check_shard, read_shard
from data_tools.target import Target


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


def _check_shard(path: Path, entry: Mapping[str, Any], px: int, bands: int) -> None:
    """Compare a shard's size with the manifest and its first record with the schema."""
    size = path.stat().st_size
    if size != entry["size"]:
        records = check_shard(path)["records"]  # names the record that is cut
        raise ValueError(
            f"{path}: {size} bytes and {records} records; the manifest says "
            f"{entry['size']} bytes and {entry['records']} records. {AGAIN}"
        )
    first = next(read_shard(path))
    for f in FEATURES:
        expected = math.prod(f.sizes(px, bands))
        if first[f.name].size != expected:
            raise ValueError(
                f"{path}: record 0 has {first[f.name].size} values of {f.name}; the "
                f"target with {px} px and {bands} bands has {expected}"
            )


def read_set(directory: str | Path, checksums: bool = False) -> FinishedSet:
    """Check that a directory holds a whole mock set, and say what is in it.

    Parameters
    ----------
    directory : str or Path
        Output of `data_tools.simulate.simulate`.
    checksums : bool
        Whether to read every byte and compare its SHA-256 with the manifest's, and
        not only sizes and the first record of each shard.

    Raises
    ------
    FileNotFoundError
        If it is not a mock set or shards are missing.
    ValueError
        If a shard is cut or damaged, or of another schema version or shape; the
        message names the file.
    """
    directory = Path(directory)
    for name in ("manifest.json", "configuration.yaml"):
        if not (directory / name).is_file():
            raise FileNotFoundError(
                f"{directory}: expected a mock set made by `clusterkeras simulate`; "
                f"there is no {name}"
            )
    configuration = read_configuration(directory)
    target = Target.from_dict(configuration["target"])
    manifest = read_manifest(directory)
    shards: dict[str, tuple[tuple[Path, int], ...]] = {}
    for split, names in manifest["splits"].items():
        missing = [
            n
            for n in names
            if n not in manifest["shards"] or not (directory / n).is_file()
        ]
        if missing:
            raise FileNotFoundError(
                f"{directory}: {len(missing)} of {len(names)} shards of {split} are "
                f"missing, {missing[0]} first. Run `clusterkeras simulate` with the "
                "set's options again: it makes what is missing"
            )
        for name in names:
            path, entry = directory / name, manifest["shards"][name]
            _check_shard(path, entry, target.cutout_px, len(target.bands))
            if checksums and check_shard(path) != entry:
                raise ValueError(
                    f"{path}: SHA-256 differs from the manifest's. {AGAIN}"
                )
        shards[split] = tuple(
            (directory / n, manifest["shards"][n]["records"]) for n in names
        )
    return FinishedSet(
        directory=directory,
        name=configuration["mocks"]["name"],
        target=target,
        splits={s: sum(n for _, n in files) for s, files in shards.items()},
        shards=shards,
        configuration=configuration,
    )
