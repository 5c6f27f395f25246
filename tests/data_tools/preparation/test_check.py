"""Mosaics beside the training range: what is inside, what is not, what to do."""

import dataclasses
import json
import math
import re

import numpy as np
import pytest
import yaml
from astropy.io import fits

from clusterkeras.commands import cli
from data_tools.mocks.mock_mosaic import make_mosaic
from data_tools.mocks.mosaic_config import MosaicConfig
from data_tools.preparation.check import check, report_lines, write_check
from data_tools.priors import Priors

#: In the middle of the ranges, with little light: nothing to doubt.
MIDDLE = Priors(
    exposure_factor=(0.0, 0.0),
    sky_factor=(0.0, 0.0),
    read_noise_factor=(1.1, 1.1),
    noise_shift_px=(0.25, 0.25),
    field_old_mass_density=(2.0, 2.0),
    field_sfr_density=(-2.0, -2.0),
    field_bulge_fraction=0.0,
)


@pytest.fixture(scope="module")
def target(m83):
    return dataclasses.replace(m83, bands=m83.bands[:2])


@pytest.fixture(scope="module")
def made(target, tmp_path_factory):
    """Return a mock mosaic, made once."""
    directory = tmp_path_factory.mktemp("mosaic")
    make_mosaic(target, MIDDLE, MosaicConfig(size_px=512, n=5), directory)
    return directory


@pytest.fixture
def images(made, target, tmp_path):
    """Return copies of the mosaic that a test may change."""
    paths = []
    for band in target.band_names:
        path = tmp_path / f"{band}.fits"
        path.write_bytes((made / path.name).read_bytes())
        paths.append(path)
    return paths


def change(path, pixels=lambda p: p, weight=None, **keywords):
    with fits.open(path) as hdus:
        header, image = hdus[0].header, hdus[0].data.copy()
    header.update(keywords)
    for key in [k for k, v in keywords.items() if v is None]:
        del header[key]
    new = fits.HDUList([fits.PrimaryHDU(pixels(image).astype(np.float32), header)])
    if weight is not None:
        new.append(fits.ImageHDU(weight.astype(np.float32), name="WHT"))
    new.writeto(path, overwrite=True)


def outside(rows):
    return {(r.band, r.quantity): r.advice for r in rows if r.inside is False}


def following(advice, priors=None):
    """Return the priors that an advice asks for."""
    priors = priors or Priors()
    name, value = re.search(r'--priors\.(\w+) "?(\[[^]]*\]|[\d.]+)', advice).groups()
    value = yaml.safe_load(value)
    value = tuple(value) if isinstance(value, list) else value
    return dataclasses.replace(priors, **{name: value})


def noisier(electrons, seed=0):
    """Return a function that adds white noise of so many electrons per 1880 s."""
    rng = np.random.default_rng(seed)
    return lambda p: p + electrons / 1880 * rng.standard_normal(p.shape)


def test_a_mock_of_the_priors_is_inside_throughout(images, target):
    rows = check(images, target, Priors())
    assert outside(rows) == {}
    assert [r.quantity for r in rows if r.band in ("all", "F336W")] == [
        "pixel scale",
        "zero point",
        "exposure",
        "covered share",
        "sky level",
        "noise",
        "noise correlation",
        "depth, 5 sigma",
    ]
    values = {(r.band, r.quantity): r.value for r in rows}
    assert values["all", "pixel scale"] == pytest.approx(0.0396)
    assert values["F438W", "exposure"] == pytest.approx(1880)
    assert values["F336W", "covered share"] == 1
    assert values["F438W", "noise correlation"] == pytest.approx(0.3, abs=0.05)
    assert report_lines(rows)[-1].startswith("Nothing that was measured lies outside")


def test_too_much_noise_is_outside_and_the_advice_helps(images, target):
    change(images[1], noisier(30))
    before = outside(check(images, target, Priors()))
    assert {q for _, q in before} >= {"noise", "depth, 5 sigma"}
    assert {b for b, _ in before} == {"F438W"}
    advice = before["F438W", "noise"]
    assert advice.startswith('train with --priors.sky_factor "[-0.2, ')
    after = outside(check(images, target, following(advice)))
    assert ("F438W", "noise") not in after


def test_noise_that_no_prior_may_reach_is_said_to_be_the_header_s_fault(images, target):
    change(images[1], noisier(3000))
    advice = outside(check(images, target, Priors()))["F438W", "noise"]
    assert advice.startswith("no sky_factor reaches it")
    assert "EXPTIME" in advice


@pytest.mark.parametrize(
    ("factor", "advice"),
    [(0.37, "train with --priors.read_noise_factor"), (0.2, "check EXPTIME")],
)
def test_too_little_noise_is_outside(images, target, factor, advice):
    change(images[0], lambda p: factor * p)
    before = outside(check(images, target, Priors()))
    given = before["F336W", "depth, 5 sigma"]
    assert given.startswith(advice)
    if "--priors" in given:
        after = outside(check(images, target, following(given)))
        assert ("F336W", "depth, 5 sigma") not in after
    else:
        assert before["F336W", "noise"] == given


def test_sky_that_was_oversubtracted_is_outside_and_the_advice_helps(images, target):
    change(images[1], lambda p: p - np.median(p) - 0.005)
    before = outside(check(images, target, Priors()))
    advice = before["F438W", "sky level"]
    assert advice.startswith("subtract the sky from the mosaic, or train with")
    assert outside(check(images, target, following(advice))) == {}


def test_sky_beyond_the_brightest_mock_has_to_be_subtracted(images, target):
    change(images[0], lambda p: p + 10)
    rows = check(images, target, Priors())
    assert outside(rows)["F336W", "sky level"] == "subtract the sky from the mosaic"


def test_more_correlation_than_trained_is_outside_and_the_advice_helps(images, target):
    narrow = Priors(noise_shift_px=(0.0, 0.1))
    advice = outside(check(images, target, narrow))["F336W", "noise correlation"]
    assert re.search(r'noise_shift_px "\[0, 0\.[23]', advice)
    after = outside(check(images, target, following(advice, narrow)))
    assert not [q for _, q in after if q == "noise correlation"]


def test_another_exposure_is_outside_and_the_advice_helps(images, target):
    change(images[0], EXPTIME=600.0)
    before = outside(check(images, target, Priors()))
    advice = before["F336W", "exposure"]
    assert advice.endswith('"[-0.5, 0.2]", or give the target exposure_s 600')
    after = outside(check(images, target, following(advice)))
    assert ("F336W", "exposure") not in after


def test_uneven_depth_is_shown_and_judged(images, target):
    weight = np.full((512, 512), 100.0)
    weight[:, :80] = 30
    for path in images:
        change(path, weight=weight)
    rows = check(images, target, Priors())
    values = {(r.band, r.quantity): r.value for r in rows}
    assert values["F438W", "exposure, shallowest 5 %"] == pytest.approx(0.3 * 1880)
    assert values["F438W", "exposure, deepest 5 %"] == pytest.approx(1880)
    assert ("F438W", "exposure, shallowest 5 %") in outside(rows)
    assert ("F438W", "exposure, deepest 5 %") not in outside(rows)


def test_another_zero_point_is_outside_and_tells_the_header_s(images, target):
    change(images[0], PHOTFLAM=2e-18)
    advice = outside(check(images, target, Priors()))["F336W", "zero point"]
    assert advice == (
        "give the target photflam 2e-18 and photplam 3354.8, this header's"
    )


def test_what_cannot_be_seen_is_neither_inside_nor_outside(images, target):
    change(images[0], lambda p: np.rint(p) + 0.1, EXPTIME=None)
    rows = check(images, target, Priors())
    unseen = {r.quantity: r for r in rows if math.isnan(r.value)}
    assert set(unseen) == {"exposure", "noise", "noise correlation", "depth, 5 sigma"}
    assert all(r.inside is None for r in unseen.values())
    lines = report_lines(rows)
    assert "  F336W exposure: set EXPTIME in the header" in "\n".join(lines)
    assert sum("pixels were clipped" in line for line in lines) == 1


def test_the_report_is_valid_json_with_null_for_nan(images, target, tmp_path):
    change(images[0], EXPTIME=None)
    rows = check(images, target, Priors())
    write_check(rows, tmp_path / "check.json", images, target)
    report = json.loads((tmp_path / "check.json").read_text())
    assert report["target"] == target.name
    assert report["images"] == [str(path) for path in images]
    assert report["inside"] is True
    assert len(report["rows"]) == len(rows)
    exposure = next(r for r in report["rows"] if r["quantity"] == "exposure")
    assert exposure["value"] is None
    assert exposure["high"] > exposure["low"] > 0


def test_the_command_prints_the_table_and_ends_well_even_outside(
    images, target, tmp_path, capsys
):
    change(images[0], EXPTIME=600.0)
    own = tmp_path / "two.yaml"
    own.write_text(yaml.safe_dump(target.to_dict()))
    code = cli.main(
        [
            *("check", "--target", str(own), "--images", *map(str, images)),
            *("-o", str(tmp_path / "check.json"), "--priors.sky_residual", "0.2"),
        ]
    )
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == [
        *("band", "quantity", "mosaic", "training", "range", "unit", "verdict")
    ]
    assert re.search(r"F336W +exposure +600 +947.2 to 2995 +s +OUTSIDE", out)
    assert "or train on these mosaics: clusterkeras simulate --images" in out
    assert json.loads((tmp_path / "check.json").read_text())["inside"] is False


def test_mosaics_that_do_not_belong_to_the_target_are_refused(images, m83):
    with pytest.raises(ValueError, match="expected 3 mosaics, one per band"):
        check(images, m83, Priors())
