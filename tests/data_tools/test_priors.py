"""Priors: defaults hold, every bad share and range is refused by name."""

import pytest

from data_tools.priors import Priors


def test_the_default_shares_of_negatives_add_up():
    assert sum(Priors().negatives.values()) == pytest.approx(1)


def test_a_band_without_a_blur_of_its_own_has_the_common_one():
    priors = Priors()
    assert priors.blur_range("F336W") == priors.drizzle_blur_px["F336W"]
    assert priors.blur_range("F555W") == (0.5, 1.0)


def test_clusters_alone_need_no_negatives():
    assert Priors(cluster_fraction=1.0, negatives={}).negatives == {}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cluster_fraction": 1.2}, "cluster_fraction"),
        ({"cluster_fraction": -0.1}, "cluster_fraction"),
        ({"king_fraction": 2.0}, "king_fraction"),
        ({"sky_residual": -0.5}, "sky_residual"),
        ({"negatives": {"comet": 1.0}}, "negatives must be shares .*comet"),
        ({"negatives": {"cluster": 1.0}}, "negatives must be shares"),
        ({"negatives": {"blend": -1.0}}, "negatives must be shares"),
        ({"negatives": {"blend": 0.0}}, "must not all be zero"),
        ({"centre_offset_px": 9.0}, "centre_offset_px"),
        ({"eff_eta": (1.0, 3.0)}, "eff_eta"),
        ({"eff_eta": (3.0, 1.2)}, r"eff_eta .*received \(3.0, 1.2\)"),
        ({"king_log_concentration": (0.0, 2.0)}, "king_log_concentration"),
        ({"feh_offset": (-4.0, 0.0)}, "feh_offset"),
        ({"r_v": (1.0, 3.1)}, "r_v"),
        ({"binary_fraction": (0.0, 1.1)}, "binary_fraction"),
        ({"a_v_scatter": (-0.1, 0.5)}, "a_v_scatter"),
        ({"nebular_covering": (-0.1, 1.0)}, "nebular_covering"),
        ({"nebular_radius_pc": (0.0, 30.0)}, "nebular_radius_pc"),
        ({"a_v_front": (0.0, 0.9)}, "a_v_front"),
        ({"segregation": (0.5, 1.2)}, "segregation"),
        ({"axis_ratio": (0.0, 1.0)}, "axis_ratio"),
        ({"host_fraction": 1.2}, "host_fraction"),
        ({"young_stars_fraction": -0.1}, "young_stars_fraction"),
        ({"extinction_laws": ("CCM89", "K1")}, "extinction_laws must be among .*'K1'"),
        (
            {"drizzle_blur_px": {"F336W": (0.5, 9.0)}},
            "drizzle_blur_px must be a mapping",
        ),
        ({"zero_point_mag": 2.0}, "zero_point_mag"),
        ({"exposure_factor": (-3.0, 0.0)}, "exposure_factor"),
        ({"field_old_mass_density": (0.0, 5.0)}, "field_old_mass_density"),
        ({"field_sfr_density": (-7.0, 0.0)}, "field_sfr_density"),
        ({"field_dust_a_v": (0.0, 2.0)}, "field_dust_a_v"),
        ({"field_association_share": (0.5, 1.5)}, "field_association_share"),
        ({"field_arm_fraction": 1.5}, "field_arm_fraction"),
        ({"field_arm_contrast": (-0.5, 1.0)}, "field_arm_contrast"),
        ({"field_bulge_fraction": -0.1}, "field_bulge_fraction"),
        ({"field_bulge_mass_density": (2.0, 9.0)}, "field_bulge_mass_density"),
        ({"foreground_a_v": -0.1}, "foreground_a_v"),
        ({"field_px": 100}, "field_px .*received 100"),
        ({"field_px": 136}, "field_px .*received 136"),
        ({"mocks_per_field": 0}, "mocks_per_field .*received 0"),
    ],
)
def test_a_bad_value_is_refused_by_name(values, message):
    with pytest.raises(ValueError, match=f"^priors: .*{message}"):
        Priors(**values)
