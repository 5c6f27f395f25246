"""A served model in a process of its own: begun, watched, killed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

import grpc
import requests
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

#: As the command that is installed begins.
COMMAND = "import sys; from clusterkeras.commands.cli import main; sys.exit(main())"


class ServerProcess:
    """A running ``clusterkeras serve``.

    Parameters
    ----------
    directory : Path
        ``NAME``, with its versions in it.
    *options : str or Path
        Of the command, other models' directories first. Ports are any that are free,
        unless named here.

    Raises
    ------
    RuntimeError
        With what it said, if it ends before it serves.
    """

    def __init__(self, directory: Path, *options: str | Path) -> None:
        self.model = directory.name
        ports = ["--serve.grpc_port=0", "--serve.rest_port=0"]
        named = [str(one).partition("=")[0] for one in options]
        ports = [port for port in ports if port.partition("=")[0] not in named]
        # a file, which `kill` closes: nobody reads a pipe while it runs
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", COMMAND, "serve"),
                *(str(one) for one in (directory, *options, *ports)),
            ],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        for line in self.process.stdout:
            if line.startswith("serving,"):
                break
        else:
            raise RuntimeError(self.log)
        words = line.replace(";", ",").split(", ")
        self.grpc, self.rest = (word.split(" on ")[1].strip() for word in words[1:3])
        self.channel = channel = grpc.insecure_channel(self.grpc)
        self.predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(channel)

    @property
    def log(self) -> str:
        """What it has told so far."""
        self._log.seek(0)
        return self._log.read()

    def url(self, rest: str = "", model: str = "") -> str:
        """Return an address of a model's, of the first if none is named."""
        return f"http://{self.rest}/v1/models/{model or self.model}{rest}"

    def versions(self, model: str = "") -> set[int]:
        """Return the versions of a model that answer."""
        told = requests.get(self.url(model=model), timeout=60).json()
        states = {int(v["version"]): v["state"] for v in told["model_version_status"]}
        return {number for number, state in states.items() if state == "AVAILABLE"}

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    @property
    def resident_mb(self) -> float:
        """Resident memory in MB."""
        pages = int(self._proc("statm").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    @property
    def processor_s(self) -> float:
        """Seconds of processor time so far."""
        user, system = self._proc("stat").rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def _proc(self, name: str) -> str:
        return Path(f"/proc/{self.process.pid}/{name}").read_text()

    def kill(self) -> None:
        """End it at once, as a machine's fault does."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self._log.close()
        self.channel.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill it."""
        self.kill()
