"""Commands that turn mosaics into catalogues and compare them with the truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from clusterkeras.commands.command import (
    Command,
    add_images,
    add_model,
    add_output,
    add_runner,
)
from clusterkeras.model_files.presets import DEFAULT_PRESET

if TYPE_CHECKING:
    from clusterkeras.client import RemoteModel


def _add_detect(parser: ArgumentParser) -> None:
    from clusterkeras.config import DetectionConfig

    add_images(parser)
    add_output(parser)
    add_model(
        parser,
        "Trained model, whose bands the mosaics are of and which draws the map: the "
        "name of one that ships, a .keras file, or the directory of a run.",
    )
    parser.add_argument(
        "--map",
        type=Path,
        default=None,
        metavar="FITS",
        help="Also ask the network all over the mosaic and write where it sees "
        "clusters, as an image with the mosaic's WCS.",
    )
    parser.add_argument(
        "--map_stride",
        type=int,
        default=8,
        metavar="PX",
        help="Pixels of the mosaic between two looks, along both axes.",
    )
    parser.add_class_arguments(DetectionConfig, "detection")


def _detect(args: Namespace) -> str:
    from clusterkeras.detection.candidates import detect
    from clusterkeras.detection.probability_map import FORMATS, draw_map
    from data_tools.mosaics.stored.extensions import files_of
    from data_tools.running.output import check_file
    from data_tools.running.replaced import check_replaced

    if args.map is not None:
        check_file(args.map, "map", FORMATS)
    overwrite = args.overwrite
    check_replaced((args.output, args.map), files_of(args.images), overwrite=overwrite)
    table = detect(
        *(args.images, args.output, args.model, args.detection), overwrite=overwrite
    )
    lines = [f"wrote {len(table)} candidates: {args.output}"]
    if args.map is not None:
        from clusterkeras.network.loading import load_model

        model = load_model(args.model)
        draw_map(args.images, args.map, model, args.map_stride, overwrite=overwrite)
        lines.append(f"wrote a map of where the network sees clusters: {args.map}")
    return "\n".join(lines)


def _add_infer(parser: ArgumentParser) -> None:
    from clusterkeras.config import InferenceConfig

    add_images(parser, required=False)
    parser.add_argument("--positions", type=Path, default=None, metavar="TABLE")
    parser.add_argument("--fields", type=Path, default=None, metavar="YAML")
    add_runner(parser)
    add_output(parser)
    # no default, so that one beside --server is seen
    parser.add_argument("--model", default=None, metavar="NAME_OR_PATH")
    parser.add_argument(
        "--server",
        default=None,
        metavar="HOST:PORT/NAME",
        help="Ask a served model of that name by gRPC, in place of --model.",
    )
    parser.add_argument(
        "--server_token_file",
        type=Path,
        default=None,
        metavar="PATH",
        help="File with the server's secret.",
    )
    parser.add_argument(
        "--server_certificate",
        type=Path,
        default=None,
        metavar="PEM",
        help="Certificate to trust, for a server with TLS.",
    )
    parser.add_argument("--preview", type=Path, default=None, metavar="PNG")
    parser.add_argument("--draws_file", type=Path, default=None, metavar="HDF5")
    parser.add_class_arguments(InferenceConfig, "inference")


def _infer(args: Namespace) -> str:
    from clusterkeras.catalogue.infer import infer
    from clusterkeras.catalogue.survey.fields import read_fields
    from clusterkeras.catalogue.survey.infer_fields import infer_fields
    from clusterkeras.catalogue.table import P_CLUSTER
    from clusterkeras.report.provenance import in_words

    one = args.images is not None and args.positions is not None
    beside = args.preview or args.draws_file
    if one == (args.fields is not None) or (args.fields and beside):
        raise ValueError(
            "infer: expected --images and --positions of one field (and --preview, "
            "--draws_file), or --fields alone"
        )
    if args.fields is not None and args.server is not None:
        raise ValueError("infer: expected --images and --positions beside --server")
    if args.model is not None and args.server is not None:
        raise ValueError(
            f"infer: expected --model or --server; received --model {args.model} and "
            f"--server {args.server}, which has a model of its own. Leave one out"
        )
    model = DEFAULT_PRESET if args.model is None else args.model
    if args.fields is not None:
        parts = infer_fields(
            read_fields(args.fields),
            args.output,
            model,
            args.inference,
            args.runner,
            args.runner_options,
            args.workers,
            overwrite=args.overwrite,
        )
        return f"wrote the catalogues of {len(parts)} fields: {args.output}"
    if args.server is not None:
        model = _connected(args)
    table = infer(
        args.images,
        args.positions,
        args.output,
        model,
        args.inference,
        preview=args.preview,
        draws_file=args.draws_file,
        overwrite=args.overwrite,
    )
    clusters = int(table.are_clusters().sum())
    lines = [
        f"wrote {len(table)} rows, {clusters} of them with p_cluster of {P_CLUSTER} or "
        f"more and no overlap: {args.output}"
    ]
    width = dict(in_words(table.meta).get("Data", [])).get("FWHM of the PSF")
    if width is not None:
        lines.append(f"FWHM of the PSF: {width}")
    return "\n".join(lines)


def _connected(args: Namespace) -> RemoteModel:
    from clusterkeras.client import connect

    address, _, name = args.server.partition("/")
    if not name or ":" not in address:
        raise ValueError(
            "infer: expected --server HOST:PORT/NAME, such as 127.0.0.1:8500/m83; "
            f"received {args.server!r}"
        )
    secret = args.server_token_file
    return connect(
        address,
        name,
        token=secret.read_text().strip() if secret is not None else None,
        certificate=args.server_certificate,
    )


def _add_compare(parser: ArgumentParser) -> None:
    parser.add_argument("--catalogue", type=Path, required=True, metavar="TABLE")
    parser.add_argument("--truth", type=Path, required=True, metavar="TABLE")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="PATH",
        help="Directory for comparison.json and comparison.png; made if it is not "
        "there.",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="Whether to write also over files that are not as this package wrote "
        "them, or into a directory with other files.",
    )
    parser.add_argument("--match_px", type=float, default=4.0)
    add_images(parser, required=False)


def _compare(args: Namespace) -> str:
    from clusterkeras.catalogue.read import Catalogue
    from clusterkeras.catalogue.truth.result import FILES
    from data_tools.running.replaced import check_replaced_in

    inputs = (args.catalogue, args.truth, *(args.images or ()))
    check_replaced_in(args.output, FILES, inputs, overwrite=args.overwrite)
    catalogue = Catalogue.read(args.catalogue)
    found = catalogue.compare(args.truth, args.match_px, args.images)
    found.write(args.output, overwrite=args.overwrite)
    return f"{found!r}\nwrote comparison.json and .png: {args.output}"


def _add_report(parser: ArgumentParser) -> None:
    from clusterkeras.config import ReportConfig

    parser.add_argument("catalogue", type=Path, metavar="CATALOGUE")
    add_images(parser)
    add_output(parser)
    parser.add_argument("--model", default=None, metavar="NAME_OR_PATH")
    parser.add_argument("--completeness", type=Path, default=None, metavar="DIR")
    parser.add_class_arguments(ReportConfig, "report")


def _report(args: Namespace) -> str:
    from clusterkeras.report.page import write_page

    written = write_page(
        *(args.catalogue, args.images, args.output, args.model, args.report),
        completeness=args.completeness,
        overwrite=args.overwrite,
    )
    left_out = "" if written.shown == written.rows else f" of {written.rows} rows"
    return (
        f"wrote {written.shown} clusters{left_out}, {written.size_mb:.1f} MB: "
        f"{written.path}"
    )


#: Beside those of synthetic fields, what injected clusters take from no priors: which
#: objects a training set has, and what its fields are like.
_OF_TRAINING = {
    *("cluster_fraction", "negatives", "complex_peak_fraction", "neighbour_fraction"),
    "young_stars_fraction",
    *("centre_offset_px", "cosmic_ray_fraction", "gap_fraction"),
    *("sky_residual", "sky_pedestal", "mocks_per_field"),
}


def _add_completeness(parser: ArgumentParser) -> None:
    from clusterkeras.config import (
        CompletenessConfig,
        DetectionConfig,
        InferenceConfig,
    )
    from data_tools.priors import Priors

    of_training = {name for name in vars(Priors()) if name.startswith("field_")}
    add_images(parser)
    add_output(parser)
    add_model(parser)
    parser.add_argument("--catalogue", type=Path, default=None, metavar="TABLE")
    parser.add_class_arguments(CompletenessConfig, "completeness")
    parser.add_class_arguments(DetectionConfig, "detection")
    parser.add_class_arguments(InferenceConfig, "inference")
    parser.add_class_arguments(Priors, "priors", skip=of_training | _OF_TRAINING)


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
        overwrite=args.overwrite,
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


def _add_population(parser: ArgumentParser) -> None:
    from clusterkeras.config import PopulationConfig

    parser.add_argument("--catalogue", type=Path, required=True, metavar="TABLE")
    parser.add_argument("--draws_file", type=Path, required=True, metavar="HDF5")
    parser.add_argument("--completeness", type=Path, required=True, metavar="DIR")
    add_output(parser)
    parser.add_class_arguments(PopulationConfig, "population")


def _population(args: Namespace) -> str:
    from clusterkeras.population.fit import fit_population

    found = fit_population(
        *(args.catalogue, args.completeness, args.output, args.population),
        draws_file=args.draws_file,
        overwrite=args.overwrite,
    )
    return (
        f"{found!r}\nwrote population.ecsv, .json and .png, and corner.png: "
        f"{args.output}"
    )


COMMANDS: dict[str, Command] = {
    "detect": Command(
        "Find candidates on mosaics.",
        "clusterkeras detect --images F336W.fits F438W.fits F814W.fits "
        "-o candidates.ecsv",
        _add_detect,
        _detect,
        ("clusterkeras.detection.candidates:detect",),
        needs={"map_stride": "map"},
    ),
    "infer": Command(
        "Turn positions on mosaics into a catalogue of posteriors.",
        "clusterkeras infer --images F336W.fits F438W.fits F814W.fits "
        "--positions candidates.ecsv -o catalogue.ecsv --preview catalogue.png",
        _add_infer,
        _infer,
        (
            "clusterkeras.catalogue.infer:infer",
            "clusterkeras.catalogue.survey.infer_fields:infer_fields",
        ),
        needs={
            **dict.fromkeys(("runner", "workers", "runner_options"), "fields"),
            **dict.fromkeys(("server_token_file", "server_certificate"), "server"),
            "inference.draws": "draws_file",
        },
    ),
    "compare": Command(
        "Match a catalogue with a truth table: completeness, bias, coverage.",
        "clusterkeras compare --catalogue catalogue.ecsv --truth mock/truth.ecsv "
        "-o comparison",
        _add_compare,
        _compare,
        ("clusterkeras.catalogue.comparison:compare",),
    ),
    "report": Command(
        "Show a catalogue on one web page: table, map, cutouts, contours, figures.",
        "clusterkeras report catalogue.ecsv --images F336W.fits F438W.fits F814W.fits "
        "-o report.html",
        _add_report,
        _report,
        ("clusterkeras.report.page:write_page",),
    ),
    "completeness": Command(
        "Measure which clusters are found, by putting known ones on your mosaics.",
        "clusterkeras completeness --images F336W.fits F438W.fits F814W.fits "
        "--catalogue catalogue.ecsv -o completeness/",
        _add_completeness,
        _completeness,
        ("clusterkeras.completeness.measure:measure_completeness",),
    ),
    "population": Command(
        "Fit mass function and age distribution of the clusters of a catalogue.",
        "clusterkeras population --catalogue catalogue.ecsv --draws_file draws.h5 "
        "--completeness completeness/ -o population/",
        _add_population,
        _population,
        ("clusterkeras.population.fit:fit_population",),
    ),
}
