"""Positions and mosaics in, a catalogue of posteriors out."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table
from numpy.typing import NDArray
from tqdm import tqdm

from clusterkeras import __version__
from clusterkeras.config import InferenceConfig
from clusterkeras.overlap import overlapping
from clusterkeras.presence import at_share, estimate_share
from clusterkeras.table_output import check_table_path, write_table
from data_tools.mosaic import Cutout, Mosaics, open_mosaics
from data_tools.positions import pixel_positions, read_positions
from data_tools.schema import FLAGS, PARAMETERS, SCHEMA_VERSION
from data_tools.target import Target

if TYPE_CHECKING:
    from clusterkeras.model import ClusterModel

#: The posterior leans on an edge of the training range if this share of its draws ...
EDGE_SHARE = 0.2
#: ... lies within this fraction of the range from it.
EDGE_WIDTH = 0.02

#: Edges that are physical, not the end of the training: no extinction is none.
_PHYSICAL_EDGES = {("a_v", "low")}

#: 16, 50 and 84 %: what lies one standard deviation about a Gaussian's middle.
_QUANTILES = (0.15865525, 0.5, 0.84134475)

#: Columns of the summary of a parameter: name, what it is.
_STATISTICS = {
    "median": "median of",
    "p16": "16th percentile of",
    "p84": "84th percentile of",
    "mean": "mean of",
    "std": "standard deviation of",
}


def infer(
    images: Sequence[str | Path],
    positions: str | Path,
    output: str | Path,
    model: ClusterModel | str | Path,
    config: InferenceConfig | None = None,
    preview: str | Path | None = None,
    *,
    progress: bool = True,
) -> QTable:
    """Give the joint posterior at each position on the mosaics and write the table.

    Parameters
    ----------
    images : sequence of str or Path
        One FITS mosaic a band, in the model's order.
    positions : str or Path
        Table with columns ``x`` and ``y`` in pixels, or ``ra`` and ``dec`` in deg;
        see `data_tools.positions`.
    output : str or Path
        The catalogue: ``.ecsv``, ``.fits``, ``.vot``, ``.xml``, ``.parquet`` or
        (without metadata) ``.csv``.
    model : ClusterModel, str or Path
        The trained model, or what `clusterkeras.presets.load_model` loads it by.
    config : InferenceConfig, optional
        Draws, seed and limits of the flags.
    preview : str or Path, optional
        Picture of the cutouts that are most likely clusters; see
        `clusterkeras.preview`.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    QTable
        One row per row of `positions`, in its order, with its columns (prefixed
        ``input_`` where a result has the same name and other values): place,
        ``p_cluster``, ``log_snr``, percentiles, mean and standard deviation of each
        parameter, their covariances and bit `flags`. A row without data has NaN and a
        flag. ``p_cluster`` is under `InferenceConfig.cluster_share`, not under the
        share of clusters in the training set; see `clusterkeras.presence`.

    Raises
    ------
    FileNotFoundError
        If a mosaic, the table or the model is missing.
    ValueError
        If a mosaic or the table cannot be used, or the output has no known format.
    """
    config = config or InferenceConfig()
    output = check_table_path(output)
    if preview is not None:
        from clusterkeras.preview import check_preview_path, draw_preview

        check_preview_path(preview)
    table = read_positions(positions)
    name = str(model) if isinstance(model, str | Path) else model.name
    if isinstance(model, str | Path):
        from clusterkeras.presets import load_model

        model = load_model(model)
    target = model.target
    with open_mosaics(images, target.band_names, target.pixel_scale_arcsec) as mosaics:
        x, y = pixel_positions(table, mosaics.wcs, config.origin, str(positions))
        columns = _posteriors(mosaics, x, y, model, config, progress)
        share = _settle_presence(columns, x, y, model, config)
        catalogue = _as_table(x, y, mosaics, columns, target, config)
        catalogue = _with_input(table, catalogue)
        catalogue.meta = _metadata(mosaics, model, name, config)
        catalogue.meta["positions"] = Path(positions).name
        catalogue.meta["cluster_share"] = {
            "trained": model.cluster_share,
            "here": round(share, 6),
        }
        write_table(catalogue, output)
        if preview is not None:
            draw_preview(catalogue, mosaics, preview, px=target.cutout_px)
    return catalogue


def _posteriors(
    mosaics: Mosaics,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    model: ClusterModel,
    config: InferenceConfig,
    progress: bool,
) -> dict[str, NDArray]:
    """Stream the cutouts through the network; arrays with one row per position."""
    target = model.target
    limits = mosaics.pixel_limits(
        config.saturation_electrons, [band.n_exposures for band in target.bands]
    )
    step = _compiled(model, config.draws)
    n = len(x)
    columns: dict[str, NDArray] = {"flags": np.zeros(n, dtype=np.int32)}
    columns["covered"] = np.zeros(n, dtype=np.float32)
    results = {"p_cluster": (), "log_snr": (), "log_snr_std": (), "unlike_mocks": ()}
    for key in _STATISTICS:
        results[key] = (len(PARAMETERS),)
    results["covariance"] = (len(PARAMETERS), len(PARAMETERS))
    for key, shape in results.items():
        columns[key] = np.full((n, *shape), np.nan, dtype=np.float32)

    # in the order of the rows of the mosaic, so that each part of it is read once
    order = np.argsort(y, kind="stable")
    with tqdm(total=n, desc="infer", unit="pos", disable=not progress) as bar:
        for first in range(0, n, config.batch_size):
            rows = order[first : first + config.batch_size]
            cutouts = [
                mosaics.cutout(x[i], y[i], target.cutout_px, limits) for i in rows
            ]
            columns["covered"][rows] = [c.covered for c in cutouts]
            columns["flags"][rows] = [_cutout_flags(c) for c in cutouts]
            good = [k for k, c in enumerate(cutouts) if c.usable]
            if good:
                images = np.stack([cutouts[k].filled() for k in good])
                seeds = [_seed(cutouts[k], config.seed) for k in good]
                outputs = step(images, np.array(seeds, dtype=np.int32))
                where = rows[good]
                *heads, draws = (np.asarray(output) for output in outputs)
                for key, values in zip(results, heads, strict=False):
                    columns[key][where] = values
                for key, values in _summary(draws).items():
                    columns[key][where] = values
                columns["flags"][where] |= result_flags(
                    heads[1], heads[3], draws, target, config
                )
            bar.update(len(rows))
    return columns


def _settle_presence(
    columns: dict[str, NDArray],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    model: ClusterModel,
    config: InferenceConfig,
) -> float:
    """Bring ``p_cluster`` to the share of clusters at hand and flag overlaps.

    The share is that of rows that are no overlaps, which can only be told once there
    is a share: so it is settled in two rounds.
    """
    trained, share = columns["p_cluster"], config.cluster_share
    size = [p.name for p in PARAMETERS].index("log_half_light_radius")
    radius = 10.0 ** columns["median"][:, size] / model.target.pixel_scale_arcsec
    overlap = np.zeros(len(trained), bool)
    for _ in range(2):
        if config.cluster_share is None:
            share = estimate_share(trained[~overlap], model.cluster_share)
        columns["p_cluster"] = at_share(trained, model.cluster_share, share)
        overlap = overlapping(x, y, columns["p_cluster"], radius)
    columns["flags"][overlap] |= FLAGS["overlap"][0]
    return share


@functools.lru_cache(maxsize=1)
def _compiled(model: ClusterModel, n_draws: int) -> Callable[..., Any]:
    """Give the network and the draws as one compiled function."""
    import tensorflow as tf

    px, bands = model.target.cutout_px, len(model.target.bands)

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, px, px, bands), tf.float32),
            tf.TensorSpec((None,), tf.int32),
        ]
    )
    def step(images, seeds):
        raw = model(images, training=False)
        visibility = model.visibility(raw["visibility"])
        return (
            tf.sigmoid(raw["presence"][:, 0]),
            visibility.mean(),
            visibility.stddev(),
            model.unlike_mocks(images, raw["features"]),
            model.draw_from(raw["posterior"], seeds, n_draws),
        )

    return step


def _seed(cutout: Cutout, seed: int) -> int:
    """Give a seed of the place alone: no other row, nor their order, changes a row."""
    key = struct.pack("<qqq", seed, cutout.x0, cutout.y0)
    return zlib.crc32(key) & 0x7FFFFFFF


def _summary(draws: NDArray[np.float32]) -> dict[str, NDArray]:
    """Give percentiles, mean, deviation (B, P) and covariance (B, P, P) of draws."""
    p16, median, p84 = np.quantile(draws, _QUANTILES, axis=1)
    mean = draws.mean(axis=1)
    offset = draws - mean[:, None]
    covariance = offset.transpose(0, 2, 1) @ offset / (draws.shape[1] - 1)
    return {
        "median": median,
        "p16": p16,
        "p84": p84,
        "mean": mean,
        "std": np.sqrt(np.einsum("bii->bi", covariance)),
        "covariance": covariance,
    }


def _cutout_flags(cutout: Cutout) -> int:
    """Give the flags that the image alone decides."""
    said = {
        "edge": cutout.edge,
        "missing": cutout.covered < 1,
        "saturated": cutout.saturated,
        "no_data": not cutout.usable,
    }
    return sum(FLAGS[name][0] for name, is_so in said.items() if is_so)


def result_flags(
    log_snr: NDArray[np.float32],
    unlike_mocks: NDArray[np.float32],
    draws: NDArray[np.float32],
    target: Target,
    config: InferenceConfig,
) -> NDArray[np.int32]:
    """Give the flags that the network's answer decides.

    ``outside_training``: at least `EDGE_SHARE` of the draws lie within `EDGE_WIDTH`
    of the box's width from one of its edges, the edge at no extinction excepted.
    ``below_visibility``: the visibility is below the limit. ``unlike_mocks``: no more
    than the stated share of the mocks are further out.

    Parameters
    ----------
    log_snr : ndarray, shape (B,)
        Visibility in dex.
    unlike_mocks : ndarray, shape (B,)
        log10 of the share of the mocks that are further out; NaN for a model that
        cannot tell.
    draws : ndarray, shape (B, n, P)
        Draws of the posterior in the parameters' own units.
    target : Target
        Gives the box.
    config : InferenceConfig
        Gives the limits.

    Returns
    -------
    ndarray of int32, shape (B,)
        Sums of bits of `data_tools.schema.FLAGS`.
    """
    leans = np.zeros(len(draws), dtype=bool)
    for i, parameter in enumerate(PARAMETERS):
        low, high = target.box[parameter.name]
        width = EDGE_WIDTH * (high - low)
        near = {
            "low": draws[..., i] < low + width,
            "high": draws[..., i] > high - width,
        }
        for edge, inside in near.items():
            if (parameter.name, edge) not in _PHYSICAL_EDGES:
                leans |= inside.mean(axis=1) >= EDGE_SHARE
    flags = np.where(leans, FLAGS["outside_training"][0], 0)
    flags |= np.where(log_snr < config.min_log_snr, FLAGS["below_visibility"][0], 0)
    unlike = 10.0**unlike_mocks < config.unlike_share
    flags |= np.where(unlike, FLAGS["unlike_mocks"][0], 0)
    return flags.astype(np.int32)


def _spread_unit(unit: str) -> u.UnitBase:
    """Give the unit of a difference: two logarithms differ by dex."""
    return u.dex if unit.startswith("dex(") else u.Unit(unit)


def _as_table(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    mosaics: Mosaics,
    columns: dict[str, NDArray],
    target: Target,
    config: InferenceConfig,
) -> QTable:
    """Name the columns and give each its unit and description."""
    table = QTable()

    def add(name: str, values: NDArray, unit: Any, description: str) -> None:
        table[name] = values if unit is None else u.Quantity(values, unit, subok=True)
        table[name].info.description = description

    ra, dec = np.full((2, len(x)), np.nan)
    known = np.isfinite(x) & np.isfinite(y)
    if known.any():
        ra[known], dec[known] = mosaics.wcs.all_pix2world(x[known], y[known], 0)
    add("x", x, u.pix, "column of the position; the first pixel is 0")
    add("y", y, u.pix, "row of the position; the first pixel is 0")
    add("ra", ra, u.deg, "right ascension, ICRS as in the mosaic's header")
    add("dec", dec, u.deg, "declination, ICRS as in the mosaic's header")
    add(
        "covered",
        columns["covered"],
        None,
        "share of the cutout's pixels with data in all bands",
    )
    add("p_cluster", columns["p_cluster"], None, "probability that it is a cluster")
    visibility = "visibility, log10 S/N of the object"
    add("log_snr", columns["log_snr"], u.dex, f"mean of the {visibility}")
    add(
        "log_snr_std",
        columns["log_snr_std"],
        u.dex,
        f"standard deviation of the {visibility}",
    )
    add(
        "unlike_mocks",
        columns["unlike_mocks"],
        None,
        "log10 of the share of the training's mocks that are further out",
    )
    for i, p in enumerate(PARAMETERS):
        for key, words in _STATISTICS.items():
            unit = _spread_unit(p.unit) if key == "std" else u.Unit(p.unit)
            values = columns[key][:, i]
            add(f"{p.name}_{key}", values, unit, f"{words} the {p.description}")
    for i, a in enumerate(PARAMETERS):
        for j, b in enumerate(PARAMETERS[:i]):
            unit = _spread_unit(b.unit) * _spread_unit(a.unit)
            add(
                f"cov_{b.name}_{a.name}",
                columns["covariance"][:, j, i],
                unit,
                f"covariance of {b.name} and {a.name}",
            )
    bits = "; ".join(f"{bit}: {words}" for bit, words in FLAGS.values())
    add("flags", columns["flags"], None, f"sum of bits, 0 if none. {bits}")
    return table


def _with_input(given: Table, results: QTable) -> QTable:
    """Put the columns that were given before the results."""
    table = QTable()
    for name in given.colnames:
        if name not in results.colnames:
            table[name] = given[name]
        elif not _same(given[name], results[name]):
            table[f"input_{name}"] = given[name]
    for name in results.colnames:
        table[name] = results[name]
    return table


def _same(a: Any, b: Any) -> bool:
    a, b = (np.ma.asarray(getattr(c, "value", c)) for c in (a, b))
    return a.dtype.kind in "if" and np.array_equal(a.filled(0), b.filled(0))


def _metadata(
    mosaics: Mosaics, model: ClusterModel, name: str, config: InferenceConfig
) -> dict[str, Any]:
    """Say what made the catalogue."""
    import keras
    import tensorflow as tf

    settings = dataclasses.asdict(config)
    text = json.dumps([model.get_config(), settings], sort_keys=True, default=str)
    return {
        "model": name,
        "target": model.target.to_dict(),
        "configuration": settings,
        "configuration_hash": hashlib.sha256(text.encode()).hexdigest()[:16],
        "clusterkeras": __version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "schema_version": SCHEMA_VERSION,
        "images": [path.name for path in mosaics.paths],
        "zero_points_ab": {
            band: round(calibration.zero_point, 5)
            for band, calibration in zip(
                mosaics.bands, mosaics.calibrations, strict=True
            )
        },
        "flags": {key: list(value) for key, value in FLAGS.items()},
    }
