"""How good the posteriors of clusters are: all, by stratum, and between fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterkeras.diagnostics.metrics import (
    bands,
    coverage,
    groups,
    limits,
    scores,
    tarp,
)
from clusterkeras.diagnostics.metrics.coverage import LEVELS
from clusterkeras.evaluation.numbers import strata
from clusterkeras.evaluation.numbers.predictions import Predictions
from data_tools.schema import PARAMETER_NAMES

#: |median - truth| beyond which an estimate is called catastrophic: a factor of 10 in
#: age, 1 mag in A_V, a factor of 3 in mass, a factor of 2 in size.
CATASTROPHIC: dict[str, float] = {
    "log_age": 1.0,
    "a_v": 1.0,
    "log_mass": 0.5,
    "log_half_light_radius": 0.3,
}

#: Levels of TARP's curve in the report.
_ALPHA = np.arange(1, 10) / 10

Box = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class ClusterScores:
    """What each of N clusters adds to the report.

    Attributes
    ----------
    truth, median, pit, crps : ndarray, shape (N, P)
        Truth, median of the draws, and the scores of each marginal.
    width : ndarray, shape (N, P)
        Length of the central 68 % interval over that under the flat prior, 1 where
        nothing was learnt.
    log_prob, hpd, tarp, energy : ndarray, shape (N,)
        Scores of the joint; the last with parameters in units of the box.
    field_id : ndarray of int, shape (N,)
        Field of each cluster: those of one err together, and errors know it.
    n_draws : int
        Draws behind each.
    """

    truth: NDArray[np.floating]
    median: NDArray[np.floating]
    pit: NDArray[np.float64]
    crps: NDArray[np.float64]
    width: NDArray[np.float64]
    log_prob: NDArray[np.floating]
    hpd: NDArray[np.float64]
    tarp: NDArray[np.float64]
    energy: NDArray[np.float64]
    field_id: NDArray[np.int64]
    n_draws: int


def score_clusters(clusters: Predictions, box: Box, seed: int = 0) -> ClusterScores:
    """Score each cluster's posterior.

    Parameters
    ----------
    clusters : Predictions
        Records with a cluster only.
    box : mapping of str to (float, float)
        Range of each parameter.
    seed : int
        Seed of TARP's reference points, and of places among equals.
    """
    low, high = _edges(box)
    truth, draws = clusters.truth, clusters.draws
    references = tarp.reference_points(
        len(clusters), low, high, np.random.default_rng(seed)
    )
    # a density that is NaN gives the truth no probability either
    log_prob = np.where(np.isnan(clusters.log_prob), -np.inf, clusters.log_prob)
    return ClusterScores(
        truth=truth,
        median=np.median(draws, axis=1),
        pit=coverage.pit(truth, draws),
        crps=scores.crps(truth, draws),
        width=scores.interval_length(draws, LEVELS[0]) / (LEVELS[0] * (high - low)),
        log_prob=log_prob,
        hpd=coverage.hpd_levels(log_prob, clusters.log_prob_draws, seed),
        tarp=tarp.tarp_fractions(truth, draws, references, scale=high - low),
        energy=scores.energy_score(truth, draws, scale=high - low),
        field_id=clusters.field_id,
        n_draws=draws.shape[1],
    )


def cluster_strata(
    clusters: Predictions, scored: ClusterScores
) -> dict[str, list[strata.Stratum]]:
    """Cut the clusters in what is true and in what the model says.

    Only the cuts ``predicted``, in what the model says (medians, mean visibility) and
    in what the image shows (crowding), must show nominal coverage for a perfect
    posterior. Cut in the truth (``true``), even that one is pulled to the middle of the
    prior, and its coverage is off. Crowding is measured on the background without its
    cluster, which the image shows but for the few pixels that the cluster covers.
    """

    def cut(
        parameters: NDArray[np.floating], **values: NDArray[np.floating]
    ) -> list[strata.Stratum]:
        by_name = dict(zip(PARAMETER_NAMES, parameters.T, strict=True))
        return strata.all_strata(by_name | values)

    return {
        "predicted": cut(
            scored.median, log_snr=clusters.visibility_mean, crowding=clusters.crowding
        ),
        "true": cut(scored.truth, log_snr=clusters.log_snr),
    }


def stratum_row(
    scored: ClusterScores, stratum: strata.Stratum, prior: float
) -> dict[str, Any]:
    """Summarise the scores of a stratum's clusters.

    Parameters
    ----------
    scored : ClusterScores
        All clusters.
    stratum : Stratum
        Some of them; possibly none, which gives NaN.
    prior : float
        Negative log-probability of the prior, in nats.
    """
    rows = stratum.rows
    n = int(np.count_nonzero(rows))
    truth, median = scored.truth[rows], scored.median[rows]
    fields = scored.field_id[rows]
    errors = errors_of(median - truth, fields)
    log_score = scores.negative_log_probability(scored.log_prob[rows], fields)
    central = [coverage.in_central(scored.pit[rows], level) for level in LEVELS]
    densest = [scored.hpd[rows] <= level for level in LEVELS]
    row = {
        "label": stratum.label,
        "quantity": stratum.quantity,
        "low": stratum.low,
        "high": stratum.high,
        "n": n,
        "n_fields": len(np.unique(fields)),
        "negative_log_probability": dataclasses.asdict(log_score)
        | {"prior": prior, "gain_over_prior": prior - log_score.mean},
        "energy_score": scored.energy[rows].mean() if n else np.nan,
        "hpd": covered(densest, fields),
        "parameters": {},
    }
    bias = scores.bias(truth, median)
    scatter = scores.robust_scatter(truth, median)
    limits = [CATASTROPHIC[name] for name in PARAMETER_NAMES]
    far = scores.catastrophic_fraction(truth, median, limits)
    far_error = groups.clustered_error(np.abs(median - truth) > limits, fields)
    for p, name in enumerate(PARAMETER_NAMES):
        row["parameters"][name] = {
            "bias": bias[p],
            "bias_error": errors["bias"][p],
            "scatter": scatter[p],
            "scatter_error": errors["scatter"][p],
            **covered([inside[:, p] for inside in central], fields),
            "catastrophic_fraction": far[p],
            "catastrophic_fraction_error": far_error[p],
            "crps": scored.crps[rows, p].mean() if n else np.nan,
            "width_over_prior": np.median(scored.width[rows, p]) if n else np.nan,
        }
    if n:
        row["worst_coverage"] = _worst_coverage(row["parameters"])
        row["tarp"] = dataclasses.asdict(
            tarp.check_tarp(scored.tarp[rows], group=fields)
        )
    return row


def errors_of(
    residual: NDArray[np.floating], fields: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return the errors of `scores.bias` and `scores.robust_scatter`, shape (P,)."""
    residual = residual.astype(np.float64)
    middle = np.median(residual, axis=0) if len(residual) else 0.0
    off = np.abs(residual - middle)
    return {
        "bias": groups.clustered_median_error(residual, fields),
        "scatter": scores.SIGMA_PER_MAD * groups.clustered_median_error(off, fields),
    }


def covered(
    inside: Sequence[NDArray[np.bool_]], fields: NDArray[np.int64]
) -> dict[str, float]:
    """Return the coverage at each of `LEVELS` and its error."""
    found = {}
    for level, truths in zip(LEVELS, inside, strict=True):
        name = f"coverage_{level:.0%}"[:-1]
        found[name] = truths.mean() if len(truths) else np.nan
        found[f"{name}_error"] = coverage.coverage_error(truths, level, fields)
    return found


def _worst_coverage(parameters: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    cells = [(name, level) for name in parameters for level in LEVELS]
    keys = [(name, f"coverage_{level:.0%}"[:-1]) for name, level in cells]
    covered = np.array([parameters[name][key] for name, key in keys])
    errors = [parameters[name][f"{key}_error"] for name, key in keys]
    sigmas = coverage.coverage_sigmas(covered, [level for _, level in cells], errors)
    worst = np.argmax(np.abs(sigmas))
    return {
        "parameter": cells[worst][0],
        "level": cells[worst][1],
        "coverage": covered[worst],
        "sigmas": sigmas[worst],
    }


def posterior_report(
    clusters: Predictions, scored: ClusterScores, box: Box
) -> dict[str, Any]:
    """Summarise the posteriors of all clusters, of every stratum and between fields.

    ``verdicts`` are those of `limits.judge`, what fails first, and each row of the
    strata ``predicted`` says whether it is ``ok``.
    """
    prior = scores.box_log_volume(*_edges(box))
    n = len(clusters)
    everything = strata.Stratum("all", -np.inf, np.inf, np.ones(n, dtype=bool))
    overall = stratum_row(scored, everything, prior)
    rows = {
        by: [stratum_row(scored, stratum, prior) for stratum in cuts]
        for by, cuts in cluster_strata(clusters, scored).items()
    }
    verdicts = limits.judge(overall, rows["predicted"])
    failed = {v.stratum for v in verdicts if not v.ok}
    for row in rows["predicted"]:
        row["ok"] = row["label"] not in failed
    fields = clusters.field_id
    low, high = tarp.bootstrap_coverage(scored.tarp, _ALPHA, group=fields)
    return {
        "verdicts": [dataclasses.asdict(v) for v in verdicts],
        "overall": overall,
        "strata": rows,
        "joint": {
            "tarp": overall["tarp"]
            | {
                "band": _band(scored.tarp, scored),
                "alpha": _ALPHA,
                "ecp": tarp.expected_coverage(scored.tarp, _ALPHA),
                "ecp_low": low,
                "ecp_high": high,
            },
            "hpd": _uniform(scored.hpd, scored),
            "energy_score": overall["energy_score"],
        },
        "ranks": {
            name: _uniform(scored.pit[:, p], scored)
            for p, name in enumerate(PARAMETER_NAMES)
        },
        "fields": {
            name: {
                "rank": _between(scored.pit[:, p], fields),
                "coverage_68": _between(
                    coverage.in_central(scored.pit[:, p], LEVELS[0]), fields
                ),
            }
            for p, name in enumerate(PARAMETER_NAMES)
        },
    }


def _uniform(uniform: NDArray[np.float64], scored: ClusterScores) -> dict[str, Any]:
    check = coverage.check_uniform(uniform, group=scored.field_id)
    return dataclasses.asdict(check) | {"band": _band(uniform, scored)}


def _band(uniform: NDArray[np.float64], scored: ClusterScores) -> dict[str, Any]:
    """Return the verdict of the simultaneous band, without its curves."""
    levels = bands.rank_levels(scored.n_draws)
    check = bands.check_band(uniform, levels, group=scored.field_id)
    return {
        "worst_level": check.worst_level,
        "p_value": check.p_value,
        "ok": check.ok,
    }


def _between(values: NDArray, field_id: NDArray[np.int64]) -> dict[str, Any] | None:
    check = groups.check_groups(values, field_id)
    return None if check is None else dataclasses.asdict(check)


def _edges(box: Box) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    edges = np.array([box[name] for name in PARAMETER_NAMES], dtype=np.float64)
    return edges[:, 0], edges[:, 1]
