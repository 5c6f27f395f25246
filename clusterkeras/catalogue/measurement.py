"""Places on mosaics through a trained network, batch by batch."""

from __future__ import annotations

import dataclasses
import functools
import logging
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from clusterkeras.catalogue.table import InferenceSettings
from clusterkeras.config import ANY_STELLAR_MODEL, InferenceConfig
from clusterkeras.serving.served_model import ServedModel
from data_tools.mosaics.mosaic import Mosaics, opened
from data_tools.preparation.psf_width import measure_psf_widths, outside_mocks
from data_tools.schema import (
    BY_STELLAR_MODEL,
    CONTEXT,
    FLAGS,
    PARAMETER_NAMES,
    STELLAR_MODELS,
)

if TYPE_CHECKING:
    from clusterkeras.network.posterior_model import PosteriorModel
    from data_tools.mosaics.cutout import Cutout
    from data_tools.target import Target

logger = logging.getLogger(__name__)

#: The posterior leans on an edge of the training range if this share of it does.
EDGE_SHARE = 0.2

#: How well an exposure is known, in dex.
_EXPOSURE_DEX = 0.01

#: Of so many places the time that optimising the graph takes is won back: 1.7 s, where
#: it saves 0.2 ms a place.
FEW = 8192

#: Gives the numbers of `PosteriorModel.summarise` for images (B, px, px, bands) in a
#: context, by the names of `data_tools.schema.CONTEXT`, and, if it draws, ``draws``
#: (B, n, P) for their seeds (B,).
Network = Callable[
    [NDArray[np.float32], NDArray[np.int32], Mapping[str, NDArray]],
    Mapping[str, NDArray],
]


@dataclass(frozen=True)
class Cutouts:
    """What the network is shown of some places.

    Attributes
    ----------
    usable : ndarray of bool, shape (n,)
        Where there are data in the middle.
    images : ndarray of float32, shape (usable, px, px, bands)
        nJy per pixel, without gaps.
    seeds : ndarray of int32, shape (usable,)
        Of the place alone: no other row, nor their order, changes a row's draws.
    covered : ndarray of float32, shape (n,)
        Share of the pixels with data in all bands.
    flags : ndarray of int32, shape (n,)
        Bits of `data_tools.schema.FLAGS` that the image alone decides.
    context : dict of str to ndarray (usable, ...)
        What is known beside the pixels; see `context_of`.
    """

    usable: NDArray[np.bool_]
    images: NDArray[np.float32]
    seeds: NDArray[np.int32]
    covered: NDArray[np.float32]
    flags: NDArray[np.int32]
    context: dict[str, NDArray]


def context_of(
    exposures: NDArray[np.float64], config: InferenceConfig
) -> dict[str, NDArray]:
    """Return what the network is told of places beside their pixels.

    What is not known of a band is unknown; the others are told all the same.

    Parameters
    ----------
    exposures : ndarray, shape (n, bands)
        Seconds, NaN where not known.
    config : InferenceConfig
        Gives the widths of the PSFs and the stellar model; see `informed`.

    Returns
    -------
    dict of str to ndarray (n, ...)
        By the names of `data_tools.schema.CONTEXT`.
    """
    exposures = np.where(exposures > 0, exposures, np.nan).astype(np.float32)
    widths = np.array(config.psf_fwhm_px or np.nan, np.float32)
    known = config.stellar_model != ANY_STELLAR_MODEL
    model = STELLAR_MODELS.index(config.stellar_model) if known else -1
    return {
        "psf_fwhm_px": np.broadcast_to(widths, exposures.shape),
        "exposure_s": exposures,
        "stellar_model": np.full(len(exposures), model, np.int32),
    }


def informed(
    settings: InferenceSettings, mosaics: Mosaics, *, progress: bool = True
) -> InferenceSettings:
    """Return settings with the widths of the mosaics' PSFs, if the model takes them.

    They are measured unless the configuration gives them; the log tells what is known.

    Parameters
    ----------
    settings : InferenceSettings
        Which model is asked, and how.
    mosaics : Mosaics
        Open mosaics in the model's bands.
    progress : bool
        Whether to show a progress bar.
    """
    config, target = settings.config, settings.target
    if not settings.takes_context:
        if config.psf_fwhm_px is not None:
            logger.warning(
                "inference.psf_fwhm_px: the model %s takes no context and is not told",
                settings.model,
            )
        return settings
    said = ["as given"] * len(target.bands)
    if config.psf_fwhm_px is None:
        found = measure_psf_widths(mosaics, target, progress=progress)
        said = [f"{width.n_stars} stars" for width in found]
        widths = tuple(
            round(width.fwhm_px, 3) if np.isfinite(width.fwhm_px) else None
            for width in found
        )
        config = dataclasses.replace(config, psf_fwhm_px=widths)
        settings = dataclasses.replace(
            settings, config=config, psf_stars=tuple(w.n_stars for w in found)
        )
    widths = config.psf_fwhm_px
    told = zip(target.band_names, widths, said, strict=True)
    logger.log(
        logging.WARNING if None in widths else logging.INFO,
        "FWHM of the PSF in pixels: %s%s",
        "; ".join(f"{band} {width or 'unknown'} ({how})" for band, width, how in told),
        ". What is unknown may be given with --inference.psf_fwhm_px"
        if None in widths
        else "",
    )
    for band, mocks in outside_mocks([w or np.nan for w in widths], target).items():
        logger.warning(
            "%s: the PSF is %s px wide, that of the mocks %s: train with this mosaic's "
            "PSF (clusterkeras psf)",
            *(band, widths[target.band_names.index(band)], mocks),
        )
    return settings


def cut_out(
    mosaics: Mosaics,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    target: Target,
    config: InferenceConfig,
) -> Cutouts:
    """Cut places out of mosaics.

    Parameters
    ----------
    mosaics : Mosaics
        Open mosaics in the target's bands.
    x, y : ndarray, shape (n,)
        0-based pixels; anywhere, or NaN.
    target : Target
        Gives the size of the cutouts.
    config : InferenceConfig
        Gives the limit of saturation, the seed, and what is known beside the pixels.

    Returns
    -------
    Cutouts
        One row a place.
    """
    limits = mosaics.pixel_limits(
        config.saturation_electrons, [band.n_exposures for band in target.bands]
    )
    px = target.cutout_px
    cutouts = [mosaics.cutout(*place, px, limits) for place in zip(x, y, strict=True)]
    good = [cutout for cutout in cutouts if cutout.usable]
    images = np.empty((len(good), px, px, len(target.bands)), np.float32)
    for image, cutout in zip(images, good, strict=True):
        image[:] = cutout.filled()
    flags = np.array([_cutout_flags(c) for c in cutouts], np.int32)
    exposures = np.array([mosaics.exposure(*place) for place in zip(x, y, strict=True)])
    flags[_of_other_depth(exposures, target, config)] |= FLAGS["depth"][0]
    if mosaics.of_other_instruments(target):
        flags |= FLAGS["other_instrument"][0]
    usable = np.array([c.usable for c in cutouts], bool)
    return Cutouts(
        usable=usable,
        images=images,
        seeds=np.array([_seed(c, config.seed) for c in good], np.int32),
        covered=np.array([c.covered for c in cutouts], np.float32),
        flags=flags,
        context=context_of(exposures.reshape(-1, len(target.bands))[usable], config),
    )


def answer(
    cutouts: Cutouts, network: Network, config: InferenceConfig
) -> dict[str, NDArray]:
    """Ask the network about cutouts.

    Parameters
    ----------
    cutouts : Cutouts
        n places.
    network : callable
        See `Network`.
    config : InferenceConfig
        Gives the limits of the flags.

    Returns
    -------
    dict of str to ndarray
        ``covered`` and ``flags`` (n,), and what the network gives, NaN in rows that
        are not usable.
    """
    flags = cutouts.flags.copy()
    columns: dict[str, NDArray] = {"covered": cutouts.covered, "flags": flags}
    found = network(cutouts.images, cutouts.seeds, cutouts.context)
    for name, values in found.items():
        shape = (len(flags), *values.shape[1:])
        columns[name] = np.full(shape, np.nan, np.float32)
        columns[name][cutouts.usable] = values
    flags[cutouts.usable] |= result_flags(found, config)
    return columns


def batches_of(y: NDArray[np.float64], size: int) -> list[NDArray[np.intp]]:
    """Part places into batches.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Their rows on the mosaic, in pixels.
    size : int
        Places a batch.

    Returns
    -------
    list of ndarray of int
        Which places; from the mosaic's first row to its last, so that each part of it
        is read once. Of no places there is one empty batch.
    """
    order = np.argsort(y, kind="stable")
    return [order[first : first + size] for first in range(0, max(len(y), 1), size)]


def measure_places(
    mosaics: Mosaics,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    network: Network,
    target: Target,
    config: InferenceConfig,
    progress: bool = True,
    batches: Sequence[NDArray[np.intp]] | None = None,
    in_flight: int = 1,
) -> Iterator[tuple[NDArray[np.intp], dict[str, NDArray]]]:
    """Ask the network about places, while the next ones are cut out.

    Parameters
    ----------
    mosaics : Mosaics
        Open mosaics in the target's bands.
    x, y : ndarray, shape (n,)
        0-based pixels; anywhere, or NaN.
    network : callable
        See `Network`.
    target : Target
        What the network was trained for.
    config : InferenceConfig
        Batch, seed and limits of the flags.
    progress : bool
        Whether to show a progress bar.
    batches : sequence of ndarray of int, optional
        Some of `batches_of`, all by default.
    in_flight : int
        Batches that the network is asked about at once. One more is held: it is cut out
        meanwhile.

    Yields
    ------
    rows : ndarray of int, shape (B,)
        Which places; batch after batch, in their order.
    columns : dict of str to ndarray
        See `answer`.
    """
    if batches is None:
        batches = batches_of(y, config.batch_size)

    def cut(rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], Cutouts]:
        return rows, cut_out(mosaics, x[rows], y[rows], target, config)

    bar = tqdm(
        total=len(y),
        initial=len(y) - sum(map(len, batches)),
        desc="infer",
        unit="pos",
        disable=not progress,
    )

    def ask(coming: Future) -> tuple[NDArray[np.intp], dict[str, NDArray]]:
        rows, cutouts = coming.result()
        return rows, answer(cutouts, network, config)

    def first() -> tuple[NDArray[np.intp], dict[str, NDArray]]:
        rows, columns = asked.popleft().result()
        bar.update(len(rows))
        return rows, columns

    asked: deque[Future] = deque()
    with bar, ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(in_flight) as asking:
        try:
            for batch in batches:
                asked.append(asking.submit(ask, reader.submit(cut, batch)))
                if len(asked) > in_flight:
                    yield first()
            while asked:
                yield first()
        finally:
            for future in asked:
                future.cancel()


@dataclass(frozen=True)
class Seen:
    """One place, looked at once more.

    Attributes
    ----------
    image : ndarray of float32, shape (px, px, bands)
        nJy per pixel, without gaps.
    pivots : tuple of float
        Pivot wavelength of each band in Angstrom.
    draws : ndarray of float32, shape (draws, P)
        Of the joint posterior.
    """

    image: NDArray[np.float32]
    pivots: tuple[float, ...]
    draws: NDArray[np.float32]


def look_again(
    images: Sequence[str | Path] | Mosaics,
    x: float,
    y: float,
    model: PosteriorModel,
    draws: int,
    config: InferenceConfig | None = None,
) -> Seen:
    """Ask a model about one place: the same seed gives the same draws, to 1e-4.

    Parameters
    ----------
    images : sequence of str or Path, or Mosaics
        The mosaics, in the model's order of bands.
    x, y : float
        0-based pixels.
    model : PosteriorModel
        A trained model.
    draws : int
        How many.
    config : InferenceConfig, optional
        The seed, and what is known beside the pixels.

    Raises
    ------
    ValueError
        If there are no data at the place.
    """
    target = model.target
    settings = InferenceSettings.of(model, config or InferenceConfig())
    with opened(images, target) as mosaics:
        config = informed(settings, mosaics, progress=False).config
        cut = cut_out(mosaics, np.array([x]), np.array([y]), target, config)
        pivots = tuple(c.photplam for c in mosaics.calibrations)
    if not cut.usable.all():
        raise ValueError(
            f"no usable pixel at x, y = {x:.1f}, {y:.1f}: there is no posterior"
        )
    found = compile_network(model, draws)(cut.images, cut.seeds, cut.context)
    return Seen(cut.images[0], pivots, found["draws"][0])


def result_flags(
    found: Mapping[str, NDArray], config: InferenceConfig
) -> NDArray[np.int32]:
    """Return the flags that the network's answer decides.

    ``outside_training``: at least `EDGE_SHARE` of the posterior lies at an edge of the
    training range. ``below_visibility``: the visibility is below the limit.
    ``unlike_mocks``: no more than the stated share of the mocks are further out.

    Parameters
    ----------
    found : mapping of str to ndarray (B,)
        ``edge_share``, ``log_snr`` and ``unlike_mocks`` of `PosteriorModel.summarise`.
    config : InferenceConfig
        Gives the limits.

    Returns
    -------
    ndarray of int32, shape (B,)
        Sums of bits of `data_tools.schema.FLAGS`.
    """
    said = {
        "outside_training": found["edge_share"] >= EDGE_SHARE,
        "below_visibility": found["log_snr"] < config.min_log_snr,
        "unlike_mocks": 10.0 ** found["unlike_mocks"] < config.unlike_share,
    }
    flags = [np.where(is_so, FLAGS[name][0], 0) for name, is_so in said.items()]
    return sum(flags).astype(np.int32)


def context_specs(bands: int) -> dict[str, Any]:
    """Return the specification of what `context_of` returns, for a graph."""
    import tensorflow as tf

    return {
        part.name: tf.TensorSpec((None, *part.sizes(0, bands)), part.dtype)
        for part in CONTEXT
    }


@contextmanager
def _as_it_is() -> Iterator[None]:
    """Let TensorFlow run the graphs that this thread calls for as they are."""
    import tensorflow as tf

    key = "disable_meta_optimizer"
    before = tf.config.optimizer.get_experimental_options().get(key, False)
    tf.config.optimizer.set_experimental_options({key: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({key: before})


def for_few(network: Network) -> Network:
    """Return a network that answers sooner at first, and then a little more slowly.

    TensorFlow takes seconds to optimise its graph, and gains some per cent by it.
    """

    def run(*inputs: Any) -> Mapping[str, NDArray]:
        with _as_it_is():
            return network(*inputs)

    return run


@functools.lru_cache(maxsize=4)  # a notebook plots and draws in turn
def compile_network(
    model: PosteriorModel, draws: int = 0, by_stellar_model: bool = False
) -> Network:
    """Return a model as the function that `measure_places` asks.

    Parameters
    ----------
    model : PosteriorModel or ServedModel
        A trained model.
    draws : int
        Draws of the posterior a place; 0 for none.
    by_stellar_model : bool
        Whether to give ``by_stellar_model`` (B, models, parameters, 3) too: median, 16
        and 84 % of `data_tools.schema.BY_STELLAR_MODEL` under each stellar model.

    Returns
    -------
    callable
        See `Network`; without a context nothing is known.
    """
    if isinstance(model, ServedModel):
        return model.network(draws, by_stellar_model)
    import tensorflow as tf

    bands = len(model.target.bands)
    signature = [
        tf.TensorSpec((None, *model.image_shape), tf.float32),
        tf.TensorSpec((None,), tf.int32),
        context_specs(bands),
    ]
    places = [PARAMETER_NAMES.index(name) for name in BY_STELLAR_MODEL]

    @tf.function(input_signature=signature)
    def step(images: Any, seeds: Any, context: Any) -> dict[str, Any]:
        contexts = [context]
        if by_stellar_model:
            rest = [{**context, "stellar_model": i} for i in range(len(STELLAR_MODELS))]
            contexts += rest
        outputs, *under = model.in_each(images, contexts)
        found = model.summarise_outputs(outputs)
        if draws:
            found["draws"] = model.draw_from(outputs["posterior"], seeds, draws)
        if by_stellar_model:
            models = [in_brief(outputs) for outputs in under]
            found["by_stellar_model"] = tf.stack(models, axis=1)
        return found

    def in_brief(outputs: Any) -> Any:
        found = model.summarise_outputs(outputs)
        parts = [found[key] for key in ("median", "lower", "upper")]
        return tf.stack([tf.gather(part, places, axis=1) for part in parts], axis=2)

    def network(
        images: NDArray[np.float32],
        seeds: NDArray[np.int32],
        context: Mapping[str, NDArray] | None = None,
    ) -> dict[str, NDArray]:
        if context is None:
            unknown = np.full((len(images), bands), np.nan)
            context = context_of(unknown, InferenceConfig())
        context = {name: tf.constant(value) for name, value in context.items()}
        found = step(tf.constant(images), tf.constant(seeds), context)
        return {name: value.numpy() for name, value in found.items()}

    return network


def _of_other_depth(
    exposures: NDArray[np.float64], target: Target, config: InferenceConfig
) -> NDArray[np.bool_]:
    """Say of exposures (n, bands) in seconds whether one is outside the training's."""
    usual = [band.exposure_s for band in target.bands]
    factor = np.log10(exposures.reshape(-1, len(usual)) / usual)
    low, high = config.exposure_factor
    outside = (factor < low - _EXPOSURE_DEX) | (factor > high + _EXPOSURE_DEX)
    return outside.any(axis=1)


def _seed(cutout: Cutout, seed: int) -> int:
    key = struct.pack("<qqq", seed, cutout.x0, cutout.y0)
    return zlib.crc32(key) & 0x7FFFFFFF


def _cutout_flags(cutout: Cutout) -> int:
    said = {
        "edge": cutout.edge,
        "missing": cutout.covered < 1,
        "saturated": cutout.saturated,
        "no_data": not cutout.usable,
    }
    return sum(FLAGS[name][0] for name, is_so in said.items() if is_so)
