"""Positions and mosaics in, a catalogue of posteriors out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import QTable, Table
from numpy.typing import NDArray

from clusterkeras.catalogue.draws_file import SUFFIXES, write_draws
from clusterkeras.catalogue.finished_batches import FinishedBatches, describe_run
from clusterkeras.catalogue.measurement import batches_of, compile_network, measure
from clusterkeras.catalogue.overlap import overlapping
from clusterkeras.catalogue.table import (
    Catalogue,
    Question,
    make_table,
    metadata,
    with_input,
)
from clusterkeras.config import InferenceConfig
from clusterkeras.network.presence import at_share, estimate_share
from data_tools.mosaics.mosaic import Mosaics, open_mosaics
from data_tools.positions.read_positions import pixel_positions, read_positions
from data_tools.running.output import check_file
from data_tools.running.table_file import FORMATS, write_table
from data_tools.schema import FLAGS, PARAMETER_NAMES

if TYPE_CHECKING:
    from clusterkeras.network.posterior_model import PosteriorModel

logger = logging.getLogger(__name__)


def infer(
    images: Sequence[str | Path],
    positions: str | Path,
    output: str | Path,
    model: PosteriorModel | str | Path,
    config: InferenceConfig | None = None,
    preview: str | Path | None = None,
    draws: str | Path | None = None,
    *,
    progress: bool = True,
) -> Catalogue:
    """Return the joint posterior at each position on the mosaics and write the table.

    Parameters
    ----------
    images : sequence of str or Path
        One FITS mosaic a band, in the model's order.
    positions : str or Path
        Table with columns ``x`` and ``y`` in pixels, or ``ra`` and ``dec`` in deg;
        see `data_tools.positions.read_positions`.
    output : str or Path
        The catalogue: ``.ecsv``, ``.fits``, ``.vot``, ``.xml``, ``.parquet`` or
        (without metadata) ``.csv``.
    model : PosteriorModel, str or Path
        The trained model, or what `clusterkeras.network.loading.load_model` loads it
        by.
    config : InferenceConfig, optional
        Batch, seed and limits of the flags.
    preview : str or Path, optional
        Picture of the cutouts that are most likely clusters; see
        `clusterkeras.catalogue.cluster_pictures`.
    draws : str or Path, optional
        Also write `InferenceConfig.draws` draws of each posterior to this file, ``.h5``
        or ``.hdf5``; see `clusterkeras.catalogue.draws_file`.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Catalogue
        A `QTable`, and ``plot(i)`` draws its row i: see `clusterkeras.catalogue.table`.
        One row per row of `positions`, in its order, with its columns (prefixed
        ``input_`` where a result has the same name and other values): place,
        ``p_cluster``, ``log_snr``, percentiles, mean and standard deviation of each
        parameter, their covariances and bit `flags`. A row without data has NaN and a
        flag. ``p_cluster`` is under `InferenceConfig.cluster_share`, not under the
        share of clusters in the training set; see `clusterkeras.network.presence`.

    Raises
    ------
    FileNotFoundError
        If a mosaic, the table or the model is missing.
    ValueError
        If a mosaic or the table cannot be used, the output has no known format, or
        finished batches of another run lie beside it.

    Notes
    -----
    Finished batches are kept in the directory ``<output>.part`` until the output is
    whole: the same call after an interruption goes on from there and writes the same
    bytes. Mosaics that are open already may be anything, and nothing is kept of them.
    """
    config = config or InferenceConfig()
    name = str(model) if isinstance(model, str | Path) else model.name
    if isinstance(model, str | Path):
        from clusterkeras.network.loading import load_model

        model = load_model(model)
    asked = Question.of(model, name, config)
    table = answer_all(
        *(images, positions, output, model, asked, preview, draws), progress=progress
    )
    return Catalogue(table, images=images, model=model, copy=False)


def answer_all(
    images: Sequence[str | Path],
    positions: str | Path,
    output: str | Path,
    model: PosteriorModel,
    asked: Question,
    preview: str | Path | None = None,
    draws: str | Path | None = None,
    *,
    progress: bool = True,
) -> QTable:
    """Do what `infer` does with a model that is loaded, and the question to it."""
    output = check_file(output, "table", FORMATS)
    config, target = asked.config, asked.target
    if preview is not None:
        from clusterkeras.catalogue.cluster_pictures import FORMATS as PICTURES
        from clusterkeras.catalogue.cluster_pictures import draw_preview

        check_file(preview, "preview", PICTURES)
    n_draws = 0
    if draws is not None:
        draws = check_file(draws, "file of draws", SUFFIXES)
        n_draws = config.draws
    table = read_positions(positions)
    with open_mosaics(images, target.band_names, target.pixel_scale_arcsec) as mosaics:
        x, y = pixel_positions(table, mosaics.wcs, config.origin, str(positions))
        _say_how_many_are_inside(x, y, mosaics, positions)
        network = compile_network(model, n_draws)
        batches = batches_of(y, config.batch_size)
        run = describe_run(asked, model, mosaics, x, y, n_draws)
        with ExitStack() as stack:
            beside = output
            if isinstance(images, Mosaics):
                beside = Path(stack.enter_context(TemporaryDirectory())) / output.name
            parts = stack.enter_context(FinishedBatches(beside, run, batches))
            todo = [batches[i] for i in parts.missing]
            answers = measure(mosaics, x, y, network, target, config, progress, todo)
            for number, (_, found) in zip(parts.missing, answers, strict=True):
                parts.keep(number, found)
            columns = gather(parts.read(), len(x))
            catalogue = finish(asked, mosaics, table, x, y, columns)
            catalogue.meta["positions"] = Path(positions).name
            if draws is not None:
                shape = len(x), n_draws
                write_draws(draws, parts.read(draws=True), shape, catalogue.meta)
            write_table(catalogue, output)
            if preview is not None:
                draw_preview(catalogue, mosaics, preview, px=target.cutout_px)
            parts.remove()
    return catalogue


def _say_how_many_are_inside(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    mosaics: Mosaics,
    positions: str | Path,
) -> None:
    rows, columns = mosaics.shape
    inside = (x > -0.5) & (x < columns - 0.5) & (y > -0.5) & (y < rows - 0.5)
    known = np.isfinite(x) & np.isfinite(y)
    if not inside.all():
        logger.warning(
            "%s: of %d positions %d are off the mosaics and %d have no place on them "
            "(no value, or elsewhere on the sky): their rows have the flag no_data",
            positions,
            len(x),
            int((known & ~inside).sum()),
            int((~known).sum()),
        )


def gather(
    batches: Iterable[tuple[NDArray[np.intp], dict[str, NDArray]]], n: int
) -> dict[str, NDArray]:
    """Put batches together.

    Parameters
    ----------
    batches : iterable of (rows, columns)
        What `clusterkeras.catalogue.measurement.measure` yields, in any order.
    n : int
        Number of all rows.

    Returns
    -------
    dict of str to ndarray (n, ...)
        The columns of all rows.
    """
    columns: dict[str, NDArray] = {}
    for rows, found in batches:
        for key, values in found.items():
            if key not in columns:
                columns[key] = np.empty((n, *values.shape[1:]), values.dtype)
            columns[key][rows] = values
    return columns


def finish(
    asked: Question,
    mosaics: Mosaics,
    given: Table,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    columns: dict[str, NDArray],
) -> QTable:
    """Make the catalogue of what was measured at all positions.

    Parameters
    ----------
    asked : Question
        Of which model, and how.
    mosaics : Mosaics
        The images.
    given : Table
        The table of positions.
    x, y : ndarray, shape (n,)
        Its positions in 0-based pixels.
    columns : dict of str to ndarray
        What `gather` gives.

    Returns
    -------
    QTable
        With metadata.
    """
    share = settle_presence(columns, x, y, asked)
    catalogue = with_input(given, make_table(x, y, mosaics.wcs, columns, asked.target))
    catalogue.meta = metadata(asked, mosaics)
    catalogue.meta["cluster_share"] = {
        "trained": asked.cluster_share,
        "here": round(share, 6),
    }
    return catalogue


def settle_presence(
    columns: dict[str, NDArray],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    asked: Question,
) -> float:
    """Bring ``p_cluster`` to the share of clusters at hand and flag overlaps.

    The share is that of rows that are no overlaps, which can only be told once there
    is a share: so it is settled in two rounds.

    Parameters
    ----------
    columns : dict of str to ndarray
        What `clusterkeras.catalogue.measurement.answer` gives, of all rows:
        ``p_cluster`` and ``flags`` are changed.
    x, y : ndarray, shape (n,)
        0-based pixels.
    asked : Question
        Gives the size of a pixel, the share of clusters in the model's training set
        and that at hand, or that this one is to be estimated.

    Returns
    -------
    float
        The share of clusters among the rows.
    """
    trained, share = columns["p_cluster"], asked.config.cluster_share
    size = PARAMETER_NAMES.index("log_half_light_radius")
    radius = 10.0 ** columns["median"][:, size] / asked.target.pixel_scale_arcsec
    overlap = np.zeros(len(trained), bool)
    for _ in range(2):
        if asked.config.cluster_share is None:
            share = estimate_share(trained[~overlap], asked.cluster_share)
        columns["p_cluster"] = at_share(trained, asked.cluster_share, share)
        overlap = overlapping(x, y, columns["p_cluster"], radius)
    columns["flags"][overlap] |= FLAGS["overlap"][0]
    return share
