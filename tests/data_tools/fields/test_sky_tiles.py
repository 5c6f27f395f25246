"""Tiles of the sky: apart from each other, with data, shared out as asked."""

import itertools

import numpy as np
import pytest

from data_tools.fields.sky_tiles import split_sky

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
STEP = 16


def split(shape=(2000, 3000), tile_px=200, guard_px=64, coverage=None, **options):
    if coverage is None:
        coverage = np.ones([-(-size // STEP) for size in shape], bool)
    options = {"shares": SHARES, "seed": 0, **options}
    return split_sky(shape, coverage, STEP, tile_px, guard_px, **options)


def every(tiles):
    return [tile for owned in tiles.values() for tile in owned]


@pytest.mark.parametrize(
    ("shape", "tile_px", "guard_px"),
    [((2000, 3000), 200, 64), ((1999, 1001), 131, 70), ((2048, 2048), 768, 64)],
)
def test_any_two_tiles_keep_the_guard_band(shape, tile_px, guard_px):
    tiles = every(split(shape, tile_px, guard_px))
    for a, b in itertools.combinations(np.array(tiles), 2):
        between = np.abs(a - b).max() - tile_px  # pixels between their edges
        assert between >= guard_px
    assert np.min(tiles) >= 0
    assert (np.max(tiles, axis=0) + tile_px <= shape).all()


def test_no_room_is_left_for_another_row_of_tiles():
    assert len(every(split((2000, 3000), 200, 64))) == 7 * 11
    assert len(every(split((2048, 2048), 768, 64))) == 4


def test_splits_get_their_share_of_the_tiles():
    counts = {name: len(tiles) for name, tiles in split().items()}
    assert sum(counts.values()) == 77
    for name, share in SHARES.items():
        assert abs(counts[name] - 77 * share) < 1
    assert len(set(every(split()))) == 77


def test_a_small_share_still_gets_a_tile_and_none_gets_none():
    tiles = split((2048, 2048), 768, shares={"train": 98, "validation": 1, "test": 1})
    assert {name: len(t) for name, t in tiles.items()} == {
        "train": 2,
        "validation": 1,
        "test": 1,
    }
    tiles = split(shares={"train": 1.0, "validation": 0.0})
    assert list(tiles) == ["train"]


def test_every_split_sees_every_part_of_the_mosaic():
    tiles = split((6000, 6000))
    for owned in tiles.values():
        middle = np.array(owned) + 100
        for axis in (0, 1):
            halves = np.mean(middle[:, axis] < 3000)
            assert 0.3 < halves < 0.7


def test_a_seed_repeats_its_tiles_and_another_has_others():
    assert split() == split()
    assert split(seed=1) != split()


def test_tiles_without_data_are_left_out():
    coverage = np.ones((125, 188), bool)
    coverage[:, 94:] = False
    columns = [tile.column for tile in every(split(coverage=coverage))]
    # at least half of a tile lies in columns with data
    assert max(columns) + 100 <= 94 * STEP
    assert len(columns) == 7 * 6


def test_too_large_tiles_are_refused_with_a_size_that_fits():
    with pytest.raises(ValueError, match=r"expected room for 3 tiles of 768 px") as e:
        split((1000, 1000), 768)
    assert "on 1000 x 1000 pixels (rows x columns) 1 have data" in str(e.value)
    assert str(e.value).endswith("use tiles of at most 464 px (backgrounds.tile_px)")
    assert len(every(split((1000, 1000), 464))) == 4
    with pytest.raises(ValueError, match="at most 464 px"):
        split((1000, 1000), 472)


def test_a_mosaic_too_small_for_any_tiles_is_refused():
    with pytest.raises(ValueError, match="use a larger mosaic or a smaller guard band"):
        split((150, 150), 100, least_px=64)
