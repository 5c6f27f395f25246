"""A catalogue, made or read back: its numbers, its flags, which rows are clusters."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import QTable, Table
from numpy.typing import NDArray

from clusterkeras.catalogue.draws_file import read_draws
from clusterkeras.catalogue.table import (
    P_CLUSTER,
    are_clusters,
    asked_again,
    best_first,
    describe,
    flagged,
    numbers,
    read_survey,
    read_table,
)
from clusterkeras.catalogue.truth.extent import PIXELS
from data_tools.mosaics.mosaic import Mosaics
from data_tools.running.replaced import check_replaced
from data_tools.running.table_file import write_table
from data_tools.schema import (
    FLAGS,
    PARAMETER_NAMES,
    catalogue_columns,
    stellar_model_columns,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from clusterkeras.catalogue.truth.result import Comparison
    from clusterkeras.network.posterior_model import PosteriorModel

logger = logging.getLogger(__name__)

#: What a table must have to be a catalogue.
_NEEDED = (
    *("x", "y", "p_cluster"),
    *(
        f"{name}_{part}"
        for name in PARAMETER_NAMES
        for part in ("median", "p16", "p84")
    ),
)

#: Draws of a row that has none yet.
_DRAWS = 256


@dataclass(frozen=True)
class Origin:
    """What a catalogue was made from: enough to ask the model about a row again.

    Attributes
    ----------
    images : sequence of str or Path, or Mosaics, optional
        The mosaics, in the model's order of bands.
    model : PosteriorModel, optional
        The model; by default what the catalogue's metadata name.
    places : ndarray, shape (n, 2), optional
        x and y [pixels] of the rows that have draws.
    draws : ndarray, shape (n, draws, P), optional
        Of those rows.
    """

    images: Sequence[str | Path] | Mosaics | None = None
    model: PosteriorModel | None = None
    places: NDArray[np.float64] | None = None
    draws: NDArray[np.float32] | None = None

    def draws_at(self, x: float, y: float) -> NDArray[np.float32] | None:
        """Return what was drawn at a place, (draws, P), if something was.

        A posterior's draws are of its place alone: rows may be chosen and sorted.
        """
        if self.places is None or self.draws is None:
            return None
        rows = np.flatnonzero((self.places == (x, y)).all(axis=1))
        return self.draws[rows[0]] if len(rows) else None


class Catalogue(QTable):
    """A table of posteriors that knows what its columns mean.

    It is a `QTable` in every way: rows may be chosen, sorted, joined and written. What
    is chosen or copied from it still knows mosaics, model and draws; what is pickled
    knows its draws, and mosaics by their paths; what is stacked or joined knows nothing
    of them.

    Parameters
    ----------
    *args, **kwargs
        As of `QTable`.
    origin : Origin, optional
        What it was made from.

    Examples
    --------
    >>> import clusterkeras
    >>> from data_tools import Target, make_mosaic
    >>> galaxy = make_mosaic(Target.load("m83-wfc3-uvis"), size_px=192, n=2, seed=1)
    >>> made = clusterkeras.infer(galaxy.mosaics, galaxy.truth, progress=False)
    >>> made.write("catalogue.fits")
    >>> catalogue = clusterkeras.Catalogue.read("catalogue.fits")
    >>> len(catalogue.clusters(p=0.0)) <= len(catalogue)
    True
    >>> catalogue.numbers("log_age_median").shape, catalogue.flagged("edge").tolist()
    ((2,), [False, False])
    """

    def __init__(self, *args: Any, origin: Origin | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if origin is None and args and isinstance(args[0], Catalogue):
            origin = args[0]._origin
        self._origin = origin or Origin()

    def __getitem__(self, item: Any) -> Any:
        """Return a column, a row, or some of them as a catalogue."""
        chosen = super().__getitem__(item)
        if isinstance(chosen, Catalogue):
            chosen._origin = self._origin
        return chosen

    def _new_from_slice(self, slice_: Any) -> Catalogue:
        """Return the chosen rows, as astropy asks a table to."""
        chosen = super()._new_from_slice(slice_)
        chosen._origin = self._origin
        return chosen

    def __getstate__(self) -> tuple[Any, ...]:
        """Return what is pickled: open mosaics and a model in memory stay behind."""
        origin = self._origin
        images = origin.images
        paths = not isinstance(images, Mosaics) and all(
            isinstance(image, str | Path) for image in images or ()
        )
        left = replace(origin, images=images if paths else None, model=None)
        return (*super().__getstate__(), left)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take what was pickled."""
        *table, origin = state
        super().__setstate__(tuple(table))
        self._origin = origin

    @classmethod
    def of(cls, table: Table, name: str = "the table") -> Catalogue:
        """Take a table for a catalogue, if it is one.

        Parameters
        ----------
        table : Table
            With the columns that `infer` makes; a catalogue is returned as it is.
        name : str
            What an error calls it.

        Raises
        ------
        ValueError
            If a column is missing.
        """
        missing = [column for column in _NEEDED if column not in table.colnames]
        if missing:
            raise ValueError(
                f"{name}: expected a catalogue that `clusterkeras infer` wrote; it has "
                f"no column {', '.join(missing)}"
            )
        if isinstance(table, cls):
            return table
        catalogue = cls(table)
        for column in (*catalogue_columns(), *stellar_model_columns()):
            if column.name in table.colnames:
                describe(catalogue, column)
        return catalogue

    @classmethod
    def read(  # type: ignore[override]
        cls,
        path: str | Path,
        *,
        images: Sequence[str | Path] | Mosaics | None = None,
        model: PosteriorModel | None = None,
        draws_file: str | Path | None = None,
    ) -> Catalogue:
        """Read a catalogue that `infer` has written.

        Parameters
        ----------
        path : str or Path
            ECSV, FITS, VOTable, Parquet or CSV, or the directory of a survey, all of
            whose parts are read; their column ``field`` says which row is of which.
        images : sequence of str or Path, or Mosaics, optional
            The mosaics it was made from, to `plot` and to draw anew; of one field.
        model : PosteriorModel, optional
            The model; by default what the metadata name.
        draws_file : str or Path, optional
            The file of draws that was written with it.

        Returns
        -------
        Catalogue
            With units, descriptions and metadata, whatever the format keeps of them.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is no catalogue, the draws are of another one, or `images` are given
            to a survey of several fields.
        """
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such catalogue")
        table = read_survey(path) if path.is_dir() else read_table(path)
        catalogue = cls.of(table, str(path))
        if images is not None and path.is_dir() and len(set(table["field"])) > 1:
            raise ValueError(
                f"{path}: expected one field beside `images`; received a survey of "
                f"{len(set(table['field']))}. Read the part of one, in its field=..."
            )
        places = draws = None
        if draws_file is not None:
            own = np.stack([catalogue.numbers(axis) for axis in "xy"], axis=1)
            places, draws = read_draws(Path(draws_file), own)
        catalogue._origin = Origin(images, model, places, draws)
        return catalogue

    def write(  # type: ignore[override]
        self, path: Any, *, overwrite: bool | None = None, **options: Any
    ) -> None:
        """Write all columns and metadata; the file appears when it is whole.

        Parameters
        ----------
        path : str or Path
            ``.ecsv``, ``.fits``, ``.vot``, ``.xml``, ``.parquet`` or (without
            metadata) ``.csv``.
        overwrite : bool, optional
            Whether to replace a file that is there; by default one that is as this
            package wrote it.
        **options
            ``format`` and others of `QTable.write`, which then writes the file.

        Raises
        ------
        ValueError
            If the ending is another, or the format cannot hold a column.
        FileExistsError
            If a file is there that is not to be replaced.
        """
        table = QTable(self, copy=False)
        if options:
            table.write(path, overwrite=bool(overwrite), **options)
            return
        if overwrite is False and Path(path).exists():
            raise FileExistsError(f"{path}: it exists; overwrite=True replaces it")
        check_replaced([Path(path)], overwrite=bool(overwrite))
        write_table(table, path)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a column without its unit, NaN where it is masked.

        Raises
        ------
        ValueError
            If there is no such column.
        """
        if name not in self.colnames:
            raise ValueError(f"the catalogue has no column {name!r}")
        return numbers(self, name)

    def flagged(self, name: str) -> NDArray[np.bool_]:
        """Say which rows have a flag.

        Parameters
        ----------
        name : str
            A key of `data_tools.schema.FLAGS`, such as ``"overlap"``.

        Returns
        -------
        ndarray of bool, shape (n,)
            False everywhere if the table has no ``flags``.

        Raises
        ------
        ValueError
            If there is no such flag.
        """
        if name not in FLAGS:
            raise ValueError(
                f"flagged: expected one of {', '.join(FLAGS)}; received {name!r}"
            )
        return flagged(self, name)

    def are_clusters(self, p: float = P_CLUSTER) -> NDArray[np.bool_]:
        """Say which rows count as clusters: this likely, and no part of a likelier one.

        Parameters
        ----------
        p : float
            Least ``p_cluster``.

        Returns
        -------
        ndarray of bool, shape (n,)
            False where there is no place or no posterior.
        """
        return are_clusters(self, p)

    def best_first(self) -> NDArray[np.intp]:
        """Return the numbers of all rows, likeliest clusters first, NaN last."""
        return best_first(self)

    def clusters(self, p: float = P_CLUSTER) -> Catalogue:
        """Return the rows that count as clusters, likeliest first.

        Parameters
        ----------
        p : float
            Least ``p_cluster``; see `are_clusters`.
        """
        order = self.best_first()
        return self[order[self.are_clusters(p)[order]]]

    def draws(self, row: int, n: int | None = None) -> NDArray[np.float32]:
        """Return draws of a row's joint posterior.

        Those that were made with the catalogue, if there are as many; else the model
        is asked again, which needs the mosaics.

        Parameters
        ----------
        row : int
            Number of the row, from 0.
        n : int, optional
            How many; by default all that there are, or 256 new ones.

        Returns
        -------
        ndarray, shape (n, P)
            In the order and units of `data_tools.schema.PARAMETERS`.

        Raises
        ------
        IndexError
            If there is no such row.
        ValueError
            If there are no data at the place, or no mosaics to look at.
        """
        self._check_row(row)
        if n is not None and n < 1:
            raise ValueError(f"draws: expected n of at least 1; received {n}")
        place = [self.numbers(axis)[row] for axis in "xy"]
        kept = self._origin.draws_at(*place)
        if kept is not None and (n is None or n <= len(kept)):
            if not np.isfinite(kept).all():
                raise ValueError(f"row {row}: no data at the place, so no posterior")
            return kept[:n]
        from clusterkeras.catalogue.measurement import look_again
        from clusterkeras.serving.served_model import open_model

        images, model = self._images_and_model()
        return look_again(
            images, *place, open_model(model), n or _DRAWS, asked_again(self.meta)
        ).draws

    def compare(
        self,
        truth: str | Path | Table,
        match_px: float = 4.0,
        images: Sequence[str | Path] | Mosaics | None = None,
    ) -> Comparison:
        """Hold the catalogue to a truth.

        Parameters
        ----------
        truth : str, Path or Table
            ``x``, ``y`` [pixels], the parameters and, if known, ``log_snr``.
        match_px : float
            Distance in pixels within which a row is a true cluster, if that is not
            larger.
        images : sequence of str or Path, or Mosaics, optional
            The mosaics, whose area false rows are counted on, if the metadata do not
            state it and `read` was not given them.

        Returns
        -------
        Comparison
            Completeness, purity, bias, scatter and coverage; see
            `clusterkeras.catalogue.truth.result`.
        """
        from clusterkeras.catalogue.comparison import compare

        if images is None and not self.meta.get(PIXELS):
            images = self._origin.images
        return compare(self, truth, match_px, images)

    def plot(self, row: int) -> Figure:
        """Draw one cluster: its joint posterior, its cutout in colour, its numbers.

        Parameters
        ----------
        row : int
            Number of the row, from 0.

        Returns
        -------
        Figure
            See `clusterkeras.catalogue.cluster_pictures.plot_cluster`.

        Raises
        ------
        IndexError
            If there is no such row.
        ValueError
            If there are no data at the place, or no mosaics to look at.
        """
        from clusterkeras.catalogue.cluster_pictures import plot_cluster

        self._check_row(row)
        return plot_cluster(self, row, *self._images_and_model())

    def to_table(self) -> Table:
        """Return a plain astropy `Table` with units instead of quantities, a copy."""
        return Table(self, copy=True)

    @property
    def seed(self) -> int:
        """Seed of its draws, as the metadata state it."""
        return asked_again(self.meta).seed

    def _check_row(self, row: int) -> None:
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row}: the catalogue has {len(self)} rows")

    def _images_and_model(
        self,
    ) -> tuple[Sequence[str | Path] | Mosaics, PosteriorModel | str]:
        """Return what to ask again, and whom."""
        origin = self._origin
        if origin.images is None:
            raise ValueError(
                "a catalogue that was stacked, joined or read without `images` knows "
                "no mosaics: use clusterkeras.plot_cluster(catalogue, row, images), or "
                "Catalogue.read(path, images=images)"
            )
        model = origin.model or self.meta.get("model")
        if model is None:
            raise ValueError(
                "the catalogue's metadata name no model: use Catalogue.read(path, "
                "images=images, model=model)"
            )
        return origin.images, model
