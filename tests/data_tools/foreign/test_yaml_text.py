"""YAML that people write: text as it is written, each key once, bounded."""

import pytest
import yaml

from data_tools.foreign.yaml_text import (
    dump_text,
    in_words,
    load_text,
    load_values,
)

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join(10 * [f'*a{i - 1}'])}]\n" for i in range(1, 9)
)


@pytest.mark.parametrize(
    "word",
    ["0123", "1e5", "1e-18", "no", "on", "Y", "null", "2026-11-29", "1:30", "0x1F"],
)
def test_a_plain_word_is_the_text_that_is_written(word):
    assert load_text(f"name: {word}\nnames: [{word}, '{word}']") == {
        "name": word,
        "names": [word, word],
    }


def test_nothing_and_a_tilde_are_none():
    assert load_text("a:\nb: ~\nc: ''") == {"a": None, "b": None, "c": ""}
    assert load_text("") is None


def test_what_was_dumped_comes_back():
    values = {"a": 1e-18, "b": [True, None, "no", "0123", "2026-11-29"], "c": {"d": 3}}
    assert load_values(yaml.safe_dump(values)) == values


def test_text_and_what_is_none_comes_back_from_text_too():
    values = {"a": "0123", "b": [True, False, None, "no", "null", "", "~"], "c": {}}
    assert load_text(dump_text(values)) == values
    assert load_text(dump_text({"a": 3, "b": 1e-18})) == {"a": 3, "b": 1e-18}


def test_a_mapping_is_merged_into_another_that_changes_it():
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: {<<: *a, x: 4}"
    assert load_text(text)["b"] == {"x": "3", "y": "2"}
    assert load_text(text)["c"] == {"x": "4", "y": "2"}


@pytest.mark.parametrize("load", [load_text, load_values])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "line 3, column 1: 'a' is given twice, first in line 1"),
        ("a:\n  b: 1\n  b: 1", "line 3, column 3: 'b' is given twice"),
        ("- {a: {b: 1, b: 2}}", "'b' is given twice"),
        (100_000 * "[", "line 1, column 101: it is nested more than 100 levels"),
        (100_000 * "- ", "nested more than 100 levels"),
        (1000 * "{a: ", "nested more than 100 levels"),
        (LAUGHS, "holds more than 1,000,000 values"),
        ("a: &a [*a]", "holds itself"),
        ("a: &a\n  b: *a", "holds itself"),
        (f"a: '{20_000 * '['}'", "a value of 20,000 characters"),
        (f"a: '{200 * '['}{200 * ']'}'", "nested more than 100 levels"),
        ("a: *b", "undefined alias"),
        ("\ta: 1", "by spaces, not by tabs"),
        ("a: 1\n\tb: 2", "by spaces, not by tabs"),
        ("a: [1", "line"),
        ("--- 1\n--- 2", "another document"),
        ("a: !!python/name:os.system x", "python/name"),
        ("a: \x00", "control characters"),
    ],
)
def test_what_no_setting_needs_is_refused_with_its_line(load, text, message):
    with pytest.raises(yaml.YAMLError) as refused:
        load(text)
    assert message in in_words(refused.value)
