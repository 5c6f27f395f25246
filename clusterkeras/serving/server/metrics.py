"""What a server counts, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

#: Of latencies in seconds, and of the rows of a batch.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "clusterkeras_requests",
            "Requests, by how they ended.",
            ("model", "signature", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "clusterkeras_request_seconds",
            "From a request's arrival to its answer.",
            ("model", "signature"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._rows = Histogram(
            "clusterkeras_batch_rows",
            "Rows of each batch.",
            ("model", "signature"),
            buckets=_ROWS,
            registry=self._registry,
        )
        self._names: set[tuple[str, str]] = set()

    def knows(self, model: str, signatures: set[str]) -> None:
        """Take requests of these under their names; others come under ``other``.

        A client's made-up names must not fill the memory.
        """
        self._names |= {(model, signature) for signature in signatures}

    def answered(self, model: str, signature: str, status: str, seconds: float) -> None:
        """Count a request.

        Parameters
        ----------
        model, signature : str
            As asked for.
        status : str
            Name of gRPC's code.
        seconds : float
            That it took.
        """
        names = self._names_of(model, signature)
        self._requests.labels(*names, status).inc()
        self._seconds.labels(*names).observe(seconds)

    def batch(self, model: str, signature: str, rows: int) -> None:
        """Count a batch of so many rows."""
        self._rows.labels(*self._names_of(model, signature)).observe(rows)

    def _names_of(self, model: str, signature: str) -> tuple[str, str]:
        names = (model, signature)
        return names if names in self._names else ("other", "other")

    def text(self) -> bytes:
        """Return all of it in Prometheus's text format."""
        return generate_latest(self._registry)
