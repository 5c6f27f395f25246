import json
import operator
import os

import pytest

from clusterkeras.workers import local
from clusterkeras.workers.local import run_workers


def test_each_worker_is_told_of_the_others():
    told = json.loads(run_workers(2, os.getenv, "TF_CONFIG"))
    assert told["task"] == {"type": "worker", "index": 0}
    assert len(set(told["cluster"]["worker"])) == 2


def test_an_error_of_a_worker_is_raised():
    with pytest.raises(ZeroDivisionError):
        run_workers(2, operator.truediv, 1, 0)


def test_a_worker_that_dies_is_told():
    with pytest.raises(ChildProcessError, match=r"worker . has died, .* Run the same"):
        run_workers(2, os._exit, 0)


def test_each_worker_has_a_gpu_and_its_part_of_the_cores(monkeypatch):
    monkeypatch.setattr(local, "_gpus", lambda: ["3", "5"])
    monkeypatch.setattr(os, "cpu_count", lambda: 9)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    for number in (0, 2):
        told = local._environments(number)
        assert [one["CUDA_VISIBLE_DEVICES"] for one in told] == ["3", "5"]
        assert [one["TF_NUM_INTRAOP_THREADS"] for one in told] == ["4", "4"]
    with pytest.raises(ValueError, match="workers: expected at most 2, one a GPU"):
        local._environments(3)


def test_without_a_gpu_there_is_one_worker_a_core(monkeypatch):
    monkeypatch.setattr(local, "_gpus", list)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert len(local._environments(0)) == 3
