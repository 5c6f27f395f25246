"""A patch of galaxy disc as it is observed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from data_tools import peaks
from data_tools.disc import draw_disc
from data_tools.observation import Observation, draw_observation
from data_tools.priors import Priors
from data_tools.render import Renderer
from data_tools.starlight import Starlight
from data_tools.target import Target

#: How peaks of fields are found: as `clusterkeras detect` finds candidates unless it is
#: told otherwise.
FINDER = {"threshold": 5.0, "fwhm_px": 2.5, "box_px": 48}
SEPARATION_PX = 3.0


@dataclass(frozen=True)
class GalaxyField:
    """One synthetic field as it was observed.

    Attributes
    ----------
    image : (px, px, bands) ndarray of float32
        Noisy image in nJy per pixel, mean sky subtracted.
    observation : Observation
        What it was seen through.
    properties : dict of str to float
        What was drawn: see `data_tools.disc.Disc`.
    corners : (n, 2) ndarray of int, optional
        First pixels (row, column) at which a cutout may be taken; None for anywhere.
    peaks : (n, 2) ndarray
        Places (row, column) of what stands out of the field and is no cluster: what a
        finder offers as a candidate, in the middle ninth. None are known of real
        mosaics, whose peaks may be clusters.
    """

    image: np.ndarray
    observation: Observation
    properties: dict[str, float]
    corners: np.ndarray | None = None
    peaks: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))


class FieldMaker:
    """Draw synthetic fields of a target.

    Parameters
    ----------
    target : Target
        Galaxy and instrument.
    priors : Priors
        Ranges of what is drawn.
    """

    def __init__(self, target: Target, priors: Priors) -> None:
        self.target = target
        self.priors = priors
        self._starlight = Starlight(target, priors.foreground_a_v)
        self._renderer = Renderer(priors.field_px, 0)

    def make(self, rng: np.random.Generator, split: str = "train") -> GalaxyField:
        """Draw one field: stars and dust, PSF, exposure, noise.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness; the same state gives the same field.
        split : str
            Part of the set; synthetic fields do not differ by it.
        """
        priors = self.priors
        renderer = self._renderer
        observation = draw_observation(self.target, priors, rng)
        n_cells = renderer.canvas_px
        cell_pc = self.target.pixel_scale_arcsec * self.target.pc_per_arcsec
        disc = draw_disc(priors, n_cells, cell_pc, rng)
        column, row, flux, smooth = self._starlight.draw(disc, observation, rng)
        stars = renderer.source_grid(column, row, flux)
        spectra = observation.psf(self.target, renderer.grid)
        light = renderer.convolve(stars, spectra, smooth)
        image = observation.image(light, rng)
        residual = priors.sky_residual * rng.uniform(-1, 1, len(observation.sky_njy))
        image -= (residual * observation.sky_njy).astype(np.float32)
        return GalaxyField(
            image, observation, disc.properties, peaks=_find_peaks(image)
        )


def _find_peaks(image: np.ndarray) -> np.ndarray:
    """Give the places (row, column) of the peaks in the middle ninth of a field.

    There are several times more than mocks need, and all would take longer than the
    rest of the field.
    """
    side = len(image)
    first = side // 3
    middle = image[first : side - first, first : side - first]
    combined, known, _ = peaks.combine(middle, FINDER["box_px"])
    found = peaks.strongest_apart(peaks.find(combined, known, **FINDER), SEPARATION_PX)
    return found[:, 1::-1] + first
