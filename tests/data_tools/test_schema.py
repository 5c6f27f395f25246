"""The one list of parameters, features, kinds and flags."""

from data_tools.schema import (
    FEATURES,
    FLAGS,
    KINDS,
    PARAMETER_NAMES,
    PARAMETERS,
)


def test_parameters_are_the_whole_joint_in_its_order():
    assert PARAMETER_NAMES == ("log_age", "a_v", "log_mass", "log_half_light_radius")
    assert all(p.low < p.high for p in PARAMETERS)
    assert all(p.label and p.description for p in PARAMETERS)


def test_kind_0_is_a_cluster_and_no_kind_comes_twice():
    assert KINDS[0] == "cluster"
    assert len(set(KINDS)) == len(KINDS)


def test_each_flag_is_a_bit_of_its_own():
    bits = [bit for bit, _ in FLAGS.values()]
    assert all(bit > 0 and bit & (bit - 1) == 0 for bit in bits)
    assert len(set(bits)) == len(bits)


def test_features_give_their_shape_in_numbers():
    sizes = {f.name: f.sizes(px=48, bands=5) for f in FEATURES}
    assert len(sizes) == len(FEATURES)
    assert sizes["cluster"] == sizes["background"] == (48, 48, 5)
    assert sizes["electron_njy"] == (5,)
    assert sizes["parameters"] == (4,)
    assert sizes["kind"] == ()
