"""PSFs in files: a user's own, STScI's stacks, TinyTim's."""

import numpy as np
import pytest
from astropy.io import fits

from data_tools.imaging.psf import OVERSAMPLING, psf_image
from data_tools.tables import load_tables

PIXEL = 0.0396


def write_psf(path, data, **header):
    fits.PrimaryHDU(np.asarray(data, np.float32), fits.Header(header)).writeto(path)
    return str(path)


def gaussian(side, sigma):
    axis = np.arange(side) - side // 2
    return np.exp(-0.5 * (axis[:, None] ** 2 + axis**2) / sigma**2)


def width_px(image):
    """Root mean square of x, in pixels of the mosaic."""
    axis = (np.arange(len(image)) - len(image) // 2) / OVERSAMPLING
    return np.sqrt(image.sum(0) @ axis**2 / image.sum())


def test_own_psf_replaces_the_shipped_one_and_is_normalised(tmp_path):
    path = write_psf(tmp_path / "psf.fits", 7.0 * gaussian(101, 6.0), OVERSAMP=4)
    image = psf_image(path, "F336W", 0, 128, PIXEL)
    assert np.isclose(image.sum() / OVERSAMPLING**2, 1)
    # sigma of 6 / 4 px: peak of a unit Gaussian is 1 / (2 pi sigma^2)
    assert np.isclose(image.max(), 1 / (2 * np.pi * 1.5**2), rtol=0.01)


def test_own_psf_holds_the_share_of_light_that_it_says(tmp_path):
    path = write_psf(tmp_path / "psf.fits", gaussian(41, 2.0), ENCLOSED=0.93)
    image = psf_image(path, "F336W", 0, 128, PIXEL)
    assert np.isclose(image.sum() / OVERSAMPLING**2, 0.93, rtol=1e-4)


@pytest.fixture
def stack(tmp_path):
    """Write two PSFs as STScI's files hold them, with rubbish after the end."""
    cards = [
        *("SIMPLE  =                    T", "BITPIX  =                  -32"),
        *("NAXIS   =                    3", "NAXIS1  =                  101"),
        *("NAXIS2  =                  101", "NAXIS3  =                    2"),
        *("NXPSFs  =                    2", "NYPSFs  =                    1", "END"),
    ]
    header = "".join(card.ljust(80) for card in cards).ljust(2880)
    psfs = np.array([gaussian(101, sigma) for sigma in (3.0, 4.0)])
    psfs *= 16 / psfs.sum((1, 2), keepdims=True)
    psfs[:, 0] = -0.1
    path = tmp_path / "PSFSTD_F814W.fits"
    path.write_bytes(header.encode() + psfs.astype(">f4").tobytes() + b"\xbd" * 4576)
    return str(path)


def test_stack_of_stsci_gives_cores_with_the_shipped_wings(stack):
    tables = load_tables(("F814W",))
    shipped = psf_image(None, "F814W", 0, 128, PIXEL)
    ratio = PIXEL / tables.psf_pixel_arcsec
    for position, sigma in ((0, 3.0), (1, 4.0), (2, 3.0)):
        image = psf_image(stack, "F814W", position, 128, PIXEL)
        peak = tables.psf_core_scale[0] * ratio**2 / (2 * np.pi * (sigma / 4) ** 2)
        assert np.isclose(image.max(), peak, rtol=0.01)
        # 0.44 arcsec and beyond: 22 points of the finer grid
        assert np.allclose(image[64 + 23 :], shipped[64 + 23 :])
        assert (image >= -1e-6).all()


@pytest.mark.parametrize(("samples", "sigma"), [(1, 2.0), (5, 6.0)])
def test_tinytim_is_taken_at_its_own_pixel(tmp_path, samples, sigma):
    # its files have even sides and the star on the pixel after the middle
    data = gaussian(40 * samples, sigma)
    path = write_psf(tmp_path / "result00.fits", data, PIXSCALE=0.04 / samples)
    image = psf_image(path, "F814W", 0, 128, PIXEL)
    assert np.isclose(image.sum() / OVERSAMPLING**2, 1, rtol=1e-3)
    width2 = (sigma / samples * 0.04 / PIXEL) ** 2
    # a subsampled one is yet to be seen through a pixel, whose variance is 1 / 12
    expected = np.sqrt(width2 + (1 / 12 if samples > 1 else 0))
    assert np.isclose(width_px(image), expected, rtol=0.005)


@pytest.mark.parametrize(
    ("data", "header", "message"),
    [
        (np.ones((10, 10)), {}, "odd side"),
        (np.ones((11, 9)), {}, "odd side"),
        (np.ones((3, 11, 11)), {}, "expected a 2-D image; found 3-D"),
        (np.full((11, 11), np.nan), {}, "finite"),
        (np.zeros((11, 11)), {}, "positive sum"),
        (np.ones((11, 11)), {"OVERSAMP": 0}, "expected OVERSAMP from .*; received 0"),
        (np.ones((11, 11)), {"OVERSAMP": 1e300}, "OVERSAMP from .*; received 1e.300"),
        (np.ones((11, 11)), {"OVERSAMP": True}, "OVERSAMP from .*; received True"),
        (np.ones((11, 11)), {"PIXSCALE": 1e-300}, "PIXSCALE from .*; received 1e-300"),
        (np.ones((11, 11)), {"PIXSCALE": -1.0}, "PIXSCALE from .*; received -1"),
        (np.ones((11, 11)), {"ENCLOSED": "all"}, "expected ENCLOSED from"),
        (np.ones((11, 11)), {"ENCLOSED": 1e9}, "expected ENCLOSED from"),
    ],
)
def test_file_that_is_no_psf_is_refused_by_name(tmp_path, data, header, message):
    path = write_psf(tmp_path / "bad.fits", data, **header)
    with pytest.raises(ValueError, match=f"bad.fits.*{message}"):
        psf_image(path, "F336W", 0, 64, PIXEL)


def test_file_that_is_no_fits_is_refused_by_name(tmp_path):
    path = tmp_path / "bad.fits"
    path.write_text("no FITS at all")
    with pytest.raises(ValueError, match=r"bad\.fits: not a PSF in FITS"):
        psf_image(str(path), "F336W", 0, 64, PIXEL)


@pytest.mark.parametrize("side", [20001, 2_000_000_001])
def test_an_image_that_the_file_does_not_hold_is_refused_before_it_is_read(
    tmp_path, side
):
    path = tmp_path / "huge.fits"
    write_psf(path, np.ones((11, 11)))
    data = path.read_bytes().replace(
        b"NAXIS1  =                   11", f"NAXIS1  = {side:>20}".encode()
    )
    path.write_bytes(
        data.replace(
            b"NAXIS2  =                   11", f"NAXIS2  = {side:>20}".encode()
        )
    )
    with pytest.raises(ValueError, match=r"huge\.fits: .*(at most 50,000,000|corrupt)"):
        psf_image(str(path), "F336W", 0, 64, PIXEL)


def test_a_card_that_cannot_be_read_names_its_file(tmp_path):
    path = tmp_path / "card.fits"
    write_psf(path, gaussian(11, 2.0), OVERSAMP=4)
    path.write_bytes(path.read_bytes().replace(b"OVERSAMP=  ", b"OVERSAMP= '"))
    with pytest.raises(ValueError, match=r"card\.fits"):
        psf_image(str(path), "F336W", 0, 64, PIXEL)


def test_a_compressed_image_that_is_damaged_names_its_file(tmp_path):
    path = tmp_path / "packed.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(gaussian(101, 6.0))]).writeto(
        path
    )
    data = bytearray(path.read_bytes())
    data[-2880 - 3000 : -2880] = 3000 * b"\xff"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"packed\.fits"):
        psf_image(str(path), "F336W", 0, 64, PIXEL)


def test_file_that_is_missing_is_named():
    with pytest.raises(FileNotFoundError, match=r"no-such\.fits"):
        psf_image("no-such.fits", "F336W", 0, 64, PIXEL)
