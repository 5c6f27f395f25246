"""A server begun, kept up to date with its directories, and ended in order."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import signal
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
from aiohttp import web

from clusterkeras.config import ServeConfig
from clusterkeras.serving.server.grpc_front import grpc_server
from clusterkeras.serving.server.metrics import Metrics
from clusterkeras.serving.server.rest_front import RestFront
from clusterkeras.serving.server.servicer import Servicer
from clusterkeras.serving.server.versions import (
    Limits,
    ModelVersions,
    Version,
    load_version,
)

logger = logging.getLogger(__name__)

_MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Ports:
    """Where a server listens."""

    grpc: int
    rest: int


def serve(
    directories: Sequence[str | Path],
    config: ServeConfig | None = None,
    started: Callable[[Ports], None] | None = None,
) -> None:
    """Serve models until the process is told to end.

    A request is answered by one version, the newest unless it names one. A version that
    appears in a model's directory is loaded and warmed up beside the one before, which
    then is let go when it has answered what it has. At SIGTERM or SIGINT nothing more
    is taken, and what was asked is answered.

    Parameters
    ----------
    directories : sequence of path
        Of each model, ``NAME`` with its versions in it, as ``clusterkeras export``
        writes them; the model is asked by that name.
    config : ServeConfig, optional
        Ports, limits, who may ask.
    started : callable, optional
        Told the ports when all models are loaded and the server listens.

    Raises
    ------
    FileNotFoundError
        If a directory has no version that can be served.
    OSError
        If a port is taken, or a file of TLS cannot be read.
    ValueError
        If two directories have one name, or a label names no version.
    """
    paths = [Path(directory) for directory in directories]
    asyncio.run(_serve(paths, config or ServeConfig(), started))


async def _serve(
    directories: Sequence[Path],
    config: ServeConfig,
    started: Callable[[Ports], None] | None,
) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    # one batch at a time has all cores; the next is read and checked meanwhile
    with ThreadPoolExecutor(1, "model") as executor:
        metrics = Metrics()
        limits = Limits(config.request_rows, config.batch_rows, config.queue_rows)
        models = _models(directories, config, limits, executor, metrics)
        for model in models.values():
            await model.refresh()
            _check_loaded(model)
            for version in map(model.pick, model.states):
                metrics.knows(model.name, set(version.specs))
        servicer = Servicer(models, limits, metrics)
        allowed = _token_check(config)
        server, grpc_port = grpc_server(
            servicer,
            f"{config.host}:{config.grpc_port}",
            config.message_mb * _MEGABYTE,
            allowed,
            _credentials(config),
        )
        front = RestFront(
            servicer,
            lambda: all(
                any(state == "AVAILABLE" for state, _ in m.states.values())
                for m in models.values()
            ),
            allowed,
        )
        runner = web.AppRunner(front.application(config.message_mb * _MEGABYTE))
        await runner.setup()
        site = web.TCPSite(
            runner, config.host, config.rest_port, ssl_context=_ssl_context(config)
        )
        try:
            await site.start()
            await server.start()
            ports = Ports(grpc_port, runner.addresses[0][1])
            logger.info(
                "%s: gRPC on %s:%d, REST on port %d",
                *(", ".join(models), config.host, ports.grpc, ports.rest),
            )
            if started is not None:
                started(ports)
            watching = asyncio.create_task(_watch(models, config.poll_s, metrics))
            await ended.wait()
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
        finally:
            # what has come is answered, nothing more is taken
            await server.stop(config.grace_s)
            await runner.cleanup()
            await asyncio.gather(*(model.finish() for model in models.values()))
    logger.info("all that was asked is answered; ended")


def _models(
    directories: Sequence[Path],
    config: ServeConfig,
    limits: Limits,
    executor: ThreadPoolExecutor,
    metrics: Metrics,
) -> dict[str, ModelVersions]:
    models: dict[str, ModelVersions] = {}
    for directory in directories:
        if not directory.is_dir():
            raise FileNotFoundError(
                f"{directory}: expected a directory with versions of a model, as "
                "`clusterkeras export` makes NAME with NAME/1 in it; there is none"
            )
        name = directory.resolve().name
        if name in models:
            raise ValueError(
                f"{directory}: expected each name once; {name!r} is also "
                f"{models[name].directory}"
            )

        def load(path: Path, name: str = name) -> Version:
            version = load_version(
                path,
                executor,
                limits,
                lambda signature, rows: metrics.batch(name, signature, rows),
            )
            metrics.knows(name, set(version.specs))
            return version

        models[name] = ModelVersions(
            name, directory, load, config.versions, config.labels
        )
    return models


def _check_loaded(model: ModelVersions) -> None:
    """Refuse to begin without a version, or without one that a label names."""
    available = [n for n, (state, _) in model.states.items() if state == "AVAILABLE"]
    if not available:
        failed = "; ".join(why for _, why in model.states.values() if why)
        raise FileNotFoundError(
            f"{model.directory}: expected versions of a model, directories named 1, 2 "
            f"and so on with a saved_model.pb each; {failed or 'found none'}"
        )
    missing = {k: n for k, n in model.labels.items() if n not in available}
    if missing:
        raise ValueError(
            f"{model.directory}: expected labels of versions among "
            f"{', '.join(map(str, sorted(available)))}; received {missing}"
        )


async def _watch(
    models: dict[str, ModelVersions], poll_s: float, metrics: Metrics
) -> None:
    """Keep the versions as the directories have them."""
    while True:
        await asyncio.sleep(poll_s)
        for model in models.values():
            try:
                await model.refresh()
            except OSError as error:
                # what is loaded is served on
                logger.error("%s: %s", model.directory, error)


def _token_check(config: ServeConfig) -> Callable[[str], bool] | None:
    """Return what says whether a value of ``authorization`` may ask."""
    if not config.token_file:
        return None
    token = Path(config.token_file).read_text().strip()
    if not token:
        raise ValueError(f"{config.token_file}: expected a token; the file is empty")
    expected = f"Bearer {token}".encode()
    return lambda given: hmac.compare_digest(given.encode(), expected)


def _credentials(config: ServeConfig) -> grpc.ServerCredentials | None:
    if not config.tls_certificate:
        return None
    pair = Path(config.tls_key).read_bytes(), Path(config.tls_certificate).read_bytes()
    return grpc.ssl_server_credentials([pair])


def _ssl_context(config: ServeConfig) -> ssl.SSLContext | None:
    if not config.tls_certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(config.tls_certificate, config.tls_key)
    return context
