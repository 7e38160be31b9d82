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
def _project(h, previous, first, mix, projection, f):
    """Write the products of some rows, mixed with the rows before, to f (some rows, outputs) float32.

    h: (batch * steps, hidden); previous: (batch, hidden), the rows before the first step; first: the first row to use;
    mix: (hidden,), the share of the row itself. projection: panels, scales, bias (empty: none) and the largest integer
    of the left factor.
    """
    panels, weight_scale, bias, most = projection
    rows, steps = f.shape[0], h.shape[0] // previous.shape[0]
    mixed, scale = np.empty(h.shape[1], f32), np.empty(rows, f32)
    q, y = left_factor(rows, panels), space_for(rows, panels)
    for r in range(rows):
        row = first + r
        before = h[row - 1] if row % steps else previous[row // steps]
        for i in range(len(mixed)):
            own, other = h[row, i] * mix[i], before[i] * (ONE - mix[i])
            mixed[i] = own + other
        scale[r] = quantise(mixed, most, q[r])
    weight_product(q, panels, y)
    for r in range(rows):
        values_of(y[r], scale[r], weight_scale, bias, f[r])


@kernel
def _recur(key, value, receptance, decay, bonus, numerator, denominator, exponent):
    """Take one position into a window's state, and write what the position reads from it over its receptance.

    All: (channels,) float32. The state is a sum of values, weighted by exp(key), and the sum of these weights, both
    times exp(-exponent), where exponent is the largest there was, less the decay since. decay: added to it at every
    step, not positive; bonus: added to the key of the position itself when it reads.
    """
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
def time_mixing(x, norm, key, value, receptance, out, decay, bonus, previous, numerator, denominator, exponent):
    """Add a layer's time mixing to the residual x (batch * steps, hidden) float32.

    norm: gain, bias and eps of the norm before. key, value, receptance: the mix and the projection of `_project`. out:
    panels, scales, bias of the last projection and the largest integer of its left factor. decay, bonus:
    (channels,). previous: (batch, hidden), the normalised inputs of the last position; numerator,
    denominator, exponent: (batch, channels), see `_recur`; all of them are brought up to date.
    """
    panels, weight_scale, bias, most = out
    rows, batch = x.shape[0], len(previous)
    steps, n = rows // batch, min(rows, CHUNK)
    h = np.empty(x.shape, f32)
    normalise(x, norm, h)
    k, v, r = np.empty((n, len(decay)), f32), np.empty((n, len(decay)), f32), np.empty((n, len(decay)), f32)
    scale = np.empty(n, f32)
    q, y = left_factor(n, panels), space_for(n, panels)
    for first in range(0, rows, n):
        part = x[first : first + n]
        n = len(part)
        _project(h, previous, first, key[0], key[1], k[:n])
        _project(h, previous, first, value[0], value[1], v[:n])
        _project(h, previous, first, receptance[0], receptance[1], r[:n])
        for i in range(n):
            b = (first + i) // steps
            _recur(k[i], v[i], r[i], decay, bonus, numerator[b], denominator[b], exponent[b])
            scale[i] = quantise(r[i], most, q[i])
        weight_product(q[:n], panels, y[:n])
        add_product(part, y, scale, weight_scale, bias)
    for b in range(batch):
        previous[b] = h[(b + 1) * steps - 1]


@kernel
def channel_mixing(x, norm, key, receptance, down, previous):
    """Add a layer's channel mixing to the residual x (batch * steps, hidden) float32; see `time_mixing`.

    The result is sigmoid(receptance) times the projection `down` of max(key, 0)**2.
    """
    panels, weight_scale, bias, most = down
    rows, batch = x.shape[0], len(previous)
    steps, n = rows // batch, min(rows, CHUNK)
    h = np.empty(x.shape, f32)
    normalise(x, norm, h)
    k, r = np.empty((n, len(key[1][1])), f32), np.empty((n, x.shape[1]), f32)
    scale, f = np.empty(n, f32), np.empty(x.shape[1], f32)
    q, y = left_factor(n, panels), space_for(n, panels)
    for first in range(0, rows, n):
        part = x[first : first + n]
        n = len(part)
        _project(h, previous, first, key[0], key[1], k[:n])
        _project(h, previous, first, receptance[0], receptance[1], r[:n])
        for i in range(n):
            for j in range(k.shape[1]):
                positive = max(k[i, j], ZERO)
                k[i, j] = positive * positive
            scale[i] = quantise(k[i], most, q[i])
        weight_product(q[:n], panels, y[:n])
        for i in range(n):
            values_of(y[i], scale[i], weight_scale, bias, f)
            for j in range(len(f)):
                f[j] = sigmoid(r[i, j]) * f[j]
                part[i, j] = part[i, j] + f[j]
    for b in range(batch):
        previous[b] = h[(b + 1) * steps - 1]
