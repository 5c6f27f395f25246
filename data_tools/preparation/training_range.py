"""What can be measured on a mosaic, as mocks of a target and its priors have it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_tools.fields.galaxy_field import FieldMaker
from data_tools.imaging.observation import neighbour_correlation, variance_factor
from data_tools.imaging.visibility import depth
from data_tools.mosaics.noise import BOX_PX, BandNoise, boxes_noise
from data_tools.priors import Priors, Range
from data_tools.target import Target

#: Side of the fields that are drawn, in pixels: 4 x 4 boxes of noise.
_FIELD_PX = 4 * BOX_PX
_SEED = 0


@dataclass(frozen=True)
class BandRange:
    """Lowest and highest value that mocks have in one band.

    Attributes
    ----------
    band : str
        Filter name.
    exposure_s : (float, float)
        Exposure time in seconds.
    sky_njy : (float, float)
        Level of the darkest quarter of a field, nJy per pixel.
    sigma_njy : (float, float)
        Scatter of a pixel by noise, nJy, in fields as bright as the mosaic.
    correlation : (float, float)
        Correlation coefficient of the noise of neighbours in these fields.
    depth_ab : (float, float)
        AB magnitude of a point source at 5 sigma in these fields.
    """

    band: str
    exposure_s: Range
    sky_njy: Range
    sigma_njy: Range
    correlation: Range
    depth_ab: Range


def middle_blur(target: Target, priors: Priors) -> np.ndarray:
    """Return the middle of each band's range of drizzle blur, (bands,) in pixels."""
    return np.array([np.mean(priors.blur_range(b)) for b in target.band_names])


def training_range(
    target: Target, priors: Priors, noise: Sequence[BandNoise]
) -> tuple[BandRange, ...]:
    """Measure mocks at the ends of the priors in the way a mosaic is measured.

    Fields are drawn with the least and the most light, for the range of the level, to
    which the residual of the sky is added. Noise is compared at the light of the
    mosaic, because light brings photons and, where it is a crowd of stars, scatter
    that passes for noise: fields as bright as the mosaic are drawn, of old stars and
    of young ones; quiet, with the longest exposure, least sky, pedestal and read-out
    noise and most correlation, and noisy, with the opposite. Noise is measured on them
    by `data_tools.mosaics.noise.boxes_noise`, to about 5 %.

    Parameters
    ----------
    target : Target
        Galaxy and instrument.
    priors : Priors
        What mocks are drawn from.
    noise : sequence of BandNoise
        What was measured on the mosaic, in the order of the target's bands.

    Returns
    -------
    tuple of BandRange
        In the order of the bands.
    """
    old, sfr = priors.field_old_mass_density, priors.field_sfr_density
    most = old[1]
    if priors.field_bulge_fraction:
        most = max(most, priors.field_bulge_mass_density[1])
    dark = _measured(target, priors, old[0], sfr[0], quiet=True)
    bright = _measured(target, priors, most, sfr[1], quiet=True)

    levels = [n.sky_njy for n in noise]
    red = int(np.nanargmax(levels)) if np.isfinite(levels).any() else 0
    # above zero, also where more than all light was taken away with the sky
    level = np.nanmax([levels[red], dark[red].sky_njy, 1e-3])
    alike = []
    for quiet in (True, False):
        for density, formation in ((old[1], sfr[0]), (old[0], sfr[1])):
            whole = _measured(target, priors, density, formation, quiet)
            # a pedestal may leave next to nothing
            more = np.log10(level / max(whole[red].sky_njy, 1e-3 * level))
            stars = (
                np.clip(density + more, old[0], most),
                np.clip(formation + more, *sfr),
            )
            alike.append(_measured(target, priors, *stars, quiet))

    blur = middle_blur(target, priors)
    depths = [
        depth(target, np.array([n.white_variance for n in a]), blur) for a in alike
    ]
    ranges = []
    for i, band in enumerate(target.bands):
        sky = band.sky_electrons_s * band.njy_per_electron_s
        residual = priors.sky_residual * sky * 10 ** priors.sky_factor[1]
        exposure = [band.exposure_s * 10**factor for factor in priors.exposure_factor]
        ranges.append(
            BandRange(
                band.name,
                (exposure[0], exposure[1]),
                (dark[i].sky_njy - residual, bright[i].sky_njy + residual),
                _ends([a[i].sigma_njy for a in alike]),
                _ends([np.mean(a[i].correlation) for a in alike]),
                _ends([d[i] for d in depths]),
            )
        )
    return tuple(ranges)


def _ends(values: Sequence[float]) -> Range:
    return float(np.min(values)), float(np.max(values))


def _measured(
    target: Target,
    priors: Priors,
    old_mass_density: float,
    sfr_density: float,
    quiet: bool,
) -> tuple[BandNoise, ...]:
    """Draw a field of so many stars, quiet or noisy, and say what it shows."""
    end = 0 if quiet else 1
    exposure = priors.exposure_factor[1 - end]
    shift = priors.noise_shift_px[1 - end]
    dust = priors.field_dust_a_v[0]
    fixed = dataclasses.replace(
        priors,
        field_px=_FIELD_PX,
        field_old_mass_density=(old_mass_density, old_mass_density),
        field_sfr_density=(sfr_density, sfr_density),
        field_dust_a_v=(dust, dust),
        field_arm_fraction=0.0,
        field_bulge_fraction=0.0,
        exposure_factor=(exposure, exposure),
        sky_factor=(priors.sky_factor[end],) * 2,
        read_noise_factor=(priors.read_noise_factor[end],) * 2,
        noise_shift_px=(shift, shift),
        sky_residual=0.0,
        # what is taken away with the sky has left its noise
        sky_pedestal=(priors.sky_pedestal[end],) * 2,
    )
    field = FieldMaker(target, fixed).make(np.random.default_rng(_SEED))
    seen, image = field.observation, field.image
    side, bands = _FIELD_PX // BOX_PX, len(target.bands)
    boxes = image.reshape(side, BOX_PX, side, BOX_PX, bands).swapaxes(1, 2)
    boxes = boxes.reshape(-1, BOX_PX, BOX_PX, bands)
    found = boxes_noise(boxes, np.ones_like(boxes), target.band_names)
    # what was put in, since in a crowd it can't be measured
    light = np.maximum([n.dark_njy for n in found], 0) * seen.electron_njy
    variance = variance_factor(seen.noise_shift_px) * (seen.white_variance + light)
    rho = neighbour_correlation(seen.noise_shift_px)
    return tuple(
        dataclasses.replace(n, sigma_njy=float(np.sqrt(v)), correlation=(r, r))
        for n, v, r in zip(found, variance, rho.tolist(), strict=True)
    )
