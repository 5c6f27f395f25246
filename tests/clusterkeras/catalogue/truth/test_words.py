import pytest

from clusterkeras.catalogue.truth.words import axis_of, like_m83_in_words, range_of


@pytest.mark.parametrize(
    ("covered", "found", "purity", "said"),
    [
        # of 24 in effect: 0.5 of 25 failed, so that the error is sqrt(0.02 0.98 / 25)
        (1.0, 1.0, None, "found 100 ± 3 %, taken 50 ± 10 % (above 5,000 Msun"),
        (0.999, 0.0, None, "found 0 ± 3 %, taken 50 ± 10 % (above 5,000 Msun"),
        (1.0, 0.5, 0.8, "50 ± 10 %; at M83's density 80 % of the rows or more are"),
        (0.9, 0.5, None, "below 300 Myr; without the 10 % of M83's whose masses and "),
        (0.4, 0.5, 0.8, "not told: 60 % of M83's clusters above 5,000 Msun, below 3"),
        (0.0, None, None, "not told: 100 % of M83's clusters above 5,000 Msun, bel"),
    ],
)
def test_what_is_found_of_m83_s_clusters_is_said_with_its_error_and_what_lacks(
    covered, found, purity, said
):
    like = {"covered": covered, "effective": 24.0, "purity": purity}
    like |= {"found": found, "taken": 0.5}
    assert said in like_m83_in_words({"completeness": {"like_m83": like}})


def test_bins_and_what_they_are_of_are_said_in_short():
    ends = [(None, 18.0), (18.0, 19.5), (25.0, None)]
    bins = [{"low": low, "high": high} for low, high in ends]
    assert [range_of(one) for one in bins] == ["<18", "18-19.5", "≥25"]
    columns = ("log_snr", "mag_F814W", "F657N_mag")
    said = ["visibility, log S/N", "F814W [mag]", "F657N [mag]"]
    assert [axis_of(column) for column in columns] == said
