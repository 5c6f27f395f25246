"""Where on a mosaic the network sees clusters, as an image."""

from __future__ import annotations

import functools
import gzip
import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from tqdm import tqdm

from clusterkeras import __version__
from clusterkeras.catalogue.asking.context import context_of, context_specs, informed
from clusterkeras.catalogue.asking.settings import InferenceSettings
from clusterkeras.config import InferenceConfig
from clusterkeras.network.presence import at_share
from data_tools.mosaics.mosaic import CORE_PX, Cutout, Mosaics, opened
from data_tools.mosaics.stored.extensions import files_of
from data_tools.running.output import check_file, whole_file
from data_tools.running.replaced import check_replaced
from data_tools.running.seal import BLANK

if TYPE_CHECKING:
    from clusterkeras.network.posterior_model import PosteriorModel

#: Share of clusters under which the map states its probabilities: even odds, so that
#: it says what the image says.
MAP_SHARE = 0.5
#: Cutouts that go through the network at once.
BATCH = 512
#: Suffixes of a map.
FORMATS = (".fits", ".fits.gz")


def draw_map(
    images: Sequence[str | Path] | Mosaics,
    output: str | Path,
    model: PosteriorModel,
    stride_px: int = 8,
    *,
    progress: bool = True,
    overwrite: bool = False,
) -> None:
    """Ask the network at every stride-th pixel of a mosaic and write its answers.

    Two images in one FITS file: ``P_CLUSTER``, the probability that a cluster is there
    if half of the places had one (`clusterkeras.network.presence.at_share` carries it
    to another share; most places have none), and ``LOG_SNR``, the visibility in dex.
    Their WCS is the mosaic's: pixel (i, j) of the map is the network's answer about the
    box of stride x stride pixels around its middle. The network knows clusters up to
    3 pixels beside the middle of a cutout, so a stride of 6 misses nothing; 8, for
    speed, is 4 beside at most. NaN where the middle has no data.

    Parameters
    ----------
    images : sequence of str or Path, or Mosaics
        One FITS mosaic a band, in the model's order.
    output : str or Path
        ``.fits`` or ``.fits.gz``; it appears when it is whole.
    model : PosteriorModel
        The trained model.
    stride_px : int
        Pixels of the mosaic between two looks, along both axes.
    progress : bool
        Whether to show a progress bar.
    overwrite : bool
        Whether to write also over files that are not as this package wrote them, or
        into a directory with other files; see `data_tools.running.replaced`.

    Raises
    ------
    FileNotFoundError
        If a mosaic is missing.
    ValueError
        If a mosaic cannot be used, the ending is no map's, or the stride is below 1, or
        the output is a mosaic.
    FileExistsError
        If something is there that may not be written over.
    """
    output = check_file(output, "map", FORMATS)
    check_replaced([output], files_of(images), overwrite=overwrite)
    if stride_px < 1:
        raise ValueError(f"stride_px: expected at least 1; received {stride_px}")
    target = model.target
    look = _compiled(model)
    settings = InferenceSettings.of(model, InferenceConfig())
    with opened(images, target) as mosaics:
        settings = informed(settings, mosaics, progress=progress)
        shape = tuple(math.ceil(size / stride_px) for size in mosaics.shape)
        planes = np.full((2, *shape), np.nan, np.float32)
        with tqdm(
            total=math.prod(shape), desc="map", unit="place", disable=not progress
        ) as bar:
            for row in range(shape[0]):
                columns, cutouts = _row(mosaics, row, stride_px, target.cutout_px)
                y, x = (stride_px * (at + 0.5) - 0.5 for at in (row, columns))
                context = _context(mosaics, x, y, settings)
                for first in range(0, len(columns), BATCH):
                    part = slice(first, first + BATCH)
                    known = {name: value[part] for name, value in context.items()}
                    planes[:, row, columns[part]] = look(cutouts[part], known)
                bar.update(shape[1])
        header = _coarser(mosaics.wcs, stride_px).to_header()
        header["STRIDE"] = (stride_px, "pixels of the mosaic a pixel of the map")
        header["SHARE"] = (MAP_SHARE, "share of clusters under which P_CLUSTER is")
        header["MODEL"] = model.name
        header["SEAL"] = BLANK
        header["CREATOR"] = f"clusterkeras {__version__}"
        for i, path in enumerate(mosaics.paths):
            header[f"IMAGE{i + 1}"] = path.name
    p = at_share(planes[0], model.cluster_share, MAP_SHARE).astype(np.float32)
    hdus = fits.HDUList(
        [
            fits.PrimaryHDU(),
            fits.ImageHDU(p, header, name="P_CLUSTER"),
            fits.ImageHDU(planes[1], header, name="LOG_SNR"),
        ]
    )
    buffer = io.BytesIO()
    hdus.writeto(buffer)
    output.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(output) as file:
        if output.suffix.lower() == ".gz":
            # in its own header, where the mark is not packed
            with gzip.GzipFile(BLANK, "wb", fileobj=file) as packed:
                packed.write(buffer.getvalue())
        else:
            file.write(buffer.getvalue())


def _coarser(wcs: WCS, stride_px: int) -> WCS:
    """Return the WCS of boxes of pixels; a drizzled mosaic has no distortion left."""
    wcs = wcs.deepcopy()
    wcs.wcs.crpix = (wcs.wcs.crpix - 0.5) / stride_px + 0.5
    if wcs.wcs.has_cd():
        wcs.wcs.cd = wcs.wcs.cd * stride_px
    else:
        wcs.wcs.cdelt = wcs.wcs.cdelt * stride_px
    return wcs


def _row(
    mosaics: Mosaics, row: int, stride_px: int, px: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the columns of a row of the map that have data, and their cutouts."""
    rows, columns = mosaics.shape

    def first_pixel(number: NDArray[np.intp] | int) -> Any:
        middle = (2 * number + 1) * stride_px - 1  # twice that of the box
        return middle // 2 - px // 2 + 1

    top = first_pixel(row)
    starts = first_pixel(np.arange(math.ceil(columns / stride_px)))
    margin = px + stride_px
    strip = np.full((px, columns + 2 * margin, len(mosaics.bands)), np.nan, np.float32)
    inside = slice(max(top, 0), min(top + px, rows))
    strip[inside.start - top : inside.stop - top, margin:-margin] = mosaics.window(
        inside, slice(0, columns)
    )
    known = np.isfinite(strip)
    core = slice(px // 2 - 1 - CORE_PX // 2, px // 2 + CORE_PX // 2)
    # (columns, bands, px, px): no copy
    cutouts, gaps = (
        sliding_window_view(v, px, axis=1)[:, starts + margin] for v in (strip, ~known)
    )
    usable = ~gaps[core][..., core].all(axis=(0, 3)).any(axis=-1)
    chosen = np.flatnonzero(usable)
    images = np.ascontiguousarray(cutouts[:, chosen].transpose(1, 0, 3, 2))
    for i in np.flatnonzero(gaps[:, chosen].any(axis=(0, 2, 3))):
        images[i] = Cutout(images[i], 0, 0, False, 0.0, False, True).filled()
    return chosen, images


def _context(
    mosaics: Mosaics, x: NDArray[np.float64], y: float, settings: InferenceSettings
) -> dict[str, NDArray]:
    """Return what is known of places (n,) in a row, if the model can be told."""
    exposures = np.full((len(x), len(mosaics.bands)), np.nan)
    if settings.takes_context:
        for known, column in zip(exposures, x, strict=True):
            known[:] = mosaics.exposure(column, y)
    return context_of(exposures, settings.config)


@functools.lru_cache(maxsize=1)
def _compiled(
    model: PosteriorModel,
) -> Callable[[NDArray[np.float32], dict[str, NDArray]], NDArray]:
    """Return presence and visibility, (2, n), of cutouts (n, px, px, bands)."""
    import tensorflow as tf

    images = tf.TensorSpec((None, *model.image_shape))

    @tf.function(input_signature=[images, context_specs(model.image_shape[-1])])
    def step(images: Any, context: Any) -> Any:
        raw = model({"images": images, **context}, training=False)
        visibility = model.visibility(raw["visibility"]).mean()
        return tf.stack([tf.sigmoid(raw["presence"][:, 0]), visibility])

    def look(images: NDArray, context: dict[str, NDArray]) -> NDArray:
        known = {name: tf.constant(value) for name, value in context.items()}
        return step(tf.constant(images), known).numpy()

    return look
