"""The numbers of a method, with errors that know of fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterkeras.diagnostics.metrics import coverage, scores, tarp
from clusterkeras.diagnostics.metrics.classification import roc_curve
from clusterkeras.diagnostics.metrics.groups import clustered_error
from clusterkeras.evaluation.numbers.strata import published_regime
from data_tools.schema import PARAMETER_NAMES
from rivals.answer import Answer
from rivals.questions import Questions


def over_fields(values: np.ndarray, field_id: np.ndarray) -> tuple[float, float]:
    """Return the mean of values (N,), and its error by the scatter of fields."""
    return float(values.mean()), float(clustered_error(values, field_id))


def in_regime(questions: Questions) -> NDArray[np.bool_]:
    """Return which clusters the published network is reliable for: (n,) bool."""
    quantities = dict(zip(PARAMETER_NAMES, questions.truth.T, strict=True))
    return published_regime(quantities | {"log_snr": questions.log_snr}).rows


def score(
    seeds: Sequence[Answer], questions: Questions, first: np.ndarray | None
) -> dict[str, Any]:
    """Return the numbers of a method.

    Parameters
    ----------
    seeds : sequence of Answer
        One for each seed.
    questions : Questions
        What they answer.
    first : ndarray (n,) or None
        Log probability of the same clusters under the method it is compared with.

    Returns
    -------
    dict
        ``nll``, ``nll_in_regime``, ``worse_than_first``, ``worse_in_regime``: mean and
        error [nats]; ``seeds``: the mean of each; ``auc`` and ``auc_error``, None from
        a method that knows of clusters only; ``coverage_68`` and, in the regime,
        ``scatter`` (`scores.robust_scatter`) by parameter; ``tarp`` and ``hpd``: the
        largest distance of the joint's coverage from its level, and ``tarp_noise``,
        which 95 of 100 perfect posteriors stay below; all means over seeds.
        ``log_prob``: the mean over seeds (n,).
    """
    fields = questions.fields_of_clusters
    log_prob = np.mean([said.log_prob.astype(float) for said in seeds], axis=0)
    regime = in_regime(questions)

    def mean(values: NDArray) -> dict[str, tuple[float, float] | None]:
        some = over_fields(values[regime], fields[regime]) if regime.any() else None
        return {"all": over_fields(values, fields), "regime": some}

    loss = mean(-log_prob)
    checks = [tarp.check_tarp(said.tarp.astype(float), group=fields) for said in seeds]
    densest = [
        coverage.check_uniform(said.hpd.astype(float), group=fields) for said in seeds
    ]
    numbers: dict[str, Any] = {
        "nll": loss["all"],
        "nll_in_regime": loss["regime"],
        "seeds": [float(-said.log_prob.astype(float).mean()) for said in seeds],
        "auc": None,
        "auc_error": None,
        "coverage_68": _by_parameter(
            coverage.in_central(said.pit.astype(float), 0.68).mean(axis=0)
            for said in seeds
        ),
        "scatter": _by_parameter(
            scores.robust_scatter(0 * part, part)
            for part in (said.residual[regime].astype(float) for said in seeds)
        ),
        "tarp": float(np.mean([check.max_deviation for check in checks])),
        "tarp_noise": float(np.mean([check.max_deviation_noise for check in checks])),
        "hpd": float(np.mean([check.max_deviation for check in densest])),
        "log_prob": log_prob,
    }
    if first is not None:
        worse = mean(first - log_prob)
        numbers["worse_than_first"] = worse["all"]
        numbers["worse_in_regime"] = worse["regime"]
    known = [p for p in (said.p_cluster for said in seeds) if p is not None]
    if known:
        curves = [roc_curve(questions.is_cluster, p, questions.field_id) for p in known]
        numbers["auc"] = float(np.mean([curve.auc for curve in curves]))
        numbers["auc_error"] = float(curves[0].auc_error)
    return numbers


def _by_parameter(of_seeds) -> dict[str, float]:
    mean = np.mean(list(of_seeds), axis=0)
    return dict(zip(PARAMETER_NAMES, map(float, mean), strict=True))
