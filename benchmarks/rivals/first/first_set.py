r"""The first mock set in the records of this version.

The first set, on which methods are compared, was made by commit 681e351 (see
``first_mocks.py``); its records are of schema version 2, and this
version reads 3. They differ by what a cluster and its field were drawn with and by the
width of the PSF, none of which the first set says, and by a kind that it does not have.
So each record gets them as unknown, and everything reads it::

    python benchmarks/rivals/first/first_set.py --data ../first/mocks -o first_set

The visibility stays that of the old version: S/N as if pixels were independent.
"""

import argparse
from pathlib import Path

import numpy as np
import tensorflow as tf
import yaml
from tqdm import tqdm

from data_tools.records.finished_set import Manifest, describe
from data_tools.records.shard_file import ShardEntry, check_shard, framed
from data_tools.running.output import whole_path
from data_tools.running.plain_files import read_json
from data_tools.schema import FEATURES, SCHEMA_VERSION
from data_tools.target import Target

FIRST_VERSION = 2
UNKNOWN = ("traits", "field_traits", "psf_fwhm_px")


def addition(px: int, bands: int) -> tf.train.Example:
    """Return the features that a record gets."""
    whole = tf.train.Int64List(value=[SCHEMA_VERSION])
    feature = {"schema_version": tf.train.Feature(int64_list=whole)}
    for f in FEATURES:
        if f.name in UNKNOWN:
            values = np.full(f.sizes(px, bands), np.nan)
            numbers = tf.train.FloatList(value=values)
            feature[f.name] = tf.train.Feature(float_list=numbers)
    return tf.train.Example(features=tf.train.Features(feature=feature))


def convert(shard: Path, path: Path, more: tf.train.Example) -> ShardEntry:
    """Write a shard with the addition to each record, unless it is there."""
    if not path.exists():
        with whole_path(path) as part, part.open("wb") as file:
            for raw in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator():
                record = tf.train.Example.FromString(raw)
                record.MergeFrom(more)
                file.write(framed(record.SerializeToString(deterministic=True)))
    return check_shard(path)


def check_whole(data: Path, said: dict, mocks: dict) -> None:
    """Refuse a split of which some shards are there and some are not."""
    sizes = {"train": "n", "validation": "n_validation", "test": "n_test"}
    for split, names in said["splits"].items():
        made = [said["shards"][name] for name in names if name in said["shards"]]
        records, wanted = sum(entry["records"] for entry in made), mocks[sizes[split]]
        if records != wanted:
            raise SystemExit(
                f"{data}: expected {wanted} records of {split}; received {records}. "
                "Make the rest by the command that made these, or leave this split out"
            )


def main() -> None:
    """Convert the splits."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the first mock set")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument(
        "--n_train", type=int, help="records of the training split, in whole shards"
    )
    args = parser.parse_args()
    configuration = yaml.safe_load((args.data / "configuration.yaml").read_text())
    if configuration["schema_version"] != FIRST_VERSION:
        raise SystemExit(
            f"{args.data}: expected a set of schema version {FIRST_VERSION}; received "
            f"{configuration['schema_version']}"
        )
    target = Target.from_dict(configuration["target"])
    said = read_json(args.data / "manifest.json")
    splits = said["splits"]
    mocks = configuration["mocks"]
    check_whole(args.data, said, mocks)
    if args.n_train is not None:
        kept = -(-args.n_train // mocks["shard_size"])
        splits["train"] = splits["train"][:kept]
        mocks["n"] = sum(said["shards"][n]["records"] for n in splits["train"])
    configuration["schema_version"] = SCHEMA_VERSION
    args.output.mkdir(parents=True, exist_ok=True)
    more = addition(target.cutout_px, len(target.bands))
    names = [name for listed in splits.values() for name in listed]
    shards = {
        name: convert(args.data / name, args.output / name, more)
        for name in tqdm(names, "shards")
    }
    Manifest(splits, shards).write(args.output)
    (args.output / "configuration.yaml").write_text(
        yaml.safe_dump(configuration, sort_keys=False)
    )
    describe(args.output, mocks["name"], target)


if __name__ == "__main__":
    main()
