"""The decisions that spell a sample."""

from __future__ import annotations

import math

from lmzip.coders.bits import decode_bit
from lmzip.models.audio.numbers import CDF_REACH, CDF_STEPS
from lmzip.models.audio.state import CONTEXTS, NODES, SETS
from lmzip.models.ensemble.jit import i32, i64, inline, kernel
from lmzip.models.ensemble.mixer import dot, squash, train

_LAST = CDF_REACH * CDF_STEPS * 2
SIDE = (NODES - 1) // 2
LEAVES = 11
TAIL = 8
PLAIN = -1
FLOOR = 1e-9


@inline
def distribute(work, tables, row, value):
    """Write the distributions' probabilities of less than a value."""
    for k in range(len(work.mean)):
        z = (value - work.mean[k]) * work.inverse[k] + (CDF_REACH * CDF_STEPS)
        z = min(max(z, 0.0), float(_LAST))
        at = i64(z)
        part = z - float(at)
        a = tables.cdf[tables.shape[k], at]
        b = tables.cdf[tables.shape[k], at + 1]
        work.below[row, k] = a + (b - a) * part


@inline
def predict_bit(ch, c, work, tables, node):
    """Return the probability of a 1: the upper part."""
    inputs = work.inputs
    n = len(work.mean)
    for k in range(n):
        upper = work.below[1, k] - work.below[2, k] + FLOOR
        whole = work.below[1, k] - work.below[0, k] + 2 * FLOOR
        inputs[k] = tables.stretch[i64(min(max(upper / whole, 0.0), 0.9999) * 4096.0)]
    for i in range(CONTEXTS):
        at = (i * 256 + work.places[i]) * NODES + node
        inputs[n + i] = tables.stretch[ch.counters[c, at] >> 12]
    inputs[n + CONTEXTS] = 256
    for s in range(SETS):
        work.outputs[s] = dot(inputs, ch.mixer[c, work.rows[s] + node])
    x = dot(work.outputs, ch.final[c, node])
    work.outputs[15] = x
    return i32(squash(tables.squash, x))


@inline
def learn_bit(ch, c, work, tables, node, bit):
    """Learn a decision."""
    k = work.knobs
    target = i32(bit << 16)
    for s in range(SETS):
        p = i32(squash(tables.squash, work.outputs[s]))
        train(work.inputs, ch.mixer[c, work.rows[s] + node], target - p, i32(k[23]))
    x = work.outputs[15]
    work.outputs[15] = 0
    train(work.outputs, ch.final[c, node], target - i32(squash(tables.squash, x)), i32(k[24]))
    for i in range(CONTEXTS):
        at = (i * 256 + work.places[i]) * NODES + node
        counter = ch.counters[c, at]
        p, n = counter >> 8, counter & 255
        p += ((target - p) * tables.share[n]) >> 16
        p = min(max(p, 32), 65535 - 32)
        ch.counters[c, at] = p << 8 | min(n + 1, i32(k[25]))


@kernel
def code_sample(ch, c, work, tables, low, high, value, spread, reader, bits, probabilities, count):
    """Code a value of low .. high; return it and the new count; count -1: impossible code."""
    lo, hi = i64(low), i64(high) + 1
    distribute(work, tables, 0, float(lo) - 0.5)
    distribute(work, tables, 1, float(hi) - 0.5)
    center = work.center[0]
    node, state, side, step, leaf = i64(0), i64(0), i64(0), i64(0), i64(0)
    origin = i64(math.floor(center)) + 1
    origin = min(max(origin, lo), hi)
    plain = False
    while hi - lo > 1:
        # Where to split
        if state == 0:
            mid, node = origin, i64(0)
        elif state == 5:
            mid = (lo + hi) >> 1
            if step < 3:
                node = 1 + side * SIDE + LEAVES + leaf * 3 + step
            else:
                plain = True
        else:
            if state == 1:
                q = 0.693 * spread
            elif state == 2:
                q = 0.288 * spread
            elif state == 3:
                q = 1.386 * spread
            else:
                q = 1.386 * spread * float(i64(1) << min(step, 40))
            distance = max(i64(q + 0.5), 1 if state < 4 else step + 2)
            if side == 1:
                mid = origin + distance
            else:
                mid = origin - distance
            node = 1 + side * SIDE + (state - 1 if state < 4 else 2 + min(step, TAIL))
        inside = lo < mid and mid < hi
        bit = 0
        if inside:
            distribute(work, tables, 2, float(mid) - 0.5)
            if plain:
                upper = work.below[1, 0] - work.below[2, 0] + FLOOR
                whole = work.below[1, 0] - work.below[0, 0] + 2 * FLOOR
                p = i32(min(max(upper / whole, 0.001), 0.999) * 65536.0)
            else:
                p = predict_bit(ch, c, work, tables, node)
            p = min(max(p, 1), 65535)
            if reader.kind >= 0:
                bit = i64(decode_bit(reader, p))
                if bit < 0:
                    return lo, i64(-1)
            else:
                bit = i64(value >= mid)
            bits[count], probabilities[count] = bit, p
            count += 1
            if not plain:
                learn_bit(ch, c, work, tables, node, i32(bit))
            if bit:
                lo = mid
                for k in range(len(work.mean)):
                    work.below[0, k] = work.below[2, k]
            else:
                hi = mid
                for k in range(len(work.mean)):
                    work.below[1, k] = work.below[2, k]
        else:
            bit = 1 if lo >= mid else 0
        # Where to go
        if state == 0:
            side, state = bit, i64(1)
        elif state == 5:
            step = step * 2 + 1 + bit if step < 3 else step
            if step >= 3:
                step = 3
        else:
            outward = bit == side
            if state == 1:
                state = i64(3) if outward else i64(2)
            elif state == 2:
                leaf = i64(1) if outward else i64(0)
                state = i64(5)
            elif state == 3:
                if outward:
                    state, step = i64(4), i64(1)
                else:
                    leaf, state = i64(2), i64(5)
            else:
                if outward:
                    step += 1
                else:
                    leaf, state = min(2 + step, LEAVES - 1), i64(5)
                    step = i64(0)
            if state == 5:
                step = i64(0)
    return lo, count
