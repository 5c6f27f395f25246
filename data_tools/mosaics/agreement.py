"""Whether the mosaics of a field belong together: bands, pixel grid, scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.wcs.utils import proj_plane_pixel_scales

from data_tools.mosaics.band_image import BandImage
from data_tools.mosaics.sky import to_icrs, to_pixels

#: Largest difference between the bands' positions, in pixels.
WCS_TOLERANCE_PX = 0.1
#: Largest difference between a mosaic's pixel and the model's, as a fraction.
SCALE_TOLERANCE = 0.02


def check_bands(planes: Sequence[BandImage], bands: tuple[str, ...]) -> None:
    """Refuse mosaics of other bands, or in another order: the error has the right one.

    Parameters
    ----------
    planes : sequence of BandImage
        As they were given.
    bands : tuple of str
        What is expected.

    Raises
    ------
    ValueError
        If one is of another band.
    """
    if all(band in plane.band for plane, band in zip(planes, bands, strict=True)):
        return
    received = ", ".join("+".join(p.band) for p in planes)
    message = (
        f"expected the bands {', '.join(bands)} in this order; received {received}"
    )
    in_order = [next((p for p in planes if b in p.band), None) for b in bands]
    if all(in_order):
        names = " ".join(p.path.name for p in in_order)
        raise ValueError(f"{message}: give the files as {names}")
    raise ValueError(f"{message}: use a model trained for these bands")


def check_scale(plane: BandImage, pixel_scale_arcsec: float) -> None:
    """Refuse a mosaic whose pixel is not the model's to `SCALE_TOLERANCE`.

    Parameters
    ----------
    plane : BandImage
        The mosaic.
    pixel_scale_arcsec : float
        Pixel of the model in arcsec.

    Raises
    ------
    ValueError
        If it is not.
    """
    scales = proj_plane_pixel_scales(plane.wcs) * 3600  # deg
    if np.any(np.abs(scales / pixel_scale_arcsec - 1) > SCALE_TOLERANCE):
        raise ValueError(
            f"{plane.path}: expected pixels of {pixel_scale_arcsec} arcsec (to "
            f"{SCALE_TOLERANCE:.0%}), received {scales[0]:.4f} x {scales[1]:.4f}; "
            "drizzle to that scale or train a model for this one"
        )


def check_grid(planes: Sequence[BandImage], pixel_scale_arcsec: float) -> None:
    """Refuse mosaics that are not on one grid of the model's pixels.

    Shapes must be equal; corners and middle must fall on the same pixel in all bands to
    `WCS_TOLERANCE_PX`.

    Parameters
    ----------
    planes : sequence of BandImage
        One a band.
    pixel_scale_arcsec : float
        Pixel of the model in arcsec.

    Raises
    ------
    ValueError
        If they are not; the message names the file.
    """
    first = planes[0]
    check_scale(first, pixel_scale_arcsec)
    rows, columns = first.shape
    x = np.array([0, columns - 1, 0, columns - 1, (columns - 1) / 2])
    y = np.array([0, 0, rows - 1, rows - 1, (rows - 1) / 2])
    sky = to_icrs(first.wcs, x, y)
    for plane in planes[1:]:
        if plane.shape != first.shape:
            raise ValueError(
                f"{plane.path}: expected {rows} x {columns} pixels (rows x columns) "
                f"as in {first.path.name}, received {plane.shape[0]} x "
                f"{plane.shape[1]}; drizzle the bands onto one grid"
            )
        there = to_pixels(plane.wcs, *sky)
        distance = np.hypot(there[0] - x, there[1] - y).max()
        if not distance <= WCS_TOLERANCE_PX:
            raise ValueError(
                f"{plane.path}: its WCS is {distance:.2f} px away from that of "
                f"{first.path.name}, expected at most {WCS_TOLERANCE_PX}; drizzle the "
                "bands onto one grid"
            )
