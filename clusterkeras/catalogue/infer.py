"""Positions and mosaics in, a catalogue of posteriors out."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import QTable, Table
from numpy.typing import NDArray

from clusterkeras.catalogue.asking.context import informed
from clusterkeras.catalogue.asking.graph import FEW, compile_network, for_few
from clusterkeras.catalogue.asking.settings import InferenceSettings, check_asked
from clusterkeras.catalogue.draws_file import SUFFIXES, write_draws
from clusterkeras.catalogue.finished_batches import (
    BatchesInMemory,
    FinishedBatches,
    describe_run,
)
from clusterkeras.catalogue.measurement import batches_of, measure_places
from clusterkeras.catalogue.overlap import settle_presence
from clusterkeras.catalogue.read import Catalogue, Origin
from clusterkeras.catalogue.table import make_table, metadata, with_input
from clusterkeras.config import InferenceConfig
from clusterkeras.model_files.presets import DEFAULT_PRESET
from clusterkeras.serving.served_model import ServedModel, facts_of, open_model
from data_tools.mosaics.mosaic import Mosaics, opened
from data_tools.mosaics.stored.extensions import files_of
from data_tools.positions.places import Places, find_places
from data_tools.positions.read_positions import read_positions
from data_tools.running.output import check_file
from data_tools.running.replaced import check_replaced
from data_tools.running.table_file import FORMATS, check_table, write_table
from data_tools.schema import DRAWN_UP_TO, FLAGS, KINDS

if TYPE_CHECKING:
    from clusterkeras.network.posterior_model import PosteriorModel
    from data_tools.target import Target

logger = logging.getLogger(__name__)


def measure_catalogue(
    mosaics: Mosaics,
    positions: Table,
    model: PosteriorModel | str | Path = DEFAULT_PRESET,
    config: InferenceConfig | None = None,
    *,
    draws: int = 0,
    progress: bool = True,
) -> Catalogue:
    """Measure the joint posterior at each position on open mosaics, in memory.

    Parameters
    ----------
    mosaics : Mosaics
        Open mosaics in the model's bands.
    positions : Table
        Columns ``x`` and ``y`` in pixels, or ``ra`` and ``dec``; see
        `data_tools.positions.columns`.
    model : PosteriorModel, str or Path
        The trained model, or what `clusterkeras.serving.served_model.open_model` opens.
    config : InferenceConfig, optional
        Batch, seed and limits of the flags.
    draws : int
        Draws of each posterior that the catalogue keeps.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Catalogue
        See `infer`, which adds files to this.

    Raises
    ------
    ValueError
        If the table holds no positions, or the mosaics are not of the model's bands
        and pixels.

    Examples
    --------
    >>> from clusterkeras import measure_catalogue
    >>> from data_tools import Target, make_mosaic
    >>> galaxy = make_mosaic(Target.load("m83-wfc3-uvis"), size_px=192, n=2, seed=1)
    >>> catalogue = measure_catalogue(
    ...     galaxy.mosaics, galaxy.truth, draws=16, progress=False
    ... )
    >>> catalogue.draws(0).shape
    (16, 4)
    """
    config = config or InferenceConfig()
    with opened(mosaics, _target_of(model, config)):
        run = _Run.of(mosaics, positions, "the table", model, config, draws, progress)
        batches = BatchesInMemory(run.batches)
        run.measure(batches, progress)
        return run.catalogue(batches, mosaics, keep_draws=bool(draws))


def infer(
    images: Sequence[str | Path] | Mosaics,
    positions: str | Path | Table,
    output: str | Path | None = None,
    model: PosteriorModel | str | Path = DEFAULT_PRESET,
    config: InferenceConfig | None = None,
    preview: str | Path | None = None,
    draws_file: str | Path | None = None,
    *,
    draws: int = 0,
    progress: bool = True,
    overwrite: bool = False,
) -> Catalogue:
    """Measure the joint posterior at each position on mosaics.

    Parameters
    ----------
    images : sequence of str or Path, or Mosaics
        One FITS mosaic a band, in the model's order.
    positions : str, Path or Table
        Any table that astropy reads, with ``x`` and ``y`` in pixels or ``ra`` and
        ``dec`` in deg; a catalogue of LEGUS or PHANGS-HST; regions of DS9 or CASA
        (``.reg``, ``.crtf``); see `data_tools.positions.read_positions`.
    output : str or Path, optional
        The catalogue: ``.ecsv``, ``.fits``, ``.vot``, ``.xml``, ``.parquet`` or
        (without metadata) ``.csv``.
    model : PosteriorModel, str or Path
        Trained model: the name of one that ships, a ``.keras`` file, the directory of a
        run or of a SavedModel; in Python also one on a server. Where a SavedModel that
        was exported from the model's file lies beside it, that is asked: the same
        numbers, sooner.
    config : InferenceConfig, optional
        Batch, seed and limits of the flags.
    preview : str or Path, optional
        Also draw the cutouts that are most likely clusters, with their numbers and how
        many of them count as clusters; see `clusterkeras.catalogue.cluster_pictures`.
    draws_file : str or Path, optional
        Also write draws of each posterior to this file, ``.h5`` or ``.hdf5``, as many
        as ``inference.draws`` says; see `clusterkeras.catalogue.draws_file`.
    draws : int
        Draws of each posterior that the catalogue keeps in memory. Beside a file of
        draws both hold the larger of the two numbers.
    progress : bool
        Whether to show a progress bar.
    overwrite : bool
        Whether to write also over files that are not as this package wrote them, or
        into a directory with other files; see `data_tools.running.replaced`.

    Returns
    -------
    Catalogue
        A `QTable`. One row per row of `positions`, in its order, with its columns
        (prefixed ``input_`` where a result has the same name and other values): place,
        ``p_cluster``, the likeliest other kind, ``log_snr``, percentiles, mean and
        standard deviation of each parameter, their covariances and bit `flags`. A row
        without data has NaN and a flag. ``p_cluster`` is under
        `InferenceConfig.cluster_share`, not under the shares of kinds in the training
        set; see `clusterkeras.network.presence`.

    Raises
    ------
    FileNotFoundError
        If a mosaic, the table or the model is missing.
    ValueError
        If a mosaic or the table cannot be used, an output has no known format or
        cannot hold the table's columns, or is what is read.
    FileExistsError
        If something is there that may not be written over.

    Notes
    -----
    Finished batches are kept in a directory ``infer-....part`` beside the output until
    that is whole: the same call after an interruption, with whatever name or format of
    the output, goes on from there and writes the same bytes. Mosaics that are open
    already may be anything, and nothing is kept of them.

    Examples
    --------
    >>> import clusterkeras
    >>> from data_tools import Target, make_mosaic
    >>> galaxy = make_mosaic(Target.load("m83-wfc3-uvis"), size_px=192, n=2, seed=1)
    >>> catalogue = clusterkeras.infer(galaxy.mosaics, galaxy.truth, progress=False)
    >>> len(catalogue), catalogue["log_age_median"].unit
    (2, Unit("dex(yr)"))
    """
    if isinstance(draws, str | Path):
        warnings.warn(
            "infer: the file of draws is now `draws_file`; `draws` is a number",
            DeprecationWarning,
            stacklevel=2,
        )
        draws, draws_file = 0, draws
    if draws < 0:
        raise ValueError(f"draws: expected at least 0; received {draws}")
    outputs = _Outputs.of(output, preview, draws_file)
    if not isinstance(images, Mosaics | str | Path):
        images = list(images)
    check_replaced(
        (outputs.table, outputs.preview, outputs.draws),
        (*files_of(images), positions),
        overwrite=overwrite,
    )
    if not isinstance(positions, Table):
        name, positions = Path(positions), read_positions(positions)
    else:
        name = None
    if outputs.table is not None:
        check_table(positions, outputs.table)
    config = config or InferenceConfig()
    _say_where_stars_end(config.stellar_model)
    drawn = max(draws, config.draws if draws_file is not None else 0)
    with ExitStack() as stack:
        mosaics = stack.enter_context(opened(images, _target_of(model, config)))
        run = _Run.of(
            *(mosaics, positions, str(name or "the table"), model, config, drawn),
            progress,
        )
        if outputs.table is None or mosaics is images:
            batches = BatchesInMemory(run.batches)
        else:
            batches = stack.enter_context(
                FinishedBatches(outputs.table, run.description(), run.batches)
            )
        run.measure(batches, progress)
        catalogue = run.catalogue(batches, images, keep_draws=bool(draws))
        if name is not None:
            catalogue.meta["positions"] = name.name
        outputs.write(catalogue, batches, mosaics, (len(catalogue), drawn))
        if isinstance(batches, FinishedBatches):
            batches.remove()
    return catalogue


def _target_of(
    model: PosteriorModel | ServedModel | str | Path, config: InferenceConfig
) -> Target:
    """Return the target of a model that need not be loaded yet.

    What it cannot be asked is refused.
    """
    about = facts_of(model)
    check_asked(about, config)
    return about.target


@dataclass(frozen=True)
class _Outputs:
    """What is written of a catalogue, each checked before the work."""

    table: Path | None
    preview: Path | None
    draws: Path | None

    @classmethod
    def of(
        cls,
        table: str | Path | None,
        preview: str | Path | None,
        draws: str | Path | None,
    ) -> _Outputs:
        """Refuse what cannot be written."""
        if preview is not None:
            from clusterkeras.catalogue.cluster_pictures import FORMATS as PICTURES

            preview = check_file(preview, "preview", PICTURES)
        if table is not None:
            table = check_file(table, "table", FORMATS)
        if draws is not None:
            draws = check_file(draws, "file of draws", SUFFIXES)
        return cls(table, preview, draws)

    def write(
        self,
        catalogue: Catalogue,
        batches: BatchesInMemory | FinishedBatches,
        mosaics: Mosaics,
        drawn: tuple[int, int],
    ) -> None:
        """Write all of them."""
        if self.draws is not None:
            places = np.stack([catalogue.numbers(axis) for axis in "xy"], axis=1)
            write_draws(
                self.draws, batches.read(draws=True), drawn, catalogue.meta, places
            )
        if self.table is not None:
            write_table(catalogue, self.table)
        if self.preview is not None:
            from clusterkeras.catalogue.cluster_pictures import draw_preview

            px = catalogue.meta["target"]["cutout_px"]
            draw_preview(catalogue, mosaics, self.preview, px=px)


@dataclass(frozen=True)
class _Run:
    """Places on mosaics that a model is to be asked about."""

    mosaics: Mosaics
    positions: Table
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    doubtful: NDArray[np.bool_]
    model: PosteriorModel | ServedModel
    settings: InferenceSettings
    draws: int

    @classmethod
    def of(
        cls,
        mosaics: Mosaics,
        positions: Table,
        name: str,
        model: PosteriorModel | ServedModel | str | Path,
        config: InferenceConfig,
        draws: int,
        progress: bool,
    ) -> _Run:
        """Find the places of a table, and then load the model: that takes long."""
        places = find_places(
            positions, mosaics.wcs, config.origin, name, mosaics.physical
        )
        _say_how_many_are_inside(places.x, places.y, mosaics, name)
        summary_only = not draws and not config.by_stellar_model
        model = open_model(model, summary_only=summary_only)
        settings = InferenceSettings.of(model, config)
        settings = informed(settings, mosaics, progress=progress)
        return cls(mosaics, positions, *places, model, settings, draws)

    @property
    def batches(self) -> list[NDArray[np.intp]]:
        """Rows of each batch."""
        return batches_of(self.y, self.settings.config.batch_size)

    def description(self) -> dict[str, str]:
        """Say what the answers depend on."""
        place = self.x, self.y
        return describe_run(self.settings, self.model, self.mosaics, *place, self.draws)

    def measure(
        self, batches: BatchesInMemory | FinishedBatches, progress: bool
    ) -> None:
        """Ask about the batches that are missing, and keep each answer."""
        settings, missing = self.settings, list(batches.missing)
        at_once = getattr(self.model, "in_flight", 1)
        network = compile_network(
            self.model, self.draws, settings.config.by_stellar_model
        )
        answers = measure_places(
            *(self.mosaics, self.x, self.y),
            # by all places: a run that goes on gives the same bytes
            network if at_once > 1 or len(self.x) > FEW else for_few(network),
            *(settings.target, settings.config, progress),
            [batches.batches[i] for i in missing],
            at_once,
        )
        for number, (_, found) in zip(missing, answers, strict=True):
            batches.keep(number, found)

    def catalogue(
        self,
        batches: BatchesInMemory | FinishedBatches,
        images: Sequence[str | Path] | Mosaics,
        keep_draws: bool,
    ) -> Catalogue:
        """Put the answers together."""
        columns = collect(batches.read(), len(self.x))
        places = Places(self.x, self.y, self.doubtful)
        table = assemble(self.settings, self.mosaics, self.positions, places, columns)
        origin = Origin(images, self.model)
        if keep_draws:
            drawn = collect(batches.read(draws=True), len(self.x))["draws"]
            places = np.stack([self.x, self.y], axis=1)
            origin = Origin(images, self.model, places, drawn)
        return Catalogue(table, origin=origin, copy=False)


def _say_where_stars_end(stellar_model: str) -> None:
    if stellar_model in DRAWN_UP_TO:
        logger.warning(
            "stellar_model %s: mocks have no clusters of it above log age %g, so that "
            "an older cluster is taken for a younger one, without a flag; `any` knows "
            "all ages",
            stellar_model,
            DRAWN_UP_TO[stellar_model],
        )


def _say_how_many_are_inside(
    x: NDArray[np.float64], y: NDArray[np.float64], mosaics: Mosaics, name: str
) -> None:
    rows, columns = mosaics.shape
    inside = (x > -0.5) & (x < columns - 0.5) & (y > -0.5) & (y < rows - 0.5)
    known = np.isfinite(x) & np.isfinite(y)
    if not inside.all():
        logger.warning(
            "%s: of %d positions %d are off the mosaics and %d have no place on them "
            "(no value, or elsewhere on the sky): their rows have the flag no_data",
            name,
            len(x),
            int((known & ~inside).sum()),
            int((~known).sum()),
        )


def collect(
    batches: Iterable[tuple[NDArray[np.intp], dict[str, NDArray]]], n: int
) -> dict[str, NDArray]:
    """Put batches together.

    Parameters
    ----------
    batches : iterable of (rows, columns)
        What `clusterkeras.catalogue.measurement.measure_places` yields, in any order.
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


def assemble(
    settings: InferenceSettings,
    mosaics: Mosaics,
    given: Table,
    places: Places,
    columns: dict[str, NDArray],
) -> QTable:
    """Make the table of what was measured at all positions.

    Parameters
    ----------
    settings : InferenceSettings
        Which model was asked, and how.
    mosaics : Mosaics
        The images.
    given : Table
        The table of positions.
    places : Places
        Of its n rows on the mosaics.
    columns : dict of str to ndarray
        What `collect` returns.

    Returns
    -------
    QTable
        With metadata.
    """
    x, y, doubtful = places
    columns["flags"][doubtful] |= FLAGS["position"][0]
    shares = settle_presence(columns, x, y, settings)
    table = with_input(given, make_table(x, y, mosaics.wcs, columns, settings.target))
    table.meta = metadata(settings, mosaics)
    table.meta["cluster_share"] = {
        "trained": settings.cluster_share,
        "here": round(float(shares[0]), 6),
    }
    if len(shares) == len(KINDS):
        table.meta["kind_shares"] = {
            name: dict(zip(KINDS, np.round(values, 6).tolist(), strict=True))
            for name, values in (("trained", settings.kind_shares), ("here", shares))
        }
    return table
