"""A backbone of this package as a summary network of BayesFlow."""

import bayesflow
import keras

from clusterkeras.config import ModelConfig
from clusterkeras.network import backbones


@keras.saving.register_keras_serializable(package="clusterkeras.benchmarks")
class OurBackbone(bayesflow.networks.SummaryNetwork):
    """Summarise scaled images as `clusterkeras` does before its posterior.

    Parameters
    ----------
    image_shape : (int, int, int)
        Height, width and number of bands.
    backbone : str
        One of `clusterkeras.network.backbones.BACKBONES`.
    hidden : int
        Width of the dense layer behind it: the summaries.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        backbone: str = ModelConfig.backbone,
        hidden: int = ModelConfig.hidden,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.image_shape = tuple(image_shape)
        self.backbone_name, self.hidden = backbone, hidden
        self.backbone = backbones.build(backbone, self.image_shape)
        self.dense = keras.layers.Dense(hidden, "relu")

    def call(self, x, training: bool = False, **kwargs):
        """Return summaries (B, hidden) of images (B, height, width, bands)."""
        return self.dense(self.backbone(x, training=training))

    def get_config(self) -> dict:
        """Return what it is made of."""
        return {
            **bayesflow.utils.layer_kwargs(super().get_config()),
            "image_shape": self.image_shape,
            "backbone": self.backbone_name,
            "hidden": self.hidden,
        }
