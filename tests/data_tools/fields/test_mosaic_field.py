"""Fields from real mosaics: whole, unmasked, calibrated, and of one split each."""

import dataclasses
import gc
import itertools
import pickle
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from scipy.ndimage import maximum_filter

from data_tools.fields.backgrounds import Backgrounds
from data_tools.fields.mosaic_field import BackgroundMaker
from data_tools.mocks.mock import MockMaker
from data_tools.mocks.mock_mosaic import make_mosaic
from data_tools.mocks.mosaic_config import MosaicConfig
from data_tools.priors import Priors
from data_tools.records.finished_set import read_set
from data_tools.records.plan import MockSet
from data_tools.records.shard_file import read_shard
from data_tools.records.simulate import simulate
from data_tools.schema import KINDS, PIXEL_UNIT_NJY
from data_tools.target import Target

PX = 16
SIZE = 400
#: A mosaic of 400 px has room for 3 x 3 of these.
TILES = {"tile_px": 112, "guard_px": 32}
NAMES = ("train", "validation", "test")


@pytest.fixture
def target(small_target):
    assert small_target.cutout_px == PX
    return small_target


@pytest.fixture
def write(tmp_path, target, write_band):
    """Return a function that writes the mosaics of a target, noise by default."""

    def written(*, rates=None, weights=None, **keywords):
        if rates is None:
            shape = (len(target.bands), SIZE, SIZE)
            rates = 0.1 + 0.01 * np.random.default_rng(1).standard_normal(shape)
        paths = []
        for i, band in enumerate(target.bands):
            path = write_band(
                tmp_path / f"{band.name}.fits", rates[i], band, **keywords
            )
            if weights is not None:
                with fits.open(path, mode="append") as hdus:
                    weight = weights[i].astype(np.float32)
                    hdus.append(fits.ImageHDU(weight, name="WHT"))
            paths.append(str(path))
        return tuple(paths)

    return written


def maker(target, images, priors=None, **options):
    priors = priors or Priors()
    options = {**TILES, "shares": {"train": 1, "validation": 1, "test": 1}, **options}
    return BackgroundMaker(target, priors, Backgrounds(images, **options))


def fields(made, split="train", n=12):
    rng = np.random.default_rng(3)
    return [made.make(rng, split) for _ in range(n)]


def corners_on_mosaic(made, split):
    """Return the first pixels on the mosaic of every cutout that a split may have."""
    places = {}
    rng = np.random.default_rng(3)
    for _ in range(12 * len(made.tiles[split])):
        field = made.make(rng, split)
        tile = (int(field.properties["row"]), int(field.properties["column"]))
        places[tile] = field.corners + tile
    assert set(places) == set(made.tiles[split])
    return np.concatenate(list(places.values()))


def pixels_of(corners):
    """Mark the pixels of the mosaic that lie in a cutout."""
    pixels = np.zeros((SIZE, SIZE), bool)
    pixels[tuple(corners.T)] = True
    # the cutout extends from its first pixel to higher rows and columns
    return maximum_filter(pixels, PX, origin=PX // 2 - 1)


def test_a_field_holds_the_calibrated_pixels_of_its_tile(target, write):
    rates = np.random.default_rng(1).normal(0.1, 0.01, (2, SIZE, SIZE))
    made = maker(target, write(rates=rates))
    field = fields(made)[0]
    row, column = (int(field.properties[k]) for k in ("row", "column"))
    assert (row, column) in made.tiles["train"]
    expected = np.moveaxis(rates, 0, -1)[row : row + 112, column : column + 112]
    expected = expected * [b.njy_per_electron_s for b in target.bands]
    np.testing.assert_allclose(field.image, expected, rtol=1e-5)


def test_cutouts_of_different_splits_keep_the_guard_band(target, write):
    """Every pixel of every cutout: 32 pixels or more lie between two splits."""
    made = maker(target, write())
    assert sorted(made.tiles) == sorted(NAMES)
    pixels = {split: pixels_of(corners_on_mosaic(made, split)) for split in NAMES}
    for a, b in itertools.combinations(NAMES, 2):
        assert pixels[a].sum() > 10_000
        within = maximum_filter(pixels[a], 2 * 32 + 1)
        assert not (within & pixels[b]).any()


def test_no_pixel_of_a_mock_is_seen_by_two_splits(target, write):
    """Every pixel has a value of its own; no value turns up in mocks of two splits."""
    values = 1000 + np.arange(SIZE**2, dtype=float).reshape(SIZE, SIZE)
    made = maker(target, write(rates=np.stack([values, values])))
    seen = {}
    for split in NAMES:
        seen[split] = set()
        for field in fields(made, split):
            for row, column in field.corners[:: len(field.corners) // 9]:
                cutout = field.image[row : row + PX, column : column + PX, 0]
                seen[split].update(cutout.ravel().tolist())
        assert len(seen[split]) > 1000
    for a, b in itertools.combinations(NAMES, 2):
        assert not seen[a] & seen[b]


@pytest.mark.parametrize("how", ["nan", "zero", "weight"])
def test_cutouts_keep_away_from_missing_pixels_and_edges(target, write, how):
    rng = np.random.default_rng(5)
    rates = rng.normal(0.1, 0.01, (2, SIZE, SIZE))
    weights = np.full((2, SIZE, SIZE), 100.0) if how == "weight" else None
    holes = rng.integers(0, SIZE, (40, 2))
    holes = np.vstack([holes, [[200, c] for c in range(200)]])
    for i, (row, column) in enumerate(holes):
        if how == "weight":
            weights[i % 2, row, column] = 0
        else:
            rates[i % 2, row, column] = np.nan if how == "nan" else 0
    made = maker(target, write(rates=rates, weights=weights), shares={"train": 1})
    corners = corners_on_mosaic(made, "train")
    assert len(corners) > 1000
    assert corners.min() >= 4
    assert corners.max() + PX <= SIZE - 4
    near_holes = np.zeros((SIZE, SIZE), bool)
    near_holes[tuple(holes.T)] = True
    used = pixels_of(corners)
    assert not (used & maximum_filter(near_holes, 2 * 4 + 1)).any()
    assert (used & maximum_filter(near_holes, 2 * 5 + 1)).any()


@pytest.mark.parametrize("columns", [("x", "y"), ("ra", "dec")])
def test_no_known_cluster_is_in_the_middle_of_a_cutout(
    target, write, tmp_path, columns
):
    images = write()
    rng = np.random.default_rng(6)
    x, y = rng.uniform(-20, SIZE + 20, (2, 60))
    made = maker(target, images, shares={"train": 1})
    if columns == ("ra", "dec"):
        first, second = made._mosaics.wcs.all_pix2world(x, y, 0)
    else:
        first, second = x, y
    path = tmp_path / "known.ecsv"
    Table([first, second], names=columns).write(path)
    everywhere = corners_on_mosaic(made, "train")
    masked = maker(
        target,
        images,
        shares={"train": 1},
        clusters=str(path),
        mask_radius_arcsec=10 * target.pixel_scale_arcsec,
    )
    middle = everywhere + (PX - 1) / 2
    distance = np.hypot(middle[:, :1] - y, middle[:, 1:] - x).min(axis=1)
    np.testing.assert_array_equal(
        corners_on_mosaic(masked, "train"), everywhere[distance > 10]
    )
    assert 0.1 < np.mean(distance <= 10) < 0.9


def test_peaks_are_those_that_no_table_names(target, write, tmp_path):
    rates = 0.1 + 0.01 * np.random.default_rng(1).standard_normal((2, SIZE, SIZE))
    # a dot every 20 px, each other one a known cluster
    places = np.stack(np.mgrid[12:SIZE:20, 12:SIZE:20], axis=-1).reshape(-1, 2)
    known, others = places[::2], places[1::2]
    for shift in itertools.product((-1, 0, 1), repeat=2):
        rates[:, *(places + shift).T] += 0.3
    path = tmp_path / "known.ecsv"
    Table(known[:, ::-1].astype(float), names=("x", "y")).write(path)
    images = write(rates=rates)
    options = {"shares": {"train": 1}, "mask_radius_arcsec": 0.2}
    made = maker(target, images, clusters=str(path), **options)
    found = []
    for field in fields(made, n=40):
        tile = [field.properties["row"], field.properties["column"]]
        found.append(field.peaks + tile)
        corners = {tuple(corner) for corner in field.corners}
        for corner in corners_of_peaks(target, field):
            assert corner in corners
    found = np.concatenate(found)
    distance = np.linalg.norm(found[:, None] - others, axis=-1).min(axis=1)
    assert (distance < 2).all()
    assert len(np.unique(found.round(), axis=0)) > 20
    bare = maker(target, images, **options)
    assert all(len(field.peaks) == 0 for field in fields(bare))


@pytest.mark.parametrize("x", [5e4, np.nan])
def test_a_table_without_a_cluster_on_the_mosaics_is_refused(
    target, write, tmp_path, x
):
    path = tmp_path / "known.ecsv"
    Table({"x": [x, x], "y": [1.0, 2.0]}).write(path)
    with pytest.raises(
        ValueError, match=r"known\.ecsv: expected clusters on .* 2 rows"
    ):
        maker(target, write(), clusters=str(path))


def corners_of_peaks(target, field):
    """Yield the first pixels of the cutouts of some records with a peak."""
    priors = Priors(
        cluster_fraction=0.0,
        negatives={"field_peak": 1.0},
        neighbour_fraction=0.0,
        young_stars_fraction=0.0,
    )
    mocks = MockMaker(target, priors)
    for mock in mocks.mocks(
        field, 3 * (len(field.peaks) > 0), np.random.default_rng(4), 0, 0
    ):
        assert KINDS[mock["kind"]] == "field_peak"
        stored = mock["background"].astype(np.float32) * PIXEL_UNIT_NJY
        windows = np.lib.stride_tricks.sliding_window_view(
            field.image, (PX, PX), axis=(0, 1)
        )
        apart = np.abs(np.moveaxis(windows, 2, -1) - stored).max(axis=(2, 3, 4))
        yield tuple(np.unravel_index(apart.argmin(), apart.shape))


def test_an_electron_is_that_of_the_header(target, write):
    band = target.bands[0]
    made = maker(target, write(EXPTIME=500.0, PHOTFLAM=2 * band.photflam))
    seen = fields(made)[0].observation
    for i, b in enumerate(target.bands):
        photflam = 2 * band.photflam
        expected = 3.631e12 * photflam * b.photplam**2 * 10 ** (0.4 * 2.408) / 500
        assert seen.electron_njy[i] == pytest.approx(expected, rel=1e-4)


def test_without_an_exposure_time_the_target_s_is_taken(target, write):
    seen = fields(maker(target, write(EXPTIME=None)))[0].observation
    expected = [b.electron_njy for b in target.bands]
    np.testing.assert_allclose(seen.electron_njy, expected, rtol=1e-4)


def test_weights_set_the_exposure_of_a_field(target, write):
    """A strip with a third of the weight has fields with a third of the exposure."""
    weights = np.full((2, SIZE, SIZE), 900.0)
    weights[0, :, 60:120] = 300
    noise = np.random.default_rng(7).standard_normal((2, SIZE, SIZE))
    images = write(rates=0.1 + 0.3 * noise / np.sqrt(weights), weights=weights)
    made = maker(target, images, shares={"train": 1})
    ratios = set()
    for field in fields(made, n=60):
        seen = field.observation
        tile = (int(field.properties["row"]), int(field.properties["column"]))
        ratio = target.bands[0].electron_njy / seen.electron_njy[0]
        ratios.add(round(ratio, 2))
        corners = field.corners[:: max(len(field.corners) // 40, 1)] + tile
        depths = [
            weights[0, row : row + PX, column : column + PX].mean() / 900
            for row, column in corners
        ]
        assert np.abs(np.log(np.array(depths) / ratio)).max() < np.log(1.11)
        assert seen.electron_njy[1] == pytest.approx(target.bands[1].electron_njy)
        # the noise goes with the root of the exposure; some is of the light's photons
        rate = target.bands[0].njy_per_electron_s
        light = 0.1 * rate * target.bands[0].electron_njy
        expected = ((0.3 / 30 * rate) ** 2 - light) / ratio
        assert seen.white_variance[0] == pytest.approx(expected, rel=0.4)
    assert {0.33, 1.0} <= ratios
    assert len(ratios) > 2  # and what lies across the border


def test_noise_is_measured_and_the_rest_drawn(target, write):
    fixed = dataclasses.replace(
        Priors(), noise_shift_px=(0.5, 0.5), exposure_factor=(1.0, 1.0)
    )
    made = maker(target, write(), priors=fixed)
    several = [field.observation for field in fields(made)]
    rate = np.array([b.njy_per_electron_s for b in target.bands])
    for seen in several:
        assert (seen.noise_shift_px < 0.1).all()
        # of 0.01 electrons/s, less the photons of 0.1 electrons/s
        expected = (0.01 * rate) ** 2 - 0.1 * rate * seen.electron_njy
        np.testing.assert_allclose(seen.white_variance, expected, rtol=0.3)
        np.testing.assert_array_equal(seen.white_variance, several[0].white_variance)
    assert len({seen.psf_position for seen in several}) > 3
    assert len({tuple(seen.blur_px) for seen in several}) == len(several)
    assert len({seen.band_shift_px[0, 0] for seen in several}) == len(several)


def test_where_no_noise_can_be_seen_the_prior_s_is_taken(target, write):
    rates = np.random.default_rng(8).normal(0.0, 0.01, (2, SIZE, SIZE))
    rates[0] = np.maximum(rates[0], 0.02)  # clipped, nearly all of it
    priors = dataclasses.replace(Priors(), noise_shift_px=(0.3, 0.3))
    for field in fields(maker(target, write(rates=rates), priors=priors)):
        shift = field.observation.noise_shift_px
        assert shift[0] == 0.3
        assert shift[1] < 0.1
        assert np.isfinite(field.observation.white_variance).all()


def test_the_same_state_gives_the_same_field_in_every_process(target, write):
    backgrounds = Backgrounds(write(), **TILES)
    again = pickle.loads(pickle.dumps(backgrounds))
    first, second = (
        BackgroundMaker(target, Priors(), b).make(np.random.default_rng(4), "test")
        for b in (backgrounds, again)
    )
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.corners, second.corners)
    for f in dataclasses.fields(first.observation):
        np.testing.assert_array_equal(
            getattr(first.observation, f.name), getattr(second.observation, f.name)
        )


def test_only_a_few_tiles_stay_in_memory_and_files_are_closed(target, write):
    made = maker(target, write(), tile_px=32, shares={"train": 1})
    fields(made, n=40)
    assert len(made.tiles["train"]) > 20
    assert made._sky.cache_info().currsize <= 6
    del made
    gc.collect()  # an open file would be a ResourceWarning, here an error


def test_mocks_on_real_fields_are_whole(target, write):
    rates = np.random.default_rng(9).normal(0.1, 0.01, (2, SIZE, SIZE))
    rates[:, 100:180, 90:190] = np.nan
    backgrounds = Backgrounds(write(rates=rates), **TILES)
    mocks = MockMaker(target, Priors(gap_fraction=0.0), backgrounds)
    for split in NAMES:
        rng = np.random.default_rng(10)
        field = mocks.make_field(rng, split)
        for mock in mocks.mocks(field, 40, rng, 0, 0):
            assert np.isfinite(mock["background"]).all()
            assert (mock["background_variance"] > 0).all()


def test_a_split_without_sky_is_refused(target, write):
    made = maker(target, write(), shares={"train": 1.0})
    with pytest.raises(ValueError, match="shares gives no sky to 'test', only to tra"):
        made.make(np.random.default_rng(0), "test")


def test_a_split_without_any_cutout_is_refused(target, write, tmp_path):
    rates = np.full((2, SIZE, SIZE), 0.1)
    rates[:, ::13, ::13] = np.nan
    made = maker(target, write(rates=rates))
    with pytest.raises(ValueError, match="no cutout of 16 px in the 3 tiles of train"):
        made.make(np.random.default_rng(0), "train")


def test_tiles_that_do_not_fit_are_refused_with_a_size_that_does(target, write):
    images = write()
    with pytest.raises(
        ValueError, match=r"at most (\d+) px \(backgrounds.tile_px\)"
    ) as caught:
        maker(target, images, tile_px=300)
    fits_px = int(str(caught.value).split("at most ")[1].split()[0])
    assert len(maker(target, images, tile_px=fits_px).tiles) == 3


@pytest.mark.parametrize("name", ["tile_px", "guard_px"])
def test_tiles_and_guard_are_no_smaller_than_a_cutout(target, write, name):
    with pytest.raises(ValueError, match=f"{name} must be at least a cutout.*16 px"):
        maker(target, write(), **{name: 15})


def test_without_mosaics_there_are_no_backgrounds(target):
    with pytest.raises(ValueError, match="expected 2 mosaics, one per band"):
        maker(target, ())


@pytest.fixture(params=["mock", pytest.param("preview", marks=pytest.mark.shared)])
def two_bands(request, tmp_path):
    """Return a target of two bands and backgrounds: a mock galaxy, and the real M83."""
    target = Target.load("m83-f438w-f814w")
    if request.param == "mock":
        make_mosaic(target, Priors(), MosaicConfig(size_px=512, n=20), tmp_path)
        images = [tmp_path / f"{name}.fits" for name in target.band_names]
        known = str(tmp_path / "truth.ecsv")
        return target, Backgrounds(tuple(images), clusters=known, tile_px=208)
    directory = Path(__file__).parents[4] / "shared" / "data" / "m83_preview"
    if not directory.is_dir():
        pytest.skip("the development data are not beside the repository")
    names = [f"m83_preview_{name.lower()}.fits" for name in target.band_names]
    return target, Backgrounds(tuple(directory / n for n in names), tile_px=448)


def test_a_training_set_is_cut_from_mosaics(two_bands, tmp_path):
    target, backgrounds = two_bands
    made = simulate(
        tmp_path / "set",
        target,
        Priors(mocks_per_field=8, gap_fraction=0.0),
        MockSet(n_train=24, n_validation=8, n_test=8, shard_size=32),
        workers=1,
        progress=False,
        backgrounds=backgrounds,
    )
    info = read_set(made)
    assert info.splits == {"train": 24, "validation": 8, "test": 8}
    for shards in info.shards.values():
        for path, _ in shards:
            for record in read_shard(path):
                background = record["background"].astype(float)
                assert np.isfinite(background).all()
                assert background.std() > 0
                assert np.isfinite(record["background_variance"]).all()
                assert (record["noise_shift_px"] >= 0).all()
                assert (record["noise_shift_px"] <= 0.5).all()
