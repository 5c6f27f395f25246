r"""The first mock set, all of it or some of its splits, by the code that made it.

The first set of mocks is that of commit 681e351, seed 0: 300,000 records to train on,
8,192 to validate, 12,288 to test. This file is run with that commit's packages, and
imports nothing of this version::

    git worktree add ../first 681e351
    cd ../first
    PYTHONPATH=. python ../clusterkeras/benchmarks/rivals/first/first_mocks.py -o mocks

What a shard holds depends on the whole set's sizes and on its own number. So a network
that is only asked needs only ``--splits test``, a minute or two in place of half an
hour, and gets the same records. Run again, it goes on with what is missing.
"""

import argparse
import math
import resource
from pathlib import Path

from data_tools.manifest import describe, read_json, write_json, write_yaml
from data_tools.mock_set import MockSet
from data_tools.processes import make_shards
from data_tools.shards import Plan, Shard
from tqdm import tqdm

from data_tools.priors import Priors
from data_tools.target import Target

TARGET = "m83-wfc3-uvis"
SPLITS = ("train", "validation", "test")
SIZES = (300_000, 8192, 12_288)


def make(plan: Plan, wanted: list[Shard], output: Path, workers: int) -> None:
    """Make shards that are missing, and say in the manifest which ones there are."""
    write_yaml(output / "configuration.yaml", plan.configuration)
    write_yaml(output / "target.yaml", plan.configuration["target"])
    path = output / "manifest.json"
    made = read_json(path)["shards"] if path.exists() else {}
    missing = [shard for shard in wanted if shard.name not in made]

    def write() -> None:
        there = [shard for shard in plan.shards if shard.name in made]
        splits = {shard.split: [] for shard in there}
        for shard in there:
            splits[shard.split].append(shard.name)
        shards = {shard.name: made[shard.name] for shard in there}
        write_json(path, {"splits": splits, "shards": shards})

    bar = tqdm(total=sum(shard.records for shard in missing), unit=" mocks")
    jobs = [(shard, None) for shard in missing]
    with bar:
        for shard, entry in make_shards(plan, jobs, output, workers) if jobs else ():
            made[shard.name] = entry
            write()
            bar.update(shard.records)
    describe(output, plan.mocks.name, plan.target)


def main() -> None:
    """Make what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument(
        *("--splits", "--split"), nargs="+", choices=SPLITS, default=SPLITS
    )
    parser.add_argument(
        *("--sizes", "--size"),
        type=int,
        nargs=3,
        default=SIZES,
        help="records of the three; others make another set, to try commands on",
    )
    parser.add_argument("--workers", type=int, default=0, help="0 for one a core")
    args = parser.parse_args()
    n, n_validation, n_test = args.sizes
    mocks = MockSet(n=n, n_validation=n_validation, n_test=n_test)
    plan = Plan(Target.load(TARGET), Priors(), mocks)
    wanted = [shard for shard in plan.shards if shard.split in args.splits]
    args.output.mkdir(parents=True, exist_ok=True)
    make(plan, wanted, args.output, args.workers)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    hours = math.fsum([used.ru_utime, used.ru_stime]) / 3600
    print(f"{args.output}: {', '.join(args.splits)}; {hours:.3f} processor hours")


if __name__ == "__main__":
    main()
