"""JSON that others wrote."""

import pytest

from data_tools.foreign.json_text import load_json
from data_tools.running.plain_files import read_json


def test_json_is_read():
    assert load_json('{"a": {"a": 1}, "b": [{"a": 2}, {"a": 3}]}') == {
        "a": {"a": 1},
        "b": [{"a": 2}, {"a": 3}],
    }


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        '{"a": 1, "a": 1}',
        '{"b": {"a": 1, "c": 2, "a": 3}}',
        '{"b": [{"a": 1, "\\u0061": 3}]}',
    ],
)
def test_a_key_given_twice_is_an_error_that_names_the_file(tmp_path, text):
    with pytest.raises(ValueError, match="'a' is given twice"):
        load_json(text)
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(ValueError, match=r"t\.json: not JSON: 'a' is given twice"):
        read_json(tmp_path / "t.json")
