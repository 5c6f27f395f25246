import pytest

from clusterkeras.network.recalibration import Recalibration


@pytest.mark.parametrize(
    "wrong",
    [
        {"stretch": (1, 0, 1, 1)},
        {"presence_temperature": -1},
        {"visibility_factor": float("nan")},
    ],
)
def test_factors_that_are_not_positive_are_refused(wrong):
    with pytest.raises(ValueError, match="expected factors above 0; received"):
        Recalibration(**wrong)
