"""Mocks that a training has not met: the same set again, with another seed."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np

from data_tools.foreign.typed import build
from data_tools.priors import Priors
from data_tools.records.finished_set import read_set
from data_tools.records.plan import MockSet
from data_tools.records.simulate import simulate

#: Directory of such a set in that of a run, by its number.
_NAME = "fresh-mocks-{}"


def fresh_directory(data: Path, output: Path, number: int) -> Path:
    """Return where the set is that `fresh_set` makes."""
    return output / _NAME.format(number) if number else data


def fresh_set(data: Path, output: Path, number: int) -> Path:
    """Return a set like another but with a seed of its own; make it if need be.

    Those with another number are removed: each may be as large as the first. One that
    was begun is finished.

    Parameters
    ----------
    data : Path
        The set that a training began with: target, priors, size and seed.
    output : Path
        Directory of the run, in which it is made.
    number : int
        Which one; 0 is `data` itself.

    Raises
    ------
    ValueError
        If `data` was cut from real mosaics, which may no longer be there.
    OSError
        If the disk has no room for it.
    """
    remove_fresh_sets(output, but=number)
    if number == 0:
        return data
    info = read_set(data)
    configuration = info.configuration
    if configuration.get("backgrounds"):
        raise ValueError(
            f"training.fresh_mocks: expected a set of synthetic fields; {data} has "
            "fields cut from mosaics. Train without it"
        )
    mocks = MockSet.from_dict(configuration["mocks"])
    seed = np.random.SeedSequence((mocks.seed, number)).generate_state(1, np.uint64)
    again = dataclasses.replace(
        mocks, n_validation=0, n_test=0, seed=int(seed[0] >> np.uint64(1))
    )
    priors = build(Priors, configuration["priors"], "priors")
    return simulate(fresh_directory(data, output, number), info.target, priors, again)


def remove_fresh_sets(output: Path, but: int = 0) -> None:
    """Remove what `fresh_set` made, but for one of some number, and nothing else."""
    for there in output.glob(_NAME.format("*")):
        number = there.name.removeprefix(_NAME.format(""))
        own = number.isdecimal() and (there / "configuration.yaml").is_file()
        if own and int(number) != but:
            shutil.rmtree(there)
