# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""What lies around the attention, for the CPU: embedding, feed-forward and frequencies as numba kernels.

See `rows.py` for the rules that they keep.
"""

from __future__ import annotations

import numpy as np

from lmzip.models.exact.arithmetic import FREQUENCY_TOTAL, GELU_1, GELU_3, OUTPUT_ONE
from lmzip.models.exact.cpu.panels import weight_product
from lmzip.models.exact.cpu.rows import (
    MINUS_INFINITY,
    ONE,
    ZERO,
    add_normalised,
    exp_integer,
    exponential,
    f32,
    f64,
    i32,
    i64,
    kernel,
    left_factor,
    norm_quantise,
    quantise,
    values_of,
)
from lmzip.models.exact.cpu.team import meet, share_of

CHUNK = 64  # rows at a time where many are wide: what they need stays in the cache


@kernel
def embed(ids, table, scale, x):
    """Write the embeddings of ids (rows,) to x (rows, hidden) float32."""
    for r in range(len(ids)):
        for i in range(x.shape[1]):
            x[r, i] = f32(table[ids[r], i]) * scale[ids[r]]


@kernel
def add_rows(rows, table, scale, x):
    """Add the embeddings of rows (n,) to x (n, hidden) float32."""
    for r in range(len(rows)):
        for i in range(x.shape[1]):
            x[r, i] = x[r, i] + f32(table[rows[r], i]) * scale[rows[r]]


@kernel
def add_positions(x, table, scale, start, steps):
    """Add the embeddings of positions start, start + 1 ... to x (batch * steps, hidden) float32."""
    for r in range(x.shape[0]):
        position = start + r % steps
        for i in range(x.shape[1]):
            x[r, i] = x[r, i] + f32(table[position, i]) * scale[position]


@kernel
def _activate(y, scale, layer, q, scale_out):
    """Apply the activation of a FeedForward to the products y (rows, ...) of its gate_up, into q and scale_out.

    Where the layer is gated, the first half of y is activated and multiplied by the second. scale: (rows,) of y.
    silu(x) = x * sigmoid(x), gelu(x) = x * sigmoid(x * (GELU_1 + GELU_3 * x * x)).
    """
    f = np.empty(len(layer.gate_up.scale), f32)
    inner = len(f) // 2 if layer.gated else len(f)
    a = np.empty(inner, f32)
    for r in range(y.shape[0]):
        values_of(y[r], scale[r], layer.gate_up, f)
        for i in range(inner):
            g = f[i]
            v = g
            if layer.gelu:
                v = g * g
                v = v * GELU_3
                v = v + GELU_1
                v = v * g
            e = exponential(abs(v))
            a[i] = (g if v > ZERO else g * e) / (ONE + e)
        if layer.gated:
            up = f[inner:]
            for i in range(inner):
                a[i] = a[i] * up[i]
        scale_out[r] = quantise(a, layer.down.most, q[r])


@kernel
def feed_forward(x, layer, work, team):
    """Add the FeedForward of a layer to the residual x (rows, hidden) float32. work: of the team, for CHUNK rows."""
    n = min(len(x), CHUNK)
    scale = np.empty(n, f32)
    q = left_factor(n, layer.gate_up.panels)
    for first in range(0, len(x), n):
        part = x[first : first + n]
        n = len(part)
        y, inner, z = work.gate_up[:n], work.inner[:n], work.down[:n]
        norm_quantise(part, layer.norm, layer.gate_up.most, q, scale)
        weight_product(q[:n], layer.gate_up.panels, y, team)
        meet(team)
        a, b = share_of(team, n)
        _activate(y[a:b], scale[a:b], layer, inner[a:b], work.inner_scale[a:b])
        meet(team)
        weight_product(inner, layer.down.panels, z, team)
        meet(team)
        add_normalised(part[a:b], z[a:b], work.inner_scale[a:b], layer.down, layer.post_norm)
        meet(team)


@kernel
def frequencies(y, scale, weight_scale, out):
    """Turn logits y (rows, at least alphabet) into frequencies >= 1 that add up to FREQUENCY_TOTAL.

    scale: (rows,); weight_scale: (alphabet,); out: (rows, alphabet) uint32, the result. The part that
    rounding leaves over goes to the first of the most likely symbols.
    """
    alphabet = out.shape[1]
    room = FREQUENCY_TOTAL - alphabet
    for r in range(out.shape[0]):
        s = scale[r]
        largest = MINUS_INFINITY
        for i in range(alphabet):
            largest = max(largest, f32(y[r, i]) * (s * weight_scale[i]))
        total = i64(0)
        for i in range(alphabet):
            weight = exp_integer(largest - f32(y[r, i]) * (s * weight_scale[i]), OUTPUT_ONE)
            out[r, i] = weight
            total += i64(weight)
        # A hair under room / total: the floors can then never add up to more than room.
        share = f64(room) / f64(total) * (f64(1) - f64(2.0**-40))
        used = i32(0)
        for i in range(alphabet):
            c = i32(f64(i32(out[r, i])) * share)
            used = i32(used + c)
            out[r, i] = i32(c + 1)
        best = 0
        while f32(y[r, best]) * (s * weight_scale[best]) != largest:
            best += 1
        out[r, best] += np.uint32(room - used)


@kernel
def predict(x, norm, head, y, out, team):
    """Write the frequencies after x (rows, hidden) float32 to out (rows, alphabet) uint32.

    norm: the Norm behind the last layer. head: the last Projection, which has no bias. y: (at least rows or CHUNK,
    columns) int32, where the team's products go.
    """
    n = min(len(x), CHUNK)
    scale = np.empty(n, f32)
    q = left_factor(n, head.panels)
    for first in range(0, len(x), n):
        part = x[first : first + n]
        n = len(part)
        norm_quantise(part, norm, head.most, q, scale)
        weight_product(q[:n], head.panels, y[:n], team)
        meet(team)
        a, b = share_of(team, n)
        frequencies(y[a:b], scale[a:b], head.scale, out[first + a : first + b])
        meet(team)
