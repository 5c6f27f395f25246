import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from clusterkeras.config import POSTERIORS, ModelConfig
from clusterkeras.network.backbones import convolve_in_bfloat16
from clusterkeras.network.layers.scaling import JointAsinh
from clusterkeras.network.model import ClusterModel, model_class
from clusterkeras.network.recalibration import Recalibration
from data_tools.priors import Priors
from data_tools.schema import KINDS, PARAMETER_NAMES

CONFIG = ModelConfig(
    backbone="resnet_tiny",
    posterior="mixture",
    components=3,
    flow_depth=2,
    flow_width=8,
    hidden=16,
)


@pytest.fixture(scope="module", params=POSTERIORS)
def model(request, small_target):
    keras.utils.set_random_seed(2)
    config = dataclasses.replace(CONFIG, posterior=request.param)
    model = model_class(config)(small_target, config)
    for head in model.heads.values():
        head.kernel.assign(100 * head.kernel)  # so that images differ in what they say
    return model


#: What does not depend on the posterior's kind.
of_any_kind = pytest.mark.parametrize("model", ["mixture"], indirect=True)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(3)
    return (
        rng.normal(0, 3, (6, 16, 16, 2)) + rng.gamma(0.1, 50, (6, 16, 16, 2))
    ).astype("f4")


def make_labels(model, n, clusters):
    rng = np.random.default_rng(4)
    low, high = model.joint.low, model.joint.high
    return {
        "parameters": rng.uniform(low, high, (n, 4)).astype("f4"),
        "is_cluster": np.asarray(clusters, "f4"),
        "log_snr": rng.normal(1, 0.5, n).astype("f4"),
        "has_object": np.ones(n, "f4"),
        "kind": np.where(clusters, 0, rng.integers(1, len(KINDS), n)),
    }


def loss_of(model, images, labels):
    model.reset_metrics()
    outputs = model(images, training=False)
    labels = {name: tf.constant(value) for name, value in labels.items()}
    loss = float(model.compute_loss(y=labels, y_pred=outputs))
    return loss, {k: float(v) for k, v in model.get_metrics_result().items()}


def test_input_scaling_keeps_colours_and_is_linear_when_faint():
    layer = JointAsinh(4.0)
    bright, brighter = layer(np.float32([1e4])), layer(np.float32([1e5]))
    # a decade of flux is the same step everywhere above the softening
    assert float(brighter[0] - bright[0]) == pytest.approx(np.log(10) / 4, rel=1e-3)
    assert float(layer(np.float32([0.04]))[0]) == pytest.approx(0.01 / 4, rel=1e-3)
    assert 0.5 < float(layer(np.float32([100.0]))[0]) < 2


def test_input_scaling_survives_the_round_trip(check_round_trip):
    check_round_trip(JointAsinh(2.5), np.float32([[1.0, -3.0, 1e5]]))


def test_input_scaling_refuses_a_softening_that_is_not_positive():
    with pytest.raises(ValueError, match="expected a flux above 0; received -1"):
        JointAsinh(-1)


def test_outputs_are_float32_of_the_documented_shapes(model, images):
    outputs = model(images)
    shapes = {name: tuple(value.shape) for name, value in outputs.items()}
    assert shapes == {
        "posterior": (6, model.joint.n_outputs + 1),
        "presence": (6, 1),
        "kinds": (6, len(KINDS)),
        "visibility": (6, 20 if model.config.posterior == "grid" else 2),
        "features": (6, 32),
        "unlike_mocks": (6,),
        "bad_pixels": (6,),
    }
    assert outputs.pop("bad_pixels").dtype == tf.int32
    assert {value.dtype for value in outputs.values()} == {tf.float32}


def test_the_round_trip_keeps_model_and_posterior(model, images, check_round_trip):
    loaded = check_round_trip(model, images)
    assert loaded.target == model.target
    assert loaded.config == model.config
    expected, found = (made.summarise(images) for made in (model, loaded))
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])


def test_training_starts_at_the_prior(small_target, images):
    model = ClusterModel(small_target, CONFIG)
    labels = make_labels(model, 6, [1] * 6)
    log_prob = model.posterior(model(images)["posterior"]).log_prob(
        np.repeat(labels["parameters"], 1, axis=0)
    )
    volume = np.log(model.joint.high - model.joint.low).sum()
    assert -np.mean(log_prob) == pytest.approx(volume, abs=0.6)


def test_loss_is_the_weighted_sum_of_its_parts(small_target, images):
    model = ClusterModel(small_target, CONFIG, presence_weight=2, visibility_weight=3)
    loss, parts = loss_of(model, images, make_labels(model, 6, [1, 0, 1, 1, 0, 1]))
    expected = parts["nll"] + 2 * parts["presence"] + 3 * parts["visibility"]
    assert loss == pytest.approx(expected, rel=1e-5)


def test_the_kinds_add_up_to_one_and_agree_with_the_presence(model, images):
    sure = Recalibration(presence_temperature=0.5, presence_offset=1.0)
    models = [model]
    if model.config.posterior != "grid":
        models.append(model.recalibrated(sure))
    for one in models:
        outputs = {k: v.numpy() for k, v in one(images).items()}
        shares = np.exp(outputs["kinds"])
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
        p_cluster = 1 / (1 + np.exp(-outputs["presence"][:, 0]))
        np.testing.assert_allclose(shares[:, 0], p_cluster, atol=1e-6)


def test_the_loss_of_the_kinds_is_minus_the_log_of_the_true_one_s_share(model, images):
    labels = make_labels(model, 6, [1, 0, 1, 0, 0, 0])
    _, parts = loss_of(model, images, labels)
    log_shares = model(images)["kinds"].numpy()[np.arange(6), labels["kind"]]
    assert parts["presence"] == pytest.approx(-log_shares.mean(), rel=1e-5)


def test_without_kinds_it_is_the_cross_entropy_of_cluster_or_not(small_target, images):
    model = ClusterModel(small_target, dataclasses.replace(CONFIG, kinds=False))
    labels = make_labels(model, 6, [1, 0, 1, 0, 0, 0])
    del labels["kind"]
    outputs = model(images)
    assert "kinds" not in outputs
    logit = outputs["presence"].numpy()[:, 0]
    _, parts = loss_of(model, images, labels)
    expected = np.log1p(np.exp(-logit * (2 * labels["is_cluster"] - 1)))
    assert parts["presence"] == pytest.approx(expected.mean(), rel=1e-5)


def test_what_is_known_beside_the_pixels_changes_the_answer(small_target, images):
    model, bands = ClusterModel(small_target, CONFIG), images.shape[-1]
    plain = model(images)["posterior"].numpy()
    unknown = {"images": images, "psf_fwhm_px": np.full((6, bands), np.nan, "f4")}
    np.testing.assert_array_equal(model(unknown)["posterior"], plain)
    for name, value in (
        ("psf_fwhm_px", 2.5),
        ("exposure_s", 500.0),
        ("stellar_model", 1),
    ):
        told = model({"images": images, name: value})["posterior"].numpy()
        assert np.abs(told - plain).max() > 1e-5, name
    deaf = ClusterModel(small_target, dataclasses.replace(CONFIG, context=False))
    told = deaf({"images": images, "psf_fwhm_px": 2.5})["posterior"]
    np.testing.assert_array_equal(told, deaf(images)["posterior"])
    summary = model.summarise({"images": images, "stellar_model": 1})
    assert np.abs(summary["mean"] - model.summarise(images)["mean"]).max() > 1e-6


def test_a_mapping_without_images_is_refused(small_target):
    model = ClusterModel(small_target, CONFIG)
    with pytest.raises(ValueError, match=r"expected images among them; .*'exposure_s'"):
        model({"exposure_s": 100.0})


def test_posterior_loss_counts_clusters_alone(model, images):
    labels = make_labels(model, 6, [1, 0, 1, 0, 0, 0])
    _, parts = loss_of(model, images, labels)
    distribution = model.posterior(model(images)["posterior"])
    log_prob = distribution.log_prob(labels["parameters"]).numpy()
    assert parts["nll"] == pytest.approx(-log_prob[[0, 2]].mean(), rel=1e-5)


def test_parameters_of_what_is_no_cluster_never_matter(model, images):
    labels = make_labels(model, 6, [1, 0, 1, 0, 0, 0])
    expected = loss_of(model, images, labels)
    for strange in (1e6, np.nan):
        labels["parameters"][1] = strange
        assert loss_of(model, images, labels) == expected


def test_a_batch_without_clusters_has_a_finite_loss(model, images):
    labels = make_labels(model, 6, [0] * 6)
    labels["has_object"][:] = 0
    loss, parts = loss_of(model, images, labels)
    assert np.isfinite(loss)
    assert parts["nll"] == parts["visibility"] == 0


def test_the_summary_gives_the_mean_visibility(model, images):
    raw = model(images)["visibility"]
    visibility = model.visibility(raw)
    assert visibility.batch_shape == (6,)
    assert np.all(visibility.stddev() > 0)
    summary = model.summarise(images)
    np.testing.assert_allclose(summary["log_snr"], visibility.mean(), rtol=1e-6)


def test_summary_has_all_columns_inside_the_box(model, images):
    summary = {name: value.numpy() for name, value in model.summarise(images).items()}
    assert summary["p_cluster"].shape == summary["log_snr"].shape == (6,)
    assert np.all((summary["p_cluster"] >= 0) & (summary["p_cluster"] <= 1))
    for name in ("lower", "median", "upper", "mean"):
        assert summary[name].shape == (6, len(PARAMETER_NAMES))
        assert np.all(summary[name] >= model.joint.low)
        assert np.all(summary[name] <= model.joint.high)
    assert np.all(summary["lower"] <= summary["median"])
    assert np.all(summary["median"] <= summary["upper"])
    assert summary["covariance"].shape == (6, 4, 4)


def test_plain_keras_fit_learns_rendered_gaussians(small_target):
    """Brightness tells the mass, and a blob tells that there is a cluster."""
    rng = np.random.default_rng(5)
    n = 512
    y, x = np.mgrid[:16, :16] - 7.5
    blob = np.exp(-0.5 * (x**2 + y**2) / 1.5**2)[None, ..., None]
    model = ClusterModel(small_target, CONFIG)
    labels = make_labels(model, n, rng.random(n) < 0.7)
    mass = labels["parameters"][:, 2]
    flux = labels["is_cluster"] * 10 ** (mass - 2)
    labels["log_snr"] = mass - 3
    images = flux[:, None, None, None] * blob + rng.normal(0, 1, (n, 16, 16, 2))
    data = tf.data.Dataset.from_tensor_slices((images.astype("f4"), labels)).batch(64)
    model.compile(keras.optimizers.AdamW(3e-3))
    history = model.fit(data, epochs=12, shuffle=False, verbose=0).history
    prior = np.log(model.joint.high - model.joint.low).sum()
    assert history["nll"][-1] < prior - 1
    assert history["presence_auc"][-1] > 0.95
    assert history["visibility"][-1] < history["visibility"][0] - 0.5
    # at rest, so that the running statistics are those of the weights
    model.optimizer.learning_rate = 1e-4
    model.fit(data, epochs=5, shuffle=False, verbose=0)
    assert model.evaluate(data, verbose=0, return_dict=True)["nll"] < prior - 0.5


def test_half_precision_leaves_the_heads_in_float32(small_target, images):
    model = ClusterModel(small_target, CONFIG)
    convolve_in_bfloat16(model.backbone)
    assert model.backbone.get_layer("stem").compute_dtype == "bfloat16"
    outputs = model(np.float32(1e5) * images, training=True)
    del outputs["bad_pixels"]
    assert {value.dtype for value in outputs.values()} == {tf.float32}
    del outputs["unlike_mocks"]  # which has no fit here
    assert all(np.all(np.isfinite(value)) for value in outputs.values())


@pytest.mark.parametrize("shape", [(2, 16, 16, 3), (2, 8, 16, 2), (16, 16, 2)])
def test_images_of_another_shape_are_refused(model, shape):
    with pytest.raises(
        ValueError, match=r"expected shape \(batch, 16, 16, 2\).*F438W.*received"
    ):
        model(np.zeros(shape, "f4"))


@of_any_kind
@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_a_cluster_outside_the_box_is_named_and_not_learnt(model, images, method):
    model = model.recalibrated(model.recalibration)
    model.compile("sgd")
    labels = make_labels(model, 6, [1, 1, 1, 1, 0, 0])
    labels["parameters"][5] = np.nan  # no cluster
    getattr(model, method)(images, labels, verbose=0)
    before = [v.numpy() for v in model.trainable_variables]
    # compiled once for all: what is slow is the tracing
    for column, value in enumerate((11.0, -0.2, np.nan, np.inf)):
        parameters = labels["parameters"].copy()
        parameters[2, column] = value
        low, high = model.target.box[PARAMETER_NAMES[column]]
        with pytest.raises(
            ValueError,
            match=f"labels: expected {PARAMETER_NAMES[column]} of every cluster from "
            f"{low:g} to {high:g}, the box of the model; received .* to .*Train on",
        ):
            getattr(model, method)(
                images, {**labels, "parameters": parameters}, verbose=0
            )
        for now, then in zip(model.trainable_variables, before, strict=True):
            np.testing.assert_array_equal(now, then)


def test_a_loss_is_refused_since_it_is_built_in(model):
    for arguments, named in (((), {"loss": "mse"}), (("sgd", "mse"), {})):
        with pytest.raises(ValueError, match=r"loss: expected none.*built in"):
            model.compile(*arguments, **named)


@of_any_kind
@pytest.mark.parametrize("dtype", ["float64", "uint16", "int32", "float16"])
def test_images_of_any_real_type_are_taken(model, images, dtype):
    given = np.abs(images).round().astype(dtype)
    wanted = model.predict(given.astype("f4"), verbose=0)
    for found in (model(given), model.predict(given, verbose=0)):
        for name, value in wanted.items():
            np.testing.assert_allclose(found[name], value, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("dtype", ["bool", "complex64", "str"])
def test_images_that_are_no_real_numbers_are_refused(model, images, dtype):
    with pytest.raises(ValueError, match=r"images: expected real numbers.*received"):
        model(images.astype(dtype))


def test_no_images_give_no_rows(model, images):
    wanted = model(images)
    for found in (model(images[:0]), model.predict(images[:0])):
        shapes = {name: tuple(value.shape[1:]) for name, value in found.items()}
        assert shapes == {name: value.shape[1:] for name, value in wanted.items()}
    assert {len(value) for value in model.summarise(images[:0]).values()} == {0}


def test_gaps_are_filled_and_counted_row_by_row(model, images):
    gaps = images.copy()
    gaps[1, 7:9, 7:9] = np.nan
    gaps[4] = np.nan
    whole, found = (model.summarise(some) for some in (images, gaps))
    assert found["bad_pixels"].numpy().tolist() == [0, 8, 0, 0, 512, 0]
    for name in set(found) - {"bad_pixels"}:
        values = found[name].numpy()
        np.testing.assert_array_equal(
            values[[0, 2, 3, 5]], whole[name].numpy()[[0, 2, 3, 5]]
        )
        if name != "unlike_mocks":  # which has no fit here
            assert np.all(np.isfinite(values[1])), name
            assert np.all(np.isnan(values[4])), name


def test_labels_that_lack_a_key_are_refused(model, images):
    labels = make_labels(model, 6, [1] * 6)
    del labels["log_snr"]
    with pytest.raises(ValueError, match=r"labels: expected .*missing \['log_snr'\]"):
        loss_of(model, images, labels)


def test_sample_weights_are_refused(model, images):
    labels = make_labels(model, 6, [1] * 6)
    with pytest.raises(ValueError, match="sample_weight: expected none"):
        model.compute_loss(
            y=labels, y_pred=model(images), sample_weight=tf.ones(len(images))
        )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"backbone": "vgg"}, "backbone: expected one of .*received 'vgg'"),
        ({"layers": 3}, r"config: expected keys among .*received \['layers'\]"),
        ({"components": 0}, "components must be a whole number >= 1, .*received 0"),
        ({"flow_bins": 1}, "flow_bins must be a whole number >= 2, .*received 1"),
        ({"posterior": "point"}, "posterior must be one of .*'flow'.*received 'point'"),
        ({"posterior": "grid"}, r"ClusterModel has one of .*'flow'\); received 'grid'"),
    ],
)
def test_a_bad_configuration_is_refused(small_target, config, message):
    with pytest.raises(ValueError, match=message):
        ClusterModel(small_target.to_dict(), config)


def test_shares_of_kinds_are_those_of_the_training_and_are_saved(small_target):
    negatives = {"empty": 1.0, "field_peak": 3.0}
    model = ClusterModel(small_target, CONFIG, cluster_share=0.6, negatives=negatives)
    assert model.kind_shares.tolist() == pytest.approx([0.6, 0.1, *[0] * 6, 0.3])
    config = model.get_config()
    again = ClusterModel.from_config(config)
    assert again.kind_shares.tolist() == model.kind_shares.tolist()
    # a file of before knows of none
    del config["negatives"]
    shares = Priors().negatives
    expected = [0.4 * shares[kind] for kind in KINDS[1:]]
    found = ClusterModel.from_config(config).kind_shares
    np.testing.assert_allclose(found, [0.6, *expected])


@of_any_kind
def test_a_summary_has_the_probability_of_each_kind(model, images):
    found = model.summarise(images)
    np.testing.assert_allclose(np.sum(found["kinds"], axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(found["kinds"][:, 0], found["p_cluster"], rtol=1e-4)
