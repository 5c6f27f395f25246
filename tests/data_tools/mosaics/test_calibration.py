"""What a mosaic's header says about its filter and its flux."""

import math
from pathlib import Path

import pytest
from astropy.io.fits.card import Undefined

from data_tools.mosaics.calibration import read_band, read_calibration
from data_tools.target import Target

BAND = Target.load("m83-wfc3-uvis").bands[1]
HEADER = {
    "FILTER": BAND.name,
    "BUNIT": "ELECTRONS/S",
    "EXPTIME": BAND.exposure_s,
    "NCOMBINE": BAND.n_exposures,
    "PHOTFLAM": BAND.photflam,
    "PHOTPLAM": BAND.photplam,
}
PATH = Path("F438W.fits")


def test_one_microjansky_source_has_its_ab_magnitude():
    # AB magnitude of 1000 nJy = 23.9 by definition of the zero point 3631 Jy
    found = read_calibration(HEADER, PATH)
    rate = 1000 / found.njy_per_unit
    assert found.zero_point - 2.5 * math.log10(rate) == pytest.approx(23.9, abs=1e-3)
    assert found.njy_per_unit == BAND.njy_per_electron_s == found.njy_per_electron_s
    assert (found.exposure_s, found.n_exposures) == (BAND.exposure_s, BAND.n_exposures)


@pytest.mark.parametrize("unit", ["ELECTRONS", "COUNTS"])
def test_counts_are_divided_by_the_exposure(unit):
    per_second = read_calibration(HEADER, PATH).njy_per_unit
    total = read_calibration({**HEADER, "BUNIT": unit}, PATH).njy_per_unit
    assert total == pytest.approx(per_second / BAND.exposure_s)


def test_what_is_not_stated_is_not_made_up():
    header = {k: v for k, v in HEADER.items() if k not in ("EXPTIME", "NCOMBINE")}
    found = read_calibration(header, PATH)
    assert math.isnan(found.exposure_s)
    assert found.n_exposures == 0


def refused(message, read=read_calibration, **changed):
    header = {k: v for k, v in {**HEADER, **changed}.items() if v is not None}
    with pytest.raises(ValueError, match=rf"F438W\.fits: .*{message}"):
        read(header, PATH)


def test_counts_without_an_exposure_are_refused():
    refused("positive EXPTIME", BUNIT="ELECTRONS", EXPTIME=None)


@pytest.mark.parametrize("unit", [None, "MJy/sr"])
def test_an_unknown_unit_is_refused(unit):
    refused("expected BUNIT to be ELECTRONS/S", BUNIT=unit)


@pytest.mark.parametrize("key", ["PHOTFLAM", "PHOTPLAM"])
@pytest.mark.parametrize("value", [None, 0.0, "unknown"])
def test_an_uncalibrated_file_is_refused(key, value):
    refused(f"expected a positive {key}", **{key: value})


def test_a_header_without_filter_is_refused():
    refused("names no filter", read_band, FILTER=None)


def test_a_filter_beside_a_clear_wheel_is_found():
    header = {"FILTER1": "CLEAR1L", "FILTER2": "F438W"}
    assert read_band(header, PATH) == ("F438W",)


@pytest.mark.parametrize("key", ["PHOTFLAM", "PHOTPLAM", "EXPTIME", "NCOMBINE"])
@pytest.mark.parametrize(
    "value", [-1.0, 1e300, -1e300, 1e-300, math.inf, math.nan, "N/A", "nan", True, 1j]
)
def test_a_number_that_no_camera_has_is_refused(key, value):
    refused(
        f"expected a positive {key} in the header, from .* received", **{key: value}
    )


@pytest.mark.parametrize("key", ["EXPTIME", "NCOMBINE"])
@pytest.mark.parametrize("value", [0, 0.0, "", "  ", Undefined()])
def test_a_number_that_is_left_empty_is_not_stated(key, value):
    found = read_calibration({**HEADER, key: value}, PATH)
    assert math.isnan(found.exposure_s) == (key == "EXPTIME")
    assert (found.n_exposures == 0) == (key == "NCOMBINE")


def test_a_number_may_be_written_as_text():
    found = read_calibration({**HEADER, "EXPTIME": "1200.5 "}, PATH)
    assert found.exposure_s == 1200.5


@pytest.mark.parametrize(
    ("instrument", "detector", "another"),
    [
        (None, None, False),
        ("WFC3", "UVIS", False),
        ("WFC3", None, False),
        ("wfc3", "UVIS1", False),
        ("WFC3/UVIS", "", False),
        ("ACS", "WFC", True),
        ("ACS", None, True),
        ("WFC3", "IR", True),
        ("WFPC2", 4, True),
        ("NIRCAM", "NRCA1", True),
    ],
)
def test_another_instrument_than_that_of_the_shipped_psfs_is_seen(
    instrument, detector, another
):
    header = {**HEADER, "INSTRUME": instrument, "DETECTOR": detector}
    assert read_calibration(header, PATH).is_of_another_instrument == another
