"""Which part of the sky belongs to which split: tiles with a guard band between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

#: A tile is used if at least this share of it has data in every band.
_LEAST_COVERED = 0.5
#: Steps of the tile size that an error suggests, in pixels.
_SUGGESTED_STEP_PX = 8


class Tile(NamedTuple):
    """A square of the sky.

    Attributes
    ----------
    row, column : int
        First pixel on the mosaic, 0-based.
    """

    row: int
    column: int


def split_sky(
    shape: tuple[int, int],
    coverage: np.ndarray,
    step: int,
    tile_px: int,
    guard_px: int,
    shares: Mapping[str, float],
    seed: int,
    least_px: int = 1,
) -> dict[str, tuple[Tile, ...]]:
    """Divide a mosaic into tiles and give each to one split.

    Tiles lie on a grid, spread over the mosaic with at least the guard band between
    any two. Those with data on less than half of their area are left out. The rest are
    walked through along the rows, to and fro, and each split's tiles are spread evenly
    but at random along that walk: every split sees the middle of the galaxy and its
    outskirts.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the mosaic.
    coverage : ndarray of bool
        Where there are data, at every `step`-th pixel; see
        `data_tools.mosaics.mosaic.Mosaics.coverage`.
    step : int
        See `coverage`.
    tile_px : int
        Side of a tile.
    guard_px : int
        Smallest distance between two tiles, in pixels between them.
    shares : mapping of str to float
        Relative share of the sky of each split; those above zero get at least one tile.
    seed : int
        The same seed gives the same tiles.
    least_px : int
        Smallest tile that the error may suggest.

    Returns
    -------
    dict of str to tuple of Tile
        Of the splits whose share is above zero.

    Raises
    ------
    ValueError
        If there are fewer usable tiles than splits; the message says how large tiles
        could be.
    """
    wanted = {split: share for split, share in shares.items() if share > 0}
    tiles = _usable(shape, coverage, step, tile_px, guard_px)
    if len(tiles) < len(wanted):
        smaller = range(tile_px - 1, least_px - 1, -1)
        fit = next(
            (
                size
                for size in smaller
                if size % _SUGGESTED_STEP_PX == 0
                and len(_usable(shape, coverage, step, size, guard_px)) >= len(wanted)
            ),
            None,
        )
        advice = (
            f"use tiles of at most {fit} px (backgrounds.tile_px)"
            if fit
            else "use a larger mosaic or a smaller guard band (backgrounds.guard_px)"
        )
        raise ValueError(
            f"expected room for {len(wanted)} tiles of {tile_px} px, {guard_px} px "
            f"apart, one for each of {', '.join(wanted)}; on {shape[0]} x {shape[1]} "
            f"pixels (rows x columns) {len(tiles)} have data on at least half of "
            f"their area: {advice}"
        )
    rng = np.random.default_rng(seed)
    counts = _counts(len(tiles), wanted)
    places = np.concatenate(
        [(np.arange(count) + rng.random(count)) / count for count in counts.values()]
    )
    owners = np.repeat(list(counts), list(counts.values()))[np.argsort(places)]
    return {
        split: tuple(
            tile for tile, owner in zip(tiles, owners, strict=True) if owner == split
        )
        for split in wanted
    }


def _usable(
    shape: tuple[int, int],
    coverage: np.ndarray,
    step: int,
    tile_px: int,
    guard_px: int,
) -> list[Tile]:
    """Return the tiles with data, row by row, to and fro."""
    rows, columns = (_starts(size, tile_px, guard_px) for size in shape)
    tiles = []
    for i, row in enumerate(rows):
        for column in columns[:: -1 if i % 2 else 1]:
            seen = coverage[_looks(row, tile_px, step), _looks(column, tile_px, step)]
            if seen.size and seen.mean() >= _LEAST_COVERED:
                tiles.append(Tile(int(row), int(column)))
    return tiles


def _starts(size: int, tile_px: int, guard_px: int) -> np.ndarray:
    """Return the first pixels of the tiles along an axis."""
    count = (size + guard_px) // (tile_px + guard_px)
    if count < 2:
        return np.array([(size - tile_px) // 2] * count, dtype=int)
    return np.linspace(0, size - tile_px, count).astype(int)


def _looks(first: int, tile_px: int, step: int) -> slice:
    """Return the places along an axis of the coverage that lie within a tile."""
    return slice(-(-first // step), -(-(first + tile_px) // step))


def _counts(tiles: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Give each split one tile, and each further one to the split that lacks most."""
    total = sum(shares.values())
    counts = dict.fromkeys(shares, 1)
    for _ in range(tiles - len(counts)):
        lacking = max(shares, key=lambda s: tiles * shares[s] / total - counts[s])
        counts[lacking] += 1
    return counts
