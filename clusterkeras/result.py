"""A catalogue as a table in memory that knows what it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astropy.table import QTable, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from clusterkeras.network.posterior_model import PosteriorModel


class Catalogue(QTable):
    """An astropy table of posteriors, with the mosaics and the model behind it.

    It is a `QTable` in every way: rows may be chosen, sorted, joined and written. What
    is chosen or copied from it still knows mosaics and model; what is stacked, joined
    or read from a file does not, and is drawn by `plot_cluster`.

    Parameters
    ----------
    *args, **kwargs
        As of `QTable`.
    images : sequence of str or Path, optional
        The mosaics, in the model's order of bands.
    model : PosteriorModel, optional
        The model.
    """

    def __init__(
        self,
        *args: Any,
        images: Sequence[str | Path] | None = None,
        model: PosteriorModel | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._made_from = (images, model)
        if images is None and args and isinstance(args[0], Catalogue):
            self._made_from = args[0]._made_from

    def _new_from_slice(self, slice_: Any) -> Catalogue:
        """Give the chosen rows, as astropy asks a table to."""
        chosen = super()._new_from_slice(slice_)
        chosen._made_from = self._made_from
        return chosen

    def plot(self, row: int) -> Figure:
        """Draw one cluster: its joint posterior, its cutout in colour, its numbers.

        Parameters
        ----------
        row : int
            Number of the row, from 0.

        Returns
        -------
        Figure
            See `clusterkeras.cluster_figure.plot_cluster`.

        Raises
        ------
        IndexError
            If there is no such row.
        ValueError
            If there are no data at the place, or the table does not know its mosaics.
        """
        from clusterkeras.cluster_figure import plot_cluster

        images, model = self._made_from
        if images is None:
            raise ValueError(
                "a table that was stacked, joined or read does not know its mosaics: "
                "use clusterkeras.plot_cluster(catalogue, row, images)"
            )
        return plot_cluster(self, row, images, model)

    def to_table(self) -> Table:
        """Give a plain astropy `Table` with units instead of quantities, a copy."""
        return Table(self, copy=True)
