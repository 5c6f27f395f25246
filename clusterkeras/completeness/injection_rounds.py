"""One round of injected clusters: put there, searched for, matched."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import QTable
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from clusterkeras.catalogue.infer import measure_catalogue
from clusterkeras.catalogue.read import Catalogue
from clusterkeras.catalogue.table import numbers
from clusterkeras.catalogue.truth.matching import match_selected, reach_px
from clusterkeras.completeness.function import OUTCOMES, PLACE, place_feature
from clusterkeras.config import CompletenessConfig, DetectionConfig, InferenceConfig
from clusterkeras.detection.candidates import find_candidates
from data_tools.mocks.injected_mosaics import Injector
from data_tools.schema import PARAMETER_NAMES, PARAMETERS

if TYPE_CHECKING:
    from clusterkeras.network.posterior_model import PosteriorModel

#: Side in pixels of the boxes of the map of scatter: that of a cutout.
STEP_PX = 64
#: Of the room that a mosaic has at the stated spacing, one round takes this share.
_ROOM = 0.35
#: Clusters of one round at most: they bound the memory, 200 kB each.
_PER_ROUND = 1000
#: Candidates within so many pixels of an injected cluster are inferred: as far as a
#: cluster of the box's largest size claims others as parts of it, and a little.
_NEIGHBOURHOOD_PX = 40.0


class InjectionRounds:
    """Rounds of injections on the same mosaics, each the same whenever it is made.

    Parameters
    ----------
    injector : Injector
        Puts clusters on the mosaics.
    model : PosteriorModel
        The trained model.
    config : CompletenessConfig
        Threshold, spacing, seed.
    detection, inference : DetectionConfig, InferenceConfig
        As the catalogue was made with, and its share of clusters.
    avoid : ndarray, shape (m, 2)
        x and y [pixels] of the clusters that are there already.
    """

    def __init__(
        self,
        injector: Injector,
        model: PosteriorModel,
        config: CompletenessConfig,
        detection: DetectionConfig,
        inference: InferenceConfig,
        avoid: NDArray[np.float64],
    ) -> None:
        self._injector, self._model, self._config = injector, model, config
        self._detection, self._avoid = detection, avoid
        # the candidates' own pixels are 0-based, whatever the user's positions are
        self._inference = dataclasses.replace(
            inference, origin=0, by_stellar_model=False
        )
        #: Map of the scatter of pixels in boxes of `STEP_PX`, log10 nJy.
        self.scatter = injector.log_scatter(STEP_PX)

    def make(self, number: int) -> QTable:
        """Inject, find and match the clusters of one round.

        Parameters
        ----------
        number : int
            Of the round, from 0.

        Returns
        -------
        QTable
            One row a cluster; the columns that `describe` puts into words.

        Raises
        ------
        ValueError
            If the mosaics have no place for a cluster.
        """
        rng = np.random.default_rng([self._config.seed, number])
        places = self._places(rng)
        parameters = self._injector.draw_parameters(len(places), rng)
        injected = self._injector.inject(places, parameters, rng)
        table = QTable({"round": np.full(len(places), number)})
        table["x"], table["y"] = places.T
        for name, values in zip(PARAMETER_NAMES, parameters.T, strict=True):
            table[name] = values
        table["log_snr"] = injected.log_snr
        bands = self._injector.target.band_names
        for band, values in zip(bands, injected.magnitude.T, strict=True):
            table[f"mag_{band}"] = values

        found = find_candidates(injected.mosaics, self._detection, progress=False)
        there = np.column_stack([found["x"].value, found["y"].value])
        near, _ = cKDTree(places).query(there) if len(there) else (np.empty(0), None)
        rows = measure_catalogue(
            injected.mosaics,
            found[near <= _NEIGHBOURHOOD_PX],
            self._model,
            self._inference,
            progress=False,
        )
        scale = self._injector.target.pixel_scale_arcsec
        add_matches(table, rows, self._config, scale, self._avoid)
        table[PLACE] = place_feature(table["x"], table["y"], self.scatter, STEP_PX)
        return table

    def _places(self, rng: np.random.Generator) -> NDArray[np.float64]:
        mosaics, config = self._injector.mosaics, self._config
        room = int(_ROOM * np.prod(mosaics.shape) / config.spacing_px**2)
        n = min(max(room, 1), _PER_ROUND)
        places = self._injector.places(
            n, config.spacing_px, self._avoid, config.match_px, rng
        )
        if not len(places):
            raise ValueError(
                f"{mosaics.paths[0]}: no place with data is {config.match_px} px from "
                "every cluster of the catalogue; is it of these mosaics?"
            )
        return places


def add_matches(
    table: QTable,
    rows: Catalogue,
    config: CompletenessConfig,
    pixel_scale_arcsec: float,
    others: NDArray[np.float64],
) -> None:
    """Add what was found of each injected cluster to its row.

    Parameters
    ----------
    table : QTable
        The injected clusters; gets the columns that are not of the truth.
    rows : Catalogue
        What the network says of the candidates.
    config : CompletenessConfig
        Threshold and smallest distance.
    pixel_scale_arcsec : float
        Side of a pixel.
    others : ndarray, shape (m, 2)
        x and y [pixels] of clusters that were there before: rows that are theirs are
        of no injected one.
    """
    x, y = (rows.numbers(axis) for axis in "xy")
    n = len(table)
    true = np.asarray(table["x"]), np.asarray(table["y"])
    everyone = (np.concatenate(ends) for ends in zip(true, others.T, strict=True))
    radius = 10.0 ** np.asarray(table["log_half_light_radius"]) / pixel_scale_arcsec
    radius = np.concatenate([radius, np.zeros(len(others))])
    found = match_selected(
        *(x, y, rows.are_clusters(config.p_cluster), *everyone),
        *(config.match_px, reach_px(config.match_px, radius)),
    )
    injected = found.cluster < n
    row_of = np.full(n, -1)
    row_of[found.cluster[injected]] = found.row[injected]
    for outcome, which in zip(OUTCOMES, (injected, found.taken), strict=True):
        table[outcome] = np.isin(np.arange(n), found.cluster[which])
    known = row_of >= 0
    table["distance"] = np.full(n, np.nan)
    table["distance"][known] = np.hypot(
        x[row_of[known]] - true[0][known], y[row_of[known]] - true[1][known]
    )
    named = {"p_cluster": "p_cluster", "log_snr": "found_log_snr"}
    for name in PARAMETER_NAMES:
        named |= {
            f"{name}_{part}": f"{name}_{part}" for part in ("median", "p16", "p84")
        }
    for name, new in named.items():
        table[new] = np.full(n, np.nan)
        table[new][known] = numbers(rows, name)[row_of[known]]
    table["flags"] = np.zeros(n, np.int32)
    table["flags"][known] = np.asarray(rows["flags"])[row_of[known]]


def describe(table: QTable, bands: Sequence[str]) -> None:
    """Give each column its description, with the unit of a parameter."""
    words = {
        "round": "number of the round it was injected in",
        "x": "column of the centre in pixels; the first pixel is 0",
        "y": "row of the centre in pixels; the first pixel is 0",
        "log_snr": "true visibility: log10 S/N on the mosaic there",
        PLACE: "log10 of the scatter of the pixels there in nJy, mean of the bands",
        "detected": "whether a candidate is there, or it is recovered",
        "recovered": "whether a row is within it that counts as a cluster",
        "distance": "from the row to the centre in pixels",
        "p_cluster": "probability of a cluster of the row",
        "found_log_snr": "visibility that the network states, dex",
        "flags": "of the row; see data_tools.schema.FLAGS",
    }
    words |= {f"mag_{band}": f"AB magnitude in {band}, true" for band in bands}
    for p in PARAMETERS:
        words[p.name] = f"true {p.description} [{p.unit}]"
        for part in ("median", "p16", "p84"):
            words[f"{p.name}_{part}"] = f"{part} of the row's {p.description}"
    for name in table.colnames:
        table[name].info.description = words[name]
