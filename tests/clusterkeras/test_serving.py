import subprocess
import sys

import keras
import numpy as np
import pytest

from clusterkeras import serving
from clusterkeras.config import POSTERIORS, ModelConfig
from clusterkeras.network.ensemble import Ensemble
from clusterkeras.network.layers.unlike import fit_unlike
from clusterkeras.network.model import model_class
from clusterkeras.network.posterior_model import Recalibration
from data_tools.schema import PARAMETER_NAMES

#: Loads a SavedModel as a server would, with TensorFlow alone.
SERVE_ALONE = """
import sys
import numpy as np
import tensorflow as tf

directory, inputs, outputs = sys.argv[1:]
model = tf.saved_model.load(directory)
given = np.load(inputs)
images = tf.constant(given["images"])
results = {}
calls = {
    "serving_default": {},
    "samples": {"seed": tf.constant(given["seed"])},
    "log_prob": {"parameters": tf.constant(given["parameters"])},
}
for name, arguments in calls.items():
    results.update(model.signatures[name](images=images, **arguments))
np.savez(outputs, **{key: value.numpy() for key, value in results.items()})
print([m for m in ("clusterkeras", "data_tools", "tensorflow_probability", "keras")
       if m in sys.modules])
"""


@pytest.fixture(scope="module", params=[*POSTERIORS, "ensemble"])
def model(request, m83):
    """Make a small model whose posteriors differ from image to image.

    The ensemble has members of two heads and is recalibrated.
    """
    keras.utils.set_random_seed(3)
    if request.param == "ensemble":
        members = [single(m83, head) for head in ("mixture", "flow")]
        return Ensemble(members, Recalibration((0.8, 1.0, 1.0, 0.9), 1.5, 0.2, 1.3))
    return single(m83, request.param)


def single(target, posterior):
    config = ModelConfig(
        # to which a dark image says nothing
        backbone="resnet_small",
        posterior=posterior,
        components=3,
        flow_depth=2,
        flow_width=8,
        hidden=16,
    )
    model = model_class(config)(target, config)
    for head in model.heads.values():
        head.kernel.assign(100 * head.kernel)
    mocks = [(keras.random.normal((64, *model.image_shape)), {})]
    fit_unlike(model, mocks, mocks)
    return model


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    return serving.export(model, tmp_path_factory.mktemp("served"), "m83", 7)


@pytest.fixture(scope="module")
def signatures(exported):
    return serving.load_savedmodel(exported)


@pytest.fixture(scope="module")
def images(model):
    rng = np.random.default_rng(5)
    scale = 10 ** rng.uniform(0, 3, (5, 1, 1, 1))
    return (scale * rng.standard_normal((5, *model.image_shape))).astype(np.float32)


def test_tensorflow_alone_gives_the_keras_model_s_numbers(
    model, exported, images, tmp_path
):
    summary = model.summarise(images)
    # where the posterior is: in its far tail rounding alone moves the density
    parameters = np.asarray(summary["median"])
    seed = np.arange(len(images), dtype=np.int32)
    np.savez(tmp_path / "in.npz", images=images, parameters=parameters, seed=seed)
    served = subprocess.run(
        [
            *(sys.executable, "-I", "-c", SERVE_ALONE),
            *(str(exported), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert served.returncode == 0, served.stderr
    imported = served.stdout.splitlines()[-1]
    assert "clusterkeras" not in imported
    assert "data_tools" not in imported
    assert "tensorflow_probability" not in imported

    raw = model(images, training=False)["posterior"]
    expected = {
        **summary,
        "samples": model.draw_from(raw, seed, serving.SAMPLES),
        "log_prob": model.posterior(raw).log_prob(parameters),
    }
    received = np.load(tmp_path / "out.npz")
    assert set(received) == set(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(
            received[key], value, rtol=1e-4, atol=1e-4, err_msg=key
        )


def test_shapes_follow_the_batch(signatures, images):
    for n in (1, 4):
        summary = signatures["serving_default"](images=images[:n])
        assert summary["p_cluster"].shape == summary["log_snr"].shape == (n,)
        for name in ("median", "lower", "upper", "mean"):
            assert summary[name].shape == (n, 4)
        assert summary["covariance"].shape == (n, 4, 4)
        seed = np.zeros(n, np.int32)
        samples = signatures["samples"](images=images[:n], seed=seed)["samples"]
        assert samples.shape == (n, 256, 4)


def test_samples_depend_on_a_row_s_own_image_and_seed_only(signatures, images):
    def samples(images, seed):
        seed = np.array(seed, np.int32)
        return signatures["samples"](images=images, seed=seed)["samples"].numpy()

    first = samples(images, [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(first, samples(images, [1, 2, 3, 4, 5]))
    np.testing.assert_allclose(samples(images[2:4], [3, 9])[0], first[2], atol=1e-5)
    assert not np.allclose(samples(images[2:3], [8])[0], first[2], atol=1e-2)


def test_samples_stay_in_the_box(model, signatures, images):
    seed = np.arange(5, dtype=np.int32)
    samples = signatures["samples"](images=images, seed=seed)["samples"].numpy()
    for i, name in enumerate(PARAMETER_NAMES):
        low, high = model.target.box[name]
        assert samples[..., i].min() >= np.float32(low)
        assert samples[..., i].max() <= np.float32(high)


def test_log_prob_is_a_density_in_native_units(model, signatures):
    """Check that it integrates to one over the box, measured in the box's units."""
    rng = np.random.default_rng(11)
    box = np.array([model.target.box[n] for n in PARAMETER_NAMES])
    n = 1024
    points = rng.uniform(box[:, 0], box[:, 1], (n, 4)).astype(np.float32)
    # without light the posterior is wide, so that few points are enough
    dark = np.zeros((n, *model.image_shape), np.float32)
    log_prob = signatures["log_prob"](images=dark, parameters=points)["log_prob"]
    values = np.exp(log_prob) * np.prod(box[:, 1] - box[:, 0])
    error = values.std() / np.sqrt(n)
    assert error < 0.05
    assert values.mean() == pytest.approx(1, abs=5 * error + 1e-5)


def test_log_prob_outside_the_box_is_minus_infinity(model, signatures, images):
    outside = np.array([[5.0, 1.0, 4.0, -1.0]] * 5, np.float32)
    log_prob = signatures["log_prob"](images=images, parameters=outside)["log_prob"]
    assert np.all(log_prob.numpy() == -np.inf)


def test_warm_up_requests_can_be_answered(exported, signatures):
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    path = str(exported / serving.WARMUP_FILE)
    asked = []
    for record in tf.data.TFRecordDataset(path):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        assert request.model_spec.name == "m83"
        inputs = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
        outputs = signatures[request.model_spec.signature_name](**inputs)
        assert all(np.all(np.isfinite(value)) for value in outputs.values())
        asked.append(request.model_spec.signature_name)
    assert sorted(asked) == sorted(signatures)


def test_a_version_is_never_overwritten(model, exported):
    before = (exported / "saved_model.pb").stat().st_mtime_ns
    with pytest.raises(FileExistsError, match="this version exists"):
        serving.export(model, exported.parents[1], "m83", 7)
    assert (exported / "saved_model.pb").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("a/b", 1, "name must be letters"),
        ("", 1, "name must be letters"),
        ("m83", 0, "version must be >= 1; received 0"),
    ],
)
def test_bad_names_and_versions_are_refused(model, tmp_path, name, version, message):
    with pytest.raises(ValueError, match=message):
        serving.export(model, tmp_path, name, version)


def test_only_a_cluster_model_is_exported(tmp_path):
    with pytest.raises(
        ValueError, match="expected a ClusterModel or an Ensemble; received Sequential"
    ):
        serving.export(keras.Sequential(), tmp_path, "m83", 1)


def test_a_directory_without_a_savedmodel_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a SavedModel"):
        serving.load_savedmodel(tmp_path)


def test_a_damaged_savedmodel_is_named(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=f"{tmp_path.name}.*not readable"):
        serving.load_savedmodel(tmp_path)
