"""The noise of mosaics, measured, and what mocks put on them are seen through."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy.stats import sigma_clipped_stats
from scipy.ndimage import gaussian_filter

from data_tools.imaging.observation import (
    Observation,
    draw_observation,
    variance_factor,
)
from data_tools.mosaics.mosaic import Mosaics
from data_tools.priors import Priors
from data_tools.target import Target

#: Side in pixels of the boxes a mosaic is looked at in, and the most along an axis: of
#: a larger mosaic a sample is read, evenly spread.
BOX_PX = 64
_BOXES = 32
#: A box is used if so many of its pixels have data ...
_LEAST_COVERED = 0.9
#: ... and noise is measured in it if fewer neighbours than this are exactly equal:
#: more means that pixels were clipped, or stored in steps coarser than the noise.
_MOST_EQUAL = 0.2
#: Noise is measured in this share of the boxes, those with the lowest level, where
#: least light of the galaxy adds to it, and in at least so many.
_DARKEST = 0.25
_FEWEST_BOXES = 8

#: Within a box it is measured in this share of the pixels, those with the lowest level
#: by a Gaussian mean of their surroundings, sigma in pixels.
_DARKER = 0.5
_LEVEL_PX = 1.5
#: Quantiles of a Gaussian at minus and plus one sigma.
_ONE_SIGMA = (0.15866, 0.84134)
#: Largest product of the power between pixels two apart, in units of the noise's, and
#: of that in the brighter part over that in the darker: of synthetic discs and cores of
#: clusters those that are 25 % wrong have more, 2.26 at least, and few of the others.
_MOST_CROWDED = 2.0
#: Variance of the fourth difference (1, -4, 6, -4, 1) of independent unit noise: the
#: sum of its squares; and what neighbours correlated by rho add to it, per rho.
_INDEPENDENT, _PER_RHO = 70.0, -112.0
#: Largest correlation of neighbours by drizzling at the detector's scale.
_LARGEST_RHO = 0.5


@dataclass(frozen=True)
class BandNoise:
    """What one band of a mosaic shows about its noise.

    Attributes
    ----------
    band : str
        Filter name.
    covered : float
        Share of the pixels with data, in [0, 1].
    sky_njy : float
        Level of the darkest quarter of the mosaic, nJy per pixel; NaN without data.
    sigma_njy : float
        Scatter of a pixel by noise there, nJy, at the median weight; NaN where pixels
        were clipped or rounded, or stars are too dense, so that none can be seen.
    correlation : (float, float)
        Correlation coefficient of the noise of neighbours along a column (axis 0) and
        along a row; NaN as above.
    median_weight : float
        Median of the weight map where there are data; 1 without one.
    weight_range : (float, float)
        5th and 95th percentile of the weight over its median.
    dark_njy : float
        Level of the pixels in which noise was measured, nJy per pixel.
    """

    band: str
    covered: float
    sky_njy: float
    sigma_njy: float
    correlation: tuple[float, float]
    median_weight: float
    weight_range: tuple[float, float]
    dark_njy: float = 0.0

    @property
    def noise_shift_px(self) -> float:
        """Shift d by which `observation.drizzled` correlates noise so.

        With q = d (1 - d) the coefficient is rho = q / (1 - 2 q), so q = rho / (1 + 2
        rho). rho is the mean of both axes, taken to lie between 0 and 0.5.
        """
        rho = np.clip(np.mean(self.correlation), 0.0, _LARGEST_RHO)
        return float(0.5 - np.sqrt(0.25 - rho / (1 + 2 * rho)))

    @property
    def white_variance(self) -> float:
        """Variance per pixel before drizzling correlated the noise, nJy2."""
        return float(self.sigma_njy**2 / variance_factor(self.noise_shift_px))


def measure_noise(mosaics: Mosaics) -> tuple[BandNoise, ...]:
    """Measure sky and noise of each band of a mosaic.

    The mosaic is looked at in boxes of `BOX_PX`, at most 32 x 32 of them, evenly
    spread. See `boxes_noise`.

    Parameters
    ----------
    mosaics : Mosaics
        Open mosaics of one field.

    Returns
    -------
    tuple of BandNoise
        In the order of the bands.
    """
    rows, columns = (
        [slice(first, first + min(size, BOX_PX)) for first in _starts(size)]
        for size in mosaics.shape
    )
    places = [(r, c) for r in rows for c in columns]
    boxes = np.array([mosaics.window(*place) for place in places])
    weights = np.ones_like(boxes)
    if any(mosaics.has_weights):
        weights = np.array([mosaics.weights(*place) for place in places])
    return boxes_noise(boxes, weights, mosaics.bands)


def _starts(size: int) -> np.ndarray:
    """Return the first pixels of the boxes along an axis."""
    count = min(max(size // BOX_PX, 1), _BOXES)
    return np.linspace(0, max(size - BOX_PX, 0), count).astype(int)


def boxes_noise(
    boxes: np.ndarray, weights: np.ndarray, bands: Sequence[str]
) -> tuple[BandNoise, ...]:
    """Measure sky and noise of each band in boxes cut from a mosaic.

    The level of a box is the median after clipping at 3 sigma. Noise is measured
    (`pixel_noise`) in the quarter of the boxes with the lowest level: they are chosen
    by their level and not by their noise, which would bias it low. With a weight map
    the noise of a box is first brought to the median weight, as if its variance were
    inverse to the weight.

    Parameters
    ----------
    boxes : (n, rows, columns, bands) ndarray
        nJy per pixel; NaN where there are no data.
    weights : (n, rows, columns, bands) ndarray
        Weight of each pixel; ones without a weight map.
    bands : sequence of str
        Filter names.

    Returns
    -------
    tuple of BandNoise
        In the order of the bands.
    """
    return tuple(
        _band_noise(band, boxes[..., i], weights[..., i])
        for i, band in enumerate(bands)
    )


def _band_noise(band: str, boxes: np.ndarray, weights: np.ndarray) -> BandNoise:
    known = np.isfinite(boxes)
    share = known.mean(axis=(1, 2))
    covered = float(share.mean())
    nan = float("nan")
    if not covered:
        return BandNoise(band, 0.0, nan, nan, (nan, nan), 1.0, (1.0, 1.0))
    median_weight = float(np.median(weights[known]))
    low, high = np.percentile(weights[known], (5, 95)) / median_weight
    used = share >= min(_LEAST_COVERED, share.max())
    boxes, known, weights = boxes[used], known[used], weights[used]
    level = _levels(boxes)
    order = np.argsort(level)
    count = max(int(np.ceil(_DARKEST * len(order))), _FEWEST_BOXES)

    equal = (np.diff(boxes, axis=2) == 0).mean(axis=(1, 2))
    seen = order[equal[order] < _MOST_EQUAL][:count]
    sigma, correlation, dark = nan, (nan, nan), 0.0
    if len(seen):
        weight = [np.median(weights[i][known[i]]) / median_weight for i in seen]
        sigma, correlation = pixel_noise(boxes[seen] * np.sqrt(weight)[:, None, None])
        levels = np.quantile(_surroundings(boxes[seen]), _DARKER / 2, axis=(1, 2))
        dark = float(np.median(levels))
    return BandNoise(
        band,
        covered,
        float(np.median(level[order[:count]])),
        sigma,
        correlation,
        median_weight,
        (float(low), float(high)),
        dark,
    )


def _levels(boxes: np.ndarray) -> np.ndarray:
    """Return the median of each box after clipping at 3 sigma."""
    pixels = np.ma.masked_invalid(boxes.reshape(len(boxes), -1))
    return sigma_clipped_stats(pixels, sigma=3, axis=1)[1]


def pixel_noise(boxes: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Measure the noise of pixels and its correlation between neighbours.

    Stars and smooth light are taken out by the fourth difference (1, -4, 6, -4, 1)
    along both axes: it keeps the highest spatial frequencies, which a PSF leaves
    nearly empty and noise fills (the idea of Immerkaer 1996, CVIU 64, 300). It is
    looked at in the darker half of each box, by the level of its surroundings, where
    fewest stars are; what remains of them are outliers to the middle 68 %. Noise whose
    neighbours along an axis are correlated by rho, and no others, as
    `data_tools.imaging.observation.drizzled` makes it, has along that axis 70 - 112 rho
    times the variance of a pixel; between pixels two apart (1, 0, -4, 0, 6, 0, -4, 0,
    1) it has 70 times. The ratio gives rho, and rho the variance.

    A crowd of stars has no dark between them. It shows by two things: between pixels
    two apart along both axes noise has 70^2 times the variance of a pixel, and stars,
    which fill lower frequencies first, have more; and in the brighter half of a box the
    fourth difference has more, too. Where the product of the two is above 2 nothing is
    said.

    Measured: on four drizzled UVIS images sigma is within 4 % of what their authors
    state, on a STIS image of the disc of M33 within 5 % of the scatter of the
    difference of two exposures, on synthetic discs and cores of clusters, sparse and
    dense and through PSFs narrow and wide, within 25 % where anything is said, and
    mostly within 10 %. Noise correlated beyond neighbours (drizzled to pixels much
    smaller than the detector's) comes out too low.

    Parameters
    ----------
    boxes : (n, rows, columns) ndarray
        Parts of an image of more than 8 pixels a side; NaN where there are no data.

    Returns
    -------
    sigma : float
        Standard deviation of a pixel in the unit of the image; NaN where most pixels
        are equal, or stars are so dense that they can't be told from noise.
    correlation : (float, float)
        rho along a column (axis 0) and along a row (axis 1).
    """
    with warnings.catch_warnings():
        # of boxes without data, whose scatter is unknown
        warnings.simplefilter("ignore", RuntimeWarning)
        level = _surroundings(boxes)
        scatter = [
            _scatter(_differences(boxes, *lags), level)
            for lags in ((1, 1), (2, 1), (1, 2), (2, 2))
        ]
    near, far_0, far_1, both = (dark**2 for dark, _ in scatter)
    unknown = float("nan"), (float("nan"), float("nan"))
    if not near > 0:
        return unknown
    variance = near
    correlation = []
    for far in (far_0, far_1):
        rho = float((near / far - 1) * _INDEPENDENT / _PER_RHO)
        variance /= _INDEPENDENT + _PER_RHO * min(rho, _LARGEST_RHO)
        correlation.append(rho)
    excess = both / (_INDEPENDENT**2 * variance)
    dark, bright = scatter[0]
    if excess * (bright / dark) ** 2 > _MOST_CROWDED:
        return unknown
    return float(np.sqrt(variance)), (correlation[0], correlation[1])


def _surroundings(boxes: np.ndarray) -> np.ndarray:
    """Return the level around each pixel of boxes (n, rows, columns)."""
    middle = np.nanmedian(boxes, axis=(1, 2), keepdims=True)
    known = np.where(np.isfinite(boxes), boxes, middle)
    return gaussian_filter(known, (0, _LEVEL_PX, _LEVEL_PX))


def _scatter(differences: np.ndarray, level: np.ndarray) -> tuple[float, float]:
    """Return half the middle 68 % where the level is low, and where it is not.

    Parameters
    ----------
    differences : (n, rows, columns) ndarray
        NaN where there are no data.
    level : (n, rows or more, columns or more) ndarray
        With the same middle.

    Returns
    -------
    float, float
        Medians of the boxes.
    """
    rows, columns = (
        slice((whole - part) // 2, (whole + part) // 2)
        for whole, part in zip(level.shape[1:], differences.shape[1:], strict=True)
    )
    level = np.where(np.isfinite(differences), level[:, rows, columns], np.nan)
    limit = np.nanquantile(level, _DARKER, axis=(1, 2), keepdims=True)
    scatter = []
    for part in (level <= limit, level > limit):
        chosen = np.where(part, differences, np.nan)
        low, high = np.nanquantile(chosen, _ONE_SIGMA, axis=(1, 2))
        scatter.append(float(np.nanmedian(high - low)) / 2)
    return scatter[0], scatter[1]


def _differences(boxes: np.ndarray, lag_0: int, lag_1: int) -> np.ndarray:
    """Take the fourth difference along both axes, between pixels some lags apart."""
    for axis, lag in ((1, lag_0), (2, lag_1)):
        for _ in range(2):
            n = boxes.shape[axis] - 2 * lag
            before, middle, after = (
                np.take(boxes, np.arange(first, first + n), axis)
                for first in (0, lag, 2 * lag)
            )
            boxes = before - 2 * middle + after
    return boxes


def electron_njy(mosaics: Mosaics, target: Target) -> np.ndarray:
    """Return the flux of one electron over each band's exposure.

    Parameters
    ----------
    mosaics : Mosaics
        PHOTFLAM, PHOTPLAM and EXPTIME of their headers are used.
    target : Target
        Gives the exposure where a header has no EXPTIME.

    Returns
    -------
    (bands,) ndarray
        nJy.
    """
    return np.array(
        [
            c.njy_per_electron_s
            / (c.exposure_s if c.exposure_s > 0 else band.exposure_s)
            for c, band in zip(mosaics.calibrations, target.bands, strict=True)
        ]
    )


def observe(
    target: Target,
    priors: Priors,
    electron_njy: np.ndarray,
    noise: Sequence[BandNoise],
    depth: np.ndarray,
    rng: np.random.Generator,
) -> Observation:
    """Draw what is not known of a mosaic's observation; take the rest from it.

    PSF, blur, the bands' offsets and zero points are drawn from the priors, and so is
    the noise of a band where none can be seen.

    Parameters
    ----------
    target : Target
        Bands and read-out.
    priors : Priors
        Ranges of what is drawn.
    electron_njy : (bands,) ndarray
        From `electron_njy`.
    noise : sequence of BandNoise
        From `data_tools.mosaics.noise.measure_noise`.
    depth : (bands,) ndarray
        Exposure at the place over that of the mosaic.
    rng : numpy.random.Generator
        Source of randomness.
    """
    drawn = draw_observation(target, priors, rng)
    electron_njy = electron_njy / depth
    reads = np.array([b.n_exposures for b in target.bands], float)
    reads *= (target.read_noise_electrons * electron_njy) ** 2
    # photons of the sky and of light, and read-outs, all add up with the exposure
    measured = np.array([n.white_variance for n in noise]) / depth
    light = np.maximum([n.dark_njy for n in noise], 0) * electron_njy
    white = np.maximum(measured - light, np.minimum(measured, reads))
    shift = np.array([n.noise_shift_px for n in noise])
    seen = np.isfinite(white)
    white = np.where(seen, white, drawn.white_variance)
    return dataclasses.replace(
        drawn,
        electron_njy=electron_njy,
        white_variance=white,
        sky_njy=np.maximum(white - reads, 0) / electron_njy,
        noise_shift_px=np.where(seen, shift, drawn.noise_shift_px),
    )
