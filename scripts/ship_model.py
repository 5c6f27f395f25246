"""Put a trained model, with all that is measured on it, where a preset is loaded from.

    python scripts/ship_model.py m83 m83/test/metrics.json m83-wfc3-uvis

saves the model and its metrics as the preset `saved_models/m83-wfc3-uvis`, exports
version 1 of its SavedModel, asks it again for the stored example, and writes the tables
of the card and of the project's README. What people write by hand, the card down to
*Measured* and all of the README's sentences, is left to people: read both afterwards.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).parents[1]
CONFIGURATION = "configuration.yaml"
MEASURED = "## Measured\n"
N_EXAMPLES = 8
#: A table of parameters, as `card.parameter_table` writes it.
TABLE = re.compile(r"^\|  \| bias \| scatter .*\n(?:\|.*\n)+", re.MULTILINE)


def main() -> None:
    """Read the options, copy, export, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="directory of fit or recalibrate")
    parser.add_argument("metrics", type=Path, help="metrics.json of evaluate")
    parser.add_argument("name", help="the preset's name")
    parser.add_argument(
        "--description", default="", help="one line of it; the old one if none"
    )
    parser.add_argument(
        "--data", type=Path, help="mock set of a new preset's stored example"
    )
    parser.add_argument("--readme", action="store_true", help="also README.md's tables")
    args = parser.parse_args()

    from clusterkeras import ClusterModel, save_preset

    preset = save_preset(
        args.model,
        ROOT / "saved_models" / args.name,
        description=args.description or described(ROOT / "saved_models" / args.name),
        metrics=args.metrics,
        overwrite=True,
    )
    write_configuration(args.model, preset / CONFIGURATION)
    metrics = json.loads(args.metrics.read_text())
    write_card(preset / "README.md", metrics)
    if args.readme:
        write_readme(ROOT / "README.md", metrics)
    export_again(preset)
    example = preset / "example.npz"
    if args.data:
        take_example(args.data, example)
    ask_again(ClusterModel.from_preset(args.name), example)


def described(preset: Path) -> str:
    """Return the description that a preset has, if it is there."""
    path = preset / "preset.json"
    return json.loads(path.read_text())["description"] if path.is_file() else ""


def write_configuration(model: Path, output: Path) -> None:
    """Write a run's configuration; of what was recalibrated that of its fit as well."""
    found = yaml.safe_load((model / CONFIGURATION).read_text())
    if "recalibrated" in found:
        fitted = Path(found["recalibrated"]) / CONFIGURATION
        recalibration = found["recalibration"]
        found = yaml.safe_load(fitted.read_text()) | {"recalibration": recalibration}
    # where the set lay is nobody's business, nor who may write over the file
    found.pop("seal", None)
    found["data"] = Path(found["data"]).name
    output.write_text(yaml.safe_dump(found, sort_keys=False))


def write_card(card: Path, metrics: dict) -> None:
    """Replace what was measured; what stands before it is written by hand."""
    from clusterkeras.evaluation.words.card import tables

    head, _, _ = card.read_text().partition(MEASURED)
    card.write_text(f"{head}{MEASURED}\n{tables(metrics).strip()}\n")


def write_readme(readme: Path, metrics: dict) -> None:
    """Replace the two tables of parameters: all clusters, and the published regime."""
    from clusterkeras.evaluation.numbers.strata import published_row
    from clusterkeras.evaluation.words.card import parameter_table

    thresholds, posterior = metrics["catastrophic_thresholds"], metrics["posterior"]
    rows = iter((posterior["overall"], published_row(posterior)))
    text, n = TABLE.subn(
        lambda _: parameter_table(next(rows), thresholds).strip() + "\n",
        readme.read_text(),
    )
    if n != 2:
        raise SystemExit(f"{readme}: expected two tables of parameters; found {n}")
    readme.write_text(text)


def export_again(preset: Path) -> None:
    """Replace the SavedModel of version 1, which is asked in place of the file."""
    from clusterkeras import export
    from clusterkeras.model_files import MODEL_FILE

    shutil.rmtree(preset / "1", ignore_errors=True)
    model = preset / MODEL_FILE
    export(model, preset.parent, preset.name, 1, card=preset / "README.md")


def take_example(data: Path, example: Path) -> None:
    """Write the images and parameters of a test split's first clusters."""
    from data_tools import make_dataset

    images, labels = next(iter(make_dataset(data, "test", 64, training=False)))
    first = np.flatnonzero(labels["is_cluster"])[:N_EXAMPLES]
    parameters = labels["parameters"].numpy()[first]
    images = images.numpy()[first].astype(np.float16)
    np.savez_compressed(example, images=images, parameters=parameters)


def ask_again(model: object, example: Path) -> None:
    """Replace the answers of the stored example, its images and parameters kept."""
    with np.load(example) as file:
        images, parameters = file["images"], file["parameters"]
    inputs = images.astype(np.float32)
    answers = dict(model.summarise(inputs))
    answers.pop("bad_pixels", None)
    posterior = model.posterior(model(inputs)["posterior"])
    answers["log_prob"] = posterior.log_prob(parameters)
    answers = {name: np.asarray(value) for name, value in answers.items()}
    np.savez_compressed(example, images=images, parameters=parameters, **answers)


if __name__ == "__main__":
    main()
