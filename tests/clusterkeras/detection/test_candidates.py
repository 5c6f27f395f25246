"""Candidates on a mosaic."""

import numpy as np
import pytest
from astropy.table import QTable

from clusterkeras.config import DetectionConfig
from clusterkeras.detection import candidates as detection
from clusterkeras.detection.candidates import detect, tiles
from data_tools.fields.galaxy_field import FINDER, SEPARATION_PX

SHAPE = (240, 300)
#: x, y, electrons/s, Gaussian sigma in pixels: two stars, a blend's pair, an
#: extended cluster, one at the edge.
SOURCES = (
    (60.3, 50.6, 20.0, 0.9),
    (151.5, 118.25, 30.0, 1.1),
    (200.0, 60.0, 20.0, 0.9),
    (206.0, 60.0, 25.0, 0.9),
    (100.0, 180.0, 80.0, 4.5),
    (5.0, 120.0, 20.0, 0.9),
)


def sky(rng, sources=SOURCES, shape=SHAPE):
    """Return one band: a sloping background, noise and Gaussian sources."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = 1 + 0.002 * x + rng.normal(0, 0.1, shape)
    for x0, y0, flux, sigma in sources:
        r2 = (x - x0) ** 2 + (y - y0) ** 2
        image += flux * np.exp(-r2 / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    return image


@pytest.fixture
def rates():
    rng = np.random.default_rng(3)
    return np.stack([sky(rng) for _ in range(3)])


@pytest.fixture
def find(tmp_path, write_band, m83):
    def run(rates, output="candidates.ecsv", **settings):
        images = [
            write_band(tmp_path / f"{band.name}.fits", rate, band)
            for band, rate in zip(m83.bands, rates, strict=True)
        ]
        config = DetectionConfig(**settings)
        return detect(images, tmp_path / output, m83, config, progress=False)

    return run


def distance_to(table, x, y):
    return np.hypot(table["x"].value - x, table["y"].value - y)


@pytest.mark.parametrize(("x", "y", "flux", "sigma"), SOURCES)
def test_each_source_is_found_once_at_its_place(find, rates, x, y, flux, sigma):
    table = find(rates)
    distance = distance_to(table, x, y)
    assert distance.min() < (0.3 if sigma < 2 else 1.5)
    assert (distance < max(3, 1.5 * sigma)).sum() == 1


def test_noise_alone_gives_hardly_a_candidate(find):
    rng = np.random.default_rng(4)
    # 5 sigma of a smoothed image, 72,000 pixels, three widths: about 0.02 expected
    assert len(find([sky(rng, sources=()) for _ in range(3)])) <= 1


def test_a_source_too_faint_for_one_band_is_found_in_all_together(find):
    faint = ((150.0, 120.0, 1.5, 1.0),)
    rng = np.random.default_rng(5)
    bands = [sky(rng, faint) for _ in range(3)]
    assert distance_to(find(bands), 150, 120).min() < 1
    empty = [bands[0], *(sky(rng, ()) for _ in range(2))]
    alone = find(empty)
    assert not len(alone) or distance_to(alone, 150, 120).min() > 3


def test_fluxes_are_those_of_the_sources(find, rates, m83):
    table = find(rates)
    row = table[distance_to(table, 151.5, 118.25).argmin()]
    for band in m83.bands:
        # a Gaussian of sigma 1.1 px has all but 3e-5 of its light within 5 px
        expected = 30.0 * band.njy_per_electron_s
        # 79 pixels of noise 0.1
        error = 5 * np.sqrt(79) * 0.1 * band.njy_per_electron_s
        assert row[f"flux_{band.name}"].value == pytest.approx(expected, abs=error)


def test_an_area_without_data_has_no_candidates_and_harms_no_other(find, rates):
    whole = find(rates)
    rates[:, :, 210:] = np.nan
    rates[1, :90, :90] = np.nan
    table = find(rates)
    assert table["x"].max().value < 210
    for x, y, _, _ in SOURCES:
        assert distance_to(table, x, y).min() < 1.5
    assert len(table) <= len(whole) + 1


def test_noise_beside_gaps_gives_no_more_candidates_than_elsewhere(find):
    rng = np.random.default_rng(6)
    rates = np.stack([sky(rng, sources=()) for _ in range(3)])
    rates[:, :, np.arange(SHAPE[1]) % 16 < 8] = np.nan
    # 3.5 sigma, 36,000 pixels, three widths: about ten by chance
    assert len(find(rates, threshold=3.5)) < 20


def test_tiles_give_the_candidates_of_the_whole(find, rates, monkeypatch):
    whole = find(rates, threshold=4)
    monkeypatch.setattr(detection, "TILE_PX", 100)
    assert len(tiles(SHAPE, 48)) > 4
    tiled = find(rates, threshold=4)
    for row in whole[whole["snr"] > 6]:
        assert distance_to(tiled, row["x"].value, row["y"].value).min() < 0.1
    assert abs(len(tiled) - len(whole)) <= 1


@pytest.mark.parametrize("shape", [(100, 100), (2048, 2048), (5000, 8500), (1, 1025)])
def test_tiles_cover_the_mosaic_once(shape):
    count = np.zeros(shape, dtype=np.uint8)
    for rows, columns in tiles(shape, 48):
        count[rows, columns] += 1
        assert rows.start % 48 == 0
        assert max(rows.stop - rows.start, columns.stop - columns.start) <= 1600
    assert count.min() == count.max() == 1


def test_only_the_strongest_are_kept_if_asked(find, rates):
    table = find(rates, max_candidates=2)
    assert len(table) == 2
    assert table["snr"][0] >= table["snr"][1]
    assert table["snr"].min() > 20


def test_candidates_closer_than_the_separation_are_one(find, rates):
    table = find(rates, min_separation_px=8.0)
    near = distance_to(table, 203, 60) < 6
    assert near.sum() == 1
    assert distance_to(table, 206, 60).min() < 0.3


def test_the_written_table_is_the_one_returned(find, rates, tmp_path):
    table = find(rates)
    read = QTable.read(tmp_path / "candidates.ecsv")
    assert read.colnames == table.colnames
    np.testing.assert_allclose(read["ra"].value, table["ra"].value)
    assert str(read["flux_F336W"].unit) == "nJy"
    assert all(read[name].info.description for name in read.colnames)
    assert read.meta["images"] == ["F336W.fits", "F438W.fits", "F814W.fits"]


def test_a_mosaic_without_data_gives_an_empty_table(find):
    assert len(find(np.full((3, *SHAPE), np.nan))) == 0


def test_an_output_of_unknown_format_is_refused_before_the_work(find, rates):
    with pytest.raises(ValueError, match=r"name of a table to end in .ecsv or"):
        find(rates, output="candidates.doc")


def test_mocks_take_the_peaks_of_fields_as_the_finder_takes_candidates():
    default = DetectionConfig()
    assert {name: getattr(default, name) for name in FINDER} == FINDER
    assert default.min_separation_px == SEPARATION_PX
