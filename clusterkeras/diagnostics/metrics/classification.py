"""How well a probability tells clusters from the rest.

The curves are a sort and two running sums; numpy does them, and scikit-learn would be
the largest dependency after TensorFlow for nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from clusterkeras.diagnostics.metrics.arrays import as_probabilities
from clusterkeras.diagnostics.metrics.groups import clustered_error


@dataclass(frozen=True)
class RocCurve:
    """Receiver operating characteristic, one point for each distinct probability.

    Attributes
    ----------
    threshold : ndarray, shape (T,)
        Taken as a cluster where the probability is at least this; falling from inf.
    true_positive_rate, false_positive_rate : ndarray, shape (T,)
        Share of the clusters, and of the others, that are taken.
    auc : float
        Area under the curve: the chance that a cluster has a higher probability than
        another object, equal ones counted half.
    auc_error : float
        Standard error of `auc` (DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44,
        837), in groups that of Obuchowski 1997 (Biometrics 53, 567).
    n_positive, n_negative : int
        Numbers of clusters and of others.
    """

    threshold: NDArray[np.float64]
    true_positive_rate: NDArray[np.float64]
    false_positive_rate: NDArray[np.float64]
    auc: float
    auc_error: float
    n_positive: int
    n_negative: int


@dataclass(frozen=True)
class PurityCurve:
    """Purity (precision) against completeness (recall).

    Attributes
    ----------
    threshold, completeness, purity : ndarray, shape (T,)
        Taken as a cluster at or above the threshold; completeness rises. Purity holds
        for the shares of clusters and others in the sample.
    average_purity : float
        Purity averaged over completeness, each point with its own step.
    """

    threshold: NDArray[np.float64]
    completeness: NDArray[np.float64]
    purity: NDArray[np.float64]
    average_purity: float


@dataclass(frozen=True)
class OperatingPoint:
    """What a threshold gives; attributes as in the two curves."""

    threshold: float
    completeness: float
    purity: float
    false_positive_rate: float


@dataclass(frozen=True)
class Reliability:
    """Share of clusters among objects of about the same probability.

    Attributes
    ----------
    edges : ndarray, shape (B + 1,)
        Edges of the bins in probability.
    n : ndarray of int, shape (B,)
        Objects in each bin.
    probability, fraction : ndarray, shape (B,)
        Mean probability and share of clusters; NaN in an empty bin.
    noise : ndarray, shape (B,)
        Standard deviation of `fraction` if the probabilities are right.
    """

    edges: NDArray[np.float64]
    n: NDArray[np.int64]
    probability: NDArray[np.float64]
    fraction: NDArray[np.float64]
    noise: NDArray[np.float64]


@dataclass(frozen=True)
class ProbabilityCheck:
    """Verdict on the probabilities as such.

    Attributes
    ----------
    n : int
        Number of objects.
    brier : float
        `brier_score`.
    brier_expected : float
        What it would be if the probabilities were right.
    noise : float
        Standard deviation of `brier` in that case.
    z : float
        (brier - brier_expected) / noise; positive for over-confident probabilities
        (Spiegelhalter 1986, Statistics in Medicine 5, 421).
    ok : bool
        Whether abs(z) is within the stated confidence.
    """

    n: int
    brier: float
    brier_expected: float
    noise: float
    z: float
    ok: bool


def roc_curve(
    is_positive: ArrayLike, probability: ArrayLike, group: ArrayLike | None = None
) -> RocCurve:
    """Make the receiver operating characteristic.

    Parameters
    ----------
    is_positive : array_like of bool, shape (N,)
        Whether the object is a cluster.
    probability : array_like, shape (N,)
        Probability of being one, in [0, 1].
    group : array_like of int, shape (N,), optional
        Name of each object's group, whose objects err together.

    Raises
    ------
    ValueError
        If one of the two classes is missing.
    """
    positive, probability = _checked(is_positive, probability)
    threshold, true, false = _counts(positive, probability)
    n_positive, n_negative = int(true[-1]), int(false[-1])
    if not n_positive or not n_negative:
        raise ValueError(
            "an ROC curve needs clusters and others; received "
            f"{n_positive} clusters and {n_negative} others"
        )
    tpr = np.concatenate([[0.0], true / n_positive])
    fpr = np.concatenate([[0.0], false / n_negative])
    auc = float(np.trapezoid(tpr, fpr))
    return RocCurve(
        threshold=np.concatenate([[np.inf], threshold]),
        true_positive_rate=tpr,
        false_positive_rate=fpr,
        auc=auc,
        auc_error=float(clustered_error(_pulls(positive, probability), group)),
        n_positive=n_positive,
        n_negative=n_negative,
    )


def purity_curve(is_positive: ArrayLike, probability: ArrayLike) -> PurityCurve:
    """Make the curve of purity against completeness; arguments as in `roc_curve`.

    Raises
    ------
    ValueError
        If there is no cluster.
    """
    threshold, true, false = _counts(is_positive, probability)
    if not true[-1]:
        raise ValueError("a purity curve needs clusters; received none")
    completeness = true / true[-1]
    purity = true / (true + false)
    step = np.diff(completeness, prepend=0.0)
    return PurityCurve(threshold, completeness, purity, float(np.sum(step * purity)))


def purity_at_completeness(
    is_positive: ArrayLike, probability: ArrayLike, completeness: float = 0.9
) -> OperatingPoint:
    """Return the highest threshold that is at least so complete.

    Parameters
    ----------
    is_positive, probability : array_like, shape (N,)
        As in `roc_curve`.
    completeness : float
        Share of clusters to be taken, in (0, 1].
    """
    if not 0 < completeness <= 1:
        raise ValueError(f"completeness must be in (0, 1]; received {completeness}")
    roc = roc_curve(is_positive, probability)
    # 0.9 of 10 clusters is 9, whatever the rounding says
    at = int(np.argmax(roc.true_positive_rate >= completeness - 1e-9))
    true = roc.true_positive_rate[at] * roc.n_positive
    false = roc.false_positive_rate[at] * roc.n_negative
    return OperatingPoint(
        threshold=float(roc.threshold[at]),
        completeness=float(roc.true_positive_rate[at]),
        purity=float(true / (true + false)),
        false_positive_rate=float(roc.false_positive_rate[at]),
    )


def reliability(
    is_positive: ArrayLike,
    probability: ArrayLike,
    bins: int = 10,
    group: ArrayLike | None = None,
) -> Reliability:
    """Compare probabilities with the share of clusters, in bins of equal width.

    Parameters
    ----------
    is_positive, probability : array_like, shape (N,)
        As in `roc_curve`.
    bins : int
        Number of bins over [0, 1].
    group : array_like of int, shape (N,), optional
        Name of each object's group, whose objects err together.
    """
    positive, probability = _checked(is_positive, probability)
    edges = np.linspace(0, 1, bins + 1)
    which = np.clip(np.digitize(probability, edges) - 1, 0, bins - 1)
    n = np.bincount(which, minlength=bins)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.bincount(which, weights=values, minlength=bins)
        return np.divide(total, n, out=np.full(bins, np.nan), where=n > 0)

    variance = mean(probability * (1 - probability))
    noise = np.sqrt(np.divide(variance, n, out=np.full(bins, np.nan), where=n > 0))
    if group is not None:
        group = np.asarray(group)
        together = [
            clustered_error((positive - probability)[rows], group[rows])
            for rows in (which == np.arange(bins)[:, None])
        ]
        noise = np.fmax(noise, together)
    return Reliability(edges, n, mean(probability), mean(positive * 1.0), noise)


def brier_score(is_positive: ArrayLike, probability: ArrayLike) -> float:
    """Return the mean squared difference of probability and truth (0 or 1)."""
    positive, probability = _checked(is_positive, probability)
    return float(np.mean((probability - positive) ** 2))


def check_probabilities(
    is_positive: ArrayLike,
    probability: ArrayLike,
    confidence: float = 0.95,
    group: ArrayLike | None = None,
) -> ProbabilityCheck:
    """Compare the Brier score with what right probabilities would give.

    Parameters
    ----------
    is_positive, probability : array_like, shape (N,)
        As in `roc_curve`.
    confidence : float
        Share of right probabilities that pass.
    group : array_like of int, shape (N,), optional
        Name of each object's group, whose objects err together.
    """
    positive, p = _checked(is_positive, probability)
    score = brier_score(positive, p)
    variance = p * (1 - p)
    noise = float(np.sqrt(np.sum((1 - 2 * p) ** 2 * variance)) / len(p))
    if group is not None:
        together = clustered_error((p - positive) ** 2 - variance, group)
        noise = float(np.fmax(noise, together))
    excess = score - float(variance.mean())
    z = excess / noise if noise > 0 else float(np.copysign(np.inf, excess))
    if excess == 0:
        z = 0.0
    limit = stats.norm.ppf(0.5 + confidence / 2)
    return ProbabilityCheck(
        len(p), score, float(variance.mean()), noise, z, bool(abs(z) <= limit)
    )


def odds_gained(probability: ArrayLike, share: float) -> NDArray[np.float64]:
    """Return how many times likelier a look makes a cluster: the ratio of the odds.

    Where another share of the objects are clusters, the probability there is 0.5 or
    more where this reaches ``(1 - share) / share``.

    Parameters
    ----------
    probability : array_like, shape (N,)
        Probability of a cluster.
    share : float
        Share of clusters that it was made for, between 0 and 1.

    Returns
    -------
    ndarray, shape (N,)
        1 where the look said nothing; infinite for a probability of 1.
    """
    probability = as_probabilities("probability", probability)
    with np.errstate(divide="ignore"):
        return probability / (1 - probability) * (1 - share) / share


def _checked(
    is_positive: ArrayLike, probability: ArrayLike
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    positive = np.asarray(is_positive).astype(bool)
    probability = as_probabilities("probability", probability)
    if positive.ndim != 1 or positive.shape != probability.shape or not positive.size:
        raise ValueError(
            "is_positive and probability must both be (N,), N at least 1; received "
            f"{positive.shape} and {probability.shape}"
        )
    return positive, probability


def _pulls(
    positive: NDArray[np.bool_], probability: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how much each object pulls the area under the curve; their mean is 0.

    The share of the other class that is below it, less the mean over its own class,
    weighted by the share of its class.
    """
    below = stats.rankdata(probability)
    for rows, sign in ((positive, 1), (~positive, -1)):
        mine = (below[rows] - stats.rankdata(probability[rows])) / np.sum(~rows)
        below[rows] = sign * (mine - mine.mean()) / rows.mean()
    return below


def _counts(
    is_positive: ArrayLike, probability: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Count true and false positives at each distinct probability, highest first."""
    positive, probability = _checked(is_positive, probability)
    order = np.argsort(-probability, kind="stable")
    positive, probability = positive[order], probability[order]
    last = np.append(np.flatnonzero(np.diff(probability)), len(probability) - 1)
    true = np.cumsum(positive)[last]
    return probability[last], true, last + 1 - true
