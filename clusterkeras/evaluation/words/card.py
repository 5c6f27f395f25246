"""The numbers of an evaluation as Markdown tables, for a model card or a README."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from clusterkeras.diagnostics.metrics import limits
from clusterkeras.evaluation.numbers import strata
from clusterkeras.evaluation.numbers.presence import SHARE_ON_MOSAIC
from clusterkeras.evaluation.numbers.strata import published_row
from clusterkeras.evaluation.words import methods
from clusterkeras.evaluation.words.markdown import markdown_table, number
from data_tools.records.plan import FIELDS_TO_JUDGE_BY
from data_tools.schema import PARAMETERS


def errors_from(n_fields: int) -> str:
    """Say by how many fields errors are, and how sure they are where these are few.

    A standard deviation of k normal numbers is itself off by 1 / sqrt(2 (k - 1)) of it.

    Parameters
    ----------
    n_fields : int
        Fields with a cluster.
    """
    if n_fields < 2:
        return (
            "**One field alone: all errors are as of independent clusters, and too "
            f"small; {FIELDS_TO_JUDGE_BY} fields tell.**"
        )
    said = f"Errors (±) are by the scatter of {n_fields} fields, as under a bootstrap."
    if n_fields >= FIELDS_TO_JUDGE_BY:
        return said
    return (
        f"{said} **These are fewer than {FIELDS_TO_JUDGE_BY}: the errors themselves "
        f"are unsure by {1 / math.sqrt(2 * (n_fields - 1)):.0%}.**"
    )


def _error(row: Mapping[str, Any], name: str, how: str) -> str:
    """Write the error of a number as what follows it; nothing where it has none."""
    error = row.get(f"{name}_error")
    return "" if error is None else f" ± {error:{how}}"


def _unit(unit: str) -> str:
    return "dex" if unit.startswith("dex") else unit


def parameter_table(stratum: dict[str, Any], thresholds: dict[str, float]) -> str:
    """Write how well each parameter is recovered.

    Parameters
    ----------
    stratum : dict
        ``posterior.overall`` of ``metrics.json``, or one of its strata.
    thresholds : dict of str to float
        ``catastrophic_thresholds`` of the same file.

    Returns
    -------
    str
        A Markdown table, a row a parameter.
    """
    rows = []
    for parameter in PARAMETERS:
        score = stratum["parameters"][parameter.name]
        # numbers of before have errors as of independent clusters: not told
        errors = score if _by_fields(stratum) else {}
        unit = _unit(parameter.unit)
        rows.append(
            [
                f"{parameter.label} [{unit}]",
                f"{score['bias']:+.2f}{_error(errors, 'bias', '.1g')}",
                f"{score['scatter']:.2f}{_error(errors, 'scatter', '.1g')}",
                f"{score['coverage_68']:.1%}{_error(errors, 'coverage_68', '.1%')}",
                f"{score['coverage_95']:.1%}{_error(errors, 'coverage_95', '.1%')}",
                f"{score['catastrophic_fraction']:.1%}"
                f"{_error(errors, 'catastrophic_fraction', '.1%')} beyond "
                f"{thresholds[parameter.name]:g} {unit}",
            ]
        )
    head = ["", "bias", "scatter", "in the 68 % interval", "in the 95 % interval"]
    return markdown_table([*head, "far off"], rows)


def _by_fields(stratum: Mapping[str, Any]) -> bool:
    """Return whether a row's errors are by the scatter of fields."""
    return "n_fields" in stratum


def sharpness(found: Mapping[str, Any]) -> str:
    """Say how much a model knows that the prior does not, and if it is next to nothing.

    Parameters
    ----------
    found : mapping
        ``sharpness`` of ``metrics.json``; widths of an evaluation that had none are
        None.
    """
    widths = ", ".join(
        f"{parameter.label} {found['width_over_prior'][parameter.name]:.2f}"
        for parameter in PARAMETERS
        if found["width_over_prior"][parameter.name] is not None
    )
    told = f"; 68 % intervals as parts of the prior's: {widths}" if widths else ""
    said = [
        f"Beside the prior: {number(found['gain_over_prior'], '.2f')} ± "
        f"{number(found['gain_error'], '.2f')} nats gained{told}."
    ]
    if found["auc"] is not None:
        taken = found["taken_on_mosaic"]
        told = (
            ""
            if taken is None
            else f"; where {SHARE_ON_MOSAIC:.0%} of the candidates are clusters, "
            f"{taken:.1%} of them reach p_cluster 0.5"
        )
        said.append(f"Cluster or not: AUC {found['auc']:.3f} (guessing: 0.5){told}.")
    gain, error = found["gain_over_prior"], found["gain_error"]
    if gain is not None and gain < -2 * (error or 0.0):
        said.append(
            "**Worse than the prior**: it is sure of what is not so. Far too few mocks "
            "or epochs, or a set of another kind than it was trained on."
        )
    unknown = [p.label for p in PARAMETERS if p.name in found["unknown"]]
    if unknown:
        said.append(
            f"**Next to nothing that the prior does not say: {', '.join(unknown)}.** "
            "That limits of calibration are kept means little here: the prior, too, "
            "keeps them all. More mocks, more epochs, or the images don't show it."
        )
    if found["knows_presence"] is False:
        said.append(
            "**It hardly tells clusters from look-alikes**: on a mosaic next to no "
            "candidate will reach p_cluster 0.5. More mocks, or more epochs."
        )
    return "\n".join(said)


def _joint(stratum: dict[str, Any]) -> str:
    joint = stratum["tarp"]
    return f"{joint['max_deviation']:.3f} ({joint['max_deviation_noise']:.3f})"


def limits_table(metrics: dict[str, Any]) -> str:
    """Write what misses its limit, and the limits of all clusters, what fails first.

    Parameters
    ----------
    metrics : dict
        Content of ``metrics.json``.

    Returns
    -------
    str
        A Markdown table: N, how far from calibrated, how far it may be, and what 95 of
        100 perfect posteriors stay below with so many clusters.
    """
    verdicts = [limits.Verdict(**v) for v in metrics["posterior"]["verdicts"]]
    rows = [
        [
            "pass" if v.ok else "**FAIL**",
            v.stratum,
            str(v.n),
            limits.describe(v).replace("|", "\\|"),
            f"{v.deviation:+.3f}",
            f"{v.limit:.3f}",
            f"{v.noise:.3f}",
        ]
        for v in limits.worth_telling(verdicts)
    ]
    head = ["", "clusters", "N", "what", "deviation", "limit", "perfect, 95 %"]
    return markdown_table(head, rows)


def strata_table(metrics: dict[str, Any]) -> str:
    """Write calibration in strata of the prediction and of crowding.

    What misses its limit comes first, then what is worst.

    Parameters
    ----------
    metrics : dict
        Content of ``metrics.json``.

    Returns
    -------
    str
        A Markdown table: N, mean negative log-probability in nats, information gained
        over the prior in nats, largest abs(ECP - alpha) of the joint with what 95 of
        100 perfect posteriors stay below, and the share of truths in each 68 %
        interval.
    """
    rows = []
    predicted = metrics["posterior"]["strata"]["predicted"]
    for stratum in strata.worst_calibrated_first(predicted):
        score, known = stratum["negative_log_probability"], _by_fields(stratum)
        rows.append(
            [
                stratum["label"],
                str(stratum["n"]),
                f"{score['mean']:.2f}"
                + _error(score if known else {}, "standard", ".2f"),
                f"{score['gain_over_prior']:.2f}",
                _joint(stratum),
                *(
                    f"{score['coverage_68']:.1%}"
                    f"{_error(score if known else {}, 'coverage_68', '.1%')}"
                    for score in stratum["parameters"].values()
                ),
                f"{stratum['worst_coverage']['sigmas']:+.1f}",
            ]
        )
    head = ["predicted", "N", "-log p", "gain", "joint (perfect)"]
    head += [p.label for p in PARAMETERS]
    return markdown_table([*head, "worst, sigma"], rows)


def presence_table(metrics: dict[str, Any]) -> str:
    """Write how well clusters are told from each kind of look-alike.

    Parameters
    ----------
    metrics : dict
        Content of ``metrics.json``.

    Returns
    -------
    str
        A Markdown table: N, area under the ROC curve, the share of that kind that
        passes where 90 % of the clusters do, and the purity there, among all clusters
        and that kind alone.
    """
    presence = metrics["presence"]
    point = presence["at_90_completeness"]
    known = _by_fields(metrics["posterior"]["overall"])
    everything = {
        "n_others": presence["n_others"],
        "auc": presence["auc"],
        "auc_error": presence["auc_error"],
        "false_positive_rate": point["false_positive_rate"],
        "purity_at_90_completeness": point["purity"],
    }
    kinds = sorted(presence["by_kind"].items(), key=lambda item: item[1]["auc"])
    rows = [
        [
            kind,
            str(s["n_others"]),
            f"{s['auc']:.3f}{_error(s if known else {}, 'auc', '.3f')}",
            f"{s['false_positive_rate']:.1%}",
            f"{s['purity_at_90_completeness']:.1%}",
        ]
        for kind, s in [*kinds, ("all", everything)]
    ]
    head = ["look-alike", "N", "AUC", "pass where 90 % of clusters do"]
    return markdown_table([*head, "purity there"], rows)


def presence_strata_table(metrics: dict[str, Any]) -> str:
    """Write how well clusters of each visibility and crowding are told from the rest.

    Parameters
    ----------
    metrics : dict
        Content of ``metrics.json``.

    Returns
    -------
    str
        A Markdown table: numbers of clusters and of look-alikes, area under the ROC
        curve, completeness at the threshold that keeps 90 % of all clusters, and purity
        at the one that keeps 90 % of these.
    """
    presence = metrics["presence"]
    known = _by_fields(metrics["posterior"]["overall"])
    rows = [
        [
            s["label"],
            str(s["n_clusters"]),
            str(s["n_others"]),
            f"{s['auc']:.3f}{_error(s if known else {}, 'auc', '.3f')}",
            f"{s['completeness']:.1%}",
            f"{s['purity_at_90_completeness']:.1%}",
        ]
        for s in presence["by_log_snr"] + presence["by_crowding"]
        if "auc" in s
    ]
    head = ["true visibility, crowding", "clusters", "look-alikes", "AUC"]
    return markdown_table([*head, "completeness", "purity at own 90 %"], rows)


def visibility_table(metrics: dict[str, Any]) -> str:
    """Write how well the visibility is recovered, in dex.

    Parameters
    ----------
    metrics : dict
        Content of ``metrics.json``.

    Returns
    -------
    str
        A Markdown table: N, bias, scatter and the share in the 68 % interval, over all
        objects, clusters alone, and by predicted visibility and crowding.
    """
    seen = metrics["visibility"]
    parts = [("all objects", seen["objects"]), ("clusters", seen["clusters"])]
    parts += [
        (s["label"], s) for s in seen["by_predicted_log_snr"] + seen["by_crowding"]
    ]
    rows = [
        [
            label,
            str(s["n"]),
            f"{s['bias']:+.3f}{_error(s, 'bias', '.3f')}",
            f"{s['scatter']:.3f}{_error(s, 'scatter', '.3f')}",
            f"{s['coverage_68']:.1%}{_error(s, 'coverage_68', '.1%')}",
        ]
        for label, s in parts
        if s["n"]
    ]
    head = ["predicted visibility, crowding", "N", "bias [dex]", "scatter [dex]"]
    return markdown_table([*head, "in the 68 % interval"], rows)


def unlike_part(unlike: dict[str, Any]) -> list[str]:
    """Say which mocks are called unlike the mocks; nothing for a model without a score.

    Parameters
    ----------
    unlike : dict
        ``unlike_mocks`` of ``metrics.json``.

    Returns
    -------
    list of str
        Heading and paragraph.
    """
    flagged = unlike["all"]["flagged"]
    if flagged is None:
        return []
    kinds = sorted(unlike["by_kind"].items(), key=lambda item: -item[1]["flagged"])
    shares = ", ".join(f"{kind} {row['flagged']:.1%}" for kind, row in kinds)
    return [
        "### Unlike the mocks",
        f"At {unlike['false_alarms']:.0%} of false alarms {flagged:.1%} of all records "
        f"have the flag: {shares}.",
    ]


def outside_bands(posterior: dict[str, Any]) -> str:
    """Say whose ranks are not uniform: the sharpest test, which has no limit.

    Parameters
    ----------
    posterior : dict
        ``posterior`` of ``metrics.json``.
    """
    curves = {p.label: posterior["ranks"][p.name] for p in PARAMETERS} | {
        "the joint (TARP)": posterior["joint"]["tarp"],
        "the joint (highest density)": posterior["joint"]["hpd"],
    }
    outside = [name for name, curve in curves.items() if not curve["band"]["ok"]]
    return (
        "Ranks that leave the band in which 95 of 100 perfect posteriors stay: "
        f"{', '.join(outside) or 'none'}."
    )


def fields_part(fields: dict[str, Any]) -> list[str]:
    """Say whether the clusters of one field err together; nothing for too few fields.

    Parameters
    ----------
    fields : dict
        ``posterior.fields`` of ``metrics.json``.

    Returns
    -------
    list of str
        Paragraphs.
    """
    if any(found["rank"] is None for found in fields.values()):
        return []
    ranks = [fields[parameter.name]["rank"] for parameter in PARAMETERS]
    shown = ", ".join(
        f"{parameter.label} {rank['dispersion']:.2f}"
        for parameter, rank in zip(PARAMETERS, ranks, strict=True)
    )
    return [
        f"Variance of the mean rank between the {ranks[0]['n_groups']} fields over "
        "that of independent clusters (in 95 % of sets below "
        f"{ranks[0]['noise']:.2f}): "
        f"{shown}. Above it, clusters of one field err together, and numbers over few "
        "fields scatter by more than their N says."
    ]


def tables(metrics: dict[str, Any]) -> str:
    """Write all tables of an evaluation, with a heading each, what fails first.

    Before them stands how much the model knows: a model that is no sharper than the
    prior is as well calibrated.

    Parameters
    ----------
    metrics : dict
        Content of ``metrics.json``.
    """
    thresholds = metrics["catastrophic_thresholds"]
    posterior = metrics["posterior"]
    overall, joint = posterior["overall"], posterior["joint"]["tarp"]
    score = overall["negative_log_probability"]
    verdicts = [limits.Verdict(**v) for v in posterior["verdicts"]]
    passed = len(verdicts) - len(limits.worth_telling(verdicts))
    parts = [
        "### What it knows",
        sharpness(metrics["sharpness"]),
        *([errors_from(overall["n_fields"])] if _by_fields(overall) else []),
        f"### Calibration: {limits.headline(verdicts)}",
        limits_table(metrics),
        f"The joint of {passed} other strata passes. Where chance does more than to "
        f"{limits.Limits().least_n} independent clusters, what 95 of 100 perfect "
        "posteriors stay below is added to the limit.",
        f"### All {overall['n']} clusters",
        f"Mean negative log-probability {score['mean']:.2f} nats (prior "
        f"{score['prior']:.2f}). Joint calibration (TARP): max |ECP - alpha| "
        f"{joint['max_deviation']:.3f}; a perfect posterior stays below "
        f"{joint['max_deviation_noise']:.3f} in 95 % of such sets. The same "
        "of its regions of highest density: "
        f"{posterior['joint']['hpd']['max_deviation']:.3f}.",
        parameter_table(overall, thresholds),
        outside_bands(posterior),
        *fields_part(posterior["fields"]),
    ]
    regime = published_row(posterior)
    if regime["n"]:
        score = regime["negative_log_probability"]
        parts += [
            f"### Published regime, {regime['n']} clusters",
            "True age < 100 Myr, A_V < 3, 3,000 to 300,000 Msun, visibility S/N "
            "> 10. Cut in the truth, so not even a perfect posterior covers "
            "exactly 68 and 95 %. Mean negative log-probability "
            f"{score['mean']:.2f} nats.",
            parameter_table(regime, thresholds),
        ]
    parts += ["### Calibration by stratum, worst first", strata_table(metrics)]
    if metrics["presence"] is not None:
        parts += [
            "### Cluster or not",
            presence_table(metrics),
            presence_strata_table(metrics),
        ]
    parts += ["### Visibility", visibility_table(metrics)]
    parts += unlike_part(metrics["unlike_mocks"])
    parts += methods.classical_part(metrics)
    return "\n\n".join(parts)
