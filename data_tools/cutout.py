"""A square cut out of the mosaics of one field, and what is known about it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: A position has no data if some band has none in a box of this side around it.
CORE_PX = 5


class Cutout(NamedTuple):
    """A square cut out of all bands.

    Attributes
    ----------
    image : ndarray of float32, shape (px, px, bands)
        nJy per pixel; NaN where there are no data.
    x0, y0 : int
        0-based mosaic pixel of the cutout's first pixel.
    edge : bool
        Whether it crosses the edge of the array.
    covered : float
        Share of pixels with data in every band, in [0, 1].
    saturated : bool
        Whether a pixel is above the stated limit, or saturated by the data-quality or
        the weight map, where there is one.
    usable : bool
        Whether every band has data within `CORE_PX` around the position.
    """

    image: NDArray[np.float32]
    x0: int
    y0: int
    edge: bool
    covered: float
    saturated: bool
    usable: bool

    def filled(self) -> NDArray[np.float32]:
        """Give the image with missing pixels at the median of their band.

        Returns
        -------
        ndarray of float32, shape (px, px, bands)
            nJy per pixel; zero in a band that has no data at all.
        """
        missing = np.isnan(self.image)
        if not missing.any():
            return self.image
        image = self.image.copy()
        for band in range(image.shape[-1]):
            gap = missing[..., band]
            if gap.any():
                known = image[..., band][~gap]
                image[gap, band] = np.median(known) if known.size else 0.0
        return image
