"""A catalogue beside the truth: numbers by name, in words, in files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clusterkeras.catalogue.truth.picture import draw
from clusterkeras.catalogue.truth.shares import binned_by
from clusterkeras.catalogue.truth.words import (
    axis_of,
    like_m83_in_words,
    percent,
    range_of,
    why_none,
)
from data_tools.running.output import whole_path
from data_tools.running.plain_files import write_text
from data_tools.running.replaced import check_replaced_in
from data_tools.running.seal import BLANK, KEY, PICTURE_METADATA

#: What is written of a comparison.
FILES = ("comparison.json", "comparison.png")


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Mapping[str, Any]):
    """How a catalogue stands to the truth: numbers by name, in words, as a picture.

    Attributes
    ----------
    numbers : dict
        ``completeness``: share of the true clusters with a match, and with a match
        that counts as a cluster, in all and in bins of true visibility, mass and
        magnitude, if known; ``by_chance``: the same of clusters that were moved aside,
        for a crowded table has a row near any place; ``like_m83``: the same of clusters
        like M83's, see `clusterkeras.catalogue.truth.like_m83`. ``pieces``: rows that
        count as clusters and lie within a true one that has another; ``false``: those
        that lie within none, and ``false_per_million_pixels`` of ``pixels_with_data``,
        None where the area is not known. ``purity``: share of the rows that count as
        clusters, pieces left out, that have a match. ``parameters``: of those matches,
        for each parameter the bias (median of posterior median minus truth), the
        scatter (1.4826 median absolute deviation) and the share of truths between the
        16 and 84 % columns, which should be 0.68. ``highest_p_cluster``: of all rows;
        None where none has one.
    posterior : dict of str to ndarray (pairs,)
        ``<parameter>_median``, ``_p16`` and ``_p84`` of the rows of those matches.
    truth : dict of str to ndarray (pairs,)
        Their true parameters.
    not_taken : pair of dict
        The same two of the matches that do not count as clusters.
    """

    numbers: dict[str, Any]
    posterior: dict[str, NDArray[np.float64]]
    truth: dict[str, NDArray[np.float64]]
    not_taken: tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]

    def __getitem__(self, name: str) -> Any:
        """Return some of the numbers."""
        return self.numbers[name]

    def __iter__(self) -> Iterator[str]:
        """Go through the names of the numbers."""
        return iter(self.numbers)

    def __len__(self) -> int:
        """Count the names of the numbers."""
        return len(self.numbers)

    def __repr__(self) -> str:
        """Say it in words: a notebook shows them."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        everything = self["completeness"]["all"]
        chance = self["completeness"]["by_chance"]
        yield f"{self['clusters']} clusters, {self['rows']} rows"
        yield (
            f"found: {percent(everything['found'])} (by chance "
            f"{percent(chance['found'])}), found and taken for a cluster: "
            f"{percent(everything['taken'])} (by chance {percent(chance['taken'])})"
        )
        yield (
            f"rows with p_cluster >= {self['p_cluster']} that are clusters: "
            f"{percent(self['purity'])}{self._of_how_many()}"
        )
        yield f"false rows: {self._rate()}"
        yield f"like M83's: {like_m83_in_words(self)}"
        yield from self._table(
            "parameter",
            ("bias", "scatter", "in 68 %"),
            {
                name: (
                    score["n"],
                    *(f"{score[key]:.3f}" for key in ("bias", "scatter")),
                    percent(score["coverage"]),
                )
                for name, score in self["parameters"].items()
                if score["n"]
            },
        )
        for column in binned_by(self["completeness"]):
            yield from self._table(
                axis_of(column),
                ("found", "taken"),
                {
                    range_of(one): (
                        one["n"],
                        *(percent(one[key]) for key in ("found", "taken")),
                    )
                    for one in self["completeness"][f"by_{column}"]
                    if one["n"]
                },
            )

    @staticmethod
    def _table(
        what: str, columns: Sequence[str], rows: Mapping[str, Sequence[Any]]
    ) -> Iterator[str]:
        """Write rows of n and more below a header; nothing where there are none."""
        for name, (n, *cells) in (
            {what: ("n", *columns), **rows}.items() if rows else ()
        ):
            yield f"{name:<24}{n:>5}" + "".join(f"{cell:>9}" for cell in cells)

    def _of_how_many(self) -> str:
        """Count the rows that purity is of, or say why there are none."""
        true, pieces = len(next(iter(self.truth.values()))), self["pieces"]
        if self["purity"] is None:
            return why_none(self)
        found = f" ({true} of {true + self['false']}"
        if pieces:
            found += f"; {pieces} more {'lie' if pieces > 1 else 'lies'} within these"
        return f"{found})"

    def _rate(self) -> str:
        rate = self["false_per_million_pixels"]
        if rate is None:
            return (
                f"{self['false']}; how many in a million pixels is unknown, as the "
                "catalogue states no area: give its mosaics (--images)"
            )
        area = self["pixels_with_data"] / 1e6
        return f"{self['false']} on {area:.3g} million pixels, {rate:.2g} in a million"

    def plot(self) -> Figure:
        """Draw posterior against truth, and the completeness."""
        return draw(self, (self.posterior, self.truth), self.not_taken)

    def write(self, directory: str | Path, *, overwrite: bool = False) -> None:
        """Write ``comparison.json`` and ``comparison.png``.

        Parameters
        ----------
        directory : str or Path
            It is made if it is not there.
        overwrite : bool
            Whether to write also over files that are not as this package wrote them,
            or into a directory with other files.

        Raises
        ------
        FileExistsError
            If something is there that may not be written over.
        """
        directory = check_replaced_in(directory, FILES, overwrite=overwrite)
        directory.mkdir(parents=True, exist_ok=True)
        numbers, picture = (directory / name for name in FILES)
        write_text(numbers, json.dumps({**self.numbers, KEY: BLANK}, indent=2))
        with whole_path(picture) as path:
            self.plot().savefig(path, dpi=120, metadata=PICTURE_METADATA)
