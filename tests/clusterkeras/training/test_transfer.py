"""What is carried over answers as before, wherever its bands stand."""

import dataclasses

import keras
import numpy as np
import pytest

from clusterkeras.config import ModelConfig
from clusterkeras.network.model import ClusterModel
from clusterkeras.training.transfer import carry_over
from data_tools.target import Target

SHAPE = ModelConfig(backbone="resnet_centred_small", flow_depth=2, hidden=16)
FOUR = "m83-wfc3-uvis-halpha"


def with_bands(*names):
    target = Target.load(FOUR)
    bands = {band.name: band for band in target.bands}
    return dataclasses.replace(target, bands=tuple(bands[name] for name in names))


@pytest.fixture(scope="module")
def trained():
    keras.utils.set_random_seed(1)
    model = ClusterModel(with_bands("F336W", "F438W", "F814W"), SHAPE)
    for head in model.heads.values():
        head.kernel.assign(30 * head.kernel)
    return model


@pytest.fixture(scope="module")
def light():
    """Return four images of each band, by its name."""
    rng = np.random.default_rng(2)
    row, column = np.mgrid[:64, :64] - 32
    star = np.exp(-(row**2 + column**2) / 8)
    return {
        name: (rng.normal(0, 1, (4, 64, 64)) + rng.uniform(20, 300) * star).astype("f4")
        for name in ("F336W", "F438W", "F657N", "F814W")
    }


def answer(model, light, **known):
    names = model.target.band_names
    images = np.stack([light[name] for name in names], axis=-1)
    told = {k: [v[name] for name in names] for k, v in known.items()}
    return {k: v.numpy() for k, v in model({"images": images, **told}).items()}


KNOWN = {
    "psf_fwhm_px": {"F336W": 2.0, "F438W": 1.8, "F814W": 2.3, "F657N": np.nan},
    "exposure_s": {"F336W": 900.0, "F438W": 1800.0, "F814W": 700.0, "F657N": np.nan},
}


@pytest.mark.parametrize(
    "names",
    [
        ("F336W", "F438W", "F814W"),
        ("F814W", "F336W", "F438W"),
        ("F336W", "F438W", "F657N", "F814W"),
    ],
)
def test_bands_in_another_order_and_dark_new_ones_change_no_answer(
    trained, light, names
):
    model = ClusterModel(with_bands(*names), SHAPE)
    carry_over(trained, model)
    light = {**light, "F657N": 0 * light["F657N"]}
    before, after = answer(trained, light, **KNOWN), answer(model, light, **KNOWN)
    for key in ("posterior", "kinds", "visibility"):
        np.testing.assert_allclose(after[key], before[key], atol=2e-4, err_msg=key)


def test_a_new_band_can_be_learnt(trained, light):
    model = ClusterModel(with_bands("F336W", "F438W", "F657N", "F814W"), SHAPE)
    carry_over(trained, model)
    kernel = model.backbone.get_layer("stem").kernel.numpy()
    assert not kernel[:, :, 2].any()
    assert kernel[:, :, [0, 1, 3]].all()


def test_without_one_band_the_others_keep_what_was_learnt(trained, light):
    model = ClusterModel(with_bands("F814W", "F438W"), SHAPE)
    carry_over(trained, model)
    kernels = [m.backbone.get_layer("stem").kernel.numpy() for m in (trained, model)]
    np.testing.assert_array_equal(kernels[1], kernels[0][:, :, [2, 1]])
    assert np.isfinite(answer(model, light)["posterior"]).all()


def test_other_distance_box_and_side_of_the_cutout_are_no_hindrance(trained, light):
    target = dataclasses.replace(
        Target.load("ngc628-wfc3-uvis"), cutout_px=80, bands=trained.target.bands
    )
    model = ClusterModel(target, SHAPE)
    carry_over(trained, model)
    images = np.stack([light[name] for name in target.band_names], axis=-1)
    wide = np.pad(images, ((0, 0), (8, 8), (8, 8), (0, 0)))
    np.testing.assert_allclose(
        model(wide)["posterior"], trained(images)["posterior"], atol=2e-3
    )


@pytest.mark.parametrize(
    ("names", "shape", "message"),
    [
        (
            ("F657N", "F814W"),
            SHAPE,
            r"a band of \['F657N', 'F814W'\]; received \['F336",
        ),
        (
            ("F336W", "F438W"),
            dataclasses.replace(SHAPE, hidden=8),
            "with the shape .*hidden=8",
        ),
    ],
)
def test_what_has_nothing_in_common_is_refused(names, shape, message):
    two = ClusterModel(with_bands("F336W", "F438W"), SHAPE)
    with pytest.raises(ValueError, match=message):
        carry_over(two, ClusterModel(with_bands(*names), shape))
