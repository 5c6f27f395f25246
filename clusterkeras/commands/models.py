"""Commands that train models, judge them, join them, export and serve them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from clusterkeras.commands.command import (
    Command,
    add_batches,
    add_data,
    add_model,
    add_output,
)


def _add_fit(parser: ArgumentParser) -> None:
    from clusterkeras.config import ModelConfig, TrainingConfig

    add_data(parser)
    add_output(parser)
    parser.add_class_arguments(ModelConfig, "model")
    parser.add_class_arguments(TrainingConfig, "training")
    parser.add_argument("--workers", type=int, default=1)


def _fit(args: Namespace) -> str:
    from clusterkeras.training.fit import fit

    path = fit(
        *(args.data, args.output, args.model, args.training),
        overwrite=args.overwrite,
        workers=args.workers,
    )
    return f"wrote the trained model {path}"


def _add_evaluate(parser: ArgumentParser) -> None:
    add_model(parser)
    add_data(parser)
    add_output(parser)
    parser.add_argument(
        "--split", choices=["train", "validation", "test"], default="test"
    )
    parser.add_argument("--draws", type=int, default=500)
    add_batches(parser)
    parser.add_argument(
        "--classical",
        action="store_true",
        help="Score the stochastic grid, the classical method, on the same clusters: "
        "minutes to hours.",
    )
    parser.add_argument(
        "--classical_models",
        type=int,
        default=20_000,
        help="Models of the grid beside the set's training split; some 130 a second.",
    )


def _evaluate(args: Namespace) -> str:
    if args.classical:
        return _evaluate_beside_classical(args)
    from clusterkeras.evaluation.evaluate import evaluate

    evaluate(
        args.model,
        args.data,
        args.output,
        split=args.split,
        draws=args.draws,
        batch_size=args.batch_size,
        limit=args.n_mocks,
        overwrite=args.overwrite,
    )
    return f"wrote metrics.json and the pictures: {args.output}"


def _evaluate_beside_classical(args: Namespace) -> str:
    from clusterkeras.evaluation.competitors.beside_classical import (
        evaluate_beside_classical,
    )

    if args.split != "test":
        raise ValueError(
            "--classical: expected --split test, since the grid is made of the splits "
            f"train and validation; received {args.split}"
        )
    evaluate_beside_classical(
        args.model,
        args.data,
        args.output,
        draws=args.draws,
        batch_size=args.batch_size,
        limit=args.n_mocks,
        n_models=args.classical_models,
        overwrite=args.overwrite,
    )
    return f"wrote metrics.json and the pictures: {args.output}"


def _add_shifts(parser: ArgumentParser) -> None:
    from data_tools.fields.backgrounds import Backgrounds
    from data_tools.priors import Priors
    from data_tools.target import ISOCHRONE_FORMATS

    add_model(parser)
    add_output(parser)
    parser.add_argument(
        "--n_mocks",
        type=int,
        default=4000,
        help="Mocks of each set, clusters and others, at least 16.",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument(
        "--images",
        nargs="+",
        metavar="FITS",
        help="Mosaics to cut real backgrounds from, one a band in the order of the "
        "model's bands.",
    )
    parser.add_argument(
        "--isochrones",
        metavar="PATH",
        help="Isochrones of another model than the mocks'.",
    )
    parser.add_argument(
        "--isochrones_format",
        choices=ISOCHRONE_FORMATS,
        default="parsec",
        help="Format of that file.",
    )
    parser.add_class_arguments(Priors, "priors")
    parser.add_class_arguments(Backgrounds, "backgrounds", skip={"images", "shares"})


def _shifts(args: Namespace) -> str:
    from clusterkeras.evaluation.shifts.kinds import UserFiles
    from clusterkeras.evaluation.shifts.measure import measure_shifts
    from clusterkeras.evaluation.shifts.summary import shift_table

    backgrounds = None
    if args.images:
        backgrounds = replace(args.backgrounds, images=tuple(args.images))
    report = measure_shifts(
        args.model,
        args.output,
        args.priors,
        UserFiles(backgrounds, args.isochrones, args.isochrones_format),
        n=args.n_mocks,
        seed=args.seed,
        only=args.only,
        draws=args.draws,
        batch_size=args.batch_size,
        workers=args.workers,
        overwrite=args.overwrite,
    )
    return f"{shift_table(report)}\nwrote shifts.json, .md and .png: {args.output}"


def _add_ensemble(parser: ArgumentParser) -> None:
    parser.add_argument("models", nargs="+", metavar="NAME_OR_PATH")
    add_output(parser)


def _ensemble(args: Namespace) -> str:
    from clusterkeras.network.loading import make_ensemble

    path = make_ensemble(args.models, args.output, overwrite=args.overwrite)
    return f"wrote the ensemble of {len(args.models)} models {path}"


def _add_recalibrate(parser: ArgumentParser) -> None:
    add_model(parser)
    add_data(parser)
    add_output(parser)
    add_batches(parser)


def _recalibrate(args: Namespace) -> str:
    from clusterkeras.training.recalibrate import recalibrate, report_lines

    report = recalibrate(
        args.model,
        args.data,
        args.output,
        batch_size=args.batch_size,
        limit=args.n_mocks,
        overwrite=args.overwrite,
    )
    return "\n".join([*report_lines(report), f"wrote the model {args.output}"])


def _add_export(parser: ArgumentParser) -> None:
    add_model(parser)
    # without --overwrite: a version that is there stays
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="PATH")
    parser.add_argument("--name")
    parser.add_argument("--version", type=int, default=1)


def _export(args: Namespace) -> str:
    from clusterkeras.model_files.model_file import find_model

    card = find_model(args.model).with_name("README.md")
    from clusterkeras.serving.savedmodel import export

    path = export(
        args.model,
        args.output,
        name=args.name,
        version=args.version,
        card=card if card.is_file() else None,
    )
    return f"wrote the SavedModel {path}"


def _add_presets(parser: ArgumentParser) -> None:
    parser.add_argument("directory", nargs="?", type=Path, metavar="PATH")


def _presets(args: Namespace) -> str:
    from clusterkeras.model_files.presets import presets

    table = presets(args.directory)
    if not len(table):
        return f"no presets in the directories of {args.directory}"
    for name in ("size", "nll", "prior"):
        table[name].info.format = ".2f"
    lines = table.pformat(max_lines=-1, max_width=-1, align="<")
    return "\n".join(line.rstrip() for line in lines)


def _add_save_preset(parser: ArgumentParser) -> None:
    add_model(parser)
    add_output(parser)
    parser.add_argument("--description", default="")
    parser.add_argument("--metrics", type=Path, metavar="JSON")
    parser.add_argument("--card", type=Path, metavar="MARKDOWN")


def _save_preset(args: Namespace) -> str:
    from clusterkeras.model_files.sharing import save_preset

    directory = save_preset(
        args.model,
        args.output,
        description=args.description,
        metrics=args.metrics,
        card=args.card,
        overwrite=args.overwrite,
    )
    return f"wrote the preset {directory}; --model {directory} loads it"


def _add_check_savedmodel(parser: ArgumentParser) -> None:
    parser.add_argument("directory", type=Path, metavar="PATH")


def _check_savedmodel(args: Namespace) -> str:
    from clusterkeras.serving.check import check_savedmodel

    found = check_savedmodel(args.directory)
    if found:
        print(*found, sep="\n")
        raise ValueError(
            f"{args.directory}: {len(found)} deviations from the contract of "
            "docs/use/serving.md. Export the model again with this version"
        )
    return f"{args.directory} keeps the contract"


def _add_serve(parser: ArgumentParser) -> None:
    from clusterkeras.config import ServeConfig

    parser.add_argument("directories", nargs="+", type=Path, metavar="PATH")
    parser.add_class_arguments(ServeConfig, "serve")


def _serve(args: Namespace) -> str:
    import logging

    try:
        from clusterkeras.serving.server.serve import Ports, serve
    except ModuleNotFoundError as error:
        raise ImportError(
            f"serve needs {error.name}: pip install '.[serving]' in a clone of the "
            "repository, or that package alone"
        ) from error

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    def started(ports: Ports) -> None:
        host = args.serve.host
        print(
            f"serving, gRPC on {host}:{ports.grpc}, REST on {host}:{ports.rest}; "
            "Ctrl-C ends it",
            flush=True,
        )

    serve(args.directories, args.serve, started)
    return "ended"


COMMANDS: dict[str, Command] = {
    "fit": Command(
        "Train a network on a mock set.",
        "clusterkeras fit --data mocks -o runs/first --training.epochs 5",
        _add_fit,
        _fit,
        ("clusterkeras.training.fit:fit",),
    ),
    "evaluate": Command(
        "Score a model against a mock set: metrics.json and pictures.",
        "clusterkeras evaluate --model runs/first --data mocks -o runs/first/test",
        _add_evaluate,
        _evaluate,
        ("clusterkeras.evaluation.evaluate:evaluate",),
        needs={"classical_models": "classical"},
    ),
    "shifts": Command(
        "Score a model where one thing is not as in its mocks: loss, coverage, flags.",
        "clusterkeras shifts --model runs/first -o runs/first/shifts --n_mocks 2000",
        _add_shifts,
        _shifts,
        ("clusterkeras.evaluation.shifts.measure:measure_shifts",),
        needs={"backgrounds": "images", "isochrones_format": "isochrones"},
    ),
    "ensemble": Command(
        "Join trained models: an equally weighted mixture of their posteriors.",
        "clusterkeras ensemble runs/first runs/second -o runs/both",
        _add_ensemble,
        _ensemble,
        ("clusterkeras.network.loading:make_ensemble",),
    ),
    "recalibrate": Command(
        "Widen or narrow a model's posteriors, if a validation set gains by it.",
        "clusterkeras recalibrate --model runs/first --data mocks -o runs/recalibrated",
        _add_recalibrate,
        _recalibrate,
        ("clusterkeras.training.recalibrate:recalibrate",),
    ),
    "export": Command(
        "Write a model as a SavedModel that TensorFlow Serving loads.",
        "clusterkeras export --model runs/first -o served --name m83 --version 1",
        _add_export,
        _export,
        ("clusterkeras.serving.savedmodel:export",),
    ),
    "presets": Command(
        "List the trained models that ship, or those in a directory.",
        "clusterkeras presets",
        _add_presets,
        _presets,
        ("clusterkeras.model_files.presets:presets",),
    ),
    "save-preset": Command(
        "Save a trained model for others: with its hash, what is measured, a card.",
        "clusterkeras save-preset --model runs/first -o shared/ngcx "
        "--metrics runs/first/test/metrics.json",
        _add_save_preset,
        _save_preset,
        ("clusterkeras.model_files.sharing:save_preset",),
    ),
    "check-savedmodel": Command(
        "Hold an exported SavedModel to what docs/use/serving.md promises.",
        "clusterkeras check-savedmodel served/m83/1",
        _add_check_savedmodel,
        _check_savedmodel,
        ("clusterkeras.serving.check:check_savedmodel",),
    ),
    "serve": Command(
        "Serve SavedModels by TensorFlow Serving's gRPC and REST.",
        "clusterkeras serve served/m83 --serve.rest_port 8501",
        _add_serve,
        _serve,
        ("clusterkeras.serving.server.serve:serve",),
    ),
}
