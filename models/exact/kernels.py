"""What lies between the matrix products, for the CPU: numba kernels over rows.

The float operations here are single IEEE operations on single elements, in the order written;
sums are integer sums. Fused and reordered arithmetic stays off: of LLVM's fast-math flags only
those are on that promise it no NaN and no meaning of -0, which lets it vectorise maxima.
Integer sums are cast back to int32 at each step because numba would widen them to 64 bits.
Kernels let go of the GIL so that threads can share a batch. The same arithmetic in plain torch
stands in `torch_engine.py`; the self-test compares the two bit by bit.
"""

from __future__ import annotations

import numpy as np

from lmzip.coders.compiled import compiled
from lmzip.models.exact.arithmetic import (
    ACTIVATION_MAX,
    ATTENTION_ONE,
    EXP2_C1,
    EXP2_C2,
    EXP2_C3,
    EXP2_C4,
    EXP2_LAST,
    FREQUENCY_TOTAL,
    GELU_1,
    GELU_3,
    LOG2_E,
    NORM_MAX,
    OUTPUT_ONE,
    SMALLEST,
)
from lmzip.models.exact.panels import LANES, product, weight_product

f32, f64, i8, i16, i32, i64, u32 = np.float32, np.float64, np.int8, np.int16, np.int32, np.int64, np.uint32
_fast = {"nnan", "nsz"}
_kernel = compiled(fastmath=_fast)
_inline = compiled(fastmath=_fast, inline="always")

ZERO, ONE = f32(0), f32(1)
MINUS_INFINITY = f32(-np.inf)
QUANT = f32(ACTIVATION_MAX)
NORM = f32(NORM_MAX)

NEVER = -(1 << 30)  # before any position that a query sees
ATTEND_ROWS = 16  # queries of a key head at a time
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
def _quantise(x, most, q):
    """Round x to q, integers with the largest at `most` float32; return the scale, float32."""
    m = _largest(x)
    k = most / m if m > ZERO else ZERO
    for i in range(len(x)):
        q[i] = i32(np.rint(x[i] * k))
    return m / most


@_kernel
def embed(ids, table, scale, x):
    """Write the embeddings of ids (rows,) to x (rows, hidden) float32."""
    for r in range(len(ids)):
        for i in range(x.shape[1]):
            x[r, i] = f32(table[ids[r], i]) * scale[ids[r]]


@_kernel
def add_positions(x, table, scale, start, steps):
    """Add the embeddings of positions start, start + 1 ... to x (batch * steps, hidden) float32."""
    for r in range(x.shape[0]):
        position = start + r % steps
        for i in range(x.shape[1]):
            x[r, i] = x[r, i] + f32(table[position, i]) * scale[position]


@_kernel
def _centre(x, eps, h):
    """Write (x - mean) / sqrt(variance + eps) to h float32; mean and variance from sums of integers."""
    m, n = _largest(x), i64(len(x))
    k = NORM / m if m > ZERO else ZERO
    total, squares = i64(0), i64(0)
    for i in range(len(x)):
        t = i32(np.rint(x[i] * k))
        total += i64(t)
        squares += i64(i32(t * t))
    unit = f64(m) / f64(NORM_MAX)
    mean = f32(f64(total) / f64(n) * unit)
    variance = f64(n * squares - total * total) / f64(n * n)
    variance = variance * unit
    variance = variance * unit
    inverse = f32(f64(1) / np.sqrt(variance + f64(eps)))
    for i in range(len(x)):
        h[i] = (x[i] - mean) * inverse


@_kernel
def _norm_quantise(x, norm, most, q, scale):
    """Normalise the rows of x (rows, hidden), into q, integers up to `most`, and scale.

    norm: gain (hidden,), bias (hidden,) and eps. Without a bias rows are divided by their root mean square.
    """
    gain, bias, eps = norm
    h = np.empty(x.shape[1], f32)
    for r in range(x.shape[0]):
        if len(bias):
            _centre(x[r], eps, h)
            for i in range(len(h)):
                h[i] = h[i] * gain[i] + bias[i]
            scale[r] = _quantise(h, most, q[r])
        else:
            for i in range(len(h)):
                h[i] = x[r, i] * gain[i]
            scale[r] = f32(f64(_quantise(h, most, q[r])) / _root_mean_square(x[r], eps))


@_inline
def _values(y, scale, weight_scale, bias, f):
    """Write the floats that a row y of a product stands for to f (outputs,) float32."""
    for i in range(len(f)):
        f[i] = f32(y[i]) * (scale * weight_scale[i])
    for i in range(len(bias)):
        f[i] = f[i] + bias[i]


@_kernel
def _add(x, y, scale, weight_scale, bias):
    """Add a product y (rows, at least hidden) to the residual x (rows, hidden)."""
    f = np.empty(x.shape[1], f32)
    for r in range(x.shape[0]):
        _values(y[r], scale[r], weight_scale, bias, f)
        for i in range(len(f)):
            x[r, i] = x[r, i] + f[i]


@_inline
def _left_factor(rows, panels):
    """Return zeros for the left factor of a product with panels: (rows, depth) int16."""
    depth = 4 * (panels.shape[1] - 1) if panels.shape[2] == 4 * LANES else 2 * panels.shape[1]
    return np.zeros((rows, depth), i16)


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
        _values(y[t], scale[t], weight_scale, bias, flat)
        for h in range(heads + kv_heads):
            if len(q_gain):
                _norm_head(f[h], q_gain if h < heads else k_gain, eps)
            if len(cos):
                _rotate(f[h], cos[position], sin[position], turned)
        for h in range(heads):
            g, i = h // group, t * group + h % group
            query_scale[g, i] = _quantise(f[h], query_most, queries[g, i]) * query_factor
        for g in range(kv_heads):
            key_scale[g, slot] = _quantise(f[heads + g], key_most, rounded)
            panel, lane = slot // LANES, 2 * (slot % LANES)
            if parts == 2:
                for i in range(dim):
                    high = (rounded[i] + 64) >> 7
                    keys[1, g, panel, i // 2, lane + i % 2] = high
                    rounded[i] -= high << 7
            for i in range(half):
                keys[0, g, panel, i, lane] = rounded[2 * i]
                keys[0, g, panel, i, lane + 1] = rounded[2 * i + 1]
            value_scale[g, slot] = _quantise(f[heads + kv_heads + g], QUANT, rounded)
            for i in range(dim):
                values[g, slot // piece, i // LANES, slot % piece // 2, 2 * (i % LANES) + slot % 2] = rounded[i]


@_kernel
def _score(queries, keys, high_dots, dots):
    """Write the dots of queries (rows, head_dim) with keys (parts, ...) of one head to dots (rows, slots) int32."""
    product(queries, keys[0], dots)
    if len(keys) == 2:
        product(queries, keys[1], high_dots)
        for h in range(dots.shape[0]):
            for s in range(dots.shape[1]):
                dots[h, s] = i32(dots[h, s] + i32(high_dots[h, s] << 7))


@_kernel
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


@_kernel
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
        mixed = _sums(rows, values[0, 0])
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
            scale_out[first + t] = _quantise(out[t].reshape(-1), out_most, q_out[first + t])


@_kernel
def attention(x, norm, qkv, heads, out, cos, sin, start, window, keys, values, key_scale, value_scale):
    """Add a layer's attention to the residual x (batch * steps, hidden) float32.

    norm: gain, bias and eps of the norm before. qkv, out: panels, scales, bias (empty: none) of the projections and
    the largest integer of their left factor. heads: q_gain, k_gain (head_dim,) of the query and key norms (empty:
    no such norms) and the largest integers of a query and a key. cos, sin: (positions, head_dim / 2), empty for none.
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
    q = _left_factor(rows, qkv_panels)
    _norm_quantise(x, norm, qkv_most, q, scale)
    y = _sums(rows, qkv_panels)
    weight_product(q, qkv_panels, y)
    joined = _left_factor(rows, out_panels)
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
    z = _sums(rows, out_panels)
    weight_product(joined, out_panels, z)
    _add(x, z, scale, out_scale, out_bias)


@_kernel
def _activate(y, scale, weight_scale, bias, gelu, gated, most, q, scale_out):
    """Apply the activation to y, the first half of y (rows, 2 * inner) times the second if gated, into q and scale_out.

    silu(x) = x * sigmoid(x), gelu(x) = x * sigmoid(x * (GELU_1 + GELU_3 * x * x)).
    """
    f = np.empty(len(weight_scale), f32)
    inner = len(f) // 2 if gated else len(f)
    a = np.empty(inner, f32)
    unit = ONE / OUTPUT_ONE
    for r in range(y.shape[0]):
        _values(y[r], scale[r], weight_scale, bias, f)
        for i in range(inner):
            g = f[i]
            v = g
            if gelu:
                v = g * g
                v = v * GELU_3
                v = v + GELU_1
                v = v * g
            e = f32(_exp_integer(abs(v), OUTPUT_ONE)) * unit
            a[i] = (g if v > ZERO else g * e) / (ONE + e)
        if gated:
            up = f[inner:]
            for i in range(inner):
                a[i] = a[i] * up[i]
        scale_out[r] = _quantise(a, most, q[r])


@_kernel
def feed_forward(x, norm, gelu, gated, gate_up, down):
    """Add a layer's feed-forward to the residual x (rows, hidden) float32.

    norm: gain, bias and eps of the norm before. gelu, gated: see `_activate`. gate_up, down: panels, scales, bias
    (empty: none) of the projections and the largest integer of their left factor.
    """
    gate_up_panels, gate_up_scale, gate_up_bias, gate_up_most = gate_up
    down_panels, down_scale, down_bias, down_most = down
    n = min(len(x), CHUNK)
    scale = np.empty(n, f32)
    q, y = _left_factor(n, gate_up_panels), _sums(n, gate_up_panels)
    inner, z = _left_factor(n, down_panels), _sums(n, down_panels)
    for first in range(0, len(x), n):
        part = x[first : first + n]
        n = len(part)
        _norm_quantise(part, norm, gate_up_most, q, scale)
        weight_product(q[:n], gate_up_panels, y[:n])
        _activate(y[:n], scale, gate_up_scale, gate_up_bias, gelu, gated, down_most, inner, scale)
        weight_product(inner[:n], down_panels, z[:n])
        _add(part, z, scale, down_scale, down_bias)


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
def predict(x, norm, head, out):
    """Write the frequencies after x (rows, hidden) float32 to out (rows, alphabet) uint32.

    norm: gain, bias and eps of the last norm. head: panels, scales, an empty bias of the last product and the
    largest integer of its left factor.
    """
    panels, head_scale, _, most = head
    n = min(len(x), CHUNK)
    scale = np.empty(n, f32)
    q, y = _left_factor(n, panels), _sums(n, panels)
    for first in range(0, len(x), n):
        part = x[first : first + n]
        n = len(part)
        _norm_quantise(part, norm, most, q, scale)
        weight_product(q[:n], panels, y[:n])
        frequencies(y, scale, head_scale, out[first : first + n])


def compiles_now() -> bool:
    """Compile the smallest kernel and return whether it was in no cache, so that all others follow."""
    x = np.empty((1, 1), f32)
    embed(np.zeros(1, i32), np.zeros((1, 1), i8), np.ones(1, f32), x)
    stats = getattr(embed, "stats", None)  # absent where numba compiles nothing (NUMBA_DISABLE_JIT)
    return stats is not None and sum(stats.cache_misses.values()) > 0
