"""What a model says beside the posterior: a cluster or not, how visible, how usual."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from clusterkeras.config import InferenceConfig
from clusterkeras.diagnostics.metrics import (
    classification,
    coverage,
    groups,
    scores,
)
from clusterkeras.diagnostics.metrics.coverage import LEVELS
from clusterkeras.evaluation.numbers import strata
from clusterkeras.evaluation.numbers.posterior import covered, errors_of
from clusterkeras.evaluation.numbers.predictions import Predictions
from data_tools.schema import KINDS

#: Share of false alarms at which a record counts as unlike the mocks, the catalogue's.
FALSE_ALARMS = InferenceConfig().unlike_share

#: Share of the clusters that the quoted purity is for.
COMPLETENESS = 0.9

#: Share of clusters among a mosaic's candidates that `p_cluster` is also told for: what
#: `detect` finds in M83's disc.
SHARE_ON_MOSAIC = 0.03

#: A parameter whose 68 % interval is longer than this part of the prior's is called
#: unknown; all are where less than so many nats are gained over the prior.
MOST_WIDTH = 0.8
LEAST_GAIN = 1.0

#: Below this area under the ROC curve, or this share of clusters that would be taken
#: for one on a mosaic, presence is called undecided.
LEAST_AUC = 0.75
LEAST_TAKEN = 0.02


def presence_report(predictions: Predictions) -> dict[str, Any] | None:
    """Summarise how well `p_cluster` tells clusters from the rest.

    Strata of visibility take the clusters of one bin against all negatives, strata of
    kind all clusters against the negatives of one kind, strata of crowding both in one
    bin; the threshold is that of 90 % completeness over all clusters, only
    ``purity_at_90_completeness`` has the stratum's own. ``on_mosaic`` is the share of
    clusters with `p_cluster` of 0.5 or more where clusters are as rare as among a
    mosaic's candidates. None if one class is missing.
    """
    truth, probability = predictions.is_cluster, predictions.p_cluster
    fields = predictions.field_id
    if truth.all() or not truth.any():
        return None
    roc = classification.roc_curve(truth, probability, fields)
    point = classification.purity_at_completeness(truth, probability, COMPLETENESS)

    def against(clusters: NDArray[np.bool_], others: NDArray[np.bool_]) -> dict:
        rows = clusters | others
        found: dict[str, Any] = {
            "n_clusters": int(clusters.sum()),
            "n_others": int(others.sum()),
        }
        if found["n_clusters"] and found["n_others"]:
            part = classification.roc_curve(
                clusters[rows], probability[rows], fields[rows]
            )
            own = classification.purity_at_completeness(
                clusters[rows], probability[rows], COMPLETENESS
            )
            found |= {
                "auc": part.auc,
                "auc_error": part.auc_error,
                "completeness": np.mean(probability[clusters] >= point.threshold),
                "false_positive_rate": np.mean(probability[others] >= point.threshold),
                "purity_at_90_completeness": own.purity,
            }
        return found

    return {
        "n_clusters": roc.n_positive,
        "n_others": roc.n_negative,
        "auc": roc.auc,
        "auc_error": roc.auc_error,
        "average_purity": classification.purity_curve(
            truth, probability
        ).average_purity,
        "at_90_completeness": dataclasses.asdict(point),
        "on_mosaic": {
            "share": SHARE_ON_MOSAIC,
            "taken": np.mean(
                classification.odds_gained(probability[truth], truth.mean())
                >= (1 - SHARE_ON_MOSAIC) / SHARE_ON_MOSAIC
            ),
        },
        "probabilities": dataclasses.asdict(
            classification.check_probabilities(truth, probability, group=fields)
        ),
        "by_log_snr": [
            {"label": s.label, "low": s.low, "high": s.high}
            | against(truth & s.rows, ~truth)
            for s in strata.bins("log_snr", predictions.log_snr)
        ],
        "by_crowding": [
            {"label": s.label, "low": s.low, "high": s.high}
            | against(truth & s.rows, ~truth & s.rows)
            for s in strata.bins("crowding", predictions.crowding)
        ],
        "by_kind": {
            name: against(truth, predictions.kind == index)
            for index, name in enumerate(KINDS)
            if index and np.any(predictions.kind == index)
        },
    }


def sharpness_report(
    overall: Mapping[str, Any], presence: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Say how much a model knows that the prior does not.

    Calibration cannot: the prior itself keeps every limit.

    Parameters
    ----------
    overall : mapping
        Row of all clusters, of `stratum_row`.
    presence : mapping, optional
        `presence_report`.

    Returns
    -------
    dict of str to Any
        ``gain_over_prior`` in nats and its standard error; ``width_over_prior``, the
        median length of each parameter's 68 % interval over the prior's; ``auc``, where
        0.5 is guessing, and ``taken_on_mosaic``, as in `presence_report`;
        ``unknown``, the parameters of which that is next to nothing, and
        ``knows_presence``. None of presence where there is no report of it.
    """
    score = overall["negative_log_probability"]
    nothing = not score["gain_over_prior"] >= LEAST_GAIN
    found: dict[str, Any] = {
        "gain_over_prior": score["gain_over_prior"],
        "gain_error": score["standard_error"],
        "width_over_prior": {
            name: row["width_over_prior"] for name, row in overall["parameters"].items()
        },
        "unknown": [
            name
            for name, row in overall["parameters"].items()
            if nothing or row["width_over_prior"] > MOST_WIDTH
        ],
        **dict.fromkeys(("auc", "taken_on_mosaic", "knows_presence")),
    }
    if presence is not None:
        auc, taken = presence["auc"], presence["on_mosaic"]["taken"]
        found |= {
            "auc": auc,
            "taken_on_mosaic": taken,
            "knows_presence": bool(auc >= LEAST_AUC and taken >= LEAST_TAKEN),
        }
    return found


def visibility_report(predictions: Predictions) -> dict[str, Any]:
    """Summarise the visibility where there is an object: all, clusters, by stratum."""

    def part(rows: NDArray[np.bool_]) -> dict[str, Any]:
        true, mean = predictions.log_snr[rows], predictions.visibility_mean[rows]
        pit = stats.norm.cdf(true, mean, predictions.visibility_std[rows])
        fields = predictions.field_id[rows]
        errors = errors_of(mean - true, fields)
        return {
            "n": len(true),
            "bias": scores.bias(true, mean),
            "bias_error": errors["bias"],
            "scatter": scores.robust_scatter(true, mean),
            "scatter_error": errors["scatter"],
            **covered([coverage.in_central(pit, level) for level in LEVELS], fields),
        }

    seen = predictions.has_object
    return {
        "objects": part(seen),
        "clusters": part(predictions.is_cluster),
        "by_predicted_log_snr": [
            {"label": s.label, "low": s.low, "high": s.high} | part(seen & s.rows)
            for s in strata.bins("log_snr", predictions.visibility_mean)
        ],
        "by_true_log_snr": [
            {"label": s.label, "low": s.low, "high": s.high} | part(seen & s.rows)
            for s in strata.bins("log_snr", predictions.log_snr)
        ],
        "by_crowding": [
            {"label": s.label, "low": s.low, "high": s.high} | part(seen & s.rows)
            for s in strata.bins("crowding", predictions.crowding)
        ],
    }


def flagged_share(
    unlike_mocks: NDArray[np.floating], field_id: NDArray[np.int64]
) -> dict[str, float]:
    """Return the share of records called unlike the mocks, as a catalogue calls them.

    Parameters
    ----------
    unlike_mocks, field_id : ndarray, shape (N,)
        As in `Predictions`.

    Returns
    -------
    dict of str to float
        ``flagged`` and ``flagged_error``, its standard error; NaN if one is NaN.
    """
    if not len(unlike_mocks) or np.isnan(unlike_mocks).any():
        return {"flagged": np.nan, "flagged_error": np.nan}
    flagged = 10.0**unlike_mocks < FALSE_ALARMS
    error = groups.clustered_error(flagged, field_id)
    return {"flagged": float(flagged.mean()), "flagged_error": float(error)}


def unlike_report(predictions: Predictions) -> dict[str, Any]:
    """Summarise which records are called unlike the mocks: all, and by kind."""

    def part(rows: NDArray[np.bool_]) -> dict[str, float]:
        return flagged_share(predictions.unlike_mocks[rows], predictions.field_id[rows])

    return {
        "false_alarms": FALSE_ALARMS,
        "all": part(np.ones(len(predictions), bool)),
        "by_kind": {
            name: part(predictions.kind == index)
            for index, name in enumerate(KINDS)
            if np.any(predictions.kind == index)
        },
    }
