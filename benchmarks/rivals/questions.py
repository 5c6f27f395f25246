"""What all methods are asked: the test split's records and their truths, kept once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clusterkeras.evaluation.numbers.predictions import Predictions
from data_tools.running.output import whole_path


@dataclass(frozen=True)
class Questions:
    """The records of a test split, n of whose N are clusters.

    Attributes
    ----------
    mock_id, field_id : ndarray of int (N,)
        Number of each record and of its field.
    is_cluster : ndarray of bool (N,)
        Whether it is a cluster.
    truth : ndarray (n, P)
        Parameters of the clusters.
    log_snr : ndarray (n,)
        Their true visibility in dex.
    box : ndarray (P, 2)
        Least and largest of each parameter.
    """

    mock_id: NDArray[np.int64]
    field_id: NDArray[np.int64]
    is_cluster: NDArray[np.bool_]
    truth: NDArray[np.float32]
    log_snr: NDArray[np.float32]
    box: NDArray[np.float64]

    @classmethod
    def of(cls, labels: Iterable[Mapping[str, ArrayLike]], box: ArrayLike) -> Questions:
        """Return the questions of a split's labels, batch by batch."""
        parts = [{k: np.asarray(v) for k, v in batch.items()} for batch in labels]
        whole = {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
        rows = whole["is_cluster"] > 0
        return cls(
            mock_id=whole["mock_id"].astype(np.int64),
            field_id=whole["field_id"].astype(np.int64),
            is_cluster=rows,
            truth=whole["parameters"][rows].astype(np.float32),
            log_snr=whole["log_snr"][rows].astype(np.float32),
            box=np.asarray(box, np.float64),
        )

    @property
    def digest(self) -> str:
        """SHA-256 of numbers, kinds and truths, which no machine rounds another way."""
        found = hashlib.sha256()
        numbers = np.stack([self.mock_id, self.field_id, self.is_cluster]).astype("<i8")
        for part in (numbers, self.truth.astype("<f4")):
            found.update(np.ascontiguousarray(part).tobytes())
        return found.hexdigest()

    @property
    def fields_of_clusters(self) -> NDArray[np.int64]:
        """Field of each cluster, (n,)."""
        return self.field_id[self.is_cluster]

    def check(self, name: str, found: Predictions) -> None:
        """Refuse predictions of other records.

        They are of all records, or of the clusters alone, in the split's order.

        Raises
        ------
        ValueError
            If they are of others, or other truths stand in them.
        """
        clusters = found.select(found.is_cluster)
        same = np.array_equal(clusters.mock_id, self.mock_id[self.is_cluster])
        if same and not found.is_cluster.all():
            same = np.array_equal(found.mock_id, self.mock_id)
        if same:
            same = np.array_equal(clusters.truth.astype(np.float32), self.truth)
            same &= np.array_equal(clusters.field_id, self.fields_of_clusters)
        if not same:
            raise ValueError(
                f"{name}: expected predictions of the {len(self.mock_id)} records of "
                f"the test split, or of its {len(self.truth)} clusters, in their "
                f"order; received {len(found)} others. Ask it about this set"
            )

    def write(self, path: Path) -> None:
        """Write all arrays as a compressed ``.npz``."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_path(path) as unfinished:
            np.savez_compressed(
                unfinished, **{f.name: getattr(self, f.name) for f in fields(self)}
            )

    @classmethod
    def read(cls, path: Path) -> Questions:
        """Read what `write` wrote.

        Raises
        ------
        FileNotFoundError
            If nobody has been asked yet.
        """
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: expected the truths of the test split, which the first "
                "`bench_rivals.py ask` writes; there is no such file"
            )
        with np.load(path) as content:
            return cls(**content)
