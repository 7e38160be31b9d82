# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""A cascade of long adaptive filters, each of what the one before leaves: normalised least mean squares (Widrow, Hoff).

Weights and history are float32. Products are cut to integers and summed up as such, everything else is
elementwise, so every machine computes the same bits.
"""

from __future__ import annotations

import numpy as np

from lmzip.models.audio.numbers import POWER_RATE
from lmzip.models.audio.state import ROOM
from lmzip.models.mixing.jit import i32, i64, inline

f32 = np.float32
WEIGHT_MAX = f32(4.0)
INPUT_MAX = 65535.0
FRACTION = f32(1024.0)  # of products in a sum


@inline
def filter_predict(weights, history, t):
    """Return the sum of weights times the inputs before sample t, each product cut to a multiple of 1 / FRACTION.

    history: (taps + ROOM,), where the inputs before t begin at t % ROOM.
    """
    total, first = i64(0), t % ROOM
    for i in range(len(weights)):
        total += i64(i32(weights[i] * history[first + i] * FRACTION))  # at most 2**28
    return min(max(float(total) * (1.0 / 1024.0), -INPUT_MAX), INPUT_MAX)


@inline
def filter_learn(weights, history, power, t, value, error, pace):
    """Learn the input of sample t and the error of its prediction; return the new mean square of inputs."""
    taps, first = len(weights), t % ROOM
    # The error, below 2**20, times a pace over a number of at least 1.
    step = f32(pace * error / (power * float(taps) + 1.0))
    for i in range(taps):
        moved = f32(weights[i] + step * history[first + i])
        weights[i] = min(max(moved, -WEIGHT_MAX), WEIGHT_MAX)
    value = min(max(value, -INPUT_MAX), INPUT_MAX)
    history[taps + first] = f32(value)
    if first == ROOM - 1:
        for i in range(taps):
            history[i] = history[ROOM + i]
    return power + (value * value - power) * POWER_RATE
