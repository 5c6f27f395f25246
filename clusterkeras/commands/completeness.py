"""The command that measures which clusters are found."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from clusterkeras.commands.command import Command, add_images, add_model, add_output


def _add_completeness(parser: ArgumentParser) -> None:
    from clusterkeras.config import (
        CompletenessConfig,
        DetectionConfig,
        InferenceConfig,
    )
    from data_tools.priors import Priors

    add_images(parser)
    add_output(
        parser,
        "Directory for injected.ecsv, completeness.png and completeness.json; a "
        "measurement begun there goes on.",
    )
    add_model(parser)
    parser.add_argument(
        "--catalogue",
        type=Path,
        default=None,
        metavar="TABLE",
        help="Your catalogue of these mosaics: its share of clusters is kept, and no "
        "cluster is put on one of it. Without, one is made first.",
    )
    parser.add_class_arguments(CompletenessConfig, "completeness")
    parser.add_class_arguments(DetectionConfig, "detection")
    parser.add_class_arguments(InferenceConfig, "inference")
    parser.add_class_arguments(Priors, "priors")


def _completeness(args: Namespace) -> str:
    from clusterkeras.completeness.measure import measure_completeness

    result = measure_completeness(
        args.images,
        args.output,
        args.model,
        args.completeness,
        args.detection,
        args.inference,
        args.catalogue,
        args.priors,
    )
    check = result["held_out"]["recovered"]
    return (
        f"{result['n']} clusters of the whole box: {100 * result['detected']:.0f} % "
        f"are candidates, {100 * result['recovered']:.0f} % are taken for clusters at "
        f"a share of clusters of {result['cluster_share']:.3g}\n"
        f"the function on {check['n']} clusters it was not fitted to: "
        f"{100 * check['predicted']:.1f} % predicted, {100 * check['share']:.1f} % "
        f"found, log loss {check['log_loss']:.3f} (a constant's "
        f"{check['constant']:.3f})\n"
        f"wrote injected.ecsv, completeness.png and completeness.json: {args.output}"
    )


COMMANDS: dict[str, Command] = {
    "completeness": Command(
        "Measure which clusters are found, by putting known ones on your mosaics.",
        "clusterkeras completeness --images F336W.fits F438W.fits F814W.fits "
        "--catalogue catalogue.ecsv -o completeness/",
        _add_completeness,
        _completeness,
    ),
}
