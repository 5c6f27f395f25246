"""A model that is known by its signatures alone: of a SavedModel, or of a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clusterkeras.model_files.model_file import ModelFacts, read_facts
from clusterkeras.serving.beside import (
    METADATA_FILE,
    SOURCE,
    WEIGHTS,
    find_savedmodel,
    is_savedmodel,
)
from clusterkeras.serving.contract import CONTRACT, SAMPLES
from data_tools.running.plain_files import read_json
from data_tools.schema import (
    BY_STELLAR_MODEL,
    PARAMETER_NAMES,
    STELLAR_MODELS,
)
from data_tools.target import Target

if TYPE_CHECKING:
    from clusterkeras.network.posterior_model import PosteriorModel

Arrays = Mapping[str, NDArray]

#: Ask a signature: its name and inputs to its outputs.
Ask = Callable[[str, Arrays], Arrays]

_UNKNOWN = {"psf_fwhm_px": np.nan, "exposure_s": np.nan, "stellar_model": -1}


class ServedModel:
    """What `clusterkeras.infer` asks in place of a Keras model.

    Parameters
    ----------
    ask : callable
        Asks a signature; see `Ask`.
    loaded_by : str
        What it was loaded by, for a catalogue's metadata.
    version : int, optional
        Which version of the model answers, where there are several.
    configuration : mapping, optional
        Of the Keras model in whose place it stands, named by `loaded_by`: then it has
        that one's, so that a catalogue says the same of either.

    Attributes
    ----------
    about : dict
        What it says of itself, as JSON has it; see
        `clusterkeras.serving.contract.about_model`.

    Raises
    ------
    ValueError
        If it does not keep this version's contract.
    """

    #: Batches that are worth asking at once.
    in_flight = 1

    def __init__(
        self,
        ask: Ask,
        loaded_by: str,
        version: int | None = None,
        configuration: Mapping[str, Any] | None = None,
    ) -> None:
        self._ask = ask
        self._configuration = configuration
        self.loaded_by = self.name = loaded_by
        told = ask("metadata", {})["json"]
        self.about: dict[str, Any] = json.loads(np.asarray(told, object).item())
        if self.about["contract"] != CONTRACT:
            raise ValueError(
                f"{loaded_by}: expected a model with version {CONTRACT} of the "
                f"contract; received {self.about['contract']}. Export it again, or "
                "use the ClusterKeras that it was exported with"
            )
        self._version = version
        self.target = Target.from_dict(self.about["target"])
        self.kind_shares = np.array(self.about["kind_shares"])
        self.takes_context = "conditioned" in self.about["signatures"]
        self.tells_kinds = bool(self.about["kinds"])

    @property
    def in_place_of(self) -> str | None:
        """Name or path of the Keras model in whose place it stands, if it does."""
        return None if self._configuration is None else self.loaded_by

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Side, side and bands of an image."""
        px = self.target.cutout_px
        return (px, px, len(self.target.bands))

    def get_config(self) -> dict[str, Any]:
        """Return what tells this model from others, as plain values."""
        if self._configuration is not None:
            return dict(self._configuration)
        return {"about": self.about, "version": self._version}

    def get_weights(self) -> list[NDArray[np.uint8]]:
        """Return what tells its weights from another model's; they stay where they are.

        It is their SHA-256, as one array.
        """
        return [np.frombuffer(bytes.fromhex(self.about["weights_sha256"]), np.uint8)]

    def network(
        self, draws: int = 0, by_stellar_model: bool = False
    ) -> Callable[..., dict[str, NDArray]]:
        """Return the function that a catalogue's images are put to.

        As `clusterkeras.catalogue.asking.graph.compile_network` gives of a Keras model.

        Parameters
        ----------
        draws : int
            Draws of each posterior, at most those of the signature ``samples``.
        by_stellar_model : bool
            Whether to give age and extinction under each stellar model too.

        Raises
        ------
        ValueError
            If more draws are wanted than a served model gives.
        """
        if draws > SAMPLES:
            raise ValueError(
                f"draws: expected at most {SAMPLES} of a served model; received "
                f"{draws}. Name the Keras model for more"
            )
        places = [PARAMETER_NAMES.index(name) for name in BY_STELLAR_MODEL]

        def in_brief(images: NDArray, context: Arrays) -> NDArray:
            found = self._summary(images, context)
            parts = [found[key][:, places] for key in ("median", "lower", "upper")]
            return np.stack(parts, axis=2)

        def run(
            images: NDArray[np.float32],
            seeds: NDArray[np.int32],
            context: Arrays | None = None,
        ) -> dict[str, NDArray]:
            context = self._whole(context or {}, len(images))
            found = dict(self._summary(images, context))
            if draws:
                found["draws"] = self._draws(images, seeds, context)[:, :draws]
            if by_stellar_model:
                rows = np.ones(len(images), np.int32)
                under = [
                    in_brief(images, {**context, "stellar_model": i * rows})
                    for i in range(len(STELLAR_MODELS))
                ]
                found["by_stellar_model"] = np.stack(under, axis=1)
            return found

        return run

    def _summary(self, images: NDArray, context: Arrays) -> Arrays:
        if self.takes_context:
            return self._ask("conditioned", {"images": images, **context})
        return self._ask("serving_default", {"images": images})

    def _draws(self, images: NDArray, seeds: NDArray, context: Arrays) -> NDArray:
        inputs = {"images": images, "seed": seeds}
        if self.takes_context:
            return self._ask("conditioned_samples", {**inputs, **context})["samples"]
        return self._ask("samples", inputs)["samples"]

    def _whole(self, context: Arrays, rows: int) -> dict[str, NDArray]:
        """Return all of the context, what is not told as unknown."""
        bands = len(self.target.bands)
        shapes = {"psf_fwhm_px": (rows, bands), "exposure_s": (rows, bands)}
        whole = {}
        for name, unknown in _UNKNOWN.items():
            dtype = np.int32 if name == "stellar_model" else np.float32
            value = np.asarray(context.get(name, unknown), dtype)
            whole[name] = np.broadcast_to(value, shapes.get(name, (rows,)))
        return whole


def open_savedmodel(
    directory: str | Path, in_place_of: str | Path | None = None
) -> ServedModel:
    """Load a SavedModel to be asked in place of a Keras model.

    Parameters
    ----------
    directory : str or Path
        ``NAME/VERSION``, as ``clusterkeras export`` writes it.
    in_place_of : str or Path, optional
        Name or path of the Keras model that it was exported from: then only what a
        catalogue without draws asks is loaded, which takes a third of the time.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is none, it cannot be read, it is of another contract, or its graph and
        its metadata are not of one export.
    """
    from clusterkeras.serving.loading import load_savedmodel

    written, configuration, only = {}, None, None
    if in_place_of is not None:
        written = read_json(Path(directory, METADATA_FILE))
        configuration = written.pop(SOURCE)["configuration"]
        written.pop(WEIGHTS)  # `find_savedmodel` has looked at them
        told = "conditioned" in written["signatures"]
        only = ("metadata", "conditioned" if told else "serving_default")
    signatures = load_savedmodel(directory, only)
    if "metadata" not in signatures:
        raise ValueError(
            f"{directory}: expected a SavedModel that says what it is; this one is of "
            "before 0.2, export the model again"
        )

    def ask(name: str, inputs: Arrays) -> Arrays:
        answer = signatures[name](**inputs)
        return {key: value.numpy() for key, value in answer.items()}

    model = ServedModel(ask, str(in_place_of or directory), None, configuration)
    if in_place_of is not None and written != model.about:
        raise ValueError(
            f"{directory}: its graph and its {METADATA_FILE} are of two exports: "
            "remove the directory, and export the model again"
        )
    return model


def open_model(
    model: PosteriorModel | ServedModel | str | Path, *, summary_only: bool = False
) -> PosteriorModel | ServedModel:
    """Return what can be asked for a catalogue.

    Parameters
    ----------
    model : PosteriorModel, ServedModel, str or Path
        A model, which is returned as it is; the directory of a SavedModel; or what
        `clusterkeras.network.loading.load_model` loads.
    summary_only : bool
        Whether no draws are wanted, nor what a row is under each stellar model: a
        SavedModel looks at the pixels once more for each of these. Then the SavedModel
        stands in for the Keras model beside which it lies, if it was exported from it;
        see `clusterkeras.serving.beside.find_savedmodel`.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is none, or it cannot be read.
    """
    if isinstance(model, ServedModel):
        if summary_only or model.in_place_of is None:
            return model
        model = model.in_place_of
    if is_savedmodel(model):
        return open_savedmodel(model)
    if summary_only and isinstance(model, str | Path):
        directory = find_savedmodel(model)
        if directory is not None:
            return open_savedmodel(directory, in_place_of=model)
    from clusterkeras.network.loading import load_model

    return load_model(model)


def facts_of(model: Any) -> Any:
    """Return what says the target of a model, and whether it takes a context.

    Parameters
    ----------
    model : PosteriorModel, ServedModel, str or Path
        As for `open_model`.

    Returns
    -------
    PosteriorModel, ServedModel or ModelFacts
        A model as it is; of a name or a path what the files say, so that the rest of
        what is asked can be refused before TensorFlow is imported.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such model, or its file is damaged.
    """
    if not isinstance(model, str | Path):
        return model
    if not is_savedmodel(model):
        return read_facts(model)
    if not Path(model, METADATA_FILE).is_file():  # of before 0.2, or stripped
        return open_savedmodel(model)
    about = read_json(Path(model, METADATA_FILE))
    takes_context = "conditioned" in about["signatures"]
    return ModelFacts(Target.from_dict(about["target"]), takes_context)
