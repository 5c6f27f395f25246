"""Many models, drawn by several processes, in shards that a later call goes on with."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

#: Models of a shard: a minute or two of one process.
SHARD = 8192

#: Draw so many models with a seed: parameters (n, P) and fluxes (n, D).
Draw = Callable[[int, int], tuple[np.ndarray, np.ndarray]]


def _politely() -> None:
    os.nice(19)


def _write(path: Path, draw: Draw, n: int, seed: int) -> float:
    """Draw one shard; return the seconds of processor time that it took."""
    began = sum(os.times()[:2])
    parameters, flux = draw(n, seed)
    seconds = sum(os.times()[:2]) - began
    part = path.with_suffix(".part.npz")
    np.savez(
        part,
        parameters=np.float32(parameters),
        flux=np.float32(flux),
        cpu_seconds=seconds,
    )
    os.replace(part, path)
    return seconds


def write_models(
    directory: Path, draw: Draw, n: int, seed: int, workers: int, shard: int = SHARD
) -> None:
    """Write `n` models or a few more to a directory, but those that are there.

    Parameters
    ----------
    directory : Path
        Gets ``models-00000.npz`` and so on, with ``parameters``, ``flux`` and
        ``cpu_seconds`` each.
    draw : callable
        See `Draw`; a name of a module, since other processes call it.
    n : int
        Number of models.
    seed : int
        Each shard has a seed of its own that follows from this one.
    workers : int
        Number of processes, at the lowest priority.
    shard : int
        Models of a shard; with another number they are other models.
    """
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / f"models-{i:05d}.npz" for i in range(-(-n // shard))]
    missing = [i for i, path in enumerate(paths) if not path.exists()]
    bar = tqdm(total=len(paths), initial=len(paths) - len(missing), desc="shards")
    spawn = get_context("spawn")
    with bar, ProcessPoolExecutor(workers, spawn, _politely) as pool:
        tasks = [pool.submit(_write, paths[i], draw, shard, seed + i) for i in missing]
        for task in as_completed(tasks):
            task.result()
            bar.update()
