"""Maps of a disc: random ones have the statistics they are asked for."""

import numpy as np

from data_tools.disc import gaussian_random_field


def test_random_map_has_zero_mean_unit_variance_and_its_slope():
    image = gaussian_random_field(256, 2.8, np.random.default_rng(0))
    assert abs(image.mean()) < 1e-4
    assert np.isclose(image.std(), 1, atol=1e-4)
    power = np.abs(np.fft.fft2(image)) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256)))
    low, high = (
        power[(frequency > f) & (frequency < 1.1 * f)].mean() for f in (0.05, 0.2)
    )
    assert np.isclose(np.log(low / high) / np.log(4), 2.8, atol=0.3)
