"""What the network is told beside the pixels: PSFs, exposures, stellar model."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterkeras.catalogue.asking.settings import InferenceSettings
from clusterkeras.config import ANY_STELLAR_MODEL, InferenceConfig
from data_tools.mosaics.mosaic import Mosaics
from data_tools.preparation.psf_width import measure_psf_widths, outside_mocks
from data_tools.schema import CONTEXT, STELLAR_MODELS

logger = logging.getLogger(__name__)


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


def context_specs(bands: int) -> dict[str, Any]:
    """Return the specification of what `context_of` returns, for a graph."""
    import tensorflow as tf

    return {
        part.name: tf.TensorSpec((None, *part.sizes(0, bands)), part.dtype)
        for part in CONTEXT
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
