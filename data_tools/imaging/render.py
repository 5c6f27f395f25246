"""Stars to images in all bands at once: exact places, one FFT, no pixel grid seen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.fft

from data_tools.imaging.psf import LARGEST_GRID, OVERSAMPLING
from data_tools.imaging.spreading import WIDTH, sharpening, spread_stars

#: No star is nearer than this, in pixels, to a part of the image that it reaches round
#: the canvas: 1.6 arcsec, beyond which a UVIS PSF has less than 5e-5 of its peak.
_REACH_PX = 40
#: Where no star is farther from any part of the image than these shares of its side, a
#: smaller canvas does.
_SMALLER = (0.625, 0.875)


def _seen_from(
    psf: np.ndarray, odd: tuple[int, int], side: int, shift: int = 0
) -> np.ndarray:
    """Transform a PSF as pixels of a canvas see it from such points of the finer grid.

    Parameters
    ----------
    psf : (bands, n, n) ndarray
        On the finer grid, centred on its first point.
    odd : (int, int)
        Row and column of the points, modulo `OVERSAMPLING`.
    side : int
        Of the canvas, in pixels.
    shift : int
        How many pixels farther on, along both axes, it comes to lie.

    Returns
    -------
    (bands, side, side // 2 + 1) ndarray of complex64
    """
    n = psf.shape[-1]
    reach = min(n // OVERSAMPLING, side)
    pixel = np.arange(reach) - reach // 2
    row, column = (OVERSAMPLING * pixel - one for one in odd)
    place = (pixel + shift) % side
    rows = np.zeros((len(psf), reach, side), np.float32)
    rows[..., place] = psf[:, row[:, None], column]
    out = np.zeros((len(psf), side, side // 2 + 1), np.complex64)
    out[:, place] = scipy.fft.rfft(rows)
    return scipy.fft.fft(out, axis=1, overwrite_x=True)


def _through(parts: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Add up what the finer grid's points of even and odd row and column bring."""
    spectrum = parts[0, 0] * seen[0, 0]
    for odd in ((0, 1), (1, 0), (1, 1)):
        spectrum += parts[odd] * seen[odd]
    return spectrum


@dataclass(frozen=True)
class Filters:
    """PSFs made ready for a renderer's canvases.

    Attributes
    ----------
    stars : dict of int to (2, 2, bands, side, side // 2 + 1) ndarray of complex64
        By the side of the canvas: the transform of the PSF, sharpened by what spreading
        blurs, as the pixels see it from the finer grid's points of even and odd row
        and column, those of the strip that holds the stars (`Renderer.source_grid`).
    smooth : (bands, canvas, canvas // 2 + 1) ndarray of complex64
        Transform of the PSF as the pixels see it from the middle of a pixel.
    """

    stars: dict[int, np.ndarray]
    smooth: np.ndarray


@dataclass(frozen=True)
class Renderer:
    """Draw stars on square images of one size.

    A star's flux is spread over a few points of a grid twice as fine as the image, the
    spread stars are convolved with the PSF sharpened by as much, and the result is
    taken at the pixels: a non-uniform FFT, so that a star stands where it is and not
    on a grid point. Only the pixels are computed: the points of even and odd row and
    column are four images of the canvas, each with a PSF of its own, that add up.

    Stars outside the image and its margin are left out. The canvas goes on beyond,
    so that no light comes in from the opposite side, and is smaller where all stars
    stand nearer to the middle. Only the rows that may hold stars are made, and come
    first: the PSF brings them to their place. Without a margin the canvas is the image
    itself, and light that leaves at one edge comes in at the other.

    Attributes
    ----------
    size_px : int
        Side of the image.
    margin_px : int
        Pixels beyond each edge whose stars still shine into the image; 0 for a patch
        that repeats itself.
    """

    size_px: int
    margin_px: int = 16

    def __post_init__(self) -> None:
        """Check the sizes."""
        if self.size_px < 8 or self.margin_px < 0 or self.size_px % 2:
            raise ValueError(
                "renderer: expected an even size_px >= 8 and margin_px >= 0; received "
                f"{self.size_px} and {self.margin_px}"
            )

    @cached_property
    def canvas_px(self) -> int:
        """Side of the canvas in pixels; the image starts at `margin_px`."""
        if not self.margin_px:
            return self.size_px
        reach = max(_REACH_PX, self.margin_px + WIDTH)
        return scipy.fft.next_fast_len(self.size_px + self.margin_px + reach)

    @cached_property
    def _smaller(self) -> dict[int, float]:
        """Sides of smaller canvases, and how far light may go on each, in pixels."""
        distances = [share * self.size_px for share in _SMALLER]
        sides = [scipy.fft.next_fast_len(math.ceil(d) + _REACH_PX) for d in distances]
        least = self.size_px + self.margin_px if self.margin_px else self.canvas_px
        return {
            side: distance
            for side, distance in zip(sides, distances, strict=True)
            if least <= side < self.canvas_px
        }

    @cached_property
    def _strips(self) -> dict[int, tuple[int, int]]:
        """Pixel of the image at which each canvas's strip begins, and its rows.

        By the side of the canvas. A strip is as wide as its canvas, and has room for
        the points that the outermost stars reach.
        """
        if not self.margin_px:
            return {self.canvas_px: (0, self.canvas_px)}
        margin = self.margin_px
        strips = {self.canvas_px: (-margin, self.size_px + 2 * margin + 1)}
        for side, distance in self._smaller.items():
            end = math.ceil(distance)
            first = self.size_px - 2 - end
            strips[side] = (first, end + 1 - first)
        return strips

    @property
    def grid(self) -> int:
        """Side of the finer grid that PSF spectra must have."""
        return min(OVERSAMPLING * self.canvas_px, LARGEST_GRID)

    def filters(self, spectra: np.ndarray) -> Filters:
        """Make PSFs ready for many images.

        Parameters
        ----------
        spectra : (bands, grid, grid // 2 + 1) ndarray
            From `data_tools.imaging.psf.psf_spectra`.

        Raises
        ------
        ValueError
            If the spectra are those of another grid.
        """
        n = self.grid
        if spectra.shape[1:] != (n, n // 2 + 1):
            raise ValueError(
                f"renderer: expected PSF spectra on a grid of {n} points; received "
                f"{spectra.shape}"
            )
        sharp = scipy.fft.irfft2(spectra * sharpening(n), s=(n, n))
        plain = scipy.fft.irfft2(spectra, s=(n, n))
        odds = list(np.ndindex(OVERSAMPLING, OVERSAMPLING))
        stars = {}
        for side, (first, _) in self._strips.items():
            shift = self.margin_px + first
            parts = np.array([_seen_from(sharp, odd, side, shift) for odd in odds])
            stars[side] = parts.reshape(OVERSAMPLING, OVERSAMPLING, *parts.shape[1:])
        return Filters(stars, _seen_from(plain, (0, 0), self.canvas_px))

    def source_grid(
        self,
        x: np.ndarray,
        y: np.ndarray,
        flux: np.ndarray,
        canvas_px: int | None = None,
    ) -> np.ndarray:
        """Spread stars on the finer grid, on the strip of a canvas that holds them.

        Parameters
        ----------
        x, y : (n,) ndarray
            Places in pixels of the image, 0 at the middle of the first pixel.
        flux : (n, bands) ndarray
            Fluxes.
        canvas_px : int, optional
            Side of the canvas, if not the renderer's own.

        Returns
        -------
        (bands, 2 rows, 2 canvas) ndarray of float32
        """
        canvas_px = canvas_px or self.canvas_px
        first_px, rows = self._strips[canvas_px]
        n = OVERSAMPLING * canvas_px
        x, y = (OVERSAMPLING * (place - float(first_px)) for place in (x, y))
        if self.margin_px:
            grid = np.zeros((flux.shape[1], OVERSAMPLING * rows, n), np.float32)
            spread_stars(x, y, flux, grid)
            return grid
        # a patch that repeats has room for stars that reach over its edges
        guard = WIDTH
        grid = np.zeros((flux.shape[1], n + 2 * guard, n + 2 * guard), np.float32)
        # the same as % n, in a quarter of the time
        x, y = (place - n * np.floor(place / n) + guard for place in (x, y))
        spread_stars(x, y, flux, grid)
        for edge in (grid.swapaxes(0, 1), grid.swapaxes(0, 2)):
            edge[guard : 2 * guard] += edge[-guard:]
            edge[-2 * guard : -guard] += edge[:guard]
        return grid[:, guard:-guard, guard:-guard]

    def convolve(
        self,
        source: np.ndarray | None,
        psf: np.ndarray | Filters,
        smooth: np.ndarray | None = None,
        colours: np.ndarray | None = None,
    ) -> np.ndarray:
        """Turn spread stars, and smooth light, into an image.

        Parameters
        ----------
        source : (bands, 2 rows, 2 canvas) ndarray or None
            From `source_grid`; None for no stars.
        psf : (bands, grid, grid // 2 + 1) ndarray or Filters
            From `data_tools.imaging.psf.psf_spectra`, or what `filters` made of it: for
            more than one image make them once.
        smooth : (bands, canvas, canvas) ndarray, optional
            Light of each pixel of the canvas that is not in stars.
        colours : (k, bands) ndarray, optional
            Where the source has k kinds of stars in place of bands: flux in each band
            of the unit of each.

        Returns
        -------
        (size_px, size_px, bands) ndarray of float32
        """
        filters = psf if isinstance(psf, Filters) else self.filters(psf)
        m = self.canvas_px if source is None else source.shape[-1] // OVERSAMPLING
        spectrum = 0
        if source is not None:
            points = source.reshape(len(source), -1, OVERSAMPLING, m, OVERSAMPLING)
            parts = scipy.fft.rfft(points.transpose(2, 4, 0, 1, 3))
            parts = scipy.fft.fft(parts, n=m, axis=-2, overwrite_x=True)
            if colours is None:
                spectrum = _through(parts, filters.stars[m])
            else:
                for i, colour in enumerate(colours.astype(np.float32)):
                    alone = _through(parts[:, :, i : i + 1], filters.stars[m])
                    spectrum += colour[:, None, None] * alone
        if smooth is not None:
            spectrum += scipy.fft.rfft2(smooth) * filters.smooth
        keep = slice(self.margin_px, self.margin_px + self.size_px)
        rows = scipy.fft.ifft(spectrum, axis=1, overwrite_x=True)[:, keep]
        image = scipy.fft.irfft(rows, n=m)[:, :, keep]
        return np.stack(list(image), axis=-1)

    def draw(
        self,
        x: np.ndarray,
        y: np.ndarray,
        flux: np.ndarray,
        psf: np.ndarray | Filters,
        colours: np.ndarray | None = None,
    ) -> np.ndarray:
        """Draw stars.

        Parameters
        ----------
        x, y : (n,) ndarray
            Places in pixels of the image, 0 at the middle of the first pixel.
        flux : (n, bands) ndarray
            Flux of each star in nJy.
        psf : (bands, grid, grid // 2 + 1) ndarray or Filters
            PSFs, as for `convolve`.
        colours : (k, bands) ndarray, optional
            Where all stars have one of a few colours, or are sums of them: flux in nJy
            of the unit of each, and `flux` is (n, k), in these units. Less is to be
            transformed where they are fewer than bands.

        Returns
        -------
        (size_px, size_px, bands) ndarray of float32
            nJy per pixel.
        """
        middle = (self.size_px - 1) / 2
        farthest = middle + max(abs(v - middle).max(initial=0) for v in (x, y))
        side = next((s for s, far in self._smaller.items() if farthest < far), None)
        source = self.source_grid(x, y, flux, side)
        return self.convolve(source, psf, colours=colours)
