"""Catalogues of many fields as an Apache Beam pipeline, on any of Beam's runners."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam
import numpy as np
from apache_beam.ml.inference.base import (
    KeyedModelHandler,
    ModelHandler,
    RunInference,
)
from numpy.typing import NDArray

from clusterkeras.catalogue.asking.context import informed
from clusterkeras.catalogue.asking.cutouts import Cutouts, cut_out
from clusterkeras.catalogue.asking.graph import Network, compile_network
from clusterkeras.catalogue.asking.settings import InferenceSettings
from clusterkeras.catalogue.infer import assemble, collect
from clusterkeras.catalogue.measurement import answer, batches_of
from clusterkeras.catalogue.survey.fields import FieldFiles, part_of
from data_tools.mosaics.mosaic import (
    Mosaics,
    open_mosaics,
    warn_of_other_instruments,
)
from data_tools.positions.places import find_places
from data_tools.positions.read_positions import read_positions
from data_tools.running.beam_pipeline import pipeline_options, run
from data_tools.running.table_file import write_table

#: Batches that a worker takes at once: neighbours on the mosaic.
BATCHES_A_PIECE = 8

#: Some rows of a field: its name, and which.
Piece = tuple[str, NDArray[np.intp]]


class NetworkHandler(ModelHandler):
    """Ask a trained model about cutouts.

    Parameters
    ----------
    directory : Path
        Of the model's file, which every worker must reach.
    settings : InferenceSettings
        Gives the limits of the flags.
    """

    def __init__(self, directory: Path, settings: InferenceSettings) -> None:
        super().__init__()
        self._directory, self._settings = directory, settings

    def load_model(self) -> Network:
        """Load it, once a process."""
        from clusterkeras.network.loading import load_model

        by_stellar_model = self._settings.config.by_stellar_model
        return compile_network(load_model(self._directory), 0, by_stellar_model)

    def run_inference(
        self,
        batch: Sequence[tuple[NDArray[np.intp], Cutouts]],
        model: Network,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[tuple[NDArray[np.intp], dict[str, NDArray]]]:
        """Yield rows and columns; see `clusterkeras.catalogue.measurement.answer`."""
        for rows, cutouts in batch:
            yield rows, answer(cutouts, model, self._settings.config)

    def batch_elements_kwargs(self) -> dict[str, int]:
        """Say that an element is a batch already."""
        return {"min_batch_size": 1, "max_batch_size": 1}


class _OnFields(apache_beam.DoFn):
    """Open the field of an element, and keep the last one open."""

    def __init__(
        self, fields: Sequence[FieldFiles], settings: InferenceSettings
    ) -> None:
        self._fields = {field.name: field for field in fields}
        self._settings = settings

    def setup(self) -> None:
        """Begin with no open field."""
        self._name: str | None = None
        self._mosaics: Mosaics | None = None

    def teardown(self) -> None:
        """Close the field that is open."""
        if self._mosaics is not None:
            self._mosaics.close()

    def _open(self, name: str) -> None:
        if name == self._name:
            return
        self.teardown()
        field, target = self._fields[name], self._settings.target
        self._table = read_positions(field.positions)
        self._mosaics = open_mosaics(
            field.images, target.band_names, target.pixel_scale_arcsec
        )
        self._places = find_places(
            self._table,
            self._mosaics.wcs,
            self._settings.config.origin,
            str(field.positions),
            self._mosaics.physical,
        )
        self._told: InferenceSettings | None = None
        self._name = name

    @property
    def _informed(self) -> InferenceSettings:
        """Settings with what is known of the open field: the same in every worker."""
        if self._told is None:
            self._told = informed(self._settings, self._mosaics, progress=False)
        return self._told


class _Part(_OnFields):
    """Part a field's positions into pieces, from its first row to its last."""

    def process(self, name: str) -> Iterator[Piece]:
        self._open(name)
        warn_of_other_instruments(self._mosaics, self._settings.target)
        size = self._settings.config.batch_size * BATCHES_A_PIECE
        for rows in batches_of(self._places.y, size):
            yield name, rows


class _CutOut(_OnFields):
    """Cut a piece out, batch by batch."""

    def process(
        self, piece: Piece
    ) -> Iterator[tuple[str, tuple[NDArray[np.intp], Cutouts]]]:
        name, rows = piece
        self._open(name)
        config, target = self._informed.config, self._informed.target
        for batch in batches_of(self._places.y[rows], config.batch_size):
            some = rows[batch]
            x, y = self._places.x[some], self._places.y[some]
            yield name, (some, cut_out(self._mosaics, x, y, target, config))


class _Finish(_OnFields):
    """Write a field's catalogue of all its batches."""

    def __init__(
        self, fields: Sequence[FieldFiles], settings: InferenceSettings, output: Path
    ) -> None:
        super().__init__(fields, settings)
        self._output = output

    def process(
        self,
        element: tuple[str, Iterable[tuple[NDArray[np.intp], dict[str, NDArray]]]],
    ) -> Iterator[str]:
        name, batches = element
        self._open(name)
        field, places = self._fields[name], self._places
        columns = collect(batches, len(places.x))
        catalogue = assemble(
            self._informed, self._mosaics, self._table, places, columns
        )
        catalogue.meta["positions"] = field.positions.name
        write_table(catalogue, part_of(self._output, field))
        yield name


def infer_fields(
    fields: Sequence[FieldFiles],
    output: str | Path,
    model: Path,
    settings: InferenceSettings,
    workers: int = 0,
    options: Sequence[str] = (),
) -> None:
    """Make the catalogues of fields in a pipeline and wait for it.

    Workers read mosaics and positions and write the parts themselves, so all of them
    must reach the fields' paths, `model` and `output` under the same names.

    Parameters
    ----------
    fields : sequence of Field
        What to work on.
    output : str or Path
        Directory of the data set; see `clusterkeras.catalogue.survey.fields.part_of`.
    model : Path
        Directory of the model's file.
    settings : InferenceSettings
        Of which model, and how.
    workers, options
        See `data_tools.running.beam_pipeline.pipeline_options`.

    Raises
    ------
    ValueError, ChildProcessError
        As `data_tools.running.beam_pipeline.pipeline_options` and ``run``.
    """
    pipeline = apache_beam.Pipeline(options=pipeline_options(workers, options))
    handler = KeyedModelHandler(NetworkHandler(model, settings))
    (
        pipeline
        | "Fields" >> apache_beam.Create([field.name for field in fields])
        | "Part" >> apache_beam.ParDo(_Part(fields, settings))
        | "Spread" >> apache_beam.Reshuffle()
        | "Cut out" >> apache_beam.ParDo(_CutOut(fields, settings))
        | "Ask" >> RunInference(handler)
        | "Gather" >> apache_beam.GroupByKey()
        | "Write" >> apache_beam.ParDo(_Finish(fields, settings, Path(output)))
    )
    run(pipeline, "finished parts are kept")
