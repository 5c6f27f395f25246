"""What made a catalogue, from its metadata: the main things in words, and all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

#: How a number, or a pair of them, is said.
_Words = Callable[[Any], str]


def _range(value: Any) -> str:
    low, high = value
    return f"{low} to {high}"


#: Heading, and under it what is said by which keys and how.
_SAID: dict[str, dict[str, tuple[str, _Words]]] = {
    "Data": {
        "mosaics": ("images", ", ".join),
        "positions": ("positions", str),
        "zero points": (
            "zero_points_ab",
            lambda points: ", ".join(f"{b} {p:.3f}" for b, p in points.items()) + " AB",
        ),
        "distance": ("target.distance_mpc", lambda value: f"{value} Mpc"),
        "pixel": ("target.pixel_scale_arcsec", lambda value: f"{value}″"),
        "FWHM of the PSF": (
            "context.psf_fwhm_px",
            lambda widths: ", ".join(
                f"{band} {f'{width:.2f} px' if width else 'unknown'}"
                for band, width in widths.items()
            ),
        ),
    },
    "Model": {
        "model": ("model", str),
        "target": ("target.name", str),
        "[Fe/H]": ("target.feh", str),
        "extinction law": ("target.extinction_law", str),
        "log age [yr]": ("target.box.log_age", _range),
        "A_V [mag]": ("target.box.a_v", _range),
        "log M [M☉]": ("target.box.log_mass", _range),
        "log r_h [arcsec]": ("target.box.log_half_light_radius", _range),
    },
    "Run": {
        "ClusterKeras": ("clusterkeras", str),
        "TensorFlow": ("tensorflow", str),
        "Keras": ("keras", str),
        "clusters among rows": ("cluster_share.here", lambda share: f"{share:.2%}"),
        "and in training": ("cluster_share.trained", lambda share: f"{share:.2%}"),
        "stellar model": ("context.stellar_model", str),
        "draws of each": ("configuration.draws", str),
        "seed": ("configuration.seed", str),
        "configuration": ("configuration_hash", str),
    },
}


def in_words(meta: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Return the main things that made a catalogue: names and values by heading.

    Parameters
    ----------
    meta : mapping
        Metadata of a catalogue; what it lacks, or holds in another form, is left out.
    """
    said: dict[str, list[tuple[str, str]]] = {}
    for heading, lines in _SAID.items():
        for name, (key, words) in lines.items():
            value: Any = meta
            for part in key.split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
            if value is None:
                continue
            try:
                line = words(value)
            except (TypeError, ValueError, AttributeError):
                continue  # of another version: all entries have it as it is
            said.setdefault(heading, []).append((name, line))
    return said


def every_entry(
    values: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, str]]:
    """Yield names and values of nested metadata as text, but for the list of flags."""
    for key, value in values.items():
        if key.startswith("__") or (not prefix and key == "flags"):
            continue
        if isinstance(value, Mapping):
            yield from every_entry(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for i, part in enumerate(value):
                yield from every_entry(part, f"{prefix}{key}.{part.get('name', i)}.")
        elif isinstance(value, list | tuple):
            yield prefix + key, ", ".join(str(part) for part in value)
        else:
            yield prefix + key, str(value)
