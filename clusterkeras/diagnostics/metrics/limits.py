"""The limits that a calibrated model keeps, and which of them it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import stats

from clusterkeras.diagnostics.metrics.coverage import LEVELS, coverage_noise

#: Level of each region of highest density that has a limit.
_DENSEST = {f"hpd_{level:.0%}"[:-1]: level for level in LEVELS}

#: Standard deviations that hold 95 % of a normal distribution.
_SIGMAS_95 = 1.96


@dataclass(frozen=True)
class Limits:
    """How far from calibrated a model may be.

    Attributes
    ----------
    joint : float
        Largest abs(ECP - alpha) of the joint (TARP) over all clusters.
    joint_in_stratum : float
        The same in each stratum.
    coverage : float
        Largest abs(coverage - 0.68) of a parameter's central 68 % interval.
    hpd : float
        Largest abs(coverage - level) of the joint's regions of highest density with 68
        and 95 %.
    least_n : int
        Where chance does more than to so many independent clusters, what a perfect
        posterior shows by chance is added.
    """

    joint: float = 0.03
    joint_in_stratum: float = 0.06
    coverage: float = 0.02
    hpd: float = 0.02
    least_n: int = 1000


@dataclass(frozen=True)
class Verdict:
    """One number beside its limit.

    Attributes
    ----------
    stratum : str
        Label of the stratum, ``all`` for every cluster.
    n : int
        Its number of clusters.
    quantity : str
        ``joint``; ``hpd_68`` or ``hpd_95``, its region of highest density; or the
        parameter whose 68 % interval is meant.
    deviation : float
        Distance from calibrated: abs(ECP - alpha) at its largest, or coverage - level.
    limit : float
        Largest size of the deviation that passes.
    noise : float
        What a perfect posterior stays below in 95 of 100 such sets, of as many
        clusters in as many fields.
    ok : bool
        Whether it passes.
    """

    stratum: str
    n: int
    quantity: str
    deviation: float
    limit: float
    noise: float
    ok: bool


def judge(
    overall: Mapping[str, Any],
    strata: Sequence[Mapping[str, Any]],
    limits: Limits | None = None,
) -> list[Verdict]:
    """Compare rows of a report with the limits.

    Parameters
    ----------
    overall : mapping
        Row of all clusters; see
        `clusterkeras.evaluation.numbers.posterior.stratum_row`.
    strata : sequence of mapping
        Rows of strata in which a perfect posterior is calibrated; empty ones are left
        out.
    limits : Limits, optional
        The limits; those of `Limits` by default.

    Returns
    -------
    list of Verdict
        What fails first, and that by how far it is beyond its limit.
    """
    limits = limits or Limits()
    found = [_judge_joint(overall, limits.joint, limits)]
    for name, score in overall["parameters"].items():
        found.append(
            _judge_coverage(overall, name, score, LEVELS[0], limits.coverage, limits)
        )
    for name, level in _DENSEST.items():
        found.append(
            _judge_coverage(overall, name, overall["hpd"], level, limits.hpd, limits)
        )
    found += [
        _judge_joint(row, limits.joint_in_stratum, limits) for row in strata if row["n"]
    ]
    return sorted(found, key=lambda v: (v.ok, -abs(v.deviation) / v.limit))


def headline(verdicts: Sequence[Verdict]) -> str:
    """Say how many limits are missed."""
    failed = sum(not v.ok for v in verdicts)
    return f"{failed} of {len(verdicts)} limits missed"


def worth_telling(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return the verdicts on all clusters, and of those on strata what fails."""
    return [v for v in verdicts if not v.ok or v.stratum == "all"]


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """Write the verdicts worth telling for the terminal, in the order given."""
    told = worth_telling(verdicts)
    width = max(len(v.stratum) for v in told)
    lines = [
        f"{headline(verdicts)}; in brackets: what 95 % of perfect posteriors stay below"
    ]
    for v in told:
        lines.append(
            f"{'pass' if v.ok else 'FAIL'}  {v.stratum:<{width}}  N {v.n:>6}  "
            f"{describe(v):<28} {v.deviation:>+7.3f}  limit {v.limit:.3f}  "
            f"({v.noise:.3f})"
        )
    passed = len(verdicts) - len(told)
    return "\n".join([*lines, f"pass  the joint of {passed} other strata"])


def describe(verdict: Verdict) -> str:
    """Say in words what a verdict is on."""
    if verdict.quantity == "joint":
        return "joint: max |ECP - alpha|"
    if verdict.quantity in _DENSEST:
        return f"joint: {_DENSEST[verdict.quantity]:.0%} highest density"
    return f"{LEVELS[0]:.0%} {verdict.quantity}"


def _judge_joint(row: Mapping[str, Any], limit: float, limits: Limits) -> Verdict:
    joint = row["tarp"]
    deviation, noise = joint["max_deviation"], joint["max_deviation_noise"]
    usual = float(stats.kstwo.ppf(0.95, limits.least_n))
    return _verdict(row, "joint", deviation, limit, noise, usual)


def _judge_coverage(
    row: Mapping[str, Any],
    quantity: str,
    score: Mapping[str, float],
    level: float,
    limit: float,
    limits: Limits,
) -> Verdict:
    name = f"coverage_{level:.0%}"[:-1]
    noise = _SIGMAS_95 * score[f"{name}_error"]
    usual = _SIGMAS_95 * float(coverage_noise(limits.least_n, level))
    return _verdict(row, quantity, score[name] - level, limit, noise, usual)


def _verdict(
    row: Mapping[str, Any],
    quantity: str,
    deviation: float,
    limit: float,
    noise: float,
    usual: float,
) -> Verdict:
    allowed = limit if noise <= usual else limit + noise
    ok = bool(abs(deviation) <= allowed)
    return Verdict(
        row["label"], row["n"], quantity, float(deviation), allowed, float(noise), ok
    )
