"""The files, picture and lines of PSFs made from stars."""

import numpy as np
import pytest
import yaml
from matplotlib.image import imread

from data_tools.imaging.psf import psf_spectra
from data_tools.imaging.render import Renderer
from data_tools.preparation.psf_from_stars import StarPsf
from data_tools.preparation.psf_report import PICTURE, draw, make_psfs
from data_tools.preparation.star_selection import StarSelection
from data_tools.target import Target


@pytest.fixture
def images(m83, write_band, tmp_path):
    """Write mosaics with 12 stars."""
    rng = np.random.default_rng(2)
    renderer = Renderer(256)
    spectra = psf_spectra(m83, renderer.grid, 30, np.array([1.1, 0.8, 0.6]))
    x, y = np.indices((4, 3)).reshape(2, -1) * 60.0 + 36 + rng.uniform(0, 1, (2, 12))
    unit = np.array([band.electron_njy for band in m83.bands])
    light = renderer.draw(x, y, np.full((12, 1), 4e4) * unit, spectra) / unit
    counts = rng.poisson(light + 50.0) - 50.0 + 5.0 * rng.standard_normal(light.shape)
    return [
        write_band(
            tmp_path / f"{band.name}.fits", counts[..., i] / band.exposure_s, band
        )
        for i, band in enumerate(m83.bands)
    ]


def test_lines_say_what_was_made_and_how_a_target_names_it(m83, images, tmp_path):
    output = tmp_path / "psf"
    lines = make_psfs(images, m83, output, StarSelection())
    for band, line in zip(m83.band_names, lines, strict=False):
        assert line.startswith(f"{band}: 12 stars, which are few; FWHM px ")
        assert 'within 0.12" 0.' in line and "(shipped 0." in line
    named = yaml.safe_load(next(line for line in lines if line.startswith("  psf:")))
    target = Target.from_dict({**m83.to_dict(), **named})
    own = psf_spectra(target, 128, 0, np.zeros(3))
    shipped = psf_spectra(m83, 128, 0, np.array([1.1, 0.8, 0.6]))
    # the same light through both, to a percent
    assert np.allclose(own[:, 0, 0].real, shipped[:, 0, 0].real, rtol=0.01)

    picture = imread(output / PICTURE)
    assert picture.shape[0] > 900 and picture[..., :3].std() > 0.1
    blur = yaml.safe_load(lines[-1].split(maxsplit=1)[1].strip("'"))
    assert blur == {name: [0, 0] for name in m83.band_names}


def test_the_picture_has_the_same_ticks_along_both_axes_and_names_units_in_brackets():
    image = np.exp(-(np.hypot(*np.mgrid[-99:100, -99:100]) ** 2) / 50)
    psfs = [StarPsf(band, image, image, 30) for band in ("F336W", "F438W")]
    figure = draw(psfs, 0.04)
    for axes in figure.axes:
        assert axes.get_xlabel().endswith(" [arcsec]")
        if axes.images:
            assert list(axes.get_xticks()) == list(axes.get_yticks())
            assert axes.get_ylabel() == "y [arcsec]"
