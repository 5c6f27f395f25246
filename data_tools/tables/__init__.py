"""The tables of stellar and PSF physics that ship with the package.

They are built by ``scripts/build_tables.py``; ``PROVENANCE.md`` beside them says
where each number comes from. Here are photometry and PSFs, in ``stellar_models`` the
stars. Nothing here computes photometry: see
``data_tools.stars.evolution.isochrones`` and
``data_tools.imaging.psf``.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable

import numpy as np

SCHEMA_VERSION = 2

#: Bands of each file. The first also holds all that does not depend on the band;
#: another is read only where one of its bands is asked for.
FILES = {
    "wfc3_uvis.npz": ("F336W", "F438W", "F814W"),
    "wfc3_uvis_extra.npz": ("F275W", "F475W", "F555W", "F657N"),
}

#: Attributes with an axis of bands, and which axis it is.
_BAND_AXES = {
    "pivot": 0,
    "vega_ab": 0,
    "photflam": 0,
    "sun_vega": 0,
    "bc": -1,
    "extinction": -1,
    "r_v_change": -1,
    "psf_core": 0,
    "psf_core_scale": 0,
    "psf_wing": 0,
}


@dataclass(frozen=True)
class Tables:
    """The shipped tables, ready to use. Arrays are read-only.

    Attributes
    ----------
    bands : tuple of str
        Names of the bands asked for, in the order of every axis called ``bands``.
    laws : tuple of str
        Names of the extinction laws, in the order of the axis ``laws``.
    pivot : ndarray, shape (bands,)
        Pivot wavelength, in Angstrom.
    vega_ab : ndarray, shape (bands,)
        AB magnitude of Vega: m_AB = m_Vega + vega_ab.
    photflam : ndarray, shape (bands,)
        F_lambda for one electron a second, in erg/s/cm2/Angstrom, from the
        throughput. For synthetic images only: a real image states its own.
    sun_vega : ndarray, shape (bands,)
        Absolute Vega magnitude of the Sun (CALSPEC spectrum).
    bc_log_teff, bc_log_g : ndarray, shape (temperatures,) and (gravities,)
        Nodes of the two grids below.
    bc : ndarray, shape (temperatures, gravities, bands)
        Bolometric correction: M_Vega = 4.74 - 2.5 log L - bc, in mag.
    extinction : ndarray, shape (laws, temperatures, gravities, bands)
        A_band / A_V at R_V = 3.1 and A_V = 1.
    r_v : ndarray, shape (laws, nodes)
        Values of R_V, rising, from the lowest to the highest that a law states.
    r_v_change : ndarray, shape (laws, nodes, 2, bands)
        Shift and slope: at that R_V, A_band / A_V = shift + slope times that at 3.1.
    psf_core : ndarray, shape (bands, 56, 51, 51), float32
        Fraction of the flux within about 0.2 arcsec that falls in one native
        pixel centred at this offset; samples are ``psf_core_step_arcsec``
        apart, so every second one along each axis adds up to encircled flux.
        The star is at [25, 25]; first axis of an image is y.
    psf_core_scale : ndarray, shape (bands,)
        What turns ``psf_core`` into the fraction of all the flux.
    psf_wing : ndarray, shape (bands, 161, 161), float32
        Fraction of the flux within 6 arcsec that falls in one pixel of
        ``psf_wing_pixel_arcsec``; the star is at [80, 80].
    psf_positions : ndarray, shape (56, 2)
        Detector x, y of each core, in pixels.
    psf_core_step_arcsec, psf_pixel_arcsec, psf_wing_pixel_arcsec : float
        Sampling step of the core, native pixel, pixel of the wings.
    psf_core_oversampling : int
        Core samples per native pixel, along an axis.

    Notes
    -----
    Core and wings join well with the core inside 0.2 arcsec, the wings outside
    0.4 and a linear change between: the encircled energies at 0.12 and 0.40
    arcsec are then 0.778/0.903, 0.786/0.912 and 0.723/0.912, against 0.776/0.904,
    0.783/0.911 and 0.719/0.911 of an independent reduction.
    """

    bands: tuple[str, ...]
    laws: tuple[str, ...]
    pivot: np.ndarray
    vega_ab: np.ndarray
    photflam: np.ndarray
    sun_vega: np.ndarray
    bc_log_teff: np.ndarray
    bc_log_g: np.ndarray
    bc: np.ndarray
    extinction: np.ndarray
    r_v: np.ndarray
    r_v_change: np.ndarray
    psf_core: np.ndarray
    psf_core_scale: np.ndarray
    psf_wing: np.ndarray
    psf_positions: np.ndarray
    psf_core_step_arcsec: float
    psf_pixel_arcsec: float
    psf_wing_pixel_arcsec: float
    psf_core_oversampling: int

    def law_index(self, law: str) -> int:
        """Return where this extinction law is along the law axis.

        Raises
        ------
        ValueError
            If the law is not in the table.
        """
        if law not in self.laws:
            raise ValueError(
                f"extinction law must be one of {', '.join(self.laws)}; received "
                f"{law!r}."
            )
        return self.laws.index(law)


def table_files(bands: tuple[str, ...]) -> list[Traversable]:
    """Return the files that hold what these bands need.

    Parameters
    ----------
    bands : tuple of str
        Names of bands.

    Raises
    ------
    ValueError
        If a band is in no file.
    """
    known = [band for held in FILES.values() for band in held]
    unknown = [band for band in bands if band not in known]
    if unknown:
        raise ValueError(
            f"the tables hold the bands {', '.join(sorted(known))}; received "
            f"{', '.join(unknown)}. Add them to scripts/build_tables.py and build "
            "the tables again."
        )
    first, *others = FILES
    wanted = [first, *(name for name in others if set(FILES[name]) & set(bands))]
    return [table_file(name) for name in wanted]


def table_file(name: str) -> Traversable:
    """Return a file of this folder, which may be missing."""
    return resources.files(__name__).joinpath(name)


def nebula_file() -> Traversable:
    """Return the file of the light of ionised gas; see ``NEBULA.md`` beside it."""
    return table_file("nebula.npz")


def read_arrays(file: Traversable) -> dict[str, np.ndarray]:
    """Return the arrays of a table as they are stored.

    Raises
    ------
    FileNotFoundError
        If the package was installed without it.
    ValueError
        If it was written for another version of this package.
    """
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} is missing: the package was installed without this table. "
            "Install it again, or make the table with scripts/build_tables.py."
        )
    with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    version = int(arrays.pop("schema_version", -1))
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"{file.name} has table schema {version}, this code reads "
            f"{SCHEMA_VERSION}. "
            "Make the table again with scripts/build_tables.py."
        )
    return arrays


@lru_cache(maxsize=len(FILES))
def _read(file: Traversable) -> dict[str, np.ndarray]:
    """Return the arrays of one file of bands, in units of their own and read-only."""
    arrays = read_arrays(file)
    unit = np.float32(arrays.pop("psf_unit"))
    for psf in ("psf_core", "psf_wing"):
        arrays[psf] = arrays[psf].astype(np.float32) / unit
    for array in arrays.values():
        array.setflags(write=False)
    return arrays


@lru_cache(maxsize=16)
def load_tables(bands: tuple[str, ...] = FILES["wfc3_uvis.npz"]) -> Tables:
    """Load the shipped tables for some bands, once per process.

    Parameters
    ----------
    bands : tuple of str
        Bands wanted, in this order.

    Returns
    -------
    Tables
        Dequantised, read-only arrays; what does not depend on the band is shared
        between calls.

    Raises
    ------
    ValueError
        If a band is in no table, or a table was written for another version of
        this module.
    FileNotFoundError
        If a table is missing.
    """
    parts = [_read(file) for file in table_files(bands)]
    stored = [band for part in parts for band in part["bands"].tolist()]
    order = [stored.index(band) for band in bands]
    fields: dict[str, object] = {
        name: array.item() if array.ndim == 0 else array
        for name, array in parts[0].items()
    }
    for name, axis in _BAND_AXES.items():
        joined = np.concatenate([part[name] for part in parts], axis=axis)
        fields[name] = joined.take(order, axis=axis)
        fields[name].setflags(write=False)
    fields["bands"] = tuple(bands)
    fields["laws"] = tuple(parts[0]["laws"].tolist())
    return Tables(**fields)
