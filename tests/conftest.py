"""What tests of both packages need: seeds, targets, mock sets, FITS files, models."""

import dataclasses
import importlib
import json
import random
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from data_tools.target import Target


@pytest.fixture(scope="module", autouse=True)
def same_seeds_of_keras():
    """Seed Keras and TensorFlow, so that a file's tests do not depend on those before.

    Not each test's: a TensorFlow that is seeded forgets all that it has compiled, and
    compiling takes longer than most tests. Layers are seeded by `same_seeds`, and the
    packages' own draws by their arguments.
    """
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(1)


@pytest.fixture(autouse=True)
def same_seeds():
    """Seed Python and NumPy, so that a test does not depend on its order."""
    random.seed(1)
    np.random.seed(1)


@pytest.fixture(scope="session")
def other_kernels():
    """Return the environment in which a process computes as on an older processor.

    Its numbers differ from this one's in their last digits.
    """
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    vectors = [name for name in __cpu_dispatch__ if __cpu_features__.get(name)]
    return {
        "NPY_DISABLE_CPU_FEATURES": " ".join(vectors),
        "OPENBLAS_CORETYPE": "Nehalem",
        "TF_ENABLE_ONEDNN_OPTS": "0",
    }


@pytest.fixture(scope="session")
def m83():
    """Return the target that ships."""
    return Target.load("m83-wfc3-uvis")


@pytest.fixture(scope="session")
def small_target(m83):
    """Return a target with two bands and cutouts of 16 pixels, quick to learn from."""
    return dataclasses.replace(m83, name="small", bands=m83.bands[1:], cutout_px=16)


@pytest.fixture(scope="session")
def small_mock_set(small_target, tmp_path_factory):
    """Return the directory of a mock set of `small_target`: 128, 64 and 32 records."""
    from data_tools.priors import Priors
    from data_tools.records.plan import MockSet
    from data_tools.records.simulate import simulate

    return simulate(
        tmp_path_factory.mktemp("mocks"),
        small_target,
        Priors(field_px=128, mocks_per_field=32),
        MockSet(n_train=128, n_validation=64, n_test=32, shard_size=64),
        workers=1,
        progress=False,
    )


@pytest.fixture(scope="session")
def finished_run(small_mock_set, tmp_path_factory):
    """Return the directory of a fit of two epochs of four steps."""
    from clusterkeras.config import ModelConfig, TrainingConfig
    from clusterkeras.training.fit import fit

    output = tmp_path_factory.mktemp("runs") / "finished"
    path = fit(
        small_mock_set,
        output,
        ModelConfig(
            backbone="resnet_tiny", posterior="mixture", components=2, hidden=8
        ),
        TrainingConfig(epochs=2, batch_size=32, picture_epochs=3),
    )
    assert path == output / "model.keras"
    return output


class Killed(BaseException):
    """What a kill is in a test: not even the work's own tidying comes after it."""


@pytest.fixture
def killed_before(monkeypatch):
    """Return a context that ends its work before a change of a file, as a kill does.

    Its arguments: the directory; the audit event, such as ``os.rename``; the name of
    the file, the new one; and how many of the same kind come before.
    """
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    watch = importlib.import_module("kill_at_each_file").watch

    @contextmanager
    def killed_before(directory, event, name, earlier=0):
        found = 0

        def act(happens, path):
            nonlocal found
            found += (happens, path.name) == (event, name)
            if found > earlier:
                raise Killed(name)

        end = watch(directory, act)
        try:
            with pytest.raises(Killed):
                yield
        finally:
            end()

    return killed_before


@pytest.fixture
def check_round_trip(tmp_path):
    """Return a function that takes a layer or model through JSON and ``.keras``."""
    import keras

    def outputs(model, inputs):
        return keras.tree.flatten(model(inputs, training=False))

    def check(made, inputs):
        plain = json.dumps(made.get_config())
        again = type(made).from_config(json.loads(plain))
        assert json.dumps(again.get_config()) == plain

        model = made
        if not isinstance(made, keras.Model):
            model = keras.Sequential([keras.Input(inputs.shape[1:]), made])
        expected = outputs(model, inputs)

        from_json = keras.models.model_from_json(model.to_json())
        from_json.set_weights(model.get_weights())
        model.save(tmp_path / "round_trip.keras")
        loaded = keras.models.load_model(tmp_path / "round_trip.keras")
        for other in (from_json, loaded):
            assert type(other) is type(model)
            for got, wanted in zip(outputs(other, inputs), expected, strict=True):
                np.testing.assert_array_equal(got, wanted)
        return loaded

    return check


@pytest.fixture(scope="session")
def write_band(m83):
    """Return a function that writes one band in electrons/s and returns its path."""

    def write(path, rate, band=m83.bands[0], **keywords):
        rows, columns = rate.shape
        step = m83.pixel_scale_arcsec / 3600
        header = fits.Header(
            {
                "FILTER": band.name,
                "BUNIT": "ELECTRONS/S",
                "EXPTIME": band.exposure_s,
                "NCOMBINE": band.n_exposures,
                "PHOTFLAM": band.photflam,
                "PHOTPLAM": band.photplam,
                "CTYPE1": "RA---TAN",
                "CTYPE2": "DEC--TAN",
                "CRPIX1": (columns + 1) / 2,
                "CRPIX2": (rows + 1) / 2,
                "CRVAL1": 204.25,
                "CRVAL2": -29.87,
                "CD1_1": -step,
                "CD1_2": 0.0,
                "CD2_1": 0.0,
                "CD2_2": step,
            }
        )
        header.update(keywords)
        for key in [k for k, v in keywords.items() if v is None]:
            del header[key]
        fits.PrimaryHDU(rate.astype(np.float32), header).writeto(path, overwrite=True)
        return path

    return write
