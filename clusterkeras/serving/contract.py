"""What a served model promises: its signatures, tensor by tensor, and what it says.

Other people's systems are written for this. It is stated here once: what is exported,
checked and documented follows it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from data_tools.schema import CONTEXT, KINDS, PARAMETERS, SCHEMA_VERSION, STELLAR_MODELS

if TYPE_CHECKING:
    from clusterkeras.network.posterior_model import PosteriorModel

#: Raised whenever a tensor changes its name, type, shape, unit or meaning. A new output
#: or signature raises nothing: take what you know by name.
CONTRACT = 1

#: Draws that the signature ``samples`` gives a row.
SAMPLES = 256

#: Packages whose versions a model tells.
PACKAGES = ("clusterkeras", "tensorflow", "keras")


@dataclass(frozen=True)
class Tensor:
    """One input or output of a signature.

    Attributes
    ----------
    name, dtype : str
        As in the signature; ``string`` is UTF-8.
    shape : tuple of (int or str)
        ``"B"`` is the number of rows; ``"px"``, ``"bands"``, ``"P"`` (parameters),
        ``"K"`` (kinds) and ``"S"`` (stellar models) are what the model says they are.
    unit : str
        Empty for a plain number; ``of each`` where the parameters have their own.
    words : str
        One line.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    unit: str
    words: str

    def sizes(self, about: Mapping[str, Any]) -> tuple[int | None, ...]:
        """Return the shape in numbers, None for the rows.

        Parameters
        ----------
        about : mapping
            What a model says of itself; see `about_model`.
        """
        numbers = {
            "B": None,
            "px": about["cutout_px"],
            "bands": len(about["bands"]),
            "P": len(about["parameters"]),
            "K": len(about["kinds"]),
            "S": len(about["stellar_models"]),
        }
        return tuple(numbers[s] if isinstance(s, str) else s for s in self.shape)


@dataclass(frozen=True)
class Signature:
    """One signature.

    Attributes
    ----------
    name, words : str
        Its name, and one line.
    inputs, outputs : tuple of Tensor
        By name; order means nothing.
    """

    name: str
    words: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


_IMAGES = Tensor(
    "images",
    "float32",
    ("B", "px", "px", "bands"),
    "nJy per pixel",
    "cutouts with their background, as the mosaic has it",
)
_BAD = Tensor(
    "bad_pixels",
    "int32",
    ("B",),
    "",
    "pixels that are no data (NaN, infinite, beyond 1e18) and were filled",
)
_SEED = Tensor("seed", "int32", ("B",), "", "of each row's draws")
_SAMPLES = Tensor("samples", "float32", ("B", SAMPLES, "P"), "of each", "draws")
_KINDS = Tensor("kinds", "float32", ("B", "K"), "", "probability of each kind")
_SUMMARY = (
    Tensor("p_cluster", "float32", ("B",), "", "probability that it is a cluster"),
    Tensor("log_snr", "float32", ("B",), "dex", "visibility, log10 S/N: its mean"),
    Tensor("log_snr_std", "float32", ("B",), "dex", "its standard deviation"),
    Tensor("median", "float32", ("B", "P"), "of each", "median of each parameter"),
    Tensor("lower", "float32", ("B", "P"), "of each", "16th percentile"),
    Tensor("upper", "float32", ("B", "P"), "of each", "84th percentile"),
    Tensor("mean", "float32", ("B", "P"), "of each", "mean"),
    Tensor("covariance", "float32", ("B", "P", "P"), "of each", "covariance"),
    Tensor(
        "log_mass_current",
        "float32",
        ("B", 3),
        "dex(solMass)",
        "mass in living stars: median, 16th and 84th percentile",
    ),
    Tensor(
        "edge_share",
        "float32",
        ("B",),
        "",
        "largest share of the posterior at an edge of the box",
    ),
    Tensor(
        "unlike_mocks",
        "float32",
        ("B",),
        "",
        "log10 of the share of the training's mocks that are further out",
    ),
    _BAD,
)
_METADATA = (
    Tensor("contract", "int32", (), "", "version of this contract"),
    Tensor("name", "string", (), "", "of the target"),
    Tensor("bands", "string", ("bands",), "", "in the order of the images' last axis"),
    Tensor("pixel_scale_arcsec", "float32", (), "arcsec", "side of a pixel"),
    Tensor("parameters", "string", ("P",), "", "names, in the order of every P"),
    Tensor("units", "string", ("P",), "", "of each parameter, as astropy writes them"),
    Tensor("box", "float32", ("P", 2), "of each", "range of each parameter"),
    Tensor("kinds", "string", ("K",), "", "in the order of every K"),
    Tensor("stellar_models", "string", ("S",), "", "by their index"),
    Tensor("json", "string", (), "", "all of this, and versions, as JSON"),
)
_CONTEXT = tuple(
    Tensor(
        one.name,
        one.dtype,
        ("B", *one.shape),
        one.unit,
        one.description + ("; NaN if unknown" if one.dtype == "float32" else ""),
    )
    for one in CONTEXT
)


def signatures(kinds: bool = True, context: bool = True) -> tuple[Signature, ...]:
    """List the signatures of a model.

    Parameters
    ----------
    kinds, context : bool
        Whether it tells all kinds apart, and can be told what is known beside the
        pixels, as every model of this version; those of before may not.
    """
    summary = (*_SUMMARY, _KINDS) if kinds else _SUMMARY
    told = Signature(
        "conditioned",
        "as `serving_default`, where something is known beside the pixels",
        (_IMAGES, *_CONTEXT),
        summary,
    )
    drawn = Signature(
        "conditioned_samples",
        "as `samples`, where something is known beside the pixels",
        (_IMAGES, _SEED, *_CONTEXT),
        (_SAMPLES, _BAD),
    )
    return (
        Signature("serving_default", "a summary of each row", (_IMAGES,), summary),
        *((told,) if context else ()),
        Signature(
            "samples",
            "draws of each row's joint posterior",
            (_IMAGES, _SEED),
            (_SAMPLES, _BAD),
        ),
        *((drawn,) if context else ()),
        Signature(
            "log_prob",
            "density of each row's joint posterior",
            (
                _IMAGES,
                Tensor("parameters", "float32", ("B", "P"), "of each", "where"),
            ),
            (
                Tensor(
                    "log_prob",
                    "float32",
                    ("B",),
                    "",
                    "natural log, per units of the parameters; minus infinity outside "
                    "the box, NaN at parameters that are NaN",
                ),
                _BAD,
            ),
        ),
        Signature("metadata", "what the model is; takes nothing", (), _METADATA),
    )


def about_model(model: PosteriorModel) -> dict[str, Any]:
    """Return what a model says of itself, in plain values.

    Parameters
    ----------
    model : PosteriorModel
        The model.

    Returns
    -------
    dict
        What the signature ``metadata`` gives as JSON, and ``metadata.json`` holds.
    """
    target = model.target
    return {
        "contract": CONTRACT,
        "name": target.name,
        "bands": list(target.band_names),
        "pixel_scale_arcsec": target.pixel_scale_arcsec,
        "cutout_px": target.cutout_px,
        "images": "nJy per pixel",
        "distance_mpc": target.distance_mpc,
        "parameters": [
            {
                "name": p.name,
                "unit": p.unit,
                "low": target.box[p.name][0],
                "high": target.box[p.name][1],
                "description": p.description,
            }
            for p in PARAMETERS
        ],
        "kinds": list(KINDS) if model.tells_kinds else [],
        "stellar_models": list(STELLAR_MODELS) if model.takes_context else [],
        # of the training's records, each kind's; a cluster's first
        "kind_shares": [float(share) for share in model.kind_shares],
        "target": target.to_dict(),
        "samples": SAMPLES,
        "signatures": [
            one.name for one in signatures(model.tells_kinds, model.takes_context)
        ],
        "weights_sha256": _digest(model),
        "record_schema": SCHEMA_VERSION,
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }


def _digest(model: PosteriorModel) -> str:
    """Return what tells a model's weights from others'."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()
