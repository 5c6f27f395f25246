"""Isolated stars: which are taken and which are not."""

import dataclasses

import numpy as np
import pytest

from data_tools.imaging.psf import OVERSAMPLING, psf_spectra
from data_tools.imaging.render import Renderer
from data_tools.mosaics.mosaic import open_mosaics
from data_tools.preparation.isolated_stars import (
    STAMP_PX,
    concentration,
    find_stars,
)
from data_tools.preparation.star_selection import StarSelection

SIZE = 320
#: x, y and electrons of the stars that should be found.
GOOD = np.array(
    [(60.3, 50.8, 4e4), (150.0, 61.3, 2e4), (250.7, 70.2, 1e5), (70.1, 160.7, 3e4)]
)


@pytest.fixture(scope="module")
def target(m83):
    return dataclasses.replace(m83, bands=m83.bands[1:])


def paths_and_expected(target, write_band, directory, more=(), change=None):
    """Write mosaics of `GOOD` and more stars; give them and a star's concentration."""
    rng = np.random.default_rng(3)
    x, y, electrons = np.concatenate([GOOD, np.reshape(more, (-1, 3))]).T
    renderer = Renderer(SIZE)
    spectra = psf_spectra(target, renderer.grid, 12, np.array([0.7, 0.5]))
    unit = np.array([band.electron_njy for band in target.bands])
    light = renderer.draw(x, y, electrons[:, None] * unit, spectra) / unit
    # read-out noise: an exact zero would be a missing pixel
    electrons = (
        rng.poisson(light + 80.0) - 80.0 + 5.0 * rng.standard_normal(light.shape)
    )
    if change is not None:
        change(electrons)
    paths = [
        write_band(
            directory / f"{band.name}.fits", electrons[..., i] / band.exposure_s, band
        )
        for i, band in enumerate(target.bands)
    ]
    images = np.fft.fftshift(np.fft.irfft2(spectra), axes=(1, 2))[:, 1:, 1:]
    return paths, [concentration(image, OVERSAMPLING) for image in images]


def found(target, paths, expected, selection=None):
    with open_mosaics(paths, target.band_names, target.pixel_scale_arcsec) as mosaics:
        exposures = [band.n_exposures for band in target.bands]
        return find_stars(mosaics, exposures, expected, selection or StarSelection())


def places(stars):
    return sorted(zip(stars.x.round().tolist(), stars.y.round().tolist(), strict=True))


def expected_places(rows=GOOD):
    return sorted((round(x), round(y)) for x, y, _ in rows)


def test_stars_that_stand_alone_are_found_in_all_bands(target, write_band, tmp_path):
    paths, expected = paths_and_expected(target, write_band, tmp_path)
    for stars in found(target, paths, expected):
        assert places(stars) == expected_places()
        order = np.argsort(-GOOD[:, 2])
        off = np.stack([stars.x, stars.y]) - GOOD[order, :2].T
        # a PSF's peak need not lie on its centre, but lies where it does for all
        assert (np.abs(off.mean(1)) < 0.1).all()
        assert (np.abs(off - off.mean(1, keepdims=True)) < 0.05).all()
        assert stars.stamps.shape == (len(GOOD), STAMP_PX, STAMP_PX)
        # the level around is taken off, and the brightest pixel is the middle one
        edge = stars.stamps[:, 0].mean(1) / stars.stamps.max((1, 2))
        assert (np.abs(edge) < 0.02).all()
        middle = stars.stamps[:, STAMP_PX // 2, STAMP_PX // 2]
        assert (middle == stars.stamps.max((1, 2))).all()


def spoil_with_hole(electrons):
    electrons[155, 72] = np.nan


def spoil_with_cluster(electrons):
    rows, columns = np.indices(electrons.shape[:2])
    radius2 = (rows - 240) ** 2 + (columns - 240) ** 2
    electrons += 4000 * np.exp(-0.5 * radius2 / 2.5**2)[..., None]


def spoil_with_cosmic_ray(electrons):
    electrons[240, 240] += 30_000


@pytest.mark.parametrize(
    ("more", "change", "rows"),
    [
        # a neighbour of a tenth of its light, 8 px away
        ([(158.0, 61.4, 2e3)], None, GOOD[[0, 2, 3]]),
        # one of a hundredth
        ([(158.0, 61.4, 2e2)], None, GOOD),
        # a star at the edge
        ([(8.0, 200.0, 3e4)], None, GOOD),
        # a faint one
        ([(240.0, 240.0, 1e3)], None, GOOD),
        # a saturated one: 60,000 electrons in a pixel of one exposure
        ([(240.0, 240.0, 4e6)], None, GOOD),
        ([], spoil_with_hole, GOOD[:3]),
        ([], spoil_with_cluster, GOOD),
        ([], spoil_with_cosmic_ray, GOOD),
    ],
)
def test_what_is_no_isolated_star_is_left_out(
    target, write_band, tmp_path, more, change, rows
):
    paths, expected = paths_and_expected(target, write_band, tmp_path, more, change)
    for stars in found(target, paths, expected):
        assert places(stars) == expected_places(rows)


def test_brightest_are_kept_where_there_are_too_many(target, write_band, tmp_path):
    paths, expected = paths_and_expected(target, write_band, tmp_path)
    stars = found(target, paths, expected, StarSelection(max_stars=2))[0]
    assert places(stars) == expected_places(GOOD[[0, 2]])


def test_mosaic_without_stars_gives_none(target, write_band, tmp_path):
    def empty(electrons):
        electrons[:] = np.random.default_rng(4).normal(0, 5, electrons.shape)

    paths, expected = paths_and_expected(target, write_band, tmp_path, change=empty)
    assert [len(stars.x) for stars in found(target, paths, expected)] == [0, 0]
