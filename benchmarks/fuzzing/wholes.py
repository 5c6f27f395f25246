"""Well-formed files of every kind that the package reads; damage begins with them."""

from __future__ import annotations

import gzip
import tempfile
from importlib import resources
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import MaskedColumn, QTable, Table
from astropy.wcs import WCS

from data_tools.priors import Priors
from data_tools.records.plan import MockSet
from data_tools.records.simulate import simulate
from data_tools.target import Target

#: Rows and columns of the mosaics.
SHAPE = (72, 80)
TARGET = Target.load("m83-f438w-f814w")


def header_of(band: int, unit: str = "ELECTRONS/S") -> fits.Header:
    """Return the header of a mosaic of one of the target's bands."""
    step = TARGET.pixel_scale_arcsec / 3600
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"})
    header.update(CRVAL1=204.25, CRVAL2=-29.87, CDELT1=-step, CDELT2=step)
    header.update(CRPIX1=40.5, CRPIX2=36.5, EXPTIME=2000.0, NCOMBINE=4, BUNIT=unit)
    one = TARGET.bands[band]
    header.update(PHOTFLAM=one.photflam, PHOTPLAM=one.photplam, FILTER=one.name)
    return header


#: Of the mosaics.
SKY = WCS(header_of(0))


def _bytes(*hdus: fits.hdu.base._BaseHDU) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "whole.fits")
        fits.HDUList(list(hdus)).writeto(path)
        return path.read_bytes()


def images() -> dict[str, bytes]:
    """Return mosaics of the first band, as drizzles and archives write them."""
    rng = np.random.default_rng(1)
    pixels = rng.normal(1.0, 0.2, SHAPE).astype(np.float32)
    pixels[30:34, 30:34] += 100
    header = header_of(0)
    weights = rng.uniform(1000, 2000, SHAPE).astype(np.float32)
    weights[:5] = 0
    quality = np.zeros(SHAPE, np.int16)
    quality[31, 31] = 256
    whole = fits.PrimaryHDU(np.round(pixels * 100).astype(np.int16), header)
    whole.header.update(BSCALE=0.01, BZERO=0.5, BLANK=100)
    plain = _bytes(fits.PrimaryHDU(pixels, header))
    return {
        "plain.fits": plain,
        "drizzled.fits": _bytes(
            fits.PrimaryHDU(header=header),
            fits.ImageHDU(pixels, header, name="SCI"),
            fits.ImageHDU(weights, name="WHT"),
            fits.ImageHDU(quality, name="DQ"),
        ),
        "whole_numbers.fits": _bytes(whole),
        "rice.fits": _bytes(
            fits.PrimaryHDU(),
            fits.CompImageHDU(pixels, header, compression_type="RICE_1"),
        ),
        "gzip_tiles.fits": _bytes(
            fits.PrimaryHDU(),
            fits.CompImageHDU(
                pixels, header, compression_type="GZIP_2", quantize_level=0
            ),
        ),
        "packed.fits.gz": gzip.compress(plain, mtime=0),
    }


def rows(n: int = 6) -> QTable:
    """Return places on the mosaics, by pixels and on the sky."""
    rng = np.random.default_rng(2)
    x, y = rng.uniform(5, 65, (2, n))
    ra, dec = SKY.all_pix2world(x, y, 0)
    table = QTable({"id": np.arange(n), "name": [f"NGC {i}" for i in range(n)]})
    table["x"], table["y"] = x, y
    table["ra"], table["dec"] = ra * u.deg, dec * u.deg
    table["mag"] = MaskedColumn(rng.uniform(18, 24, n), mask=np.arange(n) == 2)
    return table


_SEXTRACTOR = """#   1 NUMBER          Running object number
#   2 ALPHA_J2000     Right ascension of barycenter (J2000)      [deg]
#   3 DELTA_J2000     Declination of barycenter (J2000)          [deg]
#   4 X_IMAGE         Object position along x                    [pixel]
#   5 Y_IMAGE         Object position along y                    [pixel]
#   6 FLAGS           Extraction flags
"""
_MACHINE_READABLE = """Title: Clusters
Authors: N. N.
Table: One
================================================================================
Byte-by-byte Description of file: table1.txt
--------------------------------------------------------------------------------
   Bytes Format Units   Label     Explanations
--------------------------------------------------------------------------------
   1-  1 A1     ---     Name      Name
   3- 10 F8.4   deg     RAdeg     Right ascension
  12- 19 F8.4   deg     DEdeg     Declination
  21- 24 F4.1   mag     Vmag      ? Magnitude
--------------------------------------------------------------------------------
A 204.2500 -29.8700
B 204.2501 -29.8701 21.3
"""
_VIZIER = """#RESOURCE=yCat_36021137
#Name: J/A+A/602/A137
#Title: Clusters
#Table	J_A+A_602_A137_table1:
#Column	_RAJ2000	(F9.4)	Right ascension	[ucd=pos.eq.ra]
#Column	_DEJ2000	(F9.4)	Declination	[ucd=pos.eq.dec]
_RAJ2000;_DEJ2000;Name;Vmag
deg;deg;;mag
---------;---------;----;----
 204.2500;-29.8700;A 1;
 204.2501;-29.8701;B 2;21.3
"""
_IPAC = r"""\fixlen = T
|   ra       |   dec      | name |
|  double    |  double    | char |
|  deg       |  deg       |      |
|  null      |  null      | null |
 204.2500     -29.8700     A
 204.2501     -29.8701     B
"""
_FIT = "1.0e+07 2.0e+07 5.0e+06 3.2e+03 5.4e+03 1.0e+03 0.1 0.2 0.0"


def tables() -> dict[str, bytes]:
    """Return tables of positions in every format."""
    table = rows()
    known = {}
    with tempfile.TemporaryDirectory() as directory:
        written = (
            ("t.csv", "ascii.csv", table),
            ("t.ecsv", "ascii.ecsv", table),
            ("t.txt", "ascii.commented_header", table),
            ("t.tex", "ascii.fixed_width", table),
            ("t.fits", "fits", table),
            ("text.fits", None, table),
            ("t.vot", "votable", Table(table)),
            ("binary.vot", "votable", Table(table)),
            ("t.parquet", None, table),
        )
        for name, kind, given in written:
            path = Path(directory, name)
            if name == "t.parquet":
                from data_tools.running.table_file import write_table

                write_table(given, path)
            elif name == "text.fits":
                fits.TableHDU.from_columns(
                    [
                        fits.Column(n, "E15.7", array=np.asarray(given[n], float))
                        for n in ("x", "y", "mag")
                    ]
                ).writeto(path)
            elif name == "binary.vot":
                given.write(path, format=kind, tabledata_format="binary2")
            else:
                given.write(path, format=kind)
            known[name] = path.read_bytes()
    columns = [np.asarray(table[name]) for name in ("x", "y", "ra", "dec")]
    places = list(zip(*columns, strict=True))
    known["t.cat"] = (
        _SEXTRACTOR
        + "".join(
            f"{i} {ra:.6f} {dec:.6f} {x + 1:.3f} {y + 1:.3f} 0\n"
            for i, (x, y, ra, dec) in enumerate(places)
        )
    ).encode()
    known["hlsp_legus_hst_uvis_ngc1_multiband_v1_padagb-mwext-avgapcor.tab"] = (
        "\n".join(
            f"{i} {x + 2001:.3f} {y + 2001:.3f} {ra:.6f} {dec:.6f} "
            + " ".join(f"{21.5 + i / 9 + band:.3f} 0.1" for band in range(5))
            + f" 1.6 {_FIT} 0.05 0.05 0.05 0.05 0.05 0.7 0.8 5 1.0 1.333"
            for i, (x, y, ra, dec) in enumerate(places, 1)
        )
        + "\n"
    ).encode()
    known["t.mrt"] = _MACHINE_READABLE.encode()
    known["t.tsv"] = _VIZIER.encode()
    known["t.tbl"] = _IPAC.encode()
    known["t.csv.gz"] = gzip.compress(known["t.csv"], mtime=0)
    known["sexagesimal.txt"] = (
        b"# my list\nName RA Dec\nA 13:37:00.0 -29:52:12\nB 13h37m00.01s -29d52m11s\n"
    )
    return known


def hdf5_tables() -> dict[str, bytes]:
    """Return a table in HDF5."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "t.h5")
        Table(rows()["x", "y", "mag"]).write(path, path="clusters", format="hdf5")
        return {"t.h5": path.read_bytes()}


_DS9 = """# Region file format: DS9 version 4.1
global color=green dashlist=8 3 width=1 font="helvetica 10 normal roman" select=1
fk5
circle(13:37:00.001,-29:52:11.90,0.5") # text={one; two} color=red
ellipse(204.25001d,-29.870001d,1",2",30) # text='b'
image;point(40.5,36.25) # point=cross
physical
box(20,30,5,6,0)
-circle(10,10,3)
polygon(10,10,20,10,20,20,10,20)
galactic; annulus(314.58,31.97,1",2")
# text(10,10) text={remark}
"""
_DS9_BARE = "image\ncircle 10 20 3\npoint 30.5i 40.25i\ncircle(20p,30p,4)\n"
_CRTF = """#CRTFv0 CASA Region Text Format version 0
global coord=J2000, color=green
circle[[13h37m00.0s, -29d52m12s], 0.5arcsec], label="a"
centerbox[[204.25deg, -29.87deg], [1arcsec, 2arcsec]]
symbol[[20pix, 30pix], .]
box[[10pix, 10pix], [20pix, 30pix]]
ann circle[[204.25deg, -29.87deg], 1arcsec] coord=ICRS
-circle[[5pix, 5pix], 2pix]
poly[[1pix, 1pix], [10pix, 1pix], [10pix, 10pix]]
"""


def regions() -> dict[str, bytes]:
    """Return what DS9 and CASA save."""
    return {
        "t.reg": _DS9.encode(),
        "bare.reg": _DS9_BARE.encode(),
        "wide.reg": _DS9.encode("utf-16"),
        "t.crtf": _CRTF.encode(),
    }


_FIELDS = """- field: m83-f1
  images: [/m/f438w.fits, f814w.fits]
  positions: candidates.ecsv
- field: "m83-f2"
  images:
    - g438w.fits
    - g814w.fits
  positions: /m/g.ecsv
"""
_TRAINING = """epochs: 4
batch_size: 64
learning_rate: 1e-3
optimizer: muon
seed: 3
"""
_PRIORS = """field_px: 128
mocks_per_field: 32
foreground_a_v: 0.11
r_v: [2.6, 4.0]
binary_fraction: [0.2, 0.6]
"""


def settings(records: Path) -> dict[str, bytes]:
    """Return YAML that people write, and what a mock set keeps of it."""
    shipped = resources.files("data_tools.targets")
    known = {
        f"target-{path.name}": path.read_bytes()
        for path in shipped.iterdir()
        if path.name.endswith(".yaml")
    }
    known["target-own.yaml"] = (
        known["target-m83-wfc3-uvis.yaml"]
        + b"psf: {F336W: my.fits}\npriors: {foreground_a_v: 0.11, r_v: [3.1, 3.1]}\n"
    )
    return known | {
        "configuration.yaml": (records / "configuration.yaml").read_bytes(),
        "fields.yaml": _FIELDS.encode(),
        "training.yaml": _TRAINING.encode(),
        "priors.yaml": _PRIORS.encode(),
    }


def mock_set(directory: Path) -> Path:
    """Make a mock set of eight small records in two shards, if it is not there."""
    import dataclasses

    target = dataclasses.replace(TARGET, name="small", cutout_px=16)
    mocks = MockSet(n_train=8, n_validation=0, n_test=0, shard_size=4)
    priors = Priors(field_px=128, mocks_per_field=4)
    return simulate(directory, target, priors, mocks, workers=1, progress=False)
