"""Compare synthetic fields with real mosaics; draw docs/images/fields.png.

Regions of the mosaics are set beside the fields, of many drawn from the default prior,
that come nearest to them in surface brightness and in the number of bright stars: pixel
histogram, power spectrum, and star counts, all measured by the same code.

Example:
  .venv/bin/python docs/images/make_fields.py MOSAICS docs/images/fields.png
where MOSAICS/ holds one FITS file for each band, f438w and f814w in their names.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from photutils.aperture import (
    ApertureStats,
    CircularAnnulus,
    CircularAperture,
    aperture_photometry,
)
from photutils.detection import DAOStarFinder
from PIL import Image

from data_tools.fields.galaxy_field import FieldMaker
from data_tools.mosaics.mosaic import open_mosaics
from data_tools.pictures.colours import Scale, as_rgb, colour_planes, scale_of
from data_tools.priors import Priors
from data_tools.target import Target, njy_to_ab

SIDE = 512
BANDS = {"F438W": "#20639b", "F814W": "#c8553d"}
#: Pivot wavelengths in Angstrom, and the mosaics' pixel in arcsec.
PIVOTS, PIXEL_SCALE = (4326.2, 8029.5), 0.0396
#: First pixel (row, column) of each region of the M83 mosaics' preview.
REGIONS = {"arm": (0, 256), "between arms": (128, 1088), "bulge": (1280, 1280)}
#: Stars are counted down to these AB magnitudes when fields are matched to a region.
BRIGHT = {"F438W": 26.0, "F814W": 25.0}
NEAREST = 6
MAGNITUDES = np.arange(21.0, 28.1, 0.5)
WAVENUMBERS = np.geomspace(2 / SIDE, 0.5, 19)
WAVES = np.sqrt(WAVENUMBERS[1:] * WAVENUMBERS[:-1])
#: Wavenumbers in cycles per pixel that the table shows.
SHOWN = (0.01, 0.05, 0.2)
LIGHT = np.concatenate([np.arange(-30, 20, 2), np.geomspace(20, 100, 10)])


@dataclasses.dataclass(frozen=True)
class Region:
    """What is compared of one region, for each of BANDS.

    Attributes
    ----------
    image : (side, side, 2) ndarray
        nJy per pixel.
    threshold : (2,) ndarray
        Height in nJy per pixel above which peaks are stars.
    height : (2,) ndarray
        Height in nJy per pixel that pixels are cut down to for the power spectrum.
    magnitudes : list of ndarray
        AB magnitude of each star.
    """

    image: np.ndarray
    threshold: np.ndarray
    height: np.ndarray
    magnitudes: list[np.ndarray]

    @property
    def summary(self) -> np.ndarray:
        """log10 of the surface brightness in F814W and of bright stars' numbers."""
        bright = [
            (m < limit).sum()
            for m, limit in zip(self.magnitudes, BRIGHT.values(), strict=True)
        ]
        return np.log10([np.median(self.image[..., 1]), *np.add(bright, 1)])


def scatter(image: np.ndarray) -> float:
    """Return the standard deviation of the pixels, robust against stars."""
    return 1.4826 * np.median(np.abs(image - np.median(image)))


def star_magnitudes(image: np.ndarray, threshold: float) -> np.ndarray:
    """Find stars and give their AB magnitudes within 2.5 pixels of their middle."""
    found = DAOStarFinder(threshold, fwhm=2.2)(image - np.median(image))
    if found is None:
        return np.empty(0)
    places = np.column_stack([found["x_centroid"], found["y_centroid"]])
    aperture = CircularAperture(places, 2.5)
    ground = ApertureStats(image, CircularAnnulus(places, 6.0, 10.0)).median
    flux = aperture_photometry(image, aperture)["aperture_sum"]
    flux = np.asarray(flux) - ground * aperture.area
    return njy_to_ab(flux[flux > 0])


def measure(image: np.ndarray, like: Region | None = None) -> Region:
    """Measure a region, with the thresholds of another if given."""
    image = image.astype(float)
    bands = [image[..., b] for b in range(image.shape[-1])]
    if like:
        threshold, height = like.threshold, like.height
    else:
        threshold = np.array([5 * scatter(b) for b in bands])
        height = np.array([np.percentile(b, 99.5) - np.median(b) for b in bands])
    stars = [star_magnitudes(b, t) for b, t in zip(bands, threshold, strict=True)]
    return Region(image, threshold, height, stars)


def power_spectrum(image: np.ndarray, height: float) -> np.ndarray:
    """Return the power in nJy2 at WAVENUMBERS' bins, mean over angle, edges tapered.

    What stands higher above the median than `height` is cut down to it, or the
    spectrum would be that of the few brightest stars.
    """
    image = np.minimum(image - np.median(image), height)
    taper = np.hanning(len(image))
    taper = taper[:, None] * taper
    wave = np.fft.fft2((image - image.mean()) * taper)
    power = np.abs(wave) ** 2 / (taper**2).sum()
    frequency = np.fft.fftfreq(len(image))
    number = np.hypot(frequency[:, None], frequency).ravel()
    total, _ = np.histogram(number, WAVENUMBERS, weights=power.ravel())
    return total / np.histogram(number, WAVENUMBERS)[0]


def draw_fields(n: int, seed: int) -> list:
    """Draw fields from the default prior, at the target's own exposure."""
    target = Target.load("m83-wfc3-uvis")
    priors = Priors(field_px=SIDE, exposure_factor=(0.0, 0.0), sky_residual=0.0)
    maker = FieldMaker(target, priors)
    return [maker.make(np.random.default_rng([seed, i])) for i in range(n)]


def picture(image: np.ndarray, scale: Scale | None = None) -> tuple[np.ndarray, Scale]:
    """Return a picture, F814W red and F438W blue, and its scale if none is given."""
    planes = colour_planes(image[None], PIVOTS)
    scale = scale or scale_of(planes[0])
    return as_rgb(planes, scale)[0], scale


def draw(
    regions: dict[str, Region], nearest: dict[str, list[Region]], pixels: bool
) -> Figure:
    """Draw a row for each region: pictures, histogram, spectrum, counts."""
    columns = 5
    size = (3.4 * columns, 3.3 * len(regions))
    figure = Figure(figsize=size, dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    for row, (name, real) in zip(
        figure.subplots(len(regions), columns), regions.items(), strict=True
    ):
        # of the real one, so that all three can be compared
        _, scale = picture(real.image)
        pictures = [("synthetic", r) for r in nearest[name][:2]]
        if pixels:
            pictures[0] = ("real", real)
        for ax, (words, region) in zip(row, pictures, strict=False):
            ax.imshow(picture(region.image, scale)[0], origin="lower")
            ax.set_title(f"{name}: {words}", fontsize=12)
            bar = 5 / PIXEL_SCALE
            ax.plot([20, 20 + bar], [20, 20], color="white", linewidth=3)
            ax.text(20, 30, "5″", color="white", fontsize=11)
            ax.set_axis_off()
        histogram, spectrum, counts = row[-3:]
        for band, colour in enumerate(BANDS.values()):
            for region, style in (
                *((r, {"lw": 0.7, "alpha": 0.6}) for r in nearest[name]),
                (real, {"lw": 2.2}),
            ):
                style = {"color": colour, **style}
                light = region.image[..., band]
                density, _ = np.histogram(light - np.median(light), LIGHT, density=True)
                histogram.stairs(np.maximum(density, 1e-7), LIGHT, **style)
                middle = np.sqrt(WAVENUMBERS[1:] * WAVENUMBERS[:-1])
                spectrum.loglog(
                    middle, power_spectrum(light, real.height[band]), **style
                )
                number, _ = np.histogram(region.magnitudes[band], MAGNITUDES)
                counts.stairs(np.maximum(number, 0.5), MAGNITUDES, **style)
        histogram.set(yscale="log", ylim=(1e-6, 1), xlabel="nJy/px above the median")
        spectrum.set(xlabel="wavenumber [1/px]")
        counts.set(yscale="log", xlabel="AB magnitude within 2.5 px")
    top = figure.axes[columns - 3 : columns]
    for ax, words in zip(
        top, ("share of pixels", "power [nJy$^2$]", "stars in 0.5 mag"), strict=True
    ):
        ax.set_title(words, fontsize=12)
    for band, colour in BANDS.items():
        top[1].plot([], [], color=colour, lw=2.2, label=f"{band} real")
        top[1].plot([], [], color=colour, lw=0.7, label=f"{band} synthetic")
    top[1].legend(fontsize=9, loc="lower left")
    return figure


def logarithms(region: Region, band: int, height: float) -> np.ndarray:
    """Return log10 of what the table compares of a region in a band."""
    light = region.image[..., band]
    power = np.log(power_spectrum(light, height))
    limits = list(BRIGHT.values())[band] - np.array([2, 1, 0])
    values = [
        np.median(light),
        scatter(light),
        np.percentile(light, 99) - np.median(light),
        *np.exp([np.interp(np.log(k), np.log(WAVES), power) for k in SHOWN]),
        *((region.magnitudes[band] < limit).sum() + 0.5 for limit in limits),
    ]
    return np.log10(values)


def report(name: str, real: Region, nearest: list[Region], drawn: list[dict]) -> None:
    """Print, as rows of a table, how real and synthetic differ in dex.

    The real region less the mean synthetic field, and these fields' scatter.
    """
    for key in drawn[0]:
        values = [d[key] for d in drawn]
        print(f"{name}: {key} {min(values):.3g} to {max(values):.3g}")
    for band, filter_name in enumerate(BANDS):
        height = real.height[band]
        fields = np.array([logarithms(r, band, height) for r in nearest])
        off = logarithms(real, band, height) - fields.mean(0)
        cells = [f"{d:+.2f} ± {s:.2f}" for d, s in zip(off, fields.std(0), strict=True)]
        print(f"| {name} | {filter_name} | " + " | ".join(cells) + " |")


def main() -> None:
    """Read the mosaics, draw fields, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mosaics", type=Path, help="directory of the real FITS files")
    parser.add_argument("output", type=Path, help="PNG to write")
    parser.add_argument("--fields", type=int, default=200, help="fields to draw")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--pixels", action="store_true", help="show the real regions themselves"
    )
    arguments = parser.parse_args()

    paths = [next(arguments.mosaics.glob(f"*{b.lower()}*.fits")) for b in BANDS]
    with open_mosaics(paths, tuple(BANDS), PIXEL_SCALE) as mosaics:
        regions = {
            name: measure(
                mosaics.cutout(
                    column + SIDE / 2 - 0.5, row + SIDE / 2 - 0.5, SIDE
                ).filled()
            )
            for name, (row, column) in REGIONS.items()
        }
    fields = draw_fields(arguments.fields, arguments.seed)
    nearest = {}
    for name, real in regions.items():
        measured = [measure(f.image[..., 1:], real) for f in fields]
        distance = [np.hypot.reduce(m.summary - real.summary) for m in measured]
        best = np.argsort(distance)[:NEAREST]
        nearest[name] = [measured[i] for i in best]
        print(f"{name}: {distance[best[0]]:.2f} to {distance[best[-1]]:.2f} dex away")
        report(name, real, nearest[name], [fields[i].properties for i in best])
    canvas = draw(regions, nearest, arguments.pixels).canvas
    canvas.draw()
    # 256 colours make the file almost three times smaller
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    image.quantize(256).save(arguments.output, optimize=True)


if __name__ == "__main__":
    main()
