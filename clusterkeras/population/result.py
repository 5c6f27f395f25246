"""A fitted population: draws, numbers in words, pictures, files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import QTable
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clusterkeras.population.cluster_sample import ClusterSample
from clusterkeras.population.likelihood import Likelihood
from clusterkeras.population.picture import draw_corner, draw_distributions
from data_tools.running.output import whole_path
from data_tools.running.plain_files import write_text
from data_tools.running.replaced import check_replaced_in
from data_tools.running.seal import BLANK, KEY, PICTURE_METADATA
from data_tools.running.table_file import write_table

#: What is written of a fit.
FILES = ("population.ecsv", "population.json", "population.png", "corner.png")


@dataclass(frozen=True, eq=False, repr=False)
class PopulationFit:
    """The populations that a catalogue allows.

    Attributes
    ----------
    draws : QTable
        A population a row: ``mass_slope``, ``age_slope``, ``cutoff_mass`` if there is
        one, ``a_v_mean``, ``a_v_sigma``, ``log_half_light_radius_mean`` and
        ``_sigma``, ``number``, and of it ``number_above_10000`` solar masses.
    summary : dict
        ``unknowns``: of each of these median, ``p16`` and ``p84``; how far finite sums
        move it, in sigmas (``monte_carlo_error``), and how far what clusters of a field
        have in common does (``shared_error``); effective draws and R-hat of the
        sampler. ``rows`` that count, ``expected_contaminants`` among them,
        ``left_out`` by flags; ``injected`` clusters, those ``injected_that_count``,
        and ``effective_injected``, N_eff of Farr (2019), in the median over the draws
        (``enough_injected``: four a row); ``effective_draws_a_row``.
    sampled : ndarray, shape (k, U)
        The draws as they were sampled.
    likelihood : Likelihood
        What was sampled.
    clusters : ClusterSample
        What it was fitted to.
    """

    draws: QTable
    summary: dict[str, Any]
    sampled: NDArray[np.float64]
    likelihood: Likelihood
    clusters: ClusterSample

    def __repr__(self) -> str:
        """Say it in words: a notebook shows them."""
        about = self.summary
        lines = [
            f"{about['rows']} rows, {about['expected_contaminants']:.1f} of them no "
            f"clusters; {about['injected_that_count']} of {about['injected']} injected "
            f"clusters count, N_eff {about['effective_injected']:.0f}"
            + ("" if about["enough_injected"] else " (fewer than four a row)"),
            f"{'':<28}{'median':>10}{'16 %':>10}{'84 %':>10}{'R-hat':>7}",
        ]
        for name, found in about["unknowns"].items():
            numbers = "".join(f"{found[k]:>10.4g}" for k in ("median", "p16", "p84"))
            lines.append(f"{name:<28}{numbers}{found['r_hat']:>7.3f}")
        heavy = [about["number_above_10000"][k] for k in ("median", "p16", "p84")]
        numbers = "".join(f"{value:>10.4g}" for value in heavy)
        lines.append(f"{'of them above 10,000 Msun':<28}{numbers}")
        return "\n".join(lines)

    def plot(self) -> Figure:
        """Draw mass function, distributions of age, A_V and size."""
        return draw_distributions(self.likelihood, self.clusters, self.sampled)

    def plot_corner(self) -> Figure:
        """Draw slopes and number against each other."""
        return draw_corner(self.likelihood.model, self.sampled)

    def write(self, directory: str | Path, *, overwrite: bool = False) -> None:
        """Write draws, summary and pictures.

        Parameters
        ----------
        directory : str or Path
            It is made if it is not there.
        overwrite : bool
            Whether to write also over files that are not as this package wrote them,
            or into a directory with other files.

        Raises
        ------
        FileExistsError
            If something is there that may not be written over.
        """
        directory = check_replaced_in(directory, FILES, overwrite=overwrite)
        directory.mkdir(parents=True, exist_ok=True)
        table, numbers, *pictures = (directory / name for name in FILES)
        write_table(self.draws, table)
        write_text(numbers, json.dumps({**self.summary, KEY: BLANK}, indent=2))
        for picture, figure in zip(
            pictures, (self.plot(), self.plot_corner()), strict=True
        ):
            with whole_path(picture) as path:
                figure.savefig(path, dpi=120, metadata=PICTURE_METADATA)
