"""Places on mosaics through a trained network, batch by batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from clusterkeras.catalogue.asking.context import informed
from clusterkeras.catalogue.asking.cutouts import Cutouts, cut_out
from clusterkeras.catalogue.asking.graph import Network, compile_network
from clusterkeras.catalogue.asking.settings import InferenceSettings
from clusterkeras.config import InferenceConfig
from data_tools.mosaics.mosaic import Mosaics, opened
from data_tools.schema import FLAGS

if TYPE_CHECKING:
    from clusterkeras.network.posterior_model import PosteriorModel
    from data_tools.target import Target

#: The posterior leans on an edge of the training range if this share of it does.
EDGE_SHARE = 0.2


def answer(
    cutouts: Cutouts, network: Network, config: InferenceConfig
) -> dict[str, NDArray]:
    """Ask the network about cutouts.

    Parameters
    ----------
    cutouts : Cutouts
        n places.
    network : callable
        See `Network`.
    config : InferenceConfig
        Gives the limits of the flags.

    Returns
    -------
    dict of str to ndarray
        ``covered`` and ``flags`` (n,), and what the network gives, NaN in rows that
        are not usable.
    """
    flags = cutouts.flags.copy()
    columns: dict[str, NDArray] = {"covered": cutouts.covered, "flags": flags}
    found = network(cutouts.images, cutouts.seeds, cutouts.context)
    for name, values in found.items():
        shape = (len(flags), *values.shape[1:])
        columns[name] = np.full(shape, np.nan, np.float32)
        columns[name][cutouts.usable] = values
    flags[cutouts.usable] |= result_flags(found, config)
    return columns


def batches_of(y: NDArray[np.float64], size: int) -> list[NDArray[np.intp]]:
    """Part places into batches.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Their rows on the mosaic, in pixels.
    size : int
        Places a batch.

    Returns
    -------
    list of ndarray of int
        Which places; from the mosaic's first row to its last, so that each part of it
        is read once. Of no places there is one empty batch.
    """
    order = np.argsort(y, kind="stable")
    return [order[first : first + size] for first in range(0, max(len(y), 1), size)]


def measure_places(
    mosaics: Mosaics,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    network: Network,
    target: Target,
    config: InferenceConfig,
    progress: bool = True,
    batches: Sequence[NDArray[np.intp]] | None = None,
    in_flight: int = 1,
) -> Iterator[tuple[NDArray[np.intp], dict[str, NDArray]]]:
    """Ask the network about places, while the next ones are cut out.

    Parameters
    ----------
    mosaics : Mosaics
        Open mosaics in the target's bands.
    x, y : ndarray, shape (n,)
        0-based pixels; anywhere, or NaN.
    network : callable
        See `Network`.
    target : Target
        What the network was trained for.
    config : InferenceConfig
        Batch, seed and limits of the flags.
    progress : bool
        Whether to show a progress bar.
    batches : sequence of ndarray of int, optional
        Some of `batches_of`, all by default.
    in_flight : int
        Batches that the network is asked about at once. One more is held: it is cut out
        meanwhile.

    Yields
    ------
    rows : ndarray of int, shape (B,)
        Which places; batch after batch, in their order.
    columns : dict of str to ndarray
        See `answer`.
    """
    if batches is None:
        batches = batches_of(y, config.batch_size)

    def cut(rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], Cutouts]:
        return rows, cut_out(mosaics, x[rows], y[rows], target, config)

    bar = tqdm(
        total=len(y),
        initial=len(y) - sum(map(len, batches)),
        desc="infer",
        unit="pos",
        # below a bar of fields it goes when it is full
        leave=None,
        disable=not progress,
    )

    def ask(coming: Future) -> tuple[NDArray[np.intp], dict[str, NDArray]]:
        rows, cutouts = coming.result()
        return rows, answer(cutouts, network, config)

    def first() -> tuple[NDArray[np.intp], dict[str, NDArray]]:
        rows, columns = asked.popleft().result()
        bar.update(len(rows))
        return rows, columns

    asked: deque[Future] = deque()
    with bar, ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(in_flight) as asking:
        try:
            for batch in batches:
                asked.append(asking.submit(ask, reader.submit(cut, batch)))
                if len(asked) > in_flight:
                    yield first()
            while asked:
                yield first()
        finally:
            for future in asked:
                future.cancel()


@dataclass(frozen=True)
class Seen:
    """One place, looked at once more.

    Attributes
    ----------
    image : ndarray of float32, shape (px, px, bands)
        nJy per pixel, without gaps.
    pivots : tuple of float
        Pivot wavelength of each band in Angstrom.
    draws : ndarray of float32, shape (draws, P)
        Of the joint posterior.
    """

    image: NDArray[np.float32]
    pivots: tuple[float, ...]
    draws: NDArray[np.float32]


def look_again(
    images: Sequence[str | Path] | Mosaics,
    x: float,
    y: float,
    model: PosteriorModel,
    draws: int,
    config: InferenceConfig | None = None,
) -> Seen:
    """Ask a model about one place: the same seed gives the same draws, to 1e-4.

    Parameters
    ----------
    images : sequence of str or Path, or Mosaics
        The mosaics, in the model's order of bands.
    x, y : float
        0-based pixels.
    model : PosteriorModel
        A trained model.
    draws : int
        How many.
    config : InferenceConfig, optional
        The seed, and what is known beside the pixels.

    Raises
    ------
    ValueError
        If there are no data at the place.
    """
    target = model.target
    settings = InferenceSettings.of(model, config or InferenceConfig())
    with opened(images, target) as mosaics:
        config = informed(settings, mosaics, progress=False).config
        cut = cut_out(mosaics, np.array([x]), np.array([y]), target, config)
        pivots = tuple(c.photplam for c in mosaics.calibrations)
    if not cut.usable.all():
        raise ValueError(
            f"no usable pixel at x, y = {x:.1f}, {y:.1f}: there is no posterior"
        )
    found = compile_network(model, draws)(cut.images, cut.seeds, cut.context)
    return Seen(cut.images[0], pivots, found["draws"][0])


def result_flags(
    found: Mapping[str, NDArray], config: InferenceConfig
) -> NDArray[np.int32]:
    """Return the flags that the network's answer decides.

    ``outside_training``: at least `EDGE_SHARE` of the posterior lies at an edge of the
    training range. ``below_visibility``: the visibility is below the limit.
    ``unlike_mocks``: no more than the stated share of the mocks are further out.

    Parameters
    ----------
    found : mapping of str to ndarray (B,)
        ``edge_share``, ``log_snr`` and ``unlike_mocks`` of `PosteriorModel.summarise`.
    config : InferenceConfig
        Gives the limits.

    Returns
    -------
    ndarray of int32, shape (B,)
        Sums of bits of `data_tools.schema.FLAGS`.
    """
    said = {
        "outside_training": found["edge_share"] >= EDGE_SHARE,
        "below_visibility": found["log_snr"] < config.min_log_snr,
        "unlike_mocks": 10.0 ** found["unlike_mocks"] < config.unlike_share,
    }
    flags = [np.where(is_so, FLAGS[name][0], 0) for name, is_so in said.items()]
    return sum(flags).astype(np.int32)
