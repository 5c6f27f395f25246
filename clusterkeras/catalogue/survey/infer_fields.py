"""Many fields' mosaics and positions in, one partitioned data set of catalogues out."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from clusterkeras.catalogue.asking.settings import InferenceSettings, check_asked
from clusterkeras.catalogue.finished_batches import forget_batches
from clusterkeras.catalogue.infer import infer
from clusterkeras.catalogue.survey.fields import FieldFiles, part_of
from clusterkeras.catalogue.table import metadata_of
from clusterkeras.config import InferenceConfig
from clusterkeras.model_files import MODEL_FILE
from clusterkeras.model_files.model_file import save_model
from clusterkeras.serving.served_model import facts_of, open_model
from data_tools.running.output import check_directory, partial_path, remove_partial
from data_tools.running.replaced import check_empty
from data_tools.running.work_directory import alone

if TYPE_CHECKING:
    from clusterkeras.network.posterior_model import PosteriorModel

RUNNERS = ("local", "beam")


def infer_fields(
    fields: Sequence[FieldFiles],
    output: str | Path,
    model: str | Path,
    config: InferenceConfig | None = None,
    runner: str = "local",
    runner_options: Sequence[str] = (),
    workers: int = 0,
    *,
    progress: bool = True,
    overwrite: bool = False,
) -> list[Path]:
    """Write each field's catalogue as one part of a data set.

    Fields whose part is there are not done again: a run that was cut off goes on.

    Parameters
    ----------
    fields : sequence of FieldFiles
        Many fields instead of one, from a list in YAML of ``field`` (a name),
        ``images`` and ``positions``; the output is then a directory, a partitioned
        Parquet data set; see `clusterkeras.catalogue.survey.fields.read_fields`.
    output : str or Path
        Directory of the data set, partitioned the Hive way:
        ``pyarrow.dataset.dataset(output, partitioning="hive")`` reads all of it, and
        astropy (with pandas) each part with its units and metadata.
    model : str or Path
        What `clusterkeras.network.loading.load_model` loads.
    config : InferenceConfig, optional
        As for `clusterkeras.catalogue.infer`.
    runner : {"local", "beam"}
        For many fields: one after the other here, or an Apache Beam pipeline; the same
        rows.
    runner_options : sequence of str
        Beam's own options, on the command line after a ``--``: ``--runner beam --
        --runner=DataflowRunner --project=P --region=R``. Without any, Beam works in
        processes of this machine; see
        `clusterkeras.catalogue.survey.beam.infer_fields`.
    workers : int
        Processes of Beam's local runner; 0 for one a core.
    progress : bool
        Whether to show progress bars: of the fields, and of the one that is worked on.
    overwrite : bool
        Whether to write also into a directory that holds other things.

    Returns
    -------
    list of Path
        The parts, in the order of the fields.

    Raises
    ------
    FileNotFoundError, ValueError
        As `clusterkeras.catalogue.infer`; or if a part is of another model or
        configuration, or the options don't fit the runner.
    FileExistsError
        If the directory holds something else.
    ChildProcessError
        If the pipeline fails.
    """
    output = check_directory(output)
    if not overwrite and not any(output.glob("field=*")):
        check_empty(output, "the parts of a survey, field=...")
    config = config or InferenceConfig()
    if runner not in RUNNERS:
        raise ValueError(f"runner must be one of {RUNNERS}; received {runner!r}")
    if runner == "local" and (runner_options or workers):
        raise ValueError(
            "workers and options of a runner are for Beam: expected runner 'beam' "
            f"beside {workers or list(runner_options)}; received 'local'"
        )
    check_asked(facts_of(model), config)
    local = runner == "local" and not config.by_stellar_model
    loaded = open_model(model, summary_only=local)
    settings = InferenceSettings.of(loaded, config)
    parts = [part_of(output, field) for field in fields]
    for part in filter(Path.exists, parts):
        forget_batches(part)
    todo = [
        field
        for field, part in zip(fields, parts, strict=True)
        if not _is_done(part, settings)
    ]
    if runner == "beam":
        _run_beam(todo, output, loaded, settings, runner_options, workers)
    else:
        with tqdm(
            total=len(fields),
            initial=len(fields) - len(todo),
            unit="field",
            disable=not progress,
        ) as bar:
            for field in todo:
                bar.set_description(f"field {field.name}")
                infer(
                    *(field.images, field.positions, part_of(output, field)),
                    *(loaded, config),
                    progress=progress,
                )
                bar.update()
    return parts


def _is_done(part: Path, settings: InferenceSettings) -> bool:
    if not part.exists():
        return False
    there = metadata_of(part).get("configuration_hash")
    if there != settings.configuration_hash:
        raise ValueError(
            f"{part}: a part of another model or configuration ({there}; this one is "
            f"{settings.configuration_hash}); name another output, or remove it"
        )
    return True


def _run_beam(
    fields: Sequence[FieldFiles],
    output: str | Path,
    model: PosteriorModel,
    settings: InferenceSettings,
    options: Sequence[str],
    workers: int,
) -> None:
    beam: Any
    try:
        from clusterkeras.catalogue.survey import beam
    except ImportError as error:
        raise ModuleNotFoundError(
            "the runner 'beam' needs Apache Beam: pip install clusterkeras[beam]"
        ) from error
    if not fields:
        return
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    with alone(output):
        remove_partial(output)
        # where the workers reach it too; readers of the data set skip such names
        directory = partial_path(output / "model")
        try:
            directory.mkdir()
            save_model(model, directory / MODEL_FILE)
            beam.infer_fields(fields, output, directory, settings, workers, options)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
