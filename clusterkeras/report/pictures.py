"""What is drawn of each cluster: its cutout, its contours, its brightness."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from photutils.aperture import CircularAperture
from PIL import Image
from tqdm import tqdm

from clusterkeras.catalogue.asking.context import informed
from clusterkeras.catalogue.asking.cutouts import cut_out
from clusterkeras.catalogue.asking.graph import compile_network
from clusterkeras.catalogue.asking.settings import InferenceSettings
from clusterkeras.catalogue.measurement import batches_of
from clusterkeras.config import InferenceConfig
from clusterkeras.report.contour_lines import Window, encode, window_of
from data_tools.mosaics.mosaic import Mosaics
from data_tools.pictures.colours import as_rgb, colour_planes, scale_of
from data_tools.pictures.cutout_picture import MIDDLE
from data_tools.schema import PARAMETERS
from data_tools.target import njy_to_ab

if TYPE_CHECKING:
    from clusterkeras.network.posterior_model import PosteriorModel

#: Radius, in pixels, of the aperture of the magnitudes, 0.24 arcsec on M83's; the sky
#: is the median of what lies further out than twice that.
APERTURE_PX = 6.0

#: Quality of the JPEG of a cutout: 2 to 3 kB each.
_QUALITY = 80


@dataclass
class Pictures:
    """What the page draws of n clusters.

    Attributes
    ----------
    cutouts : list of str
        JPEG images in base64, the mosaic's first row at the bottom; empty where the
        cutout has no data in the middle.
    white_mag : ndarray of float32, shape (n,)
        Surface brightness that is drawn white, in Vega mag/arcsec2.
    contours : list of str
        As `clusterkeras.report.contour_lines.encode` gives them, in base64.
    low, high : ndarray of float32, shape (n, P)
        Edges of each posterior's window; NaN where there is none.
    magnitude : ndarray of float32, shape (n, bands)
        AB magnitude in `APERTURE_PX`, without aperture correction; NaN where the flux
        is not positive.
    medians : ndarray of float32, shape (n, P)
        The model's answer, to hold against the catalogue's.
    """

    cutouts: list[str]
    white_mag: NDArray[np.float32]
    contours: list[str]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    magnitude: NDArray[np.float32]
    medians: NDArray[np.float32]


def picture_clusters(
    mosaics: Mosaics,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    model: PosteriorModel,
    config: InferenceConfig,
    n_draws: int,
    *,
    progress: bool = True,
) -> Pictures:
    """Ask the model once more about places, and draw what it says and what it sees.

    Parameters
    ----------
    mosaics : Mosaics
        Open mosaics in the model's bands.
    x, y : ndarray, shape (n,)
        0-based pixels; anywhere, or NaN.
    model : PosteriorModel
        A trained model.
    config : InferenceConfig
        Gives the batches, the seed, and what is known beside the pixels.
    n_draws : int
        Draws of each posterior from which the contours are made.
    progress : bool
        Whether to show a progress bar.
    """
    n, bands = len(x), len(mosaics.bands)
    pivots = [c.photplam for c in mosaics.calibrations]
    network = compile_network(model, n_draws)
    settings = InferenceSettings.of(model, config)
    config = informed(settings, mosaics, progress=progress).config

    def empty(width: int) -> NDArray[np.float32]:
        return np.full((n, width), np.nan, np.float32)

    found = Pictures(
        [""] * n,
        empty(1)[:, 0],
        [""] * n,
        empty(len(PARAMETERS)),
        empty(len(PARAMETERS)),
        empty(bands),
        empty(len(PARAMETERS)),
    )
    with tqdm(total=n, desc="clusters", disable=not progress) as bar:
        for rows in batches_of(y, config.batch_size):
            cut = cut_out(mosaics, x[rows], y[rows], model.target, config)
            where = rows[cut.usable]
            if len(where):
                answer = network(cut.images, cut.seeds, cut.context)
                found.medians[where] = answer["median"]
                found.magnitude[where] = _magnitudes(cut.images)
                planes = colour_planes(cut.images, pivots)
            for k, row in enumerate(where):
                scale = scale_of(planes[k], MIDDLE)
                found.white_mag[row] = scale.white_mag(model.target.pixel_scale_arcsec)
                found.cutouts[row] = jpeg(as_rgb(planes[k : k + 1], scale)[0])
                draws = answer["draws"][k]
                window: Window = window_of(draws, model.target.box)
                found.low[row], found.high[row] = window.low, window.high
                found.contours[row] = base64.b64encode(encode(draws, window)).decode()
                bar.update()
            bar.update(len(rows) - len(where))
    return found


def jpeg(rgb: NDArray[np.uint8], quality: int = _QUALITY) -> str:
    """Return picture (rows, columns, 3), first row at the bottom, as JPEG in base64."""
    file = io.BytesIO()
    image = Image.fromarray(rgb[::-1])
    # colours at full resolution: they are what the cutout is looked at for
    image.save(file, "JPEG", quality=quality, subsampling=0, optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _magnitudes(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Measure the middle of cutouts (n, px, px, bands): AB magnitudes (n, bands)."""
    px = images.shape[1]
    middle = (px - 1) / 2
    radius = min(APERTURE_PX, px / 4)
    weight = CircularAperture((middle, middle), radius).to_mask().to_image((px, px))
    away = np.arange(px) - middle
    outside = np.hypot(away[:, None], away) > 2 * radius
    sky = np.median(images[:, outside], axis=1)
    flux = np.einsum("nyxb,yx->nb", images, weight) - sky * weight.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        magnitude = njy_to_ab(flux)
    return np.where(flux > 0, magnitude, np.nan).astype(np.float32)
