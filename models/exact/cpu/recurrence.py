# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""The layers of RWKV-4 (Peng et al. 2023, arXiv 2305.13048), for the CPU: numba kernels.

See `rows.py` for the rules that they keep. The recurrence is a fixed sequence of single operations for every channel:
all positions of a window in their order, whatever the number of positions in a call.
"""

from __future__ import annotations

import numpy as np

from lmzip.models.exact.cpu.kernels import CHUNK
from lmzip.models.exact.cpu.panels import weight_product
from lmzip.models.exact.cpu.rows import (
    ONE,
    ZERO,
    add_product,
    exponential,
    f32,
    inline,
    kernel,
    layer_norm,
    left_factor,
    quantise,
    space_for,
    values_of,
)


@kernel
def normalise(x, norm, h):
    """Write the layer norms of the rows of x (rows, hidden) to h, which may be x itself."""
    row = np.empty(x.shape[1], f32)
    for r in range(x.shape[0]):
        layer_norm(x[r], norm, row)
        h[r] = row


@inline
def sigmoid(x):
    """Return 1 / (1 + exp(-x))."""
    e = exponential(abs(x))
    return (ONE if x > ZERO else e) / (ONE + e)


@kernel
def _project(h, previous, first, mixed, f, team):
    """Write the products of some rows, mixed with the rows before, to f (some rows, outputs) float32.

    h: (batch * steps, hidden); previous: (batch, hidden), the rows before the first step; first: the first row to use;
    mixed: the Mixed that says how.
    """
    projection = mixed.projection
    rows, steps = f.shape[0], h.shape[0] // previous.shape[0]
    row, scale = np.empty(h.shape[1], f32), np.empty(rows, f32)
    q, y = left_factor(rows, projection.panels), space_for(rows, projection.panels)
    for r in range(rows):
        at = first + r
        before = h[at - 1] if at % steps else previous[at // steps]
        for i in range(len(row)):
            own, other = h[at, i] * mixed.share[i], before[i] * (ONE - mixed.share[i])
            row[i] = own + other
        scale[r] = quantise(row, projection.most, q[r])
    weight_product(q, projection.panels, y, team)
    for r in range(rows):
        values_of(y[r], scale[r], projection, f[r])


@kernel
def _recur(key, value, receptance, decay, bonus, state, w):
    """Take one position into the state of window w, and write what the position reads from it over its receptance.

    key, value, receptance: (channels,) float32. decay, bonus: see TimeMixing. state: a Recurrence.
    """
    numerator, denominator, exponent = state.numerator[w], state.denominator[w], state.exponent[w]
    for i in range(len(key)):
        own = key[i] + bonus[i]
        most = max(exponent[i], own)
        a, b = exponential(most - exponent[i]), exponential(most - own)
        old, new = a * numerator[i], b * value[i]
        total = a * denominator[i] + b  # at least about 1: one of the two exponentials is 1
        receptance[i] = sigmoid(receptance[i]) * ((old + new) / total)
        faded = exponent[i] + decay[i]
        most = max(faded, key[i])
        a, b = exponential(most - faded), exponential(most - key[i])
        old, new = a * numerator[i], b * value[i]
        numerator[i] = old + new
        denominator[i] = a * denominator[i] + b
        exponent[i] = most


@kernel
def time_mixing(x, layer, state, team):
    """Add the TimeMixing of a layer to the residual x (batch * steps, hidden) float32.

    state: the Recurrence of the layer, which is brought up to date. team: SOLO.
    """
    out, previous = layer.out, state.time
    rows, batch, channels = x.shape[0], len(previous), len(layer.decay)
    steps, n = rows // batch, min(rows, CHUNK)
    h = np.empty(x.shape, f32)
    normalise(x, layer.norm, h)
    k, v, r = np.empty((n, channels), f32), np.empty((n, channels), f32), np.empty((n, channels), f32)
    scale = np.empty(n, f32)
    q, y = left_factor(n, out.panels), space_for(n, out.panels)
    for first in range(0, rows, n):
        part = x[first : first + n]
        n = len(part)
        _project(h, previous, first, layer.key, k[:n], team)
        _project(h, previous, first, layer.value, v[:n], team)
        _project(h, previous, first, layer.receptance, r[:n], team)
        for i in range(n):
            _recur(k[i], v[i], r[i], layer.decay, layer.bonus, state, (first + i) // steps)
            scale[i] = quantise(r[i], out.most, q[i])
        weight_product(q[:n], out.panels, y[:n], team)
        add_product(part, y, scale, out)
    for b in range(batch):
        previous[b] = h[(b + 1) * steps - 1]


@kernel
def channel_mixing(x, layer, state, team):
    """Add the ChannelMixing of a layer to the residual x (batch * steps, hidden) float32; see `time_mixing`.

    The result is sigmoid(receptance) times the projection `down` of max(key, 0)**2.
    """
    down, previous = layer.down, state.channel
    rows, batch = x.shape[0], len(previous)
    steps, n = rows // batch, min(rows, CHUNK)
    h = np.empty(x.shape, f32)
    normalise(x, layer.norm, h)
    k, r = np.empty((n, len(layer.key.projection.scale)), f32), np.empty((n, x.shape[1]), f32)
    scale, f = np.empty(n, f32), np.empty(x.shape[1], f32)
    q, y = left_factor(n, down.panels), space_for(n, down.panels)
    for first in range(0, rows, n):
        part = x[first : first + n]
        n = len(part)
        _project(h, previous, first, layer.key, k[:n], team)
        _project(h, previous, first, layer.receptance, r[:n], team)
        for i in range(n):
            for j in range(k.shape[1]):
                positive = max(k[i, j], ZERO)
                k[i, j] = positive * positive
            scale[i] = quantise(k[i], down.most, q[i])
        weight_product(q[:n], down.panels, y[:n], team)
        for i in range(n):
            values_of(y[i], scale[i], down, f)
            for j in range(len(f)):
                f[j] = sigmoid(r[i, j]) * f[j]
                part[i, j] = part[i, j] + f[j]
    for b in range(batch):
        previous[b] = h[(b + 1) * steps - 1]
