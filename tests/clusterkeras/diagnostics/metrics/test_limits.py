import pytest

from clusterkeras.diagnostics.metrics import limits


def row(label, n, joint=0.01, noise=0.02, covered=0.68):
    return {
        "label": label,
        "n": n,
        "tarp": {"max_deviation": joint, "max_deviation_noise": noise},
        "parameters": {"a_v": {"coverage_68": covered}},
    }


def failing(overall, strata=()):
    return [(v.stratum, v.quantity) for v in limits.judge(overall, strata) if not v.ok]


def test_a_calibrated_model_keeps_every_limit():
    found = limits.judge(row("all", 9000), [row("faint", 2000), row("old", 400)])
    assert len(found) == 4
    assert all(v.ok for v in found)
    assert limits.headline(found) == "0 of 4 limits missed"


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({"joint": 0.031}, "joint"),
        ({"covered": 0.701}, "a_v"),
        ({"covered": 0.659}, "a_v"),
    ],
)
def test_a_limit_of_all_clusters_is_missed_by_more_than_it_allows(change, missed):
    assert failing(row("all", 9000, **change)) == [("all", missed)]


def test_a_stratum_may_be_further_off_than_all_but_not_any_distance():
    strata = [row("faint", 1000, joint=0.059), row("old", 1000, joint=0.061)]
    assert failing(row("all", 9000), strata) == [("old", "joint")]


def test_few_clusters_may_miss_the_limit_by_what_chance_does():
    near = row("few", 999, joint=0.079, noise=0.02)
    far = row("fewer", 100, joint=0.11, noise=0.04)
    assert failing(row("all", 9000), [near, far]) == [("fewer", "joint")]


def test_noise_of_coverage_is_that_of_a_perfect_posterior():
    verdicts = limits.judge(row("all", 2176), [])
    (found,) = [v for v in verdicts if v.quantity == "a_v"]
    assert found.noise == pytest.approx(1.96 * 0.01)


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
    assert lines[0].startswith("1 of 4 limits missed")
    assert lines[1].startswith("FAIL  old")
    assert "young" not in "".join(lines)
    assert lines[-1] == "pass  the joint of 1 other strata"
