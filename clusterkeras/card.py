"""The numbers of an evaluation as Markdown tables, for a model card or a README."""

from __future__ import annotations

from typing import Any

from data_tools.schema import PARAMETERS


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(_row(r) for r in [head, ["---"] * len(head), *rows])


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
        unit = _unit(parameter.unit)
        rows.append(
            [
                f"{parameter.label} [{unit}]",
                f"{score['bias']:+.2f}",
                f"{score['scatter']:.2f}",
                f"{score['coverage_68']:.1%}",
                f"{score['coverage_95']:.1%}",
                f"{score['catastrophic_fraction']:.1%} beyond "
                f"{thresholds[parameter.name]:g} {unit}",
            ]
        )
    head = ["", "bias", "scatter", "in the 68 % interval", "in the 95 % interval"]
    return _table([*head, "far off"], rows)


def strata_table(metrics: dict[str, Any]) -> str:
    """Write calibration in strata of the prediction, the worst first.

    Parameters
    ----------
    metrics : dict
        Content of ``metrics.json``.

    Returns
    -------
    str
        A Markdown table: N, mean negative log-probability in nats, information gained
        over the prior in nats, and the share of truths in each 68 % interval.
    """
    strata = [
        s
        for s in metrics["posterior"]["strata"]["predicted"]
        if s.get("worst_coverage")
    ]
    strata.sort(key=lambda s: -abs(s["worst_coverage"]["sigmas"]))
    rows = []
    for stratum in strata:
        score = stratum["negative_log_probability"]
        rows.append(
            [
                stratum["label"],
                str(stratum["n"]),
                f"{score['mean']:.2f}",
                f"{score['gain_over_prior']:.2f}",
                *(
                    f"{stratum['parameters'][p.name]['coverage_68']:.1%}"
                    for p in PARAMETERS
                ),
                f"{stratum['worst_coverage']['sigmas']:+.1f}",
            ]
        )
    head = ["predicted", "N", "-log p", "gain", *(p.label for p in PARAMETERS)]
    return _table([*head, "worst, sigma"], rows)


def presence_table(metrics: dict[str, Any]) -> str:
    """Write how well clusters are told from each kind of look-alike.

    Parameters
    ----------
    metrics : dict
        Content of ``metrics.json``.

    Returns
    -------
    str
        A Markdown table: N, area under the ROC curve, and the share of that kind that
        passes where 90 % of the clusters do.
    """
    presence = metrics["presence"]
    rows = [
        [kind, str(s["n_others"]), f"{s['auc']:.3f}", f"{s['false_positive_rate']:.1%}"]
        for kind, s in presence["by_kind"].items()
    ]
    rows.sort(key=lambda r: float(r[2]))
    overall = presence["at_90_completeness"]["false_positive_rate"]
    rows.append(
        ["all", str(presence["n_others"]), f"{presence['auc']:.3f}", f"{overall:.1%}"]
    )
    return _table(["look-alike", "N", "AUC", "pass where 90 % of clusters do"], rows)


def tables(metrics: dict[str, Any]) -> str:
    """Write all tables of an evaluation, with a heading each.

    Parameters
    ----------
    metrics : dict
        Content of ``metrics.json``.
    """
    thresholds = metrics["catastrophic_thresholds"]
    posterior = metrics["posterior"]
    overall, joint = posterior["overall"], posterior["joint"]["tarp"]
    score = overall["negative_log_probability"]
    parts = [
        f"### All {overall['n']} clusters",
        f"Mean negative log-probability {score['mean']:.2f} nats (prior "
        f"{score['prior']:.2f}). Joint calibration (TARP): max |ECP - alpha| "
        f"{joint['max_deviation']:.3f}; a perfect posterior stays below "
        f"{joint['max_deviation_noise']:.3f} in 95 % of such sets.",
        parameter_table(overall, thresholds),
    ]
    for regime in posterior["strata"]["true"]:
        if regime["label"] == "published_regime" and regime["n"]:
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
        parts += ["### Cluster or not", presence_table(metrics)]
    return "\n\n".join(parts)
