"""The numbers of a method, with errors that know of fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clusterkeras.diagnostics.metrics.classification import roc_curve
from clusterkeras.diagnostics.metrics.groups import clustered_error
from clusterkeras.evaluation.predictions import Predictions
from clusterkeras.evaluation.strata import published_regime
from data_tools.schema import PARAMETER_NAMES


def over_fields(values: np.ndarray, field_id: np.ndarray) -> tuple[float, float]:
    """Return the mean of values (N,), and its error by the scatter of fields."""
    return float(values.mean()), float(clustered_error(values, field_id))


def in_regime(clusters: Predictions) -> np.ndarray:
    """Return which clusters the published network is reliable for: (N,) bool."""
    quantities = dict(zip(PARAMETER_NAMES, clusters.truth.T, strict=True))
    return published_regime(quantities | {"log_snr": clusters.log_snr}).rows


def score(seeds: Sequence[Predictions], first: np.ndarray | None) -> dict[str, Any]:
    """Return the numbers of a method.

    Parameters
    ----------
    seeds : sequence of Predictions
        Of the same records, one for each seed.
    first : ndarray (N,) or None
        Log probability of the same clusters under the method it is compared with.

    Returns
    -------
    dict
        ``nll``, ``nll_in_regime``, ``worse_than_first``: mean and error [nats];
        ``seeds``: the mean of each; ``auc`` and ``auc_error``, None from a method that
        was asked about clusters only; ``coverage_68`` by parameter; ``log_prob``, the
        mean over seeds (N,).
    """
    clusters = [found.select(found.is_cluster) for found in seeds]
    one = clusters[0]
    log_prob = np.mean([c.log_prob.astype(float) for c in clusters], axis=0)
    regime = in_regime(one)
    numbers: dict[str, Any] = {
        "n": len(one),
        "n_fields": len(np.unique(one.field_id)),
        "n_in_regime": int(regime.sum()),
        "nll": over_fields(-log_prob, one.field_id),
        "nll_in_regime": over_fields(-log_prob[regime], one.field_id[regime])
        if regime.any()
        else None,
        "seeds": [float(-c.log_prob.astype(float).mean()) for c in clusters],
        "auc": None,
        "auc_error": None,
        "coverage_68": _coverage(clusters),
        "log_prob": log_prob,
    }
    if first is not None:
        numbers["worse_than_first"] = over_fields(first - log_prob, one.field_id)
    if not seeds[0].is_cluster.all():
        curves = [
            roc_curve(found.is_cluster, found.p_cluster, found.field_id)
            for found in seeds
        ]
        numbers["auc"] = float(np.mean([curve.auc for curve in curves]))
        numbers["auc_error"] = float(curves[0].auc_error)
    return numbers


def _coverage(clusters: Sequence[Predictions]) -> dict[str, float]:
    """Return the share of truths inside the 68 % interval of draws, by parameter."""
    inside = []
    for found in clusters:
        low, high = np.quantile(found.draws, [0.16, 0.84], axis=1)
        inside.append(((found.truth >= low) & (found.truth <= high)).mean(axis=0))
    mean = np.mean(inside, axis=0)
    return dict(zip(PARAMETER_NAMES, map(float, mean), strict=True))
