"""Unlike the mocks: how far an image is from all that a network was trained on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray
from scipy.special import logsumexp

#: Records of the training split that the score is fitted on, at most.
RECORDS = 20_000

#: log10 of the smallest share that is told apart; beyond the furthest of the held-out
#: records a share is an extrapolation, and this is where it ends.
FLOOR = -10.0

#: Gaussians of the density of image statistics, and the steps that fit them.
GAUSSIANS = 8
_STEPS = 20
#: Added to their variances, in units of the statistics' own over all records.
_LEAST_VARIANCE = 0.02

#: Distances in pixels at which pixels are compared.
_LAGS = (1, 2, 4, 8)
#: A roughness of nothing, in scaled flux: far below the noise of any exposure.
_SMOOTH = 1e-4

#: Shares of the held-out records between which the score is interpolated.
_SHARES = np.array([1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01])


def image_statistics(scaled: Any) -> Any:
    """Describe images by some plain numbers that a network may be blind to.

    In each band the mean, the highest and the lowest pixel, and the roughness, log of
    the mean difference of pixels that are 1, 2, 4 and 8 apart, by columns and by rows;
    for each pair of bands the correlation, and the log of the mean deviation of their
    difference.

    Parameters
    ----------
    scaled : tensor (B, px, px, bands)
        As the network's `clusterkeras.network.layers.scaling.JointAsinh` scales them.

    Returns
    -------
    tensor (B, S)
        S = 11 bands + bands (bands - 1).
    """

    def roughness(difference: Any) -> Any:
        return ops.log(ops.mean(ops.abs(difference), axis=(1, 2)) + _SMOOTH)

    mean = ops.mean(scaled, axis=(1, 2), keepdims=True)
    # those of Keras refuse no images
    highest, lowest = tf.reduce_max(scaled, (1, 2)), tf.reduce_min(scaled, (1, 2))
    found = [mean[:, 0, 0], highest, lowest]
    for lag in _LAGS:
        found.append(roughness(scaled[:, lag:] - scaled[:, :-lag]))
        found.append(roughness(scaled[:, :, lag:] - scaled[:, :, :-lag]))
    centred = scaled - mean
    for a in range(scaled.shape[-1]):
        for b in range(a):
            one, other = centred[..., a : a + 1], centred[..., b : b + 1]
            found.append(roughness(one - other))
            product, power, power_other = (
                ops.mean(p, axis=(1, 2)) for p in (one * other, one**2, other**2)
            )
            found.append(product / (ops.sqrt(power * power_other) + _SMOOTH**2))
    return ops.concatenate(found, axis=-1)


@keras.saving.register_keras_serializable(package="clusterkeras")
class UnlikeMocks(keras.layers.Layer):
    """Say how few of the images like those of training are as far out as an image.

    Two distances count, whichever is the larger: that of the network's features from
    their mean, in the metric of their covariance (Mahalanobis; Lee et al. 2018,
    NeurIPS), and minus the log density of `image_statistics`, a mixture of Gaussians.
    The first sees what the network has learnt to see, the second what it has learnt to
    ignore: a blank image has the features of an empty patch of sky.

    `fit` sets the weights, none of them trainable; until then the score is NaN.

    Parameters
    ----------
    features : int
        Number of the network's features.
    bands : int
        Number of bands.
    """

    def __init__(self, features: int, bands: int, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.features, self.bands = int(features), int(bands)
        s = 11 * self.bands + self.bands * (self.bands - 1)
        shapes = {
            "feature_mean": (features,),
            "feature_whitening": (features, features),
            "statistic_mean": (GAUSSIANS, s),
            "statistic_whitening": (GAUSSIANS, s, s),
            "statistic_weight": (GAUSSIANS,),
            "origin": (2,),
            "unit": (2,),
            "knots": (len(_SHARES),),
            "slopes": (len(_SHARES),),
        }
        self.fitted = {
            name: self.add_weight(
                shape=shape,
                initializer=keras.initializers.Constant(np.nan),
                trainable=False,
                name=name,
            )
            for name, shape in shapes.items()
        }
        self.built = True

    def call(self, scaled: Any, features: Any) -> Any:
        """Score images.

        Parameters
        ----------
        scaled : tensor (B, px, px, bands)
            Scaled images, as for `image_statistics`.
        features : tensor (B, F)
            The network's features of them.

        Returns
        -------
        tensor (B,)
            log10 of the share of images like those of training that are further out,
            `FLOOR` to 0: -2 or less for one in a hundred of them. `FLOOR` for an image
            that is not finite; NaN where nothing has been fitted.
        """
        distances = ops.stack(
            [self.feature_distance(features), self.statistic_distance(scaled)], axis=-1
        )
        beyond = (distances - self.fitted["origin"]) / self.fitted["unit"]
        # a NaN that is the image's, not that of a score without a fit
        beyond = ops.where(
            ops.isfinite(distances), beyond, 1e6 + 0 * self.fitted["unit"]
        )
        knots, slopes = self.fitted["knots"], self.fitted["slopes"]
        room = ops.pad(ops.diff(knots), [[0, 1]], constant_values=np.inf)
        steps = ops.clip(tf.reduce_max(beyond, -1)[:, None] - knots, 0, room)
        return ops.maximum(ops.sum(steps * slopes, axis=-1), FLOOR)

    def feature_distance(self, features: Any) -> Any:
        """Return the squared Mahalanobis distance (B,) of features (B, F)."""
        centred = features - self.fitted["feature_mean"]
        return ops.sum((centred @ self.fitted["feature_whitening"]) ** 2, axis=-1)

    def statistic_distance(self, scaled: Any) -> Any:
        """Return minus the log density (B,) of the statistics of scaled images."""
        statistics = image_statistics(scaled)
        centred = statistics[:, None] - self.fitted["statistic_mean"]
        white = ops.einsum("bks,kst->bkt", centred, self.fitted["statistic_whitening"])
        exponents = self.fitted["statistic_weight"] - 0.5 * ops.sum(white**2, axis=-1)
        return -ops.logsumexp(exponents, axis=-1)

    def load_own_variables(self, store: Any) -> None:
        """Read the weights; a model from before there was a score has none."""
        if store.keys():
            super().load_own_variables(store)

    def get_config(self) -> dict[str, Any]:
        """Return all arguments."""
        sizes = {"features": self.features, "bands": self.bands}
        return {**super().get_config(), **sizes}


def fit_unlike(
    model: Any,
    training: Iterable[tuple[tf.Tensor, dict]],
    held_out: Iterable[tuple[tf.Tensor, dict]],
    records: int = RECORDS,
) -> None:
    """Fit a model's score of what is unlike its mocks, as `clusterkeras fit` does.

    To be called when a model is trained; until then its ``unlike_mocks`` is NaN.

    Parameters
    ----------
    model : TrainableModel
        A trained model; its layer `unlike` gets its weights.
    training : iterable of (inputs, labels)
        What it was trained on, as `data_tools.make_dataset` gives it: gives mean,
        covariance and density.
    held_out : iterable of (inputs, labels)
        Other records of the same kind: give the share that is further out.
    records : int
        At most so many of each.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterkeras import ClusterModel, ModelConfig, fit_unlike
    >>> from data_tools import Target
    >>> config = ModelConfig(backbone="resnet_tiny", posterior="mixture", hidden=8)
    >>> model = ClusterModel(Target.load("m83-wfc3-uvis"), config)
    >>> noise = np.random.default_rng(1).normal(size=(2, 32, 64, 64, 3))
    >>> training, held_out = ([(images.astype("float32"), {})] for images in noise)
    >>> fit_unlike(model, training, held_out)
    >>> bool(np.isfinite(model.summarise(training[0][0])["unlike_mocks"]).all())
    True
    """
    layer = model.unlike
    describe = _describer(model)
    features, statistics = _describe(describe, training, records)
    mean, whitening = _gaussian(features)
    layer.fitted["feature_mean"].assign(mean)
    layer.fitted["feature_whitening"].assign(whitening)
    means, whitenings, weights = _mixture(statistics)
    layer.fitted["statistic_mean"].assign(means)
    layer.fitted["statistic_whitening"].assign(whitenings)
    layer.fitted["statistic_weight"].assign(weights)

    features, statistics = _describe(describe, held_out, records)
    white = (features - mean) @ whitening
    distances = np.stack(
        [
            (white**2).sum(axis=1),
            -logsumexp(_exponents(statistics, means, whitenings, weights), axis=1),
        ],
        axis=1,
    )
    # in units of their own tails, so that the larger one says which is further out
    origin, high = np.quantile(distances, [0.9, 0.99], axis=0)
    unit = np.maximum(high - origin, 1e-6 * np.abs(high) + 1e-6)
    beyond = ((distances - origin) / unit).max(axis=1)
    knots = np.maximum.accumulate(np.quantile(beyond, 1 - _SHARES))
    # the tail is continued as an exponential, as steep as from one in ten to the last
    tenth = int(np.flatnonzero(_SHARES == 0.1)[0])
    rises = np.append(np.diff(knots), knots[-1] - knots[tenth])
    falls = np.append(np.diff(np.log10(_SHARES)), np.log10(_SHARES[-1]) + 1)
    layer.fitted["origin"].assign(origin)
    layer.fitted["unit"].assign(unit)
    layer.fitted["knots"].assign(knots)
    layer.fitted["slopes"].assign(falls / np.maximum(rises, 1e-6))


def _describer(model: Any) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Return a graph that gives features and statistics of images, traced once."""

    @tf.function(
        input_signature=[tf.TensorSpec((None, *model.image_shape))], autograph=False
    )
    def describe(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = model(images, training=False)["features"]
        return features, image_statistics(model.scale_input(images))

    return describe


def _describe(
    describe: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    batches: Iterable[tuple[tf.Tensor, dict]],
    records: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return features (N, F) and statistics (N, S) of the first records."""
    parts, n = [], 0
    for inputs, _ in batches:
        # what is known beside the pixels is no part of what they look like
        images = inputs["images"] if isinstance(inputs, dict) else inputs
        parts.append([found.numpy().astype(float) for found in describe(images)])
        n += len(images)
        if n >= records:
            break
    features, statistics = (
        np.concatenate(p)[:records] for p in zip(*parts, strict=True)
    )
    return features, statistics


def _gaussian(x: NDArray) -> tuple[NDArray, NDArray]:
    """Return the mean (D,), and W (D, D) for which (x - mean) @ W has unit covariance.

    The covariance, of values in units of their own scatter, is shrunk towards the unit
    matrix by as much as its sampling noise asks for (Ledoit & Wolf 2004, Journal of
    Multivariate Analysis 88, 365).
    """
    from sklearn.covariance import ledoit_wolf

    mean, scatter = x.mean(axis=0), x.std(axis=0)
    # a feature that never lit up still may, but is not infinitely surprising
    scatter = scatter + 1e-3 * scatter.mean() + 1e-12
    shrunk, _ = ledoit_wolf((x - mean) / scatter, assume_centered=True)
    shrunk += 1e-9 * np.eye(len(mean))
    return mean, _whitening(shrunk) / scatter[:, None]


def _whitening(covariance: NDArray) -> NDArray:
    """Return W of (..., D, D) for which x @ W has unit covariance."""
    return np.linalg.inv(np.linalg.cholesky(covariance)).swapaxes(-1, -2)


def _exponents(
    x: NDArray, means: NDArray, whitenings: NDArray, weights: NDArray
) -> NDArray:
    """Return the log of each Gaussian's share of the density, (N, K)."""
    return np.stack(
        [
            weight - 0.5 * (((x - mean) @ whitening) ** 2).sum(axis=1)
            for mean, whitening, weight in zip(means, whitenings, weights, strict=True)
        ],
        axis=1,
    )


def _mixture(x: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Fit `GAUSSIANS` to x (N, D).

    Returns
    -------
    means, whitenings, weights : ndarray (K, D), (K, D, D), (K,)
        Of Gaussians with density proportional to exp(weight - |(x - mean) W|^2 / 2).
    """
    # only where a score is fitted: it takes a second to import
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    # as many records as Gaussians, at least
    x = np.resize(x, (max(len(x), GAUSSIANS), x.shape[1]))
    middle, outer = _gaussian(x)
    mixture = GaussianMixture(
        GAUSSIANS,
        reg_covar=_LEAST_VARIANCE,
        max_iter=_STEPS,
        init_params="k-means++",
        random_state=0,
    )
    with warnings.catch_warnings():
        # a density need not be the most likely one to tell what is far from it
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit((x - middle) @ outer)
    whitenings = mixture.precisions_cholesky_
    weights = np.log(mixture.weights_) + np.linalg.slogdet(whitenings)[1]
    return mixture.means_ @ np.linalg.inv(outer) + middle, outer @ whitenings, weights
