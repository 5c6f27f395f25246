"""The console command `clusterkeras`: one thin call of the library a sub-command.

Every configuration is a frozen data class; jsonargparse turns its attributes into
options (``--mocks.n 1000``) and reads the same from YAML (``--config``). Only the
parser of the command that is asked for is built, and only `run` imports TensorFlow,
so that help answers at once.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace

from clusterkeras import __version__
from clusterkeras.presets import DEFAULT_PRESET

DEFAULT_TARGET = "m83-wfc3-uvis"

#: Set to anything but 0 for the traceback of an error, as ``--debug`` does.
DEBUG_VARIABLE = "CLUSTERKERAS_DEBUG"

RECORD_SIZE_NOTE = (
    "On disk a record of 64 x 64 pixels in 3 bands takes 49 kB: 200,000 records take "
    "about 9.8 GB."
)


class _HelpFormatter(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keep the line breaks of the examples; call a path a path."""

    def _expand_help(self, action: argparse.Action) -> str:
        return super()._expand_help(action).replace("<class 'Path'>", "path")


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


def _add_model(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        default=DEFAULT_PRESET,
        metavar="NAME_OR_PATH",
        help="Trained model: the name of one that ships, a .keras file, or the "
        "directory of a run.",
    )


def _add_images(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--images",
        type=Path,
        nargs="+",
        required=True,
        metavar="FITS",
        help="One mosaic a band, in the order of the model's bands.",
    )


def _add_output(parser: ArgumentParser, what: str) -> None:
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="PATH", help=what
    )


def _add_simulate(parser: ArgumentParser) -> None:
    from data_tools.backgrounds import Backgrounds
    from data_tools.mock_set import MockSet
    from data_tools.priors import Priors
    from data_tools.simulate import RUNNERS

    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="PATH",
        help="Directory of the set, or gs://BUCKET/SET; a set begun there is finished.",
    )
    parser.add_argument(
        "--images",
        nargs="+",
        metavar="FITS",
        help="Mosaics to cut the backgrounds from, one a band in the order of the "
        "target's bands; without, backgrounds are synthetic.",
    )
    parser.add_argument(
        "--workers", type=int, default=0, help="Processes; 0 for one a core."
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="Also read what is finished, and make again what is damaged.",
    )
    parser.add_argument(
        "--runner",
        choices=RUNNERS,
        default="local",
        help="Processes of this machine, or an Apache Beam pipeline.",
    )
    parser.add_argument(
        "runner_options",
        nargs="*",
        default=[],
        metavar="-- BEAM_OPTION",
        help="Beam's own options: --runner beam -- --runner=DataflowRunner "
        "--project=P --region=R. Without any, Beam works in processes of this machine.",
    )
    parser.add_class_arguments(MockSet, "mocks")
    parser.add_class_arguments(Priors, "priors")
    parser.add_class_arguments(Backgrounds, "backgrounds", skip={"images"})


def _simulate(args: Namespace) -> str:
    from data_tools.backgrounds import Backgrounds
    from data_tools.simulate import simulate

    backgrounds = None
    if args.images:
        backgrounds = replace(args.backgrounds, images=tuple(args.images))
    elif args.backgrounds != Backgrounds():
        raise ValueError(
            "the options of backgrounds are for real mosaics: expected --images too"
        )
    path = simulate(
        args.output,
        args.target,
        args.priors,
        args.mocks,
        workers=args.workers,
        backgrounds=backgrounds,
        runner=args.runner,
        runner_options=args.runner_options,
        verify=args.verify,
    )
    return f"wrote the mock set {path}"


def _add_mosaic(parser: ArgumentParser) -> None:
    from data_tools.mock_mosaic import MosaicConfig
    from data_tools.priors import Priors

    _add_output(parser, "Directory for one FITS a band and truth.ecsv.")
    parser.add_class_arguments(MosaicConfig, "mosaic")
    parser.add_class_arguments(Priors, "priors")


def _mosaic(args: Namespace) -> str:
    from data_tools.mock_mosaic import make_mosaic

    truth = make_mosaic(args.output, args.target, args.priors, args.mosaic)
    return f"wrote a mosaic with {len(truth)} clusters and their truth: {args.output}"


def _add_fit(parser: ArgumentParser) -> None:
    from clusterkeras.config import ModelConfig, TrainingConfig

    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIRECTORY",
        help="A mock set written by `clusterkeras simulate`.",
    )
    _add_output(
        parser, "Directory of the run; a run killed there goes on where it was."
    )
    parser.add_class_arguments(ModelConfig, "model")
    parser.add_class_arguments(TrainingConfig, "training")


def _fit(args: Namespace) -> str:
    from clusterkeras.training import fit

    path = fit(args.data, args.output, args.model, args.training)
    return f"wrote the trained model {path}"


def _add_evaluate(parser: ArgumentParser) -> None:
    _add_model(parser)
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIRECTORY",
        help="A mock set written by `clusterkeras simulate`.",
    )
    _add_output(parser, "Directory for metrics.json and the pictures.")
    parser.add_argument(
        "--split",
        choices=["train", "validation", "test"],
        default="test",
        help="Part of the set.",
    )
    parser.add_argument("--draws", type=int, default=500, help="Draws an image.")
    parser.add_argument("--batch_size", type=int, default=256, help="Images a step.")
    parser.add_argument(
        "--limit", type=int, default=None, help="Only the first so many records."
    )


def _evaluate(args: Namespace) -> str:
    from clusterkeras.evaluation import evaluate

    evaluate(
        args.model,
        args.data,
        args.output,
        split=args.split,
        draws=args.draws,
        batch_size=args.batch_size,
        limit=args.limit,
    )
    return f"wrote metrics.json and the pictures: {args.output}"


def _add_recalibrate(parser: ArgumentParser) -> None:
    _add_model(parser)
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIRECTORY",
        help="A mock set written by `clusterkeras simulate`, with a split validation "
        "that the model was not trained on.",
    )
    _add_output(parser, "Directory for model.keras and recalibration.json.")
    parser.add_argument("--batch_size", type=int, default=256, help="Images a step.")
    parser.add_argument(
        "--limit", type=int, default=None, help="Only the first so many records."
    )


def _recalibrate(args: Namespace) -> str:
    from clusterkeras.recalibrate import recalibrate, report_lines

    report = recalibrate(
        args.model,
        args.data,
        args.output,
        batch_size=args.batch_size,
        limit=args.limit,
    )
    return "\n".join([*report_lines(report), f"wrote the model {args.output}"])


def _add_ensemble(parser: ArgumentParser) -> None:
    parser.add_argument(
        "models",
        nargs="+",
        metavar="NAME_OR_PATH",
        help="Trained models, two or more, of the same bands, cutout and box.",
    )
    _add_output(parser, "Directory for model.keras, which holds them all.")


def _ensemble(args: Namespace) -> str:
    from clusterkeras.ensemble import make_ensemble

    path = make_ensemble(args.models, args.output)
    return f"wrote the ensemble of {len(args.models)} models {path}"


def _add_detect(parser: ArgumentParser) -> None:
    from clusterkeras.config import DetectionConfig

    _add_images(parser)
    _add_output(parser, "Table of candidates; the ending says the format (.ecsv).")
    _add_model(parser)
    parser.add_class_arguments(DetectionConfig, "detection")


def _detect(args: Namespace) -> str:
    from clusterkeras.detection import detect
    from clusterkeras.presets import load_model

    table = detect(args.images, args.output, load_model(args.model), args.detection)
    return f"wrote {len(table)} candidates: {args.output}"


def _add_infer(parser: ArgumentParser) -> None:
    from clusterkeras.config import InferenceConfig

    _add_images(parser)
    parser.add_argument(
        "--positions",
        type=Path,
        required=True,
        metavar="TABLE",
        help="Any table that astropy reads, with x and y in pixels or ra and dec.",
    )
    _add_output(
        parser, "Catalogue; the ending says the format (.ecsv .fits .vot .parquet)."
    )
    _add_model(parser)
    parser.add_argument(
        "--preview",
        type=Path,
        default=None,
        metavar="PNG",
        help="Also draw the cutouts with each cluster's numbers.",
    )
    parser.add_class_arguments(InferenceConfig, "inference")


def _infer(args: Namespace) -> str:
    from clusterkeras.catalogue import infer

    table = infer(
        args.images,
        args.positions,
        args.output,
        args.model,
        args.inference,
        preview=args.preview,
    )
    return f"wrote {len(table)} rows: {args.output}"


def _add_export(parser: ArgumentParser) -> None:
    _add_model(parser)
    _add_output(parser, "Directory in which NAME/VERSION is made.")
    parser.add_argument(
        "--name", default=DEFAULT_PRESET, help="Name the model is served under."
    )
    parser.add_argument(
        "--version",
        type=int,
        default=1,
        help="Version; one that exists is never overwritten.",
    )


def _export(args: Namespace) -> str:
    from clusterkeras.presets import load_model
    from clusterkeras.serving import export

    path = export(
        load_model(args.model), args.output, name=args.name, version=args.version
    )
    return f"wrote the SavedModel {path}"


def _add_compare(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--catalogue",
        type=Path,
        required=True,
        metavar="TABLE",
        help="A catalogue written by `clusterkeras infer`.",
    )
    parser.add_argument(
        "--truth",
        type=Path,
        required=True,
        metavar="TABLE",
        help="The truth.ecsv of a mock mosaic, or any table with x, y and the "
        "parameters' names as columns.",
    )
    _add_output(parser, "Directory for comparison.json and comparison.png.")
    parser.add_argument(
        "--radius_px",
        type=float,
        default=4.0,
        help="Largest distance of a match in pixels.",
    )


def _compare(args: Namespace) -> str:
    from clusterkeras.comparison import compare, summary_lines

    result = compare(args.catalogue, args.truth, args.output, radius_px=args.radius_px)
    lines = [*summary_lines(result), f"wrote comparison.json and .png: {args.output}"]
    return "\n".join(lines)


def _add_check(parser: ArgumentParser) -> None:
    from data_tools.priors import Priors

    _add_images(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=None,
        metavar="JSON",
        help="Also write the comparison as JSON.",
    )
    parser.add_class_arguments(Priors, "priors")


def _check(args: Namespace) -> str:
    from clusterkeras.check import check, report_lines, write_report

    rows = check(args.images, args.target, args.priors)
    lines = report_lines(rows)
    if args.output:
        write_report(rows, args.output, args.images, args.target)
        lines.append(f"wrote {args.output}")
    return "\n".join(lines)


def _add_psf(parser: ArgumentParser) -> None:
    from data_tools.isolated_stars import StarSelection

    _add_images(parser)
    _add_output(parser, "Directory for one FITS PSF a band and a picture.")
    parser.add_class_arguments(StarSelection, "stars")


def _psf(args: Namespace) -> str:
    from clusterkeras.psf_report import make_psfs

    return "\n".join(make_psfs(args.images, args.target, args.output, args.stars))


COMMANDS: dict[str, Command] = {
    "simulate": Command(
        "Write a set of mock clusters as TFRecords: train, validation and test. "
        + RECORD_SIZE_NOTE,
        "clusterkeras simulate -o mocks --mocks.n 1000 --target.distance_mpc 4.6",
        _add_simulate,
        _simulate,
        takes_target=True,
        uses_tensorflow=False,
    ),
    "check": Command(
        "Measure mosaics, their noise above all, beside what a model is trained on.",
        "clusterkeras check --images F336W.fits F438W.fits F814W.fits -o check.json",
        _add_check,
        _check,
        takes_target=True,
        uses_tensorflow=False,
    ),
    "psf": Command(
        "Build PSFs from the stars of mosaics, for a target to name.",
        "clusterkeras psf --images F336W.fits F438W.fits F814W.fits -o psf",
        _add_psf,
        _psf,
        takes_target=True,
        uses_tensorflow=False,
    ),
    "mosaic": Command(
        "Make a mock mosaic whose clusters are known.",
        "clusterkeras mosaic -o mock --mosaic.n 300 --mosaic.seed 7",
        _add_mosaic,
        _mosaic,
        takes_target=True,
        uses_tensorflow=False,
    ),
    "fit": Command(
        "Train a network on a mock set.",
        "clusterkeras fit --data mocks -o runs/first --training.epochs 5",
        _add_fit,
        _fit,
    ),
    "evaluate": Command(
        "Score a model against a mock set: metrics.json and pictures.",
        "clusterkeras evaluate --model runs/first --data mocks -o runs/first/test",
        _add_evaluate,
        _evaluate,
    ),
    "ensemble": Command(
        "Join trained models: an equally weighted mixture of their posteriors.",
        "clusterkeras ensemble runs/first runs/second -o runs/both",
        _add_ensemble,
        _ensemble,
    ),
    "recalibrate": Command(
        "Widen or narrow a model's posteriors, if a validation set gains by it.",
        "clusterkeras recalibrate --model runs/first --data mocks -o runs/recalibrated",
        _add_recalibrate,
        _recalibrate,
    ),
    "detect": Command(
        "Find candidates on mosaics.",
        "clusterkeras detect --images F336W.fits F438W.fits F814W.fits "
        "-o candidates.ecsv",
        _add_detect,
        _detect,
    ),
    "infer": Command(
        "Turn positions on mosaics into a catalogue of posteriors.",
        "clusterkeras infer --images F336W.fits F438W.fits F814W.fits "
        "--positions candidates.ecsv -o catalogue.ecsv --preview catalogue.png",
        _add_infer,
        _infer,
    ),
    "compare": Command(
        "Match a catalogue with a truth table: completeness, bias, coverage.",
        "clusterkeras compare --catalogue catalogue.ecsv --truth mock/truth.ecsv "
        "-o comparison",
        _add_compare,
        _compare,
        uses_tensorflow=False,
    ),
    "export": Command(
        "Write a model as a SavedModel that TensorFlow Serving loads.",
        "clusterkeras export --model runs/first -o served --name m83 --version 1",
        _add_export,
        _export,
    ),
}


def _top_parser() -> argparse.ArgumentParser:
    """Give the parser of the command line up to the sub-command's name."""
    width = max(len(name) for name in COMMANDS)
    lines = [
        f"  {name:<{width}}  {command.summary.partition('. ')[0].rstrip('.')}"
        for name, command in COMMANDS.items()
    ]
    parser = argparse.ArgumentParser(
        prog="clusterkeras",
        usage="clusterkeras [--help] [--version] COMMAND ...",
        description="Joint posteriors of age, extinction, mass and size of star "
        "clusters\nfrom HST images.\n\ncommands:\n" + "\n".join(lines),
        epilog="`clusterkeras COMMAND --help` lists a command's options.\n\n"
        f"example:\n  {COMMANDS['infer'].example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        exit_on_error=False,
    )
    parser.add_argument(
        "--version", action="version", version=f"clusterkeras {__version__}"
    )
    parser.add_argument("command", help=argparse.SUPPRESS)
    return parser


def build_parser(name: str) -> ArgumentParser:
    """Give the parser of one sub-command, without importing TensorFlow."""
    command = COMMANDS[name]
    parser = ArgumentParser(
        prog=f"clusterkeras {name}",
        description=command.summary,
        epilog=f"example:\n  {command.example}",
        formatter_class=_HelpFormatter,
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config",
        action="config",
        help="YAML file with any of the options below; those given after it win.",
    )
    parser.add_argument(
        "--debug",
        action="store_true",
        help=f"Show an error's traceback (as {DEBUG_VARIABLE}=1 does).",
    )
    command.add(parser)
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


def _import_tensorflow_quietly() -> None:
    """Import TensorFlow without the dozen lines it writes about itself.

    Its native code writes them to the file descriptor, before any setting of a log
    level is read; they would hide the one line that says what is wrong.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    stderr = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        import tensorflow

        tensorflow.config.list_physical_devices()
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    else:
        text = str(error)
    # jsonargparse's words for an option and a type, in the words of a command line
    text = re.sub(r'Parser key "([^"]+)":', r"--\1:", text)
    text = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", text)
    return " ".join(text.split()) or type(error).__name__


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
        wrong, 130 if interrupted.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    top = _top_parser()
    if not argv:
        top.print_help(sys.stderr)
        return 2
    name = top.parse_args(argv[:1]).command
    if name not in COMMANDS:
        expected = ", ".join(COMMANDS)
        print(
            f"clusterkeras: error: no command {name!r}; expected one of {expected}",
            file=sys.stderr,
        )
        return 2
    prog = f"clusterkeras {name}"
    debug = os.environ.get(DEBUG_VARIABLE, "0") not in ("", "0") or "--debug" in argv
    try:
        parser = build_parser(name)
        arguments = argv[1:]
        if COMMANDS[name].takes_target:
            arguments = _with_target_file(arguments)
        args = parser.instantiate(parser.parse_args(arguments))
    except (argparse.ArgumentError, ValueError, OSError) as error:
        if debug:
            raise
        print(f"{prog}: error: {_one_line(error)}", file=sys.stderr)
        return 2
    try:
        if COMMANDS[name].uses_tensorflow and not debug:
            _import_tensorflow_quietly()
        print(COMMANDS[name].run(args))
    except (ValueError, OSError, FloatingPointError) as error:
        if debug:
            raise
        print(f"{prog}: error: {_one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return 130
    return 0
