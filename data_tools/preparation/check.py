"""Are these mosaics like the mocks? What is measured, beside the training range."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.wcs.utils import proj_plane_pixel_scales

from data_tools.imaging.visibility import depth
from data_tools.mosaics.agreement import SCALE_TOLERANCE
from data_tools.mosaics.calibration import Calibration
from data_tools.mosaics.mosaic import opened
from data_tools.mosaics.noise import BandNoise, measure_noise
from data_tools.mosaics.stored.extensions import files_of
from data_tools.preparation.training_range import BandRange, middle_blur, training_range
from data_tools.priors import Priors, Range
from data_tools.running.output import check_file, whole_file
from data_tools.running.replaced import check_replaced
from data_tools.running.seal import BLANK, KEY
from data_tools.target import Band, Target, njy_to_ab

#: Zero points this far apart change what an electron of a mock is worth by 10 %.
_ZERO_POINT_MAG = 0.1
#: How well noise is measured: sigma as a fraction, the correlation coefficient, the
#: depth in mag, and the level in units of sigma.
_SIGMA, _CORRELATION, _DEPTH, _LEVEL = 0.1, 0.05, 0.15, 0.1
#: An advised range of a prior ends at a multiple of this.
_ADVISED_STEP = 0.05
_NO_EXPOSURE = "set EXPTIME in the header to the exposure of a typical pixel"


@dataclass(frozen=True)
class Row:
    """One quantity of one band, as it was measured and as mocks have it.

    Attributes
    ----------
    band : str
        Filter name, or ``all``.
    quantity : str
        What it is.
    unit : str
        Unit of the numbers.
    value : float
        Of the mosaic; NaN if it could not be measured.
    low, high : float
        Training range; NaN if there is none.
    inside : bool or None
        Whether the value lies in that range, as well as it is known; None if there is
        no value or no range.
    advice : str
        What to do where it does not.
    """

    band: str
    quantity: str
    unit: str
    value: float
    low: float = math.nan
    high: float = math.nan
    inside: bool | None = None
    advice: str = ""


class _Measured(NamedTuple):
    """One band of the mosaic: what it says, what it shows, and what mocks have."""

    band: Band
    calibration: Calibration
    has_weight: bool
    noise: BandNoise
    depth_ab: float
    allowed: BandRange


def check(
    images: Sequence[str | Path], target: Target, priors: Priors
) -> tuple[Row, ...]:
    """Measure mosaics and compare them with the mocks of a target and its priors.

    Parameters
    ----------
    images : sequence of str or Path
        One FITS mosaic a band, in the target's order.
    target : Target
        Galaxy and instrument.
    priors : Priors
        What mocks are drawn from.

    Returns
    -------
    tuple of Row
        Pixel scale; then for each band the zero point, the exposure (with a weight map
        also of the shallowest and of the deepest 5 % of the pixels), the share of
        pixels with data, the sky level, noise and its correlation, and the depth.

    Raises
    ------
    FileNotFoundError, ValueError
        As `data_tools.mosaics.mosaic.open_mosaics`.
    """
    with opened(images, target) as mosaics:
        noise = measure_noise(mosaics)
        calibrations, has_weights = mosaics.calibrations, mosaics.has_weights
        scale = float(np.mean(proj_plane_pixel_scales(mosaics.wcs)) * 3600)  # deg
    white = np.array([n.white_variance for n in noise])
    bands = zip(
        target.bands,
        calibrations,
        has_weights,
        noise,
        depth(target, white, middle_blur(target, priors)).tolist(),
        training_range(target, priors, noise),
        strict=True,
    )
    pixel = target.pixel_scale_arcsec
    around = pixel * (1 - SCALE_TOLERANCE), pixel * (1 + SCALE_TOLERANCE)
    rows = [_row("all", "pixel scale", "arcsec", scale, around, 0, "")]
    for measured in map(_Measured._make, bands):
        rows += _calibration_rows(measured, priors)
        rows += _noise_rows(measured, target, priors)
    return tuple(rows)


def _row(
    band: str,
    quantity: str,
    unit: str,
    value: float,
    allowed: Range,
    tolerance: float,
    advice: str,
) -> Row:
    low, high = allowed
    if math.isnan(value):
        return Row(band, quantity, unit, value, low, high, None, advice)
    inside = low - tolerance <= value <= high + tolerance
    return Row(band, quantity, unit, value, low, high, inside, "" if inside else advice)


def _calibration_rows(m: _Measured, priors: Priors) -> list[Row]:
    """Compare what the header says, and the share of pixels with data."""
    name, calibration = m.band.name, m.calibration
    expected = float(njy_to_ab(m.band.njy_per_electron_s))
    rows = [
        _row(
            name,
            "zero point",
            "mag (AB)",
            calibration.zero_point,
            (expected, expected),
            _ZERO_POINT_MAG,
            f"give the target photflam {calibration.photflam:.4g} and photplam "
            f"{calibration.photplam:.6g}, this header's",
        )
    ]
    exposures = {"exposure": 1.0}
    if m.has_weight:
        low, high = m.noise.weight_range
        exposures |= {"exposure, shallowest 5 %": low, "exposure, deepest 5 %": high}
    for quantity, factor in exposures.items():
        seconds = calibration.exposure_s * factor
        advice = _NO_EXPOSURE
        if seconds > 0:
            power = math.log10(seconds / m.band.exposure_s)
            advice = (
                f"{_stretched(priors, 'exposure_factor', power)}, or "
                f"give the target exposure_s {calibration.exposure_s:.0f}"
            )
        rows.append(_row(name, quantity, "s", seconds, m.allowed.exposure_s, 1, advice))
    rows.append(Row(name, "covered share", "", m.noise.covered))
    return rows


def _noise_rows(m: _Measured, target: Target, priors: Priors) -> list[Row]:
    """Compare what was measured on the pixels."""
    noise, allowed = m.noise, m.allowed
    sigma, rho = noise.sigma_njy, float(np.mean(noise.correlation))
    advice = {
        "sky": _sky_advice(m, priors),
        "noise": "none is seen: pixels were clipped or stored in coarse steps (use the "
        "drizzled mosaic itself), or stars are too dense",
        "shift": "",
        "depth": "",
    }
    if math.isfinite(sigma):
        advice["shift"] = _shift_advice(noise, priors)
        advice["noise"] = advice["depth"] = _noise_advice(m, target, priors)
    blur = 0.0 if math.isnan(sigma) else sigma
    table = (
        ("sky level", "nJy", noise.sky_njy, allowed.sky_njy, _LEVEL * blur, "sky"),
        ("noise", "nJy", sigma, allowed.sigma_njy, _SIGMA * blur, "noise"),
        ("noise correlation", "", rho, allowed.correlation, _CORRELATION, "shift"),
        ("depth, 5 sigma", "mag (AB)", m.depth_ab, allowed.depth_ab, _DEPTH, "depth"),
    )
    return [_row(m.band.name, *row[:-1], advice[row[-1]]) for row in table]


def _sky_advice(m: _Measured, priors: Priors) -> str:
    low, high = m.allowed.sky_njy
    beyond = max(low - m.noise.sky_njy, m.noise.sky_njy - high)
    sky = (
        m.band.sky_electrons_s * m.band.njy_per_electron_s * 10 ** priors.sky_factor[1]
    )
    residual = priors.sky_residual + (beyond / sky if sky > 0 else math.inf)
    if residual > 1:
        return "subtract the sky from the mosaic"
    return (
        "subtract the sky from the mosaic, or train with --priors.sky_residual "
        f"{math.ceil(residual * 100) / 100:g}"
    )


def _shift_advice(noise: BandNoise, priors: Priors) -> str:
    low, high = priors.noise_shift_px
    if low <= noise.noise_shift_px <= high:
        return (
            "drizzle to pixels of the detector's size: they correlate neighbours by "
            "0.5 at most"
        )
    return _stretched(priors, "noise_shift_px", noise.noise_shift_px)


def _noise_advice(m: _Measured, target: Target, priors: Priors) -> str:
    """Say which prior would reach the noise, at the header's exposure."""
    exposure = m.calibration.exposure_s
    if not exposure > 0:
        return _NO_EXPOSURE
    electron = m.calibration.njy_per_electron_s / exposure
    light = max(m.noise.dark_njy, 0.0) / electron
    electrons2 = m.noise.white_variance / electron**2 - light
    reads = m.band.n_exposures * target.read_noise_electrons**2
    sky = m.band.sky_electrons_s * exposure
    if electrons2 > reads and sky > 0:
        power = math.log10((electrons2 - reads) / sky)
        return _stretched(priors, "sky_factor", power)
    left = electrons2 - sky * 10 ** priors.sky_factor[0]
    if left > 0:
        factor = math.sqrt(left / reads)
        return _stretched(priors, "read_noise_factor", factor)
    return (
        f"check EXPTIME and NCOMBINE: in {exposure:.0f} s sky and light alone make "
        "more noise"
    )


def _stretched(priors: Priors, name: str, value: float) -> str:
    """Advise a prior's range that reaches a value, if it may be so wide."""
    given = getattr(priors, name)
    low = min(given[0], math.floor(value / _ADVISED_STEP) * _ADVISED_STEP)
    high = max(given[1], math.ceil(value / _ADVISED_STEP) * _ADVISED_STEP)
    try:
        dataclasses.replace(priors, **{name: (low, high)})
    except ValueError:
        return (
            f"no {name} reaches it (it would be {value:.2g}): check the target's "
            "exposure_s and sky_electrons_s against the header's EXPTIME and units"
        )
    return f'train with --priors.{name} "[{low:.2g}, {high:.2g}]"'


def report_lines(rows: Sequence[Row]) -> list[str]:
    """Return the comparison as lines of text: a table and what to do.

    Parameters
    ----------
    rows : sequence of Row
        What `check` gives.

    Returns
    -------
    list of str
        A table with a line a row, then the verdict and one line for each advice.
    """
    verdicts = {True: "inside", False: "OUTSIDE", None: ""}
    cells = [("band", "quantity", "mosaic", "training range", "unit", "verdict")]
    for row in rows:
        unseen = math.isnan(row.value)
        cells.append(
            (
                row.band,
                row.quantity,
                "not seen" if unseen else f"{row.value:.4g}",
                _range_text(row),
                row.unit,
                verdicts[row.inside],
            )
        )
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = [
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    outside = [row for row in rows if row.inside is False]
    judged = [row for row in rows if row.inside is not None]
    advised = [row for row in rows if row.advice]
    lines.append("")
    if outside:
        lines.append(
            "Outside of what a model of this target and these priors is trained on: "
            f"{len(outside)} of {len(judged)}. What to do:"
        )
    else:
        lines.append(
            "Nothing that was measured lies outside of what a model of this target "
            "and these priors is trained on."
        )
    lines += [f"  {r.band} {r.quantity}: {r.advice}" for r in advised]
    if outside:
        lines.append("  or train on these mosaics: clusterkeras simulate --images ...")
    return lines


def _range_text(row: Row) -> str:
    if math.isnan(row.low):
        return ""
    low, high = f"{row.low:.4g}", f"{row.high:.4g}"
    return low if low == high else f"{low} to {high}"


def write_check(
    rows: Sequence[Row],
    path: str | Path,
    images: Sequence[str | Path],
    target: Target,
    *,
    overwrite: bool = False,
) -> None:
    """Write the comparison as JSON; what is NaN becomes null.

    Parameters
    ----------
    rows : sequence of Row
        What `check` gives.
    path : str or Path
        File to write.
    images : sequence of str or Path
        The mosaics.
    target : Target
        What they were compared with.
    overwrite : bool
        Whether to replace also a file that is not as this package wrote it.

    Raises
    ------
    ValueError, OSError
        If the file is one of the images, or may not be replaced or written.
    """
    path = check_file(path, "comparison", (".json",))
    check_replaced([path], files_of(images), overwrite=overwrite)
    plain = [
        {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in asdict(row).items()
        }
        for row in rows
    ]
    report = {
        "target": target.name,
        "images": [str(image) for image in images],
        "inside": all(row.inside is not False for row in rows),
        "rows": plain,
        KEY: BLANK,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write((json.dumps(report, indent=1, allow_nan=False) + "\n").encode())
