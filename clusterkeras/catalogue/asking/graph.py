"""A trained model as the function that places are asked by."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clusterkeras.catalogue.asking.context import context_of, context_specs
from clusterkeras.config import InferenceConfig
from clusterkeras.serving.served_model import ServedModel
from data_tools.schema import BY_STELLAR_MODEL, PARAMETER_NAMES, STELLAR_MODELS

if TYPE_CHECKING:
    from clusterkeras.network.posterior_model import PosteriorModel


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
