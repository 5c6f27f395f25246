import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from clusterkeras.evaluation.numbers.predictions import Predictions
from clusterkeras.evaluation.shifts.kinds import UserFiles
from clusterkeras.network.model import ClusterModel
from data_tools.priors import Priors
from data_tools.records.dataset import make_dataset
from data_tools.schema import STELLAR_MODELS
from data_tools.stars.evolution.phases import parsec_stages
from data_tools.tables.stellar_models import load_model

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("bench_stellar_models")


@pytest.fixture
def layout(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS / "isochrones")
    return importlib.import_module("layout")


@pytest.fixture
def sse_as_a_file(layout, small_target, tmp_path):
    """Return a file with the stars of SSE, a model that ships."""
    model = load_model("SSE")
    isochrones = [
        layout.StarRows(
            float(model.feh[k]),
            float(model.log_age[k]),
            parsec_stages(model.phase[rows], model.mass_initial[rows]),
            model.mass_initial[rows],
            model.mass_current[rows],
            model.log_l[rows],
            model.log_teff[rows],
        )
        for k, rows in enumerate(model.rows)
    ]
    path = tmp_path / "another.dat"
    layout.write_isochrones(path, ["SSE"], isochrones, list(small_target.band_names))
    return path


@pytest.fixture
def network(small_target):
    """Return a network that has learnt nothing, whose answers depend on all inputs."""
    config = {"backbone": "resnet_tiny", "posterior": "mixture", "hidden": 8}
    network = ClusterModel(small_target, config)
    rng = np.random.default_rng(0)
    for variable in network.trainable_variables:
        noise = rng.normal(0, 0.1, variable.shape)
        variable.assign_add(noise.astype(np.float32))
    return network


def images_of(directory):
    (images, _), *_ = make_dataset(directory, "train", 64, training=False)
    return images.numpy()


def test_a_file_of_a_known_model_says_what_that_model_says(
    bench, sse_as_a_file, network, tmp_path
):
    rows = bench.measure(
        network,
        {"another": UserFiles(isochrones=str(sse_as_a_file))},
        tmp_path,
        Priors(field_px=128, mocks_per_field=16, feh_offset=(0.0, 0.0)),
        fields=2,
        draws=16,
        workers=1,
    )
    sse, another, mist = (
        images_of(tmp_path / "sets" / name) for name in ("SSE", "another", "MIST")
    )
    assert len(sse) == 32
    # other rounding moves single stars
    off, others_off = np.abs(another - sse), np.abs(mist - sse)
    assert np.median(off) < 0.1 * np.median(others_off)
    found = {(row["stellar_model"], row["told"]): row for row in rows}
    told = [(name, "the model") for name in STELLAR_MODELS]
    nothing = [(name, "nothing") for name in (*STELLAR_MODELS, "another")]
    assert set(found) == {*told, *nothing}
    assert found["SSE", "the model"]["nll"] != found["SSE", "nothing"]["nll"]
    worse = [found[name, "nothing"]["worse"] for name in STELLAR_MODELS]
    assert sum(worse) == pytest.approx(0, abs=1e-4) and np.abs(worse).min() > 0
    report = json.loads((tmp_path / "stellar_models.json").read_text())
    assert len(report["rows"]) == 7
    assert (tmp_path / "stellar_models.png").stat().st_size > 10_000
    lines = bench.table(rows).splitlines()
    assert len(lines) == 2 + 7 and "another (never drawn)" in lines[-1]


def predictions(log_age, inside, field):
    """Return predictions; the ages of `inside` are in the middle of their draws."""
    n = len(log_age)
    truth = np.tile([0.0, 1.0, 4.0, -1.0], (n, 1))
    truth[:, 0] = log_age
    spread = np.linspace(-0.1, 0.1, 21)[None, :, None]
    draws = truth[:, None] + spread + np.where(inside, 0, 5)[:, None, None]
    labels = {
        "truth": truth,
        "is_cluster": np.ones(n, bool),
        "has_object": np.ones(n, bool),
        "kind": np.zeros(n, int),
        "mock_id": np.arange(n),
        "field_id": field,
        "log_snr": np.ones(n),
        "crowding": np.zeros(n),
    }
    return Predictions.of_posterior(labels, np.arange(n), draws, np.zeros((n, 21)))


def test_shares_are_by_true_age_with_errors_by_field(bench):
    log_age = np.repeat([6.5, 7.5, 8.5, 9.5], 8)
    field = np.tile(np.repeat([0, 1], 4), 4)
    # below 10 Myr one field is right, one wrong: as if there were two clusters
    inside = np.concatenate([field[:8] == 0, np.ones(8), np.tile([1, 0], 8)]) > 0
    asked = {
        (name, "nothing"): predictions(log_age, inside, field)
        for name in (*STELLAR_MODELS, "another")
    }

    def one_by_one(n):
        return np.sqrt(0.68 * 0.32 / n)

    covered = bench.summarise(asked)[-1]["coverage_68"]
    shares = {k: (v["n"], v["share"], v["error"]) for k, v in covered.items()}
    assert shares["< 10 Myr"] == pytest.approx((8, 0.5, 0.5))
    assert shares["10 to 100 Myr"] == pytest.approx((8, 1.0, one_by_one(8)))
    assert shares["< 100 Myr"] == pytest.approx((16, 0.75, 0.25))
    assert shares["> 100 Myr"] == pytest.approx((16, 0.5, one_by_one(16)))


def test_sets_of_other_clusters_are_not_compared(bench, monkeypatch):
    one = predictions(np.full(4, 7.5), np.ones(4, bool), np.zeros(4, int))
    other = predictions(np.full(4, 8.5), np.ones(4, bool), np.zeros(4, int))
    answers = iter([one, other])
    monkeypatch.setattr(bench, "ask", lambda *_: next(answers))

    class Network:
        takes_context = False

    with pytest.raises(RuntimeError, match="the same clusters"):
        bench.ask_all(Network(), {"MIST": Path("a"), "another": Path("b")}, 21)
