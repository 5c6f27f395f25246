"""Blemishes: cosmic rays in one band, strips and edges without data."""

import numpy as np
import pytest

from data_tools.mocks.blemishes import blemished, cosmic_rays, missing
from data_tools.priors import Priors

ELECTRON = np.array([0.3, 0.2, 0.1])
RNG = np.random.default_rng


def tracks(n=3000):
    """Return the light of single tracks, in electrons of the band that has them."""
    rng, found = RNG(0), []
    while len(found) < n:
        light, count = cosmic_rays(64, ELECTRON, rng)
        if count == 1:
            found.append((light / ELECTRON).sum(-1))
    return np.array(found)


def test_tracks_are_in_one_band_and_as_large_as_on_the_detector():
    light, _ = cosmic_rays(64, ELECTRON, RNG(1))
    assert (light.any((0, 1))).sum() == 1
    found = tracks(400)
    # most cover 4 or 5 pixels (WFC3 Instrument Handbook, section 5.4.10)
    size = (found > 0.03 * found.sum((1, 2), keepdims=True)).sum((1, 2))
    assert 4 <= np.median(size) <= 5


def test_charges_have_the_cut_off_and_the_median_of_the_detector(monkeypatch):
    from data_tools.mocks import blemishes

    monkeypatch.setattr(blemishes, "_LOG_LEFT", (0.0, 0.0))
    charge = tracks(800).sum((1, 2))
    # some run out of the cutout
    assert np.percentile(charge, 4) == pytest.approx(500, rel=0.1)
    assert np.median(charge) == pytest.approx(1000, rel=0.1)


def test_gaps_leave_the_middle_and_are_strips_or_sides_of_one_band_or_all():
    rng = RNG(2)
    gaps = [missing(64, 3, rng) for _ in range(400)]
    # a catalogue wants data within 5 pixels around the position
    assert not any(gap[29:35, 29:35].any() for gap in gaps)
    bands = np.array([gap.any((0, 1)).sum() for gap in gaps])
    assert set(bands) <= {0, 1, 3}
    assert np.mean(bands == 3) == pytest.approx(0.5, abs=0.1)
    whole = np.array([gap[..., gap.any((0, 1)).argmax()].mean() for gap in gaps])
    assert 0.4 < whole.max() < 0.5
    # the gap between the chips is 1.2 arcsec wide, 31 pixels, at most
    corners = [gap[[0, 0, -1, -1], [0, -1, 0, -1]].any() for gap in gaps]
    assert 0.5 < np.mean(corners) < 1


def test_shares_are_those_of_the_priors_and_what_is_drawn_is_told():
    background = np.zeros((64, 64, 3), np.float32)
    priors = Priors(cosmic_ray_fraction=0.3, gap_fraction=0.2)
    rng = RNG(3)
    drawn = [blemished(background, ELECTRON, priors, rng) for _ in range(500)]
    assert not background.any()
    rays = np.array([d["cosmic_rays"] for _, d in drawn])
    gaps = np.array([d["missing"] for _, d in drawn])
    assert np.mean(rays > 0) == pytest.approx(0.3, abs=0.06)
    assert np.mean(gaps > 0) == pytest.approx(0.2, abs=0.06)
    for image, told in drawn:
        assert np.isnan(image).mean() == pytest.approx(told["missing"])
        assert bool(np.nanmax(image) > 0) >= (told["cosmic_rays"] > 4)
        if not any(told.values()):
            assert image is background


def test_without_blemishes_a_background_is_left_as_it_is():
    background = np.ones((64, 64, 3), np.float32)
    off = Priors(cosmic_ray_fraction=0.0, gap_fraction=0.0)
    assert all(
        blemished(background, ELECTRON, off, RNG(i))[0] is background for i in range(50)
    )
