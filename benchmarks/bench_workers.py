"""Workers of `simulate`: how their memory grows, and how much faster two are than one.

Memory: one process makes shard after shard, as a worker does, and prints its resident
memory as it goes. The growth is that of the second half: by then every one of the
detector's PSFs has been drawn and is kept.

Scaling: wall time of whole runs of `data_tools.records.simulate.simulate`. The rate is
that of a longer run minus a shorter one, so that starting up does not count. Other work
on the machine does: run it alone. Beside it what the machine itself gives two processes
that share nothing, each with its own Fourier transforms.
"""

import argparse
import json
import multiprocessing
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.fft

from data_tools.priors import Priors
from data_tools.records.plan import MockSet, Plan
from data_tools.records.shards import ShardMaker
from data_tools.records.simulate import RUNNERS, simulate
from data_tools.target import Target

#: Shards of the shorter and of the longer run; one and two workers share them evenly.
SHORTER, LONGER = 2, 22


def resident_mb() -> float:
    """Return the resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure_memory(
    target: Target, priors: Priors, mocks: int, directory: Path
) -> list[tuple[int, float]]:
    """Return the memory in MB after every tenth of so many mocks, and print it."""
    size = -(-mocks // 10)
    plan = Plan(target, priors, MockSet(mocks, 0, 0, shard_size=size))
    maker = ShardMaker(plan)
    made, rows = 0, [(0, resident_mb())]
    print(f"{'mocks made':>12}{'resident MB':>14}")
    print(f"{0:12d}{rows[0][1]:14.1f}", flush=True)
    for shard in plan.shards:
        maker.make(shard, directory)
        (directory / shard.name).unlink()
        made += shard.records
        rows.append((made, resident_mb()))
        print(f"{made:12d}{rows[-1][1]:14.1f}", flush=True)
    return rows


def measure_rate(
    target: Target, priors: Priors, workers: int, runner: str, directory: Path
) -> float:
    """Return mocks a second of so many workers, without their starting up."""
    size = 2 * priors.mocks_per_field
    seconds = []
    for shards in (SHORTER, LONGER):
        output = directory / f"{workers}-{shards}"
        mocks = MockSet(shards * size, 0, 0, shard_size=size)
        began = time.perf_counter()
        simulate(output, target, priors, mocks, workers, progress=False, runner=runner)
        seconds.append(time.perf_counter() - began)
    return (LONGER - SHORTER) * size / (seconds[1] - seconds[0])


def transforms(count: int) -> None:
    """Do what most of a mock's time goes into."""
    image = np.random.default_rng(0).standard_normal((3, 256, 256), np.float32)
    for _ in range(count):
        scipy.fft.rfft2(image)


def measure_ceiling(count: int = 4000) -> float:
    """Return how much faster two processes that share nothing are than one."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(transforms, [1, 1], chunksize=1)  # both have started
        seconds = []
        for processes in (1, 2):
            began = time.perf_counter()
            pool.map(transforms, [count] * processes, chunksize=1)
            seconds.append(time.perf_counter() - began)
    return 2 * seconds[0] / seconds[1]


def main() -> None:
    """Print tables, the machine, and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mocks", type=int, default=100_000, help="0: no memory")
    parser.add_argument("--runner", choices=RUNNERS, default="local")
    args = parser.parse_args()
    target, priors = Target.load("m83-wfc3-uvis"), Priors()
    print(
        f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        rates = {
            w: measure_rate(target, priors, w, args.runner, directory) for w in (1, 2)
        }
        print(f"{'workers':>12}{'mocks/s':>14}")
        for workers, rate in rates.items():
            print(f"{workers:12d}{rate:14.1f}")
        figures["scaling_2_workers"] = rates[2] / rates[1]
        figures["scaling_of_the_machine"] = measure_ceiling()
        if args.mocks:
            rows = measure_memory(target, priors, args.mocks, directory)
            figures["rss_growth_mb"] = rows[-1][1] - rows[5][1]
            figures["rss_mb"] = rows[-1][1]
    print(json.dumps({key: round(value, 2) for key, value in figures.items()}))


# the workers import this file
if __name__ == "__main__":
    main()
