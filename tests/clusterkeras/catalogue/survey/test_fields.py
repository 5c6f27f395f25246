"""A list of fields: mosaics and positions of each, and its part of a data set."""

import pytest

from clusterkeras.catalogue.survey.fields import part_of, read_fields


def test_paths_are_relative_to_the_list_and_parts_are_named_by_field(tmp_path):
    path = tmp_path / "fields.yaml"
    path.write_text("- {field: north, images: [a.fits, /b.fits], positions: c.ecsv}")
    (field,) = read_fields(path)
    assert [str(image) for image in field.images] == [f"{tmp_path}/a.fits", "/b.fits"]
    assert field.positions == tmp_path / "c.ecsv"
    assert part_of("out", field).as_posix() == "out/field=north/part-0.parquet"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- field: a\n  images: [b]", "expected a YAML list.*positions"),
        ("just words", "expected a YAML list"),
        ("[", "expected a YAML list"),
        ("[]", "expected at least one field"),
        (2 * "- {field: a, images: [b], positions: c}\n", "each name once; received a"),
        ("- {field: a/b, images: [b], positions: c}", "letters, digits.*'a/b'"),
    ],
)
def test_a_bad_list_is_refused(tmp_path, text, message):
    path = tmp_path / "fields.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_fields(path)


def test_a_missing_list_names_itself(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.yaml: no such list of fields"):
        read_fields(tmp_path / "none.yaml")
