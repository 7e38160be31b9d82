# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""The attention of a layer, for the CPU: numba kernels. See `rows.py` for the rules that they keep."""

from __future__ import annotations

import numpy as np

from lmzip.models.exact.arithmetic import ATTENTION_ONE
from lmzip.models.exact.cpu.panels import LANES, product, weight_product
from lmzip.models.exact.cpu.rows import (
    MINUS_INFINITY,
    ONE,
    QUANT,
    ZERO,
    add_product,
    exp_integer,
    f32,
    f64,
    i16,
    i32,
    i64,
    kernel,
    left_factor,
    norm_quantise,
    quantise,
    root_mean_square,
    space_for,
    u32,
    values_of,
)

NEVER = -(1 << 30)  # before any position that a query sees
ATTEND_ROWS = 16  # queries of a key head at a time


@kernel
def _norm_head(f, gain, eps):
    inverse = f32(f64(1) / root_mean_square(f, eps))
    for i in range(len(f)):
        f[i] = (f[i] * inverse) * gain[i]


@kernel
def _rotate(f, cos, sin, turned):
    half = len(cos)
    for i in range(half):  # into other memory, or LLVM would not dare to vectorise
        a, b = f[i], f[half + i]
        ac, bs, bc, a_s = a * cos[i], b * sin[i], b * cos[i], a * sin[i]
        turned[i] = ac - bs
        turned[half + i] = bc + a_s
    f[:] = turned


@kernel
def _written(count, capacity):
    """Return the position in each slot after `count` positions, NEVER where none is: int32 (slots,), whole panels."""
    slots = min(capacity, -(-count // LANES) * LANES)
    written = np.full(slots, NEVER, i32)
    for position in range(max(0, count - capacity), count):
        written[position % capacity] = position
    return written


@kernel
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
            weight = exp_integer(largest - z[s], ATTENTION_ONE)
            total = i32(total + weight)
            weights[h, s] = i16(np.rint(f32(weight) * share[s]))
        factor[h] = value_largest / f32(total)


@kernel
def _enter(
    y, scale, weight_scale, bias, q_gain, k_gain, key_most, eps, cos, sin, start,
    keys, values, key_scale, value_scale, queries, query_most, query_scale,
):  # fmt: skip
    """Put the keys and values of the new positions of one window into the cache and their queries into `queries`.

    y: (steps, at least qkv_rows) int32, the joined product; scale: (steps,). queries: (kv_heads, steps * group,
    head_dim) int16, integers up to query_most, and query_scale (kv_heads, steps * group), the result. The others: see
    `attention`, without the batch.
    """
    kv_heads, capacity = key_scale.shape
    parts, half = keys.shape[0], keys.shape[3]
    piece = 2 * values.shape[3]
    dim = 2 * half
    heads = len(weight_scale) // dim - 2 * kv_heads
    group = heads // kv_heads
    query_factor = f32(f64(1) / np.sqrt(f64(dim)))
    flat = np.empty(len(weight_scale), f32)
    f = flat.reshape(-1, dim)
    turned = np.empty(dim, f32)
    rounded = np.empty(dim, i16)
    for t in range(y.shape[0]):
        position = start + t
        slot = position % capacity
        values_of(y[t], scale[t], weight_scale, bias, flat)
        for h in range(heads + kv_heads):
            if len(q_gain):
                _norm_head(f[h], q_gain if h < heads else k_gain, eps)
            if len(cos):
                _rotate(f[h], cos[t], sin[t], turned)
        for h in range(heads):
            g, i = h // group, t * group + h % group
            query_scale[g, i] = quantise(f[h], query_most, queries[g, i]) * query_factor
        for g in range(kv_heads):
            key_scale[g, slot] = quantise(f[heads + g], key_most, rounded)
            panel, lane = slot // LANES, 2 * (slot % LANES)
            if parts == 2:
                for i in range(dim):
                    high = (rounded[i] + 64) >> 7
                    keys[1, g, panel, i // 2, lane + i % 2] = high
                    rounded[i] -= high << 7
            for i in range(half):
                keys[0, g, panel, i, lane] = rounded[2 * i]
                keys[0, g, panel, i, lane + 1] = rounded[2 * i + 1]
            value_scale[g, slot] = quantise(f[heads + kv_heads + g], QUANT, rounded)
            for i in range(dim):
                values[g, slot // piece, i // LANES, slot % piece // 2, 2 * (i % LANES) + slot % 2] = rounded[i]


@kernel
def _score(queries, keys, high_dots, dots):
    """Write the dots of queries (rows, head_dim) with keys (parts, ...) of one head to dots (rows, slots) int32."""
    product(queries, keys[0], dots)
    if len(keys) == 2:
        product(queries, keys[1], high_dots)
        for h in range(dots.shape[0]):
            for s in range(dots.shape[1]):
                dots[h, s] = i32(dots[h, s] + i32(high_dots[h, s] << 7))


@kernel
def _mix(weights, values, factor, mixed, out):
    """Write the weighted sums of the values (pieces, ...) of one head to out (rows, head_dim) float32.

    weights: (pieces, rows, slots of a piece) int16; factor: (rows,); mixed: int32 scratch.
    """
    if len(weights) == 1:
        product(weights[0], values[0], mixed)
        for h in range(out.shape[0]):
            for i in range(out.shape[1]):
                out[h, i] = f32(mixed[h, i]) * factor[h]
    else:
        total = np.zeros(out.shape, i64)
        for p in range(len(weights)):
            product(weights[p], values[p], mixed)
            for h in range(out.shape[0]):
                for i in range(out.shape[1]):
                    total[h, i] += i64(mixed[h, i])
        for h in range(out.shape[0]):
            for i in range(out.shape[1]):
                out[h, i] = f32(total[h, i]) * factor[h]


@kernel
def _attend(
    queries, query_scale, start, written, window, keys, values, key_scale, value_scale, out_most, q_out, scale_out
):
    """Attend from the new positions of one window to the last `window` ones, some steps at a time to fill the tiles.

    queries, query_scale: see `_enter`. written: (slots,) int32, the position in each slot. q_out, scale_out: (steps,
    heads * head_dim) int16, integers up to out_most, and (steps,), the result. The others: see `attention`.
    """
    steps, kv_heads, dim = len(scale_out), len(queries), queries.shape[2]
    group, slots = queries.shape[1] // steps, len(written)
    piece = 2 * values.shape[3]  # slots whose weighted values are added up in 32 bits
    pieces = -(-slots // piece)
    together = min(max(1, ATTEND_ROWS // group), steps)
    z = np.empty(slots, f32)
    share = np.empty(slots, f32)
    out = np.empty((together, kv_heads * group, dim), f32)
    for first in range(0, steps, together):
        count = min(together, steps - first)
        rows = count * group
        dots = np.empty((rows, slots), i32)
        high_dots = np.empty((rows, slots if keys.shape[0] == 2 else 0), i32)
        weights = np.empty((rows, slots), i16)
        in_pieces = np.zeros((pieces, rows, min(slots, piece)), i16)
        factor = np.empty(rows, f32)
        mixed = space_for(rows, values[0, 0])
        heads_out = np.empty((rows, dim), f32)
        for g in range(kv_heads):
            a = first * group
            _score(queries[g, a : a + rows], keys[:, g], high_dots, dots)
            for t in range(count):
                b, e = t * group, (t + 1) * group
                _softmax(
                    dots[b:e], query_scale[g, a + b : a + e], key_scale[g], value_scale[g], written, start + first + t,
                    window, z, share, in_pieces[0, b:e] if pieces == 1 else weights[b:e], factor[b:e],
                )  # fmt: skip
            if pieces > 1:
                for h in range(rows):
                    for s in range(slots):
                        in_pieces[s // piece, h, s % piece] = weights[h, s]
            _mix(in_pieces, values[g], factor, mixed, heads_out)
            for h in range(rows):
                for i in range(dim):
                    out[h // group, g * group + h % group, i] = heads_out[h, i]
        for t in range(count):
            scale_out[first + t] = quantise(out[t].reshape(-1), out_most, q_out[first + t])


@kernel
def attention(x, norm, qkv, heads, out, cos, sin, start, window, keys, values, key_scale, value_scale):
    """Add a layer's attention to the residual x (batch * steps, hidden) float32.

    norm: gain, bias and eps of the norm before. qkv, out: panels, scales, bias (empty: none) of the projections and
    the largest integer of their left factor. heads: q_gain, k_gain (head_dim,) of the query and key norms (empty:
    no such norms) and the largest integers of a query and a key. cos, sin: (steps, head_dim / 2), empty for none.
    start: position of the first new step; window: positions seen.
    keys: (batch, parts, kv_heads, capacity / LANES, head_dim / 2, 2 * LANES) int8, panels whose columns are slots, in
    one part or in two, the second of which counts 128 times;
    values: (batch, kv_heads, pieces, panels, slots of a piece / 2, 2 * LANES) int8, panels whose columns are the
    dimensions of a head; key_scale, value_scale: (batch, kv_heads, capacity). Position p goes to slot p % capacity.
    """
    qkv_panels, qkv_scale, qkv_bias, qkv_most = qkv
    q_gain, k_gain, query_most, key_most = heads
    out_panels, out_scale, out_bias, out_most = out
    rows, batch = x.shape[0], len(keys)
    steps = rows // batch
    scale = np.empty(rows, f32)
    q = left_factor(rows, qkv_panels)
    norm_quantise(x, norm, qkv_most, q, scale)
    y = space_for(rows, qkv_panels)
    weight_product(q, qkv_panels, y)
    joined = left_factor(rows, out_panels)
    written = _written(start + steps, key_scale.shape[2])
    kv_heads, dim = keys.shape[2], 2 * keys.shape[4]
    group = len(qkv_scale) // dim // kv_heads - 2
    queries = np.empty((kv_heads, steps * group, dim), i16)
    query_scale = np.empty((kv_heads, steps * group), f32)
    for b in range(batch):
        first, end = b * steps, (b + 1) * steps
        _enter(
            y[first:end], scale[first:end], qkv_scale, qkv_bias, q_gain, k_gain, key_most, norm[2], cos, sin, start,
            keys[b], values[b], key_scale[b], value_scale[b], queries, query_most, query_scale,
        )  # fmt: skip
        _attend(
            queries, query_scale, start, written, window, keys[b], values[b], key_scale[b], value_scale[b], out_most,
            joined[first:end], scale[first:end],
        )  # fmt: skip
    z = space_for(rows, out_panels)
    weight_product(joined, out_panels, z)
    add_product(x, z, scale, out_scale, out_bias)
