"""What lies between the matrix products, for the CPU: numba kernels over rows.

The float operations here are single IEEE operations on single elements, in the order written;
sums are integer sums. Fused and reordered arithmetic stays off: of LLVM's fast-math flags only
those are on that promise it no NaN and no meaning of -0, which lets it vectorise maxima.
Integer sums are cast back to int32 at each step because numba would widen them to 64 bits.
Kernels let go of the GIL so that threads can share a batch. The same arithmetic in plain torch
stands in `torch_engine.py`; the self-test compares the two bit by bit.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from lmzip.models.exact.arithmetic import (
    ACTIVATION_MAX,
    ATTENTION_ONE,
    EXP2_C1,
    EXP2_C2,
    EXP2_C3,
    EXP2_C4,
    EXP2_LAST,
    FREQUENCY_TOTAL,
    LOG2_E,
    NORM_MAX,
    OUTPUT_ONE,
    SMALLEST,
)
from lmzip.models.exact.panels import LANES, product

f32, f64, i8, i16, i32, i64, u32 = np.float32, np.float64, np.int8, np.int16, np.int32, np.int64, np.uint32
_options: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"nnan", "nsz"}}
_kernel = numba.njit(**_options)
_inline = numba.njit(**_options, inline="always")

ZERO, ONE = f32(0), f32(1)
MINUS_INFINITY = f32(-np.inf)
QUANT = f32(ACTIVATION_MAX)
NORM = f32(NORM_MAX)

NEVER = -(1 << 30)  # before any position that a query sees
CHUNK = 64  # rows at a time where many are wide: what they need stays in the cache


@_inline
def _exp_integer(x, one):
    """Return the integer nearest under one * exp(-x) for x >= 0, x float32; one: a power of two."""
    t = min(x * LOG2_E, EXP2_LAST)
    whole = np.floor(t)
    f = t - whole
    p = EXP2_C4 * f
    p = p + EXP2_C3
    p = p * f
    p = p + EXP2_C2
    p = p * f
    p = p + EXP2_C1
    p = p * f
    p = p + ONE
    return i32(p * one) >> i32(whole)


@_kernel
def _largest(x):
    """Return the largest |x_i|, order-free; 0 where it is so tiny that its reciprocal may overflow."""
    m = ZERO
    for i in range(len(x)):
        m = max(m, abs(x[i]))
    return m if m > SMALLEST else ZERO


@_kernel
def _root_mean_square(x, eps):
    """Return sqrt(mean(x**2) + eps) in float64, from squares added up as integers."""
    m = _largest(x)
    if m == ZERO:
        return np.sqrt(f64(eps))
    k = NORM / m
    total = i64(0)
    for i in range(len(x)):
        t = i32(np.rint(x[i] * k))
        total += i64(i32(t * t))
    unit = f64(m) / f64(NORM_MAX)
    mean = f64(total) / f64(len(x))
    mean = mean * unit
    mean = mean * unit
    return np.sqrt(mean + f64(eps))


@_kernel
def _quantise(x, q):
    """Round x to q, integers with the largest at ACTIVATION_MAX; return the scale, float32."""
    m = _largest(x)
    k = QUANT / m if m > ZERO else ZERO
    for i in range(len(x)):
        q[i] = i32(np.rint(x[i] * k))
    return m / QUANT


@_kernel
def embed(ids, table, scale, x):
    """Write the embeddings of ids (rows,) to x (rows, hidden) float32."""
    for r in range(len(ids)):
        for i in range(x.shape[1]):
            x[r, i] = f32(table[ids[r], i]) * scale[ids[r]]


@_kernel
def _norm_quantise(x, gain, eps, q, scale):
    """Divide the rows of x (rows, hidden) by their root mean square, times gain, into q and scale."""
    h = np.empty(x.shape[1], f32)
    for r in range(x.shape[0]):
        for i in range(len(h)):
            h[i] = x[r, i] * gain[i]
        scale[r] = f32(f64(_quantise(h, q[r])) / _root_mean_square(x[r], eps))


@_kernel
def _add(x, y, scale, weight_scale):
    """Add a product y (rows, at least hidden) to the residual x (rows, hidden)."""
    for r in range(x.shape[0]):
        s = scale[r]
        for i in range(x.shape[1]):
            x[r, i] = x[r, i] + f32(y[r, i]) * (s * weight_scale[i])


@_inline
def _left_factor(rows, panels):
    """Return zeros for the left factor of a product with panels: (rows, depth) int16."""
    return np.zeros((rows, 2 * panels.shape[1]), i16)


@_inline
def _sums(rows, panels):
    """Return space for a product with panels: (rows, columns) int32."""
    return np.empty((rows, LANES * panels.shape[0]), i32)


@_kernel
def _norm_head(f, gain, eps):
    inverse = f32(f64(1) / _root_mean_square(f, eps))
    for i in range(len(f)):
        f[i] = (f[i] * inverse) * gain[i]


@_kernel
def _rotate(f, cos, sin, turned):
    half = len(cos)
    for i in range(half):  # into other memory, or LLVM would not dare to vectorise
        a, b = f[i], f[half + i]
        ac, bs, bc, a_s = a * cos[i], b * sin[i], b * cos[i], a * sin[i]
        turned[i] = ac - bs
        turned[half + i] = bc + a_s
    f[:] = turned


@_kernel
def _written(count, capacity):
    """Return the position in each slot after `count` positions, NEVER where none is: int32 (slots,), whole panels."""
    slots = min(capacity, -(-count // LANES) * LANES)
    written = np.full(slots, NEVER, i32)
    for position in range(max(0, count - capacity), count):
        written[position % capacity] = position
    return written


@_kernel
def _softmax(dots, query_scale, key_scale, value_scale, written, position, window, z, share, weights, factor):
    """Turn dots (group, slots) int32 of one position's queries into integer weights of the values.

    query_scale: (group,); key_scale, value_scale: (at least slots,); written: (slots,) int32, the position in
    each slot: all but the last `window` up to the queries' own get the weight 0. z, share: float32 scratch
    (slots,). weights: (group, slots) int16 and factor (group,) float32, the result: what turns the
    weighted sums of int8 values into float32.
    """
    slots, position, window = len(written), i32(position), u32(window)
    value_largest = ZERO
    for s in range(slots):
        value_largest = max(value_largest, value_scale[s] if u32(position - written[s]) < window else ZERO)
    unit = ONE / value_largest if value_largest > ZERO else ZERO
    for s in range(slots):
        share[s] = min(value_scale[s] * unit, ONE)
    for h in range(dots.shape[0]):
        largest = MINUS_INFINITY
        for s in range(slots):
            seen = u32(position - written[s]) < window
            z[s] = f32(dots[h, s]) * (query_scale[h] * key_scale[s]) if seen else MINUS_INFINITY
            largest = max(largest, z[s])
        total = i32(0)
        for s in range(slots):
            weight = _exp_integer(largest - z[s], ATTENTION_ONE)
            total = i32(total + weight)
            weights[h, s] = i16(np.rint(f32(weight) * share[s]))
        factor[h] = value_largest / f32(total)


@_kernel
def _attend(
    y, scale, weight_scale, q_gain, k_gain, eps, cos, sin, start, written, window,
    keys, values, key_scale, value_scale, q_out, scale_out,
):  # fmt: skip
    """Attend from the `steps` new positions of one window to the last `window` ones.

    y: (steps, at least qkv_rows) int32, the joined product; scale: (steps,). written: (slots,) int32, the position
    in each slot. q_out, scale_out: (steps, heads * head_dim) int16 and (steps,), the result. The others: see
    `attention`, without the batch.
    """
    steps = y.shape[0]
    kv_heads, capacity = key_scale.shape
    half = cos.shape[1]
    dim = 2 * half
    heads = len(weight_scale) // dim - 2 * kv_heads
    group = heads // kv_heads
    query_factor = f32(f64(1) / np.sqrt(f64(dim)))
    flat = np.empty(len(weight_scale), f32)
    f = flat.reshape(-1, dim)
    turned = np.empty(dim, f32)
    rounded = np.empty(dim, i8)
    queries = np.empty((steps, kv_heads, group, dim), i16)
    query_scale = np.empty((steps, kv_heads, group), f32)
    for t in range(steps):
        position = start + t
        slot = position % capacity
        s = scale[t]
        for i in range(len(flat)):
            flat[i] = f32(y[t, i]) * (s * weight_scale[i])
        for h in range(heads + kv_heads):
            if len(q_gain):
                _norm_head(f[h], q_gain if h < heads else k_gain, eps)
            _rotate(f[h], cos[position], sin[position], turned)
        for h in range(heads):
            g, i = h // group, h % group
            query_scale[t, g, i] = _quantise(f[h], queries[t, g, i]) * query_factor
        for g in range(kv_heads):
            key_scale[g, slot] = _quantise(f[heads + g], rounded)
            panel, lane = slot // LANES, 2 * (slot % LANES)
            for i in range(half):
                keys[g, panel, i, lane] = rounded[2 * i]
                keys[g, panel, i, lane + 1] = rounded[2 * i + 1]
            value_scale[g, slot] = _quantise(f[heads + kv_heads + g], rounded)
            for i in range(dim):
                values[g, i // LANES, slot // 2, 2 * (i % LANES) + slot % 2] = rounded[i]

    slots = len(written)
    dots = np.empty((group, slots), i32)
    z = np.empty(slots, f32)
    share = np.empty(slots, f32)
    weights = np.empty((group, slots), i16)
    factor = np.empty(group, f32)
    mixed = _sums(group, values[0])
    out = np.empty((kv_heads, group, dim), f32)
    for t in range(steps):
        for g in range(kv_heads):
            product(queries[t, g], keys[g], dots)
            _softmax(
                dots,
                query_scale[t, g],
                key_scale[g],
                value_scale[g],
                written,
                start + t,
                window,
                z,
                share,
                weights,
                factor,
            )
            product(weights, values[g], mixed)
            for h in range(group):
                for i in range(dim):
                    out[g, h, i] = f32(mixed[h, i]) * factor[h]
        scale_out[t] = _quantise(out.reshape(-1), q_out[t])


@_kernel
def attention(
    x, gain, eps, qkv, qkv_scale, q_gain, k_gain, out, out_scale, cos, sin, start, window,
    keys, values, key_scale, value_scale,
):  # fmt: skip
    """Add a layer's attention to the residual x (batch * steps, hidden) float32.

    gain: (hidden,), of the norm before. qkv, qkv_scale, out, out_scale: panels and scales of the projections.
    q_gain, k_gain: (head_dim,) gains of the query and key norms; empty: no such norms.
    cos, sin: (positions, head_dim / 2). start: position of the first new step; window: positions seen.
    keys: (batch, kv_heads, capacity / LANES, head_dim / 2, 2 * LANES) int8, panels whose columns are slots;
    values: (batch, kv_heads, panels, capacity / 2, 2 * LANES) int8, panels whose columns are the dimensions of
    a head; key_scale, value_scale: (batch, kv_heads, capacity). Position p goes to slot p % capacity.
    """
    rows, batch = x.shape[0], len(keys)
    steps = rows // batch
    scale = np.empty(rows, f32)
    q = _left_factor(rows, qkv)
    _norm_quantise(x, gain, eps, q, scale)
    y = _sums(rows, qkv)
    product(q, qkv, y)
    heads = _left_factor(rows, out)
    written = _written(start + steps, key_scale.shape[2])
    for b in range(batch):
        first, end = b * steps, (b + 1) * steps
        _attend(
            y[first:end], scale[first:end], qkv_scale, q_gain, k_gain, eps, cos, sin, start, written, window,
            keys[b], values[b], key_scale[b], value_scale[b], heads[first:end], scale[first:end],
        )  # fmt: skip
    z = _sums(rows, out)
    product(heads, out, z)
    _add(x, z, scale, out_scale)


@_kernel
def _gate(y, scale, weight_scale, q, scale_out):
    """Multiply silu of the first half of y (rows, 2 * inner) with the second, into q and scale_out."""
    inner = len(weight_scale) // 2
    a = np.empty(inner, f32)
    unit = ONE / OUTPUT_ONE
    up_scale = weight_scale[inner:]
    for r in range(y.shape[0]):
        s, y_up = scale[r], y[r, inner:]
        for i in range(inner):
            g = f32(y[r, i]) * (s * weight_scale[i])
            up = f32(y_up[i]) * (s * up_scale[i])
            e = f32(_exp_integer(abs(g), OUTPUT_ONE)) * unit
            silu = (g if g > ZERO else g * e) / (ONE + e)
            a[i] = silu * up
        scale_out[r] = _quantise(a, q[r])


@_kernel
def feed_forward(x, gain, eps, gate_up, gate_up_scale, down, down_scale):
    """Add a layer's gated feed-forward to the residual x (rows, hidden) float32.

    gain: (hidden,), of the norm before. The others: panels and scales of the projections.
    """
    n = min(len(x), CHUNK)
    scale = np.empty(n, f32)
    q, y = _left_factor(n, gate_up), _sums(n, gate_up)
    inner, z = _left_factor(n, down), _sums(n, down)
    for first in range(0, len(x), n):
        part = x[first : first + n]
        n = len(part)
        _norm_quantise(part, gain, eps, q, scale)
        product(q[:n], gate_up, y[:n])
        _gate(y[:n], scale, gate_up_scale, inner, scale)
        product(inner[:n], down, z[:n])
        _add(part, z, scale, down_scale)


@_kernel
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
            weight = _exp_integer(largest - f32(y[r, i]) * (s * weight_scale[i]), OUTPUT_ONE)
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


@_kernel
def predict(x, gain, eps, head, head_scale, out):
    """Write the frequencies after x (rows, hidden) float32 to out (rows, alphabet) uint32.

    gain: (hidden,), of the last norm. head, head_scale: panels and scales of the last product.
    """
    n = min(len(x), CHUNK)
    scale = np.empty(n, f32)
    q, y = _left_factor(n, head), _sums(n, head)
    for first in range(0, len(x), n):
        part = x[first : first + n]
        n = len(part)
        _norm_quantise(part, gain, eps, q, scale)
        product(q[:n], head, y[:n])
        frequencies(y, scale, head_scale, out[first : first + n])


def compiles_now() -> bool:
    """Compile the smallest kernel and return whether it was in no cache, so that all others follow."""
    x = np.empty((1, 1), f32)
    embed(np.zeros(1, i32), np.zeros((1, 1), i8), np.ones(1, f32), x)
    stats = getattr(embed, "stats", None)  # absent where numba compiles nothing (NUMBA_DISABLE_JIT)
    return stats is not None and sum(stats.cache_misses.values()) > 0
