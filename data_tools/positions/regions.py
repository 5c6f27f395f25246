"""Positions from regions that were drawn: DS9's and CASA's files."""

from __future__ import annotations

import logging
import re
import warnings
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from astropy.utils.exceptions import AstropyUserWarning

from data_tools.positions.columns import ORIGIN_KEY

logger = logging.getLogger(__name__)

#: Format of a file of regions by its suffix.
SUFFIXES = {".reg": "ds9", ".ds9": "ds9", ".crtf": "crtf"}

#: What DS9 (its reference manual, "Regions: Coordinate Systems") and CASA (CASA Region
#: Text Format, version 0) call the middle of the first pixel.
_ORIGIN = {"ds9": 1, "crtf": 0}

_PHYSICAL = re.compile(r"(?im)^(\s*)physical(?=\s*(;|$))")


def read_regions(path: str | Path, layout: str) -> QTable:
    """Read the centres of regions.

    Of a polygon and of a line it is the mean of the corners. DS9's physical coordinates
    are taken for those of the image, as they are on a drizzled mosaic.

    Parameters
    ----------
    path : str or Path
        The file.
    layout : {"ds9", "crtf"}
        Its format.

    Returns
    -------
    QTable
        A row a region, in the order of the file: ``x`` and ``y`` in pixels as that
        format counts them (`data_tools.positions.columns.ORIGIN_KEY` of the metadata),
        ``ra`` and ``dec`` in degrees (ICRS), the ``shape`` and the ``text`` drawn
        beside it. A region in pixels has no sky position, and the other way round.

    Raises
    ------
    ValueError
        If no region can be read.
    """
    from regions import Regions

    path = Path(path)
    text = path.read_text(encoding="utf-8", errors="replace")
    if layout == "ds9":
        text, physical = _PHYSICAL.subn(r"\1image", text)
        if physical:
            logger.warning(
                "%s: physical coordinates are taken for those of the image", path
            )
    else:
        text = "\n".join(map(_with_frame, text.splitlines()))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", AstropyUserWarning)
        found = list(Regions.parse(text, format=layout))
    skipped = [str(w.message).rstrip(". ") for w in caught]
    if skipped:
        logger.warning(
            "%s: %d regions read; not all could be: %s",
            path,
            len(found),
            "; ".join(dict.fromkeys(skipped)),
        )
    if not found:
        why = f": {skipped[0]}" if skipped else ""
        raise ValueError(f"no region in it that can be read{why}")
    return _as_table(found, _ORIGIN[layout])


def _with_frame(line: str) -> str:
    """Say of sky positions in a CASA file what is the default, J2000."""
    first = line.partition("]")[0]
    if "[" not in first or "pix" in first or "coord" in line or line[0] == "#":
        return line
    return f"{line}, coord=J2000"


def _as_table(found: list[Any], origin: int) -> QTable:
    places = np.full((len(found), 4), np.nan)
    for row, region in zip(places, found, strict=True):
        centre = _centre(region)
        if isinstance(centre, SkyCoord):
            row[2:] = centre.icrs.ra.deg, centre.icrs.dec.deg
        else:
            row[:2] = centre[0] + origin, centre[1] + origin
    table = QTable(meta={ORIGIN_KEY: origin})
    for name, values, unit in zip(
        ("x", "y", "ra", "dec"), places.T, ("pix", "pix", "deg", "deg"), strict=True
    ):
        if np.isfinite(values).any():
            table[name] = values * u.Unit(unit)
    shapes = [type(r).__name__ for r in found]
    table["shape"] = [re.sub("(Pixel|Sky)?Region", "", s).lower() for s in shapes]
    table["text"] = [str(r.meta.get("text", r.meta.get("label", ""))) for r in found]
    return table


def _centre(region: Any) -> SkyCoord | tuple[float, float]:
    if hasattr(region, "center"):
        centre = region.center
    elif hasattr(region, "vertices"):
        centre = region.vertices
    else:
        ends = region.start, region.end
        if isinstance(ends[0], SkyCoord):
            centre = SkyCoord(ends)
        else:
            return tuple(np.mean([[e.x, e.y] for e in ends], axis=0))
    if not isinstance(centre, SkyCoord):
        return float(np.mean(centre.x)), float(np.mean(centre.y))
    if centre.isscalar:
        return centre
    # the middle of directions: no trouble where the right ascension begins anew
    mean = centre.cartesian.mean()
    return SkyCoord(mean, frame=centre.frame.replicate_without_data())
