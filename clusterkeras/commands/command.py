"""What a sub-command is, and the options that several have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from clusterkeras.config import LARGEST_BATCH, MOST_DRAWS
from clusterkeras.model_files.presets import DEFAULT_PRESET
from data_tools.foreign.limits import above, optional, seed, whole, workers

#: Where work of many parts runs. The modules that run it say the same, but take seconds
#: to import.
RUNNERS = ("local", "beam")


#: What an option that is no attribute of a configuration may be, by its name, which
#: means the same in every command.
LIMITS = {
    "batch_size": whole(1, LARGEST_BATCH),
    "classical_models": whole(0, 100_000_000),
    "draws": whole(16, MOST_DRAWS),
    "map_stride": whole(1, 10_000),
    "match_px": above(0, 10_000),
    "n_mocks": optional(whole(1, 10**12)),
    "seed": seed(),
    "workers": workers(),
}


@dataclass(frozen=True)
class Command:
    """One sub-command.

    Attributes
    ----------
    summary : str
        One line for the list of commands; the first line of its own help.
    example : str
        A command line that works, at the end of its help.
    add : callable
        Adds the arguments to a parser, without importing TensorFlow.
    run : callable
        Does the work; receives the parsed arguments and returns the line to print.
    functions : tuple of str
        What `run` calls, as ``package.module:function``: an option that `add` adds
        without help has the words of the parameter of its name, of the first that has
        it.
    takes_target : bool
        Whether it has ``--target`` and the options of a target.
    needs : mapping of str to str
        Options that mean nothing without another, and that one.
    """

    summary: str
    example: str
    add: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], str]
    functions: tuple[str, ...]
    takes_target: bool = False
    needs: Mapping[str, str] = field(default_factory=dict)

    def check_pairs(self, args: Namespace, defaults: Namespace) -> None:
        """Refuse an option that would be left aside for want of another.

        Parameters
        ----------
        args, defaults : Namespace
            What was given, and what they are where nothing is.

        Raises
        ------
        ValueError
            If there is one that is not as by default.
        """
        for name, other in self.needs.items():
            if args[name] != defaults[name] and not args[other]:
                raise ValueError(
                    f"--{name}: expected --{other} beside it, without which it means "
                    f"nothing; received it alone. Give --{other} too, or leave it out"
                )


def add_model(parser: ArgumentParser, words: str | None = None) -> None:
    """Add ``--model``, by default the one that ships."""
    parser.add_argument(
        "--model", default=DEFAULT_PRESET, metavar="NAME_OR_PATH", help=words
    )


def add_images(parser: ArgumentParser, required: bool = True) -> None:
    """Add ``--images``, a mosaic a band."""
    parser.add_argument(
        "--images", type=Path, nargs="+", required=required, metavar="FITS"
    )


def add_data(parser: ArgumentParser) -> None:
    """Add ``--data``, a mock set."""
    parser.add_argument("--data", type=Path, required=True, metavar="DIRECTORY")


def add_batches(parser: ArgumentParser) -> None:
    """Add ``--batch_size`` and ``--n_mocks`` of the records of a mock set."""
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument(
        "--n_mocks", type=int, default=None, help="Only the first so many mocks."
    )


def add_output(parser: ArgumentParser) -> None:
    """Add ``--output``, where the result is written."""
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="PATH")
    add_overwrite(parser)


def add_overwrite(parser: ArgumentParser) -> None:
    """Add ``--overwrite``, for outputs where something else is."""
    parser.add_argument("--overwrite", action="store_true")


def add_runner(parser: ArgumentParser) -> None:
    """Add ``--runner``, ``--workers`` and, after ``--``, options of Beam's own."""
    parser.add_argument("--runner", choices=RUNNERS, default="local")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument(
        "runner_options", nargs="*", default=[], metavar="-- BEAM_OPTION"
    )
