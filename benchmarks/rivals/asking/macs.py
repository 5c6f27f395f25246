"""How many multiplications a network makes of an image."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def millions_of_macs(model) -> float:
    """Return the multiply-accumulates of one image in millions.

    Those of convolutions and matrix products in the graph of the bare forward pass,
    posteriors' draws and densities not among them.
    """
    px, bands = model.target.cutout_px, len(model.target.bands)
    call = tf.function(lambda images: model(images, training=False))
    graph = call.get_concrete_function(tf.TensorSpec((1, px, px, bands))).graph
    functions = [f.graph for f in graph._functions.values() if hasattr(f, "graph")]
    total = 0
    for part in (graph, *functions):
        total += sum(_macs(operation) for operation in part.get_operations())
    return total / 1e6


def _macs(operation: tf.Operation) -> int:
    """Return the multiplications of one operation."""
    if operation.type in ("Conv2D", "DepthwiseConv2dNative"):
        kernel = operation.inputs[1].shape
        of_each = kernel[:3] if operation.type == "Conv2D" else kernel[:2]
    elif operation.type in ("MatMul", "BatchMatMul", "BatchMatMulV2"):
        turned = operation.get_attr(
            "transpose_a" if operation.type == "MatMul" else "adj_x"
        )
        of_each = operation.inputs[0].shape[-2 if turned else -1 :][:1]
    else:
        return 0
    out = operation.outputs[0].shape
    # a size that is not known is the batch's, which is one
    return int(np.prod([n or 1 for n in (*out, *of_each)]))
