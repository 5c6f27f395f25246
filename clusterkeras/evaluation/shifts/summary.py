"""What domain shifts do to a model, as numbers, a table and a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clusterkeras.diagnostics.metrics import classification, coverage
from clusterkeras.diagnostics.metrics.groups import paired_difference
from clusterkeras.diagnostics.metrics.scores import (
    NegativeLogProbability,
    negative_log_probability,
)
from clusterkeras.diagnostics.plots.recovery import MARKERS, STYLES
from clusterkeras.evaluation.numbers.presence import FALSE_ALARMS, flagged_share
from clusterkeras.evaluation.shifts.kinds import NOMINAL, SHIFTS
from clusterkeras.evaluation.words.card import errors_from
from clusterkeras.evaluation.words.markdown import markdown_table
from data_tools.running.output import whole_path
from data_tools.running.plain_files import write_json, write_text
from data_tools.schema import PARAMETERS

_LEVEL = 0.68


@dataclass(frozen=True)
class Scores:
    """What a model says of N records, in as few numbers as the report needs.

    Attributes
    ----------
    mock_id, field_id : ndarray of int, shape (N,)
        Numbers of the record and of its field.
    is_cluster : ndarray of bool, shape (N,)
        Whether a cluster stands in the middle.
    truth : ndarray, shape (N, P)
        Its parameters.
    log_prob : ndarray, shape (N,)
        Natural log of the posterior's density there, native units.
    pit : ndarray, shape (N, P)
        Probability integral transform of the truth.
    p_cluster : ndarray, shape (N,)
        Probability of a cluster.
    unlike : ndarray, shape (N,)
        log10 of the share of the mocks that are further out; NaN for a model without.
    """

    mock_id: NDArray[np.int64]
    field_id: NDArray[np.int64]
    is_cluster: NDArray[np.bool_]
    truth: NDArray[np.floating]
    log_prob: NDArray[np.floating]
    pit: NDArray[np.floating]
    p_cluster: NDArray[np.floating]
    unlike: NDArray[np.floating]


def summarise_shifts(
    scores: Mapping[str, Scores], left_out: Mapping[str, str]
) -> dict[str, Any]:
    """Summarise what every shift does.

    Parameters
    ----------
    scores : mapping of str to Scores
        By the name of the shift; the nominal set among them.
    left_out : mapping of str to str
        Why a shift could not be made.

    Returns
    -------
    dict
        ``false_alarms``; ``shifts``: of each a dictionary with ``name``,
        ``description``, ``n_clusters``, ``n_fields`` (errors are by their scatter),
        ``nll`` and ``delta_nll`` with their errors [nats], ``n_not_finite`` (truths
        ruled out, which these leave out), ``paired`` (whether the difference is that of
        the same clusters), ``coverage_68`` by parameter and ``coverage_68_error``,
        ``presence_auc`` and its error, ``flagged`` and ``flagged_error`` (share of all
        records); ``left_out``: name, description and reason.
    """
    rows = []
    for shift in SHIFTS:
        if shift.name not in scores:
            continue
        found = scores[shift.name]
        row = {
            "name": shift.name,
            "description": shift.description,
            **flagged_share(found.unlike, found.field_id),
        }
        if shift.has_truth:
            row |= _scored(found, scores[NOMINAL])
        rows.append(row)
    descriptions = {shift.name: shift.description for shift in SHIFTS}
    return {
        "false_alarms": FALSE_ALARMS,
        "shifts": rows,
        "left_out": [
            {"name": name, "description": descriptions[name], "reason": reason}
            for name, reason in left_out.items()
        ],
    }


def difference(found: Scores, nominal: Scores) -> tuple[float, float, bool]:
    """Return by how much minus the log-probability is higher than in the nominal set.

    Returns
    -------
    mean, error : float
        In nats, over the clusters whose truth neither rules out. The records of a field
        share it, so the error is by the scatter of fields.
    paired : bool
        Whether both sets have the same clusters; if not, the error is that of two
        independent means.
    """
    one, other = found.is_cluster, nominal.is_cluster
    paired = np.array_equal(found.mock_id[one], nominal.mock_id[other]) and np.allclose(
        found.truth[one], nominal.truth[other]
    )
    fields = found.field_id[one]
    if paired:
        gain = paired_difference(nominal.log_prob[other], found.log_prob[one], fields)
        return gain.mean, gain.error, True
    first, second = (_loss(s) for s in (found, nominal))
    error = np.hypot(first.standard_error, second.standard_error)
    return first.mean - second.mean, float(error), False


def _loss(found: Scores) -> NegativeLogProbability:
    rows = found.is_cluster
    return negative_log_probability(found.log_prob[rows], found.field_id[rows])


def _scored(found: Scores, nominal: Scores) -> dict[str, Any]:
    clusters = found.is_cluster
    fields = found.field_id[clusters]
    loss = _loss(found)
    delta, error, paired = difference(found, nominal)
    inside = coverage.in_central(found.pit[clusters], _LEVEL)
    errors = coverage.coverage_error(inside, _LEVEL, fields)
    names = [p.name for p in PARAMETERS]
    row = {
        "n_clusters": int(clusters.sum()),
        "n_fields": len(np.unique(fields)),
        "nll": loss.mean,
        "nll_error": loss.standard_error,
        "n_not_finite": loss.n_not_finite,
        "delta_nll": delta,
        "delta_nll_error": error,
        "paired": paired,
        "coverage_68": dict(zip(names, inside.mean(axis=0), strict=True)),
        "coverage_68_error": dict(zip(names, errors, strict=True)),
    }
    if not clusters.all():
        roc = classification.roc_curve(clusters, found.p_cluster, found.field_id)
        row |= {"presence_auc": roc.auc, "presence_auc_error": roc.auc_error}
    return row


def shift_table(report: Mapping[str, Any]) -> str:
    """Write the shifts as a Markdown table, and below it what could not be made.

    Parameters
    ----------
    report : mapping
        What `summarise_shifts` returns, with NaN or None where there is no number.
    """
    labels = [p.label for p in PARAMETERS]
    head = ["what is changed", "-log p [nats]", "against nominal", *labels]
    rows = []
    for row in report["shifts"]:
        cells = [row["description"]]
        if "nll" in row:
            covered = [f"{row['coverage_68'][p.name]:.2f}" for p in PARAMETERS]
            gap = f"{row['delta_nll']:+.3f} ± {row['delta_nll_error']:.3f}"
            gap += "" if row["paired"] else " (unpaired)"
            gap = "" if row["name"] == NOMINAL else gap
            lost = f", {row['n_not_finite']} lost" if row["n_not_finite"] else ""
            loss = f"{row['nll']:.3f} ± {row['nll_error']:.3f}{lost}"
            cells += [loss, gap, *covered]
            auc = row.get("presence_auc")
            error = row.get("presence_auc_error")
            cells.append("" if auc is None else f"{auc:.3f} ± {error:.3f}")
        else:
            cells += [""] * (3 + len(labels))
        flagged = row["flagged"]
        missing = flagged is None or np.isnan(flagged)
        error = row["flagged_error"]
        cells.append("" if missing else f"{flagged:.1%} ± {error:.1%}")
        rows.append(cells)
    nominal = report["shifts"][0]
    errors = nominal["coverage_68_error"].values()
    lines = [
        markdown_table([*head, "AUC", "flagged"], rows),
        "",
        "In the columns of the parameters: share of the truths inside the central 68 % "
        f"interval; a perfect posterior's scatters by up to {max(errors):.3f}. "
        "Flagged: share of all images called unlike the mocks, at "
        f"{report['false_alarms']:.0%} of false alarms. "
        f"{errors_from(nominal['n_fields'])}",
    ]
    if report["left_out"]:
        lines += ["", "Not made:", ""]
        lines += [f"- {r['description']}: {r['reason']}" for r in report["left_out"]]
    return "\n".join(lines)


def draw_shifts(report: Mapping[str, Any]) -> Figure:
    """Draw the loss, the coverage and the share flagged of every shift, side by side.

    Parameters
    ----------
    report : mapping
        What `summarise_shifts` returns.
    """
    rows = report["shifts"]
    figure = Figure(figsize=(12, 1.2 + 0.34 * len(rows)), layout="constrained")
    loss, inside, flagged = figure.subplots(1, 3, sharey=True)
    places = np.arange(len(rows))
    scored = [(y, row) for y, row in enumerate(rows) if "nll" in row]
    # linear near zero, where most are
    loss.set_xscale("symlog", linthresh=0.1)
    for y, row in scored:
        loss.errorbar(
            row["delta_nll"], y, xerr=row["delta_nll_error"], fmt="o", color="black"
        )
    loss.axvline(0, color="0.6", linewidth=1)
    loss.set_xlabel("-log p against nominal [nats]")
    noise = 2 * max(rows[0]["coverage_68_error"].values())
    inside.axvspan(_LEVEL - noise, _LEVEL + noise, color="0.9")
    for i, parameter in enumerate(PARAMETERS):
        inside.plot(
            [row["coverage_68"][parameter.name] for _, row in scored],
            [y for y, _ in scored],
            MARKERS[i],
            color=STYLES[i]["color"],
            fillstyle="none",
            label=parameter.label,
        )
    inside.set_xlabel("share inside the 68 % interval; grey: perfect, 95 %")
    inside.legend(fontsize="small")
    shares = [np.nan if row["flagged"] is None else row["flagged"] for row in rows]
    flagged.barh(places, shares, color="0.6")
    flagged.axvline(report["false_alarms"], color="black", linewidth=1)
    flagged.set(xlim=(0, 1), xlabel="share called unlike the mocks; line: false alarms")
    loss.set_yticks(places, [row["name"] for row in rows])
    loss.invert_yaxis()
    return figure


def write_shifts(report: Mapping[str, Any], output: Path) -> None:
    """Write ``shifts.json``, ``shifts.md`` and ``shifts.png``.

    Parameters
    ----------
    report : mapping
        What `summarise_shifts` returns, as plain values.
    output : Path
        A directory that exists.
    """
    write_text(output / "shifts.md", shift_table(report))
    with whole_path(output / "shifts.png") as path:
        draw_shifts(report).savefig(path, dpi=110)
    # last, so that a shifts.json says that all is there
    write_json(output / "shifts.json", report)
