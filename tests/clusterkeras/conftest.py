"""Predictions of a made-up network with an exact posterior, and a set to measure."""

import dataclasses
import subprocess
import sys

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


class Server:
    """A process that serves, and how to ask it."""

    command = "import sys; from clusterkeras.commands.cli import main; sys.exit(main())"
    ports = ("--serve.grpc_port=0", "--serve.rest_port=0")

    def __init__(self, directory, *options):
        command = [sys.executable, "-c", self.command, "serve", str(directory)]
        self.process = subprocess.Popen(
            [*command, *self.ports, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = []
        for line in self.process.stdout:
            said.append(line)
            if line.startswith("serving,"):
                break
        else:
            raise RuntimeError("".join(said))
        words = line.replace(";", ",").split(", ")
        self.grpc, self.rest = (w.split(" on ")[1] for w in words[1:3])
        # not with this file: they bring TensorFlow
        import grpc
        from tensorflow_serving.apis import (
            model_service_pb2_grpc,
            prediction_service_pb2_grpc,
        )

        self.channel = channel = grpc.insecure_channel(self.grpc)
        self.predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(channel)

    def url(self, rest=""):
        """Return an address of the model's."""
        return f"http://{self.rest}/v1/models/m83{rest}"

    def close(self):
        """Let go of it."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.channel.close()


@pytest.fixture(scope="session")
def start_server():
    """Return the class of a server in a process of its own."""
    return Server
