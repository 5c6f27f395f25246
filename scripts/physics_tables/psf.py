"""PSFs: empirical cores, TinyTim wings, and the scale that joins them."""

from __future__ import annotations

import io

import numpy as np
from astropy.io import fits

from physics_tables.inputs import Archive

NATIVE_PIXEL_ARCSEC = 0.0396  # WFC3/UVIS, mean of the two axes.
WING_PIXEL_ARCSEC = 0.04
CORE_OVERSAMPLING = 2
WING_HALF_WIDTH = 80  # 3.2 arcsec
TOTAL_FLUX_RADIUS_ARCSEC = 6.0
PSF_POSITIONS = 56
CORE_SIZE = 101
CORE_NORMALISATION_RADIUS_ARCSEC = 0.2
# Where data_tools.imaging.psf changes over from core to wings.
JOIN_ARCSEC = (0.28, 0.44)
# Flux of an F275W star within 0.40 arcsec of 6: STScI, encircled energies of
# drizzled UVIS1 images (wfc3uvis1_aper_007_syn.csv).
F275W_ENERGY_WITHIN_0_40_ARCSEC = 0.8651

# Pivot wavelengths of UVIS1 in Angstrom (the same table of STScI).
PIVOTS = {
    "F438W": 4326.2,
    "F475W": 4773.1,
    "F555W": 5308.4,
    "F625W": 6242.6,
    "F657N": 6566.6,
    "F775W": 7651.4,
    "F814W": 8039.1,
}
# Bands without PSF, and those that its core and its wings lie between.
BETWEEN = {
    "F475W": (("F438W", "F555W"), ("F438W", "F555W")),
    "F657N": (("F625W", "F775W"), ("F625W", "F814W")),
}


def read_empirical_psf(space_phot: Archive, band: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the (56, 101, 101) PSFs and their (56, 2) detector positions.

    Read raw: two of the files have no padding after END and astropy refuses
    them. Values of -0.1 mark the unused border row or column.
    """
    name = f"PSFSTD_WFC3UV_{band}.fits"
    data = space_phot.read("/" + name)
    cards = [data[k : k + 80].decode("ascii") for k in range(0, 2880, 80)]
    header = {}
    for card in cards:
        key, _, value = card.partition("=")
        header[key.strip()] = value.strip()
    shape = tuple(int(header[f"NAXIS{k}"]) for k in (3, 2, 1))
    if shape != (PSF_POSITIONS, CORE_SIZE, CORE_SIZE):
        raise ValueError(f"{name}: expected 56 PSFs of 101 x 101, received {shape}")
    values = np.frombuffer(data, ">f4", int(np.prod(shape)), 2880).reshape(shape)
    values = values.astype(float)
    values[values < -0.05] = 0.0
    columns = [float(header[f"IPSFX{k:02d}"]) for k in range(1, 8)]
    rows = [float(header[f"JPSFY{k:02d}"]) for k in range(1, 9)]
    return values, np.array([(x, y) for y in rows for x in columns])


def radii(shape: tuple[int, ...], step: float) -> np.ndarray:
    """Return distances from the middle pixel of an image, in units of step."""
    rows, columns = np.indices(shape)
    return step * np.hypot(rows - shape[0] // 2, columns - shape[1] // 2)


def read_wing(fresco: Archive, band: str) -> np.ndarray:
    """Return a TinyTim PSF cut around its star; all within 6 arcsec is 1."""
    raw = fresco.read(f"/wfc3_1_f{band[1:4]}w_big00.fits")
    with fits.open(io.BytesIO(raw)) as hdus:
        wing = hdus[0].data.astype(float)
    y, x = np.unravel_index(wing.argmax(), wing.shape)
    if (y, x) != (wing.shape[0] // 2, wing.shape[1] // 2):
        raise ValueError(
            f"TinyTim {band}: the star is at ({y}, {x}), not in the middle"
        )
    radius = radii(wing.shape, WING_PIXEL_ARCSEC)
    wing /= wing[radius <= TOTAL_FLUX_RADIUS_ARCSEC].sum()
    return wing


def join_scales(
    mean_core: np.ndarray, wing: np.ndarray, within: float, radius_arcsec: float
) -> tuple[float, float]:
    """Return what core and wings are multiplied by to hold a share of the light.

    Parameters
    ----------
    mean_core : array
        Core, summing to 1 within about 0.2 arcsec, at a quarter of the native pixel.
    wing : array
        Wings on pixels of 0.04 arcsec.
    within : float
        Share of the light in a circle; all within 6 arcsec is 1.
    radius_arcsec : float
        Radius of the circle.
    """
    parts = []
    for image, step, is_core in (
        (mean_core, NATIVE_PIXEL_ARCSEC / 4, True),
        (wing, WING_PIXEL_ARCSEC, False),
    ):
        radius = radii(image.shape, step)
        outer = np.clip((radius - JOIN_ARCSEC[0]) / np.ptp(JOIN_ARCSEC), 0.0, 1.0)
        outer = outer**2 * (3 - 2 * outer)
        weighted = image * (1 - outer if is_core else outer)
        limits = (radius_arcsec, TOTAL_FLUX_RADIUS_ARCSEC)
        parts.append([weighted[radius <= limit].sum() for limit in limits])
    core_scale, wing_scale = np.linalg.solve(np.array(parts).T, [within, 1.0])
    return float(core_scale), float(wing_scale)


def band_psf(
    band: str, space_phot: Archive, fresco: Archive
) -> tuple[np.ndarray, np.ndarray]:
    """Return the (56, 101, 101) cores and the wings of a band.

    What the sources lack is made from the nearest bands. The file of F475W's core
    is that of F555W, byte for byte, and F657N has none: core and wings of both lie
    between those of others, linearly in pivot wavelength. F275W has the wings of
    F336W.
    """
    if band in BETWEEN:
        of_core, of_wing = BETWEEN[band]
        core = between(
            band, of_core, [read_empirical_psf(space_phot, b)[0] for b in of_core]
        )
        wings = [read_wing(fresco, b) for b in of_wing]
        half = min(len(wing) for wing in wings) // 2
        return core, between(band, of_wing, [w[cut(w, half)] for w in wings])
    core, _ = read_empirical_psf(space_phot, band)
    return core, read_wing(fresco, "F336W" if band == "F275W" else band)


def between(
    band: str, neighbours: tuple[str, str], images: list[np.ndarray]
) -> np.ndarray:
    """Return an image between two, by the pivot wavelengths of their bands."""
    blue, red = (PIVOTS[b] for b in neighbours)
    share = (PIVOTS[band] - blue) / (red - blue)
    return (1 - share) * images[0] + share * images[1]


def cut(image: np.ndarray, half: int) -> tuple[slice, slice]:
    """Return the middle 2 half + 1 rows and columns of an image."""
    y, x = (n // 2 for n in image.shape)
    return slice(y - half, y + half + 1), slice(x - half, x + half + 1)


def psf_arrays(
    space_phot: Archive, fresco: Archive, names: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Return cores, wings and the scale that joins them.

    The core is in units of its flux within about 0.2 arcsec; the scale is the
    TinyTim encircled energy there (total = 1 within 6 arcsec) over the core's. For
    F275W, whose wings are another band's, both follow from the energy that STScI
    states.
    """
    cores, wings, scales = [], [], []
    for band in names:
        core, wing = band_psf(band, space_phot, fresco)
        inner = CORE_NORMALISATION_RADIUS_ARCSEC
        mean_core = core.mean(axis=0) / 16
        core_radius = radii(mean_core.shape, NATIVE_PIXEL_ARCSEC / 4)
        radius = radii(wing.shape, WING_PIXEL_ARCSEC)
        scale = wing[radius <= inner].sum() / mean_core[core_radius <= inner].sum()
        if band == "F275W":
            scale, raised = join_scales(
                mean_core, wing, F275W_ENERGY_WITHIN_0_40_ARCSEC, 0.40
            )
            wing = raised * wing
            print(f"  F275W: wings of F336W times {raised:.2f}", flush=True)
        wings.append(wing[cut(wing, WING_HALF_WIDTH)])
        # Every second sample, keeping the central one: 51 x 51, centre on 25.
        cores.append(core[:, ::2, ::2])
        scales.append(scale)
    # The other files give both chips' inner edges the same row, 2048.
    _, positions = read_empirical_psf(space_phot, "F336W")
    # Scaled so that float16 keeps its precision in the faint parts.
    unit = 4096.0
    return {
        "psf_core": (np.array(cores) * unit).astype(np.float16),
        "psf_wing": (np.array(wings) * unit).astype(np.float16),
        "psf_unit": np.array(unit),
        "psf_core_scale": np.array(scales),
        "psf_positions": positions,
        "psf_core_step_arcsec": np.array(NATIVE_PIXEL_ARCSEC / CORE_OVERSAMPLING),
        "psf_core_oversampling": np.array(CORE_OVERSAMPLING),
        "psf_pixel_arcsec": np.array(NATIVE_PIXEL_ARCSEC),
        "psf_wing_pixel_arcsec": np.array(WING_PIXEL_ARCSEC),
    }
