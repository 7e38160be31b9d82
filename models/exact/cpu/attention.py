# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""The attention of a layer, for the CPU: numba kernels. See `rows.py` for the rules that they keep."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmzip.models.exact.arithmetic import ATTENTION_ONE
from lmzip.models.exact.cpu.arguments import Cache, Queries
from lmzip.models.exact.cpu.panels import LANES, product, weight_product
from lmzip.models.exact.cpu.rows import (
    MINUS_INFINITY,
    ONE,
    QUANT,
    ZERO,
    add_normalised,
    exp_integer,
    f32,
    f64,
    i16,
    i32,
    i64,
    kernel,
    left_factor,
    norm_quantise,
    norm_row,
    quantise,
    space_for,
    u32,
    values_of,
)
from lmzip.models.exact.cpu.team import meet, share_of

NEVER = -(1 << 30)  # before any position that a query sees
ATTEND_ROWS = 16  # queries of a key head at a time


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


class _Sight(NamedTuple):
    """What a position sees."""

    written: NDArray[np.int32]  # (slots,) the position in each slot, NEVER where none is
    position: int
    window: int  # all but the last `window` positions up to its own are hidden


@kernel
def _softmax(dots, query_scale, key_scale, value_scale, sight, scratch, weights, factor):
    """Turn dots (group, slots) int32 of one position's queries into integer weights of the values.

    query_scale: (group,); key_scale, value_scale: (at least slots,). sight: a _Sight; slots that it hides get the
    weight 0. scratch: (2, slots) float32. weights: (group, slots) int16 and factor (group,) float32, the result: what
    turns the weighted sums of int8 values into float32.
    """
    written, position, window = sight.written, i32(sight.position), u32(sight.window)
    slots, z, share = len(written), scratch[0], scratch[1]
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
def _of_window(cache, b):
    """Return the Cache of one window."""
    return Cache(cache.keys[b], cache.values[b], cache.key_scale[b], cache.value_scale[b])


@kernel
def _enter(y, scale, layer, cos, sin, start, cache, queries):
    """Put the keys and values of new positions of one window into its Cache, and their queries into a Queries.

    y: (steps, at least outputs of qkv) int32, the joined product; scale: (steps,). The others: see `attention`.
    """
    keys, values, heads = cache.keys, cache.values, layer.heads
    kv_heads, capacity = cache.key_scale.shape
    parts, half = keys.shape[0], keys.shape[3]
    piece = 2 * values.shape[3]
    dim = 2 * half
    query_heads = len(layer.qkv.scale) // dim - 2 * kv_heads
    group = query_heads // kv_heads
    query_factor = f32(f64(1) / np.sqrt(f64(dim)))
    flat = np.empty(len(layer.qkv.scale), f32)
    f = flat.reshape(-1, dim)
    turned = np.empty(dim, f32)
    rounded = np.empty(dim, i16)
    for t in range(y.shape[0]):
        slot = (start + t) % capacity
        values_of(y[t], scale[t], layer.qkv, flat)
        for h in range(query_heads + kv_heads):
            if len(heads.query_gain):
                norm_row(f[h], heads.query_gain if h < query_heads else heads.key_gain, layer.norm.eps)
            if len(cos):
                _rotate(f[h], cos[t], sin[t], turned)
        for h in range(query_heads):
            g, i = h // group, t * group + h % group
            queries.scale[g, i] = quantise(f[h], heads.query_most, queries.integers[g, i]) * query_factor
        for g in range(kv_heads):
            cache.key_scale[g, slot] = quantise(f[query_heads + g], heads.key_most, rounded)
            panel, lane = slot // LANES, 2 * (slot % LANES)
            if parts == 2:
                for i in range(dim):
                    high = (rounded[i] + 64) >> 7
                    keys[1, g, panel, i // 2, lane + i % 2] = high
                    rounded[i] -= high << 7
            for i in range(half):
                keys[0, g, panel, i, lane] = rounded[2 * i]
                keys[0, g, panel, i, lane + 1] = rounded[2 * i + 1]
            cache.value_scale[g, slot] = quantise(f[query_heads + kv_heads + g], QUANT, rounded)
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
def _attend(queries, sight, cache, out_most, q_out, scale_out):
    """Attend from the new positions of one window to those that they see, some steps at a time to fill the tiles.

    queries: the Queries of the new positions. sight: the _Sight of the first of them. cache: of the window. q_out,
    scale_out: (steps, heads * head_dim) int16, integers up to out_most, and (steps,), the result.
    """
    keys, values = cache.keys, cache.values
    steps, kv_heads, dim = len(scale_out), len(queries.integers), queries.integers.shape[2]
    group, slots = queries.integers.shape[1] // steps, len(sight.written)
    piece = 2 * values.shape[3]  # slots whose weighted values are added up in 32 bits
    pieces = -(-slots // piece)
    together = min(max(1, ATTEND_ROWS // group), steps)
    scratch = np.empty((2, slots), f32)
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
            _score(queries.integers[g, a : a + rows], keys[:, g], high_dots, dots)
            for t in range(count):
                b, e = t * group, (t + 1) * group
                _softmax(
                    dots[b:e], queries.scale[g, a + b : a + e], cache.key_scale[g], cache.value_scale[g],
                    _Sight(sight.written, sight.position + first + t, sight.window), scratch,
                    in_pieces[0, b:e] if pieces == 1 else weights[b:e], factor[b:e],
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
def attention(x, layer, cos, sin, start, window, cache, work, team):
    """Add the Attention of a layer to the residual x (batch * steps, hidden) float32.

    cos, sin: (steps, head_dim / 2) of the rotation of queries and keys, empty for none. start: position of the first
    new step; window: positions that a query sees. cache: the Cache of the layer, which takes the new keys and values.
    work: of the team, for at least so many rows.
    """
    qkv, out = layer.qkv, layer.out
    rows, batch = x.shape[0], len(cache.keys)
    steps = rows // batch
    scale = np.empty(rows, f32)
    q = left_factor(rows, qkv.panels)
    norm_quantise(x, layer.norm, qkv.most, q, scale)  # by every thread, for it takes less than to wait
    y, joined, joined_scale = work.qkv[:rows], work.joined[:rows], work.joined_scale
    weight_product(q, qkv.panels, y, team)
    sight = _Sight(_written(start + steps, cache.key_scale.shape[2]), start, window)
    kv_heads, dim = cache.keys.shape[2], 2 * cache.keys.shape[4]
    group = len(qkv.scale) // dim // kv_heads - 2
    queries = Queries(np.empty((kv_heads, steps * group, dim), i16), np.empty((kv_heads, steps * group), f32))
    meet(team)
    mine = share_of(team, batch)
    for b in range(mine[0], mine[1]):
        first, end = b * steps, (b + 1) * steps
        memory = _of_window(cache, b)
        _enter(y[first:end], scale[first:end], layer, cos, sin, start, memory, queries)
        _attend(queries, sight, memory, out.most, joined[first:end], joined_scale[first:end])
    meet(team)
    z = work.out[:rows]
    weight_product(joined, out.panels, z, team)
    meet(team)
    a, b = share_of(team, rows)
    add_normalised(x[a:b], z[a:b], joined_scale[a:b], out, layer.post_norm)
    meet(team)
