import pytest
from scipy import stats

from clusterkeras.diagnostics.metrics import coverage, limits


def row(label, n, joint=0.01, covered=0.68, densest=(0.68, 0.95), together=1.0):
    """Return a report's row; `together` times the errors of independent clusters."""
    error = [together * coverage.coverage_noise(n, p) for p in (0.68, 0.95)]
    noise = together * stats.kstwo.ppf(0.95, n)
    return {
        "label": label,
        "n": n,
        "tarp": {"max_deviation": joint, "max_deviation_noise": noise},
        "hpd": {
            "coverage_68": densest[0],
            "coverage_68_error": error[0],
            "coverage_95": densest[1],
            "coverage_95_error": error[1],
        },
        "parameters": {"a_v": {"coverage_68": covered, "coverage_68_error": error[0]}},
    }


def failing(overall, strata=()):
    return [(v.stratum, v.quantity) for v in limits.judge(overall, strata) if not v.ok]


def test_a_calibrated_model_keeps_every_limit():
    found = limits.judge(row("all", 9000), [row("faint", 2000), row("old", 400)])
    assert len(found) == 6
    assert all(v.ok for v in found)
    assert limits.headline(found) == "0 of 6 limits missed"


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({"joint": 0.031}, "joint"),
        ({"covered": 0.701}, "a_v"),
        ({"covered": 0.659}, "a_v"),
        ({"densest": (0.701, 0.95)}, "hpd_68"),
        ({"densest": (0.659, 0.95)}, "hpd_68"),
        ({"densest": (0.68, 0.971)}, "hpd_95"),
        ({"densest": (0.68, 0.929)}, "hpd_95"),
    ],
)
def test_a_limit_of_all_clusters_is_missed_by_more_than_it_allows(change, missed):
    assert failing(row("all", 9000, **change)) == [("all", missed)]


def test_a_stratum_may_be_further_off_than_all_but_not_any_distance():
    strata = [row("faint", 1000, joint=0.059), row("old", 1000, joint=0.061)]
    assert failing(row("all", 9000), strata) == [("old", "joint")]


def test_few_clusters_may_miss_the_limit_by_what_chance_does():
    # a perfect posterior stays below 0.043 with 999 clusters, below 0.134 with 100
    near, far = row("few", 999, joint=0.102), row("fewer", 100, joint=0.2)
    assert failing(row("all", 9000), [near, far]) == [("fewer", "joint")]
    enough = row("enough", 1000, joint=0.061)
    assert failing(row("all", 9000), [enough]) == [("enough", "joint")]


def test_clusters_that_err_together_may_miss_it_as_if_they_were_fewer():
    # at twice the errors 3,000 clusters are worth 750, and 9,000 worth 2,250
    together = {"joint": 0.061, "covered": 0.701, "densest": (0.701, 0.95)}
    assert failing(row("all", 3000, together=2, **together)) == []
    missed = failing(row("all", 9000, together=2, **together))
    assert sorted(missed) == [("all", "a_v"), ("all", "hpd_68"), ("all", "joint")]


def test_noise_of_coverage_is_what_95_of_100_perfect_posteriors_stay_below():
    verdicts = limits.judge(row("all", 2176, together=3), [])
    (found,) = [v for v in verdicts if v.quantity == "a_v"]
    assert found.noise == pytest.approx(1.96 * 0.03)


def test_the_furthest_beyond_its_limit_comes_first_and_empty_strata_are_left_out():
    strata = [row("old", 2000, joint=0.07), row("young", 2000, joint=0.2)]
    found = limits.judge(row("all", 9000), [*strata, {"label": "nobody", "n": 0}])
    assert [v.stratum for v in found[:2]] == ["young", "old"]
    assert "nobody" not in {v.stratum for v in found}


def test_table_tells_what_fails_and_counts_what_passes():
    found = limits.judge(
        row("all", 9000), [row("old", 2000, joint=0.07), row("young", 2000)]
    )
    lines = limits.verdict_table(found).splitlines()
    assert lines[0].startswith("1 of 6 limits missed")
    assert lines[1].startswith("FAIL  old")
    assert "young" not in "".join(lines)
    assert lines[-1] == "pass  the joint of 1 other strata"
    assert "joint: 95% highest density" in limits.verdict_table(found)
