"""The console command `clusterkeras`: parses, calls a sub-command, says what failed.

Every configuration is a frozen data class; jsonargparse turns its attributes into
options (``--mocks.n_train 1000``) and reads the same from YAML (``--config``). Only the
parser of the command that is asked for is built, and TensorFlow is imported only where
a command has work for it, so that help and refusals are there at once.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from importlib import resources

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from clusterkeras import __version__
from clusterkeras.commands import catalogues, mocks, models
from clusterkeras.commands.command import LIMITS, Command
from clusterkeras.commands.errors import is_told, one_line
from clusterkeras.commands.parsing.old_words import RenamingParser
from clusterkeras.commands.parsing.words import add_words, for_terminal
from clusterkeras.commands.versions import full_versions
from clusterkeras.quiet_tensorflow import tensorflow_is_quiet
from data_tools.foreign.limits import check

DEFAULT_TARGET = "m83-wfc3-uvis"

#: Set to anything but 0 for the traceback of an error, as ``--traceback`` does.
TRACEBACK_VARIABLE = "CLUSTERKERAS_TRACEBACK"

#: Options that ask for it anywhere on the command line; the second is an old word.
_TRACEBACK = ("--traceback", "--debug")

#: Exit status of a fault of the program: EX_SOFTWARE of BSD's sysexits.h.
FAULT = 70


class _HelpFormatter(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keep the line breaks of the examples; show docstrings as plain text."""

    def _expand_help(self, action: argparse.Action) -> str:
        text = super()._expand_help(action).replace("<class 'Path'>", "path")
        return for_terminal(text)


#: Every sub-command, in the order of the list that `clusterkeras` prints.
COMMANDS: dict[str, Command] = {
    **mocks.COMMANDS,
    **models.COMMANDS,
    **catalogues.COMMANDS,
}


def _top_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line up to the sub-command's name."""
    width = max(len(name) for name in COMMANDS)
    lines = [
        f"  {name:<{width}}  {command.summary.partition('. ')[0].rstrip('.')}"
        for name, command in COMMANDS.items()
    ]
    parser = argparse.ArgumentParser(
        prog="clusterkeras",
        usage="clusterkeras [--help] [--version [--full]] [--traceback] COMMAND ...",
        description="Joint posteriors of age, extinction, mass and size of star "
        "clusters\nfrom HST images.\n\ncommands:\n" + "\n".join(lines),
        epilog="`clusterkeras COMMAND --help` lists a command's options.\n\n"
        f"example:\n  {COMMANDS['infer'].example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        exit_on_error=False,
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"clusterkeras {__version__}",
        help="Show the version; with --full all that a report of a fault needs.",
    )
    _add_traceback(parser)
    parser.add_argument("command", help=argparse.SUPPRESS)
    return parser


def _add_traceback(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--traceback",
        action="store_true",
        help=f"Show an error's traceback (as {TRACEBACK_VARIABLE}=1 does).",
    )


def build_parser(name: str) -> ArgumentParser:
    """Return the parser of one sub-command, without importing TensorFlow."""
    command = COMMANDS[name]
    parser = RenamingParser(
        prog=f"clusterkeras {name}",
        description=command.summary,
        epilog=f"example:\n  {command.example}",
        formatter_class=_HelpFormatter,
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.command = name
    parser.add_argument(
        "--config",
        action="config",
        help="YAML file with any of the options below; those given after it win.",
    )
    _add_traceback(parser)
    command.add(parser)
    add_words(parser, command.functions)
    if command.takes_target:
        from data_tools.target import Target

        parser.add_class_arguments(Target, "target")
    return parser


def _with_target_file(argv: Sequence[str]) -> list[str]:
    """Put the YAML file of a shipped target where its name, or nothing, is given.

    The options of a target are those of its file, overridden by what follows; so the
    file has to come first, and a name has to become a file.
    """
    from data_tools.target import Target

    shipped = resources.files("data_tools.targets")

    def target_file(name: str) -> str:
        file = shipped / f"{name}.yaml"
        if file.is_file():
            return str(file)
        Target.load(name)  # a missing or broken file is told here, by its name
        return name

    out: list[str] = []
    given = False
    for argument in argv:
        if out and out[-1] == "--target":
            argument = target_file(argument)
        elif argument.startswith("--target="):
            argument = "--target=" + target_file(argument.removeprefix("--target="))
        given = given or argument == "--target" or argument.startswith("--target=")
        out.append(argument)
    return out if given else ["--target", target_file(DEFAULT_TARGET), *out]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the console command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of the process by default.

    Returns
    -------
    int
        0 if all went well, 1 if the input was refused, 2 if the command line was
        wrong, 70 on a fault of the program, 130 if interrupted, 141 if nobody reads
        what it prints.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    own = argv[: argv.index("--")] if "--" in argv else argv
    traceback = os.environ.get(TRACEBACK_VARIABLE, "0") not in ("", "0")
    traceback = traceback or any(word in own for word in _TRACEBACK)
    argv = [a for a in own if a not in _TRACEBACK] + argv[len(own) :]
    prog = f"clusterkeras {argv[0]}" if argv and argv[0] in COMMANDS else "clusterkeras"
    try:
        return _run(argv, prog, traceback)
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        _silence_stdout()
        return 141
    except Exception as error:
        if traceback:
            raise
        if is_told(error):
            print(f"{prog}: error: {one_line(error)}", file=sys.stderr)
            return 1
        print(
            f"{prog}: error: {type(error).__name__}: {one_line(error)}: this is a "
            "fault of the program; run the same with --traceback and report what it "
            "shows",
            file=sys.stderr,
        )
        return FAULT


def _run(argv: Sequence[str], prog: str, traceback: bool) -> int:
    """Run what a command line asks for; return its exit status or raise."""
    top = _top_parser()
    if not argv:
        top.print_help(sys.stderr)
        return 2
    if sorted(argv) == ["--full", "--version"]:
        _print(full_versions())
        return 0
    try:
        name = top.parse_args(argv[:1]).command
        if name not in COMMANDS:
            raise ValueError(_no_command(name))
        parser = build_parser(name)
        arguments = argv[1:]
        if COMMANDS[name].takes_target:
            arguments = _with_target_file(arguments)
        parsed = parser.parse_args(arguments)
        args = parser.instantiate(parsed)
        check(args, "--", {k: limit for k, limit in LIMITS.items() if k in args})
        COMMANDS[name].check_pairs(parsed, parser.get_defaults())
    except (argparse.ArgumentError, ValueError, TypeError, OSError) as error:
        if traceback or isinstance(error, BrokenPipeError):
            raise
        print(f"{prog}: error: {one_line(error)}", file=sys.stderr)
        return 2
    with nullcontext() if traceback else tensorflow_is_quiet():
        _print(COMMANDS[name].run(args))
    return 0


def _no_command(name: str) -> str:
    nearest = difflib.get_close_matches(name, COMMANDS, 1)
    meant = f"; did you mean {nearest[0]}?" if nearest else ""
    return f"no command {name!r}; expected one of {', '.join(COMMANDS)}{meant}"


def _print(text: str) -> None:
    """Print the result; what cannot be written says that it is stdout."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        _silence_stdout()
        raise OSError(f"cannot write to the standard output: {error}") from error


def _silence_stdout() -> None:
    """Let the interpreter's last flush go nowhere, where stdout takes nothing more."""
    with open(os.devnull, "wb") as nowhere, suppress(OSError, ValueError):
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
