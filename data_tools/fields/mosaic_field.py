"""Fields cut from real mosaics, each from a tile of the sky of its own split."""

from __future__ import annotations

import functools
import weakref
from typing import NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter

from data_tools.fields.backgrounds import Backgrounds
from data_tools.fields.galaxy_field import GalaxyField, find_peaks
from data_tools.fields.sky_tiles import Tile, split_sky
from data_tools.mosaics.mosaic import open_mosaics
from data_tools.mosaics.noise import electron_njy, measure_noise, observe
from data_tools.positions.read_positions import pixel_positions, read_positions
from data_tools.priors import Priors
from data_tools.target import Target

#: Every so many pixels along both axes a mosaic is looked at for data.
_COVERAGE_STEP_PX = 16
#: Distance in pixels that a cutout keeps from pixels without data and from the edge:
#: there the last exposures end, and cosmic rays of single ones stay.
_EDGE_PX = 4
#: Tiles kept in memory; one of the default size takes about 17 MB.
_TILES_KEPT = 6
#: A field's cutouts have its exposure to this factor, in every band.
_LIKE_EXPOSURE = 1.1


class _Sky(NamedTuple):
    """What a tile holds: its image and where cutouts may be taken.

    Attributes
    ----------
    image : (px, px, bands) ndarray of float32
        nJy per pixel; NaN where there are no data.
    corners : (n, 2) ndarray of int
        First pixels of cutouts, within the tile.
    exposure : (n, bands) ndarray or None
        Mean exposure of each of these cutouts over the mosaic's median; None if no
        band has a weight map.
    """

    image: np.ndarray
    corners: np.ndarray
    exposure: np.ndarray | None


class BackgroundMaker:
    """Cut fields from the real mosaics of a target.

    A field is a tile of the sky, with the list of places where a cutout may be taken:
    every pixel of it has data in every band, at least 4 pixels away from any that has
    none and from the mosaic's edge, and no known cluster is in its middle. Tiles are
    read when they are drawn, and the last few are kept, so that a large mosaic needs
    no more memory than a small one.

    The pixels are left as they are, but for the gaps that some mocks are given: a model
    that is trained on the user's own mosaics sees in training what it will see in use,
    including whatever sky is left in them.
    Give `simulate` and `infer` the same mosaics, sky subtracted or not.

    What is known of the pixels comes from the files: the flux of one electron from
    PHOTFLAM, PHOTPLAM and EXPTIME (from the target where the header has no EXPTIME);
    variance and correlation of the noise from `data_tools.mosaics.noise.measure_noise`,
    less the photons of the light there, or, in a band where none can be seen, from the
    priors. Where there is a weight map, the
    exposure of a pixel is taken as EXPTIME times its weight over the mosaic's median
    weight. That holds for AstroDrizzle's weights by exposure time (EXP), and for those
    by inverse variance (IVM) as long as the sky makes the noise. All cutouts of one
    field are as deep as each other, to 10 %. Without a weight map the exposure is the
    same everywhere. What a cluster put there is seen through, PSF, blur and the bands'
    offsets, is drawn from the priors as for synthetic fields.

    Parameters
    ----------
    target : Target
        Galaxy and instrument.
    priors : Priors
        What is drawn.
    backgrounds : Backgrounds
        The mosaics and how they are divided.

    Attributes
    ----------
    tiles : dict of str to tuple of Tile
        The sky of each split.

    Raises
    ------
    FileNotFoundError
        If a mosaic or the table of clusters is missing.
    ValueError
        If the mosaics are not those of the target
        (`data_tools.mosaics.mosaic.open_mosaics`), no cluster of the table lies on
        them, the tiles do not fit on them, or a tile or the guard band is smaller than
        a cutout.
    """

    def __init__(
        self, target: Target, priors: Priors, backgrounds: Backgrounds
    ) -> None:
        px = target.cutout_px
        for name in ("tile_px", "guard_px"):
            value = getattr(backgrounds, name)
            if value < px:
                raise ValueError(
                    f"backgrounds: {name} must be at least a cutout of the target, "
                    f"{px} px; received {value}"
                )
        self.target = target
        self.priors = priors = priors.fixed_by(target)
        self._tile_px = backgrounds.tile_px
        self._radius_px = backgrounds.mask_radius_arcsec / target.pixel_scale_arcsec
        self._mosaics = open_mosaics(
            backgrounds.images, target.band_names, target.pixel_scale_arcsec
        )
        weakref.finalize(self, self._mosaics.close)
        self.tiles = split_sky(
            self._mosaics.shape,
            self._mosaics.coverage(_COVERAGE_STEP_PX),
            _COVERAGE_STEP_PX,
            backgrounds.tile_px,
            backgrounds.guard_px,
            backgrounds.shares,
            backgrounds.seed,
            least_px=px,
        )
        self._clusters = self._read_clusters(backgrounds.clusters)
        self._noise = measure_noise(self._mosaics)
        self._electron_njy = electron_njy(self._mosaics, target)
        self._sky = functools.lru_cache(maxsize=_TILES_KEPT)(self._read_sky)

    def make(self, rng: np.random.Generator, split: str) -> GalaxyField:
        """Draw a field of one split.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness; the same state gives the same field.
        split : {"train", "validation", "test"}
            Part of the set.

        Raises
        ------
        ValueError
            If the split has no share of the sky, or no tile of it has a cutout without
            missing pixels or known clusters.
        """
        if split not in self.tiles:
            raise ValueError(
                f"backgrounds: shares gives no sky to {split!r}, only to "
                f"{', '.join(self.tiles)}; give it a share, or ask for no mocks of it"
            )
        for i in rng.permutation(len(self.tiles[split])):
            tile = self.tiles[split][i]
            image, corners, exposure = self._sky(tile)
            if len(corners):
                break
        else:
            raise ValueError(
                f"backgrounds: no cutout of {self.target.cutout_px} px in the "
                f"{len(self.tiles[split])} tiles of {split} has data in all its pixels "
                "and no known cluster in its middle; use larger tiles (tile_px), a "
                "smaller mask (mask_radius_arcsec) or another seed"
            )
        depth = np.ones(len(self.target.bands))
        if exposure is not None:
            depth = exposure[rng.integers(len(corners))]
            like = np.abs(np.log(exposure / depth)) < np.log(_LIKE_EXPOSURE)
            corners = corners[like.all(axis=1)]
        return GalaxyField(
            image,
            observe(
                *(self.target, self.priors, self._electron_njy, self._noise),
                *(depth, rng),
            ),
            {"row": float(tile.row), "column": float(tile.column)},
            corners,
            self._peaks(image, corners, rng),
        )

    def _peaks(
        self, image: np.ndarray, corners: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Return peaks that are no known cluster, from a ninth of a tile drawn anew."""
        if self._clusters is None:
            return np.empty((0, 2))
        side = max(self._tile_px // 3, self.target.cutout_px)
        # of its own, so that a table of clusters changes no other draw
        row, column = rng.spawn(1)[0].integers(0, self._tile_px - side + 1, 2)
        peaks = find_peaks(image[row : row + side, column : column + side])
        peaks += row, column
        # a cutout with the peak near its middle has to be one that may be taken
        allowed = np.zeros((self._tile_px, self._tile_px), bool)
        allowed[tuple(corners.T)] = True
        reach = int(np.ceil(self.priors.centre_offset_px)) + 1
        allowed = minimum_filter(allowed, 2 * reach + 1, mode="constant")
        first = np.rint(peaks - (self.target.cutout_px - 1) / 2).astype(int)
        inside = (first >= 0).all(axis=1)
        return peaks[inside][allowed[tuple(first[inside].T)]]

    def _read_clusters(self, path: str | None) -> np.ndarray | None:
        """Return the known clusters' places on the mosaic, (n, 2) as row and column."""
        if path is None:
            return None
        x, y = pixel_positions(
            *(read_positions(path), self._mosaics.wcs, None, path),
            self._mosaics.physical,
        )
        places = np.column_stack([y, x])
        end = np.array(self._mosaics.shape) - 0.5
        inside = ((places > -0.5) & (places < end)).all(axis=1)
        if len(places) and not inside.any():
            raise ValueError(
                f"{path}: expected clusters on the mosaics, but none of its "
                f"{len(places)} rows has a place there; look at the units of x and y "
                "(0-based pixels) or ra and dec (degrees)"
            )
        return places[np.isfinite(places).all(axis=1)]

    def _read_sky(self, tile: Tile) -> _Sky:
        px, margin = self.target.cutout_px, _EDGE_PX
        side = self._tile_px + 2 * margin
        # with its surroundings, NaN beyond the mosaic
        outer = np.full((side, side, len(self.target.bands)), np.nan, np.float32)
        first = [start - margin for start in tile]
        inside = [
            slice(max(start, 0), min(start + side, size))
            for start, size in zip(first, self._mosaics.shape, strict=True)
        ]
        own = tuple(
            slice(s.start - start, s.stop - start)
            for s, start in zip(inside, first, strict=True)
        )
        outer[own] = self._mosaics.window(*inside)
        missing = maximum_filter(~np.isfinite(outer).all(axis=-1), 2 * margin + 1)
        inner = slice(margin, margin + self._tile_px)
        image = outer[inner, inner].copy()
        image.flags.writeable = False
        allowed = _sums(missing[inner, inner], px) == 0
        self._forbid_clusters(allowed, tile)
        exposure = None
        if any(self._mosaics.has_weights):
            rows, columns = (slice(start, start + self._tile_px) for start in tile)
            weights = self._mosaics.weights(rows, columns)
            means = [
                _sums(weights[..., i], px)[allowed] / (px**2 * n.median_weight)
                for i, n in enumerate(self._noise)
            ]
            exposure = np.column_stack(means)
        return _Sky(image, np.argwhere(allowed).astype(np.int32), exposure)

    def _forbid_clusters(self, allowed: np.ndarray, tile: Tile) -> None:
        """Take out the corners of cutouts with a known cluster in the middle."""
        if self._clusters is None:
            return
        reach = int(self._radius_px) + 1
        # corner of a cutout whose middle is the cluster
        corners = self._clusters - tile - (self.target.cutout_px - 1) / 2
        near = (corners > -reach) & (corners < np.array(allowed.shape) + reach)
        for row, column in corners[near.all(axis=1)]:
            rows, columns = (
                np.arange(max(int(m) - reach, 0), min(int(m) + reach + 2, n))
                for m, n in zip((row, column), allowed.shape, strict=True)
            )
            distance = np.hypot(rows[:, None] - row, columns - column)
            allowed[np.ix_(rows, columns)] &= distance > self._radius_px


def _sums(image: np.ndarray, px: int) -> np.ndarray:
    """Return the sum over each square of px pixels a side, by its first pixel."""
    total = np.zeros(tuple(n + 1 for n in image.shape))
    total[1:, 1:] = image.cumsum(axis=0, dtype=float).cumsum(axis=1)
    return total[px:, px:] - total[:-px, px:] - total[px:, :-px] + total[:-px, :-px]
