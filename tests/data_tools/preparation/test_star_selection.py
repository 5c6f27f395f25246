import pytest

from data_tools.preparation.star_selection import StarSelection


@pytest.mark.parametrize(
    ("name", "value"), [("snr", 0), ("isolation_px", -1), ("max_stars", 0)]
)
def test_selection_that_makes_no_sense_is_refused(name, value):
    with pytest.raises(ValueError, match=f"stars: {name} must be .* received {value}"):
        StarSelection(**{name: value})
