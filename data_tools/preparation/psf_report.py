"""PSFs made from a mosaic's stars: files, a picture, and how a target names them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from data_tools.imaging.psf import OVERSAMPLING, fwhm_px
from data_tools.mosaics.stored.extensions import files_of
from data_tools.preparation.psf_from_stars import (
    GOOD_STARS,
    StarPsf,
    encircled_energy,
    psf_from_stars,
    write_psf,
)
from data_tools.preparation.star_selection import StarSelection
from data_tools.running.output import whole_path
from data_tools.running.replaced import check_replaced_in
from data_tools.running.seal import PICTURE_METADATA
from data_tools.target import Target

PICTURE = "psf.png"

#: Half side of a PSF in the picture, and the largest radius of its curve, in arcsec.
_SHOWN_ARCSEC = 0.6
_TICKS_ARCSEC = (-0.5, 0, 0.5)
_CURVE_ARCSEC = 1.0
#: Radii of the printed encircled energies, in arcsec: the core, and nearly all.
_PRINTED_ARCSEC = (0.12, 0.40)


def make_psfs(
    images: Sequence[str | Path],
    target: Target,
    output: str | Path,
    selection: StarSelection,
    *,
    overwrite: bool = False,
) -> list[str]:
    """Build PSFs from stars, write one FITS file a band and a picture of all.

    Parameters
    ----------
    images : sequence of str or Path
        One FITS mosaic a band, in the target's order.
    target : Target
        Bands and pixel scale.
    output : str or Path
        Directory for one FITS PSF a band and a picture; what was written there before
        is replaced.
    selection : StarSelection
        Which stars.
    overwrite : bool
        Whether to write also over files that are not as this package wrote them, or
        into a directory with other files; see `data_tools.running.replaced`.

    Returns
    -------
    list of str
        What was made, and the lines of the target's YAML file that name it.

    Raises
    ------
    FileNotFoundError, ValueError
        As `data_tools.preparation.psf_from_stars.psf_from_stars`; or if an output is
        what is read.
    FileExistsError
        If something is there that may not be written over.
    """
    output = check_replaced_in(
        output,
        (*(f"{band}.fits" for band in target.band_names), PICTURE),
        files_of(images),
        overwrite=overwrite,
    )
    psfs = psf_from_stars(images, target, selection)
    output.mkdir(parents=True, exist_ok=True)
    paths = [output / f"{psf.band}.fits" for psf in psfs]
    for psf, source, path in zip(psfs, images, paths, strict=True):
        write_psf(psf, target, source, path)
    figure = draw(psfs, target.pixel_scale_arcsec)
    with whole_path(output / PICTURE) as unfinished:
        figure.savefig(unfinished, dpi=120, metadata=PICTURE_METADATA)

    lines = [_line(psf, target.pixel_scale_arcsec) for psf in psfs]
    files = ", ".join(f"{p.band}: {path}" for p, path in zip(psfs, paths, strict=True))
    none = ", ".join(f"{psf.band}: [0, 0]" for psf in psfs)
    return [
        *lines,
        f"wrote {', '.join(p.name for p in paths)} and {PICTURE}: {output}",
        "the target's YAML file names them:",
        f"  psf: {{{files}}}",
        "they are as wide as the mosaic shows stars, so no blur is to be added:",
        f"  --priors.drizzle_blur_px '{{{none}}}'",
    ]


def _line(psf: StarPsf, pixel_scale_arcsec: float) -> str:
    def both(measure: str, own: float, shipped: float) -> str:
        return f"{measure} {own:.3f} (shipped {shipped:.3f})"

    parts = [both("FWHM px", fwhm_px(psf.image), fwhm_px(psf.shipped))]
    for radius in _PRINTED_ARCSEC:
        shares = (
            encircled_energy(image, radius, pixel_scale_arcsec)
            for image in (psf.image, psf.shipped)
        )
        parts.append(both(f'within {radius:.2f}"', *shares))
    few = "" if psf.n_stars >= GOOD_STARS else ", which are few"
    return f"{psf.band}: {psf.n_stars} stars{few}; {'; '.join(parts)}"


def draw(psfs: Sequence[StarPsf], pixel_scale_arcsec: float) -> Figure:
    """Draw each band's PSF beside the shipped one, and their encircled energies.

    Parameters
    ----------
    psfs : sequence of StarPsf
        A row each.
    pixel_scale_arcsec : float
        Of the mosaic.
    """
    figure = Figure(figsize=(10, 3.2 * len(psfs)), layout="constrained")
    FigureCanvasAgg(figure)
    step = pixel_scale_arcsec / OVERSAMPLING
    reach = round(_SHOWN_ARCSEC / step)
    extent = (reach + 0.5) * step
    radii = np.linspace(0.02, _CURVE_ARCSEC, 50)
    for row, psf in zip(figure.subplots(len(psfs), 3), psfs, strict=True):
        norm = LogNorm(1e-4 * psf.image.max(), psf.image.max())
        pictures = {
            f"{psf.band}, {psf.n_stars} stars": psf.image,
            f"{psf.band}, shipped": psf.shipped,
        }
        for axes, (title, image) in zip(row, pictures.items(), strict=False):
            middle = len(image) // 2
            part = slice(middle - reach, middle + reach + 1)
            axes.imshow(
                np.maximum(image[part, part], norm.vmin),
                norm=norm,
                origin="lower",
                extent=(-extent, extent, -extent, extent),
                cmap="magma",
            )
            axes.set(title=title, xlabel="x [arcsec]", ylabel="y [arcsec]")
            axes.set(xticks=_TICKS_ARCSEC, yticks=_TICKS_ARCSEC)
            share = [encircled_energy(image, r, pixel_scale_arcsec) for r in radii]
            # mostly one over the other
            dashes = "-" if image is psf.image else "--"
            row[2].plot(radii, share, dashes, label=title)
        row[2].set(xlabel="radius [arcsec]", ylabel="encircled energy", ylim=(0, 1))
        row[2].legend(loc="lower right", frameon=False)
        row[2].grid(alpha=0.3)
    return figure
