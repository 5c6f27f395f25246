"""How rough a field is at each scale, and how its bands vary together."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft

#: Rings of spatial frequency an octave.
_RINGS_PER_OCTAVE = 8
#: Half the width, in octaves, of the filters whose scatter is measured. Narrower ones
#: ring, so that each place sees the bright stars of many others; wider ones mix scales.
_HALF_WIDTH = 1.35
#: Quantiles of a Gaussian at minus and plus one sigma.
_ONE_SIGMA = (0.15866, 0.84134)
#: Places along an axis at which the filtered image is looked at, at least, and the
#: largest side in pixels that is looked at.
_PLACES = 48
_MOST_PX = 1024
#: Scatter in nJy put in for a band that does not scatter at all, as one whose pixels
#: were clipped: so large that the band says nothing.
_SAYS_NOTHING = 1e15
#: Side in pixels of the square whose spectrum is that of a place on a mosaic, a field's
#: of a training set, and at every how many pixels it is measured anew.
_AROUND_PX = 768
_STEP_PX = 256


@dataclass(frozen=True)
class Rings:
    """The spatial frequencies of square cutouts, ordered by their ring.

    Attributes
    ----------
    order : (modes,) ndarray of int
        Indices into the flat (px, px // 2 + 1) plane of `scipy.fft.rfft2`, without the
        mean.
    weight : (modes,) ndarray of float32
        Root of how often each counts: twice for a mode whose conjugate is left out.
    first : (rings,) ndarray of int
        Where each ring begins in `order`.
    frequency : (rings,) ndarray
        Mean of the logarithm to base 2, in cycles a pixel.
    """

    order: np.ndarray
    weight: np.ndarray
    first: np.ndarray
    frequency: np.ndarray


@lru_cache(maxsize=4)
def rings(px: int) -> Rings:
    """Return the rings of cutouts of a side in pixels."""
    row, column = scipy.fft.fftfreq(px)[:, None], scipy.fft.rfftfreq(px)
    frequency = np.hypot(row, column).ravel()
    ring = np.rint(_RINGS_PER_OCTAVE * np.log2(np.maximum(px * frequency, 0.1)))
    twice = (column > 0) & (column < 0.5)
    weight = np.sqrt(1 + np.broadcast_to(twice, (px, column.size)).ravel())
    order = np.argsort(ring, kind="stable")[1:]
    first = np.flatnonzero(np.diff(ring[order], prepend=-1))
    logs = np.log2(frequency[order])
    counts = np.diff(first, append=len(order))
    return Rings(
        order,
        weight[order].astype(np.float32),
        first,
        np.add.reduceat(logs, first) / counts,
    )


@dataclass(frozen=True)
class FieldSpectrum:
    """The power spectrum of a field: noise and crowding together.

    Attributes
    ----------
    px : int
        Side of the cutouts in whose rings of frequency it is given; see `rings`.
    power : (rings, bands, bands) ndarray
        Power in nJy2 per pixel, so that noise independent between pixels has its
        variance in each ring; beside the diagonal what two bands have in common.
    """

    px: int
    power: np.ndarray

    @classmethod
    def white(cls, variance: np.ndarray, px: int) -> FieldSpectrum:
        """Return the spectrum of independent noise of a variance (bands,), nJy2."""
        power = np.diag(np.asarray(variance, float))
        return cls(px, np.broadcast_to(power, (len(rings(px).first), *power.shape)))


def measure_spectrum(image: np.ndarray, px: int) -> FieldSpectrum:
    """Measure the power spectrum of a field, robust against its bright stars.

    The mean power of a field is that of its few brightest stars, and says nothing of
    the places between them. So the image is filtered, an octave apart, and the power is
    the square of half the range of the middle 68 % of the pixels over that of unit
    white noise in the filter. Bands vary together by the correlation coefficient of
    Gnanadesikan & Kettenring (1972, Biometrics 28, 81), from the same ranges of sums
    and differences. Between the filters' frequencies logarithms of the power and
    coefficients are interpolated, beyond them they are constant.

    Parameters
    ----------
    image : (rows, columns, bands) ndarray
        nJy per pixel, at least `px` a side; NaN where there are no data. What lies
        within half a cutout of the edge only helps to filter the rest.
    px : int
        Side of the cutouts for which it is measured.

    Returns
    -------
    FieldSpectrum
        NaN without data.
    """
    image = _middle(image, max(_MOST_PX, 2 * px))
    step = max(1 << int(math.log2(min(image.shape[:2]) / _PLACES)), 2)
    rows, columns = (n - n % step for n in image.shape[:2])
    planes = np.array(np.moveaxis(image, -1, 0)[:, :rows, :columns], "f4", order="C")
    known = np.isfinite(planes.sum(axis=0))
    used = _inner(known[::step, ::step], px // (2 * step))
    if not used.any():
        return FieldSpectrum.white(np.full(len(planes), np.nan), px)
    seen = planes[:, known][:, ::step] if not known.all() else planes[:, ::step, ::step]
    level = np.median(seen.reshape(len(planes), -1), axis=1)
    planes -= level[:, None, None]
    planes[:, ~known] = 0
    spectrum = _periodic(planes)
    filters = _filters(rows, columns, step, -round(math.log2(px)))
    scatter, common = zip(
        *(_robust(filtered.of(spectrum)[:, used]) for filtered in filters), strict=True
    )
    return FieldSpectrum(
        px,
        _interpolated(
            rings(px).frequency - filters[0].centre,
            np.array(scatter),
            np.array(common),
        ),
    )


class LocalSpectra:
    """The spectra of a mosaic, which is not as rough everywhere as in its middle.

    Parameters
    ----------
    window : callable
        Gives the (rows, columns, bands) pixels in nJy of slices of rows and columns.
    shape : (int, int)
        Rows and columns of the mosaic.
    px : int
        Side of the cutouts for which they are measured.
    """

    def __init__(
        self,
        window: Callable[[slice, slice], np.ndarray],
        shape: tuple[int, int],
        px: int,
    ) -> None:
        self._window, self._px = window, px
        self._shape = np.array(shape)
        self._measured: dict[tuple[int, ...], FieldSpectrum] = {}

    def at(self, x: float, y: float) -> FieldSpectrum:
        """Return the spectrum around a place, 0-based pixels."""
        cell = (int(y // _STEP_PX), int(x // _STEP_PX))
        if cell not in self._measured:
            middle = (np.array(cell) + 0.5) * _STEP_PX
            last = np.maximum(self._shape - _AROUND_PX, 0)
            first = np.clip(middle - _AROUND_PX / 2, 0, last).astype(int)
            end = np.minimum(first + _AROUND_PX, self._shape)
            around = self._window(*map(slice, first, end))
            self._measured[cell] = measure_spectrum(around, self._px)
        return self._measured[cell]


def _middle(image: np.ndarray, most_px: int) -> np.ndarray:
    """Cut out at most so many pixels a side."""
    sides = [min(size, most_px) for size in image.shape[:2]]
    first = [(n - side) // 2 for n, side in zip(image.shape, sides, strict=False)]
    rows, columns = (slice(f, f + s) for f, s in zip(first, sides, strict=True))
    return image[rows, columns]


def _periodic(planes: np.ndarray) -> np.ndarray:
    """Transform images (bands, rows, columns) without what their edges differ by.

    An image that doesn't go on at the opposite edge has a jump there with power at all
    frequencies. The smoothest image with the same jumps is taken away (Moisan 2011, J.
    Math. Imaging Vis. 39, 161, equation 10).
    """
    across, along = _jumps(*planes.shape[1:])
    spectrum = scipy.fft.rfft2(planes)
    first = scipy.fft.rfft(planes[:, -1] - planes[:, 0])
    spectrum -= first[:, None] * across
    first = scipy.fft.fft(planes[:, :, -1] - planes[:, :, 0])
    spectrum -= first[:, :, None] * along
    return spectrum


@lru_cache(maxsize=2)
def _jumps(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return transforms of the smoothest image of a unit jump at each pair of edges."""
    row = 2 * np.pi * scipy.fft.fftfreq(rows)[:, None]
    column = 2 * np.pi * scipy.fft.rfftfreq(columns)
    laplacian = 2 * np.cos(row) + 2 * np.cos(column) - 4
    laplacian[0, 0] = 1
    return tuple(
        ((1 - np.exp(1j * k)) / laplacian).astype(np.complex64) for k in (row, column)
    )


def _inner(known: np.ndarray, margin: int) -> np.ndarray:
    """Return which places have data, those at the edge only if no others do."""
    inner = np.zeros_like(known)
    inside = slice(margin, -margin or None)
    inner[inside, inside] = known[inside, inside]
    return inner if inner.any() else known


@dataclass(frozen=True)
class _Filter:
    """A filter an octave wide or so, whose output is taken at every so many pixels.

    An image looked at so has in each mode the sum of all that look alike there, so that
    only a small transform has to be taken.

    Attributes
    ----------
    centre : int
        Middle, log2 of cycles a pixel.
    transmission : (a, rows, b, columns) ndarray of float32
        By what the modes are multiplied, white noise of unit variance keeping it, where
        it is not zero: replicas of the small transform's modes.
    replicas : (a,) ndarray of int
        Which they are, along a column; along a row they are the first.
    step : int
        Distance of the pixels.
    """

    centre: int
    transmission: np.ndarray
    replicas: np.ndarray
    step: int

    def of(self, spectrum: np.ndarray) -> np.ndarray:
        """Filter an image, given by its transform, to (bands, rows, columns)."""
        _, rows, b, columns = self.transmission.shape
        modes = spectrum[..., : b * columns].reshape(-1, self.step, rows, b, columns)
        total = np.zeros((len(modes), rows, columns), np.complex64)
        # one after the other: all at once are too large for the processor's cache
        for i, replica in enumerate(self.replicas):
            for j in range(b):
                total += modes[:, replica, :, j] * self.transmission[i, :, j]
        return scipy.fft.ifft2(total).real


@lru_cache(maxsize=2)
def _filters(rows: int, columns: int, step: int, lowest: int) -> tuple[_Filter, ...]:
    """Return the filters of images of a size, an octave apart."""
    # the half that is kept stands for the other too; the highest frequency is left out
    half = columns // 2
    shape = (step, rows // step, step // 2, columns // step)
    frequency = np.hypot(
        scipy.fft.fftfreq(rows)[:, None], scipy.fft.rfftfreq(columns)[:half]
    )
    octave = np.log2(np.maximum(frequency, 1e-9))
    twice = np.full(half, 2.0)
    twice[0] = 1
    filters = []
    for centre in range(lowest, 0):
        away = octave - centre
        window = np.cos((0.5 * np.pi / _HALF_WIDTH) * away)
        window[np.abs(away) > _HALF_WIDTH] = 0
        if centre == -1:
            window[away > 0] = 1
        gain = (np.square(window) * twice).sum() / (rows * columns)
        window *= twice / (math.sqrt(gain) * step**2)
        window = window.reshape(shape).astype(np.float32)
        replicas = np.flatnonzero(window.any(axis=(1, 2, 3)))
        last = np.flatnonzero(window.any(axis=(0, 1, 3))).max() + 1
        filters.append(_Filter(centre, window[replicas, :, :last], replicas, step))
    return tuple(filters)


def _robust(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the robust scatter of bands (bands, n), and their correlation matrix."""
    scatter = _scatter(pixels)
    unit = pixels / np.where(scatter > 0, scatter, 1)[:, None]
    common = np.eye(len(pixels))
    first, second = np.triu_indices(len(pixels), 1)
    plus = np.square(_scatter(unit[first] + unit[second]))
    minus = np.square(_scatter(unit[first] - unit[second]))
    common[first, second] = (plus - minus) / np.maximum(plus + minus, 1e-12)
    common[second, first] = common[first, second]
    return scatter, common


def _scatter(pixels: np.ndarray) -> np.ndarray:
    """Return half the range of the middle 68 % along the last axis."""
    low, high = (int(q * (pixels.shape[-1] - 1) + 0.5) for q in _ONE_SIGMA)
    ordered = np.partition(pixels, (low, high), axis=-1)
    return (ordered[..., high] - ordered[..., low]).astype(float) / 2


def _interpolated(
    place: np.ndarray, scatter: np.ndarray, common: np.ndarray
) -> np.ndarray:
    """Return power between the filters, at places from 0, the first, to the last."""
    place = np.clip(place, 0, len(scatter) - 1)
    before = np.minimum(place.astype(int), len(scatter) - 2)
    share = (place - before)[:, None]
    logs = np.log(np.where(scatter > 0, scatter, _SAYS_NOTHING))
    root = np.exp(logs[before] * (1 - share) + logs[before + 1] * share)
    share = share[:, :, None]
    common = common[before] * (1 - share) + common[before + 1] * share
    return common * root[:, :, None] * root[:, None, :]
