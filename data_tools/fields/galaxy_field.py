"""A patch of galaxy disc as it is observed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from data_tools.fields.disc import draw_disc
from data_tools.fields.history import draw_history
from data_tools.fields.starlight import OLD_AGES, Starlight
from data_tools.imaging import peaks as peak_finder
from data_tools.imaging.observation import Observation, draw_observation
from data_tools.imaging.render import Renderer
from data_tools.priors import Priors
from data_tools.schema import FIELD_TRAIT_NAMES
from data_tools.stars.traits import as_numbers, draw_traits
from data_tools.target import Target

#: How peaks of fields are found: as `clusterkeras detect` finds candidates unless it is
#: told otherwise.
FINDER = {"threshold": 5.0, "fwhm_px": 2.5, "box_px": 48}
SEPARATION_PX = 3.0
#: They are looked for from this share of a field on, along both axes, as far from its
#: other edge.
_PEAKS_FROM = 0.375
#: Percentage of a field's pixels below the level that a pedestal is measured in, and
#: largest difference between bands, in units of the pedestal's range.
_PEDESTAL_PERCENTILE, _PEDESTAL_SCATTER = 5, 0.1


@dataclass(frozen=True)
class GalaxyField:
    """One synthetic field as it was observed.

    Attributes
    ----------
    image : (px, px, bands) ndarray of float32
        Noisy image in nJy per pixel, sky subtracted, some of the light perhaps with it.
    observation : Observation
        What it was seen through.
    properties : dict of str to float
        What was drawn: see `data_tools.fields.disc.Disc` and
        `data_tools.schema.FIELD_TRAITS`.
    corners : (n, 2) ndarray of int, optional
        First pixels (row, column) at which a cutout may be taken; None for anywhere.
    peaks : (n, 2) ndarray
        Places (row, column) of what stands out of the field and is no cluster: what a
        finder offers as a candidate, in a sixteenth of it. None are known of real
        mosaics without a table of their clusters, since a peak may be one.
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
        self.priors = priors = priors.fixed_by(target)
        Starlight(target, priors.foreground_a_v)  # isochrones without an age say so
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
        # of their own, so that other ranges leave the rest as it is
        of_traits, of_history = rng.spawn(2)
        gas = replace(priors, nebular_covering=priors.field_nebular_covering)
        traits = draw_traits(self.target, gas, of_traits, OLD_AGES[-1][0])
        history = draw_history(priors, of_history)
        starlight = Starlight(self.target, priors.foreground_a_v, traits, history)
        column, row, flux, smooth = starlight.draw(disc, observation, rng)
        stars = renderer.source_grid(column, row, flux)
        spectra = observation.psf(self.target, renderer.grid)
        light = observation.saturated(renderer.convolve(stars, spectra, smooth))
        image = observation.image(light, rng)
        residual = priors.sky_residual * rng.uniform(-1, 1, len(observation.sky_njy))
        image -= (residual * observation.sky_njy).astype(np.float32)
        pedestal, taken = self._pedestal(light, rng)
        image -= pedestal.astype(np.float32)
        # its photons have left their noise, as those of the sky
        observation = replace(
            observation,
            sky_njy=observation.sky_njy + pedestal,
            white_variance=observation.white_variance
            + pedestal * observation.electron_njy,
        )
        first = int(_PEAKS_FROM * len(image))
        middle = slice(first, len(image) - first)
        peaks = find_peaks(image[middle, middle]) + first
        properties = {
            **disc.properties,
            **history.properties,
            **{k: v for k, v in as_numbers(traits).items() if k in FIELD_TRAIT_NAMES},
            "sky_pedestal": taken.mean(),
        }
        return GalaxyField(image, observation, properties, peaks=peaks)

    def _pedestal(
        self, light: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw what is taken away with the sky: in nJy, and in units of the low level.

        The bands have nearly the same share, since they look at the same place.
        """
        low, high = self.priors.sky_pedestal
        place = rng.random() + rng.uniform(-1, 1, light.shape[-1]) * _PEDESTAL_SCATTER
        taken = low + (high - low) * np.clip(place, 0, 1)
        # every fourth pixel along each axis: enough for a level
        level = np.percentile(light[::4, ::4], _PEDESTAL_PERCENTILE, axis=(0, 1))
        return taken * level, taken


def find_peaks(image: np.ndarray) -> np.ndarray:
    """Find what `clusterkeras detect` would call a candidate.

    A sixteenth of a field has as many as mocks need or more, and all of it would take
    longer than the rest of the field.

    Parameters
    ----------
    image : (rows, columns, bands) ndarray
        nJy per pixel, NaN where there are no data.

    Returns
    -------
    (n, 2) ndarray
        Places as row and column.
    """
    combined, known, _ = peak_finder.combine(image, FINDER["box_px"])
    found = peak_finder.strongest_apart(
        peak_finder.find(combined, known, **FINDER), SEPARATION_PX
    )
    return found[:, 1::-1]
