"""Methods side by side as Markdown: the model, and what others make of the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clusterkeras.evaluation.numbers.strata import published_row
from clusterkeras.evaluation.words.markdown import markdown_table, number
from data_tools.schema import PARAMETERS


def method_table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Write methods side by side, the best first.

    Parameters
    ----------
    found : mapping of str to mapping
        By the name of the method: its ``posterior``, as in ``metrics.json``, and
        ``hours_to_make`` and ``seconds_to_ask``, the processor time of training or
        fitting it and of asking it; None where it is not known.

    Returns
    -------
    str
        A Markdown table. Scatter is that in the published regime, coverage that over
        all clusters.
    """
    rows = []
    for name, entry in found.items():
        overall, joint = entry["posterior"]["overall"], entry["posterior"]["joint"]
        regime = published_row(entry["posterior"])
        loss, inside = (r["negative_log_probability"] for r in (overall, regime))
        lost = f", {loss['n_not_finite']} lost" if loss["n_not_finite"] else ""
        rows.append(
            [
                name,
                f"{loss['mean']:.3f} ± {loss['standard_error']:.3f}{lost}",
                number(inside["mean"], ".3f"),
                *(number(p["scatter"], ".2f") for p in regime["parameters"].values()),
                *(f"{p['coverage_68']:.3f}" for p in overall["parameters"].values()),
                f"{joint['tarp']['max_deviation']:.3f}",
                number(entry["hours_to_make"], ".2f"),
                number(entry["seconds_to_ask"], ".0f"),
            ]
        )
    rows.sort(key=lambda row: float(row[1].split()[0]))
    labels = [p.label for p in PARAMETERS]
    head = ["method", "-log p [nats]", "in the regime"]
    head += [f"scatter {label}" for label in labels]
    head += [f"68 % {label}" for label in labels]
    head += ["max abs(ECP - alpha)", "CPU hours to make", "CPU seconds to ask"]
    return markdown_table(head, rows)


def classical_part(metrics: Mapping[str, Any]) -> list[str]:
    """Set the classical method beside the model; nothing where it was not asked.

    Parameters
    ----------
    metrics : mapping
        Content of ``metrics.json``.

    Returns
    -------
    list of str
        Heading, table and paragraph.
    """
    if "classical" not in metrics:
        return []
    rival = metrics["classical"]
    model = {"posterior": metrics["posterior"], **rival["model"]}
    name = f"stochastic grid, {rival['n_models']:,} models"
    gain = rival["gain"]["overall"]
    return [
        "### Beside the classical method",
        method_table({metrics["model"]: model, name: rival}),
        "Scatter is that in the published regime, coverage that over all. The log p of "
        f"the same {gain['n']} truths is higher under the model than under the grid by "
        f"{number(gain['mean'], '.3f')} ± {number(gain['error'], '.3f')} nats (error "
        f"by the scatter of {gain['n_fields']} fields). Truths that one of the two "
        f"rules out, and are left out here: {gain['n_ruled_out']}.",
    ]
