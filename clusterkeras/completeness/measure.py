"""Which clusters a user's own mosaics, and this package on them, let one find."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import QTable, vstack
from numpy.typing import NDArray
from tqdm import tqdm

from clusterkeras.catalogue.asking.context import informed
from clusterkeras.catalogue.asking.settings import InferenceSettings, check_asked
from clusterkeras.catalogue.finished_batches import forget_batches
from clusterkeras.catalogue.infer import infer
from clusterkeras.catalogue.read import Catalogue
from clusterkeras.completeness.function import (
    FEATURES,
    FUNCTION_FILE,
    OUTCOMES,
    fit_completeness,
    load_completeness,
)
from clusterkeras.completeness.injection_rounds import (
    STEP_PX,
    InjectionRounds,
    describe,
)
from clusterkeras.completeness.plot import draw_completeness
from clusterkeras.config import CompletenessConfig, DetectionConfig, InferenceConfig
from clusterkeras.detection.candidates import detect
from clusterkeras.model_files.presets import DEFAULT_PRESET
from clusterkeras.serving.served_model import facts_of, open_model
from data_tools.mocks.injected_mosaics import Injector
from data_tools.mosaics.mosaic import opened
from data_tools.preparation.psf_width import as_wide
from data_tools.priors import Priors
from data_tools.running.output import check_directory, remove_partial
from data_tools.running.plain_files import sha256_of
from data_tools.running.table_file import write_table
from data_tools.running.work_directory import claimed
from data_tools.schema import KINDS, SCHEMA_VERSION

if TYPE_CHECKING:
    from clusterkeras.network.posterior_model import PosteriorModel

#: Files in the directory.
TABLE_FILE, PICTURE_FILE = "injected.ecsv", "completeness.png"
_SETTINGS_FILE, _ROUNDS = "settings.json", "rounds"

#: How clusters are injected and held to be recovered; rounds of other ways don't mix.
_INJECTED = "with PSFs as wide as the mosaics' stars; S/N on 768 px about each"
_RECOVERED = (
    "rows that count, within match_px or the half-light radius; others after; overlaps "
    "to 8 px, places with nothing"
)


def measure_completeness(
    images: Sequence[str | Path],
    output: str | Path,
    model: PosteriorModel | str | Path = DEFAULT_PRESET,
    config: CompletenessConfig | None = None,
    detection: DetectionConfig | None = None,
    inference: InferenceConfig | None = None,
    catalogue: str | Path | None = None,
    priors: Priors | None = None,
    *,
    progress: bool = True,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Put clusters of known parameters on mosaics and count those that are found.

    Round by round clusters drawn from the target's box are put at random places with
    data (`data_tools.mocks.injected_mosaics`), apart from each other and not on a
    cluster of the catalogue; the finder runs on the whole mosaic, the network on the
    candidates around them. A cluster is ``detected`` if a candidate is within
    `CompletenessConfig.match_px` of it, and ``recovered`` if a row that counts as a
    cluster (``p_cluster`` at the threshold or above, and no overlap) is within that or
    its half-light radius, whichever is larger; see
    `clusterkeras.catalogue.truth.matching`. Their PSF is as wide as the mosaics' stars
    show it, or `InferenceConfig.psf_fwhm_px` says; where neither is known its blur is
    drawn from the priors.

    ``p_cluster`` is under the shares of kinds of the user's own catalogue: clusters
    that were put there must not make clusters, or what looks like them, seem common.
    These come from the catalogue's metadata, else from `InferenceConfig`, else from
    candidates and a catalogue that are made first, of the mosaics as they are.

    Each round is kept when it is finished, so that what was interrupted goes on, and
    more clusters can be added later; the same seed gives the same clusters.

    Parameters
    ----------
    images : sequence of str or Path
        One FITS mosaic a band, in the model's order.
    output : str or Path
        Directory, in which a measurement that was begun goes on: ``injected.ecsv``, one
        row a cluster; ``completeness.png``; ``completeness.json``, the function; what
        was made on the way.
    model : PosteriorModel, str or Path
        Trained model: the name of one that ships, a ``.keras`` file, or the directory
        of a run.
    config : CompletenessConfig, optional
        Clusters, threshold, spacing, seed.
    detection, inference : DetectionConfig, InferenceConfig, optional
        As the catalogue was made with.
    catalogue : str or Path, optional
        The user's own catalogue of these mosaics: its share of clusters is kept, and no
        cluster is put on one of it. Without, one is made first.
    priors : Priors, optional
        Profiles of the clusters, and what they are seen through.
    progress : bool
        Whether to show a progress bar.
    overwrite : bool
        Whether to write also into a directory that holds other things.

    Returns
    -------
    dict
        ``n``, the shares ``detected`` and ``recovered``, ``cluster_share``, and
        ``held_out``: how the function does on injections it has not seen; see
        `clusterkeras.completeness.function.fit_completeness`.

    Raises
    ------
    FileNotFoundError
        If a mosaic, the catalogue or the model is missing.
    ValueError
        If a mosaic cannot be used, the catalogue is none or does not state its share of
        clusters, or the directory holds a measurement with other settings.
    OSError
        If the directory cannot be written, or another process measures there.

    Examples
    --------
    Far fewer than are needed, on a mosaic that is too small:

    >>> from clusterkeras import CompletenessConfig, measure_completeness
    >>> from data_tools import Target, make_mosaic
    >>> target = Target.load("m83-wfc3-uvis")
    >>> galaxy = make_mosaic(target, output="galaxy", size_px=256, n=2, seed=1)
    >>> images = [f"galaxy/{band}.fits" for band in target.band_names]
    >>> found = measure_completeness(
    ...     images, "completeness", config=CompletenessConfig(n=8), progress=False
    ... )
    >>> found["n"], 0 < found["recovered"] < 1
    (8, True)
    """
    config = config or CompletenessConfig()
    detection, inference = (
        detection or DetectionConfig(),
        inference or InferenceConfig(),
    )
    priors, output = priors or Priors(), check_directory(output)
    given = None if catalogue is None else _read_catalogue(catalogue)
    about = facts_of(model)
    check_asked(about, inference)
    target = about.target
    with opened(images, target) as mosaics:
        model = open_model(model, summary_only=not inference.by_stellar_model)
        name = InferenceSettings.of(model, inference).model
        settings = {
            "images": [[Path(p).name, Path(p).stat().st_size] for p in images],
            "model": name,
            "target": target.to_dict(),
            "completeness": {**dataclasses.asdict(config), "n": None},
            "detection": dataclasses.asdict(detection),
            "inference": dataclasses.asdict(inference),
            "catalogue": None if catalogue is None else sha256_of(Path(catalogue)),
            "priors": dataclasses.asdict(priors),
            "counted": {
                "records": SCHEMA_VERSION,
                "injected": _INJECTED,
                "recovered": _RECOVERED,
            },
        }
        with claimed(output, _SETTINGS_FILE, settings, empty=not overwrite):
            # once, of the mosaics as they are
            told = InferenceSettings.of(model, inference)
            inference = informed(told, mosaics, progress=progress).config
            own = given
            if own is None:
                own = _make_catalogue(
                    images, output, model, detection, inference, progress
                )
            inference = _at_share_of(own, inference, catalogue)
            clusters = own.clusters(config.p_cluster)
            avoid = np.stack([clusters.numbers(axis) for axis in "xy"], axis=1)
            if inference.psf_fwhm_px is not None:
                priors = as_wide(priors, target, inference.psf_fwhm_px)
            injector = Injector(target, priors, mosaics)
            rounds = InjectionRounds(
                injector, model, config, detection, inference, avoid
            )
            table = _make_rounds(rounds, output / _ROUNDS, config.n, progress)
            about = {
                "model": name,
                "seed": config.seed,
                "p_cluster": config.p_cluster,
                "match_px": config.match_px,
                "cluster_share": inference.cluster_share,
                "images": [Path(p).name for p in images],
            }
            describe(table, target.band_names)
            table.meta = about
            checks = _write_results(table, rounds.scatter, about, output)
    return {
        "n": len(table),
        **{o: float(np.mean(table[o])) for o in OUTCOMES},
        "cluster_share": inference.cluster_share,
        "held_out": checks,
    }


def _read_catalogue(path: str | Path) -> Catalogue:
    """Read the user's catalogue, or refuse a table that is none."""
    try:
        return Catalogue.read(path)
    except ValueError as error:
        raise ValueError(f"{error}. Leave --catalogue out to have one made") from error


def _make_catalogue(
    images: Sequence[str | Path],
    output: Path,
    model: PosteriorModel,
    detection: DetectionConfig,
    inference: InferenceConfig,
    progress: bool,
) -> Catalogue:
    """Make a catalogue of the mosaics as they are, or read the one that is there."""
    candidates, path = output / "candidates.ecsv", output / "catalogue.ecsv"
    if path.is_file():
        forget_batches(path)
    else:
        # the directory is ours
        how = {"progress": progress, "overwrite": True}
        detect(images, candidates, model, detection, **how)
        infer(images, candidates, path, model, inference, **how)
    return Catalogue.read(path)


def _at_share_of(
    own: Catalogue, inference: InferenceConfig, path: str | Path | None
) -> InferenceConfig:
    """Take the shares of clusters and of other kinds from the user's catalogue."""
    share = own.meta.get("cluster_share", {}).get("here", inference.cluster_share)
    if not share:
        raise ValueError(
            f"{path}: expected a catalogue whose metadata state cluster_share (not "
            ".csv); give --inference.cluster_share"
        )
    kinds = dict(own.meta.get("kind_shares", {}).get("here", {}))
    kinds.pop(KINDS[0], None)
    others = kinds or inference.other_shares
    return dataclasses.replace(
        inference, cluster_share=float(share), other_shares=others
    )


def _make_rounds(
    rounds: InjectionRounds, directory: Path, n: int, progress: bool
) -> QTable:
    """Make rounds until there are n clusters; those that are there are read."""
    tables: list[QTable] = []
    directory.mkdir(exist_ok=True)
    remove_partial(directory)
    with tqdm(
        total=n, desc="completeness", unit=" clusters", disable=not progress
    ) as bar:
        while sum(map(len, tables)) < n:
            path = directory / f"{len(tables):04d}.ecsv"
            if not path.is_file():
                write_table(rounds.make(len(tables)), path)
            tables.append(QTable.read(path))
            # the last round is finished, and may have more
            bar.total = max(n, bar.n + len(tables[-1]))
            bar.update(len(tables[-1]))
    return vstack(tables, metadata_conflicts="silent")


def _write_results(
    table: QTable, scatter: NDArray[np.float64], about: dict[str, Any], output: Path
) -> dict[str, Any]:
    """Write table, function and picture; return how the function does."""
    write_table(table, output / TABLE_FILE)
    checks = fit_completeness(
        np.column_stack([np.asarray(table[name], float) for name in FEATURES]),
        {outcome: np.asarray(table[outcome]) for outcome in OUTCOMES},
        scatter,
        STEP_PX,
        output / FUNCTION_FILE,
        about,
    )
    draw_completeness(
        table,
        {o: load_completeness(output, o) for o in OUTCOMES},
        checks,
        output / PICTURE_FILE,
    )
    return checks
