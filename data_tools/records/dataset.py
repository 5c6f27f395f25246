"""The training input: a mock set read as batches."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from data_tools.records.finished_set import read_set
from data_tools.records.shard_file import AGAIN, check_shard
from data_tools.schema import (
    FEATURES,
    KINDS,
    PIXEL_UNIT_NJY,
    STELLAR_MODELS,
    TRAIT_NAMES,
)
from data_tools.target import Target

#: Shards read at once and records held while shuffling: neighbours in a shard share
#: their field, and a batch should not. 4096 of 64x64x3 with partners are 400 MB.
_SHARDS_AT_ONCE = 32
_SHUFFLE_RECORDS = 4096
#: Neighbours in a shard among which backgrounds change places.
_PARTNERS = 64

#: Standard deviation of the natural logarithm of a PSF's width as it is measured, on
#: some stars of a mosaic.
_MEASURED_WIDTH = 0.03
#: Share of the bands of which a width, or an exposure, is told where those of a record
#: are told at all.
_KNOWN_OF_BAND = 0.85

#: Features that belong to the background and follow it into a new pair.
_OF_BACKGROUND = (
    "background",
    "electron_njy",
    "background_variance",
    "noise_shift_px",
    "psf_fwhm_px",
    "field_traits",
    "field_id",
)


def parse(serialised: tf.Tensor, px: int, bands: int) -> dict[str, tf.Tensor]:
    """Decode a batch of records.

    Parameters
    ----------
    serialised : (B,) string tensor
        Records as `data_tools.records.shard_file.serialise` encodes them.
    px, bands : int
        Side of the cutout and number of bands.

    Returns
    -------
    dict of str to tensor
        Every feature, batch first; images (B, px * px * bands) still as strings of
        raw float16, see `decode_image`.
    """
    dtypes = {"float16": tf.string, "float32": tf.float32, "int64": tf.int64}
    spec = {}
    for f in FEATURES:
        shape = () if f.dtype == "float16" else f.sizes(px, bands)
        spec[f.name] = tf.io.FixedLenFeature(shape, dtypes[f.dtype])
    return tf.io.parse_example(serialised, spec)


def decode_image(raw: tf.Tensor, px: int, bands: int) -> tf.Tensor:
    """Turn (B,) strings of float16 into float32 images (B, px, px * bands) in nJy.

    A row of the image keeps all its bands on one axis: TensorFlow works on a short
    last axis several times slower.
    """
    rows = tf.reshape(tf.io.decode_raw(raw, tf.float16), (-1, px, px * bands))
    return tf.cast(rows, tf.float32) * PIXEL_UNIT_NJY


def crowding(
    background_variance: tf.Tensor, electron_njy: tf.Tensor, target: Target
) -> tf.Tensor:
    """Return how much rougher backgrounds are than empty sky of the same exposure.

    Parameters
    ----------
    background_variance : (B, bands) tensor
        Variance per pixel of the background, nJy2.
    electron_njy : (B, bands) tensor
        Flux of one electron over its exposure, nJy.
    target : Target
        Whose sky and read-out noise are those of the empty sky.

    Returns
    -------
    (B,) tensor
        log10 of the scatter over that of sky and read-out, both root mean squares over
        the bands in units of the latter: 0 for empty sky, 1 where stars that are not
        told apart make it ten times as rough.
    """
    sky = [b.sky_electrons_s * b.exposure_s * b.electron_njy for b in target.bands]
    reads = [b.n_exposures * target.read_noise_electrons**2 for b in target.bands]
    empty = electron_njy * (tf.constant(sky) + electron_njy * tf.constant(reads))
    ratio = tf.reduce_mean(background_variance / empty, axis=1)
    return tf.math.log(ratio) * (0.5 / math.log(10))


def _fresh_noise(shape: tuple[tf.Tensor, int, int], seed: tf.Tensor) -> tf.Tensor:
    """Draw unit Gaussian noise for a batch of images (B, rows, columns).

    Deviates cost as much as all the rest of the input, so a batch draws an eighth and
    each image takes them from another row on: independent within an image, though
    not between the images of a batch.
    """
    count, rows, columns = shape
    drawn = (count // 8 + 1) * rows
    noise = tf.random.stateless_normal((drawn, columns), seed)
    first = tf.random.stateless_uniform((count, 1), seed + 1, 0, drawn, tf.int32)
    return tf.gather(noise, (first + tf.range(rows)) % drawn)


def _own_noise(
    mock_id: tf.Tensor, shape: tuple[tf.Tensor, int, int], seed: int
) -> tf.Tensor:
    """Draw unit Gaussian noise that depends on the seed and each record's number."""
    return tf.map_fn(
        lambda number: tf.random.stateless_normal(shape[1:], (seed, number)),
        mock_id,
        fn_output_signature=tf.float32,
    )


def _drizzled(noise: tf.Tensor, shift: tf.Tensor, bands: int) -> tf.Tensor:
    """Correlate noise (B, rows, px * bands) as `observation.drizzled` does."""
    noise = (1 - shift) * noise + shift * tf.roll(noise, 1, 1)
    return (1 - shift) * noise + shift * tf.roll(noise, bands, 2)


def _filled(images: tf.Tensor, bands: int) -> tf.Tensor:
    """Fill pixels without data of images (B, px, px * bands), as `Cutout.filled` does.

    Few images have any, and only these are looked at closely.
    """
    missing = tf.reduce_any(tf.math.is_nan(images), axis=(1, 2))
    which = tf.where(missing)
    px = images.shape[1]
    some = tf.reshape(tf.gather(images, which[:, 0]), (-1, px * px, bands))
    gap = tf.math.is_nan(some)
    # what is no data stands last
    ordered = tf.sort(tf.transpose(tf.where(gap, math.inf, some), (0, 2, 1)))
    n = tf.reduce_sum(tf.cast(~gap, tf.int32), axis=1)
    middle = tf.maximum(tf.stack([n - 1, n], axis=-1) // 2, 0)
    median = tf.reduce_mean(tf.gather(ordered, middle, batch_dims=2), axis=-1)
    some = tf.where(gap, tf.where(n > 0, median, 0)[:, None], some)
    some = tf.reshape(some, (-1, px, px * bands))
    return tf.tensor_scatter_nd_update(images, which, some)


def _orientations(px: int) -> np.ndarray:
    """Return the eight orientations of a square as (8, px * px) indices of pixels."""
    square = np.arange(px * px, dtype=np.int32).reshape(px, px)
    turned = [np.rot90(s, k) for s in (square, square.T) for k in range(4)]
    return np.stack([t.ravel() for t in turned])


def _turned(images: tf.Tensor, px: int, seed: tf.Tensor) -> tf.Tensor:
    """Flip and turn each image (B, px * px, bands), at random."""
    orientations = tf.constant(_orientations(px))
    chosen = tf.random.stateless_uniform((tf.shape(images)[0],), seed, 0, 8, tf.int32)
    return tf.gather(images, tf.gather(orientations, chosen), batch_dims=1)


def _with_partners(serialised: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Give each of some neighbouring records of a shard another of them, at random."""
    count = tf.size(serialised)
    step = 1 + tf.cast(seed, tf.int32) % tf.maximum(count - 1, 1)
    return serialised, tf.roll(serialised, -step, 0)


def _on_background_of(
    record: dict[str, tf.Tensor], partner: dict[str, tf.Tensor]
) -> dict[str, tf.Tensor]:
    """Put each cluster on its partner's background, if that is of the same field.

    A peak is the middle of its own background, and no place for a cluster; an
    association that a cluster was born in stays with it.
    """
    stays = record["field_id"] != partner["field_id"]
    for one in (record, partner):
        stays |= one["kind"] == KINDS.index("field_peak")
        stays |= tf.math.is_finite(one["traits"][:, TRAIT_NAMES.index("host_log_mass")])
    moved = {
        name: tf.where(
            tf.reshape(stays, (-1, *[1] * (record[name].shape.rank - 1))),
            record[name],
            partner[name],
        )
        for name in _OF_BACKGROUND
    }
    return {**record, **moved}


def _labels(record: dict[str, tf.Tensor], target: Target) -> dict[str, tf.Tensor]:
    """Return what `make_dataset` gives beside the images."""
    middle = tf.constant([0.5 * (a + b) for a, b in target.box.values()])
    log_snr = record["log_snr"]
    has_object = tf.math.is_finite(log_snr)
    is_cluster = record["is_cluster"] == 1
    return {
        "parameters": tf.where(is_cluster[:, None], record["parameters"], middle),
        "is_cluster": tf.cast(is_cluster, tf.float32),
        "log_snr": tf.where(has_object, log_snr, 0.0),
        "has_object": tf.cast(has_object, tf.float32),
        "crowding": crowding(
            record["background_variance"], record["electron_njy"], target
        ),
        "kind": record["kind"],
        "mock_id": record["mock_id"],
        "field_id": record["field_id"],
    }


def _context(
    record: dict[str, tf.Tensor], target: Target, seed: tf.Tensor | None
) -> dict[str, tf.Tensor]:
    """Return what `make_dataset` tells of images beside their pixels.

    A look-alike has a stellar model by chance: that one is known must not tell what
    it is.
    """
    per_second = tf.constant([b.njy_per_electron_s for b in target.bands], tf.float32)
    width, exposure = record["psf_fwhm_px"], per_second / record["electron_njy"]
    rows = tf.shape(width)[0]
    if seed is None:
        model = tf.fill((rows,), -1)
    else:
        seeds = tf.unstack(tf.random.split(seed, 4))
        known = tf.random.stateless_uniform((rows, 3), seeds[0]) < 0.5
        # of one band there may be too few stars
        shape = (rows, len(target.bands), 2)
        of_band = tf.random.stateless_uniform(shape, seeds[3]) < _KNOWN_OF_BAND
        error = tf.random.stateless_normal(tf.shape(width), seeds[1])
        width *= tf.exp(_MEASURED_WIDTH * error)
        width = tf.where(known[:, :1] & of_band[..., 0], width, math.nan)
        exposure = tf.where(known[:, 1:2] & of_band[..., 1], exposure, math.nan)
        own = record["traits"][:, TRAIT_NAMES.index("stellar_model")]
        any_model = tf.random.stateless_uniform(
            (rows,), seeds[2], 0, len(STELLAR_MODELS), tf.int32
        )
        own = tf.where(tf.math.is_finite(own), tf.cast(own, tf.int32), any_model)
        model = tf.where(known[:, 2], own, -1)
    return {"psf_fwhm_px": width, "exposure_s": exposure, "stellar_model": model}


def _batch(
    serialised: tuple[tf.Tensor, ...],
    seeds: tf.Tensor,
    target: Target,
    training: bool,
    context: bool,
    seed: int,
) -> tuple[Any, dict[str, tf.Tensor]]:
    """Make images and labels of a batch of records; see `make_dataset`."""
    px, bands = target.cutout_px, len(target.bands)
    count = tf.size(serialised[0])
    record = parse(serialised[0], px, bands)
    if training:
        record = _on_background_of(record, parse(serialised[1], px, bands))
        noise = _fresh_noise((count, px, px * bands), seeds[0:2])
    else:
        noise = _own_noise(record["mock_id"], (count, px, px * bands), seed)
    cluster = decode_image(record["cluster"], px, bands)
    # each feature of a band beside the pixels of a row
    electron, shift = (
        tf.tile(record[name], (1, px))[:, None]
        for name in ("electron_njy", "noise_shift_px")
    )
    photon_variance = tf.nn.relu(cluster) * electron
    noise = _drizzled(tf.sqrt(photon_variance) * noise, shift, bands)
    images = decode_image(record["background"], px, bands) + cluster + noise
    images = _filled(images, bands)
    if training:
        images = _turned(tf.reshape(images, (-1, px * px, bands)), px, seeds[2:4])
    inputs = tf.reshape(images, (-1, px, px, bands))
    if context:
        told = _context(record, target, seeds[4:6] if training else None)
        inputs = {"images": inputs, **told}
    return inputs, _labels(record, target)


def _name_damage(path: bytes) -> bytes:
    """Say which record of a shard is cut or damaged."""
    check_shard(Path(path.decode()))
    raise ValueError(f"{path.decode()}: it has changed while it was read. {AGAIN}")


@contextmanager
def damage_named() -> Iterator[None]:
    """Raise what a dataset of `make_dataset` says of a damaged record in plain words.

    Raises
    ------
    ValueError
        In place of the `tf.errors.InvalidArgumentError` in whose many lines TensorFlow
        wraps the file, the record and what to do.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        said = re.search(f"ValueError: (.*{re.escape(AGAIN)})", str(error))
        if not said:
            raise
        raise ValueError(said[1]) from error


def _records(path: tf.Tensor, count: tf.Tensor) -> tf.data.Dataset:
    """Read a shard's first records; an error names the file and the record.

    TensorFlow compares each record's checksum, but its error names neither. So its
    errors only end the records early, and what comes after them says why.
    """
    early_end = tf.data.Dataset.from_tensors(path).map(
        lambda path: tf.ensure_shape(
            tf.numpy_function(_name_damage, [path], tf.string), ()
        )
    )
    return (
        tf.data.TFRecordDataset(path).ignore_errors().concatenate(early_end).take(count)
    )


def _serialised(
    shards: Sequence[tuple[Path, int]], total: int, shuffled: bool, seed: int
) -> tf.data.Dataset:
    """Read the first records of a split, in their order or shuffled anew each time.

    Shuffled, each comes with a neighbour of its shard, another one each time.
    """
    paths, counts = zip(*shards, strict=True)
    before = np.cumsum((0, *counts[:-1]))
    counts = np.clip(total - before, 0, counts)
    used = counts > 0
    files = tf.data.Dataset.from_tensor_slices(
        (np.array([str(p) for p in paths])[used], counts[used])
    )
    if not shuffled:
        return files.interleave(_records, cycle_length=1).map(lambda one: (one,))
    groups = files.shuffle(int(used.sum()), seed).interleave(
        lambda path, count: _records(path, count).batch(_PARTNERS),
        cycle_length=_SHARDS_AT_ONCE,
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    steps = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
    return (
        tf.data.Dataset.zip(groups, steps)
        .map(_with_partners)
        .unbatch()
        .shuffle(_SHUFFLE_RECORDS, seed)
    )


def make_dataset(
    directory: str | Path,
    split: str,
    batch_size: int,
    *,
    training: bool,
    context: bool = False,
    seed: int = 0,
    limit: int | None = None,
) -> tf.data.Dataset:
    """Read a split of a mock set as batches of images and labels; one epoch.

    For training, records are shuffled, each cluster is put on the background of
    another record of its field, flipped and turned, all anew in each epoch: the image
    keeps one PSF, one zero point, one exposure. A peak of a field, and a cluster in the
    association that it was born in, stay where they are, and whoever would take its
    place too. Otherwise order, pair and orientation are the records' own. In both the
    cluster brings its photon noise, Gaussian with the variance ``max(c, 0) *
    electron_njy`` of the background's exposure and correlated as the background's
    noise: from `seed` and the epoch in training, else from `seed` and ``mock_id``, so
    that each record always looks the same.

    Parameters
    ----------
    directory : str or Path
        Output of `data_tools.records.simulate.simulate`.
    split : {"train", "validation", "test"}
        Which part of it.
    batch_size : int
        Records a batch; the last one may be smaller.
    training : bool
        See above.
    context : bool
        Whether to tell what may be known beside the pixels, as a mosaic tells it: the
        PSF's width and the exposure, and in training the stellar model. There each of
        the three is unknown for half of the records, widths and exposures also for one
        band in seven of the others, and widths are as if measured, to 3 %.
    seed : int
        Seed of order, pairs, noise and orientation.
    limit : int, optional
        Use the first so many records of the split.

    Returns
    -------
    tf.data.Dataset
        Of ``images`` (B, px, px, bands) float32 in nJy, with `context` a dictionary of
        them and `data_tools.schema.CONTEXT`, and a dictionary of labels,
        (B,) each: ``parameters`` (B, 4) float32 (the middle of the box where there is
        no cluster), ``is_cluster`` float32, ``log_snr`` float32 (0 where there is no
        object), ``has_object`` float32, ``crowding`` float32 (see `crowding`),
        ``kind``, ``mock_id`` and ``field_id`` int64.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_set`, and for an unknown split or a bad size.
    tf.errors.InvalidArgumentError
        While it is read, at a record that is damaged by its checksum; the message
        names the file and the record's number, from 0. See `damage_named`.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from data_tools import MockSet, Priors, Target, make_dataset, simulate
    >>> target, priors = Target.load("m83-wfc3-uvis"), Priors(field_px=128)
    >>> mocks = MockSet(n_train=4, n_validation=0, n_test=0)
    >>> with TemporaryDirectory() as directory:
    ...     path = simulate(directory, target, priors, mocks, workers=1, progress=False)
    ...     for images, labels in make_dataset(path, "train", 4, training=True):
    ...         print(images.shape, labels["parameters"].shape)
    (4, 64, 64, 3) (4, 4)
    """
    for name, value in (("batch_size", batch_size), ("limit", limit)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be >= 1; received {value}")
    info = read_set(directory)
    if split not in info.splits:
        raise ValueError(
            f"{directory}: split must be one of {sorted(info.splits)}; received "
            f"{split!r}. Take one of these, or a set that was simulated with it "
            "(--mocks.n_validation, --mocks.n_test)"
        )
    make_batch = partial(
        _batch, target=info.target, training=training, context=context, seed=seed
    )
    # no Python in it depends on a tensor: to look for that took most of the time
    make_batch = tf.autograph.experimental.do_not_convert(make_batch)
    total = min(limit or info.splits[split], info.splits[split])
    records = _serialised(info.shards[split], total, training, seed)
    seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).batch(6)
    return (
        tf.data.Dataset.zip(records.batch(batch_size), seeds)
        .map(make_batch, num_parallel_calls=tf.data.AUTOTUNE)
        .apply(tf.data.experimental.assert_cardinality(math.ceil(total / batch_size)))
        .prefetch(tf.data.AUTOTUNE)
    )
