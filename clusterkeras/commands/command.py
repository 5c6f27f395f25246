"""What a sub-command is, and the options that several have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from clusterkeras.network.model_file import DEFAULT_PRESET


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
        Does the work; receives the parsed arguments and gives the line to print.
    takes_target : bool
        Whether it has ``--target`` and the options of a target.
    uses_tensorflow : bool
        Whether `run` imports TensorFlow.
    """

    summary: str
    example: str
    add: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], str]
    takes_target: bool = False
    uses_tensorflow: bool = True


def add_model(parser: ArgumentParser) -> None:
    """Add ``--model``, by default the one that ships."""
    parser.add_argument(
        "--model",
        default=DEFAULT_PRESET,
        metavar="NAME_OR_PATH",
        help="Trained model: the name of one that ships, a .keras file, or the "
        "directory of a run.",
    )


def add_images(parser: ArgumentParser, required: bool = True) -> None:
    """Add ``--images``, a mosaic a band."""
    parser.add_argument(
        "--images",
        type=Path,
        nargs="+",
        required=required,
        metavar="FITS",
        help="One mosaic a band, in the order of the model's bands.",
    )


def add_data(parser: ArgumentParser, which: str = "") -> None:
    """Add ``--data``, a mock set; `which` goes on with its description."""
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIRECTORY",
        help=f"A mock set written by `clusterkeras simulate`{which}.",
    )


def add_batches(parser: ArgumentParser) -> None:
    """Add ``--batch_size`` and ``--limit`` of the records of a mock set."""
    parser.add_argument("--batch_size", type=int, default=256, help="Images a step.")
    parser.add_argument(
        "--limit", type=int, default=None, help="Only the first so many records."
    )


def add_output(parser: ArgumentParser, what: str) -> None:
    """Add ``--output``; `what` says what is written there."""
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="PATH", help=what
    )


def add_runner(parser: ArgumentParser, runners: Sequence[str], what: str) -> None:
    """Add ``--runner``, ``--workers`` and, after ``--``, options of Beam's own."""
    parser.add_argument("--runner", choices=runners, default="local", help=what)
    parser.add_argument(
        "--workers", type=int, default=0, help="Processes; 0 for one a core."
    )
    parser.add_argument(
        "runner_options",
        nargs="*",
        default=[],
        metavar="-- BEAM_OPTION",
        help="Beam's own options: --runner beam -- --runner=DataflowRunner "
        "--project=P --region=R. Without any, Beam works in processes of this machine.",
    )
