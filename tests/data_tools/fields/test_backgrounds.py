import pytest

from data_tools.fields.backgrounds import Backgrounds


def test_files_are_all_that_fields_depend_on(tmp_path):
    names = ["a_sci.fits", "a_wht.fits", "b.fits"]
    for name in names:
        (tmp_path / name).touch()
    images = (tmp_path / "a_sci.fits", tmp_path / "b.fits")
    files = Backgrounds(images, clusters="known.ecsv").files
    assert sorted(files) == sorted([*(str(tmp_path / n) for n in names), "known.ecsv"])
    assert Backgrounds(images[1:]).files == (str(images[1]),)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"mask_radius_arcsec": -1.0},
            "mask_radius_arcsec must be a number >= 0, .*; received -1",
        ),
        ({"tile_px": 0}, "tile_px must be a whole number >= 1"),
        ({"shares": {"train": -1.0}}, "shares must be >= 0 of train, validation, test"),
        ({"shares": {"trian": 1.0}}, "shares must be >= 0 of train, validation, test"),
        ({"shares": {"train": 0.0}}, "and not all zero"),
        ({"seed": -1}, "seed must be a whole number >= 0"),
    ],
)
def test_bad_values_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Backgrounds(("a.fits",), **values)
