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
        ("- field: a\n  images: [b]", "entry 1: .*required.*positions"),
        ("just words", "expected a YAML list"),
        ("[", r"fields\.yaml: not readable as YAML: line"),
        ("", "expected a YAML list; received an empty file"),
        ("[]", "expected at least one field"),
        (2 * "- {field: a, images: [b], positions: c}\n", "each name once; received a"),
        ("- {field: a/b, images: [b], positions: c}", "letters, digits.*'a/b'"),
        ("- {field: ../evil, images: [b], positions: c}", "digits.*'../evil'"),
        ("- {field: .., images: [b], positions: c}", "letters, digits"),
        ("- {field: a, images: [../b], positions: c}", "within the list's.*'../b'"),
        ("- {field: a, images: [b/../../c], positions: c}", "within the list's"),
        ("- {field: a, images: [b], positions: ../c}", "within the list's.*'../c'"),
        ("- {field: a, images: [/d/../b], positions: c}", "within the list's"),
        (f"- {{field: {201 * 'a'}, images: [b], positions: c}}", "at most 200 letters"),
        ("- {feild: a, images: [b], positions: c}", "'feild'; nearest to it: field"),
        ("- {field: a, field: b, images: [b], positions: c}", "'field' is given twice"),
        ("- {field: a, images: b, positions: c}", "images: expected a list; received"),
        ("- {field: a, images: [], positions: c}", "expected images, one a band"),
        ("- {field: a, images: [[b]], positions: c}", "images: expected text"),
        ("- {field: [a], images: [b], positions: c}", "field: expected text"),
        ("- 3", "entry 1: field: expected a mapping; received '3'"),
        ("field: a", "expected a YAML list; received a dict"),
    ],
)
def test_a_bad_list_is_refused(tmp_path, text, message):
    path = tmp_path / "fields.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_fields(path)


@pytest.mark.parametrize("name", ["0123", "1e5", "no", "on", "2026-11-29", "null"])
def test_names_and_paths_are_what_is_written(tmp_path, name):
    path = tmp_path / "fields.yaml"
    path.write_text(f"- {{field: {name}, images: [{name}], positions: {name}}}")
    (field,) = read_fields(path)
    assert field.name == name
    assert field.images == (tmp_path / name,)
    assert field.positions == tmp_path / name


def test_a_missing_list_names_itself(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.yaml: no such list of fields"):
        read_fields(tmp_path / "none.yaml")
