"""The chance that a cluster is found, as a smooth function fitted to injections."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from clusterkeras.catalogue.table import numbers
from data_tools.foreign.reading import reading
from data_tools.running.plain_files import read_json, write_json
from data_tools.schema import PARAMETER_NAMES

#: Name of the file in the directory of a measurement.
FUNCTION_FILE = "completeness.json"
#: What a place does: log10 of the scatter of its pixels in nJy, mean of the bands.
PLACE = "log_scatter"
FEATURES = (*PARAMETER_NAMES, PLACE)
#: What is predicted: a candidate is there; it is also taken for a cluster.
OUTCOMES = ("detected", "recovered")

#: Highest powers of the features together that are tried, and strengths of shrinking.
_DEGREES = (1, 2, 3)
_C = (0.01, 0.1, 1.0, 10.0)
_FOLDS = 5
#: Share of the injections that the fit is judged by, not made from; bins of that.
_HELD_OUT = 0.2
_BINS = 5
_VERSION = 1


@dataclass(frozen=True)
class Completeness:
    """P(found | parameters, place).

    A logistic regression on products of powers of the features, each shifted and
    scaled to about -1 to 1; a feature beyond the range of the injections counts as at
    its end.

    Attributes
    ----------
    powers : (terms, features) ndarray of int
        Of each of `FEATURES` in each term.
    low, high : (features,) ndarray
        Range of the injections.
    intercept : float
        Logit where all terms are zero.
    coefficients : (terms,) ndarray
        Of the logit.
    scatter : (rows, columns) ndarray
        Map of the place's feature, in square boxes.
    step_px : int
        Side of a box in pixels.
    """

    powers: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    intercept: float
    coefficients: NDArray[np.float64]
    scatter: NDArray[np.float64]
    step_px: int

    def __call__(self, table: Mapping[str, ArrayLike] | Any) -> NDArray[np.float64]:
        """Return the probability that clusters are found.

        Parameters
        ----------
        table : table or mapping
            Columns ``log_age`` [dex(yr)], ``a_v`` [mag], ``log_mass`` [dex(solMass)]
            and ``log_half_light_radius`` [dex(arcsec)], or those of a catalogue that
            end in ``_median``; and ``x``, ``y`` (0-based pixels of the mosaic) or
            ``log_scatter``. Numbers will do in place of columns.

        Returns
        -------
        ndarray
            In (0, 1); NaN where a column has no value.

        Raises
        ------
        ValueError
            If columns are missing.
        """
        return self.predict(_features(table, self.scatter, self.step_px))

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability for `FEATURES` (..., features)."""
        terms = _terms(features, self.low, self.high, self.powers)
        return _logistic(self.intercept + terms @ self.coefficients)


def load_completeness(path: str | Path, outcome: str = "recovered") -> Completeness:
    """Load a function that `clusterkeras completeness` has saved.

    Parameters
    ----------
    path : str or Path
        Its file, or the directory it is in.
    outcome : {"recovered", "detected"}
        Of which the probability is wanted: that a cluster is a row of the catalogue
        taken for a cluster, or that it is a candidate.

    Returns
    -------
    Completeness
        ``load(path)(table)`` gives a probability a row.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is something else, or the outcome is unknown.
    """
    path = Path(path)
    if path.is_dir():
        path = path / FUNCTION_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such function; `clusterkeras completeness` writes it"
        )
    if outcome not in OUTCOMES:
        raise ValueError(f"outcome: expected one of {OUTCOMES}; received {outcome!r}")
    values = read_json(path)
    if values.get("version") != _VERSION:
        raise ValueError(
            f"{path}: expected a completeness function of version {_VERSION}, received "
            f"{values.get('version')}; run `clusterkeras completeness` again"
        )
    with reading(path, "a completeness function"):
        fit = values["outcomes"][outcome]
        function = Completeness(
            powers=np.array(fit["powers"], int).reshape(-1, len(FEATURES)),
            low=np.array(values["low"], float),
            high=np.array(values["high"], float),
            intercept=float(fit["intercept"]),
            coefficients=np.array(fit["coefficients"], float),
            scatter=np.array(values["scatter"], float),
            step_px=int(values["step_px"]),
        )
    if not (
        function.low.shape == function.high.shape == (len(FEATURES),)
        and function.coefficients.shape == function.powers.shape[:1]
        and function.scatter.ndim == 2
        and function.scatter.size > 0
        and 0 < function.step_px < 1_000_000
    ):
        raise ValueError(
            f"{path}: its ranges, coefficients and map are of no completeness "
            "function; it is damaged. Run `clusterkeras completeness` again"
        )
    return function


def place_feature(
    x: ArrayLike, y: ArrayLike, scatter: NDArray[np.float64], step_px: int
) -> NDArray[np.float64]:
    """Return the value of the map's box at places, the nearest outside it.

    Parameters
    ----------
    x, y : array_like
        0-based pixels; NaN gives NaN.
    scatter : (rows, columns) ndarray
        The map.
    step_px : int
        Side of a box in pixels.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    known = np.isfinite(x) & np.isfinite(y)
    row, column = (
        np.clip(np.where(known, v + 0.5, 0) // step_px, 0, n - 1).astype(int)
        for v, n in zip((y, x), scatter.shape, strict=True)
    )
    return np.where(known, scatter[row, column], np.nan)


def fit_completeness(
    features: NDArray[np.float64],
    outcomes: Mapping[str, NDArray[np.bool_]],
    scatter: NDArray[np.float64],
    step_px: int,
    path: Path,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """Fit the function of each outcome, check it on held-out injections, save both.

    The highest power and how much the coefficients are shrunk are those of the best
    log loss in cross-validation. What is saved is fitted on all injections; the check
    is of the same fit on four fifths of them, judged by the rest.

    Parameters
    ----------
    features : (n, features) ndarray
        Of each injected cluster, in the order of `FEATURES`.
    outcomes : dict of str to (n,) ndarray of bool
        Of each of `OUTCOMES`.
    scatter, step_px
        The map of the place's feature.
    path : Path
        JSON file.
    about : dict
        Plain values that are saved beside it.

    Returns
    -------
    dict
        For each outcome ``held_out``: ``n``, ``share`` found, mean ``predicted``,
        ``log_loss`` and that of ``constant`` probability, and ``bins`` of predicted
        probability with ``n``, ``predicted`` and ``share``.
    """
    low, high = features.min(axis=0), features.max(axis=0)
    held = np.arange(len(features)) % round(1 / _HELD_OUT) == 0
    fits, checks = {}, {}
    for name in OUTCOMES:
        found = np.asarray(outcomes[name], bool)
        part = _fit(features[~held], found[~held], low, high)
        p = _logistic(
            part["intercept"]
            + _terms(features[held], low, high, np.array(part["powers"]))
            @ np.array(part["coefficients"])
        )
        checks[name] = _check(p, found[held], found[~held].mean())
        fits[name] = {**_fit(features, found, low, high), "held_out": checks[name]}
    write_json(
        path,
        {
            "version": _VERSION,
            **about,
            "features": FEATURES,
            "low": low.tolist(),
            "high": high.tolist(),
            "outcomes": fits,
            "step_px": step_px,
            "scatter": np.round(scatter, 4).tolist(),
        },
    )
    return checks


def smooth_share(
    features: NDArray[np.float64], found: NDArray[np.bool_]
) -> Callable[[NDArray[np.floating]], NDArray[np.float64]]:
    """Return the share that is found as a smooth function of any features.

    Parameters
    ----------
    features : (n, F) ndarray
        Of each injected cluster.
    found : (n,) ndarray of bool
        Whether it was.

    Returns
    -------
    callable
        Takes features (..., F), gives shares (...) in (0, 1); see `fit_completeness`.
    """
    low, high = features.min(axis=0), features.max(axis=0)
    fit = _fit(features, np.asarray(found, bool), low, high)
    powers = np.array(fit["powers"], int).reshape(-1, features.shape[1])
    coefficients, intercept = np.array(fit["coefficients"]), fit["intercept"]

    def share(at: NDArray[np.floating]) -> NDArray[np.float64]:
        return _logistic(intercept + _terms(at, low, high, powers) @ coefficients)

    return share


def _fit(
    features: NDArray, found: NDArray[np.bool_], low: NDArray, high: NDArray
) -> dict[str, Any]:
    """Return powers, intercept and coefficients of the best fit, as plain values."""
    rarest = int(min(found.sum(), (~found).sum()))
    if rarest < _FOLDS:
        share = (found.sum() + 0.5) / (len(found) + 1)
        intercept = float(np.log(share / (1 - share)))
        return {"powers": [], "intercept": intercept, "coefficients": []}
    best = None
    for degree in _DEGREES:
        powers = _all_powers(degree, features.shape[1])
        search = GridSearchCV(
            LogisticRegression(max_iter=5000),
            {"C": list(_C)},
            scoring="neg_log_loss",
            cv=StratifiedKFold(_FOLDS, shuffle=True, random_state=0),
        ).fit(_terms(features, low, high, powers), found)
        if best is None or search.best_score_ > best[0]:
            best = (search.best_score_, powers, search.best_estimator_)
    _, powers, model = best
    return {
        "powers": powers.tolist(),
        "intercept": float(model.intercept_[0]),
        "coefficients": model.coef_[0].tolist(),
    }


def _all_powers(degree: int, features: int) -> NDArray[np.int64]:
    """Return the powers of all terms up to a degree, (terms, features), no constant."""
    powers = itertools.product(range(degree + 1), repeat=features)
    return np.array([p for p in powers if 0 < sum(p) <= degree])


def _terms(
    features: NDArray, low: NDArray, high: NDArray, powers: NDArray
) -> NDArray[np.float64]:
    """Return the terms (..., terms) of the logit."""
    if not len(powers):
        return np.zeros((*features.shape[:-1], 0))
    half = np.where(high > low, (high - low) / 2, 1)
    scaled = (np.clip(features, low, high) - (low + high) / 2) / half
    return np.prod(scaled[..., None, :] ** powers, axis=-1)


def _logistic(logit: NDArray) -> NDArray:
    return 1 / (1 + np.exp(-logit))


def _check(p: NDArray, found: NDArray[np.bool_], constant: float) -> dict[str, Any]:
    """Score probabilities against what was found."""

    def loss(p: ArrayLike) -> float:
        p = np.clip(p, 1e-6, 1 - 1e-6)
        return float(-np.where(found, np.log(p), np.log(1 - p)).mean())

    bins = [rows for rows in np.array_split(np.argsort(p), _BINS) if len(rows)]
    return {
        "n": len(p),
        "share": float(found.mean()),
        "predicted": float(p.mean()),
        "log_loss": loss(p),
        "constant": loss(constant),
        "bins": [
            {
                "n": len(rows),
                "predicted": float(p[rows].mean()),
                "share": float(found[rows].mean()),
            }
            for rows in bins
        ],
    }


def _features(table: Any, scatter: NDArray, step_px: int) -> NDArray[np.float64]:
    names = getattr(table, "colnames", None) or list(table)

    columns, missing = [], []
    for name in PARAMETER_NAMES:
        present = [n for n in (name, f"{name}_median") if n in names]
        columns += [numbers(table, n) for n in present[:1]]
        missing += [] if present else [name]
    if PLACE in names:
        columns.append(numbers(table, PLACE))
    elif {"x", "y"} <= set(names):
        columns.append(
            place_feature(*(numbers(table, axis) for axis in "xy"), scatter, step_px)
        )
    else:
        missing.append("x and y")
    if missing:
        raise ValueError(
            f"completeness: expected the columns {', '.join(PARAMETER_NAMES)} (or with "
            f"_median behind), x and y; {', '.join(missing)} missing among "
            f"{', '.join(names)}"
        )
    return np.stack(np.broadcast_arrays(*columns), axis=-1)
