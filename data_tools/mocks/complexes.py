"""A piece of a field with young complexes on it: what stands beside clusters."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.spatial import cKDTree

from data_tools.fields.galaxy_field import GalaxyField, find_peaks
from data_tools.imaging.render import Renderer
from data_tools.mocks.surroundings import Surroundings
from data_tools.priors import NEIGHBOUR_PX
from data_tools.streams import streams

#: Side of the piece in cutouts, and how many complexes are on it.
_SIDE = 4
_COMPLEXES = 6


class PeakGrounds:
    """Where the peaks of a field are looked for: on it, or where complexes are.

    Parameters
    ----------
    field : GalaxyField
        A field.
    surroundings : Surroundings
        Draws the complexes.
    share : float
        Share of the peaks that are looked for where complexes are.
    rng : numpy.random.Generator
        Source of randomness.
    """

    def __init__(
        self,
        field: GalaxyField,
        surroundings: Surroundings,
        share: float,
        rng: np.random.Generator,
    ) -> None:
        self._field, self._surroundings = field, surroundings
        self._share, self._rng = share, rng
        self._busy: GalaxyField | None = None

    def draw(self) -> GalaxyField:
        """Return the field, or its part with complexes, which is made when needed."""
        if self._rng.random() >= self._share:
            return self._field
        if self._busy is None:
            self._busy = with_complexes(self._field, self._surroundings, self._rng)
        return self._busy


def with_complexes(
    field: GalaxyField, surroundings: Surroundings, rng: np.random.Generator
) -> GalaxyField:
    """Put young clusters, in the associations they were born in, on a part of a field.

    On a mosaic most of what a finder offers near a young cluster are the stars of its
    association. A field's own peaks hold none of these.

    Parameters
    ----------
    field : GalaxyField
        A synthetic one.
    surroundings : Surroundings
        Draws the complexes.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    GalaxyField
        Of the piece: four cutouts a side, or as many as the field has. Its peaks are
        those of the field and of the complexes, without what stands closer to one of
        the clusters than a second object in any mock does.
    """
    cutout_px = surroundings.target.cutout_px
    side = min(_SIDE * cutout_px, len(field.image) // 2 * 2)
    of_place, of_noise, *of_each = streams(rng, 2 + _COMPLEXES)
    row, column = of_place.integers(0, len(field.image) - side + 1, 2)
    image = field.image[row : row + side, column : column + side]
    places = of_place.uniform(0, side - 1, (_COMPLEXES, 2))
    x, y, flux = [], [], []
    for place, one in zip(places, of_each, strict=True):
        points = surroundings.complex(one, side)
        x.append(points.x + place[0])
        y.append(points.y + place[1])
        flux.append(points.flux)
    points = (np.concatenate(parts) for parts in (x, y, flux))
    seen, renderer = field.observation, Renderer(side)
    light = renderer.draw(*points, seen.psf(surroundings.target, renderer.grid))
    light = seen.saturated(light, image)
    image = image + light + seen.noise(light, of_noise)
    peaks = find_peaks(image)
    away, _ = cKDTree(places).query(peaks[:, ::-1])
    peaks = peaks[away > NEIGHBOUR_PX[0]]
    return dataclasses.replace(field, image=image, peaks=peaks)
