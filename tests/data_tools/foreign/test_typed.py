"""A data class from plain values or texts: typed, and unknown keys are named."""

import dataclasses
from dataclasses import dataclass

import pytest

from data_tools.foreign.typed import build


@dataclass(frozen=True)
class Part:
    """A part."""

    label: str
    weight: float


@dataclass(frozen=True)
class Whole:
    """A whole."""

    name: str = "a"
    n: int = 1
    share: float = 0.5
    on: bool = False
    limits: tuple[float, float] = (0.0, 1.0)
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    path: str | None = None
    most: int | None = None
    shape: tuple[int, ...] = ()
    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    parts: tuple[Part, ...] = ()

    def __post_init__(self):
        """Check a value."""
        if self.n < 0:
            raise ValueError(f"whole: n must be >= 0; received {self.n}")


@pytest.mark.parametrize("text", ["0123", "1e5", "no", "on", "2026-11-29", "null", "~"])
def test_a_text_stays_as_it_is_written(text):
    values = {"name": text, "files": {"F336W": text}, "parts": [{"label": text}]}
    values["parts"][0]["weight"] = "1"
    made = build(Whole, values, "whole")
    assert (made.name, made.files["F336W"], made.parts[0].label) == (text, text, text)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"share": "1e-18"}, 1e-18),
        ({"share": "1E-18"}, 1e-18),
        ({"share": "2"}, 2.0),
        ({"share": 2}, 2.0),
        ({"n": "012"}, 12),
        ({"n": "1e6"}, 1_000_000),
        ({"n": "1.5E+3"}, 1500),
        ({"n": "20."}, 20),
        ({"n": 1e6}, 1_000_000),
        ({"most": "2e3"}, 2000),
        ({"most": "null"}, None),
        ({"shape": ["1e2", 3.0]}, (100, 3)),
        ({"counts": {"a": "1e2"}}, {"a": 100}),
        ({"share": "1e2"}, 100.0),
        ({"name": "1:30"}, "1:30"),
        ({"path": "1:30"}, "1:30"),
        ({"name": "1e6"}, "1e6"),
        ({"on": "yes"}, True),
        ({"on": "true"}, True),
        ({"limits": ["1e-3", 2]}, (1e-3, 2.0)),
        ({"path": "null"}, None),
        ({"path": "1e5"}, "1e5"),
    ],
)
def test_a_number_is_a_number_where_one_belongs(values, expected):
    (name,) = values
    assert getattr(build(Whole, values, "whole"), name) == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nam": "b"}, "unknown key 'nam'; nearest to it: name"),
        ({"zzzz": "b"}, "unknown key 'zzzz'; known: counts, files, label, "),
        (
            {"parts": [{"label": "a", "wait": 1}]},
            "unknown key 'wait'; nearest to it: w",
        ),
        ({"parts": [{"label": "a"}]}, "required: weight"),
        ({"parts": [{"label": "a", "weight": "x"}]}, "weight: expected a number; rec"),
        ({"parts": 3}, "parts: expected a list; received 3"),
        ({"name": 5}, "name: expected text; received 5"),
        ({"n": 1.5}, "n: expected a whole number; received 1.5"),
        ({"n": "2.5"}, "n: expected a whole number; received 2.5"),
        ({"n": "1e-3"}, "n: expected a whole number; received 0.001"),
        ({"n": "1:30"}, "n: expected a whole number; received 1:30"),
        ({"n": "190:20:30"}, "n: expected a whole number; received 190:20:30"),
        ({"share": "1:30.5"}, "share: expected a number; received 1:30.5"),
        ({"share": "-1:30"}, "share: expected a number; received -1:30"),
        ({"most": "1:30"}, "most: expected a whole number; received 1:30"),
        ({"limits": ["1:30", 2]}, "limits: expected a number; received 1:30"),
        ({"counts": {"a": "1:30"}}, "counts.a: expected a whole number; received 1:"),
        (
            {"parts": [{"label": "1:30", "weight": "1:30"}]},
            "weight: expected a number; received 1:30",
        ),
        ({"n": True}, "n: expected a whole number; received True"),
        ({"n": "x"}, "n: expected a whole number; received x"),
        ({"n": [1]}, "n: expected a whole number; received"),
        ({"n": "-1"}, "n must be >= 0; received -1"),
        ({"share": {"a": 1}}, "share: expected a number; received"),
        ({"on": "3"}, "on: expected true or false; received 3"),
        ({"limits": [1]}, "limits: expected .* 2 elements; received"),
        ({"files": "a.fits"}, "files: expected a mapping; received a.fits"),
        ({"files": {"a": 1}}, "files: expected text; received 1"),
        ({"path": 5}, "path: expected text or null; received 5"),
        ({None: 5}, "must be a string"),
        ([1], r"expected a mapping; received \[1\]"),
        (None, "expected a mapping; received None"),
    ],
)
def test_anything_else_is_refused_by_name_in_one_line(values, message):
    with pytest.raises(ValueError, match=f"^whole: .*{message}") as refused:
        build(Whole, values, "whole")
    assert "\n" not in str(refused.value)
    assert "class" not in str(refused.value)
