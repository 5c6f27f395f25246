"""What a setting may be, in words and as a check: numbers with both ends, text, pairs.

Every attribute of a configuration has limits here, so that not a number, infinity, a
text where a number belongs and what no memory holds are refused by name.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple

#: Of every seed: it is kept in 32 bits, with room for what is added to it.
LARGEST_SEED = 2**31 - 1


class Limits(NamedTuple):
    """What a setting may be.

    Attributes
    ----------
    words : str
        What it must be, after "must be".
    holds : callable
        Whether a value is that; must not raise.
    """

    words: str
    holds: Callable[[Any], bool]


def check(settings: object, prefix: str, limits: Mapping[str, Limits]) -> None:
    """Refuse an attribute that is not within its limits.

    Parameters
    ----------
    settings : object
        With the attributes.
    prefix : str
        What stands before an attribute's name in a message, ``training.``.
    limits : mapping of str to Limits
        By attribute.

    Raises
    ------
    ValueError
        On the first that is not; the message says what was expected and received.
    """
    for name, limit in limits.items():
        value = getattr(settings, name)
        if not limit.holds(value):
            received = repr(value)
            if len(received) > 200:
                received = received[:200] + " ..."
            raise ValueError(
                f"{prefix}{name} must be {limit.words}; received {received}"
            )


def _is_number(value: Any) -> bool:
    is_real = isinstance(value, Real) and not isinstance(value, bool)
    # a whole number may be larger than any float
    return is_real and (isinstance(value, Integral) or math.isfinite(value))


def whole(low: int, high: int, multiple_of: int = 1) -> Limits:
    """Return the limits of a whole number, both ends included."""
    kind = "whole number" if multiple_of == 1 else f"multiple of {multiple_of}"
    return Limits(
        f"a {kind} >= {low}, at most {high:,}",
        lambda v: (
            isinstance(v, Integral)
            and not isinstance(v, bool)
            and low <= v <= high
            and v % multiple_of == 0
        ),
    )


def seed() -> Limits:
    """Return the limits of a seed."""
    return whole(0, LARGEST_SEED)


def workers() -> Limits:
    """Return the limits of a number of processes; more than its cores wait for them."""
    cores = os.cpu_count() or 1
    limit = whole(0, max(16, 4 * cores))
    return limit._replace(
        words=f"{limit.words} on the {cores} cores here, 0 for one a core"
    )


def number(low: float, high: float) -> Limits:
    """Return the limits of a number, both ends included."""
    return Limits(
        f"a number >= {low:g}, at most {high:g}",
        lambda v: _is_number(v) and low <= v <= high,
    )


def above(low: float, high: float) -> Limits:
    """Return the limits of a number above one, up to another."""
    return Limits(
        f"a number > {low:g}, at most {high:g}",
        lambda v: _is_number(v) and low < v <= high,
    )


def below_one(without_zero: bool = False) -> Limits:
    """Return the limits of a share that is not the whole."""
    if without_zero:
        return Limits("a number in (0, 1)", lambda v: _is_number(v) and 0 < v < 1)
    return Limits("a number in [0, 1)", lambda v: _is_number(v) and 0 <= v < 1)


def ordered(low: float, high: float, apart: bool = False) -> Limits:
    """Return the limits of a range: two numbers, the lower first, or not the same."""
    sign = "<" if apart else "<="

    def holds(value: Any) -> bool:
        return (
            isinstance(value, tuple | list)
            and len(value) == 2
            and all(map(_is_number, value))
            and low <= value[0] <= value[1] <= high
            and not (apart and value[0] == value[1])
        )

    return Limits(
        f"(low, high) with {low:g} <= low {sign} high <= {high:g}",
        holds,
    )


def truth() -> Limits:
    """Return the limits of what is true or false."""
    return Limits("true or false", lambda v: isinstance(v, bool))


def one_of(values: Sequence[Any]) -> Limits:
    """Return the limits of one of some values."""
    return Limits(
        f"one of {tuple(values)}",
        lambda v: any(type(v) is type(one) and v == one for one in values),
    )


def text(empty: bool = True) -> Limits:
    """Return the limits of a text of one line."""
    return Limits(
        "text" if empty else "text, not empty",
        lambda v: isinstance(v, str) and bool(v or empty) and v.isprintable(),
    )


def file_name() -> Limits:
    """Return the limits of a name that files are named after."""
    return Limits(
        "a name, not empty, of at most 100 characters without / \\ : or a dot first, "
        "as files are named after it",
        lambda v: (
            isinstance(v, str)
            and re.fullmatch(r"[^./\\:][^/\\:]{0,99}", v) is not None
            and v.isprintable()
        ),
    )


def optional(limit: Limits) -> Limits:
    """Return limits that allow None too."""
    return Limits(f"{limit.words}, or null", lambda v: v is None or limit.holds(v))


def by_name(names: Sequence[str] | None, limit: Limits) -> Limits:
    """Return the limits of a mapping, each value within limits, of some names only."""
    keys = f"keyed by {', '.join(names)}" if names else "by name"
    return Limits(
        f"a mapping {keys}, each {limit.words}",
        lambda v: (
            isinstance(v, Mapping)
            and all(isinstance(k, str) and (not names or k in names) for k in v)
            and all(map(limit.holds, v.values()))
        ),
    )


def each(limit: Limits) -> Limits:
    """Return the limits of a list whose elements are within limits."""
    return Limits(
        f"a list, each {limit.words}",
        lambda v: isinstance(v, tuple | list) and all(map(limit.holds, v)),
    )
