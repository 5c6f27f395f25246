"""What a model says of records, beside the truth: what every diagnostic starts from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from data_tools.running.output import whole_path


@dataclass(frozen=True)
class Predictions:
    """What a model says of N records, beside the truth.

    Attributes
    ----------
    truth : ndarray, shape (N, P)
        Parameters in the order of PARAMETERS; anything finite without a cluster.
    is_cluster, has_object : ndarray of bool, shape (N,)
        Whether a cluster, and whether any object, stands in the middle.
    kind : ndarray of int, shape (N,)
        Index into KINDS.
    mock_id : ndarray of int, shape (N,)
        Number of the record.
    field_id : ndarray of int, shape (N,)
        Number of the field of the background.
    log_snr : ndarray, shape (N,)
        True visibility in dex; meaningless without an object.
    crowding : ndarray, shape (N,)
        Roughness of the background in dex, see `data_tools.records.dataset.crowding`.
    log_prob : ndarray, shape (N,)
        Natural log of the posterior's density at the truth, native units.
    draws : ndarray, shape (N, S, P)
        Draws of the posterior.
    log_prob_draws : ndarray, shape (N, S)
        Log density at the draws.
    p_cluster : ndarray, shape (N,)
        Probability of a cluster.
    visibility_mean, visibility_std : ndarray, shape (N,)
        Normal posterior of the visibility, in dex.
    unlike_mocks : ndarray, shape (N,)
        log10 of the share of the training's mocks that are further out; NaN from what
        cannot tell.
    """

    truth: NDArray[np.floating]
    is_cluster: NDArray[np.bool_]
    has_object: NDArray[np.bool_]
    kind: NDArray[np.int64]
    mock_id: NDArray[np.int64]
    field_id: NDArray[np.int64]
    log_snr: NDArray[np.floating]
    crowding: NDArray[np.floating]
    log_prob: NDArray[np.floating]
    draws: NDArray[np.floating]
    log_prob_draws: NDArray[np.floating]
    p_cluster: NDArray[np.floating]
    visibility_mean: NDArray[np.floating]
    visibility_std: NDArray[np.floating]
    unlike_mocks: NDArray[np.floating]

    def __post_init__(self) -> None:
        """Check that every array has the same number of rows."""
        lengths = {f.name: len(getattr(self, f.name)) for f in dataclasses.fields(self)}
        if len(set(lengths.values())) != 1:
            raise ValueError(
                f"predictions must have one number of rows; received {lengths}"
            )

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.truth)

    def arrays(self) -> dict[str, NDArray]:
        """Return every array by its name."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    def select(self, rows: NDArray[np.bool_]) -> Predictions:
        """Return some of the records."""
        return Predictions(**{k: v[rows] for k, v in self.arrays().items()})

    @classmethod
    def joined(cls, parts: Sequence[Predictions]) -> Predictions:
        """Return the records of all parts, one part after the other."""
        every = [part.arrays() for part in parts]
        return cls(**{k: np.concatenate([a[k] for a in every]) for k in every[0]})

    @classmethod
    def of_posterior(
        cls,
        truth: Mapping[str, NDArray],
        log_prob: NDArray[np.floating],
        draws: NDArray[np.floating],
        log_prob_draws: NDArray[np.floating],
    ) -> Predictions:
        """Return the predictions of a method that knows of posteriors only.

        For presence and visibility it predicts what holds for all its records, and
        of what is unlike the mocks nothing.

        Parameters
        ----------
        truth : mapping of str to array
            ``truth``, ``is_cluster``, ``has_object``, ``kind``, ``mock_id``,
            ``field_id``, ``log_snr`` and ``crowding``.
        log_prob, draws, log_prob_draws : ndarray
            As the attributes.
        """
        n = len(log_prob)
        seen = truth["log_snr"][truth["has_object"]]
        return cls(
            **truth,
            log_prob=log_prob,
            draws=draws,
            log_prob_draws=log_prob_draws,
            p_cluster=np.full(n, truth["is_cluster"].mean()),
            visibility_mean=np.full(n, seen.mean()),
            visibility_std=np.full(n, seen.std()),
            unlike_mocks=np.full(n, np.nan),
        )

    def write(self, path: str | Path) -> None:
        """Write all arrays as a numpy ``.npz`` file, for `read`."""
        with whole_path(Path(path)) as unfinished:
            np.savez(unfinished, **self.arrays())

    @classmethod
    def read(cls, path: str | Path) -> Predictions:
        """Read what `write` wrote, here or where another method runs.

        Raises
        ------
        ValueError
            If the file is damaged or no ``.npz``, or an array is missing, unknown, or
            has another number of rows; the message names the file.
        """
        try:
            # opened here: numpy does not close a file that is no whole .npz
            with open(path, "rb") as file, np.load(file) as content:
                arrays = dict(content)
        except (BadZipFile, EOFError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path}: expected a whole .npz of `Predictions.write`; received "
                f"something else ({error}). Make the predictions again"
            ) from error
        expected = {f.name for f in dataclasses.fields(cls)}
        if set(arrays) != expected:
            raise ValueError(
                f"{path}: expected the arrays {sorted(expected)}; received "
                f"{sorted(arrays)}"
            )
        try:
            return cls(**arrays)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
