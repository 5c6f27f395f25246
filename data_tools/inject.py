"""Mocks: a cluster, or something that is none, put into a galaxy field."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from data_tools.cluster import ClusterMaker
from data_tools.field import FieldMaker, GalaxyField
from data_tools.negatives import NegativeMaker
from data_tools.priors import Priors
from data_tools.psf import psf_spectra
from data_tools.render import Renderer
from data_tools.schema import KINDS, PARAMETER_NAMES, PIXEL_UNIT_NJY
from data_tools.target import Target
from data_tools.visibility import local_variance, visibility

_MARGIN_PX = 16
#: Largest float16; a brighter pixel is far beyond saturation.
_FLOAT16_MAX = 65504.0


class MockMaker:
    """Make the records of a training set, field by field.

    Parameters
    ----------
    target : Target
        Galaxy and instrument.
    priors : Priors
        What is drawn.
    """

    def __init__(self, target: Target, priors: Priors) -> None:
        self.target = target
        self.priors = priors
        self._fields = FieldMaker(target, priors)
        self.clusters = ClusterMaker(target, priors)
        self._renderer = Renderer(target.cutout_px, _MARGIN_PX)
        self._negatives = NegativeMaker(self.clusters, self._renderer)
        kinds = {k: v for k, v in priors.negatives.items() if v > 0}
        self._negative_kinds = tuple(kinds)
        shares = np.array(list(kinds.values()))
        self._negative_shares = shares / max(shares.sum(), 1e-30)
        undrawn = sorted(set(kinds) - set(self._negatives.kinds))
        if undrawn:
            raise ValueError(
                f"priors: negatives {undrawn} can't be drawn yet; set their shares to 0"
            )

    def make_field(self, rng: np.random.Generator) -> GalaxyField:
        """Draw a synthetic field; see `FieldMaker.make`."""
        return self._fields.make(rng)

    def mocks(
        self,
        field: GalaxyField,
        n: int,
        rng: np.random.Generator,
        field_id: int,
        first_mock_id: int,
    ) -> Iterator[dict[str, np.ndarray | int | float]]:
        """Draw records on one field.

        Parameters
        ----------
        field : GalaxyField
            Where the backgrounds are cut from.
        n : int
            Number of records.
        rng : numpy.random.Generator
            Source of randomness.
        field_id, first_mock_id : int
            Numbers written into the records.

        Yields
        ------
        dict
            The features of `data_tools.schema.FEATURES` but for ``schema_version``.
        """
        px = self.target.cutout_px
        spectra = psf_spectra(
            self.target, self._renderer.grid, field.psf_position, field.blur_px
        )
        for i in range(n):
            row, column = rng.integers(0, len(field.image) - px + 1, 2)
            background = field.image[row : row + px, column : column + px]
            variance = local_variance(background)
            centre = rng.uniform(-1, 1, 2) * self.priors.centre_offset_px
            parameters = np.full(len(PARAMETER_NAMES), np.nan)
            if rng.random() < self.priors.cluster_fraction:
                kind = "cluster"
                parameters = np.array(
                    [rng.uniform(*self.target.box[name]) for name in PARAMETER_NAMES]
                )
                light = self.cluster(parameters, centre, spectra, rng)
            else:
                kind = str(rng.choice(self._negative_kinds, p=self._negative_shares))
                light = self._negatives.draw(
                    kind, centre, spectra, variance, field.electron_njy, rng
                )
            # what is stored is what is judged
            stored = np.clip(light / PIXEL_UNIT_NJY, -_FLOAT16_MAX, _FLOAT16_MAX)
            stored = stored.astype(np.float16)
            yield {
                "cluster": stored,
                "background": (background / PIXEL_UNIT_NJY).astype(np.float16),
                "parameters": parameters.astype(np.float32),
                "is_cluster": int(kind == "cluster"),
                "kind": KINDS.index(kind),
                "log_snr": visibility(
                    stored.astype(np.float32) * PIXEL_UNIT_NJY,
                    variance,
                    field.electron_njy,
                ),
                "centre": centre.astype(np.float32),
                "electron_njy": field.electron_njy.astype(np.float32),
                "background_variance": variance.astype(np.float32),
                "field_id": field_id,
                "mock_id": first_mock_id + i,
            }

    def cluster(
        self,
        parameters: np.ndarray,
        centre: np.ndarray,
        spectra: np.ndarray,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw one cluster.

        Parameters
        ----------
        parameters : (4,) ndarray
            In the order and units of `data_tools.schema.PARAMETERS`.
        centre : (2,) ndarray
            Offset (x, y) in pixels of the centre from the middle of the image.
        spectra : (bands, grid, grid // 2 + 1) ndarray
            PSFs on the renderer's grid.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        (px, px, bands) ndarray of float32
            Noise-free light in nJy per pixel.
        """
        x, y, flux = self.clusters.stars(parameters, rng)
        middle = (self._renderer.size_px - 1) / 2
        return self._renderer.draw(
            x + (middle + centre[0]), y + (middle + centre[1]), flux, spectra
        )
