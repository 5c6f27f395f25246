"""Which clusters a user's own mosaics, and this package on them, let one find."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import QTable, vstack
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from tqdm import tqdm

from clusterkeras.catalogue.comparison import match
from clusterkeras.catalogue.infer import infer
from clusterkeras.completeness.function import (
    FEATURES,
    FUNCTION_FILE,
    OUTCOMES,
    PLACE,
    Completeness,
    fit_completeness,
    load_completeness,
    place_feature,
)
from clusterkeras.completeness.plot import draw_completeness
from clusterkeras.config import CompletenessConfig, DetectionConfig, InferenceConfig
from clusterkeras.detection.candidates import detect
from data_tools.mocks.injected_mosaics import Injector
from data_tools.mosaics.mosaic import open_mosaics
from data_tools.positions.read_positions import read_positions
from data_tools.priors import Priors
from data_tools.running.output import check_directory
from data_tools.running.plain_files import sha256_of
from data_tools.running.table_file import write_table
from data_tools.running.work_directory import claimed
from data_tools.schema import FLAGS, PARAMETER_NAMES, PARAMETERS

if TYPE_CHECKING:
    from clusterkeras.network.posterior_model import PosteriorModel

__all__ = ["Completeness", "load_completeness", "measure_completeness"]

#: Files in the directory.
TABLE_FILE, PICTURE_FILE = "injected.ecsv", "completeness.png"
_SETTINGS_FILE, _ROUNDS = "settings.json", "rounds"
#: Side in pixels of the boxes of the map of scatter: that of a cutout.
STEP_PX = 64
#: Of the room that a mosaic has at the stated spacing, one round takes this share.
_ROOM = 0.35
#: Clusters of one round at most: they bound the memory, 200 kB each.
_PER_ROUND = 1000
#: Candidates within so many pixels of an injected cluster are inferred: as far as a
#: cluster of the box's largest size claims others as parts of it, and a little.
_NEIGHBOURHOOD_PX = 40.0


def measure_completeness(
    images: Sequence[str | Path],
    output: str | Path,
    model: PosteriorModel | str | Path,
    config: CompletenessConfig | None = None,
    detection: DetectionConfig | None = None,
    inference: InferenceConfig | None = None,
    catalogue: str | Path | None = None,
    priors: Priors | None = None,
    *,
    progress: bool = True,
) -> dict[str, Any]:
    """Put clusters of known parameters on mosaics and count those that are found.

    Round by round clusters drawn from the target's box are put at random places with
    data (`data_tools.mocks.injected_mosaics`), apart from each other and not on a
    cluster of the catalogue; the finder runs on the whole mosaic, the network on the
    candidates around them. A cluster is ``detected`` if a candidate is within
    `CompletenessConfig.match_px` of it, and ``recovered`` if a row is that counts as a
    cluster: ``p_cluster`` at the threshold or above, and no overlap.

    ``p_cluster`` is under the share of clusters of the user's own catalogue: clusters
    that were put there must not make clusters seem common. It comes from the
    catalogue's metadata, else from `InferenceConfig.cluster_share`, else from
    candidates and a catalogue that are made first, of the mosaics as they are.

    Each round is kept when it is finished, so that what was interrupted goes on, and
    more clusters can be added later; the same seed gives the same clusters.

    Parameters
    ----------
    images : sequence of str or Path
        One FITS mosaic a band, in the model's order.
    output : str or Path
        Directory. In it: ``injected.ecsv``, one row a cluster; ``completeness.png``;
        ``completeness.json``, the function that `load_completeness` gives; what was
        made on the way.
    model : PosteriorModel, str or Path
        The trained model, or what `clusterkeras.network.loading.load_model` loads it
        by.
    config : CompletenessConfig, optional
        Clusters, threshold, spacing, seed.
    detection, inference : DetectionConfig, InferenceConfig, optional
        As the catalogue was made with.
    catalogue : str or Path, optional
        The user's own; its share of clusters is kept.
    priors : Priors, optional
        Profiles of the clusters, and what they are seen through.
    progress : bool
        Whether to show a progress bar.

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
    """
    config = config or CompletenessConfig()
    detection, inference = (
        detection or DetectionConfig(),
        inference or InferenceConfig(),
    )
    priors, output = priors or Priors(), check_directory(output)
    given = None if catalogue is None else _read_catalogue(catalogue)
    name = str(model) if isinstance(model, str | Path) else model.name
    if isinstance(model, str | Path):
        from clusterkeras.network.loading import load_model

        model = load_model(model)
    target = model.target
    with ExitStack() as stack:
        mosaics = stack.enter_context(
            open_mosaics(images, target.band_names, target.pixel_scale_arcsec)
        )
        settings = {
            "images": [[Path(p).name, Path(p).stat().st_size] for p in images],
            "model": name,
            "target": target.to_dict(),
            "completeness": {**dataclasses.asdict(config), "n": None},
            "detection": dataclasses.asdict(detection),
            "inference": dataclasses.asdict(inference),
            "catalogue": None if catalogue is None else sha256_of(Path(catalogue)),
            "priors": dataclasses.asdict(priors),
        }
        stack.enter_context(claimed(output, _SETTINGS_FILE, settings))
        own = given
        if own is None:
            own = _make_catalogue(images, output, model, detection, inference, progress)
        share = own.meta.get("cluster_share", {}).get("here", inference.cluster_share)
        if not share:
            raise ValueError(
                f"{catalogue}: expected a catalogue whose metadata state cluster_share "
                "(not .csv); give --inference.cluster_share"
            )
        inference = dataclasses.replace(inference, cluster_share=float(share))
        x, y, taken = _taken(own, config.p_cluster)
        injector = Injector(target, priors, mosaics)
        scatter = injector.log_scatter(STEP_PX)
        rounds: list[QTable] = []
        with tqdm(
            total=config.n, desc="completeness", unit="cluster", disable=not progress
        ) as bar:
            while sum(map(len, rounds)) < config.n:
                path = output / _ROUNDS / f"{len(rounds):04d}.ecsv"
                if not path.is_file():
                    table = _round(
                        *(injector, len(rounds), np.column_stack([x, y])[taken]),
                        *(model, config, detection, inference),
                    )
                    table[PLACE] = place_feature(
                        table["x"], table["y"], scatter, STEP_PX
                    )
                    write_table(table, path)
                rounds.append(QTable.read(path))
                bar.update(len(rounds[-1]))
    table = vstack(rounds, metadata_conflicts="silent")
    about = {
        "model": name,
        "seed": config.seed,
        "p_cluster": config.p_cluster,
        "match_px": config.match_px,
        "cluster_share": inference.cluster_share,
        "images": [Path(p).name for p in images],
    }
    _describe(table, target.band_names)
    table.meta = about
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
    return {
        "n": len(table),
        **{o: float(np.mean(table[o])) for o in OUTCOMES},
        "cluster_share": inference.cluster_share,
        "held_out": checks,
    }


def _read_catalogue(path: str | Path) -> QTable:
    """Read the user's catalogue, or refuse a table that is none."""
    table = read_positions(path)
    missing = {"x", "y", "p_cluster", "flags"} - set(table.colnames)
    if missing:
        raise ValueError(
            f"{path}: expected a catalogue that `clusterkeras infer` wrote; it has no "
            f"column {', '.join(sorted(missing))}. Leave --catalogue out to have one "
            "made"
        )
    return table


def _make_catalogue(
    images: Sequence[str | Path],
    output: Path,
    model: PosteriorModel,
    detection: DetectionConfig,
    inference: InferenceConfig,
    progress: bool,
) -> QTable:
    """Make a catalogue of the mosaics as they are, or read the one that is there."""
    candidates, path = output / "candidates.ecsv", output / "catalogue.ecsv"
    if not path.is_file():
        detect(images, candidates, model, detection, progress=progress)
        infer(images, candidates, path, model, inference, progress=progress)
    return read_positions(path)


def _taken(
    table: QTable, p_cluster: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return place of each row, and whether it counts as a cluster."""
    x, y, p = (
        np.ma.filled(np.ma.asarray(getattr(table[k], "value", table[k]), float), np.nan)
        for k in ("x", "y", "p_cluster")
    )
    overlap = np.asarray(table["flags"]).astype(int) & FLAGS["overlap"][0]
    return x, y, (p >= p_cluster) & (overlap == 0) & np.isfinite(x) & np.isfinite(y)


def _round(
    injector: Injector,
    number: int,
    avoid: NDArray[np.float64],
    model: PosteriorModel,
    config: CompletenessConfig,
    detection: DetectionConfig,
    inference: InferenceConfig,
) -> QTable:
    """Inject, find and match the clusters of one round."""
    rng = np.random.default_rng([config.seed, number])
    rows, columns = injector.mosaics.shape
    room = int(_ROOM * rows * columns / config.spacing_px**2)
    places = injector.places(
        min(max(room, 1), _PER_ROUND), config.spacing_px, avoid, config.match_px, rng
    )
    if not len(places):
        raise ValueError(
            f"{injector.mosaics.paths[0]}: no place with data is {config.match_px} px "
            "from every cluster of the catalogue; is it of these mosaics?"
        )
    parameters = injector.draw_parameters(len(places), rng)
    injected = injector.inject(places, parameters, rng)
    table = QTable({"round": np.full(len(places), number)})
    table["x"], table["y"] = places.T
    for name, values in zip(PARAMETER_NAMES, parameters.T, strict=True):
        table[name] = values
    table["log_snr"] = injected.log_snr
    for band, values in zip(
        injector.target.band_names, injected.magnitude.T, strict=True
    ):
        table[f"mag_{band}"] = values

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "candidates.ecsv"
        found = detect(injected.mosaics, path, model, detection, progress=False)
        there = np.column_stack([found["x"].value, found["y"].value])
        near, _ = cKDTree(places).query(there) if len(there) else (np.empty(0), None)
        found = found[near <= _NEIGHBOURHOOD_PX]
        write_table(found, path)
        rows = infer(
            injected.mosaics,
            path,
            Path(directory) / "catalogue.ecsv",
            model,
            # the candidates' own pixels are 0-based, whatever the user's positions are
            dataclasses.replace(inference, origin=0),
            progress=False,
        )
    return _matched(table, rows, config)


def _matched(table: QTable, rows: QTable, config: CompletenessConfig) -> QTable:
    """Add what was found of each injected cluster."""
    x, y, taken = _taken(rows, config.p_cluster)
    n = len(table)
    true = np.asarray(table["x"]), np.asarray(table["y"])
    columns: dict[str, NDArray] = {name: np.zeros(n, bool) for name in OUTCOMES}
    row_of = np.full(n, -1)
    # a row that counts as a cluster goes before a nearer one that does not
    for outcome, chosen in (("detected", np.ones(len(x), bool)), ("recovered", taken)):
        among = np.flatnonzero(chosen)
        row, cluster = match(x[among], y[among], *true, config.match_px)
        columns[outcome][cluster] = True
        row_of[cluster] = among[row]
    for name, values in columns.items():
        table[name] = values
    known = row_of >= 0
    table["distance"] = np.full(n, np.nan)
    table["distance"][known] = np.hypot(
        x[row_of[known]] - true[0][known], y[row_of[known]] - true[1][known]
    )
    named = {"p_cluster": "p_cluster", "log_snr": "found_log_snr"}
    for name in PARAMETER_NAMES:
        named |= {
            f"{name}_{part}": f"{name}_{part}" for part in ("median", "p16", "p84")
        }
    for name, new in named.items():
        values = np.full(n, np.nan)
        column = getattr(rows[name], "value", rows[name])
        values[known] = np.asarray(column, float)[row_of[known]]
        table[new] = values
    table["flags"] = np.zeros(n, np.int32)
    table["flags"][known] = np.asarray(rows["flags"])[row_of[known]]
    return table


def _describe(table: QTable, bands: Sequence[str]) -> None:
    """Return each column its unit, where one helps, and its description."""
    words = {
        "round": "number of the round it was injected in",
        "x": "column of the centre in pixels; the first pixel is 0",
        "y": "row of the centre in pixels; the first pixel is 0",
        "log_snr": "true visibility: log10 S/N on the mosaic there",
        PLACE: "log10 of the scatter of the pixels there in nJy, mean of the bands",
        "detected": "whether a candidate is there",
        "recovered": "whether a row is there that counts as a cluster",
        "distance": "from the row to the centre in pixels",
        "p_cluster": "probability of a cluster of the row",
        "found_log_snr": "visibility that the network states, dex",
        "flags": "of the row; see data_tools.schema.FLAGS",
    }
    words |= {f"mag_{band}": f"AB magnitude in {band}, true" for band in bands}
    for p in PARAMETERS:
        words[p.name] = f"true {p.description} [{p.unit}]"
        for part in ("median", "p16", "p84"):
            words[f"{p.name}_{part}"] = f"{part} of the row's {p.description}"
    for name in table.colnames:
        table[name].info.description = words[name]
