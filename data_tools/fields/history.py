"""When the stars of a patch of disc formed: steadily, in decline, in a burst."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_tools.priors import Priors

#: Ages (log yr) that stand for the old disc and the bulge, and their shares of the
#: mass at a constant star-formation rate between 1 and 12 Gyr: each stands for the
#: lookback times in Gyr between two of these.
OLD_AGES = ((9.2, 0.15), (9.6, 0.35), (9.95, 0.50))
_OLD_EDGES_GYR = np.array([1.0, 2.65, 6.5, 12.0])
#: Ages that stand for stars formed at a constant rate in the last Gyr. Those of the
#: first row are still where they were born: a star that drifts at some km/s crosses a
#: field in 100 Myr.
YOUNG_AGES = np.arange(6.65, 8.0, 0.1)
MIDDLE_AGES = np.arange(8.1, 9.0, 0.2)
_YOUNG_TO = 10 ** (YOUNG_AGES + 0.05)
_MIDDLE_TO = 10 ** (MIDDLE_AGES + 0.1)

#: Width of a burst in log age, and between which log ages its middle lies.
_BURST_DEX, _BURST_AGES = 0.5, (6.65, 8.9)


@dataclass(frozen=True)
class History:
    """How many stars of each age formed.

    Attributes
    ----------
    old_shares : (old ages,) ndarray
        Share of the old stars' mass that each of OLD_AGES stands for.
    middle_span, young_span : ndarray
        Years at the field's star-formation rate that each of MIDDLE_AGES and of
        YOUNG_AGES stands for.
    properties : dict of str to float
        What was drawn; see `data_tools.schema.FIELD_TRAITS`.
    """

    old_shares: np.ndarray
    middle_span: np.ndarray
    young_span: np.ndarray
    properties: dict[str, float]


def history_of(decline: float = 0.0, burst: float = 0.0, age: float = 0.0) -> History:
    """Return a history.

    Parameters
    ----------
    decline : float
        The rate before 1 Gyr goes as exp(decline x lookback time), per Gyr; 0 for a
        constant one.
    burst : float
        log10 of the factor of the rate in half a dex of age; 0 for a constant one.
    age : float
        log10 of the age of its middle in years.
    """
    edges = _OLD_EDGES_GYR
    formed = np.diff(np.exp(decline * edges)) if decline else np.diff(edges)

    def spans(ages: np.ndarray, to: np.ndarray, start: float) -> np.ndarray:
        inside = np.abs(ages - age) < 0.5 * _BURST_DEX
        return np.diff(to, prepend=start) * np.where(inside, 10.0**burst, 1.0)

    return History(
        formed / formed.sum(),
        spans(MIDDLE_AGES, _MIDDLE_TO, _YOUNG_TO[-1]),
        spans(YOUNG_AGES, _YOUNG_TO, 0.0),
        {"old_decline": decline, "burst": burst, "burst_age": age if burst else np.nan},
    )


def draw_history(priors: Priors, rng: np.random.Generator) -> History:
    """Draw the history of a field.

    Parameters
    ----------
    priors : Priors
        Ranges of what is drawn.
    rng : numpy.random.Generator
        Source of randomness.
    """
    decline = rng.uniform(*priors.field_old_decline)
    has_burst = rng.random() < priors.field_burst_fraction
    burst, age = rng.uniform(*priors.field_burst), rng.uniform(*_BURST_AGES)
    return history_of(decline, burst if has_burst else 0.0, age)
