"""PublishedModel: the rival's joint softmax on a grid, which bins the visibility too.

Bialopetravicius & Narbutis 2020, A&A 633, A148, Table 1: the cells are those of
`clusterkeras.network.posteriors.grid`, the backbone is ``published_resnet50``.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from clusterkeras.config import ModelConfig
from clusterkeras.network.posteriors import grid
from clusterkeras.network.recalibration import Recalibration
from clusterkeras.network.trainable_model import TrainableModel

tfd = tfp.distributions


@keras.saving.register_keras_serializable(package="clusterkeras")
class PublishedModel(TrainableModel):
    """Learn the published network's posterior, constant within cells.

    See `TrainableModel` for the parameters and for how it is trained.

    Raises
    ------
    ValueError
        If it is recalibrated, or as for a `TrainableModel`.

    Examples
    --------
    >>> from clusterkeras import ModelConfig, PublishedModel
    >>> from data_tools import Target
    >>> config = ModelConfig(backbone="resnet_tiny", posterior="grid", hidden=8)
    >>> PublishedModel(Target.load("m83-wfc3-uvis"), config).image_shape
    (64, 64, 3)
    """

    default_name = "published_model"
    default_config = ModelConfig(
        backbone="published_resnet50", posterior="grid", context=False, kinds=False
    )
    posterior_names = ("grid",)
    visibility_outputs = grid.VISIBILITY_CELLS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.recalibration != Recalibration():
            raise ValueError(
                "recalibration: expected a mixture or a flow; received a grid, whose "
                "cells cannot be stretched"
            )

    def visibility(self, raw: tf.Tensor) -> tfd.Distribution:
        """Build a density constant in cells; see `PosteriorModel.visibility`."""
        return grid.histogram(raw, *grid.VISIBILITY_RANGE)
