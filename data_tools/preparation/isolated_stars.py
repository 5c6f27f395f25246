"""Stars of a mosaic that stand alone and are not saturated: what a PSF is made from."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from astropy.stats import mad_std
from photutils.aperture import CircularAnnulus, CircularAperture
from photutils.background import Background2D
from photutils.detection import DAOStarFinder
from photutils.utils.exceptions import NoDetectionsWarning
from scipy.spatial import cKDTree
from tqdm import tqdm

from data_tools.mosaics.mosaic import Mosaics
from data_tools.preparation.star_selection import StarSelection

#: Side of a star's stamp in pixels; 0.5 arcsec to each side at UVIS pixels.
STAMP_PX = 25
#: Radii in pixels of the two apertures whose ratio tells a star from what is wider.
RADII_PX = (1.5, 4.0)
#: Annulus in pixels in which the level around a star is measured.
ANNULUS_PX = (9.0, 12.5)
#: Side of the parts of a mosaic that are searched at once, and what they overlap by.
_TILE_PX = 1024
_OVERLAP_PX = 32
_BOX_PX = 32
#: Everything so many sigma above its surroundings can be a neighbour.
_NEIGHBOUR_SNR = 5.0
#: A star is as concentrated as the expected PSF to this fraction, then as all others
#: to so many robust sigma, which are never taken as less than the second fraction.
_CONCENTRATION = 0.25
_CLIP, _LEAST_SCATTER = 3.0, 0.01


@dataclass(frozen=True)
class StarList:
    """Isolated stars of one band, brightest first.

    Attributes
    ----------
    x, y : (n,) ndarray
        0-based pixels.
    stamps : (n, STAMP_PX, STAMP_PX) ndarray
        Cut out around the nearest pixel, the level around the star taken off, nJy.
    """

    x: np.ndarray
    y: np.ndarray
    stamps: np.ndarray


def concentration(image: np.ndarray, samples_per_px: int) -> float:
    """Return the share of a star's light within 4 pixels that falls within 1.5.

    Parameters
    ----------
    image : (side, side) ndarray
        With the star on its middle pixel.
    samples_per_px : int
        Along an axis.
    """
    middle = image.shape[0] // 2
    inner, outer = (
        CircularAperture((middle, middle), r * samples_per_px).do_photometry(image)[0][
            0
        ]
        for r in RADII_PX
    )
    return float(inner / outer)


def find_stars(
    mosaics: Mosaics,
    n_exposures: list[int],
    expected: np.ndarray,
    selection: StarSelection,
    most_tiles: int | None = None,
    *,
    progress: bool = True,
) -> list[StarList]:
    """Find the isolated, unsaturated stars of every band.

    Sources are found above a smooth background (DAOFIND, Stetson 1987, PASP 99, 191).
    Those without a neighbour, saturated pixel or missing pixel in their stamp, as
    concentrated as the expected PSF to a quarter and as each other to 3 sigma, are
    stars: clusters, wider, are less concentrated, and cosmic rays more.

    Parameters
    ----------
    mosaics : Mosaics
        One a band.
    n_exposures : list of int
        Exposures of each band, where the header does not say.
    expected : (bands,) ndarray
        `concentration` of a star.
    selection : StarSelection
        Limits.
    most_tiles : int, optional
        Parts of some 1000 x 1000 pixels that are searched at most, evenly spread; all
        without.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    list of StarList
        One a band; possibly none in it.
    """
    limits = mosaics.pixel_limits(selection.saturation_electrons, n_exposures)
    found: list[list[np.ndarray]] = [[] for _ in mosaics.bands]
    stamps: list[list[np.ndarray]] = [[] for _ in mosaics.bands]
    tiles = _tiles(mosaics.shape)
    chosen = np.linspace(0, len(tiles) - 1, min(most_tiles or len(tiles), len(tiles)))
    tiles = [tiles[i] for i in chosen.round().astype(int)]
    for rows, columns, core in tqdm(
        tiles,
        "stars that show the PSF",
        unit=" tiles",
        # below a bar of fields it goes when it is full
        leave=None,
        disable=not progress,
    ):
        tile = mosaics.window(rows, columns)
        for band, limit in enumerate(limits):
            table, cut = _stars_of_tile(tile[..., band], limit, selection, core)
            table[:, :2] += columns.start, rows.start
            found[band].append(table)
            stamps[band].append(cut)
    return [
        _like_stars(np.concatenate(t), np.concatenate(s), c, selection.max_stars)
        for t, s, c in zip(found, stamps, expected, strict=True)
    ]


def _tiles(shape: tuple[int, int]) -> list[tuple[slice, slice, tuple[slice, slice]]]:
    """Return rows and columns of each tile, and which of its own are in no other."""
    out = []
    for row in range(0, shape[0], _TILE_PX):
        for column in range(0, shape[1], _TILE_PX):
            sides, cores = [], []
            for first, size in ((row, shape[0]), (column, shape[1])):
                start = max(first - _OVERLAP_PX, 0)
                sides.append(slice(start, min(first + _TILE_PX + _OVERLAP_PX, size)))
                cores.append(slice(first - start, first - start + _TILE_PX))
            out.append((*sides, tuple(cores)))
    return out


def _stars_of_tile(
    image: np.ndarray,
    limit: float,
    selection: StarSelection,
    core: tuple[slice, slice],
) -> tuple[np.ndarray, np.ndarray]:
    """Return a tile's isolated sources (x, y, flux, concentration) and their stamps."""
    nothing = np.empty((0, 4)), np.empty((0, STAMP_PX, STAMP_PX))
    missing = ~np.isfinite(image)
    if missing.mean() > 0.9 or min(image.shape) < 2 * _BOX_PX:
        return nothing
    background = Background2D(
        image, _BOX_PX, filter_size=3, coverage_mask=missing, exclude_percentile=90
    )
    above = np.where(missing, 0, image - background.background)
    # photutils interpolates it anew each time it is asked
    spread = background.background_rms
    rms = np.where(missing, np.inf, spread)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)
        table = DAOStarFinder(_NEIGHBOUR_SNR * spread, 2.0)(above, mask=missing)
    if table is None:
        return nothing
    x, y = np.array(table["x_centroid"]), np.array(table["y_centroid"])
    places = np.column_stack([x, y])
    inner, flux = (
        CircularAperture(places, r).do_photometry(above)[0] for r in RADII_PX
    )
    column, row = np.rint(x).astype(int), np.rint(y).astype(int)
    half = STAMP_PX // 2
    good = (np.minimum(row, column) >= half) & (row < image.shape[0] - half)
    good &= column < image.shape[1] - half
    good &= (row >= core[0].start) & (row < core[0].stop)
    good &= (column >= core[1].start) & (column < core[1].stop)
    area = np.pi * RADII_PX[1] ** 2
    row, column = row.clip(0, len(rms) - 1), column.clip(0, rms.shape[1] - 1)
    good &= flux > selection.snr * rms[row, column] * np.sqrt(area)

    tree = cKDTree(places)
    kept, stamps = [], []
    for i in np.flatnonzero(good):
        near = tree.query_ball_point(places[i], selection.isolation_px)
        stamp = image[
            row[i] - half : row[i] + half + 1, column[i] - half : column[i] + half + 1
        ]
        if (
            (inner[near] > selection.neighbour * inner[i]).sum() == 1
            and np.isfinite(stamp).all()
            and stamp.max() < limit
        ):
            around = CircularAnnulus(
                (x[i] - column[i] + half, y[i] - row[i] + half), *ANNULUS_PX
            )
            level = np.median(around.to_mask(method="center").get_values(stamp))
            kept.append((x[i], y[i], flux[i], inner[i] / flux[i]))
            stamps.append(stamp - level)
    return (np.array(kept), np.array(stamps)) if kept else nothing


def _like_stars(
    table: np.ndarray, stamps: np.ndarray, expected: float, max_stars: int
) -> StarList:
    """Keep what is as concentrated as a star, brightest first."""
    ratio = table[:, 3] / expected
    keep = np.abs(ratio - 1) < _CONCENTRATION
    for _ in range(5):
        if not keep.any():
            break
        middle = np.median(ratio[keep])
        scatter = max(mad_std(ratio[keep]), _LEAST_SCATTER)
        keep &= np.abs(ratio - middle) < _CLIP * scatter
    order = np.flatnonzero(keep)[np.argsort(-table[keep, 2])][:max_stars]
    return StarList(table[order, 0], table[order, 1], stamps[order])
