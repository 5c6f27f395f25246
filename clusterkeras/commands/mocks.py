"""Commands that make mocks and measure mosaics beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from clusterkeras.commands.command import (
    Command,
    add_images,
    add_output,
    add_overwrite,
    add_runner,
)

RECORD_SIZE_NOTE = (
    "On disk a record of 64 x 64 pixels in 3 bands takes 49 kB: 200,000 records take "
    "about 9.8 GB."
)


def _add_simulate(parser: ArgumentParser) -> None:
    from data_tools.fields.backgrounds import Backgrounds
    from data_tools.priors import Priors
    from data_tools.records.plan import MockSet

    # no path: it may be an address
    parser.add_argument("-o", "--output", required=True, metavar="PATH")
    add_overwrite(parser)
    parser.add_argument(
        "--images",
        nargs="+",
        metavar="FITS",
        help="Mosaics to cut the backgrounds from, one a band in the order of the "
        "target's bands; without, backgrounds are synthetic.",
    )
    parser.add_argument("--verify", action="store_true")
    add_runner(parser)
    parser.add_class_arguments(MockSet, "mocks")
    parser.add_class_arguments(Priors, "priors")
    parser.add_class_arguments(Backgrounds, "backgrounds", skip={"images"})


def _simulate(args: Namespace) -> str:
    from data_tools.records.simulate import simulate

    backgrounds = None
    if args.images:
        backgrounds = replace(args.backgrounds, images=tuple(args.images))
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
        overwrite=args.overwrite,
    )
    return f"wrote the mock set {path}"


def _add_check(parser: ArgumentParser) -> None:
    from data_tools.priors import Priors

    add_images(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=None,
        metavar="JSON",
        help="Also write the comparison as JSON.",
    )
    add_overwrite(parser)
    parser.add_class_arguments(Priors, "priors")


def _check(args: Namespace) -> str:
    from data_tools.mosaics.stored.extensions import files_of
    from data_tools.preparation.check import check, report_lines, write_check
    from data_tools.running.output import check_file
    from data_tools.running.replaced import check_replaced

    if args.output:
        check_file(args.output, "comparison", (".json",))
        inputs = files_of(args.images)
        check_replaced([args.output], inputs, overwrite=args.overwrite)
    rows = check(args.images, args.target, args.priors)
    lines = report_lines(rows)
    if args.output:
        write_check(
            *(rows, args.output, args.images, args.target), overwrite=args.overwrite
        )
        lines.append(f"wrote {args.output}")
    return "\n".join(lines)


def _add_psf(parser: ArgumentParser) -> None:
    from data_tools.preparation.star_selection import StarSelection

    add_images(parser)
    add_output(parser)
    parser.add_class_arguments(StarSelection, "stars")


def _psf(args: Namespace) -> str:
    from data_tools.preparation.psf_report import make_psfs

    lines = make_psfs(
        *(args.images, args.target, args.output, args.stars), overwrite=args.overwrite
    )
    return "\n".join(lines)


def _add_mosaic(parser: ArgumentParser) -> None:
    from data_tools.mocks.mosaic_config import MosaicConfig
    from data_tools.priors import Priors

    add_output(parser)
    parser.add_class_arguments(MosaicConfig, "mosaic")
    parser.add_class_arguments(Priors, "priors")


def _mosaic(args: Namespace) -> str:
    from data_tools.mocks.mock_mosaic import make_mosaic

    made = make_mosaic(
        *(args.target, args.priors, args.mosaic, args.output), overwrite=args.overwrite
    )
    return (
        f"wrote a mosaic with {len(made.truth)} clusters and their truth: {args.output}"
    )


COMMANDS: dict[str, Command] = {
    "simulate": Command(
        "Write a set of mock clusters as TFRecords: train, validation and test. "
        + RECORD_SIZE_NOTE,
        "clusterkeras simulate -o mocks --mocks.n_train 1000 --target.distance_mpc 4.6",
        _add_simulate,
        _simulate,
        ("data_tools.records.simulate:simulate",),
        takes_target=True,
        needs={"backgrounds": "images"},
    ),
    "check": Command(
        "Measure mosaics, their noise above all, beside what a model is trained on.",
        "clusterkeras check --images F336W.fits F438W.fits F814W.fits -o check.json",
        _add_check,
        _check,
        (
            "data_tools.preparation.check:check",
            "data_tools.preparation.check:write_check",
        ),
        takes_target=True,
    ),
    "psf": Command(
        "Build PSFs from the stars of mosaics, for a target to name.",
        "clusterkeras psf --images F336W.fits F438W.fits F814W.fits -o psf",
        _add_psf,
        _psf,
        ("data_tools.preparation.psf_report:make_psfs",),
        takes_target=True,
    ),
    "mosaic": Command(
        "Make a mock mosaic whose clusters are known.",
        "clusterkeras mosaic -o mock --mosaic.n 300 --mosaic.seed 7",
        _add_mosaic,
        _mosaic,
        ("data_tools.mocks.mock_mosaic:make_mosaic",),
        takes_target=True,
    ),
}
