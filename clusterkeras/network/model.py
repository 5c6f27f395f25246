"""ClusterModel: a mixture or a flow as posterior, a normal as visibility."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from clusterkeras.config import ModelConfig
from clusterkeras.network.published_model import PublishedModel
from clusterkeras.network.trainable_model import TrainableModel

tfd = tfp.distributions

#: Mean and standard deviation, in dex, of the visibility before training.
VISIBILITY_START = (1.0, 1.0)
VISIBILITY_FLOOR = 0.01


@keras.saving.register_keras_serializable(package="clusterkeras")
class ClusterModel(TrainableModel):
    """Learn a smooth joint posterior: a mixture of Gaussians or a flow.

    See `TrainableModel` for the parameters and for how it is trained.

    Examples
    --------
    >>> from clusterkeras import ClusterModel, ModelConfig
    >>> from data_tools import Target
    >>> config = ModelConfig(backbone="resnet_tiny", posterior="mixture", hidden=8)
    >>> model = ClusterModel(Target.load("m83-wfc3-uvis"), config)
    >>> model.image_shape
    (64, 64, 3)
    """

    default_name = "cluster_model"
    default_config = ModelConfig()
    posterior_names = ("mixture", "flow")
    visibility_outputs = 2

    def visibility(self, raw: tf.Tensor) -> tfd.Distribution:
        """Build a normal; see `PosteriorModel.visibility`."""
        start_mean, start_scale = VISIBILITY_START
        offset = float(np.log(np.expm1(start_scale - VISIBILITY_FLOOR)))
        scale = tf.math.softplus(raw[:, 1] + offset) + VISIBILITY_FLOOR
        scale *= self.recalibration.visibility_factor
        return tfd.Normal(raw[:, 0] + start_mean, scale)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TrainableModel:
        """Build a model from what `get_config` gives.

        Files of version 0.1 say `ClusterModel` of the published network too.
        """
        posterior = config.get("config", {}).get("posterior")
        kind = PublishedModel if posterior in PublishedModel.posterior_names else cls
        return (
            kind.from_config(config) if kind is not cls else super().from_config(config)
        )


def model_class(config: ModelConfig) -> type[TrainableModel]:
    """Return the class of the model whose shape is given."""
    kinds = (ClusterModel, PublishedModel)
    return next(kind for kind in kinds if config.posterior in kind.posterior_names)
