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


def test_a_mosaic_has_as_many_clusters_as_m83_has_on_that_area_unless_it_is_told():
    # 1,800 to 3,380 in seven fields of WFC3/UVIS
    for size in (1536, 4096, 16_384):
        fields = size**2 / 4096**2
        assert 1800 / 7 < MosaicConfig(size_px=size).clusters / fields < 3380 / 7
    assert MosaicConfig(size_px=128).clusters == 1
    assert MosaicConfig(n=250).clusters == 250
