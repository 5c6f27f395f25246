"""A mock mosaic: one large field with clusters whose parameters are known."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from data_tools.fields.galaxy_field import FieldMaker, GalaxyField
from data_tools.imaging.field_spectrum import LocalSpectra
from data_tools.imaging.render import Renderer
from data_tools.imaging.visibility import visibility
from data_tools.mocks.mock import MockMaker
from data_tools.mocks.mosaic_config import MosaicConfig
from data_tools.mosaics.mosaic import Mosaics, open_mosaics
from data_tools.mosaics.sky import to_icrs
from data_tools.priors import Priors
from data_tools.running.output import whole_path
from data_tools.running.replaced import check_replaced_in
from data_tools.running.seal import BLANK
from data_tools.running.table_file import write_table
from data_tools.schema import PARAMETER_NAMES, PARAMETERS
from data_tools.streams import streams
from data_tools.target import Target, njy_to_ab

TRUTH_FILE = "truth.ecsv"

#: Where the middle of the mosaic is put: the nucleus of M83, in degrees.
_MIDDLE_DEG = (204.2538, -29.8658)
#: Clusters whose stars are spread on the fine grid at once; bounds the memory.
_CLUSTERS_AT_ONCE = 16
#: Tries of finding a free place for a cluster before the mosaic counts as full.
_PLACE_TRIES = 1000


@dataclass(frozen=True)
class MockMosaic:
    """A mock mosaic in memory.

    Attributes
    ----------
    mosaics : Mosaics
        All bands, open; what `clusterkeras.detect` and `clusterkeras.infer` take.
    truth : Table
        The clusters: ``x`` and ``y`` (0-based pixels), ``ra`` and ``dec`` (deg), the
        parameters in their own units, ``log_snr`` (dex), and ``mag_<band>``, the AB
        magnitude of all of a cluster's light.
    images : tuple of PrimaryHDU
        One a band, as the files are written.
    """

    mosaics: Mosaics
    truth: Table
    images: tuple[fits.PrimaryHDU, ...]

    def write(self, directory: str | Path, *, overwrite: bool = False) -> None:
        """Write one FITS a band and ``truth.ecsv``.

        Parameters
        ----------
        directory : str or Path
            It is made; what was written there before is replaced.
        overwrite : bool
            Whether to write also over files that are not as this package wrote them,
            or into a directory with other files.

        Raises
        ------
        FileExistsError
            If something is there that may not be written over.
        """
        directory = check_replaced_in(
            directory, _files(self.mosaics.bands), overwrite=overwrite
        )
        directory.mkdir(parents=True, exist_ok=True)
        for band, image in zip(self.mosaics.bands, self.images, strict=True):
            with whole_path(directory / f"{band}.fits") as path:
                image.writeto(path)
        write_table(self.truth, directory / TRUTH_FILE)


def make_mosaic(
    target: Target,
    priors: Priors | None = None,
    config: MosaicConfig | None = None,
    output: str | Path | None = None,
    *,
    overwrite: bool = False,
    **settings: float,
) -> MockMosaic:
    """Make a mock mosaic, and the truth about its clusters.

    A synthetic field of the target is observed as the fields of a training set are;
    clusters with parameters from the target's box are put on it, with the noise of
    their own photons. The images are like drizzled HST mosaics in electrons / s, with
    PHOTFLAM, PHOTPLAM, exposure and WCS in the header.

    Parameters
    ----------
    target : Target
        Galaxy and instrument.
    priors : Priors, optional
        What the field is drawn from; `field_px` gives way to the mosaic's size.
    config : MosaicConfig, optional
        Size, number of clusters, seed.
    output : str or Path, optional
        Directory for one FITS a band and truth.ecsv.
    overwrite : bool
        Whether to write also over files that are not as this package wrote them, or
        into a directory with other files; see `data_tools.running.replaced`.
    **settings
        Of `MosaicConfig`, in place of those of `config`.

    Returns
    -------
    MockMosaic
        The mosaics in memory, and the truth.

    Raises
    ------
    TypeError
        If a setting is none of `MosaicConfig`, or the target is only named.
    ValueError
        If so many clusters do not fit at that separation, or an output is a file of
        the target.
    FileExistsError
        If something is there that may not be written over.

    Examples
    --------
    >>> from data_tools import Target, make_mosaic
    >>> galaxy = make_mosaic(Target.load("m83-wfc3-uvis"), size_px=192, n=2, seed=1)
    >>> galaxy.mosaics.bands, galaxy.mosaics.shape, len(galaxy.truth)
    (('F336W', 'F438W', 'F814W'), (192, 192), 2)
    """
    if not isinstance(target, Target):
        raise TypeError(
            f"make_mosaic: expected a Target, as Target.load gives one by name; "
            f"received {target!r}"
        )
    config = dataclasses.replace(config or MosaicConfig(), **settings)
    priors = priors or Priors()
    if output is not None:
        inputs = (*target.psf.values(), target.isochrones)
        check_replaced_in(
            output, _files(target.band_names), inputs, overwrite=overwrite
        )
    rng = np.random.default_rng(config.seed)
    x, y = _places(config, rng)
    parameters = _parameters(target, config, rng)
    maker = MockMaker(target, priors)
    fields = FieldMaker(target, dataclasses.replace(priors, field_px=config.size_px))
    own = config.field_seed
    field = fields.make(rng if own is None else np.random.default_rng(own))
    light, log_snr, magnitude = _clusters(maker, field, x, y, parameters, rng)
    light = field.observation.saturated(light, field.image)
    image = field.image + light + field.observation.noise(light, rng)

    wcs = _wcs(config.size_px, target.pixel_scale_arcsec)
    images = _images(image, field, wcs, target)
    truth = _truth(x, y, wcs, parameters, log_snr)
    for band, values in zip(target.band_names, magnitude.T, strict=True):
        name = f"mag_{band}"
        truth[name] = values
        truth[name].unit = "mag"
        truth[name].description = f"AB magnitude of all of the cluster in {band}"
    truth.meta.update(
        target=target.name, seed=config.seed, field=_plain(field.properties)
    )
    mosaics = open_mosaics(
        [fits.HDUList([hdu]) for hdu in images],
        target.band_names,
        target.pixel_scale_arcsec,
    )
    made = MockMosaic(mosaics, truth, images)
    if output is not None:
        made.write(output, overwrite=overwrite)
    return made


def _files(bands: Sequence[str]) -> list[str]:
    return [*(f"{band}.fits" for band in bands), TRUTH_FILE]


def _images(
    image: np.ndarray, field: GalaxyField, wcs: WCS, target: Target
) -> tuple[fits.PrimaryHDU, ...]:
    """Return what is written of each band of an image (rows, columns, bands) in nJy."""
    images = []
    for i, band in enumerate(target.bands):
        header = wcs.to_header()
        header["FILTER"] = band.name
        header["PHOTFLAM"] = (band.photflam, "erg / (cm2 Angstrom electron)")
        header["PHOTPLAM"] = (band.photplam, "pivot wavelength, Angstrom")
        header["EXPTIME"] = band.njy_per_electron_s / field.observation.electron_njy[i]
        header["NCOMBINE"] = band.n_exposures
        header["BUNIT"] = "ELECTRONS/S"
        header["OBJECT"] = f"mock of {target.name}"
        header["SEAL"] = BLANK
        pixels = (image[..., i] / band.njy_per_electron_s).astype(np.float32)
        images.append(fits.PrimaryHDU(pixels, header))
    return tuple(images)


def _places(
    config: MosaicConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw places that keep their distance, (n,) x and y in pixels."""
    low, high = config.edge_px, config.size_px - 1 - config.edge_px
    places = np.empty((0, 2))
    for _ in range(_PLACE_TRIES * config.clusters):
        if len(places) == config.clusters:
            break
        place = rng.uniform(low, high, 2)
        distance = np.hypot(*(places - place).T)
        if not (distance < config.min_separation_px).any():
            places = np.vstack([places, place])
    else:
        raise ValueError(
            f"mosaic: only {len(places)} of {config.clusters} clusters fit on "
            f"{config.size_px} px at {config.min_separation_px} px from each other; "
            "ask for fewer, closer together, or a larger mosaic"
        )
    return places[:, 0], places[:, 1]


def _parameters(
    target: Target, config: MosaicConfig, rng: np.random.Generator
) -> np.ndarray:
    """Draw parameters (n, P) from the box: powers of mass and age, all else flat."""
    slopes = {"log_mass": config.mass_slope, "log_age": config.age_slope}
    columns = []
    for name in PARAMETER_NAMES:
        low, high = target.box[name]
        value = rng.uniform(low, high, config.clusters)
        # in the logarithm the density goes as exp(rate * value)
        rate = (slopes.get(name, -1.0) + 1) * np.log(10)
        if rate:
            share = (value - low) / (high - low)
            value = low + np.log1p(share * np.expm1(rate * (high - low))) / rate
        columns.append(value)
    return np.column_stack(columns)


def _clusters(
    maker: MockMaker,
    field: GalaxyField,
    x: np.ndarray,
    y: np.ndarray,
    parameters: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the noise-free light of all clusters, visibility and magnitudes of each.

    That of the associations they were born in comes with them, in the light alone.
    """
    target, size = maker.target, len(field.image)
    canvas = Renderer(size)
    cutout = Renderer(target.cutout_px, 0)
    seen = field.observation
    cutout_psf = cutout.filters(seen.psf(target, cutout.grid))
    half = target.cutout_px // 2
    spectra = LocalSpectra(
        lambda *window: field.image[window], field.image.shape[:2], target.cutout_px
    )
    source = np.float32(0)
    log_snr, flux = np.empty(len(x)), np.empty((len(x), len(target.bands)))
    for first in range(0, len(x), _CLUSTERS_AT_ONCE):
        chunk = range(first, min(first + _CLUSTERS_AT_ONCE, len(x)))
        star_x, star_y, star_flux = [], [], []
        for i in chunk:
            cluster = maker.clusters.draw(parameters[i], rng)
            star_x.append(x[i] + cluster.x)
            star_y.append(y[i] + cluster.y)
            star_flux.append(cluster.flux)
            # as in a training set: on the cutout whose middle is nearest
            column = int(np.clip(np.floor(x[i]) - half + 1, 0, size - 2 * half))
            row = int(np.clip(np.floor(y[i]) - half + 1, 0, size - 2 * half))
            flux[i] = cluster.flux.sum(axis=0)
            sought = cluster.expected
            alone = cutout.draw(
                x[i] - column + sought.x, y[i] - row + sought.y, sought.flux, cutout_psf
            )
            log_snr[i] = visibility(alone, spectra.at(x[i], y[i]), seen.electron_njy)
            around = maker.surroundings.draw(
                streams(rng, 1)[0], cluster, parameters[i], unrelated=False
            )
            if around is not None:
                star_x.append(x[i] + around.x)
                star_y.append(y[i] + around.y)
                star_flux.append(around.flux)
        source = source + canvas.source_grid(
            np.concatenate(star_x), np.concatenate(star_y), np.concatenate(star_flux)
        )
    with np.errstate(divide="ignore"):
        magnitude = njy_to_ab(flux)
    return canvas.convolve(source, seen.psf(target, canvas.grid)), log_snr, magnitude


def _wcs(size_px: int, pixel_scale_arcsec: float) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.crval = _MIDDLE_DEG
    wcs.wcs.crpix = [(size_px + 1) / 2, (size_px + 1) / 2]
    wcs.wcs.cdelt = [-pixel_scale_arcsec / 3600, pixel_scale_arcsec / 3600]
    return wcs


def _truth(
    x: np.ndarray,
    y: np.ndarray,
    wcs: WCS,
    parameters: np.ndarray,
    log_snr: np.ndarray,
) -> Table:
    ra, dec = to_icrs(wcs, x, y)
    truth = Table(
        {"id": np.arange(len(x)), "x": x, "y": y, "ra": ra, "dec": dec},
        units={"x": "pix", "y": "pix", "ra": "deg", "dec": "deg"},
        descriptions={
            "id": "number of the cluster",
            "x": "0-based column of the centre",
            "y": "0-based row of the centre",
            "ra": "right ascension (ICRS) of the centre",
            "dec": "declination (ICRS) of the centre",
        },
    )
    for i, parameter in enumerate(PARAMETERS):
        truth[parameter.name] = parameters[:, i]
        truth[parameter.name].unit = parameter.unit
        truth[parameter.name].description = parameter.description
    truth["log_snr"] = log_snr
    truth["log_snr"].unit = "dex"
    truth["log_snr"].description = "visibility: log10 S/N on the field"
    return truth


def _plain(properties: dict[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in properties.items()}
