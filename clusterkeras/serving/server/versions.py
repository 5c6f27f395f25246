"""The versions of a served model: found in its directory, loaded, swapped, let go."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from clusterkeras.serving.loading import load_savedmodel
from clusterkeras.serving.server.batching import Arrays, Batcher
from clusterkeras.serving.server.refused import RefusedError, unknown
from clusterkeras.serving.warmup import WARMUP_FILE

logger = logging.getLogger(__name__)

_NUMBER = re.compile(r"[1-9][0-9]{0,18}")


@dataclass
class Version:
    """One loaded version.

    Attributes
    ----------
    number : int
        Of its directory.
    specs : mapping of str to mapping
        ``input`` and ``output`` of each signature.
    definitions : mapping of str to SignatureDef
        As its file has them, for those who ask.
    batchers : mapping of str to Batcher
        Of each signature with rows.
    constant : mapping of str to mapping
        Answers of the signatures without inputs.
    """

    number: int
    specs: Mapping[str, Mapping[str, Mapping[str, tf.TensorSpec]]]
    definitions: Mapping[str, meta_graph_pb2.SignatureDef]
    batchers: Mapping[str, Batcher]
    constant: Mapping[str, Arrays]


@dataclass(frozen=True)
class Limits:
    """What a server takes at most.

    Attributes
    ----------
    request_rows : int
        Rows of a request.
    batch_rows : int
        Rows of a batch.
    queue_rows : int
        Rows that wait for one signature.
    """

    request_rows: int = 256
    batch_rows: int = 64
    queue_rows: int = 8192


def load_version(
    directory: Path,
    executor: Executor,
    limits: Limits,
    batches: Callable[[str, int], None] = lambda signature, rows: None,
) -> Version:
    """Load a version, and run its requests for warm-up.

    Parameters
    ----------
    directory : Path
        ``NAME/VERSION``.
    executor : Executor
        Where its batches run.
    limits : Limits
        Of its batches.
    batches : callable
        Told the signature and rows of each batch.

    Raises
    ------
    ValueError
        If it cannot be read or run.
    """
    loaded = load_savedmodel(directory)
    specs = {name: signature.specs for name, signature in loaded.items()}

    def function(name: str) -> Callable[[Arrays], Arrays]:
        def run(inputs: Arrays) -> Arrays:
            answer = loaded[name](**inputs)
            return {key: value.numpy() for key, value in answer.items()}

        return run

    batchers, constant = {}, {}
    for name in loaded:
        run = function(name)
        if specs[name]["input"]:
            batchers[name] = Batcher(
                run,
                executor,
                limits.batch_rows,
                limits.queue_rows,
                lambda rows, name=name: batches(name, rows),
            )
        else:
            constant[name] = {k: _array(v) for k, v in run({}).items()}
    for name, inputs in _warm_up_requests(directory):
        if name in batchers:
            batchers[name].function(inputs)
    graph = saved_model_pb2.SavedModel.FromString(
        (directory / "saved_model.pb").read_bytes()
    ).meta_graphs[0]
    definitions = {name: graph.signature_def[name] for name in loaded}
    return Version(int(directory.name), specs, definitions, batchers, constant)


def _array(value: Any) -> np.ndarray:
    """Return a value as an array; NumPy would cut zeros off a text's end."""
    return np.array(value, object) if isinstance(value, bytes) else np.asarray(value)


def _warm_up_requests(directory: Path) -> list[tuple[str, dict[str, np.ndarray]]]:
    path = directory / WARMUP_FILE
    if not path.is_file():
        return []
    found = []
    for record in tf.data.TFRecordDataset(str(path)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        found.append((request.model_spec.signature_name, inputs))
    return found


@dataclass(frozen=True)
class _Failure:
    """Why a version cannot be loaded, and the files of which that is so."""

    why: str
    files: frozenset[tuple[str, int, int]]


@dataclass
class ModelVersions:
    """The versions of one model, kept as its directory has them.

    Attributes
    ----------
    name : str
        Under which it is asked.
    directory : Path
        Holds a directory for each version, named by its number.
    load : callable
        Loads the version in a directory.
    keep : int
        Newest versions that are served side by side.
    labels : mapping of str to int
        Other names of versions.
    """

    name: str
    directory: Path
    load: Callable[[Path], Version]
    keep: int = 1
    labels: Mapping[str, int] = field(default_factory=dict)
    _loaded: dict[int, Version] = field(default_factory=dict)
    _failed: dict[int, _Failure] = field(default_factory=dict)
    _leaving: set[asyncio.Task] = field(default_factory=set)

    def wanted(self) -> list[int]:
        """Return the numbers of the versions to serve, the newest last.

        Those that a label names stay, however old; those that failed are none.
        """
        numbers = sorted(
            int(path.name)
            for path in self.directory.iterdir()
            if _NUMBER.fullmatch(path.name)
            and int(path.name) not in self._failed
            and (path / "saved_model.pb").is_file()
        )
        named = set(self.labels.values())
        return [n for n in numbers if n in numbers[-self.keep :] or n in named]

    def _forget_failures(self) -> None:
        """Forget those whose files are others: they may have been half copied."""
        self._failed = {
            number: failure
            for number, failure in self._failed.items()
            if failure.files == self._files(number)
        }

    def _files(self, number: int) -> frozenset[tuple[str, int, int]]:
        """Return what tells whether the files of a version have changed."""
        found = [
            (path, path.lstat()) for path in (self.directory / str(number)).rglob("*")
        ]
        return frozenset((str(p), s.st_size, s.st_mtime_ns) for p, s in found)

    def pick(self, number: int | None = None, label: str | None = None) -> Version:
        """Return the version that a request asks for; the newest if it does not say.

        Raises
        ------
        RefusedError
            If it is not served.
        """
        if label is not None:
            if label not in self.labels:
                known = ", ".join(sorted(self.labels)) or "none"
                raise unknown(
                    f"{self.name}: expected a label of {known}; received {label!r}"
                )
            number = self.labels[label]
        if not self._loaded:
            raise RefusedError(
                grpc.StatusCode.UNAVAILABLE,
                f"{self.name}: no version is loaded yet; try again later",
            )
        if number is None:
            return self._loaded[max(self._loaded)]
        if number not in self._loaded:
            served = ", ".join(map(str, sorted(self._loaded)))
            raise unknown(
                f"{self.name}: expected a version of {served}; received {number}"
            )
        return self._loaded[number]

    @property
    def states(self) -> dict[int, tuple[str, str]]:
        """State of each version, in TensorFlow Serving's words, and what went wrong."""
        failed = {n: ("END", failure.why) for n, failure in self._failed.items()}
        return failed | {n: ("AVAILABLE", "") for n in self._loaded}

    async def refresh(self) -> None:
        """Load what is new, then let go of what is not wanted any more.

        In the place of one that cannot be loaded the next older one is wanted. A
        request that has a version keeps it until it is answered.
        """
        await asyncio.to_thread(self._forget_failures)
        wanted = await asyncio.to_thread(self.wanted)
        while new := [number for number in wanted if number not in self._loaded]:
            await self._take(new[-1])
            wanted = await asyncio.to_thread(self.wanted)
        newest_is_there = any(number in self._loaded for number in wanted)
        for number in sorted(set(self._loaded) - set(wanted)):
            # one that works is better than none
            if newest_is_there:
                leaving = self._loaded.pop(number)
                task = asyncio.create_task(_finish(leaving))
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)
                logger.info("%s: version %d is served no more", self.name, number)

    async def _take(self, number: int) -> None:
        """Load a version, or keep in mind why it cannot be."""
        files = await asyncio.to_thread(self._files, number)
        try:
            version = await asyncio.to_thread(self.load, self.directory / str(number))
        except Exception as error:
            # the versions that work go on
            self._failed[number] = _Failure(str(error).partition("\n")[0], files)
            logger.error("%s: version %d: %s", self.name, number, error)
            return
        self._loaded[number] = version
        logger.info("%s: version %d is served", self.name, number)

    async def finish(self) -> None:
        """Wait until all that has been asked is answered."""
        await asyncio.gather(
            *self._leaving, *(_finish(version) for version in self._loaded.values())
        )


async def _finish(version: Version) -> None:
    await asyncio.gather(*(batcher.finish() for batcher in version.batchers.values()))


def describe_state(state: tuple[str, str]) -> dict[str, Any]:
    """Return a version's state in the words of TensorFlow Serving's JSON."""
    name, reason = state
    code = "UNKNOWN" if reason else "OK"
    return {"state": name, "status": {"error_code": code, "error_message": reason}}
