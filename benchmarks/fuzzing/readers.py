"""What each reader does with a file, and what must hold of what it returns.

A file is read, or refused in one line that names it. Whatever else comes of it is at
fault: another error, a hang, memory without end, a number that differs from that of an
independent reader or from what was written.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from astropy.io import fits
from hypothesis import strategies as st

from clusterkeras.catalogue.survey.fields import read_fields
from clusterkeras.config import TrainingConfig
from data_tools.foreign.typed import build
from data_tools.foreign.yaml_text import load_values
from data_tools.mosaics.mosaic import open_mosaics
from data_tools.mosaics.stored.extensions import find_science
from data_tools.positions.places import find_places
from data_tools.positions.read_positions import read_positions
from data_tools.priors import Priors
from data_tools.records import shard_file
from data_tools.records.finished_set import read_configuration, read_set
from data_tools.running.plain_files import read_settings
from data_tools.target import Target

from . import wholes
from .damage import damaged
from .known import Known, known_regions, known_tables

#: With which a file may be refused.
REFUSALS = (ValueError, FileNotFoundError)


class WrongNumberError(AssertionError):
    """A number that is not what the file says, without a word."""


class Reader:
    """One kind of file.

    Parameters
    ----------
    work : Path
        An own directory, whose content may be removed.

    Attributes
    ----------
    files : strategy
        Of what `read` takes.
    """

    files: st.SearchStrategy[Any]

    def __init__(self, work: Path):
        """Make the well-formed files."""
        self.work = work
        self.place = work / "read"

    def read(self, drawn: Any) -> str:
        """Read a file; return its name.

        Raises
        ------
        WrongNumberError
            If what it says is not what is returned.
        """
        name, content = drawn
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)
        path = self.place / name
        path.write_bytes(content)
        self._read(path)
        return name

    def _read(self, path: Path) -> None:
        raise NotImplementedError


class Images(Reader):
    """Mosaics of two bands, the first damaged; astropy reads the same pixels."""

    def __init__(self, work: Path):
        """Write the second band."""
        super().__init__(work)
        self.files = damaged(wholes.images())
        self.other = work / "other.fits"
        pixels = np.ones(wholes.SHAPE, np.float32)
        fits.writeto(self.other, pixels, wholes.header_of(1), overwrite=True)

    def _read(self, path: Path) -> None:
        target = wholes.TARGET
        paths = [path, self.other]
        with open_mosaics(
            paths, target.band_names, target.pixel_scale_arcsec
        ) as mosaics:
            rows, columns = mosaics.shape
            whole = mosaics.window(slice(0, rows), slice(0, columns))[..., 0]
            mosaics.weights(slice(0, rows), slice(0, columns))
            mosaics.exposure(40.0, 36.0)
            mosaics.coverage(7)
            limits = mosaics.pixel_limits(70_000, [1, 1])
            cut = mosaics.cutout(40.2, 36.7, 32, limits)
            scale = mosaics.calibrations[0].njy_per_unit
        if not (math.isfinite(scale) and scale > 0):
            raise WrongNumberError(f"a scale of {scale}")
        if not np.array_equal(cut.image[..., 0], whole[21:53, 25:57], equal_nan=True):
            raise WrongNumberError("a cutout is not its part of the mosaic")
        self._compare(path, whole, scale)

    @staticmethod
    def _compare(path: Path, whole: np.ndarray, scale: float) -> None:
        try:
            with fits.open(path) as hdus:
                theirs = np.array(find_science(hdus, path).data, np.float64)
        except Exception:  # a file that only we read is compared with nothing
            return
        known = np.isfinite(whole) & np.isfinite(theirs)
        wanted = theirs[known] * scale
        wanted[np.abs(wanted) > np.finfo(np.float32).max] = np.inf
        close = np.isclose(whole[known], wanted, rtol=2e-5, atol=1e-5 * scale)
        if not close.all():
            at = np.argmin(close)
            raise WrongNumberError(
                f"{whole[known][at]} nJy, where astropy has {wanted[at]}"
            )
        nothing = np.isnan(theirs) & np.isfinite(whole)
        if nothing.any():
            raise WrongNumberError(
                f"{whole[nothing][0]} nJy, where astropy has no data"
            )


class Tables(Reader):
    """Tables of positions in every format but HDF5, and their places on a mosaic."""

    def __init__(self, work: Path):
        """Write the tables."""
        super().__init__(work)
        self.files = damaged(self.known())

    def known(self) -> dict[str, bytes]:
        """Return the well-formed tables."""
        return wholes.tables()

    def _read(self, path: Path) -> None:
        table = read_positions(path)
        for origin in (None, 1):
            found = find_places(table, wholes.SKY, origin, str(path))
            if not len(found.x) == len(found.y) == len(table) == len(found.doubtful):
                raise WrongNumberError(f"{len(found.x)} places of {len(table)} rows")


class Hdf5(Tables):
    """Tables in HDF5, which a process of its own reads."""

    def known(self) -> dict[str, bytes]:
        """Return the well-formed table."""
        return wholes.hdf5_tables()


class Regions(Tables):
    """Regions of DS9 and CASA."""

    def known(self) -> dict[str, bytes]:
        """Return the well-formed files."""
        return wholes.regions()


class KnownPlaces(Reader):
    """Tables and regions, undamaged, whose places are known."""

    files = st.one_of(known_tables(), known_regions())

    def read(self, drawn: Known) -> str:
        """Read a file, and compare what it says."""
        self.place.mkdir(parents=True, exist_ok=True)
        path = self.place / drawn.name
        path.write_bytes(drawn.content)
        table = read_positions(path)
        if len(table) != len(drawn.places):
            raise WrongNumberError(f"{len(table)} rows of {len(drawn.places)}")
        columns = {"pixel": ("x", "y"), "sky": ("ra", "dec")}
        columns["physical"] = ("x_physical", "y_physical")
        for row, (kind, *wanted) in zip(table, drawn.places, strict=True):
            words = [row[n] for n in columns[kind]]
            if any(isinstance(word, str) for word in words):
                raise WrongNumberError(f"{words}, where {wanted} was written")
            found = [float(getattr(word, "value", word)) for word in words]
            # sexagesimal ones have five digits of a second of time
            far = 1e-7 if kind == "sky" else 1e-9 * (1 + abs(wanted[0] + wanted[1]))
            if not np.allclose(found, wanted, rtol=1e-9, atol=far):
                raise WrongNumberError(f"{found}, where {wanted} was written")
        return drawn.name


class Settings(Reader):
    """YAML: targets, priors, settings of a training, lists of fields, sets."""

    def __init__(self, work: Path):
        """Write the files."""
        super().__init__(work)
        self.files = damaged(wholes.settings(wholes.mock_set(work.parent / "mocks")))

    def _read(self, path: Path) -> None:
        if path.name.startswith("target-"):
            target = Target.load(path)
            if Target.from_dict(target.to_dict()) != target:
                raise WrongNumberError("a target that its own values do not make")
            return
        if path.name == "fields.yaml":
            read_fields(path)
        elif path.name == "configuration.yaml":
            read_configuration(path.parent)
            self._compare(path)
        else:
            kind = {"training": TrainingConfig, "priors": Priors}[path.stem]
            values = read_settings(path)
            try:
                build(kind, values, path.stem)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error

    @staticmethod
    def _compare(path: Path) -> None:
        text = path.read_bytes().decode("utf-8-sig")
        if repr(load_values(text)) != repr(yaml.safe_load(text)):
            raise WrongNumberError("other values than those of PyYAML")


class Records(Reader):
    """A shard, damaged as a file or within a record, and the set it is of."""

    def __init__(self, work: Path):
        """Make the set."""
        super().__init__(work)
        self.whole = wholes.mock_set(work.parent / "mocks")
        names = ("manifest.json", "configuration.yaml")
        self.shards = sorted(p.name for p in self.whole.glob("*tfrecord*"))
        contents = {
            name: (self.whole / name).read_bytes() for name in (*names, *self.shards)
        }
        first = self.shards[0]
        framed = list(shard_file._read_framed(self.whole / first))
        self.bodies = [one[12:-4] for one in framed]
        self.records = [self._numbers(self.whole / name) for name in self.shards]
        inside = {f"record-{i}": body for i, body in enumerate(self.bodies[:2])}
        self.files = damaged(contents | inside)

    @staticmethod
    def _numbers(path: Path) -> list[dict[str, Any]]:
        return [
            {k: v.tobytes() for k, v in one.items()}
            for one in shard_file.read_shard(path)
        ]

    def read(self, drawn: tuple[str, bytes]) -> str:
        """Read a set with one damaged file, or a record that is whole by checksum."""
        name, content = drawn
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.whole, self.place)
        if name.startswith("record-"):
            bodies = [content, *self.bodies[1:]]
            name = self.shards[0]
            path = self.place / name
            path.write_bytes(b"".join(map(shard_file.framed, bodies)))
            entry = shard_file.check_shard(path)
            for record in shard_file.read_shard(path):
                if not all(np.ndim(v) == 1 for v in record.values()):
                    raise WrongNumberError("a feature that is no list")
            manifest = json.loads((self.place / "manifest.json").read_text())
            manifest["shards"][name] = entry.__dict__
            (self.place / "manifest.json").write_text(json.dumps(manifest))
            read_set(self.place, checksums=True)
            return name
        path = self.place / name
        path.write_bytes(content)
        if name in self.shards:
            there = self._numbers(path)
            whole = self.records[self.shards.index(name)]
            if not all(one in whole for one in there):
                raise WrongNumberError("a record that was not written")
        found = read_set(self.place, checksums=True)
        if found.splits != {"train": 8}:
            raise WrongNumberError(f"a set of 8 records is {found.splits}")
        return name


class Datasets(Records):
    """The same by the input of a training, which TensorFlow reads."""

    def read(self, drawn: tuple[str, bytes]) -> str:
        """Read all batches of the split."""
        import tensorflow as tf

        from data_tools.records.dataset import make_dataset

        name = super().read(drawn)
        try:
            for images, labels in make_dataset(
                self.place, "train", 3, training=False, seed=1
            ):
                if not np.isfinite(labels["parameters"]).all():
                    raise WrongNumberError("parameters that are no numbers")
                if np.isinf(images).any():
                    raise WrongNumberError("images that are infinite")
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(f"{self.place / name}: {error.message}") from error
        return name


READERS: dict[str, Callable[[Path], Reader]] = {
    "images": Images,
    "tables": Tables,
    "regions": Regions,
    "places": KnownPlaces,
    "settings": Settings,
    "records": Records,
    "hdf5": Hdf5,
    "dataset": Datasets,
}
