"""Long adaptive filters: normalised least mean squares (Widrow and Hoff) of what is left of a signal.

Weights and history are float32. Products are cut to integers and summed up as such; everything else is elementwise.
"""

from __future__ import annotations

import numpy as np

from lmzip.models.ensemble.jit import i32, i64, inline

f32 = np.float32
FILTER_WEIGHT_MAX = f32(4.0)
FILTER_FRACTION = f32(1024.0)
INPUT_MAX = 65535.0


@inline
def filter_predict(weights, history, first):
    """Return the sum of weights times history[first:]."""
    total = i64(0)
    for i in range(len(weights)):
        # below 2**29: 4 * 65536 * 1024
        total += i64(i32(weights[i] * history[first + i] * FILTER_FRACTION))
    return float(total) * (1.0 / 1024.0)


@inline
def filter_learn(weights, history, first, step):
    """Move the weights by step times their input."""
    g = f32(step)
    for i in range(len(weights)):
        moved = f32(weights[i] + g * history[first + i])
        weights[i] = min(max(moved, -FILTER_WEIGHT_MAX), FILTER_WEIGHT_MAX)
