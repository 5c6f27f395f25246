"""What tests of both packages need: HST-like FITS files with the pixels they choose."""

import numpy as np
import pytest
from astropy.io import fits

from data_tools.target import Target


@pytest.fixture(scope="session")
def m83():
    """Give the target that ships."""
    return Target.load("m83-wfc3-uvis")


@pytest.fixture(scope="session")
def write_band(m83):
    """Give a function that writes one band in electrons/s and returns its path."""

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
