"""A trained model as a preset: a directory that can be put anywhere and checked."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clusterkeras.model_files.model_file import find_model, read_facts, save_model
from clusterkeras.model_files.presets import PRESET_FILE, Preset, is_name
from clusterkeras.model_files.runs import new_model_file
from data_tools.foreign.reading import read_text
from data_tools.running.output import whole_path
from data_tools.running.plain_files import (
    read_json,
    sha256_of,
    write_json,
    write_text,
)
from data_tools.running.seal import BLANK, KEY
from data_tools.target import Target

if TYPE_CHECKING:
    import keras

METRICS_FILE = "metrics.json"
CARD_FILE = "README.md"

#: Of a card.
_MOST_BYTES = 1_000_000


def save_preset(
    model: keras.Model | str | Path,
    output: str | Path,
    *,
    description: str = "",
    metrics: str | Path | None = None,
    card: str | Path | None = None,
    overwrite: bool = False,
) -> Path:
    """Save a trained model as a preset: what others load by the directory's path.

    Parameters
    ----------
    model : PosteriorModel, str or Path
        Trained model: the name of one that ships, a ``.keras`` file, or the directory
        of a run or preset, whose file is copied; in Python also a model itself.
    output : str or Path
        Directory to write; its name is the preset's. ``model.keras``, ``README.md``,
        ``preset.json`` with the SHA-256 of the model and, if they are given,
        ``metrics.json``. A SavedModel of it may be exported into it.
    description : str
        One line; without, it says the target's name, bands and distance.
    metrics : str or Path, optional
        ``metrics.json`` of `evaluate`.
    card : str or Path, optional
        The model's card, Markdown; without, a ``README.md`` that is there stays, or a
        short one is written.
    overwrite : bool
        Whether to write also over files that are there.

    Returns
    -------
    Path
        The directory.

    Raises
    ------
    FileNotFoundError
        If there is no such model, card or metrics.
    FileExistsError
        If there is a model already, or another file that may not be replaced.
    ValueError
        If the name or the metrics are none, or a file is to be replaced that is read.

    Examples
    --------
    >>> from clusterkeras import load_model, save_preset
    >>> directory = save_preset("m83-wfc3-uvis", "shared/m83")
    >>> load_model(directory).target.name
    'm83-wfc3-uvis'
    """
    directory = Path(output)
    name = directory.resolve().name
    if not is_name(name):
        raise ValueError(
            f"{directory}: expected a name of letters, digits, '.', '_' and '-', which "
            f"the preset has from its directory; received {name!r}"
        )
    file = find_model(model) if isinstance(model, str | Path) else None
    beside = [PRESET_FILE]
    beside += [] if metrics is None else [METRICS_FILE]
    beside += [] if card is None else [CARD_FILE]
    path = new_model_file(
        directory,
        [] if file is None else [file],
        read=[one for one in (metrics, card) if one is not None],
        beside=beside,
        overwrite=overwrite,
    )
    about = directory / PRESET_FILE
    measured = None if metrics is None else read_json(Path(metrics))
    scores = {} if measured is None else _scores(measured)
    text = None if card is None else read_text(Path(card), _MOST_BYTES)
    target = model.target if file is None else read_facts(file).target
    directory.mkdir(parents=True, exist_ok=True)
    # a preset only once all its parts are there
    about.unlink(missing_ok=True)
    if file is None:
        save_model(model, path)
    else:
        with whole_path(path) as part:
            shutil.copyfile(file, part)
    preset = Preset(
        name=name,
        description=description or _description(target),
        bands=target.band_names,
        distance_mpc=target.distance_mpc,
        pixel_scale_arcsec=target.pixel_scale_arcsec,
        saved=date.today().isoformat(),
        size_bytes=path.stat().st_size,
        sha256=sha256_of(path),
        **scores,
    )
    if measured is not None:
        write_json(directory / METRICS_FILE, {**measured, KEY: BLANK})
    if text is not None or not (directory / CARD_FILE).exists():
        write_text(directory / CARD_FILE, text or _card(preset))
    write_json(about, {**preset.to_dict(), KEY: BLANK})
    return directory


def _scores(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the two numbers of an evaluation that a list of presets shows."""
    try:
        scores = metrics["posterior"]["overall"]["negative_log_probability"]
        return {"nll": scores["mean"], "prior_nll": scores["prior"]}
    except (LookupError, TypeError) as error:
        raise ValueError(
            "metrics: expected the metrics.json that `clusterkeras evaluate` writes; "
            f"there is no {error}"
        ) from error


def _description(target: Target) -> str:
    *first, last = target.band_names
    return (
        f"{target.name}: {', '.join(first)} and {last} at {target.distance_mpc:g} Mpc, "
        f"{target.pixel_scale_arcsec:g} arcsec a pixel"
    )


def _card(preset: Preset) -> str:
    """Return a card that says no more than is known."""
    measured = "Nothing has been measured."
    if preset.nll is not None:
        measured = (
            f"Mean negative log-probability of the true parameters of its test set "
            f"{preset.nll:.2f} nats; of the flat prior {preset.prior_nll:.2f}. All of "
            f"it is in `{METRICS_FILE}`."
        )
    return f"""# {preset.name}

{preset.description}.

    from clusterkeras import load_model
    model = load_model("path/to/{preset.name}")

## What it is bad at

Nobody has written it down. Ask whoever trained it.

## Measured

{measured}

<!-- {BLANK} -->"""
