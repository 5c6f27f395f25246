"""What is known of an image beside its pixels, as numbers a network can take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from data_tools.schema import CONTEXT, STELLAR_MODELS
from data_tools.target import Target

#: FWHM in pixels about which, and steps of its natural logarithm and of log10 of the
#: exposure in which, the network is told; beyond `_FARTHEST` steps it is told no more.
_FWHM_PX, _FWHM_STEP, _EXPOSURE_STEP = 2.2, 0.15, 0.15
_FARTHEST = 4.0


@keras.saving.register_keras_serializable(package="clusterkeras")
class ContextFeatures(keras.layers.Layer):
    """Turn a context, any part of which may be unknown, into numbers of order one.

    Of each band whether the PSF's width is known, and its logarithm; the same of the
    exposure over the target's; of each stellar model whether it is the one. What is
    unknown is zero.

    Parameters
    ----------
    exposure_s : sequence of float
        The target's exposure in each band, in seconds.
    """

    def __init__(self, exposure_s: tuple[float, ...], **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.exposure_s = tuple(float(e) for e in exposure_s)
        self.size = 4 * len(self.exposure_s) + len(STELLAR_MODELS)
        self.built = True

    def call(self, context: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Return (B, 4 bands + stellar models) for what `data_tools.schema` lists."""
        width = tf.math.log(context["psf_fwhm_px"] / _FWHM_PX) / _FWHM_STEP
        depth = tf.math.log(context["exposure_s"] / tf.constant(self.exposure_s))
        depth /= _EXPOSURE_STEP * math.log(10)
        parts = []
        for value in (width, depth):
            known = tf.math.is_finite(value)
            value = tf.clip_by_value(tf.where(known, value, 0), -_FARTHEST, _FARTHEST)
            parts += [tf.cast(known, tf.float32), value]
        parts.append(tf.one_hot(context["stellar_model"], len(STELLAR_MODELS)))
        return tf.concat(parts, axis=-1)

    def labels(self, bands: Sequence[str]) -> list[tuple[str, str]]:
        """Say what each number means: what it is, and of which band or model."""
        kinds = ("width known", "width", "exposure known", "exposure")
        of_bands = [(kind, band) for kind in kinds for band in bands]
        return of_bands + [("model", name) for name in STELLAR_MODELS]

    def compute_output_shape(self, input_shape: Any) -> tuple[None, int]:
        """Return the shape, whatever is known."""
        return (None, self.size)

    def get_config(self) -> dict[str, Any]:
        """Return all arguments."""
        return {**super().get_config(), "exposure_s": list(self.exposure_s)}


def whole_context(
    given: Mapping[str, Any], rows: tf.Tensor, target: Target
) -> dict[str, tf.Tensor]:
    """Return a context with all its parts, those that are not given unknown.

    Parameters
    ----------
    given : mapping of str to tensor
        By the names of `data_tools.schema.CONTEXT`; a value without the axis of the
        batch holds for all rows.
    rows : int or tensor ()
        Images in the batch.
    target : Target
        Bands.

    Raises
    ------
    ValueError
        On a name that is none, a value of another shape or type, a width or exposure
        not above 0, or a stellar model that is none; within a graph, where values are
        not known, those count as unknown.
    """
    unknown = sorted(set(given) - {part.name for part in CONTEXT})
    if unknown:
        raise ValueError(
            f"context: expected some of {[part.name for part in CONTEXT]}; received "
            f"{unknown}"
        )
    whole = {}
    for part in CONTEXT:
        shape = part.sizes(target.cutout_px, len(target.bands))
        kind = tf.as_dtype(part.dtype)
        value = given.get(part.name)
        if value is None:
            value = -1 if kind.is_integer else math.nan
        value = tf.convert_to_tensor(value)
        fits = value.dtype.is_integer or (kind.is_floating and value.dtype.is_floating)
        if not fits or not any(
            value.shape.is_compatible_with(one) for one in ((), shape, (None, *shape))
        ):
            raise ValueError(
                f"{part.name}: expected {kind.name} of shape {('batch', *shape)}, or "
                f"{shape} for all; received {value.dtype.name} of shape "
                f"{tuple(value.shape)}"
            )
        static = tf.get_static_value(value)
        if static is not None:
            check_values(part.name, static)
        if value.shape.rank <= len(shape):
            value = tf.broadcast_to(value, (rows, *shape))
        whole[part.name] = tf.cast(value, kind)
    return whole


def check_values(name: str, values: np.ndarray) -> None:
    """Refuse what cannot be known of an image.

    In a graph, which sees no numbers before it runs, such counts as unknown.

    Parameters
    ----------
    name : str
        One of `data_tools.schema.CONTEXT`.
    values : ndarray
        Of any shape.

    Raises
    ------
    ValueError
        That names the first number that is none of it.
    """
    if name == "stellar_model":
        good = (values >= -1) & (values < len(STELLAR_MODELS))
        expected = f"-1 for any, or an index into {list(STELLAR_MODELS)}"
    else:
        good = ~((values <= 0) | np.isinf(values))
        expected = "numbers above 0, or NaN"
    if not np.all(good):
        bad = np.asarray(values)[~good].flat[0]
        raise ValueError(f"{name}: expected {expected}; received {bad}")
