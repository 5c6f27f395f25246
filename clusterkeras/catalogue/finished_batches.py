"""Batches that a run has finished, kept beside its output until that is whole."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clusterkeras import __version__
from data_tools.mosaics.stored.extensions import files_of
from data_tools.running.output import whole_file
from data_tools.running.plain_files import differences, read_json
from data_tools.running.work_directory import claimed

if TYPE_CHECKING:
    from clusterkeras.catalogue.asking.settings import InferenceSettings
    from clusterkeras.network.posterior_model import PosteriorModel
    from data_tools.mosaics.mosaic import Mosaics

logger = logging.getLogger(__name__)

#: The directory beside an output: its name is the run's, so that a run goes on whatever
#: its output is called.
_NAME = "infer-{}.part"

_RUN = "run.json"
#: Of SHA-256: as many as a catalogue's hash of its configuration has.
_DIGITS = 16
_BATCH = re.compile(r"batch-(\d+)\.npz")


def forget_batches(output: Path) -> None:
    """Remove what runs that were killed have left beside an output that is whole.

    Its directory is one that holds nothing else of this kind.
    """
    for directory in output.parent.glob(_NAME.format("*")):
        shutil.rmtree(directory, ignore_errors=True)


def describe_run(
    settings: InferenceSettings,
    model: PosteriorModel,
    mosaics: Mosaics,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    draws: int,
) -> dict[str, str]:
    """Say what the batches of a run depend on.

    Parameters
    ----------
    settings : InferenceSettings
        How the model is asked.
    model : PosteriorModel
        Its weights count.
    mosaics : Mosaics
        Their files count by place, size and time of the last change, which are read at
        once, and so do weight and data-quality maps beside them.
    x, y : ndarray, shape (n,)
        Positions in 0-based pixels.
    draws : int
        Draws a position.

    Returns
    -------
    dict of str to str
        ``configuration``, ``psf_fwhm_px``, ``model``, ``images``, ``positions``,
        ``draws`` and ``software``: what each is, as SHA-256 or in words.
    """
    files = [(p.resolve(), p.stat()) for p in files_of(mosaics)]
    stats = [(str(path), about.st_size, about.st_mtime_ns) for path, about in files]
    weights = hashlib.sha256()
    for weight in model.get_weights():
        weights.update(np.ascontiguousarray(weight).tobytes())
    places = np.stack([x, y]).tobytes()
    return {
        "configuration": settings.configuration_hash,
        "psf_fwhm_px": json.dumps(settings.config.psf_fwhm_px),
        "model": weights.hexdigest()[:_DIGITS],
        "images": hashlib.sha256(json.dumps(stats).encode()).hexdigest()[:_DIGITS],
        "positions": hashlib.sha256(places).hexdigest()[:_DIGITS],
        "draws": str(draws),
        "software": f"clusterkeras {__version__}, tensorflow {version('tensorflow')}",
    }


class BatchesInMemory:
    """Batches of a run that leaves nothing behind if it ends early.

    Parameters
    ----------
    batches : sequence of ndarray of int
        The rows of each batch of the whole run.
    """

    def __init__(self, batches: Sequence[NDArray[np.intp]]) -> None:
        self.batches = batches
        self.missing = list(range(len(batches)))
        self._kept: dict[int, dict[str, NDArray]] = {}

    def keep(self, number: int, columns: Mapping[str, NDArray]) -> None:
        """Keep what was found of a batch; see `FinishedBatches.keep`."""
        self._kept[number] = dict(columns)

    def read(
        self, *, draws: bool = False
    ) -> Iterator[tuple[NDArray[np.intp], dict[str, NDArray]]]:
        """Yield all batches, in their order; see `FinishedBatches.read`."""
        for number, rows in enumerate(self.batches):
            kept = self._kept[number]
            yield rows, {k: v for k, v in kept.items() if (k == "draws") == draws}


class FinishedBatches:
    """A directory of finished batches; a context manager that holds it for one process.

    Each batch is a file that appears whole. A process that was killed leaves its
    directory behind, and the same run goes on from there, under another name of the
    output too; so does one that ended with an error. Of those that other runs have left
    for the same positions the log tells.

    Parameters
    ----------
    output : Path
        What the run is to write; the directory is beside it.
    run : mapping of str to str
        What the batches depend on; see `describe_run`.
    batches : sequence of ndarray of int
        The rows of each batch of the whole run.

    Raises
    ------
    ValueError, BlockingIOError
        If the directory is damaged, or another process works in it; see
        `data_tools.running.work_directory.claimed`.
    """

    def __init__(
        self, output: Path, run: Mapping[str, str], batches: Sequence[NDArray[np.intp]]
    ) -> None:
        text = json.dumps(dict(run), sort_keys=True)
        digits = hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
        self.directory = output.with_name(_NAME.format(digits))
        self._run, self.batches = dict(run), batches

    def __enter__(self) -> FinishedBatches:
        """Open the directory: make it, or see what is there."""
        with ExitStack() as claim:
            claim.enter_context(claimed(self.directory, _RUN, self._run))
            known = self._numbers()
            self._claim = claim.pop_all()
        self.missing = [i for i in range(len(self.batches)) if i not in known]
        if known:
            logger.warning(
                "%s: %d of %d batches are finished, the run goes on from there",
                self.directory,
                len(known),
                len(self.batches),
            )
        self._tell_of_others()
        return self

    def _tell_of_others(self) -> None:
        for other in sorted(self.directory.parent.glob(_NAME.format("*"))):
            if other == self.directory:
                continue
            with suppress(OSError, ValueError):  # it may be gone, or damaged
                there = read_json(other / _RUN)
                if there.get("positions") == self._run.get("positions"):
                    logger.warning(
                        "%s: finished batches of another run (%s), which are not used; "
                        "remove it if that run will not go on",
                        other,
                        "; ".join(differences(there, self._run)),
                    )

    def _numbers(self) -> set[int]:
        matches = (_BATCH.fullmatch(p.name) for p in self.directory.iterdir())
        return {int(match[1]) for match in matches if match}

    def __exit__(self, *exception: Any) -> None:
        """Let another process in."""
        self._claim.__exit__(*exception)

    def _path(self, number: int) -> Path:
        return self.directory / f"batch-{number:06d}.npz"

    def keep(self, number: int, columns: Mapping[str, NDArray]) -> None:
        """Keep what was found of a batch.

        Parameters
        ----------
        number : int
            Which one.
        columns : mapping of str to ndarray
            See `clusterkeras.catalogue.measurement.answer`.
        """
        with whole_file(self._path(number)) as file:
            np.savez(file, **columns)

    def read(
        self, *, draws: bool = False
    ) -> Iterator[tuple[NDArray[np.intp], dict[str, NDArray]]]:
        """Yield all batches, in their order.

        Parameters
        ----------
        draws : bool
            Whether to read the draws, and nothing else; or all but them.

        Yields
        ------
        rows : ndarray of int, shape (B,)
            Of the run.
        columns : dict of str to ndarray
            What was kept.
        """
        for number, rows in enumerate(self.batches):
            with np.load(self._path(number)) as kept:
                names = [name for name in kept.files if (name == "draws") == draws]
                yield rows, {name: kept[name] for name in names}

    def remove(self) -> None:
        """Remove the directory: the output is whole."""
        # first what the file of settings tells of: a kill in between leaves no batches
        # that another run would take for its own
        for number in self._numbers():
            self._path(number).unlink()
        shutil.rmtree(self.directory)
