"""The population behind a catalogue, from the draws of its posteriors."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
from astropy.table import QTable
from numpy.typing import NDArray

from clusterkeras.catalogue.read import Catalogue
from clusterkeras.catalogue.table import numbers
from clusterkeras.config import PopulationConfig
from clusterkeras.population.cluster_sample import ClusterSample, sample_of_clusters
from clusterkeras.population.likelihood import Likelihood
from clusterkeras.population.model import PopulationModel
from clusterkeras.population.monte_carlo import MonteCarloError, monte_carlo_error
from clusterkeras.population.result import FILES, PopulationFit
from clusterkeras.population.sampling import Samples, sample
from clusterkeras.population.shared_error import shared_error
from data_tools.running.replaced import check_replaced_in

logger = logging.getLogger(__name__)

#: log10 of a mass above which clusters are counted too, and how the number is called:
#: that of the whole box is mostly of clusters that nobody has seen.
_HEAVY, _HEAVY_NAME = 4.0, "number_above_10000"
#: Draws that are kept.
_KEPT = 4000
#: Farr (2019): N_eff of the injected clusters, for each row.
_FARR = 4.0
#: A posterior leans on where injections are too few if this share of its draws has an
#: N_eff of less than so many for each row.
_LEANING, _LEANS = 0.1, 1.1
_THINNED = 20
#: R-hat above which chains do not agree, and fewest effective draws of an unknown.
_R_HAT, _EFFECTIVE = 1.05, 200


def fit_population(
    catalogue: str | Path | Catalogue,
    completeness: str | Path,
    output: str | Path | None = None,
    config: PopulationConfig | None = None,
    *,
    draws_file: str | Path | None = None,
    progress: bool = True,
    overwrite: bool = False,
) -> PopulationFit:
    """Fit mass function, age distribution and number of the clusters of a catalogue.

    The population is a power of mass, with a cutoff if asked for, a power of age,
    normal distributions of A_V and log r_h, and the number of clusters in the box
    (`clusterkeras.population.model`). Each row counts by all draws of its posterior and
    by its probability of being a cluster (Loredo 2004; Mandel, Farr & Gair 2019), and
    what is missed by injected clusters (`clusterkeras.population.likelihood`). Sampled
    with emcee; draws are then widened by what finite numbers of injected clusters and
    of draws leave uncertain.

    The rows are those with ``p_cluster`` at the threshold of the completeness or above,
    without the flags ``overlap`` and ``unlike_mocks``; injected clusters whose rows are
    flagged so count as missed.

    Parameters
    ----------
    catalogue : str, Path or Catalogue
        Of the candidates that ``clusterkeras detect`` found on one field.
    completeness : str or Path
        Directory that `clusterkeras completeness` has written, with this catalogue.
    output : str or Path, optional
        Directory for ``population.ecsv`` (draws), ``population.json`` (summary),
        ``population.png`` (distributions) and ``corner.png``.
    config : PopulationConfig, optional
        Cutoff, steps, seed.
    draws_file : str or Path, optional
        Draws of the posteriors, as ``clusterkeras infer`` wrote them with the
        catalogue; one in memory has its own.
    progress : bool
        Whether to show a progress bar.
    overwrite : bool
        Whether to write also over files that are not as this package wrote them, or
        into a directory with other files.

    Returns
    -------
    PopulationFit
        Draws, summary, pictures.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If the catalogue has no draws, or is in memory and a file of draws is given; if
        the completeness is of another catalogue, or too few injected clusters were
        found to tell anything.
    FileExistsError
        If something is there that may not be written over.

    References
    ----------
    Loredo 2004, AIP Conf. Proc. 735, 195 (arXiv:astro-ph/0409387); Mandel, Farr & Gair
    2019, MNRAS 486, 1086; Farr 2019, RNAAS 3, 66; emcee: Foreman-Mackey et al. 2013,
    PASP 125, 306. Slopes of nearby galaxies: Krumholz, McKee & Bland-Hawthorn 2019,
    ARA&A 57, 227.

    Examples
    --------
    What ``clusterkeras infer`` and ``clusterkeras completeness`` have written:

    >>> from clusterkeras import Catalogue, PopulationConfig, fit_population
    >>> catalogue = Catalogue.read(
    ...     "catalogue.ecsv", draws_file="draws.h5"
    ... )  # doctest: +SKIP
    >>> fit = fit_population(
    ...     catalogue, "completeness/", config=PopulationConfig(steps=500)
    ... )  # doctest: +SKIP
    >>> fit.summary["unknowns"]["mass_slope"]["median"] < 0  # doctest: +SKIP
    True
    >>> len(fit.draws["mass_slope"])  # doctest: +SKIP
    4000
    """
    config = config or PopulationConfig()
    if output is not None:
        inputs = (catalogue, completeness, draws_file)
        check_replaced_in(output, FILES, inputs, overwrite=overwrite)
    if not isinstance(catalogue, Catalogue):
        catalogue = Catalogue.read(catalogue, draws_file=draws_file)
    elif draws_file is not None:
        raise ValueError(
            "draws_file: expected none beside a catalogue in memory, which has its "
            f"own draws; received {draws_file}. Read it with them, "
            "Catalogue.read(path, draws_file=...)"
        )
    clusters = sample_of_clusters(catalogue, completeness)
    fit = fit_clusters(clusters, config, progress)
    if output is not None:
        fit.write(output, overwrite=overwrite)
    return fit


def fit_clusters(
    clusters: ClusterSample, config: PopulationConfig, progress: bool = False
) -> PopulationFit:
    """Fit a sample of clusters; see `fit_population`.

    Raises
    ------
    ValueError
        If injected clusters are too few for the rows in a tenth of the posterior.
    """
    model = PopulationModel(clusters.box, config.cutoff)
    likelihood = _likelihood(model, clusters)
    found = sample(likelihood, model.bounds, config.steps, config.seed, progress)
    injected = likelihood.effective_injected(found.draws[::_THINNED])
    _check_enough(injected, clusters)
    effective = float(np.median(injected))
    middle, covariance = found.draws.mean(axis=0), np.cov(found.draws.T)
    error = monte_carlo_error(likelihood, middle, covariance)
    _warn(found, error, effective, model, len(clusters.p_cluster))

    def shifted(draws: NDArray[np.floating]) -> Likelihood:
        return _likelihood(model, dataclasses.replace(clusters, draws=draws))

    shared = shared_error(shifted, clusters.draws, middle, covariance)
    draws = _widened(found.draws, error.covariance + shared, model.bounds, config.seed)
    table = _table(model, draws, config)
    return PopulationFit(
        draws=table,
        summary=_summary(table, model, found, (error, shared), effective, clusters),
        sampled=draws,
        likelihood=likelihood,
        clusters=clusters,
    )


def _likelihood(model: PopulationModel, clusters: ClusterSample) -> Likelihood:
    return Likelihood(
        model,
        clusters.draws,
        clusters.p_cluster,
        clusters.injected[clusters.recovered],
        len(clusters.injected),
        clusters.flat_number,
        clusters.trust,
    )


def _check_enough(found: NDArray[np.float64], clusters: ClusterSample) -> None:
    """Refuse a posterior that leans on where injections are too few."""
    rows, effective = len(clusters.p_cluster), float(np.median(found))
    if (found < _LEANS * rows).mean() > _LEANING:
        more = _FARR * rows / effective * len(clusters.injected)
        raise ValueError(
            f"population: expected an N_eff of {rows} or more, as many as rows count, "
            f"and better {_FARR:.0f} a row; received {effective:.0f}, of "
            f"{clusters.recovered.sum()} injected clusters that count among "
            f"{len(clusters.injected)}. Run the same `clusterkeras completeness` with "
            f"--completeness.n {_round_up(more)}: what is there is kept"
        )


def _warn(
    found: Samples,
    error: MonteCarloError,
    effective: float,
    model: PopulationModel,
    rows: int,
) -> None:
    """Say what is not as good as it should be."""
    variance = found.draws.var(axis=0)
    wide = np.sqrt(np.diag(error.covariance) / variance)
    if wide.max() > 0.5 or effective < _FARR * rows:
        by_draws = np.diag(error.of_draws).sum() > np.diag(error.of_injected).sum()
        logger.warning(
            "population: %d rows, and injected clusters with an N_eff of %.0f (%.0f a "
            "row are enough); finite sums widen %s by %.0f %%. %s",
            rows,
            effective,
            _FARR,
            model.names[wide.argmax()],
            100 * (np.hypot(1, wide.max()) - 1),
            "Make more draws (--inference.draws)"
            if by_draws
            else "Inject more clusters (--completeness.n)",
        )
    if found.r_hat.max() > _R_HAT or found.effective.min() < _EFFECTIVE:
        logger.warning(
            "population: the sampler has not settled: R-hat of %s is %.2f, and it has "
            "%.0f effective draws. Take more steps (--population.steps)",
            model.names[found.r_hat.argmax()],
            found.r_hat.max(),
            found.effective.min(),
        )


def _round_up(n: float) -> int:
    step = 10 ** max(int(np.log10(n)) - 1, 0)
    return int(np.ceil(n / step) * step)


def _widened(
    draws: NDArray[np.float64], covariance: NDArray, bounds: NDArray, seed: int
) -> NDArray[np.float64]:
    """Return some of the draws, moved by what they know nothing of."""
    rng = np.random.default_rng([seed, 1])
    kept = rng.choice(draws, min(_KEPT, len(draws)), replace=False)
    moved = rng.multivariate_normal(np.zeros(len(bounds)), covariance, len(kept))
    return np.clip(kept + moved, *bounds.T)


def _table(
    model: PopulationModel, draws: NDArray[np.float64], config: PopulationConfig
) -> QTable:
    """Name the columns of draws, with units and descriptions."""
    table, values = QTable(), model.values(draws)
    for unknown in model.unknowns:
        table[unknown.name] = values[unknown.name]
        if unknown.unit:
            table[unknown.name].unit = unknown.unit
        table[unknown.name].info.description = unknown.description
    table[_HEAVY_NAME] = values["number"] * model.heavier(_HEAVY, draws)
    table[_HEAVY_NAME].info.description = "clusters of at least 10,000 solar masses"
    table.meta = {"box": {k: list(v) for k, v in model.box.items()}}
    table.meta |= {"cutoff": config.cutoff, "seed": config.seed}
    return table


def _summary(
    table: QTable,
    model: PopulationModel,
    found: Samples,
    errors: tuple[MonteCarloError, NDArray],
    effective: float,
    clusters: ClusterSample,
) -> dict:
    """Return the numbers of ``population.json``."""
    error, shared = errors
    variance = found.draws.var(axis=0)
    share = np.sqrt(np.diag(error.covariance) / variance)
    in_common = np.sqrt(np.diag(shared) / variance)
    unknowns = {}
    for i, unknown in enumerate(model.unknowns):
        unknowns[unknown.name] = {
            **_quantiles(table, unknown.name),
            "unit": unknown.unit,
            "monte_carlo_error": float(share[i]),
            "shared_error": float(in_common[i]),
            "effective_draws": float(found.effective[i]),
            "r_hat": float(found.r_hat[i]),
        }
    return {
        "unknowns": unknowns,
        _HEAVY_NAME: _quantiles(table, _HEAVY_NAME),
        "rows": len(clusters.p_cluster),
        "p_cluster": clusters.threshold,
        "expected_contaminants": float((1 - clusters.p_cluster).sum()),
        "left_out": clusters.left_out,
        "injected": len(clusters.injected),
        "injected_that_count": int(clusters.recovered.sum()),
        "effective_injected": effective,
        "enough_injected": effective >= _FARR * len(clusters.p_cluster),
        "draws_a_row": clusters.draws.shape[1],
        "effective_draws_a_row": {
            "least": float(error.effective_draws.min()),
            "median": float(np.median(error.effective_draws)),
        },
    }


def _quantiles(table: QTable, name: str) -> dict[str, float]:
    found = np.quantile(numbers(table, name), [0.16, 0.5, 0.84])
    return dict(zip(("p16", "median", "p84"), found.tolist(), strict=True))
