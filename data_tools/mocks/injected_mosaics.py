"""Clusters put on real mosaics, as if they had been there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from data_tools.imaging.field_spectrum import LocalSpectra
from data_tools.imaging.observation import Observation
from data_tools.imaging.render import Filters, Renderer
from data_tools.imaging.visibility import visibility
from data_tools.mocks.surroundings import Surroundings
from data_tools.mosaics.mosaic import Mosaics
from data_tools.mosaics.noise import electron_njy, measure_noise, observe
from data_tools.priors import Priors
from data_tools.schema import PARAMETER_NAMES
from data_tools.stars.cluster import ClusterMaker, Points
from data_tools.streams import streams
from data_tools.target import Target, njy_to_ab

#: Side in pixels of the image that holds a cluster's light: beyond it, 2.5 arcsec from
#: the centre on UVIS pixels, the brightest has less than the sky's noise.
STAMP_PX = 128
#: Clusters that are seen through one draw of the PSF.
_PER_PSF = 16
#: Every so many pixels along both axes the mosaic is looked at for data.
_COVERAGE_STEP_PX = 16


class InjectedMosaics(Mosaics):
    """Mosaics with light added where they are read; the files stay as they are.

    Parameters
    ----------
    mosaics : Mosaics
        Open mosaics; they stay open when this is closed.
    corners : (n, 2) ndarray of int
        Row and column of the first pixel of each stamp; may be outside.
    stamps : (n, px, px, bands) ndarray of float32
        nJy per pixel.
    """

    def __init__(
        self, mosaics: Mosaics, corners: np.ndarray, stamps: np.ndarray
    ) -> None:
        super().__init__(mosaics.planes, mosaics.bands)
        self._corners = np.asarray(corners)
        self._stamps = stamps

    def close(self) -> None:
        """Leave the files open: they belong to the mosaics it was made of."""

    def window(self, rows: slice, columns: slice) -> np.ndarray:
        """Return a rectangle of all bands in nJy; see `Mosaics.window`."""
        image = super().window(rows, columns)
        first = np.array([rows.start, columns.start])
        last = np.array([rows.stop, columns.stop])
        side = self._stamps.shape[1]
        near = ((self._corners < last) & (self._corners + side > first)).all(axis=1)
        for i in np.flatnonzero(near):
            begin = np.maximum(self._corners[i], first)
            end = np.minimum(self._corners[i] + side, last)
            there = tuple(map(slice, begin - first, end - first))
            own = tuple(map(slice, begin - self._corners[i], end - self._corners[i]))
            image[there] += self._stamps[i][own]
        return image


@dataclass(frozen=True)
class Injected:
    """Clusters that were put on mosaics.

    Attributes
    ----------
    mosaics : InjectedMosaics
        The mosaics with them.
    log_snr : (n,) ndarray
        Visibility in dex; see `data_tools.imaging.visibility.visibility`.
    magnitude : (n, bands) ndarray
        AB magnitude of all of a cluster's light.
    """

    mosaics: InjectedMosaics
    log_snr: np.ndarray
    magnitude: np.ndarray


class Injector:
    """Put clusters on mosaics with the noise of their own photons.

    Their stars are drawn as those of a training set, and so are the associations that
    some were born in. The flux of one electron is that
    of the mosaics' headers, and of their weights where they have some; how drizzling
    correlates noise is measured on them; PSF, blur, offsets and zero points are drawn
    from the priors, anew for every few clusters: what is not known of the mosaic's own
    is averaged over.

    Parameters
    ----------
    target : Target
        Galaxy and instrument.
    priors : Priors
        What is drawn.
    mosaics : Mosaics
        Open mosaics in the target's bands.
    """

    def __init__(self, target: Target, priors: Priors, mosaics: Mosaics) -> None:
        self.target = target
        self.priors = priors = priors.fixed_by(target)
        self.mosaics = mosaics
        self._clusters = ClusterMaker(target, priors)
        self._surroundings = Surroundings(self._clusters)
        self._renderer = Renderer(STAMP_PX)
        self._noise = measure_noise(mosaics)
        self._electron_njy = electron_njy(mosaics, target)
        self._covered = np.argwhere(mosaics.coverage(_COVERAGE_STEP_PX))
        self._half = min(target.cutout_px, STAMP_PX) // 2
        self._spectra = LocalSpectra(mosaics.window, mosaics.shape, 2 * self._half)

    def places(
        self,
        n: int,
        spacing_px: float,
        avoid: np.ndarray,
        avoid_px: float,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw places with data, evenly, that keep their distance.

        Parameters
        ----------
        n : int
            Places at most; fewer come where the mosaic has no room.
        spacing_px : float
            Smallest distance between two of them.
        avoid : (m, 2) ndarray
            x and y that no place comes near to ...
        avoid_px : float
            ... than this.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        (n, 2) ndarray
            x and y, 0-based pixels.

        Raises
        ------
        ValueError
            If no pixel has data in all bands.
        """
        if not len(self._covered):
            raise ValueError(
                f"{self.mosaics.paths[0]}: expected pixels with data in all bands, "
                "found none"
            )
        tries = 8 * n
        cells = self._covered[rng.integers(len(self._covered), size=tries)]
        places = _COVERAGE_STEP_PX * (cells[:, ::-1] + rng.random((tries, 2))) - 0.5
        chosen: list[np.ndarray] = []
        taken = cKDTree(avoid) if len(avoid) else None
        px = self.target.cutout_px
        for place in places:
            if len(chosen) == n:
                break
            if taken is not None and taken.query(place)[0] < avoid_px:
                continue
            if chosen and np.hypot(*(chosen - place).T).min() < spacing_px:
                continue
            if self.mosaics.cutout(*place, px).usable:
                chosen.append(place)
        return np.array(chosen).reshape(-1, 2)

    def draw_parameters(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw parameters (n, P) evenly from the target's box."""
        low, high = np.transpose([self.target.box[name] for name in PARAMETER_NAMES])
        return rng.uniform(low, high, (n, len(low)))

    def inject(
        self, places: np.ndarray, parameters: np.ndarray, rng: np.random.Generator
    ) -> Injected:
        """Put clusters on the mosaics.

        Parameters
        ----------
        places : (n, 2) ndarray
            x and y of the centres, 0-based pixels.
        parameters : (n, P) ndarray
            In the order and units of `data_tools.schema.PARAMETERS`.
        rng : numpy.random.Generator
            Source of randomness.
        """
        n, bands = len(places), len(self.target.bands)
        corners = np.floor(places[:, ::-1]).astype(int) - STAMP_PX // 2 + 1
        stamps = np.empty((n, STAMP_PX, STAMP_PX, bands), np.float32)
        log_snr, magnitude = np.empty(n), np.empty((n, bands))
        for i in range(n):
            if i % _PER_PSF == 0:
                seed = int(rng.integers(2**63))
                psf = self._renderer.filters(
                    self._seen(np.ones(bands), seed).psf(
                        self.target, self._renderer.grid
                    )
                )
            seen = self._seen(self._depth(places[i]), seed)
            cluster = self._clusters.draw(parameters[i], rng)
            stamps[i] = self._drawn(cluster, places[i] - corners[i, ::-1], psf)
            around = self._surroundings.draw(
                streams(rng, 1)[0], cluster, parameters[i], unrelated=False
            )
            if around is not None:
                stamps[i] += self._drawn(around, places[i] - corners[i, ::-1], psf)
            stamps[i] = seen.saturated(stamps[i])
            stamps[i] += seen.noise(stamps[i], rng)
            with np.errstate(divide="ignore"):
                magnitude[i] = njy_to_ab(cluster.flux.sum(axis=0))
            # as in a training set: what a cutout shows of it
            inner = slice(STAMP_PX // 2 - self._half, STAMP_PX // 2 + self._half)
            sought = self._drawn(cluster.expected, places[i] - corners[i, ::-1], psf)
            log_snr[i] = visibility(
                sought[inner, inner], self._spectra.at(*places[i]), seen.electron_njy
            )
        mosaics = InjectedMosaics(self.mosaics, corners, stamps)
        return Injected(mosaics, log_snr, magnitude)

    def _drawn(self, points: Points, place: np.ndarray, psf: Filters) -> np.ndarray:
        """Return the light on a stamp of points about a place (x, y) on it."""
        x, y = points.x + place[0], points.y + place[1]
        return self._renderer.draw(x, y, points.flux, psf)

    def _seen(self, depth: np.ndarray, seed: int) -> Observation:
        rng = np.random.default_rng(seed)
        return observe(
            *(self.target, self.priors, self._electron_njy, self._noise, depth), rng
        )

    def _depth(self, place: np.ndarray) -> np.ndarray:
        """Return the exposure at a place over the mosaic's, in each band."""
        if not any(self.mosaics.has_weights):
            return np.ones(len(self.target.bands))
        half = self.target.cutout_px // 2
        rows, columns = (
            slice(max(int(p) - half, 0), min(int(p) + half, size))
            for p, size in zip(place[::-1], self.mosaics.shape, strict=True)
        )
        weights = self.mosaics.weights(rows, columns)
        weights = np.where(weights > 0, weights, np.nan)
        typical = np.array([noise.median_weight for noise in self._noise])
        return np.nanmean(weights, axis=(0, 1)) / typical

    def log_scatter(self, step_px: int) -> np.ndarray:
        """Map how much the pixels scatter, by noise and crowding.

        Parameters
        ----------
        step_px : int
            Side of the square boxes in pixels.

        Returns
        -------
        (rows, columns) ndarray
            Of each box the log10 of the root of `Observation.pixel_variance`, nJy,
            mean of the bands; boxes without data take that of the nearest with.
        """
        seen = self._seen(np.ones(len(self.target.bands)), 0)
        # at least eight pixels: a sliver at the edge says nothing
        counts = [max(-(-(size - 8) // step_px), 1) for size in self.mosaics.shape]
        out = np.full(counts, np.nan)
        for row in range(counts[0]):
            rows = slice(row * step_px, min((row + 1) * step_px, self.mosaics.shape[0]))
            strip = self.mosaics.window(rows, slice(0, self.mosaics.shape[1]))
            for column in range(counts[1]):
                box = strip[:, column * step_px : (column + 1) * step_px]
                pixels = box[np.isfinite(box).all(axis=-1)]
                if len(pixels) >= box[..., 0].size / 4:
                    variance = seen.pixel_variance(pixels[:, None])
                    out[row, column] = 0.5 * np.log10(variance).mean()
        unknown = ~np.isfinite(out)
        if unknown.all():
            return np.zeros_like(out)
        nearest = distance_transform_edt(
            unknown, return_distances=False, return_indices=True
        )
        return out[tuple(nearest)]
