"""Where the rows of a table stand on a mosaic: pixel and sky positions, row by row."""

from __future__ import annotations

import logging
import math
from typing import NamedTuple

import numpy as np
from astropy.stats import mad_std
from astropy.table import Table
from astropy.wcs import WCS
from numpy.typing import NDArray

from data_tools.mosaics.sky import to_pixels
from data_tools.positions.columns.names import (
    PHYSICAL_NAMES,
    PixelColumns,
    SkyColumns,
    find_positions,
)

logger = logging.getLogger(__name__)

#: Median distance, in pixels, between pixel and sky positions of one table above
#: which the table is not of these mosaics as they are, ...
_DISAGREEMENT_PX = 0.5
#: ... by a shift if that is more than this share of the distance, ...
_COMMON = 0.5
#: Of fewer rows nobody can tell a shift from rounding; of more, a difference of so many
#: standard errors is none of chance.
_FEWEST_TOLD, _SURE = 3, 3.0
#: ... and above which the pixels are those of another image.
_OTHER_IMAGE_PX = 5.0
#: A row disagrees that is further apart than that distance, and than the median times
#: this: rounded positions are at most three medians apart.
_MEDIANS = 5.0

#: What tables write for "not known": the same number twice.
_SENTINELS = (
    0,
    *(s * n for s in (-1, 1) for n in (1, 9, 99, 999, 9999, 99.99, 99.999)),
)


class Places(NamedTuple):
    """Places of a table's rows on a mosaic.

    Attributes
    ----------
    x, y : ndarray of float64, shape (rows,)
        0-based pixels; NaN where the table has no value.
    doubtful : ndarray of bool, shape (rows,)
        Where pixel and sky positions disagree, or one is impossible: the flag
        ``position`` of a catalogue.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    doubtful: NDArray[np.bool_]


def find_places(
    table: Table,
    wcs: WCS,
    origin: int | None = None,
    name: str = "the table",
    physical: NDArray[np.float64] | None = None,
) -> Places:
    """Find a table's positions, as 0-based pixels of a mosaic.

    Which columns hold them is told by their names, in any case of letters; see
    `data_tools.positions.columns`. Where a table has pixels and sky positions, pixels
    are used if both agree to 0.5 px (median) on this mosaic. If they are shifted
    against each other by more, the sky positions are used, as they mean the same on
    every image; rows that are more than 0.5 px apart are doubtful, and up to 5 px all
    may be. Beyond that the pixels are those of another image, without a doubt. Without
    a common shift the sky positions are rounded: pixels are used, with the same doubt.
    Of one or two rows nobody can
    tell, and the sky is taken.
    In single rows that are further apart than the others the sky position is used. A
    row that has one of the two is placed by that. What is not as plain as ``x`` and
    ``y``, or ``ra`` and ``dec``, is told in the log.

    Parameters
    ----------
    table : Table
        The table of candidates.
    wcs : WCS
        Coordinates of the mosaic.
    origin : {0, 1}, optional
        What the pixel columns call the middle of the first pixel. Without it: what the
        format of the file or the name of the column says, else that of the two which
        is nearer the sky positions, else 0.
    name : str
        What messages call the table.
    physical : ndarray of float64, shape (2, 3), optional
        Physical coordinates (x, y, 1) to pixels, both from 1, as
        `data_tools.mosaics.band_image.BandImage.physical`; without it they are the
        same.

    Returns
    -------
    Places

    Raises
    ------
    ValueError
        If there are no such columns, or they hold no numbers.
    """
    pixels, sky = find_positions(table, name)
    pixels = _of_the_image(pixels, physical, name)
    if sky is None:
        return _only_pixels(pixels[0], origin, name)
    if sky.impossible.any():
        logger.warning(
            "%s: %d of the positions in %s are no place on the sky: they are not used, "
            "and their rows have the flag position",
            name,
            int(sky.impossible.sum()),
            sky.names,
        )
    on_sky = to_pixels(wcs, sky.ra, sky.dec)
    if not pixels:
        if sky.names.lower() != "ra and dec":
            logger.warning("%s: positions from the columns %s", name, sky.names)
        return Places(*on_sky, sky.impossible)
    return _of_both(pixels, sky, on_sky, origin, name)


def _of_the_image(
    pixels: list[PixelColumns], physical: NDArray[np.float64] | None, name: str
) -> list[PixelColumns]:
    """Turn physical coordinates to pixels, beside rows that have pixels or alone."""
    if not pixels or tuple(n.lower() for n in pixels[-1].names) != PHYSICAL_NAMES:
        return pixels
    *others, columns = pixels
    x, y = columns.x, columns.y
    if physical is not None:
        x, y = physical @ [x, y, np.ones_like(x)]
    logger.warning(
        "%s: physical coordinates are %s",
        name,
        "taken for those of the image, which has no LTM and LTV"
        if physical is None
        else "turned to those of the image by its LTM and LTV",
    )
    if others:
        first, *others = others
        unknown = ~(np.isfinite(first.x) & np.isfinite(first.y))
        x, y = np.where(unknown, x, first.x), np.where(unknown, y, first.y)
        columns = first
    return [columns._replace(x=x, y=y), *others]


def _only_pixels(pixels: PixelColumns, origin: int | None, name: str) -> Places:
    used = next(o for o in (origin, pixels.origin, 0) if o is not None)
    _say_which(pixels, used, origin, name)
    return Places(pixels.x - used, pixels.y - used, np.zeros(len(pixels.x), bool))


def _say_which(pixels: PixelColumns, used: int, origin: int | None, name: str) -> None:
    names = ", ".join(pixels.names)
    if origin is None and (used or names.lower() != "x, y"):
        logger.warning(
            "%s: positions from the columns %s, with the first pixel called %d",
            name,
            names,
            used,
        )


def _of_both(
    pixels: list[PixelColumns],
    sky: SkyColumns,
    on_sky: tuple[NDArray[np.float64], NDArray[np.float64]],
    origin: int | None,
    name: str,
) -> Places:
    """Choose row by row between pixels and sky positions."""
    has_sky = np.isfinite(sky.ra) & np.isfinite(sky.dec)
    no_sky = has_sky & _is_sentinel(sky.ra, sky.dec)
    chosen, used, apart, distance = _nearest(pixels, on_sky, has_sky, no_sky, origin)
    names, sky_names = ", ".join(chosen.names), sky.names.replace(" and ", ", ")
    x, y = chosen.x - used, chosen.y - used
    has_pixels = np.isfinite(x) & np.isfinite(y)
    if distance > _OTHER_IMAGE_PX:
        logger.warning(
            "%s: %s are %.1f px (median) away from %s on these mosaics, so they are "
            "pixels of another image: the sky positions are used%s",
            name,
            names,
            distance,
            sky.names,
            _without(has_pixels & (~has_sky | no_sky)),
        )
        return Places(*on_sky, sky.impossible)
    far = max(_DISAGREEMENT_PX, _MEDIANS * distance)
    limit, all_by_sky = far, False
    alone = np.zeros(len(x), bool)
    if distance > _DISAGREEMENT_PX:
        limit = _DISAGREEMENT_PX
        told = has_pixels & has_sky & ~no_sky & ~_is_sentinel(chosen.x, chosen.y)
        all_by_sky = _are_shifted(x - on_sky[0], y - on_sky[1], told, distance)
        alone = all_by_sky & has_pixels & (~has_sky | no_sky)
        logger.warning(
            "%s: %s and %s are %.1f px apart (median), %s: are they of these mosaics? "
            "Take the columns away that are not",
            name,
            names,
            sky_names,
            distance,
            "most of them in one direction, so the sky positions are used"
            if all_by_sky
            else "in all directions, as rounded sky positions are, so the pixels are "
            f"used, with the first called {used}",
        )
    else:
        _say_which(chosen, used, origin, name)
    differs = has_pixels & has_sky & (apart > limit)
    to_sky = ~no_sky & has_sky & (all_by_sky | (apart > far))
    if differs.any():
        untold = int((differs & no_sky).sum())
        logger.warning(
            "%s: in %d of %d rows %s and %s are more than %.1f px apart%s%s; these "
            "rows have the flag position",
            name,
            int(differs.sum()),
            len(x),
            names,
            sky_names,
            limit,
            ": the sky positions are used" if limit == far else "",
            f", save {untold} that are 0, 0 or the like" if untold else "",
        )
    if alone.any():
        logger.warning(
            "%s: %d rows have no sky position and keep the pixels that the others "
            "leave: they have the flag position too",
            name,
            int(alone.sum()),
        )
    by_sky = ~has_pixels | to_sky
    return Places(
        np.where(by_sky, on_sky[0], x),
        np.where(by_sky, on_sky[1], y),
        differs | alone | sky.impossible,
    )


def _are_shifted(
    dx: NDArray[np.float64],
    dy: NDArray[np.float64],
    told: NDArray[np.bool_],
    distance: float,
) -> bool:
    """Say whether pixels are off by a common shift, and not by the sky's rounding.

    Of one or two rows nobody can tell; they are taken for shifted.
    """
    told = told & np.isfinite(dx) & np.isfinite(dy)
    if not told.any():
        return False
    shift, error = _common_shift(dx[told], dy[told])
    if told.sum() < _FEWEST_TOLD:
        return True
    return shift > max(_DISAGREEMENT_PX, _COMMON * distance, _SURE * error)


def _common_shift(
    dx: NDArray[np.float64], dy: NDArray[np.float64]
) -> tuple[float, float]:
    """Return how far all rows are off together, and the standard error of that."""
    middle = np.median(dx), np.median(dy)
    scatter = math.hypot(mad_std(dx), mad_std(dy))
    return math.hypot(*middle), scatter / math.sqrt(len(dx))


def _without(rows: NDArray[np.bool_]) -> str:
    n = int(rows.sum())
    return f", and {n} rows without one have no place" if n else ""


def _is_sentinel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (a == b) & np.isin(a, _SENTINELS)


def _nearest(
    pixels: list[PixelColumns],
    on_sky: tuple[NDArray[np.float64], NDArray[np.float64]],
    has_sky: NDArray[np.bool_],
    no_sky: NDArray[np.bool_],
    origin: int | None,
) -> tuple[PixelColumns, int, NDArray[np.float64], float]:
    """Choose the columns and the origin that are nearest the sky positions.

    Returns also the distance of each row in pixels, NaN where one is missing, and their
    median over rows that are known in both.
    """
    found = []
    for columns in pixels:
        shifts = []
        known = columns.origin if origin is None else origin
        for used in (0, 1) if known is None else (known,):
            x, y = columns.x - used, columns.y - used
            apart = np.hypot(x - on_sky[0], y - on_sky[1])
            # what is on the other side of the sky has no place on the mosaic at all
            apart[np.isnan(on_sky[0]) & has_sky & np.isfinite(x + y)] = math.inf
            away = apart > _DISAGREEMENT_PX
            unknown = no_sky | _is_sentinel(columns.x, columns.y)
            told = apart[~np.isnan(apart) & ~(away & unknown)]
            distance = float(np.median(told)) if told.size else math.nan
            found.append((columns, used, apart, distance))
            rows = ~np.isnan(apart) & np.isfinite(apart) & ~unknown
            if distance > _DISAGREEMENT_PX and rows.sum() >= _FEWEST_TOLD:
                dx, dy = (x - on_sky[0])[rows], (y - on_sky[1])[rows]
                shifts.append(_common_shift(dx, dy))
        if len(shifts) == 2:
            # rounded or shifted: the distance says little of the origin, what is common
            # to all says more, and where that is not known well enough it is 0
            (zero, error), (one, _) = shifts
            del found[-2 if one < zero and zero - one > _SURE * error else -1]
    told = [f for f in found if not math.isnan(f[3])]
    return min(told, key=lambda f: f[3]) if told else (*found[0][:3], 0.0)
