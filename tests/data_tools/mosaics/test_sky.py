"""Pixels of a mosaic and ICRS, through whatever frame its header names."""

from contextlib import closing

import numpy as np
import pytest
from astropy.coordinates import (
    FK4,
    FK5,
    ICRS,
    BarycentricMeanEcliptic,
    Galactic,
    SkyCoord,
)
from astropy.wcs import WCS

from data_tools.mosaics.band_image import BandImage
from data_tools.mosaics.mosaic import open_mosaics
from data_tools.mosaics.sky import to_icrs, to_pixels

MIDDLE = SkyCoord(204.25, -29.87, unit="deg")
RADEC = ("RA---TAN", "DEC--TAN")
ECLIPTIC = ("ELON-TAN", "ELAT-TAN")
X, Y = np.array([0.0, 40.5, 99.0, np.nan]), np.array([79.0, 12.25, 0.0, 3.0])

FRAMES = {
    "nothing": (ICRS(), RADEC, {}),
    "ICRS": (ICRS(), RADEC, {"RADESYS": "ICRS", "EQUINOX": 2000.0}),
    "FK5": (FK5(), RADEC, {"RADESYS": "FK5", "EQUINOX": 2000.0}),
    "FK5 of 1975": (FK5(equinox="J1975"), RADEC, {"RADESYS": "FK5", "EQUINOX": 1975.0}),
    "small letters": (FK5(), RADEC, {"RADESYS": "fk5"}),
    "an equinox alone": (FK5(), RADEC, {"EQUINOX": 2000.0}),
    "an equinox as text": (FK5(), RADEC, {"EQUINOX": "J2000.0"}),
    "ICRS with any equinox": (ICRS(), RADEC, {"RADESYS": "ICRS", "EQUINOX": "N/A"}),
    "an old equinox alone": (FK4(equinox="B1950"), RADEC, {"EQUINOX": 1950.0}),
    "an epoch alone": (FK4(equinox="B1950"), RADEC, {"EPOCH": 1950.0}),
    "FK4": (FK4(equinox="B1950"), RADEC, {"RADESYS": "FK4"}),
    "the old keyword": (FK4(equinox="B1950"), RADEC, {"RADECSYS": "FK4"}),
    "galactic": (Galactic(), ("GLON-TAN", "GLAT-TAN"), {"RADESYS": "ICRS"}),
    "ecliptic": (BarycentricMeanEcliptic(), ECLIPTIC, {}),
    "ecliptic of 2020": (
        BarycentricMeanEcliptic(equinox="J2020"),
        ECLIPTIC,
        {"EQUINOX": 2020.0},
    ),
}


def keywords(frame, ctypes, more):
    middle = MIDDLE.transform_to(frame).spherical
    values = {"CTYPE1": ctypes[0], "CTYPE2": ctypes[1]}
    return values | {"CRVAL1": middle.lon.deg, "CRVAL2": middle.lat.deg} | more


@pytest.fixture
def image(tmp_path, write_band):
    def write(name="band.fits", **more):
        return write_band(tmp_path / name, np.ones((80, 100)), **more)

    return write


@pytest.mark.parametrize("name", FRAMES)
def test_pixels_are_icrs_positions_through_the_header_s_frame(name, image):
    frame, *rest = FRAMES[name]
    plane = BandImage(image(**keywords(frame, *rest)))
    plane.close()
    ra, dec = to_icrs(plane.wcs, X, Y)
    lon, lat = plane.wcs.all_pix2world(X[:3], Y[:3], 0)
    expected = SkyCoord(lon, lat, unit="deg", frame=frame).icrs
    found = SkyCoord(ra[:3], dec[:3], unit="deg")
    assert found.separation(expected).arcsec.max() < 1e-6
    assert found.separation(MIDDLE).arcsec.max() < 3
    assert np.isnan([ra[3], dec[3]]).all()
    back = np.array(to_pixels(plane.wcs, ra, dec))[:, :3]
    np.testing.assert_allclose(back, [X[:3], Y[:3]], atol=1e-5)


def test_an_icrs_mosaic_has_the_very_numbers_of_its_wcs(image):
    with closing(BandImage(image())) as plane:
        lon, lat = plane.wcs.all_pix2world(X, Y, 0)
        ra, dec = to_icrs(plane.wcs, X, Y)
        back = plane.wcs.all_world2pix(lon[:3], lat[:3], 0)
        np.testing.assert_array_equal([ra, dec], [lon, lat])
        np.testing.assert_array_equal(
            np.array(to_pixels(plane.wcs, ra, dec))[:, :3], back
        )


def test_latitude_may_be_the_first_axis():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["DEC--TAN", "RA---TAN"], [-29.87, 204.25]
    wcs.wcs.crpix, wcs.wcs.cdelt = [11, 21], [1e-5, -1e-5]
    ra, dec = to_icrs(wcs, [10.0, 30.0], [20.0, 20.0])
    np.testing.assert_allclose(dec, [-29.87, -29.8698])
    assert ra[0] == 204.25
    np.testing.assert_allclose(to_pixels(wcs, ra, dec), [[10, 30], [20, 20]], atol=1e-6)


def test_what_has_no_place_on_the_plane_is_nan(image):
    with closing(BandImage(image(**keywords(*FRAMES["galactic"])))) as plane:
        x, y = to_pixels(plane.wcs, [24.25, 204.25, np.nan, 204.25], [29.87, 91, 0, 0])
    assert np.isnan([x[:3], y[:3]]).all()


@pytest.mark.parametrize(
    "more",
    [
        {"RADESYS": "GAPPT"},
        {"RADESYS": "FK6"},
        {"CTYPE1": "TLON-TAN", "CTYPE2": "TLAT-TAN"},
        {"CTYPE1": "SLON-TAN", "CTYPE2": "SLAT-TAN"},
        {"CTYPE1": ECLIPTIC[0], "CTYPE2": ECLIPTIC[1], "EQUINOX": 1950.0},
        {"RADESYS": "FK5", "EQUINOX": 1e300},
    ],
)
def test_an_unknown_frame_is_refused(image, more):
    with pytest.raises(ValueError, match=r"band.fits: expected RADESYS to be ICRS"):
        BandImage(image(**more))


def test_an_equinox_that_is_no_year_is_refused(image):
    message = r"band.fits: .* expected EQUINOX to be a year; received 'of date'"
    with pytest.raises(ValueError, match=message):
        BandImage(image(EQUINOX="of date"))


def put(path, keyword, written):
    """Write a card as no library would."""
    content = path.read_bytes()
    at = content.index(f"{keyword:8}=".encode())
    card = f"{keyword:8}= {written}".ljust(80).encode()
    path.write_bytes(content[:at] + card + content[at + 80 :])
    return path


@pytest.mark.parametrize("written", ["2.0425D+02", "'204.25'", "'2.0425D2'"])
def test_numbers_of_the_wcs_are_read_as_they_are_meant(image, written):
    with closing(BandImage(image())) as plane:
        right = to_icrs(plane.wcs, [40.0], [30.0])
    path = put(image(CRVAL1=204.25), "CRVAL1", written)
    with closing(BandImage(path)) as plane:
        assert right[0] + 204.25 - MIDDLE.ra.deg == pytest.approx(
            to_icrs(plane.wcs, [40.0], [30.0])[0], abs=1e-9
        )


@pytest.mark.parametrize("keyword", ["CRVAL1", "CRVAL2", "CRPIX1"])
@pytest.mark.parametrize("written", ["'N/A'", "'13:37:00'", "'nan'", "N/A", "NaN"])
def test_words_for_numbers_of_the_wcs_are_refused_by_name(image, keyword, written):
    path = put(image(CRVAL1=204.25, CRVAL2=-29.87), keyword, written)
    with pytest.raises(ValueError, match=f"^{path}: the WCS is not .*{keyword}"):
        BandImage(path)


@pytest.mark.parametrize("name", ["FK5", "FK4", "galactic"])
def test_bands_in_different_frames_are_compared_on_the_sky(image, m83, name):
    galactic = name == "galactic"
    frame, ctypes, more = FRAMES[name]
    turned = SkyCoord(MIDDLE.ra, MIDDLE.dec + 1e-4 * MIDDLE.dec.unit)
    north = MIDDLE.transform_to(frame).position_angle(turned.transform_to(frame)).rad
    step = m83.pixel_scale_arcsec / 3600
    turn = {
        **{"CD1_1": -step * np.cos(north), "CD1_2": step * np.sin(north)},
        **{"CD2_1": step * np.sin(north), "CD2_2": step * np.cos(north)},
    }
    bands = m83.bands[:2]
    same = keywords(frame, ctypes, more) | turn
    paths = [image("a.fits", band=bands[0]), image("b.fits", band=bands[1], **same)]
    names = [band.name for band in bands]
    open_mosaics(paths, names, m83.pixel_scale_arcsec).close()
    claimed = {"CRVAL1": 204.25, "CRVAL2": -29.87}  # the same numbers, another place
    image("b.fits", band=bands[1], **same | claimed)
    message = "px away from that of a.fits" if not galactic else "its WCS is nan px"
    with pytest.raises(ValueError, match=message):
        open_mosaics(paths, names, m83.pixel_scale_arcsec)


POLYNOMIAL = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 8.5e-6, "B_0_2": 6e-6}
LEFT_OVER = {
    "polynomials": POLYNOMIAL | {"AP_ORDER": 1, "BP_ORDER": 1, "A_DMAX": 2.0},
    "half a polynomial": {"A_ORDER": 2, "A_2_0": 8.5e-6},
    "tables of the detector": {"D2IMDIS1": "LOOKUP", "D2IMERR1": 0.002, "D2IMEXT": "f"},
    "an older table": {"AXISCORR": 1, "D2IMEXT": "f.fits", "D2IMERR": 0.002},
    "tables of the filter": {"CPDIS1": "LOOKUP", "CPERR1": 0.02, "NPOLEXT": "f.fits"},
    "their records": {"CPDIS1": "Lookup", "DP1": "EXTVER: 1", "CPDIS2": "Lookup"},
}


@pytest.mark.parametrize("kind", LEFT_OVER)
def test_a_distortion_left_over_in_the_header_is_dropped_and_told(image, kind, caplog):
    far = {"CRPIX1": -3000.0, "CRPIX2": -3000.0}  # where it would be large
    with closing(BandImage(image("plain.fits", **far))) as plane:
        expected = to_icrs(plane.wcs, X, Y)
    assert not caplog.text
    with closing(BandImage(image(**far | LEFT_OVER[kind]))) as plane:
        np.testing.assert_array_equal(to_icrs(plane.wcs, X, Y), expected)
    assert "band.fits: the distortion in the header (" in caplog.text
    assert next(iter(LEFT_OVER[kind])) in caplog.text


def test_a_distortion_that_ctype_announces_stays(image, caplog):
    keys = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "CRPIX1": -3000.0}
    with closing(BandImage(image(**keys | POLYNOMIAL))) as plane:
        assert plane.wcs.sip is not None
        ra, _ = to_icrs(plane.wcs, X, Y)
        linear, _ = plane.wcs.wcs_pix2world(X, Y, 0)
    assert abs(ra[1] - linear[1]) * 3600 > 2
    assert not caplog.text


def test_tables_that_a_bent_image_does_not_hold_are_dropped(image, caplog):
    keys = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "CPDIS1": "LOOKUP"}
    with closing(BandImage(image(**keys | POLYNOMIAL))) as plane:
        assert plane.wcs.sip is not None
    assert "(CPDIS1)" in caplog.text
