"""Many fields' mosaics and positions in, one partitioned data set of catalogues out."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from astropy.table.meta import get_header_from_yaml
from pyarrow import parquet

from clusterkeras.catalogue import answer_all
from clusterkeras.catalogue_table import Question
from clusterkeras.config import InferenceConfig
from data_tools.whole_file import remove_partial

if TYPE_CHECKING:
    from clusterkeras.posterior_model import PosteriorModel

RUNNERS = ("local", "beam")


@dataclass(frozen=True)
class Field:
    """One field: what `clusterkeras.catalogue.infer` is given.

    Attributes
    ----------
    name : str
        Letters, digits and any of ``. _ -``; the data set has a part of this name.
    images : tuple of Path
        One FITS mosaic a band, in the model's order.
    positions : Path
        Table of positions.

    Raises
    ------
    ValueError
        On another name.
    """

    name: str
    images: tuple[Path, ...]
    positions: Path

    def __post_init__(self) -> None:
        """Check the name."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise ValueError(
                "field: expected a name of letters, digits and any of . _ -; received "
                f"{self.name!r}"
            )


def read_fields(path: str | Path) -> tuple[Field, ...]:
    """Read a list of fields.

    Parameters
    ----------
    path : str or Path
        YAML: a list of ``field``, ``images`` and ``positions``, paths relative to the
        file.

    Returns
    -------
    tuple of Field
        In the file's order.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no such list, or names a field twice.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such list of fields")
    try:
        entries = yaml.safe_load(path.read_text())
        fields = tuple(
            Field(
                str(entry["field"]),
                tuple(path.parent / image for image in entry["images"]),
                path.parent / entry["positions"],
            )
            for entry in entries
        )
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path}: expected a YAML list, each entry with `field` (a name), `images` "
            f"(a list, one a band) and `positions`; {type(error).__name__}: {error}"
        ) from error
    names = [field.name for field in fields]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not fields:
        raise ValueError(
            f"{path}: expected at least one field, each name once; received "
            f"{', '.join(twice) or 'none'}"
        )
    return fields


def part_of(output: str | Path, field: Field) -> Path:
    """Give the file of a field in a data set: ``field=NAME/part-0.parquet``."""
    return Path(output) / f"field={field.name}" / "part-0.parquet"


def metadata_of(part: Path) -> dict[str, Any]:
    """Give the metadata of a catalogue in Parquet, without its rows."""
    # where astropy's writer leaves them; its reader would need pandas
    text = parquet.read_schema(part).metadata[b"table_meta_yaml"].decode()
    return get_header_from_yaml(text.split("\n"))["meta"]


def infer_fields(
    fields: Sequence[Field],
    output: str | Path,
    model: str | Path,
    config: InferenceConfig | None = None,
    runner: str = "local",
    runner_options: Sequence[str] = (),
    workers: int = 0,
    *,
    progress: bool = True,
) -> list[Path]:
    """Give each field's catalogue as one part of a data set.

    Fields whose part is there are not done again: a run that was cut off goes on.

    Parameters
    ----------
    fields : sequence of Field
        What to work on.
    output : str or Path
        Directory of the data set, partitioned the Hive way:
        ``pyarrow.dataset.dataset(output, partitioning="hive")`` reads all of it, and
        astropy (with pandas) each part with its units and metadata.
    model : str or Path
        What `clusterkeras.presets.load_model` loads.
    config : InferenceConfig, optional
        As for `clusterkeras.catalogue.infer`.
    runner : {"local", "beam"}
        One field after the other here, or an Apache Beam pipeline; the same rows.
    runner_options : sequence of str
        Beam's own options; see `clusterkeras.beam.infer_fields`.
    workers : int
        Processes of Beam's local runner; 0 for one a core.
    progress : bool
        Whether to show progress bars.

    Returns
    -------
    list of Path
        The parts, in the order of the fields.

    Raises
    ------
    FileNotFoundError, ValueError
        As `clusterkeras.catalogue.infer`; or if a part is of another model or
        configuration, or the options don't fit the runner.
    ChildProcessError
        If the pipeline fails.
    """
    config = config or InferenceConfig()
    if runner not in RUNNERS:
        raise ValueError(f"runner must be one of {RUNNERS}; received {runner!r}")
    if runner == "local" and (runner_options or workers):
        raise ValueError(
            "workers and options of a runner are for Beam: expected runner 'beam' "
            f"beside {workers or list(runner_options)}; received 'local'"
        )
    from clusterkeras.presets import load_model

    loaded = load_model(model)
    asked = Question.of(loaded, str(model), config)
    parts = [part_of(output, field) for field in fields]
    todo = [
        field
        for field, part in zip(fields, parts, strict=True)
        if not _is_done(part, asked)
    ]
    if runner == "beam":
        _run_beam(todo, output, loaded, asked, runner_options, workers)
    else:
        for field in todo:
            part = part_of(output, field)
            answer_all(
                field.images, field.positions, part, loaded, asked, progress=progress
            )
    return parts


def _is_done(part: Path, asked: Question) -> bool:
    if not part.exists():
        return False
    there = metadata_of(part).get("configuration_hash")
    if there != asked.configuration_hash:
        raise ValueError(
            f"{part}: a part of another model or configuration ({there}; this one is "
            f"{asked.configuration_hash}); name another output, or remove it"
        )
    return True


def _run_beam(
    fields: Sequence[Field],
    output: str | Path,
    model: PosteriorModel,
    asked: Question,
    options: Sequence[str],
    workers: int,
) -> None:
    beam: Any
    try:
        from clusterkeras import beam
    except ImportError as error:
        raise ModuleNotFoundError(
            "the runner 'beam' needs Apache Beam: pip install clusterkeras[beam]"
        ) from error
    if not fields:
        return
    from clusterkeras.serving import export

    Path(output).mkdir(parents=True, exist_ok=True)
    remove_partial(Path(output))
    # where the workers reach it too; readers of the data set skip what begins so
    with tempfile.TemporaryDirectory(prefix="_model-", dir=output) as directory:
        served = export(model, directory, "model", 1)
        beam.infer_fields(fields, output, served, asked, workers, options)
