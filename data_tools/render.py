"""Stars to images in all bands at once: exact places, one FFT, no pixel grid seen."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.fft

from data_tools.psf import OVERSAMPLING

#: Points of the finer grid, along an axis, over which a star is spread.
_WIDTH = 6
#: Shape of the spreading function exp(beta (sqrt(1 - z^2) - 1)) (Barnett, Magland &
#: af Klinteberg 2019, SIAM J. Sci. Comput. 41, C479), for a signal that fills most
#: of the lower 60 % of the finer grid's band.
_BETA = 1.9 * _WIDTH


def _spread(distance: np.ndarray) -> np.ndarray:
    z = np.minimum(np.abs(distance) * (2 / _WIDTH), 1.0)
    return np.exp(_BETA * (np.sqrt(1 - z * z) - 1))


def _spread_spectrum(n: int) -> np.ndarray:
    """Fourier transform of the spreading function at the n-point grid's frequencies."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    distance = nodes * (_WIDTH / 2)
    phase = 2 * np.pi * np.fft.fftfreq(n)[:, None] * distance
    return (weights * _spread(distance) * np.cos(phase)).sum(1) * (_WIDTH / 2)


@dataclass(frozen=True)
class Renderer:
    """Draw stars on square images of one size.

    A star's flux is spread over a few points of a grid twice as fine as the image, the
    grid is multiplied in Fourier space by the PSF over the spreading function, and
    every second point is kept: a non-uniform FFT, so that a star stands where it is
    and not on a grid point. Stars outside the canvas (image and margin) are left out.

    Attributes
    ----------
    size_px : int
        Side of the image.
    margin_px : int
        Pixels beyond each edge whose stars still shine into the image.
    """

    size_px: int
    margin_px: int = 16
    _correction: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Prepare the spreading function's transform."""
        if self.size_px < 8 or self.margin_px < _WIDTH:
            raise ValueError(
                f"renderer: expected size_px >= 8 and margin_px >= {_WIDTH}; "
                f"received {self.size_px} and {self.margin_px}"
            )
        if self.grid % 4:
            raise ValueError(
                "renderer: expected size_px + 2 margin_px to be even; received "
                f"{self.size_px} and {self.margin_px}"
            )
        axis = 1 / _spread_spectrum(self.grid)
        half = self.grid // 2 + 1
        correction = (axis[:, None] * axis[None, :half]).astype(np.float32)
        object.__setattr__(self, "_correction", correction)

    @property
    def grid(self) -> int:
        """Side of the finer grid; PSF spectra must have it."""
        return OVERSAMPLING * (self.size_px + 2 * self.margin_px)

    def source_grid(self, x: np.ndarray, y: np.ndarray, flux: np.ndarray) -> np.ndarray:
        """Spread stars on the finer grid.

        Parameters
        ----------
        x, y : (n,) ndarray
            Places in pixels of the image, 0 at the middle of the first pixel.
        flux : (n, bands) ndarray
            Fluxes.

        Returns
        -------
        (bands, grid, grid) ndarray of float32
        """
        n = self.grid
        margin = self.margin_px * OVERSAMPLING
        column = np.asarray(x) * OVERSAMPLING + margin
        row = np.asarray(y) * OVERSAMPLING + margin
        reach = _WIDTH // 2
        inside = (
            (column >= reach)
            & (column < n - reach)
            & (row >= reach)
            & (row < n - reach)
        )
        column, row, flux = column[inside], row[inside], np.asarray(flux)[inside]
        taps = np.arange(_WIDTH) - (reach - 1)
        first_column, first_row = column.astype(np.int64), row.astype(np.int64)
        weight_column = _spread((first_column - column)[:, None] + taps)
        weight_row = _spread((first_row - row)[:, None] + taps)
        index = (
            ((first_row[:, None] + taps) * n)[:, :, None]
            + (first_column[:, None] + taps)[:, None, :]
        ).ravel()
        weight = weight_row[:, :, None] * weight_column[:, None, :]
        out = np.empty((flux.shape[1], n, n), np.float32)
        for band in range(flux.shape[1]):
            values = (weight * flux[:, band, None, None]).ravel()
            out[band] = np.bincount(index, values, n * n).reshape(n, n)
        return out

    def convolve(
        self,
        source: np.ndarray,
        spectra: np.ndarray,
        smooth: np.ndarray | None = None,
    ) -> np.ndarray:
        """Turn spread stars, and smooth light, into an image.

        Parameters
        ----------
        source : (bands, grid, grid) ndarray
            From `source_grid`.
        spectra : (bands, grid, grid // 2 + 1) ndarray
            From `data_tools.psf.psf_spectra`.
        smooth : (bands, grid, grid) ndarray, optional
            Light at each point of the finer grid that was not spread.

        Returns
        -------
        (size_px, size_px, bands) ndarray of float32
        """
        half, quarter = self.grid // 2, self.grid // 4
        spectrum = scipy.fft.rfft2(source) * self._correction
        if smooth is not None:
            spectrum += scipy.fft.rfft2(smooth)
        spectrum *= spectra
        # keeping every second point is adding the upper half of the band to the lower
        rows = spectrum[:, :half] + spectrum[:, half:]
        mirrored = np.roll(rows[:, ::-1, half : quarter - 1 : -1], 1, axis=1)
        folded = rows[:, :, : quarter + 1] + np.conj(mirrored)
        canvas = scipy.fft.irfft2(folded, s=(half, half)) * (1 / OVERSAMPLING**2)
        keep = slice(self.margin_px, self.margin_px + self.size_px)
        return np.ascontiguousarray(np.moveaxis(canvas[:, keep, keep], 0, -1))

    def draw(
        self, x: np.ndarray, y: np.ndarray, flux: np.ndarray, spectra: np.ndarray
    ) -> np.ndarray:
        """Draw stars.

        Parameters
        ----------
        x, y : (n,) ndarray
            Places in pixels of the image, 0 at the middle of the first pixel.
        flux : (n, bands) ndarray
            Flux of each star in nJy.
        spectra : (bands, grid, grid // 2 + 1) ndarray
            PSFs, from `data_tools.psf.psf_spectra`.

        Returns
        -------
        (size_px, size_px, bands) ndarray of float32
            nJy per pixel.
        """
        return self.convolve(self.source_grid(x, y, flux), spectra)
