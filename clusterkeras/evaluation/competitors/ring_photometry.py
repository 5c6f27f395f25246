"""Clusters measured in rings: those of a mock set, and more drawn from its prior.

The rings lie between the apertures of `clusterkeras.network.layers.photometry`, so that
their noise is nearly independent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from clusterkeras.evaluation.asking import truth_of
from clusterkeras.network.layers.photometry import AperturePhotometry, flux_error
from data_tools.imaging.observation import draw_observation
from data_tools.imaging.render import Renderer
from data_tools.priors import Priors
from data_tools.records.dataset import decode_image, make_dataset, parse
from data_tools.records.finished_set import FinishedSet, read_set
from data_tools.schema import PARAMETER_NAMES
from data_tools.stars.cluster import ClusterMaker
from data_tools.target import Target

#: Flux in nJy per pixel for `AperturePhotometry`: three times the noise of M83.
SOFTENING_NJY = 4.0

#: Deviations, in errors, beyond which a residual counts as this: one blend in a
#: thousand must not set the errors of all.
_MOST_SIGMAS = 8.0

_BATCH = 256
_MARGIN_PX = 16


@dataclass(frozen=True)
class Measured:
    """Clusters of a mock set, as photometry sees them; all fluxes in nJy.

    Attributes
    ----------
    flux : ndarray (N, D)
        Light of each ring in each band, ring by ring.
    error : ndarray (N, D)
        Standard error by photons and sky.
    noise_free : ndarray (N, D)
        The same rings of the cluster alone, without noise.
    truth : dict of str to ndarray
        As `clusterkeras.evaluation.asking.truth_of`.
    """

    flux: NDArray[np.float64]
    error: NDArray[np.float64]
    noise_free: NDArray[np.float64]
    truth: dict[str, NDArray]

    def select(self, rows: NDArray | slice) -> Measured:
        """Return some of the clusters."""
        truth = {name: values[rows] for name, values in self.truth.items()}
        return Measured(self.flux[rows], self.error[rows], self.noise_free[rows], truth)


class _Rings:
    """Measure images (B, px, px, bands) in rings."""

    def __init__(self) -> None:
        self._layer = AperturePhotometry(SOFTENING_NJY)
        self._call = tf.function(self._layer.call, reduce_retracing=True)
        self._area = np.diff(self._layer.areas, prepend=0)

    def __call__(self, images: tf.Tensor) -> tuple[NDArray, NDArray]:
        """Return the flux of each ring (B, rings, bands) and the sky's scatter."""
        found = self._call(images)
        flux = np.diff(found["flux"].numpy().astype(float), axis=1, prepend=0)
        return flux, found["scatter"].numpy()

    def error(self, flux: NDArray, scatter: NDArray, electron_njy: NDArray) -> NDArray:
        """Return the standard errors of fluxes."""
        n = self._layer.sky_pixels
        return flux_error(flux, scatter, self._area, n, electron_njy)


def measure_rings(data: str | Path, split: str, limit: int | None = None) -> Measured:
    """Measure the clusters of a split, with and without all that surrounds them.

    The errors are a user's, who knows the exposure of the target but not by how much
    each mock's differs from it.

    Parameters
    ----------
    data : str or Path
        A mock set written by `data_tools.records.simulate.simulate`.
    split : {"train", "validation", "test"}
        Part of the set.
    limit : int, optional
        Only the first so many records.
    """
    rings, info = _Rings(), read_set(data)
    electron_njy = np.array([band.electron_njy for band in info.target.bands])
    dataset = make_dataset(data, split, _BATCH, training=False, limit=limit)
    parts: list[dict[str, NDArray]] = []
    progress = tqdm(dataset, f"photometry of {split}")
    for (images, labels), lone in zip(progress, _alone(info, split), strict=False):
        flux, scatter = rings(images)
        rows = labels["is_cluster"].numpy() > 0
        part = truth_of(labels) | {
            "flux": flux,
            "error": rings.error(flux, scatter, electron_njy),
            "noise_free": rings(lone[: len(flux)])[0],
        }
        parts.append({name: value[rows] for name, value in part.items()})
    whole = {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
    n = len(whole["flux"])
    names = ("flux", "error", "noise_free")
    return Measured(**{k: whole.pop(k).reshape(n, -1) for k in names}, truth=whole)


def _alone(info: FinishedSet, split: str) -> Iterator[tf.Tensor]:
    """Read the objects of a split without background and noise, in its order."""
    px, bands = info.target.cutout_px, len(info.target.bands)
    paths = [str(path) for path, _ in info.shards[split]]
    for serialised in tf.data.TFRecordDataset(paths).batch(_BATCH):
        light = parse(serialised, px, bands)["cluster"]
        light = decode_image(light, px, bands)
        yield tf.reshape(light, (-1, px, px, bands))


def draw_models(
    target: Target, priors: Priors, n: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw clusters from the prior and measure them without noise.

    Parameters
    ----------
    target : Target
        Galaxy and instrument.
    priors : Priors
        Profiles, PSFs and centres are drawn from these.
    n : int
        Number of models; some 130 are made in a second.
    seed : int
        Seed of the draws.

    Returns
    -------
    parameters : ndarray (n, P)
        In the order of `data_tools.schema.PARAMETERS`.
    flux : ndarray (n, D)
        As `Measured.noise_free`.
    """
    rng = np.random.default_rng(seed)
    clusters, rings = ClusterMaker(target, priors), _Rings()
    renderer = Renderer(target.cutout_px, _MARGIN_PX)
    low, high = np.transpose([target.box[name] for name in PARAMETER_NAMES])
    middle = (target.cutout_px - 1) / 2
    parameters = rng.uniform(low, high, (n, len(low)))
    fluxes = []
    for first in tqdm(range(0, n, _BATCH), "models"):
        seen = draw_observation(target, priors, rng)
        filters = renderer.filters(seen.psf(target, renderer.grid))
        images = []
        for row in parameters[first : first + _BATCH]:
            cluster = clusters.draw(row, rng)
            dx, dy = middle + rng.uniform(-1, 1, 2) * priors.centre_offset_px
            images.append(
                renderer.draw(cluster.x + dx, cluster.y + dy, cluster.flux, filters)
            )
        fluxes.append(rings(np.float32(images))[0])
    return parameters, np.concatenate(fluxes).reshape(n, -1)


def error_correlation(objects: Measured) -> NDArray[np.float64]:
    """Return the covariance of fluxes around the noise-free ones, in stated errors.

    Crowding, noise that pixels share and misplaced centres make it larger than the
    unit matrix and correlate the bands.
    """
    sigmas = (objects.flux - objects.noise_free) / objects.error
    sigmas = np.clip(sigmas, -_MOST_SIGMAS, _MOST_SIGMAS)
    return sigmas.T @ sigmas / len(sigmas)
