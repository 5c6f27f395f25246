"""Targets: what ships, what YAML gives, what is refused."""

import dataclasses

import numpy as np
import pytest
import yaml

from data_tools.priors import Priors
from data_tools.target import Band, Target, ab_to_njy, ab_zero_point, njy_to_ab


def changed(m83, **values):
    return {**m83.to_dict(), **values}


def test_the_shipped_target_is_m83_in_three_bands(m83):
    assert m83.band_names == ("F336W", "F438W", "F814W")
    # science.md: 4.5 Mpc, m-M = 28.27, 1 arcsec = 21.8 pc
    assert m83.distance_modulus == pytest.approx(28.27, abs=0.005)
    assert m83.pc_per_arcsec == pytest.approx(21.8, abs=0.05)


def test_one_electron_follows_the_zero_point_of_the_header(m83):
    # AB zero point = Vega zero point + AB magnitude of Vega: science.md, section 3
    for band, zero_point in zip(m83.bands, (24.668, 24.824, 25.099), strict=True):
        njy = 3.631e12 * 10 ** (-0.4 * zero_point)
        assert band.njy_per_electron_s == pytest.approx(njy, rel=0.02)
        assert band.electron_njy == band.njy_per_electron_s / band.exposure_s


#: STScI's notebook "Calculating WFC3 Zeropoints with STSynphot" (2024), section 6, for
#: UVIS1 on MJD 55008 through 6 arcsec: PHOTPLAM [Å], PHOTFLAM [erg / (cm2 Å e-)], AB.
PUBLISHED = {
    "F225W": (2372.053, 4.5688e-18, 24.067),
    "F275W": (2709.689, 3.2206e-18, 24.158),
    "F336W": (3354.492, 1.2848e-18, 24.692),
    "F814W": (8039.056, 1.4994e-19, 25.126),
    "F850LP": (9176.126, 3.7052e-19, 23.857),
    "F953N": (9530.579, 8.0946e-18, 20.426),
}


@pytest.mark.parametrize("band", PUBLISHED)
def test_zero_points_are_those_that_stsci_publishes(band):
    photplam, photflam, published = PUBLISHED[band]
    # STScI rounds to 0.001 mag, and PHOTFLAM to 5 digits
    assert ab_zero_point(photflam, photplam) == pytest.approx(published, abs=1.2e-3)


def test_magnitude_and_flux_are_each_other_s_inverse():
    # 1 nJy is 31.4 mag, 1 Jy 8.9 mag, by 3631 Jy at magnitude 0
    assert njy_to_ab(1.0) == pytest.approx(31.400, abs=1e-3)
    assert njy_to_ab(1e9) == pytest.approx(8.900, abs=1e-3)
    magnitude = np.linspace(10, 30, 9)
    np.testing.assert_allclose(njy_to_ab(ab_to_njy(magnitude)), magnitude, rtol=1e-13)


def test_a_target_survives_its_yaml(m83, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(m83.to_dict()))
    assert Target.load(path) == m83
    assert Target.load(str(path)) == m83


def test_a_box_in_another_order_is_brought_into_the_parameters_order(m83):
    box = dict(reversed(m83.to_dict()["box"].items()))
    assert list(Target.from_dict(changed(m83, box=box)).box) == list(m83.box)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": ""}, "name must be a name, not empty"),
        ({"name": "../evil"}, "name must be a name, not empty"),
        ({"distance_mpc": -1.0}, "distance_mpc must be a number > 0.*; received -1.0"),
        ({"bands": []}, "at least two different ones"),
        ({"bands": [{"name": "F336W"}]}, "required: exposure_s"),
        ({"bands": ["F336W", "F814W"]}, "a list of mappings"),
        ({"pixel_scale_arcsec": 40.0}, ">= 0.005, at most 1; received 40.0"),
        ({"cutout_px": 60}, "a multiple of 8 >= 16, .*; received 60"),
        ({"cutout_px": 8}, "a multiple of 8 >= 16, .*; received 8"),
        ({"extinction_law": "SMC"}, "one of .*CCM89.*; received 'SMC'"),
        ({"isochrones_format": "padova"}, "one of .*parsec.*; received 'padova'"),
        ({"psf": {"F555W": "psf.fits"}}, "psf must be a mapping keyed by .*F336W"),
        (
            {"box": {"log_age": [6, 8]}},
            "box must be a mapping of .*log_half_light_radius",
        ),
        ({"distance": 4.5}, "unknown key 'distance'; nearest to it: distance_mpc"),
    ],
)
def test_a_bad_value_is_refused_by_name(m83, values, message):
    with pytest.raises(ValueError, match=f"^target: .*{message}"):
        Target.from_dict(changed(m83, **values))


def test_the_same_band_twice_is_refused(m83):
    with pytest.raises(ValueError, match="at least two different ones"):
        dataclasses.replace(m83, bands=(m83.bands[0], m83.bands[0]))


def test_a_range_upside_down_is_refused(m83):
    with pytest.raises(ValueError, match=r"box.a_v must be \(low, high\) with 0 <="):
        dataclasses.replace(m83, box={**m83.box, "a_v": (4.0, 0.0)})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("name", "", "bands.name must be a name, not empty"),
        ("exposure_s", 0.0, "exposure_s must be a number > 0"),
        ("n_exposures", 0, ">= 1"),
        ("photflam", -1e-18, "photflam must be a number >= 1e-25"),
        ("photplam", 0.0, "photplam must be a number >= 100"),
        ("sky_electrons_s", -0.1, "sky_electrons_s must be a number >= 0"),
    ],
)
def test_a_bad_band_is_refused_by_name(m83, name, value, message):
    values = {**dataclasses.asdict(m83.bands[0]), name: value}
    with pytest.raises(ValueError, match=message):
        Band(**values)


def test_an_unknown_target_names_those_that_ship(tmp_path):
    with pytest.raises(FileNotFoundError, match="m83-wfc3-uvis"):
        Target.load("m31")
    with pytest.raises(FileNotFoundError, match="m83-wfc3-uvis"):
        Target.load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "YAML"),
        ("just words", "expected a YAML mapping"),
        ("", "received an empty file"),
        ("name: a\nname: b", "line 2, column 1: 'name' is given twice"),
        ("speed: 3", "speed"),
        ("distance_mpc: far", "distance_mpc: expected a number; received far"),
    ],
)
def test_a_bad_file_names_itself(tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"bad\.yaml.*{message}"):
        Target.load(path)


@pytest.mark.parametrize("name", ["0123", "1e5", "no", "on", "2026-11-29", "null"])
def test_names_are_text_and_numbers_numbers_as_they_are_written(m83, tmp_path, name):
    values = changed(m83, name="NAME")
    values["bands"][1] |= {"name": "NAME", "photflam": "NUMBER"}
    path = tmp_path / "mine.yaml"
    text = yaml.safe_dump(values)
    path.write_text(text.replace("NAME", name).replace("NUMBER", "7e-19"))
    target = Target.load(path)
    assert target.name == target.bands[1].name == name
    assert target.bands[1].photflam == 7e-19


def test_a_distance_s_uncertainty_is_kept_and_checked(m83):
    assert m83.distance_uncertainty_mpc == 0.3
    assert Target.from_dict(m83.to_dict()) == m83
    without = dataclasses.replace(m83, distance_uncertainty_mpc=None)
    assert "distance_uncertainty_mpc" not in without.to_dict()
    assert Target.from_dict(without.to_dict()) == without
    with pytest.raises(ValueError, match="distance_uncertainty_mpc must be between 0"):
        dataclasses.replace(m83, distance_uncertainty_mpc=5.0)


def test_what_a_target_fixes_is_not_drawn(m83):
    fixed = dataclasses.replace(m83, priors={"r_v": [3.1, 3.1], "foreground_a_v": 0.11})
    assert Target.from_dict(fixed.to_dict()) == fixed
    priors = Priors(zero_point_mag=0.02).fixed_by(fixed)
    assert priors.r_v == (3.1, 3.1)
    assert (priors.foreground_a_v, priors.zero_point_mag) == (0.11, 0.02)
    assert Priors().fixed_by(m83) == Priors()


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"rv": 3.1}, "priors: unknown key 'rv'; nearest to it: r_v"),
        ({"r_v": [1.0, 3.1]}, "r_v must be"),
        ({"r_v": "grey"}, "r_v"),
    ],
)
def test_what_no_prior_is_called_cannot_be_fixed(m83, own, message):
    with pytest.raises(ValueError, match=message):
        Priors().fixed_by(dataclasses.replace(m83, priors=own))


def test_files_of_before_that_fix_binaries_are_read(m83):
    plain = {**m83.to_dict(), "binary_fraction": 0.3}
    assert Target.from_dict(plain).priors == {"binary_fraction": [0.3, 0.3]}
