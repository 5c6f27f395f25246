"""The LEGUS way of finding: DAOFind, then a least concentration index.

Adamo et al. 2017, ApJ 841, 131.
"""

import itertools
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from photutils.aperture import ApertureStats, CircularAnnulus, CircularAperture
from photutils.detection import DAOStarFinder
from photutils.utils.exceptions import NoDetectionsWarning
from tqdm import tqdm

from data_tools.imaging.peaks import combine
from data_tools.mosaics.mosaic import open_mosaics
from data_tools.target import Target
from detection.found import Sources, at_purity, curve

BOX_PX = 48
#: LEGUS's own limit of the CI, and what is tried beside it.
LEGUS_CI = 1.4
WIDTHS_PX = (2.0, 3.0)
THRESHOLDS = (3.0,)
CI_LIMITS = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8)
#: Purities at which both are compared.
PURITIES = (0.5, 0.7, 0.8, 0.9, 0.95)
#: Aperture radii of the CI and ring of the sky, in pixels, as LEGUS has them.
RADII_PX, SKY_PX = (1.0, 3.0), (7.0, 8.0)


def dao_sources(
    directories: list[Path], target: Target
) -> dict[tuple[float, float], dict[str, NDArray]]:
    """Find with DAOFind at each width and threshold; measure CI and brightness."""
    found: dict[tuple[float, float], list[dict[str, NDArray]]] = {}
    for number, directory in enumerate(tqdm(directories, "DAOFind")):
        paths = [directory / f"{band}.fits" for band in target.band_names]
        with open_mosaics(
            paths, target.band_names, target.pixel_scale_arcsec
        ) as mosaics:
            pixels = mosaics.window(*(slice(0, size) for size in mosaics.shape))
        image, _ = combine(pixels, BOX_PX)[:2]
        for width, threshold in itertools.product(WIDTHS_PX, THRESHOLDS):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NoDetectionsWarning)
                finder = DAOStarFinder(
                    threshold, width, sharpness_range=None, roundness_range=None
                )
                table = finder(image)
            place = np.column_stack([table["x_centroid"], table["y_centroid"]])
            sky = CircularAnnulus(place, *SKY_PX)
            magnitudes = []
            for band in range(pixels.shape[-1]):
                level = ApertureStats(pixels[..., band], sky).median
                light = [
                    CircularAperture(place, r).do_photometry(pixels[..., band])[0]
                    - level * np.pi * r**2
                    for r in RADII_PX
                ]
                with np.errstate(invalid="ignore", divide="ignore"):
                    magnitudes.append(-2.5 * np.log10(light))
            inner, outer = np.moveaxis(np.array(magnitudes), 1, 0)
            found.setdefault((width, threshold), []).append(
                {
                    "place": place,
                    "mosaic": np.full(len(place), number),
                    "ci": (inner - outer).T,
                    "brightness": -outer.T,
                }
            )
    return {
        key: {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
        for key, parts in found.items()
    }


def cut(found: dict[str, NDArray], band: int, ci: float) -> Sources:
    """Take DAOFind's sources of at least a CI in a band, by their brightness there."""
    brightness = found["brightness"][:, band]
    rows = np.isfinite(brightness) & (found["ci"][:, band] >= ci)
    return Sources(brightness[rows], found["mosaic"][rows], found["place"][rows])


def tuned(
    found: dict[tuple[float, float], dict[str, NDArray]],
    truth: dict[str, NDArray],
    bands: int,
) -> dict[float, dict]:
    """Return for each purity the choice that is the most complete."""
    best: dict[float, dict] = {purity: {"completeness": -1.0} for purity in PURITIES}
    choices = list(itertools.product(found, range(bands), CI_LIMITS))
    for key, band, ci in tqdm(choices, "tuning the LEGUS way"):
        points = list(curve(cut(found[key], band, ci), truth, 30))
        for purity in PURITIES:
            limit, complete = at_purity(points, purity)
            if complete > best[purity]["completeness"]:
                best[purity] = {
                    "completeness": complete,
                    "finder": key,
                    "band": band,
                    "ci": ci,
                    "limit": float(limit),
                }
    return best
