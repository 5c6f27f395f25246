"""How likely a catalogue is under a population, selection and contaminants included."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clusterkeras.population.model import PopulationModel

#: How steeply the likelihood falls where injections are too few: for a row, in units of
#: the log of how many are missing.
_WALL = 10.0


def effective(weights: NDArray[np.floating], n: int) -> NDArray[np.float64]:
    """Return N_eff (k,) of the means of n weights, of which all but (m, k) are zero.

    The square of the mean over its variance (Farr 2019, RNAAS 3, 66): a count of so
    many is as uncertain. Where m weigh the same it is m n / (n - m), more than m, for
    of most of n it is certain that they are none.
    """
    largest = np.maximum(weights.max(axis=0), np.finfo(np.float32).tiny)
    relative = weights / largest
    square = relative.sum(axis=0) ** 2
    spread = (relative**2).sum(axis=0) - square / n
    return np.maximum(square / np.maximum(spread, 1e-9), 1e-3)


class Likelihood:
    """The log-likelihood of the rows that count as clusters.

    Clusters and other candidates come independently of each other (an inhomogeneous
    Poisson process), and which of them count is decided by their images alone. Then,
    but for a constant (Loredo 2004; Mandel, Farr & Gair 2019),

        log L = sum_i log[1 - p_i + p_i (N / N_0) w_i] - N C

    p_i is the probability of a cluster where N_0 clusters are spread evenly over the
    box; w_i the mean, over draws of the row's posterior under that flat prior, of the
    population's density over the flat one; C the share of the population's clusters
    that come to count, the mean of the same ratio over injected clusters, zero for
    those that do not.

    Where the N_eff of C (`effective`) is below the number of rows, C is chance, and
    the likelihood may be far too high: populations of clusters that none was injected
    of would explain all rows. It is let fall steeply there.

    Parameters
    ----------
    model : PopulationModel
        The population.
    draws : ndarray, shape (n, S, P)
        Draws of the posterior of each row that counts.
    p_cluster : ndarray, shape (n,)
        Of the same rows.
    recovered : ndarray, shape (m, P)
        True parameters of the injected clusters that come to count.
    injected : int
        How many were injected, evenly over the box.
    flat_number : float
        N_0.
    trust : ndarray, shape (n, S), optional
        By what each draw's density ratio is multiplied.
    """

    def __init__(
        self,
        model: PopulationModel,
        draws: NDArray[np.floating],
        p_cluster: NDArray[np.float64],
        recovered: NDArray[np.float64],
        injected: int,
        flat_number: float,
        trust: NDArray[np.floating] | None = None,
    ) -> None:
        self.model, self.p_cluster = model, np.asarray(p_cluster, float)
        # single precision halves the time, of which this is all
        self._draws = model.statistics(draws).astype(np.float32)
        self._recovered = model.statistics(recovered)
        self._trust = None if trust is None else trust.astype(np.float32)[..., None]
        self.injected, self.flat_number = injected, flat_number

    def __call__(self, sampled: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log-likelihood (k,) of populations (k, U)."""
        ratio = self.ratio_of_injected(sampled)
        rows = self.log_rows(self.ratio_of_draws(sampled).mean(axis=1), sampled)
        found = rows.sum(axis=0) - self.number(sampled) * ratio.sum(0) / self.injected
        n = len(self.p_cluster)
        short = np.log(np.minimum(effective(ratio, self.injected) / n, 1))
        return found + _WALL * n * short

    def effective_injected(self, sampled: NDArray) -> NDArray[np.float64]:
        """Return N_eff (k,) of the injected clusters; see `effective`."""
        return effective(self.ratio_of_injected(sampled), self.injected)

    def number(self, sampled: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the number of clusters (k,)."""
        return self.model.values(sampled)["number"]

    def log_rows(
        self, weight: NDArray[np.floating], sampled: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the term of each row (n, k), given its w (n, k)."""
        odds = self.number(sampled) / self.flat_number * weight
        return np.log1p(self.p_cluster[:, None] * (odds - 1))

    def ratio_of_draws(self, sampled: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the population over the flat one at all draws, (n, S, k)."""
        ratio = self.model.ratio(self._draws, sampled)
        return ratio if self._trust is None else ratio * self._trust

    def ratio_of_injected(self, sampled: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the same at the injected clusters that count, (m, k)."""
        return self.model.ratio(self._recovered, sampled)

    def p_under(self, sampled: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability (n, k) that rows are clusters, under populations."""
        term = self.log_rows(self.ratio_of_draws(sampled).mean(axis=1), sampled)
        return 1 - (1 - self.p_cluster[:, None]) * np.exp(-term)
