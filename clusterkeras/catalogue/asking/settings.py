"""Which model is asked, and how."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterkeras.config import ANY_STELLAR_MODEL, InferenceConfig

if TYPE_CHECKING:
    from clusterkeras.model_files.model_file import ModelFacts
    from clusterkeras.network.posterior_model import PosteriorModel
    from data_tools.target import Target


@dataclass(frozen=True)
class InferenceSettings:
    """Which model is asked, and how: what a row comes from beside the images.

    Attributes
    ----------
    model : str
        What the model was loaded by, or its name if it was made in this process.
    target : Target
        What it was trained for.
    kind_shares : tuple of float
        Share of each of `data_tools.schema.KINDS` in its training set.
    config : InferenceConfig
        How it is asked.
    configuration_hash : str
        Of the model's configuration and what was asked, in hexadecimal digits.
    takes_context : bool
        Whether the model can be told what is known beside the pixels.
    psf_stars : tuple of int, or None
        Stars of each band on which the widths of the PSFs in `config` were measured;
        None if they were not; see `clusterkeras.catalogue.asking.context.informed`.
    """

    model: str
    target: Target
    kind_shares: tuple[float, ...]
    config: InferenceConfig
    configuration_hash: str
    takes_context: bool = False
    psf_stars: tuple[int, ...] | None = None

    @classmethod
    def of(cls, model: PosteriorModel, config: InferenceConfig) -> InferenceSettings:
        """Return those of a model that is asked with a configuration.

        Raises
        ------
        ValueError
            As `check_asked`.
        """
        check_asked(model, config)
        asked = dataclasses.asdict(config)
        text = json.dumps([model.get_config(), asked], sort_keys=True, default=str)
        digits = hashlib.sha256(text.encode()).hexdigest()[:16]
        name = getattr(model, "loaded_by", model.name)
        shares = tuple(model.kind_shares.tolist())
        takes = model.takes_context
        return cls(name, model.target, shares, config, digits, takes)

    @property
    def cluster_share(self) -> float:
        """Share of clusters in the model's training set, in (0, 1)."""
        return self.kind_shares[0]


def check_asked(model: PosteriorModel | ModelFacts, config: InferenceConfig) -> None:
    """Refuse what a model cannot be asked; it need not be loaded yet.

    Parameters
    ----------
    model : PosteriorModel or ModelFacts
        See `clusterkeras.serving.served_model.facts_of`.
    config : InferenceConfig
        How it is to be asked.

    Raises
    ------
    ValueError
        If the configuration asks for a stellar model, and the model knows none apart;
        or gives widths of PSFs of other bands.
    """
    bands, widths = model.target.band_names, config.psf_fwhm_px
    if widths is not None and len(widths) != len(bands):
        raise ValueError(
            f"inference.psf_fwhm_px: expected {len(bands)} numbers, one a band "
            f"({', '.join(bands)}), null where it is not known; received "
            f"{list(widths)}"
        )
    of_one = config.stellar_model != ANY_STELLAR_MODEL
    if (of_one or config.by_stellar_model) and not model.takes_context:
        name = "stellar_model" if of_one else "by_stellar_model"
        raise ValueError(
            f"inference.{name}: expected a model that takes a context "
            "(model.context); this one knows no stellar models apart: leave the "
            "option out, or name another model"
        )
