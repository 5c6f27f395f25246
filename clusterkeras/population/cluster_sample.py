"""What a population is fitted to: the rows that count, and the injections that do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import QTable
from numpy.typing import NDArray

from clusterkeras.catalogue.read import Catalogue
from clusterkeras.catalogue.table import numbers, read_table
from clusterkeras.completeness.function import smooth_share
from clusterkeras.completeness.measure import TABLE_FILE
from data_tools.schema import FLAGS, PARAMETER_NAMES

#: A row of a likelier cluster, and one that the network cannot know: they are left out,
#: in the catalogue and among the injected clusters alike.
LEFT_OUT = ("overlap", "unlike_mocks")
_BITS = sum(FLAGS[name][0] for name in LEFT_OUT)
#: Of the posterior of a row that is like the mocks so much is the flat prior, at most:
#: `clusterkeras.network.posteriors.flat.flat_logit` of the score that gets a flag.
FLAT_SHARE = 0.01


@dataclass(frozen=True)
class ClusterSample:
    """Rows of a catalogue that count as clusters, and what would have come to count.

    Attributes
    ----------
    box : dict of str to (float, float)
        Range of each parameter, in which posteriors and injections are flat.
    draws : ndarray, shape (n, S, P)
        Of the posterior of each row that counts.
    p_cluster : ndarray, shape (n,)
        Of the same rows.
    injected : ndarray, shape (m, P)
        True parameters of all injected clusters.
    recovered : ndarray of bool, shape (m,)
        Which of them came to count.
    flat_number : float
        Clusters of a flat population that ``p_cluster`` stands for.
    left_out : dict of str to int
        Rows that would count but for a flag.
    threshold : float
        Least ``p_cluster`` of a row that counts.
    trust : ndarray, shape (n, S), optional
        How much each draw counts; see `trust_in`. Without, all alike.
    """

    box: dict[str, tuple[float, float]]
    draws: NDArray[np.float32]
    p_cluster: NDArray[np.float64]
    injected: NDArray[np.float64]
    recovered: NDArray[np.bool_]
    flat_number: float
    left_out: dict[str, int]
    threshold: float
    trust: NDArray[np.float64] | None = None


def sample_of_clusters(catalogue: Catalogue, completeness: str | Path) -> ClusterSample:
    """Take from a catalogue and its completeness what a population is fitted to.

    A row counts if its ``p_cluster`` is that of the completeness or more and it has
    none of the flags `LEFT_OUT`; an injected cluster, if such a row is its own.

    ``p_cluster`` is under the share s that the metadata state, of images drawn as those
    of a training set are: of clusters all over the box, of which many cannot be seen.
    Its odds are so those of s / (1 - s) evenly spread clusters, seen or not, for each
    candidate that is none: the flat number.

    Parameters
    ----------
    catalogue : Catalogue
        With its draws.
    completeness : str or Path
        Directory that `clusterkeras completeness` has written, of this catalogue.

    Raises
    ------
    FileNotFoundError
        If there is no completeness.
    ValueError
        If it is of another catalogue, or anything is missing.
    """
    table, path = _injections(completeness)
    _check_same(catalogue.meta, table.meta, path)
    try:
        box = catalogue.meta["target"]["box"]
        box = {name: tuple(map(float, box[name])) for name in PARAMETER_NAMES}
        share = float(catalogue.meta["cluster_share"]["here"])
        threshold = float(table.meta["p_cluster"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            "population: expected a catalogue and a completeness whose metadata state "
            f"target, cluster_share and p_cluster (not .csv); {error} is missing"
        ) from error
    p = catalogue.numbers("p_cluster")
    likely = catalogue.are_clusters(0.0) | catalogue.flagged("overlap")
    likely &= p >= threshold
    flagged = {name: catalogue.flagged(name) & likely for name in LEFT_OUT}
    rows = np.flatnonzero(likely & ~np.any(list(flagged.values()), axis=0))
    if not len(rows):
        raise ValueError(
            f"population: expected rows that count, with p_cluster of {threshold} or "
            f"more and neither flag {' nor '.join(LEFT_OUT)}; received none among "
            f"{len(catalogue)}, of which the highest is {np.nanmax(p, initial=0):.2g}. "
            "There are none to fit, or the model does not tell clusters apart: see "
            "what `clusterkeras evaluate` says of it"
        )
    flags = np.asarray(table["flags"]).astype(int)
    others = np.nansum(1 - p[~catalogue.flagged("overlap")])
    recovered = np.asarray(table["recovered"], bool) & ((flags & _BITS) == 0)
    if not recovered.any():
        raise ValueError(
            f"{path}: none of {len(table)} injected clusters came to count, so nothing "
            "is known of the completeness; inject more (--completeness.n)"
        )
    draws = _draws(catalogue, rows)
    injected = np.column_stack([numbers(table, name) for name in PARAMETER_NAMES])
    return ClusterSample(
        box=box,
        draws=draws,
        p_cluster=p[rows],
        injected=injected,
        recovered=recovered,
        flat_number=float(share / (1 - share) * others),
        left_out={name: int(which.sum()) for name, which in flagged.items()},
        threshold=threshold,
        trust=trust_in(draws, injected, recovered),
    )


def trust_in(
    draws: NDArray[np.floating],
    injected: NDArray[np.float64],
    recovered: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return how far draws are of clusters that can come to count.

    Each posterior holds a little of the flat prior, so that none is sure of nonsense.
    But of a row that counts a cluster that never would is no explanation: among flat
    clusters that count, those of parameters with completeness c are c / mean(c) as
    common as others. A draw is of the posterior proper, and not of the flat share e,
    with the odds of c / mean(c) to e, and what is flat is to be as common as c makes
    it: together

        c (1 + e) / (c + e mean(c)),

    which is 1 where clusters are seen, and c / (e mean(c)) where they hardly are.
    Without it a population of a million clusters too light to be seen is as good an
    explanation of every row as what is there.

    Parameters
    ----------
    draws : ndarray, shape (n, S, P)
        Of the rows that count.
    injected : ndarray, shape (m, P)
        True parameters of injected clusters, even over the box.
    recovered : ndarray of bool, shape (m,)
        Which of them came to count.

    Returns
    -------
    ndarray, shape (n, S)
        In (0, 1 + e).
    """
    share = smooth_share(injected, recovered)
    c, mean = share(np.asarray(draws, float)), float(np.mean(recovered))
    return c * (1 + FLAT_SHARE) / (c + FLAT_SHARE * mean)


def _injections(completeness: str | Path) -> tuple[QTable, Path]:
    path = Path(completeness)
    path = path / TABLE_FILE if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no injected clusters; `clusterkeras completeness` puts them there"
        )
    table = read_table(path)
    needed = (*PARAMETER_NAMES, "detected", "recovered", "flags")
    missing = [name for name in needed if name not in table.colnames]
    if missing:
        raise ValueError(
            f"{path}: expected the {TABLE_FILE} of `clusterkeras completeness`; it has "
            f"no column {', '.join(missing)}"
        )
    return table, path


def _check_same(meta: Any, injected: Any, path: Path) -> None:
    """Refuse a completeness of other images, another model or share of clusters."""
    share = meta.get("cluster_share")
    if not share:
        raise ValueError(
            "population: expected a catalogue of one field, whose metadata state "
            "cluster_share; received one without, as a survey's and .csv are. Fit one "
            "field, from the catalogue that `clusterkeras infer --images` wrote of it"
        )
    here = {
        "images": list(meta.get("images", [])),
        "model": Path(str(meta.get("model"))).name,
        "cluster_share": round(float(share["here"]), 6),
    }
    there = {
        "images": list(injected.get("images", [])),
        "model": Path(str(injected.get("model"))).name,
        "cluster_share": round(float(injected.get("cluster_share", np.nan)), 6),
    }
    for name, value in here.items():
        if value != there[name]:
            raise ValueError(
                f"{path}: expected the completeness of this catalogue, with {name} "
                f"{value}; received {there[name]}. Run `clusterkeras completeness "
                "--catalogue` with it"
            )


def _draws(catalogue: Catalogue, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the draws (n, S, P) that were made with the catalogue."""
    try:
        return np.stack([catalogue.draws(row) for row in rows])
    except ValueError as error:
        raise ValueError(
            "population: expected a catalogue with draws of its posteriors; write them "
            f"with `infer --draws_file draws.h5` and give --draws_file: {error}"
        ) from error
