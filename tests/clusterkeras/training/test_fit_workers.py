import csv
import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from clusterkeras.config import ModelConfig, TrainingConfig
from clusterkeras.network.loading import load_model
from clusterkeras.training.fit import BACKUP, fit

MODEL = ModelConfig(backbone="resnet_tiny", posterior="mixture", components=2, hidden=8)

# a last batch of 32 after two of 48, and an epoch with fixed statistics
TRAINING = TrainingConfig(
    epochs=2, batch_size=48, decay=0.5, ema_momentum=0.5, picture_epochs=1
)


def history(run):
    with (run / "history.csv").open(newline="") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    return [{k: v for k, v in row.items() if k != "cpu_hours"} for row in rows]


@pytest.mark.slow
def test_workers_learn_what_one_does_though_one_of_them_is_lost(
    small_mock_set, tmp_path
):
    one, two = tmp_path / "one", tmp_path / "two"
    fit(small_mock_set, one, MODEL, TRAINING)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(fit, small_mock_set, two, MODEL, TRAINING, workers=2)
        while not (two / BACKUP).exists() and not running.done():
            time.sleep(0.1)
        for worker in multiprocessing.active_children()[-1:]:
            worker.kill()
        with pytest.raises(ChildProcessError, match="has died"):
            running.result()
    assert not (two / "model.keras").exists()
    # it also checks that the workers' weights are the same, to the last bit
    fit(small_mock_set, two, MODEL, TRAINING, workers=2)
    for found, expected in zip(history(two), history(one), strict=True):
        assert found == pytest.approx(expected, rel=1e-4)
    weights = (load_model(run / "model.keras").get_weights() for run in (two, one))
    for found, expected in zip(*weights, strict=True):
        # Adam turns rounding, where a gradient is next to nothing, into a share of its
        # step: offsets have moved by 7e-3; the features' covariance is 100
        size = max(1, np.abs(expected).max())
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3 * size)
