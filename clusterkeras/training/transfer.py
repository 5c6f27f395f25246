"""What a trained network knows, carried over to other bands, depths and galaxies."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import keras
import numpy as np

from clusterkeras.network.layers.context import ContextFeatures
from clusterkeras.network.layers.moments import RingMoments
from clusterkeras.network.layers.photometry import PhotometricFeatures
from clusterkeras.network.trainable_model import TrainableModel


def carry_over(trained: TrainableModel, network: TrainableModel) -> None:
    """Set the weights of a network to those of a trained one, as far as both have them.

    Bands are told apart by their names: what a layer has learnt to do with a band goes
    with it wherever it stands, a band that is taken away leaves the others as they are,
    and one that is new begins with weights of zero, as if it was not there. Distance,
    depth, box and side of the cutout may differ. The score of what is unlike the mocks
    is not carried over, since it is of the mocks.

    Parameters
    ----------
    trained, network : TrainableModel
        Of one shape (`clusterkeras.config.ModelConfig`).

    Raises
    ------
    ValueError
        If they have no band in common, or not the same shape.
    """
    if trained.config != network.config:
        raise ValueError(
            f"expected a trained model with the shape {network.config}; received "
            f"{trained.config}"
        )
    before, after = trained.target.band_names, network.target.band_names
    if not set(before) & set(after):
        raise ValueError(
            f"expected a trained model with a band of {list(after)}; received "
            f"{list(before)}"
        )
    of_mocks = {weight.path for weight in network.unlike.weights}
    inputs = [_of_bands(model) for model in (trained, network)]
    for old, new in zip(trained.weights, network.weights, strict=True):
        if new.path in of_mocks:
            continue
        values = old.numpy()
        if old.path in inputs[0]:
            values = _moved(values, inputs[0][old.path], inputs[1][new.path])
        new.assign(values)


def _of_bands(model: TrainableModel) -> dict[str, list[Hashable]]:
    """Return what each input of a kernel means, by the path of those that see bands."""
    bands, layers = model.target.band_names, model.backbone.layers
    labels: dict[str, list[Hashable]] = {}
    for layer in layers:
        if isinstance(layer, keras.layers.Conv2D):
            # only the first one sees bands
            labels[layer.kernel.path] = list(bands)
            break
    measured = [
        label
        for kind in (PhotometricFeatures, RingMoments)
        for layer in layers
        if isinstance(layer, kind)
        for label in layer.labels(bands)
    ]
    if measured:
        labels[model.backbone.get_layer("photometry_dense0").kernel.path] = measured
    if model.takes_context:
        features = list(range(model.backbone.output_shape[-1]))
        context: ContextFeatures = model.context
        labels[model.hidden.kernel.path] = [*features, *context.labels(bands)]
    return labels


def _moved(
    kernel: np.ndarray, before: Sequence[Hashable], after: Sequence[Hashable]
) -> np.ndarray:
    """Order the inputs of a kernel (..., inputs, outputs) anew; zero for new ones."""
    place = {label: i for i, label in enumerate(before)}
    moved = np.zeros((*kernel.shape[:-2], len(after), kernel.shape[-1]), kernel.dtype)
    for i, label in enumerate(after):
        if label in place:
            moved[..., i, :] = kernel[..., place[label], :]
    return moved
