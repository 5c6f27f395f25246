import dataclasses
import functools
import os
import resource
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from clusterkeras.config import POSTERIORS, ModelConfig
from clusterkeras.network.ensemble import Ensemble
from clusterkeras.network.layers.unlike import fit_unlike
from clusterkeras.network.model import ClusterModel, model_class
from clusterkeras.network.recalibration import Recalibration
from clusterkeras.serving import contract, loading, savedmodel, warmup
from data_tools.schema import PARAMETER_NAMES

WEIGHTS = "variables/variables.data-00000-of-00001"
PX = 16

#: Loads SavedModels as a server would, with TensorFlow alone.
SERVE_ALONE = """
import sys
import numpy as np
import tensorflow as tf

for place in sys.argv[1:]:
    directory, inputs, outputs = place.split(":")
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

KINDS = [*POSTERIORS, "ensemble"]


@pytest.fixture(scope="module")
def make(m83):
    """Return a function that makes a small model of a kind, once.

    Its posteriors differ from image to image. The ensemble has members of two heads and
    is recalibrated.
    """
    target = dataclasses.replace(m83, cutout_px=PX)

    @functools.cache
    def make(kind):
        keras.utils.set_random_seed(3)
        if kind == "ensemble":
            members = [single(target, head) for head in ("mixture", "flow")]
            return Ensemble(members, Recalibration((0.8, 1.0, 1.0, 0.9), 1.5, 0.2, 1.3))
        return single(target, kind)

    return make


@pytest.fixture(scope="module")
def export_once(make, tmp_path_factory):
    """Return a function that exports the model of a kind, once."""
    served = tmp_path_factory.mktemp("served")

    @functools.cache
    def export(kind):
        return savedmodel.export(make(kind), served / kind, "m83", 7)

    return export


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def model(make, kind):
    return make(kind)


def single(target, posterior):
    config = ModelConfig(
        # to which a dark image says nothing
        backbone="resnet_tiny",
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


#: What does not depend on the posterior's kind.
of_any_kind = pytest.mark.parametrize("kind", ["mixture"], indirect=True)


@pytest.fixture(scope="module")
def exported(export_once, kind):
    return export_once(kind)


@pytest.fixture(scope="module")
def signatures(exported):
    return loading.load_savedmodel(exported)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(5)
    scale = 10 ** rng.uniform(0, 3, (5, 1, 1, 1))
    return (scale * rng.standard_normal((5, PX, PX, 3))).astype(np.float32)


def test_tensorflow_alone_gives_the_keras_model_s_numbers(
    make, export_once, images, tmp_path, other_kernels
):
    """Serve as on an older processor: what it gives may differ by rounding alone."""
    seed = np.arange(len(images), dtype=np.int32)
    summaries, places = {}, []
    for kind in KINDS:
        summaries[kind] = make(kind).summarise(images)
        # where the posterior is: in its far tail rounding alone moves the density
        parameters = np.asarray(summaries[kind]["median"])
        given, found = (tmp_path / f"{kind}-{word}.npz" for word in ("in", "out"))
        np.savez(given, images=images, parameters=parameters, seed=seed)
        places.append(f"{export_once(kind)}:{given}:{found}")
    served = subprocess.run(
        [sys.executable, "-I", "-c", SERVE_ALONE, *places],
        cwd=tmp_path,
        env={**os.environ, **other_kernels},
        capture_output=True,
        text=True,
        check=False,
    )
    assert served.returncode == 0, served.stderr
    imported = served.stdout.splitlines()[-1]
    assert "clusterkeras" not in imported
    assert "data_tools" not in imported
    assert "tensorflow_probability" not in imported

    for kind, summary in summaries.items():
        model = make(kind)
        raw = model(images, training=False)["posterior"]
        log_prob = model.posterior(raw).log_prob(summary["median"])
        samples = model.draw_from(raw, seed, contract.SAMPLES)
        expected = {**summary, "samples": samples, "log_prob": log_prob}
        assert not np.any(expected["bad_pixels"])
        received = np.load(tmp_path / f"{kind}-out.npz")
        assert set(received) == set(expected)
        assert differing(received["samples"], expected.pop("samples")) < 1e-3
        for key, value in expected.items():
            np.testing.assert_allclose(
                received[key], value, rtol=1e-3, atol=1e-3, err_msg=f"{kind} {key}"
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


def differing(draws, expected):
    """Return the share of draws that differ by more than the contract's rounding."""
    return np.any(np.abs(draws - expected) > 1e-3, axis=-1).mean()


def test_samples_depend_on_a_row_s_own_image_and_seed_only(signatures, images):
    def samples(images, seed):
        seed = np.array(seed, np.int32)
        return signatures["samples"](images=images, seed=seed)["samples"].numpy()

    first = samples(images, [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(first, samples(images, [1, 2, 3, 4, 5]))
    assert differing(samples(images[2:4], [3, 9])[0], first[2]) < 1e-3
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


@pytest.fixture(scope="module")
def medians(model, images):
    """Return parameters where the posterior of each image is."""
    return np.asarray(model.summarise(images)["median"])


def test_a_row_with_gaps_is_answered_and_flagged_and_no_other_feels_it(
    signatures, images, medians
):
    values = [np.nan, np.inf, -np.inf, 1e38]
    many = np.concatenate(4 * [images])
    parameters = np.concatenate(4 * [medians])
    gaps = many.copy()
    for n, value in enumerate(values):
        gaps[5 * n + 1, 6:10, 6:10] = value
        gaps[5 * n + 3, :2, :, 1] = value
    inputs = {
        "serving_default": {},
        "samples": {"seed": np.arange(20, dtype="i4")},
        "log_prob": {"parameters": parameters},
    }
    untouched = np.arange(20) % 5 % 2 == 0
    for name, others in inputs.items():
        whole = signatures[name](images=many, **others)
        found = signatures[name](images=gaps, **others)
        assert found["bad_pixels"].numpy().tolist() == 4 * [0, 48, 0, 32, 0]
        for key in set(found) - {"bad_pixels"}:
            assert np.all(np.isfinite(found[key])), key
            np.testing.assert_array_equal(found[key][untouched], whole[key][untouched])


@pytest.mark.parametrize("bands", [slice(None), slice(1, 2)])
def test_a_row_with_a_band_of_gaps_alone_gets_nan(signatures, images, medians, bands):
    gaps = images.copy()
    gaps[2, ..., bands] = np.nan
    found = {
        **signatures["serving_default"](images=gaps),
        **signatures["samples"](images=gaps, seed=np.zeros(5, "i4")),
        **signatures["log_prob"](images=gaps, parameters=medians),
    }
    assert found.pop("bad_pixels")[2] == np.isnan(gaps[2]).sum()
    assert found.pop("unlike_mocks")[2] == -10
    for key, values in found.items():
        values = values.numpy()
        assert np.all(np.isnan(values[2])), key
        assert np.all(np.isfinite(values[[0, 1, 3, 4]])), key


def test_the_density_at_parameters_that_are_no_numbers(signatures, images, medians):
    parameters = medians.copy()
    parameters[1, 2], parameters[2] = np.nan, np.inf
    parameters[3] = -1e38
    found = signatures["log_prob"](images=images, parameters=parameters)["log_prob"]
    found = found.numpy()
    assert np.isnan(found[1])
    assert np.all(found[2:4] == -np.inf)
    assert np.all(np.isfinite(found[[0, 4]]))


def test_no_images_give_no_rows(signatures, images):
    none = {
        "serving_default": {},
        "samples": {"seed": np.zeros(0, "i4")},
        "log_prob": {"parameters": np.zeros((0, 4), "f4")},
    }
    for name, others in none.items():
        found = signatures[name](images=images[:0], **others)
        whole = signatures[name](
            images=images,
            **{k: np.zeros((5, *v.shape[1:]), v.dtype) for k, v in others.items()},
        )
        for key, values in found.items():
            assert values.shape == (0, *whole[key].shape[1:])


CONTEXTS = {
    "nothing": {},
    "widths": {"psf_fwhm_px": np.tile(np.float32([2.0, np.nan, 2.4]), (5, 1))},
    "exposures": {"exposure_s": np.full((5, 3), 900.0, np.float32)},
    "models": {"stellar_model": np.array([-1, 0, 1, 2, 1], np.int32)},
}


@pytest.mark.parametrize("told", CONTEXTS)
def test_conditioned_gives_what_the_keras_model_gives_for_what_is_known(
    model, signatures, images, told
):
    context = {
        "psf_fwhm_px": np.full((5, 3), np.nan, np.float32),
        "exposure_s": np.full((5, 3), np.nan, np.float32),
        "stellar_model": np.full(5, -1, np.int32),
        **CONTEXTS[told],
    }
    found = signatures["conditioned"](images=images, **context)
    for key, value in model.summarise({"images": images, **context}).items():
        np.testing.assert_allclose(found[key], value, rtol=1e-3, atol=1e-3, err_msg=key)
    plain = signatures["serving_default"](images=images)
    same = np.allclose(found["mean"], plain["mean"], atol=1e-6)
    assert same == (told == "nothing")


def test_a_model_that_takes_no_context_has_no_place_for_it(m83, tmp_path):
    config = ModelConfig(
        backbone="resnet_tiny", posterior="mixture", hidden=8, context=False
    )
    model = ClusterModel(dataclasses.replace(m83, cutout_px=PX), config)
    served = loading.load_savedmodel(savedmodel.export(model, tmp_path, "deaf", 1))
    assert set(served) == {"serving_default", "samples", "log_prob", "metadata"}


WRONG = {
    "bands": ({"images": (5, 16, 16, 4)}, "images"),
    "side": ({"images": (5, 32, 16, 3)}, "images"),
    "rank": ({"images": (16, 16, 3)}, "images"),
    "parameters": ({"images": (5, 16, 16, 3), "parameters": (5, 3)}, "parameters"),
    "one row of parameters": (
        {"images": (5, 16, 16, 3), "parameters": (1, 4)},
        "as many rows",
    ),
    "one image": ({"images": (1, 16, 16, 3), "parameters": (5, 4)}, "as many rows"),
    "one seed": ({"images": (5, 16, 16, 3), "seed": (1,)}, "as many rows"),
    "rank of seeds": ({"images": (5, 16, 16, 3), "seed": (5, 1)}, "seed"),
    "type": ({"images": (5, 16, 16, 3), "seed": (5,)}, "seed.*int32"),
}


@pytest.fixture(scope="module")
def plain_signatures(exported):
    """Return the signatures as a server runs them, without this package."""
    loaded = tf.saved_model.load(str(exported))
    return lambda name, **inputs: loaded.signatures[name](**inputs)


@of_any_kind
@pytest.mark.parametrize("case", WRONG)
def test_inputs_of_other_shapes_and_types_are_refused(
    signatures, plain_signatures, case
):
    shapes, message = WRONG[case]
    types = {"seed": np.float32 if case == "type" else np.int32}
    inputs = {k: np.zeros(v, types.get(k, "f4")) for k, v in shapes.items()}
    name = {"seed": "samples", "parameters": "log_prob"}.get(
        list(shapes)[-1], "serving_default"
    )
    with pytest.raises(ValueError, match=message):
        signatures[name](**inputs)
    with pytest.raises(tf.errors.InvalidArgumentError):
        plain_signatures(name, **{k: tf.constant(v) for k, v in inputs.items()})


@of_any_kind
def test_inputs_that_are_missing_or_too_much_are_named(signatures, images):
    with pytest.raises(ValueError, match=r"expected .*'seed'.*received \['images'\]"):
        signatures["samples"](images=images)


@of_any_kind
def test_numbers_of_other_types_are_taken_as_they_are(signatures, images):
    counts = np.abs(images).astype("uint16")
    wanted = signatures["serving_default"](images=counts.astype("f4"))["median"]
    for dtype in ("uint16", "float64", "int32"):
        found = signatures["serving_default"](images=counts.astype(dtype))["median"]
        np.testing.assert_array_equal(found, wanted)
    with pytest.raises(ValueError, match="a number beyond"):
        signatures["samples"](images=images, seed=np.full(5, 2**40))


def test_warm_up_requests_can_be_answered(exported, signatures):
    from tensorflow_serving.apis import prediction_log_pb2

    path = str(exported / warmup.WARMUP_FILE)
    asked = []
    for record in tf.data.TFRecordDataset(path):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        assert request.model_spec.name == "m83"
        inputs = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
        outputs = signatures[request.model_spec.signature_name](**inputs)
        numbers = (value for value in outputs.values() if value.dtype != tf.string)
        assert all(np.all(np.isfinite(value)) for value in numbers)
        asked.append(request.model_spec.signature_name)
    assert sorted(asked) == sorted(signatures)


@of_any_kind
def test_a_version_is_never_overwritten(model, exported):
    before = (exported / "saved_model.pb").stat().st_mtime_ns
    with pytest.raises(FileExistsError, match="this version exists"):
        savedmodel.export(model, exported.parents[1], "m83", 7)
    assert (exported / "saved_model.pb").stat().st_mtime_ns == before


@of_any_kind
@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("a/b", 1, "name must be letters"),
        ("", 1, "name must be letters"),
        ("m83\n", 1, "name must be letters"),
        ("m" * 129, 1, "name must be letters"),
        *(
            ("m83", version, "version must be a whole number from 1 to 922")
            for version in (0, -1, 2**63, 1.5, 1.0, "2", True)
        ),
    ],
)
def test_bad_names_and_versions_are_refused(model, tmp_path, name, version, message):
    with pytest.raises(ValueError, match=message):
        savedmodel.export(model, tmp_path, name, version)


@pytest.fixture(scope="module")
def tiny(small_target):
    target = dataclasses.replace(small_target, name="NGC 628 (core)")
    return ClusterModel(target, {"backbone": "resnet_tiny", "posterior": "mixture"})


def test_a_model_is_named_after_its_target_and_its_version_fits_63_bits(tiny, tmp_path):
    path = savedmodel.export(tiny, tmp_path, version=2**63 - 1)
    assert path == tmp_path / "NGC-628-core" / str(2**63 - 1)
    assert (path / "saved_model.pb").is_file()


@pytest.mark.parametrize("room", [0, 60_000])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tiny, tmp_path, room):
    # no file may grow beyond this, as on a disk without room
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(OSError, match=r"core/1: .*Make room"):
            savedmodel.export(tiny, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
    assert not list((tmp_path / "NGC-628-core").iterdir())


@of_any_kind
@pytest.mark.parametrize("at", [0.001, 0.5, 0.999])
@pytest.mark.parametrize(
    "file", ["saved_model.pb", "variables/variables.index", WEIGHTS]
)
def test_a_savedmodel_cut_short_is_named(exported, tmp_path, file, at):
    shutil.copytree(exported, tmp_path / "1")
    content = (exported / file).read_bytes()
    (tmp_path / "1" / file).write_bytes(content[: int(at * len(content))])
    with pytest.raises(ValueError, match=r"/1: not readable, export it again: .+"):
        loading.load_savedmodel(tmp_path / "1")


def test_only_a_cluster_model_is_exported(tmp_path):
    with pytest.raises(
        ValueError, match="expected a ClusterModel or an Ensemble; received Sequential"
    ):
        savedmodel.export(keras.Sequential(), tmp_path, "m83", 1)


def test_a_directory_without_a_savedmodel_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a SavedModel"):
        loading.load_savedmodel(tmp_path)


def test_a_damaged_savedmodel_is_named(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=f"{tmp_path.name}.*not readable"):
        loading.load_savedmodel(tmp_path)
