"""Which image of a file is taken for the science."""

import numpy as np
import pytest
from astropy.io import fits

from data_tools.mosaics.stored.extensions import check_once, find_science

SHAPE = (6, 8)
PATH = "file.fits"


def image(name, shape=SHAPE):
    return fits.ImageHDU(np.zeros(shape, "f4"), name=name)


def chosen(*names, path=PATH, primary=False):
    from pathlib import Path

    first = fits.PrimaryHDU(np.zeros(SHAPE, "f4") if primary else None)
    hdus = fits.HDUList([first, *(image(name) for name in names)])
    return next(i for i, h in enumerate(hdus) if h is find_science(hdus, Path(path)))


MAPS = ["WHT", "WEIGHT", "ERR", "RMS", "VAR_POISSON", "EXP", "CTX", "CON", "DQ", "MASK"]
MAPS += ["WTMAP", "WEIGHTMAP", "RESIDUAL", "SNR", "MODEL"]


@pytest.mark.parametrize("other", MAPS)
@pytest.mark.parametrize("science", ["SCI", "DRZ", "F336W", ""])
def test_a_map_that_comes_first_is_not_the_science(other, science):
    assert chosen(other, science) == 2
    assert chosen(science, other) == 1


def test_the_first_image_is_it_among_maps_of_it():
    assert chosen("WHT", "CTX", primary=True) == 0


def test_a_name_of_science_decides_between_several():
    assert chosen("F336W", "SCI") == 2
    assert chosen("RESULT", "DRZ", "WHT") == 2


@pytest.mark.parametrize(
    ("names", "primary", "found"),
    [
        (("", ""), False, r"extension 1 \(no name, 6 x 8\) and extension 2 \(no name"),
        (("F336W", "F814W"), False, r"1 \(F336W, 6 x 8\) and extension 2 \(F814W"),
        (("DRZ", "DRC"), False, r"1 \(DRZ, 6 x 8\) and extension 2 \(DRC"),
        (("",), True, r"extension 0 \(PRIMARY, 6 x 8\) and extension 1 \(no name"),
    ],
)
def test_two_images_that_can_be_meant_are_refused_by_name(names, primary, found):
    with pytest.raises(ValueError, match=f"^{PATH}: .*{found}.* call the extension"):
        chosen(*names, primary=primary)


@pytest.mark.parametrize("name", MAPS)
def test_a_file_of_a_map_alone_is_refused(name):
    with pytest.raises(ValueError, match=f"expected the science image, found .*{name}"):
        chosen(name)


@pytest.mark.parametrize("end", ["drz_wht.fits", "drc-ctx.fits.fz", "sci_err.fits.gz"])
def test_a_file_that_astrodrizzle_names_a_map_is_refused(end):
    with pytest.raises(ValueError, match="expected the science image"):
        chosen("", path=f"m83_f438w_{end}")


def test_two_chips_are_told_to_be_an_exposure():
    with pytest.raises(ValueError, match="found 2; give the drizzled mosaic"):
        chosen("SCI", "SCI")


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("CRVAL1", (204.25, 204.26)),
        ("CTYPE1", ("RA---TAN", "GLON-TAN")),
        ("CD1_1", (1e-5, -1e-5)),
        ("PHOTFLAM", (1e-18, 2e-18)),
        ("EXPTIME", (1000.0, 2000.0)),
    ],
)
def test_a_keyword_with_two_values_is_refused(key, values):
    header = fits.Header()
    for value in values:
        header.append((key, value))
    with pytest.raises(ValueError, match=rf"file.fits: expected {key} once .* and "):
        check_once(header, PATH)


def test_a_card_that_is_there_twice_alike_counts_once():
    header = fits.Header([("CRVAL1", 2.0), ("CRVAL1", 2.0), ("HISTORY", "a")])
    header.append(("HISTORY", "b"))
    check_once(header, PATH)
