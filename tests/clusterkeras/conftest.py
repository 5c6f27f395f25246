"""Predictions of a made-up network with an exact posterior, and a set to measure."""

import dataclasses
import importlib
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from clusterkeras.evaluation.numbers.predictions import Predictions
from data_tools.priors import Priors
from data_tools.records.plan import MockSet
from data_tools.records.simulate import simulate
from data_tools.schema import PARAMETERS

BOX = {p.name: (p.low, p.high) for p in PARAMETERS}
LOW, HIGH = np.transpose(list(BOX.values()))

#: Age trades against extinction and goes with mass.
CORRELATION = np.array(
    [[1, -0.85, 0.7, 0], [-0.85, 1, -0.5, 0], [0.7, -0.5, 1, 0.1], [0, 0, 0.1, 1]]
)


def make_predictions(n=3000, draws=200, stretch=1.0, seed=0):
    """Make records whose truth is one more draw of a logit-normal posterior.

    The fainter the object the wider the posterior. `stretch` below 1 makes the draws
    and the density over-confident; presence and visibility are calibrated always.
    """
    rng = np.random.default_rng(seed)
    cholesky = np.linalg.cholesky(CORRELATION)
    log_snr_mean = rng.normal(1.2, 0.6, n)
    log_snr = log_snr_mean + rng.normal(0, 0.1, n)
    scale = (0.1 + 1.5 / (1 + 10**log_snr_mean))[:, None, None]
    centre = rng.normal(0, 1.2, (n, 1, 4))

    def to_box(line):
        return LOW + (HIGH - LOW) / (1 + np.exp(-line))

    def log_prob(line):
        # density on the line over the slope of `to_box`
        z = (line - centre) / (stretch * scale)
        density = stats.multivariate_normal(cov=CORRELATION).logpdf(z)
        share = 1 / (1 + np.exp(-line))
        slope = np.log((HIGH - LOW) * share * (1 - share)).sum(-1)
        density = density.reshape(slope.shape)
        return density - 4 * np.log(stretch * scale[..., 0]) - slope

    truth_line = centre + scale * (rng.normal(size=(n, 1, 4)) @ cholesky.T)
    draws_line = centre + stretch * scale * (
        rng.normal(size=(n, draws, 4)) @ cholesky.T
    )
    p_cluster = rng.beta(1.4, 0.6, n)
    is_cluster = rng.uniform(size=n) < p_cluster
    kind = np.where(is_cluster, 0, rng.integers(1, 4, n))
    return Predictions(
        truth=to_box(truth_line)[:, 0],
        is_cluster=is_cluster,
        has_object=kind != 1,
        kind=kind,
        mock_id=np.arange(n) + 1000,
        field_id=np.arange(n) // 100,
        log_snr=np.where(kind != 1, log_snr, 0.0),
        crowding=rng.uniform(0, 1, n),
        log_prob=log_prob(truth_line)[:, 0],
        draws=to_box(draws_line),
        log_prob_draws=log_prob(draws_line),
        p_cluster=p_cluster,
        visibility_mean=log_snr_mean,
        visibility_std=np.full(n, 0.1),
        unlike_mocks=np.log10(rng.uniform(size=n)),
    )


@pytest.fixture(scope="session")
def box():
    """Return the range of each parameter."""
    return BOX


@pytest.fixture(scope="session")
def calibrated():
    """Return predictions that are right."""
    return make_predictions()


@pytest.fixture(scope="session")
def over_confident():
    """Return predictions whose posteriors are a fifth too narrow."""
    return make_predictions(stretch=0.8)


@pytest.fixture(scope="session")
def photometric_target(m83):
    """Return a target with two bands and cutouts that hold the apertures."""
    return dataclasses.replace(m83, bands=m83.bands[1:])


@pytest.fixture(scope="session")
def photometric_mock_set(photometric_target, tmp_path_factory):
    """Return the directory of a mock set: 192 and 48 records to fit a grid, and 24."""
    return simulate(
        tmp_path_factory.mktemp("mocks"),
        photometric_target,
        Priors(field_px=128, mocks_per_field=32),
        MockSet(n_train=192, n_validation=48, n_test=24, shard_size=96),
        workers=1,
        progress=False,
    )


#: Side of the images of the model that is served.
SERVED_PX = 16


@pytest.fixture(scope="session")
def make_served(m83, tmp_path_factory):
    """Return a function that exports versions of a small model; they answer otherwise.

    It gives the model's directory.
    """

    def make(*versions, output=None):
        import keras

        from clusterkeras.config import ModelConfig
        from clusterkeras.network.layers.unlike import fit_unlike
        from clusterkeras.network.model import ClusterModel
        from clusterkeras.serving.savedmodel import export

        output = output or tmp_path_factory.mktemp("served")
        target = dataclasses.replace(m83, cutout_px=SERVED_PX)
        config = ModelConfig(backbone="resnet_tiny", posterior="mixture", hidden=8)
        for version in versions:
            keras.utils.set_random_seed(version)
            model = ClusterModel(target, config)
            rng = np.random.default_rng(version)
            like = rng.normal(5, 1, (64, SERVED_PX, SERVED_PX, 3)).astype("f4")
            fit_unlike(model, [(like, {})], [(like, {})])
            export(model, output, "m83", version)
        return output / "m83"

    return make


@pytest.fixture(scope="session")
def served(make_served):
    """Return a model's directory with two versions that answer differently.

    Nobody changes it.
    """
    return make_served(1, 2)


@pytest.fixture(scope="session")
def served_images():
    """Return five images for it."""
    rng = np.random.default_rng(0)
    return rng.normal(5, 2, (5, SERVED_PX, SERVED_PX, 3)).astype("f4")


@pytest.fixture(scope="session")
def make_simple(served):
    """Return a function that writes a version of a simple model, in no time.

    It says of itself what the model of `served` says; the median is the mean of each
    band, and the version times the mean of all; an image that begins with -1 fails.
    """
    import tensorflow as tf

    images = tf.TensorSpec((None, SERVED_PX, SERVED_PX, 3), tf.float32, name="images")
    seed = tf.TensorSpec((None,), tf.int32, name="seed")
    about = tf.saved_model.load(str(served / "1")).signatures["metadata"]()

    def make(path, version):
        def summary(images):
            good = tf.reduce_all(images[:, 0, 0, 0] != -1)
            tf.debugging.Assert(good, ["an image begins with -1"])
            bands = tf.reduce_mean(images, (1, 2))
            whole = version * tf.reduce_mean(bands, 1, keepdims=True)
            return {"median": tf.concat([bands, whole], 1)}

        def with_seed(images, seed):
            return {"samples": summary(images)["median"] + tf.cast(seed, "float32")}

        module = tf.Module()
        function = tf.function(summary, input_signature=[images])
        seeded = tf.function(with_seed, input_signature=[images, seed])
        said = tf.function(lambda: dict(about), input_signature=[])
        tf.saved_model.save(
            module,
            str(path),
            signatures={
                "serving_default": function,
                "log_prob": function,
                "samples": seeded,
                "metadata": said,
            },
        )
        return path

    return make


@pytest.fixture(scope="session")
def changing(make_simple, tmp_path_factory):
    """Return the directory of a model whose versions come and go, with version 1."""
    directory = tmp_path_factory.mktemp("served") / "changing"
    make_simple(directory / "1", 1)
    return directory


@pytest.fixture(scope="session")
def add_version(changing, make_simple, tmp_path_factory):
    """Return a function that adds the next version, whole, and returns its number."""

    def add():
        number = 1 + max(int(path.name) for path in changing.iterdir())
        path = tmp_path_factory.mktemp("version") / str(number)
        make_simple(path, number).rename(changing / str(number))
        return number

    return add


@pytest.fixture(scope="session")
def bench_serving():
    """Return the modules of the server's benchmark, by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
        names = ("process", "questions", "clients", "faults", "malformed")
        yield {name: importlib.import_module(f"serving.{name}") for name in names}


@pytest.fixture(scope="session")
def start_server(bench_serving):
    """Return the class of a server in a process of its own."""
    return bench_serving["process"].ServerProcess


@pytest.fixture(scope="session")
def server(served, changing, start_server):
    """Return a server of both models, the two newest versions and the first of each."""
    with start_server(
        served,
        changing,
        "--serve.versions=2",
        '--serve.labels={"stable": 1}',
        "--serve.message_mb=1",
        "--serve.poll_s=0.2",
    ) as running:
        yield running
