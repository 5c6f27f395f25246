"""What is trained: backbone, joint posterior, presence and visibility, their loss."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from clusterkeras.config import ModelConfig
from clusterkeras.network import backbones, posteriors
from clusterkeras.network.layers.context import ContextFeatures
from clusterkeras.network.layers.scaling import JointAsinh
from clusterkeras.network.layers.unlike import UnlikeMocks
from clusterkeras.network.posterior_model import PosteriorModel, log_shares
from clusterkeras.network.posteriors.flat import flat_logit
from clusterkeras.network.recalibration import Recalibration
from clusterkeras.workers.sums import (
    current_workers,
    mean_over_workers,
    sum_all_over_workers,
)
from data_tools.priors import Priors
from data_tools.schema import KINDS, PARAMETER_NAMES
from data_tools.target import Target

#: Labels that `TrainableModel.compute_loss` reads, beside them ``kind`` if the model
#: tells kinds apart; a dataset may carry more.
LABELS = ("parameters", "is_cluster", "log_snr", "has_object")

#: What a model's configuration lacks if it was saved before there was such a thing.
_BEFORE = {"context": False, "kinds": False}


#: Begins what TensorFlow says of a cluster outside the box.
_OUTSIDE = "labels: expected "


@contextmanager
def _outside_named() -> Iterator[None]:
    """Raise what TensorFlow says of a cluster outside the box as one sentence."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        said = re.search(rf"\[({_OUTSIDE}.*?)\] \[(.*?)\] \[to\] \[(.*?)\]", str(error))
        if said is None:
            raise
        raise ValueError(
            f"{' '.join(said.groups()[:2])} to {said[3]}. Train on mocks made with the "
            "model's target, or a new model of theirs"
        ) from None


class TrainableModel(PosteriorModel):
    """Learn what an image says about a star cluster.

    A subclass states the four attributes below and gives `visibility`.

    ``model.compile(optimizer)`` and ``model.fit(dataset)`` train it; the loss is its
    own. The dataset gives ``(images, labels)``, labels a dictionary as
    `data_tools.records.dataset.make_dataset` makes it.

    Parameters
    ----------
    target : dict or Target
        What is observed and in which bands; its box is the posterior's support.
    config : dict or ModelConfig, optional
        Shape of the network.
    presence_weight, visibility_weight : float
        Weights of the two side losses beside the posterior's.
    cluster_share : float
        Share of clusters among the records it is trained on, in (0, 1): the prior
        under which its probability of a cluster holds.
    negatives : dict of str to float, optional
        Relative shares of the other kinds among the records without one; without,
        those of `data_tools.priors.Priors`.
    recalibration : dict or Recalibration, optional
        What was found after training, `clusterkeras.training.recalibration_fit`;
        without, none.

    Attributes
    ----------
    default_name : str
        Its name in Keras.
    default_config : ModelConfig
        Where the configuration says nothing.
    posterior_names : tuple of str
        Those it can have.
    visibility_outputs : int
        Outputs of the network from which `visibility` is made.

    Raises
    ------
    ValueError
        On an unknown key, a value outside its range, or the posterior of another
        model.
    """

    default_name: str
    default_config: ModelConfig
    posterior_names: tuple[str, ...]
    visibility_outputs: int

    def __init__(
        self,
        target: dict[str, Any] | Target,
        config: dict[str, Any] | ModelConfig | None = None,
        presence_weight: float = 1.0,
        visibility_weight: float = 0.2,
        cluster_share: float = 0.7,
        negatives: dict[str, float] | None = None,
        recalibration: dict[str, Any] | Recalibration | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs = {"name": self.default_name, **kwargs}
        super().__init__(target, recalibration, **kwargs)
        self.config = self._as_config(config)
        self.presence_weight = float(presence_weight)
        self.visibility_weight = float(visibility_weight)
        if not 0 < cluster_share < 1:
            raise ValueError(
                f"cluster_share: expected a share in (0, 1); received {cluster_share}"
            )
        self.cluster_share = float(cluster_share)
        self.negatives = Priors(negatives=negatives or Priors().negatives).negatives

        low, high = np.transpose([self._target.box[name] for name in PARAMETER_NAMES])
        self.joint = posteriors.build(
            self.config, low, high, self.recalibration.stretch
        )

        self.scale_input = JointAsinh(self.config.softening_njy, name="scale_input")
        self.backbone = backbones.build(self.config.backbone, self.image_shape)
        dense = keras.layers.Dense
        self.dropout = keras.layers.Dropout(self.config.dropout, dtype="float32")
        if self.config.backbone in backbones.WITH_DENSE:
            self.hidden = keras.layers.Identity(name="hidden", dtype="float32")
        else:
            self.hidden = dense(
                self.config.hidden, activation="gelu", dtype="float32", name="hidden"
            )
        if self.config.context:
            self.context = ContextFeatures(
                [band.exposure_s for band in self._target.bands], name="context"
            )
        # small first weights: training starts at the prior, not at chance spikes
        small = keras.initializers.VarianceScaling(0.01)
        self.heads = {
            name: dense(
                outputs, kernel_initializer=small, dtype="float32", name=f"{name}_head"
            )
            for name, outputs in (
                ("posterior", self.joint.n_outputs),
                # one logit says all that a softmax over two classes can
                ("presence", len(KINDS) if self.config.kinds else 1),
                ("visibility", self.visibility_outputs),
            )
        }
        self.unlike = UnlikeMocks(
            self.backbone.output_shape[-1], self.image_shape[-1], name="unlike"
        )
        self.loss_parts = {
            name: keras.metrics.Mean(name=name, dtype="float32")
            for name in ("nll", "presence", "visibility")
        }
        self.presence_auc = keras.metrics.AUC(
            num_thresholds=100, from_logits=True, name="presence_auc", dtype="float32"
        )
        self.build((None, *self.image_shape))

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make all weights; called by the constructor."""
        if self.built:
            return
        rows, features = self.backbone.output_shape
        if self.takes_context:
            features += self.context.size
        self.hidden.build((rows, features))
        features = self.hidden.compute_output_shape((rows, features))
        for head in self.heads.values():
            head.build(features)
        super().build(input_shape)

    @property
    def takes_context(self) -> bool:
        """Whether it can be told what is known beside the pixels."""
        return self.config.context

    @property
    def tells_kinds(self) -> bool:
        """Whether it tells all of `data_tools.schema.KINDS` apart."""
        return self.config.kinds

    def look(
        self, images: tf.Tensor, training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return features (B, F), and the score (B,) of what is unlike the mocks."""
        scaled = self.scale_input(images)
        features = self.backbone(scaled, training=training)
        features = keras.ops.cast(features, "float32")
        # it trains on its mocks, whatever an older score says of them
        if training:
            return features, tf.fill(tf.shape(features)[:1], math.nan)
        return features, self.unlike(scaled, features)

    def answer(
        self,
        seen: tuple[tf.Tensor, tf.Tensor],
        context: dict[str, tf.Tensor],
        training: bool | None = None,
    ) -> dict[str, tf.Tensor]:
        """Run what stands on the backbone; see `PosteriorModel.answer`."""
        features, unlike = seen
        known = self.dropout(features, training=training)
        if self.takes_context:
            known = tf.concat([known, self.context(context)], axis=-1)
        hidden = self.hidden(known)
        outputs = {name: head(hidden) for name, head in self.heads.items()}
        if self.config.kinds:
            logits = outputs["presence"]
            cluster, others = logits[:, :1], logits[:, 1:]
            rest = tf.reduce_logsumexp(others, axis=1, keepdims=True)
            outputs["presence"] = self.recalibration.presence(cluster - rest)
            outputs["kinds"] = log_shares(outputs["presence"], others - rest)
        else:
            outputs["presence"] = self.recalibration.presence(outputs["presence"])
        logit = flat_logit(unlike)[:, None]
        outputs["posterior"] = tf.concat([outputs["posterior"], logit], axis=-1)
        return {**outputs, "features": features, "unlike_mocks": unlike}

    def compile(self, *args: Any, loss: Any = None, **kwargs: Any) -> None:
        """Say how the model is trained; see `keras.Model.compile`.

        Raises
        ------
        ValueError
            If a loss is given.
        """
        # the second of Keras's arguments is the loss
        if loss is not None or args[1:2] not in ((), (None,)):
            raise ValueError(
                "loss: expected none, since the model's loss is built in; received "
                "one. Call compile(optimizer)"
            )
        super().compile(*args, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as a saved file says; Keras's refuses where `compile` is another."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Train; see `keras.Model.fit`.

        Raises
        ------
        ValueError
            At the first batch with a cluster outside the target's box; it names the
            parameter.
        """
        with _outside_named():
            return super().fit(*args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Return loss and metrics; see `keras.Model.evaluate`, for errors `fit`."""
        with _outside_named():
            return super().evaluate(*args, **kwargs)

    def compute_loss(
        self,
        x: tf.Tensor | None = None,
        y: dict[str, tf.Tensor] | None = None,
        y_pred: dict[str, tf.Tensor] | None = None,
        sample_weight: tf.Tensor | None = None,
        training: bool = True,
    ) -> tf.Tensor:
        """Return the loss in nats and note its parts as metrics.

        ``nll``: mean over clusters of minus the log density of the true parameters in
        their own units. ``presence``: cross-entropy of the kind, or of cluster or not
        if the model tells no kinds apart. ``visibility``: mean over objects of minus
        the log density of the true visibility.

        Raises
        ------
        ValueError
            If the labels lack one of `LABELS`, or sample weights are given.
        tf.errors.InvalidArgumentError
            If a cluster is outside the target's box, where the loss is infinite.
        """
        labels = [*LABELS, *(["kind"] if self.config.kinds else [])]
        missing = [name for name in labels if not isinstance(y, dict) or name not in y]
        if missing:
            raise ValueError(
                f"labels: expected a dictionary with {labels}; missing {missing}"
            )
        if sample_weight is not None:
            raise ValueError(
                "sample_weight: expected none, since the labels say which rows count; "
                "received one"
            )
        is_cluster = tf.cast(y["is_cluster"], tf.float32)
        parameters = tf.cast(y["parameters"], tf.float32)
        y_pred = self._once_in_box(y_pred, parameters, is_cluster > 0)
        # what does not count must not spoil a gradient, even if it is not finite
        parameters = tf.where(is_cluster[:, None] > 0, parameters, self.joint.low)
        log_prob = self.posterior(y_pred["posterior"]).log_prob(parameters)
        has_object = tf.cast(y["has_object"], tf.float32)
        visibility = tf.where(has_object > 0, tf.cast(y["log_snr"], tf.float32), 0)
        log_snr = self.visibility(y_pred["visibility"]).log_prob(visibility)
        logit = y_pred["presence"][:, 0]
        if self.config.kinds:
            of_kind = tf.one_hot(y["kind"], len(KINDS))
            # what cannot be is not counted, even if it is not finite
            presence = -tf.reduce_sum(
                tf.math.multiply_no_nan(y_pred["kinds"], of_kind), axis=1
            )
        else:
            presence = tf.nn.sigmoid_cross_entropy_with_logits(is_cluster, logit)
        parts = {
            "nll": (-log_prob, is_cluster),
            "presence": (presence, tf.ones_like(logit)),
            "visibility": (-log_snr, has_object),
        }
        totals, rows = [], []
        for name, (values, counts) in parts.items():
            # a row that does not count must not spoil the mean, even if it is not
            # finite
            values = tf.where(counts > 0, values, 0)
            self.loss_parts[name].update_state(values, sample_weight=counts)
            totals.append(tf.reduce_sum(values * counts))
            rows.append(tf.reduce_sum(counts))
        self.presence_auc.update_state(is_cluster, logit)
        means = mean_over_workers(tf.stack(totals), tf.stack(rows))
        nll, presence, visibility = tf.unstack(means)
        return (
            nll + self.presence_weight * presence + self.visibility_weight * visibility
        )

    def get_metrics_result(self) -> dict[str, tf.Tensor]:
        """Return loss and metrics, at the end of an epoch those of all workers.

        Steps of an epoch tell those of their worker's rows.
        """
        if current_workers().number > 1 and tf.executing_eagerly():
            sums = [v for metric in self.metrics for v in metric.variables]
            values = sum_all_over_workers([tf.cast(v, tf.float32) for v in sums])
            for variable, value in zip(sums, values, strict=True):
                variable.assign(value)
        return super().get_metrics_result()

    def _once_in_box(
        self, outputs: dict[str, tf.Tensor], parameters: tf.Tensor, counts: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Return outputs once the parameters of rows that count are in the box."""
        said = []
        for i, name in enumerate(self.parameter_names):
            low, high, values = self.joint.low[i], self.joint.high[i], parameters[:, i]
            said.append(
                tf.debugging.Assert(
                    tf.reduce_all(~counts | ((values >= low) & (values <= high))),
                    [
                        f"{_OUTSIDE}{name} of every cluster from {low:g} to {high:g}, "
                        "the box of the model; received",
                        tf.reduce_min(tf.where(counts, values, high)),
                        "to",
                        tf.reduce_max(tf.where(counts, values, low)),
                    ],
                )
            )
        # no weight moves before; eagerly there is nothing to wait for
        with tf.control_dependencies([check for check in said if check is not None]):
            return {name: tf.identity(value) for name, value in outputs.items()}

    def get_config(self) -> dict[str, Any]:
        """Return all arguments, as plain values."""
        return {
            **super().get_config(),
            "config": dataclasses.asdict(self.config),
            "presence_weight": self.presence_weight,
            "visibility_weight": self.visibility_weight,
            "cluster_share": self.cluster_share,
            "negatives": dict(self.negatives),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build a model from what `get_config` gives, or gave before."""
        return cls(**{**config, "config": {**_BEFORE, **config["config"]}})

    def _as_config(self, config: dict[str, Any] | ModelConfig | None) -> ModelConfig:
        if not isinstance(config, ModelConfig):
            known = [field.name for field in dataclasses.fields(ModelConfig)]
            unknown = sorted(set(config or {}) - set(known))
            if unknown:
                raise ValueError(
                    f"config: expected keys among {known}; received {unknown}"
                )
            config = dataclasses.replace(self.default_config, **(config or {}))
        if config.posterior not in self.posterior_names:
            raise ValueError(
                f"model.posterior: a {type(self).__name__} has one of "
                f"{self.posterior_names}; received {config.posterior!r}. "
                "`clusterkeras.network.model.model_class` names the class for it"
            )
        return config
