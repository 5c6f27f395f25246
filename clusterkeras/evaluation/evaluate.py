"""A model against a mock set: numbers and pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from clusterkeras.diagnostics.metrics import bands, limits
from clusterkeras.diagnostics.plots import calibration, recovery
from clusterkeras.diagnostics.plots.sharpness import sharpness
from clusterkeras.evaluation import examples
from clusterkeras.evaluation.asking import SEED, ask
from clusterkeras.evaluation.numbers import strata
from clusterkeras.evaluation.numbers.posterior import (
    CATASTROPHIC,
    Box,
    ClusterScores,
    posterior_report,
    score_clusters,
)
from clusterkeras.evaluation.numbers.predictions import Predictions
from clusterkeras.evaluation.numbers.presence import (
    SHARE_ON_MOSAIC,
    presence_report,
    sharpness_report,
    unlike_report,
    visibility_report,
)
from clusterkeras.evaluation.words import card
from data_tools.running.output import whole_path
from data_tools.running.plain_files import write_json, write_text
from data_tools.running.replaced import check_replaced_in
from data_tools.running.seal import BLANK, KEY, PICTURE_METADATA
from data_tools.schema import PARAMETER_NAMES

#: What may be written of an evaluation.
FILES = (
    "metrics.json",
    "tables.md",
    *(
        f"{name}.png"
        for name in (
            *("sharpness", "predicted_against_true", "coverage", "ranks"),
            *(
                "visibility",
                "strata",
                "presence",
                "corner_degenerate",
                "corner_typical",
                "corner_faint",
            ),
        )
    ),
)


def evaluate(
    model: str | Path,
    data: str | Path,
    output: str | Path,
    split: str = "test",
    draws: int = 500,
    batch_size: int = 256,
    limit: int | None = None,
    *,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Score a model against a mock set.

    Writes ``metrics.json`` and pictures (PNG) to `output`, and prints how much the
    model knows that the prior does not, then the strata, the worst first. The same
    model, data and options give the same numbers.

    Parameters
    ----------
    model : str or Path
        Trained model: the name of one that ships, a ``.keras`` file, or the directory
        of a run.
    data : str or Path
        A mock set written by ``clusterkeras simulate``.
    output : str or Path
        Directory for ``metrics.json`` and the pictures, made if missing.
    split : {"test", "validation", "train"}
        Part of the set.
    draws : int
        Draws of each posterior, at least 16.
    batch_size : int
        Images a step.
    limit : int, optional
        Only the first so many records.
    overwrite : bool
        Whether to write also over files that are not as this package wrote them, or
        into a directory with other files; see `data_tools.running.replaced`.

    Returns
    -------
    dict
        What ``metrics.json`` holds; NaN and infinities are None.

    Raises
    ------
    FileNotFoundError
        If the model or the set is not there.
    FileExistsError, OSError
        If something is there that may not be written over, or `output` cannot be
        written.
    ValueError
        If the set is damaged, was made for other bands or another cutout, has no such
        split or fewer than three clusters, or an option is out of range.

    Examples
    --------
    >>> from clusterkeras import ClusterModel, evaluate
    >>> from data_tools import MockSet, Priors, simulate
    >>> numbers = MockSet(n_train=16, n_validation=0, n_test=64, shard_size=64)
    >>> priors = Priors(field_px=128, mocks_per_field=16)
    >>> target = ClusterModel.from_preset("m83-wfc3-uvis").target
    >>> mocks = simulate("mocks", target, priors, numbers, workers=1, progress=False)
    >>> found = evaluate("m83-wfc3-uvis", mocks, "test", draws=50)
    Beside the prior: ... nats gained; 68 % intervals as parts of the prior's: ...
    >>> "presence" in found
    True
    """
    check_replaced_in(output, FILES, overwrite=overwrite)
    predictions, box, about = ask(model, data, split, draws, batch_size, limit)
    return write_metrics(predictions, box, Path(output), about)


def write_metrics(
    predictions: Predictions, box: Box, output: Path, about: dict[str, Any]
) -> dict[str, Any]:
    """Turn predictions into ``metrics.json``, ``tables.md``, pictures and a table.

    Parameters
    ----------
    predictions : Predictions
        What a model says of each record, and the truth.
    box : mapping of str to (float, float)
        Range of each parameter.
    output : Path
        Directory, made if missing.
    about : dict
        Where the predictions come from; the first entries of the report.

    Returns
    -------
    dict
        As `evaluate`.
    """
    clusters = predictions.select(predictions.is_cluster)
    if len(clusters) < 3:
        raise ValueError(
            "an evaluation needs at least three clusters; received "
            f"{len(clusters)} among {len(predictions)} records"
        )
    scored = score_clusters(clusters, box, SEED)
    chosen = _choose_examples(clusters, box)
    posterior = posterior_report(clusters, scored, box)
    presence = presence_report(predictions)
    metrics = as_plain(
        about
        | {
            "n_records": len(predictions),
            "n_clusters": len(clusters),
            "catastrophic_thresholds": CATASTROPHIC,
            "published_regime": strata.PUBLISHED_REGIME,
            "sharpness": sharpness_report(posterior["overall"], presence),
            "posterior": posterior,
            "presence": presence,
            "visibility": visibility_report(predictions),
            "unlike_mocks": unlike_report(predictions),
            "examples": {k: int(clusters.mock_id[row]) for k, row in chosen.items()},
        }
    )
    output.mkdir(parents=True, exist_ok=True)
    _draw_pictures(predictions, clusters, scored, posterior, chosen, box, output)
    write_report(metrics, output)
    print(card.sharpness(metrics["sharpness"]), headline(posterior), sep="\n\n")
    return metrics


def write_report(metrics: dict[str, Any], output: Path) -> None:
    """Write ``tables.md`` and ``metrics.json`` into a directory that is there."""
    write_text(output / "tables.md", f"{card.tables(metrics)}\n\n<!-- {BLANK} -->")
    # last, so that a metrics.json says that all is there
    write_json(output / "metrics.json", {**metrics, KEY: BLANK})


def headline(posterior: dict[str, Any]) -> str:
    """Write limits and strata as tables for the terminal, what fails first."""
    cuts = posterior["strata"]
    verdicts = [limits.Verdict(**v) for v in posterior["verdicts"]]
    return "\n\n".join(
        [
            limits.verdict_table(verdicts),
            "\n".join(
                [
                    strata.score_table([posterior["overall"]]),
                    card.errors_from(posterior["overall"]["n_fields"]),
                    card.outside_bands(posterior),
                    _between_fields(posterior),
                ]
            ),
            "cut in the prediction and in crowding, what fails first, then the worst "
            "calibrated: a perfect posterior covers 68 and 95 % in each\n"
            + strata.score_table(strata.worst_calibrated_first(cuts["predicted"])),
            "cut in the truth, least known first: not even a perfect posterior's "
            "coverage is nominal in each\n"
            + strata.score_table(strata.least_known_first(cuts["true"])),
        ]
    )


def _between_fields(posterior: dict[str, Any]) -> str:
    ranks = {name: found["rank"] for name, found in posterior["fields"].items()}
    if None in ranks.values():
        return "too few fields to tell whether their clusters err together"
    noise = next(iter(ranks.values()))["noise"]
    shown = ", ".join(f"{k} {v['dispersion']:.2f}" for k, v in ranks.items())
    return (
        "variance of the mean rank between fields over that of independent clusters "
        f"(in 95 % of sets below {noise:.2f}): {shown}"
    )


def as_plain(value: Any) -> Any:
    """Return a value as JSON knows it: numpy becomes plain, NaN and infinities None."""
    if isinstance(value, dict):
        return {str(k): as_plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(v) for v in value]
    if isinstance(value, np.ndarray | np.generic):
        return as_plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _choose_examples(clusters: Predictions, box: Box) -> dict[str, int]:
    scaled = [
        clusters.draws[..., PARAMETER_NAMES.index(name)] / (box[name][1] - box[name][0])
        for name in ("log_age", "a_v")
    ]
    return examples.choose(
        clusters.visibility_mean, clusters.log_prob, examples.degeneracy(*scaled)
    )


def _draw_pictures(
    predictions: Predictions,
    clusters: Predictions,
    scored: ClusterScores,
    posterior: dict[str, Any],
    chosen: dict[str, int],
    box: Box,
    output: Path,
) -> None:
    # the nominal coverage of the smallest region that holds the truth
    nominal = {
        name: 2 * np.abs(scored.pit[:, p] - 0.5)
        for p, name in enumerate(PARAMETER_NAMES)
    } | {"joint (TARP)": scored.tarp, "joint (HPD)": scored.hpd}
    seen = predictions.select(predictions.has_object)
    both = not predictions.is_cluster.all()
    pictures = {
        "sharpness": sharpness(
            scored.width,
            {
                "all clusters": np.ones(len(clusters), bool),
                "visibility S/N > 10": clusters.log_snr > 1,
            },
            (predictions.is_cluster, predictions.p_cluster) if both else None,
            SHARE_ON_MOSAIC,
        ),
        "predicted_against_true": recovery.predicted_against_true(
            scored.truth, scored.median, box
        ),
        "coverage": calibration.coverage_curves(
            nominal, clusters.field_id, ("joint (TARP)",)
        ),
        "ranks": calibration.rank_plots(
            scored.pit, bands.rank_levels(scored.n_draws), clusters.field_id
        ),
        "visibility": recovery.visibility_residuals(
            seen.log_snr, seen.visibility_mean, seen.visibility_std
        ),
        "strata": calibration.strata_coverage(
            [posterior["overall"], *posterior["strata"]["predicted"]],
            title="strata cut in the prediction and in crowding",
        ),
    }
    if both:
        pictures["presence"] = recovery.presence(
            predictions.is_cluster,
            predictions.p_cluster,
            {s.label: s.rows for s in strata.bins("log_snr", predictions.log_snr)},
            predictions.field_id,
        )
    for name, row in chosen.items():
        p = recovery.probability_label(clusters.p_cluster[row])
        what = examples.describe(name, clusters.visibility_mean[row])
        title = (
            f"{what}: mock {clusters.mock_id[row]}\n"
            f"true S/N {10 ** clusters.log_snr[row]:.0f}, p_cluster {p}\n"
            f"-log p of the truth {-clusters.log_prob[row]:.2f} nats"
        )
        pictures[f"corner_{name}"] = recovery.corner_plot(
            clusters.draws[row], clusters.truth[row], title
        )
    for name, figure in pictures.items():
        with whole_path(output / f"{name}.png") as path:
            figure.savefig(path, dpi=110, metadata=PICTURE_METADATA)
