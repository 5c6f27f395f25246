import dataclasses

import numpy as np
import pytest
import scipy.fft

from clusterkeras.evaluation.shifts.kinds import (
    NOMINAL,
    RANGES,
    SHIFTS,
    UserFiles,
    broader_psf,
    choose,
    missing,
    mock_set,
    settings,
)
from data_tools.imaging.psf import psf_spectra
from data_tools.priors import Priors
from data_tools.records.plan import MockSet, Plan
from data_tools.records.shard_file import read_shard
from data_tools.records.shards import ShardMaker
from data_tools.records.simulate import simulate

BY_NAME = {shift.name: shift for shift in SHIFTS}
PRIORS = Priors(
    field_px=128,
    mocks_per_field=8,
    # of M83's mosaics: with less blur the core is no Gaussian
    drizzle_blur_px={"F336W": (0.9, 1.4), "F438W": (0.6, 1.0), "F814W": (0.4, 0.8)},
)


def fwhm(spectrum):
    """Return a PSF's full width at half maximum in pixels, the mean of x and y."""
    n = len(spectrum)
    # 16 times finer by more frequencies, all of them zero
    fine = np.zeros((16 * n, 8 * n + 1), complex)
    half = n // 2
    fine[:half, : half + 1], fine[-half:, : half + 1] = (
        spectrum[:half],
        spectrum[-half:],
    )
    image = scipy.fft.irfft2(fine)
    inside = [
        np.count_nonzero(row > image[0, 0] / 2) for row in (image[0], image[:, 0])
    ]
    return np.mean(inside) / 16 / 2


def test_names_are_unique_and_the_nominal_set_is_first():
    assert len(BY_NAME) == len(SHIFTS)
    assert SHIFTS[0].name == NOMINAL
    assert all(shift.description for shift in SHIFTS)


@pytest.mark.parametrize("name", [name for name, *_ in RANGES])
def test_the_ends_of_a_shift_are_those_of_the_prior_and_one_is_beyond(name, m83):
    drawn = getattr(Priors(), name)
    fixed = dataclasses.replace(m83, priors={name: drawn})
    values = {}
    for end in ("least", "most", "beyond"):
        if f"{name}_{end}" in BY_NAME:
            _, priors = BY_NAME[f"{name}_{end}"].change(m83, Priors())
            values[end] = np.ravel(getattr(priors, name))[0]
            # also where the target fixes it
            target, priors = BY_NAME[f"{name}_{end}"].change(fixed, Priors())
            there = np.ravel(getattr(priors.fixed_by(target), name))
            assert (there == values[end]).all()
    if isinstance(drawn, tuple):
        assert {values["least"], values["most"]} == set(drawn)
    low, high = np.sort([values["least"], values.get("most", drawn)])
    assert not low <= values.get("beyond", np.inf) <= high


def test_shifts_are_chosen_by_name_with_the_nominal_set():
    assert [s.name for s in choose(("king", "blank"))] == [NOMINAL, "king", "blank"]
    assert choose() == SHIFTS
    with pytest.raises(ValueError, match=r"expected names among .*received \['kin'\]"):
        choose(("kin",))


def test_each_simulated_shift_changes_target_priors_or_backgrounds(m83):
    given = UserFiles(isochrones="other.dat")
    nominal = settings(BY_NAME[NOMINAL], m83, PRIORS, given)
    assert nominal == {"target": m83, "priors": PRIORS, "backgrounds": None}
    for shift in SHIFTS[1:]:
        changed = settings(shift, m83, PRIORS, given) != nominal
        assert changed == (shift.simulated and shift.name != "real_background")


@pytest.mark.parametrize("end", [0, 1])
def test_the_broader_psf_is_fifteen_per_cent_broader(m83, end):
    _, broader = broader_psf(m83, PRIORS)
    widths = []
    for priors in (PRIORS, broader):
        blur = np.array([priors.blur_range(b)[end] for b in m83.band_names])
        widths.append([fwhm(s) for s in psf_spectra(m83, 64, 28, blur)])
    ratio = np.divide(*widths[::-1])
    # the core is no Gaussian, so its width does not add quite in quadrature
    np.testing.assert_allclose(ratio, 1.15, atol=0.04)


def test_what_only_a_user_can_give_is_said_to_be_missing(m83):
    for name, word in (("real_background", "--images"), ("isochrones", "--isochrones")):
        assert word in missing(BY_NAME[name], m83, PRIORS, UserFiles())
    assert not missing(BY_NAME["king"], m83, PRIORS, UserFiles())
    low = dataclasses.replace(m83, feh=-0.4)
    assert "not to -0.65" in missing(BY_NAME["feh_low"], low, PRIORS, UserFiles())


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return 50 + rng.standard_normal((3, 64, 64, 3)).astype(np.float32)


def changed(name, images, target):
    return BY_NAME[name].images(images, target, np.random.default_rng(1))


def test_image_shifts_do_what_they_say(m83, images):
    shapes = {changed(s.name, images, m83).shape for s in SHIFTS if s.images}
    assert shapes == {images.shape}
    fainter = changed("zero_points", images, m83)
    np.testing.assert_allclose(-2.5 * np.log10(fainter / images), 0.1, rtol=1e-4)
    first = changed("zero_point_first", images, m83)
    np.testing.assert_array_equal(first[..., 1:], images[..., 1:])
    np.testing.assert_allclose(first[..., 0], fainter[..., 0])
    off = changed("centre", images, m83)
    np.testing.assert_array_equal(off[:, :, 2:], images[:, :, :-2])
    assert np.median(changed("sky_subtracted", images, m83)) == pytest.approx(
        0, abs=1e-5
    )
    np.testing.assert_array_equal(
        changed("bands_reversed", images, m83)[..., 0], images[..., 2]
    )
    assert not changed("blank", images, m83).any()
    noise = changed("noise", images, m83)
    assert noise.mean() == pytest.approx(50, abs=0.1)
    assert noise.std() == pytest.approx(1, rel=0.05)


def test_what_is_never_drawn_is_dust_over_half_a_ramp_and_one_band_smeared(m83, images):
    lane = -2.5 * np.log10(changed("dust_lane", images, m83) / images)
    # A_V 1 of a hot star: 1.64, 1.33, 0.61 mag (CCM89), over half of each image
    np.testing.assert_allclose(
        lane.max(axis=(1, 2)), [[1.64, 1.34, 0.61]] * len(images), atol=0.02
    )
    assert (lane > 0.3).mean() == pytest.approx(0.5, abs=0.03)

    ramp = changed("gradient", images, m83) - images
    # the fixture's noise is one nJy
    assert ramp.min() >= 0
    assert ramp.max() <= 3.2
    np.testing.assert_allclose(ramp.mean(axis=(1, 2)), 1.5, rtol=0.1)

    star = images.copy()
    star[:, 32, 32] += 300
    smeared = changed("misaligned", star, m83)
    np.testing.assert_array_equal(smeared[..., 1:], star[..., 1:])
    row = smeared[:, 32, 31:34, 0].mean(axis=0)
    np.testing.assert_allclose(row, 150, rtol=0.05)
    far = smeared[:, :20, :, 0]
    assert far.std() == pytest.approx(images[:, :20, :, 0].std(), rel=0.05)


def test_a_saturated_image_has_a_full_core_and_columns(m83, images):
    saturated = changed("saturated", images, m83)
    band = m83.bands[0]
    full = 65_000 * band.n_exposures * band.njy_per_electron_s / band.exposure_s
    np.testing.assert_allclose(saturated[:, 30:34, 30:34, 0], full, rtol=1e-5)
    np.testing.assert_allclose(saturated[:, :, 31, 0], full, rtol=1e-5)
    np.testing.assert_array_equal(saturated[:, :20, :20], images[:, :20, :20])


def records(target, priors, paired=True, seed=0):
    maker = ShardMaker(Plan(target, priors, mock_set(16, seed), paired=paired))
    return list(maker.mocks(maker.plan.shards[0]))


def test_sets_that_differ_in_one_thing_have_the_same_clusters(m83):
    shifts = [
        settings(BY_NAME[n], m83, PRIORS, UserFiles()) for n in ("king", "depth_halved")
    ]
    nominal = records(m83, PRIORS)
    for shift in shifts:
        other = records(shift["target"], shift["priors"])
        for name in ("parameters", "kind", "centre", "mock_id"):
            for one, two in zip(nominal, other, strict=True):
                np.testing.assert_array_equal(one[name], two[name], err_msg=name)
    assert any(
        not np.array_equal(a["cluster"], b["cluster"])
        for a, b in zip(nominal, other, strict=True)
    )


def test_a_pair_s_draws_depend_on_the_seed(m83):
    one, two = records(m83, PRIORS), records(m83, PRIORS, seed=1)
    assert not np.array_equal(one[0]["parameters"], two[0]["parameters"])


def test_a_paired_set_is_told_from_another(m83, tmp_path):
    mocks = MockSet(n_train=4, n_validation=0, n_test=0)
    path = simulate(
        tmp_path / "set", m83, PRIORS, mocks, workers=1, progress=False, paired=True
    )
    (shard,) = path.glob("*.tfrecord-*")
    first = next(read_shard(shard))
    np.testing.assert_allclose(
        first["parameters"], records(m83, PRIORS)[0]["parameters"]
    )
    with pytest.raises(ValueError, match="paired: True there, None now"):
        simulate(path, m83, PRIORS, mocks, workers=1, progress=False)
