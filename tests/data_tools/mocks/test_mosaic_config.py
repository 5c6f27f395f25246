import pytest

from data_tools.mocks.mosaic_config import MosaicConfig


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size_px": 100}, "size_px must be a multiple of 16"),
        ({"n": 0}, "n must be a whole number >= 1, .*; received 0"),
        ({"min_separation_px": -1}, "min_separation_px must be a number >= 0"),
        ({"seed": -1}, "seed must be a whole number >= 0"),
        ({"edge_px": 800}, "less than half of size_px; received 800"),
    ],
)
def test_bad_values_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        MosaicConfig(**values)
