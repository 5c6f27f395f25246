"""The training input: sets are checked, batches are what the records say."""

import numpy as np
import pytest
import tensorflow as tf

from data_tools.imaging.observation import draw_observation
from data_tools.mosaics.cutout import Cutout
from data_tools.priors import Priors
from data_tools.records import dataset
from data_tools.records.dataset import damage_named, make_dataset
from data_tools.records.finished_set import Manifest, read_set
from data_tools.records.plan import MockSet, configuration
from data_tools.records.shard_file import read_shard, serialise, write_shard
from data_tools.running.plain_files import write_yaml
from data_tools.schema import (
    CONTEXT,
    FEATURES,
    FIELD_TRAITS,
    KINDS,
    PIXEL_UNIT_NJY,
    STELLAR_MODELS,
    TRAIT_NAMES,
    TRAITS,
)

PX, BANDS = 64, 3


def example(number, kind="cluster"):
    """Return a record whose background is its number; eight make a field.

    The object is brighter towards one corner and in one band, so that its orientation
    shows.
    """
    row, column = np.mgrid[:PX, :PX]
    light = np.exp(-((row - 31.5) ** 2 + (column - 31.5) ** 2) / 50)
    light = light * (1 + 0.01 * row + 0.0003 * row * column)
    cluster = light[..., None] * np.array([1.0, 2.0, 4.0]) * (10 + number)
    if kind in ("empty", "field_peak"):
        cluster = 0 * cluster
    cluster = cluster.astype(np.float16)
    variance = np.array([3.0, 5.0, 7.0], np.float32) * (1 + number)
    electron = np.array([0.5, 0.3, 0.1], np.float32) * (1 + number % 3)
    is_cluster = kind == "cluster"
    return {
        "cluster": cluster,
        "background": np.full((PX, PX, BANDS), number, np.float16),
        "parameters": np.full(4, 2.5 if is_cluster else np.nan, np.float32),
        "traits": np.full(len(TRAITS), np.nan, np.float32),
        "field_traits": np.zeros(len(FIELD_TRAITS), np.float32),
        "is_cluster": int(is_cluster),
        "kind": KINDS.index(kind),
        "log_snr": np.nan if not cluster.any() else 0.1 * number - 1,
        "centre": np.array([0.25, -1.0], np.float32),
        "electron_njy": electron,
        "background_variance": variance,
        "noise_shift_px": np.zeros(BANDS, np.float32),
        "psf_fwhm_px": np.full(BANDS, 2.0, np.float32),
        "field_id": 1000 + number // 8,
        "mock_id": number,
    }


def background_of(images):
    """Return the number of the background of each image: its corner has no cluster."""
    return (images[:, 0, 0, 0] / PIXEL_UNIT_NJY).astype(int)


def write_set(directory, m83, examples, shard_size=16):
    """Write examples as the train split of a set in the layout of `simulate`."""
    mocks = MockSet(len(examples), 0, 0, shard_size)
    write_yaml(directory / "configuration.yaml", configuration(m83, Priors(), mocks))
    count = -(-len(examples) // shard_size)
    names = [f"mocks-train.tfrecord-{i:05d}-of-{count:05d}" for i in range(count)]
    entries = {}
    for i, name in enumerate(names):
        share = examples[i * shard_size : (i + 1) * shard_size]
        entries[name] = write_shard(directory / name, share)
    Manifest({"train": names}, entries).write(directory)
    return directory


@pytest.fixture(scope="module")
def kinds():
    return ["empty" if i % 5 == 4 else "cluster" for i in range(40)]


@pytest.fixture(scope="module")
def known_set(tmp_path_factory, m83, kinds):
    examples = [example(i, kind) for i, kind in enumerate(kinds)]
    return write_set(tmp_path_factory.mktemp("known"), m83, examples)


def read_all(*args, **kwargs):
    """Read one epoch as arrays."""
    batches = list(make_dataset(*args, **kwargs).as_numpy_iterator())
    images = np.concatenate([b[0] for b in batches])
    labels = {k: np.concatenate([b[1][k] for b in batches]) for k in batches[0][1]}
    return images, labels


def first_shard(directory):
    return directory / "mocks-train.tfrecord-00000-of-00003"


def test_parse_gives_every_feature_of_the_schema_in_its_shape():
    batch = tf.constant([serialise(example(i)) for i in range(3)])
    parsed = dataset.parse(batch, PX, BANDS)
    assert set(parsed) == {f.name for f in FEATURES}
    for f in FEATURES:
        shape = () if f.dtype == "float16" else f.sizes(PX, BANDS)
        assert parsed[f.name].shape == (3, *shape), f.name


def test_crowding_is_that_of_the_observation_without_stars_times_what_is_put_in(m83):
    as_it_is = dict.fromkeys(("exposure_factor", "sky_factor"), (0.0, 0.0))
    priors = Priors(read_noise_factor=(1.0, 1.0), **as_it_is)
    seen = draw_observation(m83, priors, np.random.default_rng(0))
    for roughness in (1.0, 10.0):
        variance = np.float32(seen.white_variance * roughness**2)[None]
        electron = np.float32(seen.electron_njy)[None]
        found = dataset.crowding(variance, electron, m83).numpy()
        assert found == pytest.approx([np.log10(roughness)], abs=1e-5)


def test_evaluation_reads_records_in_order_on_their_own_background(known_set, kinds):
    images, labels = read_all(known_set, "train", 16, training=False)
    assert images.dtype == np.float32
    assert images.shape == (40, PX, PX, BANDS)
    np.testing.assert_array_equal(labels["mock_id"], range(40))
    np.testing.assert_array_equal(labels["field_id"], 1000 + np.arange(40) // 8)
    assert np.ptp(labels["crowding"]) > 0
    for number, kind in enumerate(kinds):
        if kind == "empty":
            assert (images[number] == number * PIXEL_UNIT_NJY).all()


def test_the_shapes_of_a_batch_are_known_before_it_is_read(known_set):
    images, labels = make_dataset(known_set, "train", 4, training=True).element_spec
    assert images.shape.as_list() == [None, PX, PX, BANDS]
    for name, label in labels.items():
        rest = [4] if name == "parameters" else []
        assert label.shape.as_list() == [None, *rest], name


def test_labels_say_what_is_there_and_are_never_nan(known_set, kinds, m83):
    _, labels = read_all(known_set, "train", 16, training=False)
    empty = np.array([kind == "empty" for kind in kinds])
    middle = [(low + high) / 2 for low, high in m83.box.values()]
    np.testing.assert_array_equal(labels["is_cluster"], ~empty)
    np.testing.assert_array_equal(labels["has_object"], ~empty)
    np.testing.assert_allclose(labels["parameters"][empty], [middle] * empty.sum())
    assert (labels["parameters"][~empty] == 2.5).all()
    assert (labels["log_snr"][empty] == 0).all()
    for number in np.flatnonzero(~empty):
        stored = example(number)["log_snr"]
        assert labels["log_snr"][number] == pytest.approx(stored, abs=1e-3)


def test_a_record_looks_the_same_in_any_batch_and_else_under_another_seed(known_set):
    images, _ = read_all(known_set, "train", 16, training=False)
    again, _ = read_all(known_set, "train", 7, training=False, limit=9)
    other, _ = read_all(known_set, "train", 16, training=False, seed=1)
    np.testing.assert_array_equal(again, images[:9])
    assert (other[0] != images[0]).mean() > 0.7
    # two records with one seed have noise of their own
    noise = [images[i] - images[i].mean() for i in (0, 3)]
    assert abs(np.corrcoef(noise[0][:8].ravel(), noise[1][:8].ravel())[0, 1]) < 0.1


@pytest.mark.parametrize("training", [False, True])
def test_pixels_without_data_are_filled_as_a_catalogue_fills_them(
    tmp_path, m83, training
):
    examples = [example(i) for i in range(12)]
    rng = np.random.default_rng(0)
    for e in examples:
        e["field_id"] = 1
        e["cluster"] = 0 * e["cluster"]
        e["background"] = rng.normal(10, 1, (PX, PX, BANDS)).astype(np.float16)
    examples[3]["background"][:, 40:] = np.nan
    examples[5]["background"][:31, :, 1] = np.nan
    examples[7]["background"][..., 2] = np.nan
    write_set(tmp_path, m83, examples)
    (images, _), *_ = make_dataset(tmp_path, "train", 12, training=training)
    found = images.numpy()
    expected = np.array(
        [
            Cutout(
                e["background"].astype(np.float32) * PIXEL_UNIT_NJY,
                *(0, 0, False, 1.0, False, True),
            ).filled()
            for e in examples
        ]
    )
    if training:  # in another order and orientation
        found, expected = (
            np.sort(np.sort(a.reshape(12, -1, BANDS), 1), 0) for a in (found, expected)
        )
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_what_a_mosaic_tells_beside_the_pixels_is_told_of_every_record(known_set, m83):
    plain, labels = read_all(known_set, "train", 8, training=False)
    dataset = make_dataset(known_set, "train", 8, training=False, context=True)
    told = [inputs for inputs, _ in dataset.as_numpy_iterator()]
    told = {k: np.concatenate([one[k] for one in told]) for k in told[0]}
    np.testing.assert_array_equal(told.pop("images"), plain)
    assert set(told) == {part.name for part in CONTEXT}
    assert (told["psf_fwhm_px"] == 2.0).all()
    assert (told["stellar_model"] == -1).all()
    electron = [example(i)["electron_njy"] for i in labels["mock_id"]]
    per_second = [band.njy_per_electron_s for band in m83.bands]
    np.testing.assert_allclose(told["exposure_s"], per_second / np.array(electron))


def test_in_training_half_of_it_is_unknown_and_never_tells_the_kind(tmp_path, m83):
    examples = [example(i % 40, ("cluster", "empty")[i % 2]) for i in range(400)]
    for one in examples:
        if one["is_cluster"]:
            one["traits"][TRAIT_NAMES.index("stellar_model")] = 1
    path = write_set(tmp_path, m83, examples)
    dataset = make_dataset(path, "train", 400, training=True, context=True)
    told, labels = next(dataset.as_numpy_iterator())
    width, model = told["psf_fwhm_px"], told["stellar_model"]
    known = [
        np.isfinite(width).any(1),
        np.isfinite(told["exposure_s"]).any(1),
        model >= 0,
    ]
    assert np.isfinite(width[known[0]]).mean() == pytest.approx(0.85, abs=0.06)
    is_cluster = labels["is_cluster"] > 0
    for one in known:
        assert one.mean() == pytest.approx(0.5, abs=0.1)
        assert one[is_cluster].mean() == pytest.approx(one[~is_cluster].mean(), abs=0.2)
    # each on its own
    assert np.abs(np.corrcoef(known)[np.triu_indices(3, 1)]).max() < 0.2
    assert np.nanstd(np.log(width)) == pytest.approx(0.03, rel=0.2)
    assert (model[is_cluster & known[2]] == 1).all()
    assert set(model[~is_cluster & known[2]]) == set(range(len(STELLAR_MODELS)))


@pytest.mark.parametrize("training", [False, True])
def test_clusters_bring_their_photon_noise(known_set, training):
    images, labels = read_all(known_set, "train", 20, training=training)
    squares, pulls = [], []
    for image, mock, field in zip(
        images, labels["mock_id"], background_of(images), strict=True
    ):
        cluster = example(mock)["cluster"].astype(np.float32) * PIXEL_UNIT_NJY
        if mock % 5 == 4:
            continue
        best = min(
            (
                image - field * PIXEL_UNIT_NJY - turned
                for turned in orientations(cluster)
            ),
            key=lambda noise: (noise**2).sum(),
        )
        # the brightest pixels are near the middle in every orientation
        sigma = np.sqrt(cluster * example(field)["electron_njy"])
        middle = (slice(26, 38), slice(26, 38))
        squares.append(((best[middle] / sigma[middle]) ** 2).mean())
        pulls.append((best[middle] / sigma[middle]).mean())
    # 32 images x 144 pixels x 3 bands; the pattern's slope moves sigma by under 10 %
    assert np.mean(squares) == pytest.approx(1, abs=0.05)
    assert np.mean(pulls) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("training", [False, True])
def test_photon_noise_is_correlated_as_the_background_it_stands_on(
    tmp_path, m83, training
):
    shift = np.array([0.0, 0.2, 0.5], np.float32)
    examples = [example(i) for i in range(12)]
    for e in examples:
        e["cluster"] = np.full((PX, PX, BANDS), 100, np.float16)
        e["background"] = np.zeros((PX, PX, BANDS), np.float16)
        e["noise_shift_px"] = shift
    images, _ = read_all(
        write_set(tmp_path, m83, examples), "train", 6, training=training
    )
    noise = images - 100 * PIXEL_UNIT_NJY
    product = shift * (1 - shift)
    for axis in (1, 2):
        beside = (noise * np.roll(noise, 1, axis)).mean((0, 1, 2))
        found = beside / noise.var((0, 1, 2))
        assert np.allclose(found, product / (1 - 2 * product), atol=0.03)


def orientations(image):
    return [np.rot90(t, k) for t in (image, image.swapaxes(0, 1)) for k in range(4)]


def test_training_puts_every_cluster_on_another_background_of_its_field(known_set):
    images, labels = read_all(known_set, "train", 10, training=True)
    partner = background_of(images)
    assert (
        sorted(labels["mock_id"]) == sorted(set(labels["mock_id"])) == list(range(40))
    )
    moved = labels["mock_id"] != partner
    # all whose neighbour is of their field: of sixteen in a shard, eight are
    assert 0.3 < moved.mean() < 1
    assert (labels["mock_id"] // 8 == partner // 8).all()
    np.testing.assert_array_equal(labels["field_id"] - 1000, partner // 8)
    empty = labels["mock_id"] % 5 == 4
    for image, number in zip(images[empty], partner[empty], strict=True):
        assert (image == number * PIXEL_UNIT_NJY).all()


def test_a_peak_of_a_field_keeps_its_background_and_no_other_record_gets_it(
    tmp_path, m83
):
    kinds = ["field_peak" if i % 4 == 3 else "cluster" for i in range(24)]
    examples = [example(i, kind) for i, kind in enumerate(kinds)]
    for e in examples:
        e["field_id"] = 7
    images, labels = read_all(
        write_set(tmp_path, m83, examples, 24), "train", 24, training=True
    )
    partner = background_of(images)
    moved = partner != labels["mock_id"]
    peak = labels["mock_id"] % 4 == 3
    assert not moved[peak].any()
    assert moved[~peak].mean() > 0.6
    assert set(partner[~peak]).isdisjoint(labels["mock_id"][peak])


def test_a_cluster_keeps_its_host_and_no_other_record_gets_it(tmp_path, m83):
    examples = [example(i) for i in range(24)]
    for e in examples:
        e["field_id"] = 7
        if e["mock_id"] % 4 == 3:
            e["traits"][TRAIT_NAMES.index("host_log_mass")] = 4.0
    images, labels = read_all(
        write_set(tmp_path, m83, examples, 24), "train", 24, training=True
    )
    partner = background_of(images)
    moved = partner != labels["mock_id"]
    born = labels["mock_id"] % 4 == 3
    assert not moved[born].any()
    assert moved[~born].mean() > 0.6
    assert set(partner[~born]).isdisjoint(labels["mock_id"][born])


def test_training_gives_the_visibility_on_the_field_of_the_record(known_set):
    _, labels = read_all(known_set, "train", 10, training=True)
    has_object = labels["has_object"] == 1
    assert has_object.sum() == 32
    for mock, log_snr in zip(labels["mock_id"], labels["log_snr"], strict=True):
        expected = 0 if mock % 5 == 4 else 0.1 * mock - 1
        assert log_snr == pytest.approx(expected, abs=1e-6)


def test_training_shows_all_eight_orientations_unchanged_otherwise(tmp_path, m83):
    examples = [example(i) for i in range(64)]
    for e in examples:
        e["electron_njy"] = np.zeros(BANDS, np.float32)  # no noise: exact comparison
        e["background"] = 0 * e["background"]
    write_set(tmp_path, m83, examples, shard_size=64)
    images, labels = read_all(tmp_path, "train", 32, training=True)
    seen = set()
    for image, number in zip(images, labels["mock_id"], strict=True):
        cluster = examples[number]["cluster"].astype(np.float32) * PIXEL_UNIT_NJY
        (found,) = [
            i for i, t in enumerate(orientations(cluster)) if (image == t).all()
        ]
        seen.add(found)
    assert seen == set(range(8))


def test_epochs_differ_and_a_seed_repeats_them(known_set):
    def epochs(seed):
        dataset = make_dataset(known_set, "train", 10, training=True, seed=seed)
        return [np.concatenate([i for i, _ in dataset]) for _ in range(2)]

    first, second = epochs(0)
    again, _ = epochs(0)
    other, _ = epochs(1)
    np.testing.assert_array_equal(again, first)
    assert (first != second).any(axis=(1, 2, 3)).mean() > 0.8
    assert (first != other).any(axis=(1, 2, 3)).mean() > 0.8


def test_each_epoch_makes_other_pairs(known_set):
    dataset = make_dataset(known_set, "train", 40, training=True)
    pairs = set()
    for _ in range(3):
        ((images, labels),) = dataset.as_numpy_iterator()
        order = np.argsort(labels["mock_id"])
        pairs.add(tuple(background_of(images)[order]))
    assert len(pairs) > 1


def test_dark_objects_take_light_away_and_bring_no_photons(tmp_path, m83):
    dark = example(0, "dust_edge")
    dark["cluster"] = -np.abs(dark["cluster"])
    write_set(tmp_path, m83, [dark])
    (image,), labels = read_all(tmp_path, "train", 1, training=False)
    light = dark["cluster"].astype(np.float32) * PIXEL_UNIT_NJY
    np.testing.assert_array_equal(image, light)
    assert labels["has_object"] == 1


@pytest.mark.parametrize("training", [False, True])
def test_a_limit_takes_the_first_records_and_the_length_is_known(known_set, training):
    dataset = make_dataset(known_set, "train", 8, training=training, limit=20)
    assert len(dataset) == 3
    numbers = np.concatenate([labels["mock_id"] for _, labels in dataset])
    assert sorted(numbers) == list(range(20))


def test_a_batch_of_one_keeps_its_own_background(known_set):
    dataset = make_dataset(known_set, "train", 1, training=True, limit=3)
    for _, labels in dataset:
        assert labels["field_id"][0] == 1000 + labels["mock_id"][0] // 8


def test_the_visibility_of_a_simulated_set_is_that_of_its_records(small_set):
    images, labels = read_all(small_set, "test", 8, training=False)
    assert np.isfinite(images).all()
    stored = [
        r["log_snr"][0]
        for path, _ in read_set(small_set).shards["test"]
        for r in read_shard(path)
    ]
    object_there = labels["has_object"] == 1
    np.testing.assert_array_equal(object_there, np.isfinite(stored))
    np.testing.assert_allclose(
        labels["log_snr"][object_there], np.array(stored)[object_there], atol=1e-3
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "training"}, r"split must be one of \['train'\]; .*'training'"),
        ({"batch_size": 0}, "batch_size must be >= 1; received 0"),
        ({"limit": 0}, "limit must be >= 1; received 0"),
    ],
)
def test_a_bad_argument_of_the_reader_is_refused(known_set, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_dataset(
            known_set, **{"split": "train", "batch_size": 4, **arguments}, training=True
        )


@pytest.fixture
def own_set(tmp_path, m83):
    """Return a set that a test may spoil."""
    return write_set(tmp_path, m83, [example(i) for i in range(40)])


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("cycle", ["head", "data", "tail"])
def test_a_byte_damaged_since_is_named_with_its_record_while_reading(
    own_set, training, cycle
):
    path = own_set / "mocks-train.tfrecord-00001-of-00003"
    data = bytearray(path.read_bytes())
    size = len(data) // 16
    data[7 * size + {"head": 3, "data": size // 2, "tail": size - 1}[cycle]] ^= 1
    path.write_bytes(bytes(data))
    dataset = make_dataset(own_set, "train", 4, training=training)
    message = f"{path}: record 7 is cut or damaged.*simulate --verify"
    with pytest.raises(ValueError, match=f"^{message}[^\n]*$"), damage_named():
        list(dataset)


def test_a_shard_cut_since_is_named_with_its_record_while_reading(own_set):
    path = own_set / "mocks-train.tfrecord-00001-of-00003"
    dataset = make_dataset(own_set, "train", 4, training=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 100])
    with (
        pytest.raises(ValueError, match=f"^{path}: record 8 is cut"),
        damage_named(),
    ):
        list(dataset)
