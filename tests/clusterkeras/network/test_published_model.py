import numpy as np
import pytest

from clusterkeras.network.published_model import PublishedModel
from clusterkeras.network.recalibration import Recalibration


def test_the_published_network_has_its_outputs_and_size(m83):
    model = PublishedModel(m83)
    # no dense layer but the published one stands before the heads
    assert [head.kernel.shape[0] for head in model.heads.values()] == [1024] * 3
    outputs = {name: head.units for name, head in model.heads.items()}
    assert outputs == {
        "posterior": 20 * 10 * 14 + 14,
        "presence": 1,  # with its negative, a softmax over two classes
        "visibility": 20,
    }
    parameters = sum(np.prod(weight.shape) for weight in model.trainable_weights)
    assert parameters == pytest.approx(9.9e6, rel=0.01)


def test_it_is_not_recalibrated(small_target):
    changed = Recalibration((1.3, 1.0, 0.8, 1.1), 2.0, 0.5, 1.5)
    with pytest.raises(ValueError, match="received a grid, whose cells cannot"):
        PublishedModel(small_target, {"backbone": "resnet_tiny"}, recalibration=changed)


def test_it_has_no_other_posterior(small_target):
    with pytest.raises(ValueError, match=r"a PublishedModel has .*received 'flow'"):
        PublishedModel(small_target, {"posterior": "flow"})
