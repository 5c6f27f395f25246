"""What a method has answered, in a file small enough to be kept with the code.

Of each posterior stay its density at the truth and where the truth lies among its
draws: a fifth of a megabyte for twelve thousand records, beside the hundred of
`clusterkeras.evaluation.numbers.predictions.Predictions`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from clusterkeras.diagnostics.metrics import coverage, tarp
from clusterkeras.evaluation.evaluate import as_plain
from clusterkeras.evaluation.numbers.predictions import Predictions
from data_tools.running.output import whole_path
from rivals.questions import Questions

#: Seed of TARP's reference points, as in `clusterkeras.evaluation.evaluate`.
SEED = 0

_ARRAYS = {
    "log_prob": np.float32,
    "pit": np.float16,
    "residual": np.float16,
    "hpd": np.float16,
    "tarp": np.float16,
    "presence": np.float16,
}


@dataclass(frozen=True)
class Answer:
    """What a method says of the N records of which n are clusters.

    Numbers are rounded to 5e-4 of their size, log-probabilities to 1e-7.

    Attributes
    ----------
    about : dict
        ``row`` and ``seed``: whose answer it is; ``questions``: `Questions.digest`;
        ``draws``; ``costs`` and whatever is known of how it was made.
    log_prob : ndarray (n,)
        Natural log of the posterior's density at the truth, minus infinity for NaN.
    pit : ndarray (n, P)
        Rank of the truth among the draws, in (0, 1).
    residual : ndarray (n, P)
        Median of the draws less the truth.
    hpd, tarp : ndarray (n,)
        Levels of the joint's regions that just hold the truth.
    presence : ndarray (N,)
        Logit of the probability of a cluster; NaN from a method that knows none.
    """

    about: Mapping[str, Any]
    log_prob: NDArray[np.float32]
    pit: NDArray[np.float16]
    residual: NDArray[np.float16]
    hpd: NDArray[np.float16]
    tarp: NDArray[np.float16]
    presence: NDArray[np.float16]

    @classmethod
    def of(
        cls, found: Predictions, questions: Questions, about: Mapping[str, Any]
    ) -> Answer:
        """Return the answer that predictions are.

        Raises
        ------
        ValueError
            If they are of other records.
        """
        questions.check(f"{about['row']}, {about['seed']}", found)
        clusters = found.select(found.is_cluster)
        low, high = questions.box.T
        truth, draws = clusters.truth, clusters.draws
        references = tarp.reference_points(
            len(clusters), low, high, np.random.default_rng(SEED)
        )
        log_prob = clusters.log_prob
        log_prob = np.where(np.isnan(log_prob), -np.inf, log_prob)
        knows = not found.is_cluster.all()
        presence = logit(found.p_cluster.astype(float)) if knows else np.nan
        values = {
            "log_prob": log_prob,
            "pit": coverage.pit(truth, draws),
            "residual": np.median(draws, axis=1) - truth,
            "hpd": coverage.hpd_levels(log_prob, clusters.log_prob_draws, SEED),
            "tarp": tarp.tarp_fractions(truth, draws, references, scale=high - low),
            "presence": np.broadcast_to(presence, questions.mock_id.shape),
        }
        said = {"questions": questions.digest, "draws": draws.shape[1]}
        return cls(
            {**about, **said}, **{k: values[k].astype(t) for k, t in _ARRAYS.items()}
        )

    @property
    def p_cluster(self) -> NDArray[np.float64] | None:
        """Probability of a cluster of all records, None if it knows none."""
        if np.isnan(self.presence).all():
            return None
        return expit(self.presence.astype(float))

    def write(self, path: Path) -> None:
        """Write it as a compressed ``.npz``."""
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        text = json.dumps(as_plain(dict(self.about)), sort_keys=True)
        with whole_path(path) as unfinished:
            np.savez_compressed(unfinished, about=text, **arrays)

    @classmethod
    def read(cls, path: Path, questions: Questions) -> Answer:
        """Read what `write` wrote.

        Raises
        ------
        ValueError
            If it answers other questions.
        """
        with np.load(path) as content:
            about = json.loads(str(content["about"]))
            found = cls(about, **{name: content[name] for name in _ARRAYS})
        if about["questions"] != questions.digest:
            raise ValueError(
                f"{path}: expected answers about the test set {questions.digest[:12]} "
                f"of questions.npz beside it; received those about another one, "
                f"{about['questions'][:12]}. Ask the method about the same set"
            )
        return found
