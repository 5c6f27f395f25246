"""Beam: the same shards, on several processes or in a bucket, and clear failures."""

import dataclasses
import os
import subprocess
import sys

import pytest

from clusterkeras.commands import cli
from data_tools.records.plan import MockSet, Plan
from data_tools.running.plain_files import read_json

pytest.importorskip("apache_beam", reason="needs the extra `beam`")

SIZES = ("--mocks.n_train=40", "--mocks.n_validation=10", "--mocks.n_test=8")
OPTIONS = (
    *SIZES,
    "--mocks.shard_size=16",
    "--priors.field_px=128",
    "--priors.mocks_per_field=8",
)


def simulate(output, *arguments, code="from clusterkeras.commands.cli import main"):
    """Run the command in a process of its own."""
    command = f"{code}\nimport sys; sys.exit(main(sys.argv[1:]))"
    options = ["-o", str(output), *OPTIONS, "--runner=beam", *arguments]
    return subprocess.run(
        [sys.executable, "-c", command, "simulate", *options],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )


def content(directory):
    return {p.name: p.read_bytes() for p in directory.iterdir()}


def test_processes_of_beam_write_the_bytes_of_the_local_run(small_set, tmp_path):
    done = simulate(tmp_path / "set", "--workers=2")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"wrote the mock set {tmp_path / 'set'}\n"
    assert content(tmp_path / "set") == content(small_set)


@pytest.fixture
def copy_set(small_set, tmp_path):
    """Return a copy of the small set that a test may spoil."""
    for name, data in content(small_set).items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


IN_MEMORY = ("--", "--runner=FnApiRunner", "--direct_running_mode=in_memory")


def test_finished_shards_are_skipped_and_beam_takes_its_own_options(
    small_set, copy_set
):
    lost = copy_set / "mocks-train.tfrecord-00001-of-00003"
    lost.unlink()
    kept = {p: p.stat().st_mtime_ns for p in copy_set.glob("*.tfrecord-*")}
    done = simulate(copy_set, *IN_MEMORY)
    assert done.returncode == 0, done.stderr
    assert content(copy_set) == content(small_set)
    assert all(p.stat().st_mtime_ns == made for p, made in kept.items())


#: Runs the command twice on a bucket in memory, then copies it to a directory.
BUCKET = """
import os, pathlib, upath
from clusterkeras.commands import cli
def main(argv):
    code = cli.main(argv)
    bucket = upath.UPath(argv[2])
    (bucket / "mocks-test.tfrecord-00000-of-00001").unlink()
    (bucket / "manifest.json").unlink()
    code = code or cli.main(argv)
    for path in bucket.iterdir():
        pathlib.Path(os.environ["COPY"], path.name).write_bytes(path.read_bytes())
    return code
"""


def test_a_set_in_a_bucket_is_made_and_finished_like_one_on_disk(
    small_set, tmp_path, monkeypatch
):
    pytest.importorskip("upath")
    monkeypatch.setenv("COPY", str(tmp_path))
    done = simulate("memory://bucket/set", *IN_MEMORY, code=BUCKET)
    assert done.returncode == 0, done.stderr
    expected = {k: v for k, v in content(small_set).items() if k != ".lock"}
    assert content(tmp_path) == expected


def test_a_failing_pipeline_says_why_and_keeps_what_is_finished(copy_set):
    name = "mocks-test.tfrecord-00000-of-00001"
    manifest = copy_set / "manifest.json"
    sha256 = read_json(manifest)["shards"][name]["sha256"]
    manifest.write_text(manifest.read_text().replace(sha256, "0" * 64))
    (copy_set / name).unlink()
    done = simulate(copy_set, *IN_MEMORY)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("clusterkeras simulate: error: the Beam pipeline failed")
    assert f"{name}: made again, it is not what manifest.json says" in last
    assert len(list(copy_set.glob("*.tfrecord-*"))) == 4


def test_workers_beside_the_runner_s_own_options_are_refused(tmp_path, capsys):
    options = ["-o", str(tmp_path / "set"), "--runner=beam", "--workers=2", *IN_MEMORY]
    # a full disk is told first: so that one that has room for a few mocks will do
    assert cli.main(["simulate", "--mocks.n_train=16", *options]) == 1
    assert "workers are for Beam's local runner" in capsys.readouterr().err


def test_a_worker_with_other_files_than_the_driver_s_refuses_to_work(
    tmp_path, m83, small_priors
):
    from data_tools.records.beam import _MakeShards

    psf = tmp_path / "psf.fits"
    psf.write_bytes(b"the driver's")
    target = dataclasses.replace(m83, psf={"F336W": str(psf)})
    plan = Plan(target, small_priors, MockSet(n_train=8))
    assert plan.configuration["tables"][str(psf)]
    psf.write_bytes(b"the worker's")
    with pytest.raises(ValueError, match=r"a worker's installation differs.*psf\.fits"):
        _MakeShards(plan, tmp_path).setup()
