"""What made a catalogue, in words."""

import pytest

from clusterkeras.report.provenance import every_entry, in_words


def test_the_main_things_are_grouped_and_in_words(catalogue):
    said = in_words(catalogue.meta)
    assert list(said) == ["Data", "Model", "Run"]
    lines = {name: value for group in said.values() for name, value in group}
    assert lines["mosaics"] == "F336W.fits, F438W.fits, F814W.fits"
    assert lines["zero points"].startswith("F336W ")
    assert lines["zero points"].endswith(" AB")
    assert lines["log age [yr]"] == "6.0 to 10.1"
    assert lines["configuration"] == catalogue.meta["configuration_hash"]
    assert len(lines) < 25


def test_every_entry_is_there_with_its_path(catalogue):
    entries = dict(every_entry(catalogue.meta))
    assert entries["target.bands.F814W.photplam"] == "8029.5"
    assert entries["target.box.log_age"] == "6.0, 10.1"
    assert not any(name.startswith("flags") for name in entries)


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ({}, {}),
        ({"model": "m"}, {"Model": [("model", "m")]}),
        ({"images": 3, "target": "galaxy"}, {}),
        (
            {"cluster_share": {"here": None, "trained": 0.7}},
            {"Run": [("and in training", "70.00%")]},
        ),
        (
            {"context": {"psf_fwhm_px": {"F438W": 2.104, "F814W": None}}},
            {"Data": [("FWHM of the PSF", "F438W 2.10 px, F814W unknown")]},
        ),
    ],
)
def test_what_is_missing_or_of_another_form_is_left_out(meta, said):
    assert in_words(meta) == said
