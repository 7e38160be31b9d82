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

f32, f64, i8, i16, i32, i64 = np.float32, np.float64, np.int8, np.int16, np.int32, np.int64
_options: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"nnan", "nsz"}}
_kernel = numba.njit(**_options)
_inline = numba.njit(**_options, inline="always")

ZERO, ONE = f32(0), f32(1)
MINUS_INFINITY = f32(-np.inf)
QUANT = f32(ACTIVATION_MAX)
NORM = f32(NORM_MAX)


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
def norm_quantise(x, gain, eps, q, scale):
    """Divide the rows of x (rows, hidden) by their root mean square, times gain, into q and scale."""
    h = np.empty(x.shape[1], f32)
    for r in range(x.shape[0]):
        for i in range(len(h)):
            h[i] = x[r, i] * gain[i]
        scale[r] = f32(f64(_quantise(h, q[r])) / _root_mean_square(x[r], eps))


@_kernel
def add(x, y, scale, weight_scale):
    """Add a product y (rows, hidden) to the residual x."""
    for r in range(x.shape[0]):
        s = scale[r]
        for i in range(x.shape[1]):
            x[r, i] = x[r, i] + f32(y[r, i]) * (s * weight_scale[i])


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
def _score(q, keys, dots):
    """Write the dot products of q (head_dim,) int16 with keys (slots, head_dim) int8 to dots."""
    if len(q) == 64:  # a constant length makes LLVM's code 2.5 times faster
        for s in range(len(dots)):
            dot = i32(0)
            for i in range(64):
                dot = i32(dot + i32(q[i]) * i32(keys[s, i]))
            dots[s] = dot
    else:
        for s in range(len(dots)):
            dot = i32(0)
            for i in range(len(q)):
                dot = i32(dot + i32(q[i]) * i32(keys[s, i]))
            dots[s] = dot


@_kernel
def _softmax(dots, key_scale, value_scale, position, first, query_scale, z, weights):
    """Turn dots into integer weights of the values, zero outside positions first .. first + window.

    z: float32 scratch like dots. Returns the factor that turns the weighted sum of int8 values
    into float32.
    """
    largest, value_largest = MINUS_INFINITY, ZERO
    for s in range(len(dots)):
        seen = (position[s] >= first[0]) & (position[s] <= first[1])
        z[s] = f32(dots[s]) * (query_scale * key_scale[s]) if seen else MINUS_INFINITY
        largest = max(largest, z[s])
        value_largest = max(value_largest, value_scale[s] if seen else ZERO)
    unit = ONE / value_largest if value_largest > ZERO else ZERO
    total = i32(0)
    for s in range(len(dots)):
        weight = _exp_integer(largest - z[s], ATTENTION_ONE)
        total = i32(total + weight)
        weights[s] = i16(np.rint(f32(weight) * min(value_scale[s] * unit, ONE)))
    return value_largest / f32(total)


@_kernel
def _mix(weights, values, slots, factor, out):
    """Write the weighted sums of values (head_dim, capacity) int8 to out, float32."""
    for i in range(len(out)):
        total = i32(0)
        if slots == 256:  # as in _score
            for s in range(256):
                total = i32(total + i32(weights[s]) * i32(values[i, s]))
        else:
            for s in range(slots):
                total = i32(total + i32(weights[s]) * i32(values[i, s]))
        out[i] = f32(total) * factor


@_kernel
def attention(
    y, scale, weight_scale, q_gain, k_gain, eps, query_factor, cos, sin, window, start,
    keys, values, key_scale, value_scale, slot_position, q_out, scale_out,
):  # fmt: skip
    """Attend from `steps` new positions of every window of the batch to the last `window` ones.

    y: (batch, steps, qkv_rows), the product; scale (batch, steps); weight_scale (qkv_rows,).
    q_gain, k_gain: (head_dim,) gains of the query and key norms; empty: no such norms.
    start: position of the first new step. cos, sin: (positions, head_dim / 2).
    keys: (batch, kv_heads, capacity, head_dim) int8; values: (batch, kv_heads, head_dim, capacity)
    int8; key_scale, value_scale: (batch, kv_heads, capacity); slot_position: (capacity,) int32,
    negative where a slot is empty. A position goes to slot position % capacity.
    q_out, scale_out: (batch, steps, heads * head_dim) int8 and (batch, steps), the result.
    """
    batch, steps, _ = y.shape
    _, kv_heads, capacity, dim = keys.shape
    heads = q_out.shape[2] // dim
    group = heads // kv_heads
    slots = min(start + steps, capacity)
    f = np.empty(y.shape[2], f32)
    queries = np.empty((steps, heads, dim), i16)
    query_scale = np.empty((steps, heads), f32)
    turned = np.empty(dim, f32)
    column = np.empty(dim, i8)
    position = slot_position[:slots]
    seen = np.empty(2, i32)
    z = np.empty(slots, f32)
    dots = np.empty(slots, i32)
    weights = np.empty(slots, i16)
    out = np.empty(heads * dim, f32)
    for b in range(batch):
        for t in range(steps):
            for i in range(len(f)):
                f[i] = f32(y[b, t, i]) * (scale[b, t] * weight_scale[i])
            slot = (start + t) % capacity
            for h in range(heads + kv_heads):
                head = f[h * dim : (h + 1) * dim]
                if len(q_gain):
                    _norm_head(head, q_gain if h < heads else k_gain, eps)
                _rotate(head, cos[start + t], sin[start + t], turned)
            for h in range(heads):
                query_scale[t, h] = _quantise(f[h * dim : (h + 1) * dim], queries[t, h]) * query_factor
            for h in range(kv_heads):
                k0, v0 = (heads + h) * dim, (heads + kv_heads + h) * dim
                key_scale[b, h, slot] = _quantise(f[k0 : k0 + dim], keys[b, h, slot])
                value_scale[b, h, slot] = _quantise(f[v0 : v0 + dim], column)
                for i in range(dim):
                    values[b, h, i, slot] = column[i]
        for t in range(steps):
            seen[0], seen[1] = start + t - window + 1, start + t
            for h in range(heads):
                g = h // group
                _score(queries[t, h], keys[b, g], dots)
                factor = _softmax(
                    dots, key_scale[b, g], value_scale[b, g], position, seen, query_scale[t, h], z, weights
                )
                _mix(weights, values[b, g], slots, factor, out[h * dim : (h + 1) * dim])
            scale_out[b, t] = _quantise(out, q_out[b, t])


@_kernel
def gate(y, scale, weight_scale, q, scale_out):
    """Multiply silu of the first half of y (rows, 2 * inner) with the second, into q and scale."""
    inner = q.shape[1]
    a = np.empty(inner, f32)
    unit = ONE / OUTPUT_ONE
    for r in range(y.shape[0]):
        s = scale[r]
        for i in range(inner):
            g = f32(y[r, i]) * (s * weight_scale[i])
            up = f32(y[r, inner + i]) * (s * weight_scale[inner + i])
            e = f32(_exp_integer(abs(g), OUTPUT_ONE)) * unit
            silu = (g if g > ZERO else g * e) / (ONE + e)
            a[i] = silu * up
        scale_out[r] = _quantise(a, q[r])


@_kernel
def frequencies(y, scale, weight_scale, out):
    """Turn logits y (rows, alphabet) into frequencies >= 1 that add up to FREQUENCY_TOTAL.

    The part that rounding leaves over goes to the first of the most likely symbols.
    """
    alphabet = y.shape[1]
    room = FREQUENCY_TOTAL - alphabet
    z = np.empty(alphabet, f32)
    weights = np.empty(alphabet, i32)
    for r in range(y.shape[0]):
        s = scale[r]
        largest = MINUS_INFINITY
        for i in range(alphabet):
            z[i] = f32(y[r, i]) * (s * weight_scale[i])
            largest = max(largest, z[i])
        total = i64(0)
        for i in range(alphabet):
            weights[i] = _exp_integer(largest - z[i], OUTPUT_ONE)
            total += i64(weights[i])
        # A hair under room / total: the floors can then never add up to more than room.
        share = f64(room) / f64(total) * (f64(1) - f64(2.0**-40))
        used = i32(0)
        for i in range(alphabet):
            c = i32(f64(weights[i]) * share)
            used = i32(used + c)
            out[r, i] = i32(c + 1)
        best = 0
        while z[best] != largest:
            best += 1
        out[r, best] += np.uint32(room - used)


def compiles_now() -> bool:
    """Compile the smallest kernel and return whether it was in no cache, so that all others follow."""
    x = np.empty((1, 1), f32)
    embed(np.zeros(1, i32), np.zeros((1, 1), i8), np.ones(1, f32), x)
    stats = getattr(embed, "stats", None)  # absent where numba compiles nothing (NUMBA_DISABLE_JIT)
    return stats is not None and sum(stats.cache_misses.values()) > 0
