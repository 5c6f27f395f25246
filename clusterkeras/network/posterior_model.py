"""What every trained model can do, a single network or an ensemble of them."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import NDArray

from clusterkeras.model_files.model_file import read_model
from clusterkeras.model_files.sharing import save_preset
from clusterkeras.network.layers.context import whole_context
from clusterkeras.network.layers.gaps import fill_gaps
from clusterkeras.network.layers.unlike import FLOOR
from clusterkeras.network.posteriors.base import Posterior, summarise
from clusterkeras.network.posteriors.flat import WithFlatPrior
from clusterkeras.network.recalibration import Recalibration
from data_tools.schema import KINDS, PARAMETER_NAMES
from data_tools.stars.population import living_share
from data_tools.target import Target

tfd = tfp.distributions

#: Width of the strip along an edge of the box, as a share of the box's, in which a
#: draw leans on that edge.
EDGE_WIDTH = 0.02

#: Edges that are physical, not the end of the training: no extinction is none.
PHYSICAL_EDGES = {("a_v", "low")}

#: What a model and what it is given must share for a number to mean the same.
SHARED = ("band_names", "cutout_px", "pixel_scale_arcsec", "box")


def log_shares(presence: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Return the log probability of each kind, clusters first.

    Parameters
    ----------
    presence : tensor (B, 1)
        Logit of a cluster.
    others : tensor (B, K - 1)
        Log probability of each other kind if it is none.
    """
    none = tf.math.log_sigmoid(-presence)
    return tf.concat([tf.math.log_sigmoid(presence), none + others], axis=1)


class PosteriorModel(keras.Model):
    """Turn images into posteriors: what is alike for one network and for several.

    A subclass makes `joint`, sets `cluster_share` and `negatives`, and gives `look`,
    `answer` and `visibility`.

    Parameters
    ----------
    target : dict or Target
        What is observed and in which bands; its box is the posterior's support.
    recalibration : dict or Recalibration, optional
        What was found on a validation set; without, none.

    Attributes
    ----------
    joint : Posterior
        The posterior of the parameters, before it is mixed with the flat prior; see
        `with_flat_prior`.
    cluster_share : float
        Share of clusters among the records the model is trained on, in (0, 1): the
        prior under which its probability of a cluster holds.
    negatives : dict of str to float
        Relative shares of the other kinds among the records without one.
    recalibration : Recalibration
        Applied to all that the model gives.
    """

    joint: Posterior
    cluster_share: float
    negatives: dict[str, float]

    def __init__(
        self,
        target: dict[str, Any] | Target,
        recalibration: dict[str, Any] | Recalibration | None = None,
        **kwargs: Any,
    ) -> None:
        # in float32, as all its layers, whatever the user's Keras settings are
        super().__init__(**{"dtype": "float32", **kwargs})
        self._target = (
            target if isinstance(target, Target) else Target.from_dict(target)
        )
        if not isinstance(recalibration, Recalibration):
            recalibration = Recalibration(**(recalibration or {}))
        self.recalibration = recalibration
        # XLA is slower than plain kernels on a CPU
        self.supports_jit = False
        px = self._target.cutout_px
        self.image_shape = (px, px, len(self._target.bands))

    @property
    def target(self) -> Target:
        """The target the model was made for."""
        return self._target

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of the posterior's last axis."""
        return PARAMETER_NAMES

    @property
    def kind_shares(self) -> NDArray[np.float64]:
        """Share of each of `data_tools.schema.KINDS` among its training's records."""
        others = np.array([self.negatives.get(kind, 0.0) for kind in KINDS[1:]])
        rest = (1 - self.cluster_share) * others / others.sum()
        return np.array([self.cluster_share, *rest])

    @property
    def takes_context(self) -> bool:
        """Whether it can be told what is known beside the pixels."""
        return False

    @property
    def tells_kinds(self) -> bool:
        """Whether it tells all of `data_tools.schema.KINDS` apart."""
        return False

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Check images and context, then run `call`.

        Parameters
        ----------
        inputs : tensor or mapping of str to tensor
            Images, or a mapping with ``images`` and what is known beside them, by the
            names of `data_tools.schema.CONTEXT`; a number for all rows may stand for a
            tensor. A model that takes no context does not look at it.
        """
        images, context = self.parted(inputs)
        if not hasattr(images, "dtype"):
            images = np.asarray(images)
        shape = tuple(images.shape)
        if len(shape) != 4 or any(
            size not in (None, wanted)
            for size, wanted in zip(shape[1:], self.image_shape, strict=True)
        ):
            expected = ", ".join(str(size) for size in self.image_shape)
            raise ValueError(
                f"images: expected shape (batch, {expected}) with bands "
                f"{list(self._target.band_names)}; received {shape}"
            )
        dtype = getattr(images.dtype, "name", images.dtype)
        if not re.match("float|bfloat|u?int", dtype):
            raise ValueError(
                f"images: expected real numbers, nJy per pixel; received {dtype}"
            )
        if dtype != "float32":
            images = keras.ops.cast(images, "float32")
        context = whole_context(context, tf.shape(images)[0], self._target)
        return super().__call__(images, context, *args, **kwargs)

    @staticmethod
    def parted(inputs: Any) -> tuple[Any, dict[str, Any]]:
        """Part inputs in images and context.

        Raises
        ------
        ValueError
            If a mapping has no images.
        """
        if not isinstance(inputs, Mapping):
            return inputs, {}
        if "images" not in inputs:
            raise ValueError(
                f"inputs: expected images among them; received {sorted(inputs)}"
            )
        return inputs["images"], {k: v for k, v in inputs.items() if k != "images"}

    def call(
        self,
        images: tf.Tensor,
        context: dict[str, tf.Tensor],
        training: bool | None = None,
    ) -> dict[str, tf.Tensor]:
        """Run the network.

        Parameters
        ----------
        images : tensor (B, px, px, bands)
            Flux in nJy per pixel. Pixels that are no data are filled with the median
            of their band; see `clusterkeras.network.layers.gaps.fill_gaps`.
        context : dict of str to tensor
            All of `data_tools.schema.CONTEXT`.
        training : bool, optional
            Whether batch statistics and dropout are those of training.

        Returns
        -------
        dict of str to tensor
            ``bad_pixels`` (B,) int32, how many were filled; all others in float32:
            ``posterior`` (B, O) for `posterior`, whose last column is the logit of the
            flat prior's share, ``presence`` (B, 1) logit, ``visibility`` (B, V) for
            `visibility`, ``features`` (B, F), of a model that tells kinds apart
            ``kinds`` (B, K), log probabilities in the order of
            `data_tools.schema.KINDS`, and ``unlike_mocks`` (B,), log10 of the
            share of the mocks it was trained on that are further out, see
            `clusterkeras.network.layers.unlike.UnlikeMocks`; NaN in training and for a
            model that was saved without. Where a band has no data at all ``features``
            and all before are NaN, ``unlike_mocks`` is the least.
        """
        return self.in_each(images, [context], training)[0]

    def in_each(
        self,
        images: tf.Tensor,
        contexts: Sequence[Mapping[str, Any]],
        training: bool | None = None,
    ) -> list[dict[str, tf.Tensor]]:
        """Do what `call` does in several contexts, and look at the pixels once.

        Parameters
        ----------
        images : tensor (B, px, px, bands)
            As for `call`.
        contexts : sequence of mapping of str to tensor
            Of each what is known; as a model is called with.
        training : bool, optional
            As for `call`.
        """
        images = tf.ensure_shape(images, (None, *self.image_shape))
        filled, bad_pixels, blind = fill_gaps(images)
        rows = tf.shape(filled)[0]
        contexts = [whole_context(c, rows, self._target) for c in contexts]
        if not training and filled.shape[0] in (None, 0):
            # kernels refuse a batch of no images: a blank one is asked, and dropped
            more = tf.cast(rows == 0, tf.int32)
            filled = tf.concat([filled, tf.zeros((more, *self.image_shape))], axis=0)
            blank = whole_context({}, more, self._target)
            contexts = [
                {k: tf.concat([v, blank[k]], axis=0) for k, v in context.items()}
                for context in contexts
            ]
        seen = self.look(filled, training)
        answers = []
        for context in contexts:
            found = self.answer(seen, context, training)
            unlike = found.pop("unlike_mocks")[:rows]
            found = {
                name: tf.where(blind[:, None], math.nan, output[:rows])
                for name, output in found.items()
            }
            # a NaN that says there is no score stays
            unlike = tf.where(blind, tf.minimum(unlike, FLOOR), unlike)
            answers.append({**found, "unlike_mocks": unlike, "bad_pixels": bad_pixels})
        return answers

    def predict(
        self, x: Any, batch_size: int | None = None, *args: Any, **kwargs: Any
    ) -> dict[str, np.ndarray]:
        """Return what `call` gives, batch by batch; see `keras.Model.predict`.

        No images, which Keras does not take, give no rows.
        """
        if tuple(getattr(x, "shape", ()))[:1] == (0,):
            return {name: np.asarray(value) for name, value in self(x).items()}
        if isinstance(x, np.ndarray) and keras.config.floatx() != "float32":
            # an array Keras would round to the user's floatx
            batches = tf.data.Dataset.from_tensor_slices(x).batch(batch_size or 32)
            x, batch_size = batches, None
        return super().predict(x, batch_size, *args, **kwargs)

    def look(self, images: tf.Tensor, training: bool | None = None) -> Any:
        """Return what `answer` needs of images without gaps, whatever else is known."""
        raise NotImplementedError

    def answer(
        self,
        seen: Any,
        context: dict[str, tf.Tensor],
        training: bool | None = None,
    ) -> dict[str, tf.Tensor]:
        """Do what `call` does but for ``bad_pixels``, of what `look` has seen."""
        raise NotImplementedError

    def with_flat_prior(self) -> WithFlatPrior:
        """Return the posterior that the output ``posterior`` is of.

        It is made when asked for: were it an attribute, weights would stand elsewhere
        in the file.
        """
        return WithFlatPrior(self.joint)

    def posterior(self, raw: tf.Tensor) -> tfd.Distribution:
        """Build the joint posterior.

        Parameters
        ----------
        raw : tensor (B, O)
            The output ``posterior`` of the network.

        Returns
        -------
        tfd.Distribution
            Of the parameters in their own units; batch (B,), event (P,); zero outside
            the target's box.
        """
        return self.with_flat_prior().distribution(raw)

    def visibility(self, raw: tf.Tensor) -> tfd.Distribution:
        """Build the distribution of the visibility, log10 S/N in dex.

        Parameters
        ----------
        raw : tensor (B, V)
            The output ``visibility`` of the network.

        Returns
        -------
        tfd.Distribution
            Batch (B,).
        """
        raise NotImplementedError

    def draw_from(self, raw_posterior: tf.Tensor, seed: tf.Tensor, n: int) -> tf.Tensor:
        """Draw from the joint posterior, without TensorFlow Probability.

        Parameters
        ----------
        raw_posterior : tensor (B, O)
            The output ``posterior`` of the network.
        seed : tensor (B,) int32
            A row's draws depend on its own seed and outputs only.
        n : int
            Draws a row.

        Returns
        -------
        tensor (B, n, P)
            In the parameters' own units, inside the box.
        """
        return self.with_flat_prior().draw(raw_posterior, seed, n)

    def summarise(self, inputs: Any) -> dict[str, tf.Tensor]:
        """Return the numbers of a catalogue row, the same each time.

        Parameters
        ----------
        inputs : tensor (B, px, px, bands) or mapping of str to tensor
            Flux in nJy per pixel, with what is known beside it as a call takes it.

        Returns
        -------
        dict of str to tensor
            ``p_cluster`` (B,); of a model that tells kinds apart ``kinds`` (B, K),
            their probabilities; ``log_snr``, ``log_snr_std`` [dex] (B,), mean and
            standard deviation of the visibility; ``median``, ``lower``, ``upper`` (16,
            84 %), ``mean`` (B, P); ``covariance`` (B, P, P); ``log_mass_current``
            (B, 3), median, 16 and 84 % of log10 of the mass in living stars in Msun;
            ``edge_share`` (B,), see `edge_share`; ``unlike_mocks`` and ``bad_pixels``
            (B,), see `call`. Where a band has no data all but the last two are NaN.
        """
        return self.summarise_outputs(self(inputs, training=False))

    def summarise_outputs(self, outputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Do what `summarise` does, from the outputs of `call`."""
        visibility = self.visibility(outputs["visibility"])
        draws, weights = self.with_flat_prior().even_draws(outputs["posterior"])
        kinds = {"kinds": tf.exp(outputs["kinds"])} if "kinds" in outputs else {}
        return {
            "p_cluster": tf.math.sigmoid(outputs["presence"][:, 0]),
            **kinds,
            "log_snr": visibility.mean(),
            "log_snr_std": visibility.stddev(),
            **summarise(draws, weights),
            "log_mass_current": self._living_mass(draws, weights),
            "edge_share": self.edge_share(draws, weights),
            "unlike_mocks": outputs["unlike_mocks"],
            "bad_pixels": outputs["bad_pixels"],
        }

    def _living_mass(self, draws: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """Summarise log10 of the mass in living stars, for `summarise_outputs`: (B, 3).

        Draws (B, n, P) have the weights (B, n).
        """
        ages, shares = living_share(self.target.feh)
        log_age, log_mass = (
            draws[..., self.parameter_names.index(name)]
            for name in ("log_age", "log_mass")
        )
        place = (log_age - ages[0]) / (ages[1] - ages[0])
        # a place in the table for what is NaN, which stays so by its mass
        place = tf.where(tf.math.is_nan(place), 0.0, place)
        below = tf.cast(tf.clip_by_value(place, 0, len(ages) - 2), tf.int32)
        part = tf.clip_by_value(place - tf.cast(below, tf.float32), 0, 1)
        table = tf.constant(shares, tf.float32)
        low, high = tf.gather(table, below), tf.gather(table, below + 1)
        living = summarise((log_mass + low + part * (high - low))[..., None], weights)
        return tf.concat([living[k] for k in ("median", "lower", "upper")], axis=1)

    def edge_share(self, draws: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """Say how far a posterior leans on an edge of the box: truth may be beyond.

        Parameters
        ----------
        draws : tensor (B, n, P)
            Draws of the posterior in the parameters' own units.
        weights : tensor (B, n)
            They add up to one in each row.

        Returns
        -------
        tensor (B,)
            Largest share of the draws within `EDGE_WIDTH` of the box's width from one
            of its edges, `PHYSICAL_EDGES` excepted; NaN of draws that are NaN.
        """
        shares = []
        for i, name in enumerate(self.parameter_names):
            low, high = self.target.box[name]
            width = EDGE_WIDTH * (high - low)
            for edge, inside in (
                ("low", draws[..., i] < low + width),
                ("high", draws[..., i] > high - width),
            ):
                if (name, edge) not in PHYSICAL_EDGES:
                    shares.append(tf.reduce_sum(tf.where(inside, weights, 0), axis=1))
        share = tf.reduce_max(tf.stack(shares), axis=0)
        return tf.where(tf.math.is_nan(draws[:, 0, 0]), math.nan, share)

    def recalibrated(self, recalibration: Recalibration) -> Self:
        """Return a copy with the same weights and another recalibration."""
        config = {
            **self.get_config(),
            "recalibration": dataclasses.asdict(recalibration),
        }
        copy = type(self).from_config(config)
        copy.set_weights(self.get_weights())
        return copy

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that all models take, as plain values."""
        return {
            "name": self.name,
            "target": self._target.to_dict(),
            "recalibration": dataclasses.asdict(self.recalibration),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build a model from what `get_config` gives."""
        return cls(**config)

    @classmethod
    def from_preset(cls, name_or_path: str | Path) -> Self:
        """Load a model that ships, by name, or a saved one, by path.

        Parameters
        ----------
        name_or_path : str or Path
            Name of a preset (`clusterkeras.presets` lists them), a ``.keras`` file, or
            the directory of a preset or a run.

        Raises
        ------
        FileNotFoundError, ValueError
            As `clusterkeras.model_files.model_file.read_model`.
        """
        return read_model(name_or_path, (cls,))

    def save_to_preset(self, directory: str | Path, **options: Any) -> Path:
        """Save the model as a preset that others load by its path.

        Parameters
        ----------
        directory : str or Path
            Directory to write.
        **options
            Of `clusterkeras.save_preset`, which does the work.

        Returns
        -------
        Path
            The directory.

        Raises
        ------
        FileExistsError, ValueError
            As `clusterkeras.save_preset`.
        """
        return save_preset(self, directory, **options)


def check_same_target(model: Target, mocks: Target, data: str | Path) -> None:
    """Refuse a mock set whose images or parameters are not those of a model.

    Parameters
    ----------
    model, mocks : Target
        What the model, and the set, was made for.
    data : str or Path
        Name of the set.

    Raises
    ------
    ValueError
        If they differ in one of `SHARED`.
    """
    for name in SHARED:
        expected, received = getattr(model, name), getattr(mocks, name)
        if expected != received:
            raise ValueError(
                f"{data}: the model was made for {name} {expected}; the set has "
                f"{received}. Simulate a set with the model's target"
            )
