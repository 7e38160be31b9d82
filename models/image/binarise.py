# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# mypy: disable-error-code="arg-type, assignment, call-arg, operator"
"""A sample is spelled by decisions: is it the prediction, on which side of it, how far from it."""

from __future__ import annotations

from lmzip.models.image.decisions import decide, expert_input, share_below
from lmzip.models.image.state import EXPERTS
from lmzip.models.mixing.jit import i64, kernel

MOST_DECISIONS = 48  # of a sample: 2, then 6 and 16 of the distance's length, then 16 of its bits
SLOW = 6  # steps before they double
EQUAL, SIDE, STEP, WIDE_SIDE, WIDE_STEP, BITS = 0, 1, 2, 34, 40, 72  # nodes
DIRECT_BITS = 96


@kernel
def spell(cursor, learnt, fixed, value, centre, k, narrow, top, coding):
    """Code a sample 0 .. top: return its value, or -1 where the code is impossible.

    centre: the prediction. k: the first steps are 2^k wide. narrow: ask first whether it is the prediction.
    """
    low, high, middle = cursor.low, cursor.high, cursor.middle
    for e in range(EXPERTS):
        low[e] = share_below(cursor, fixed, e, i64(0))
        high[e] = share_below(cursor, fixed, e, top + 1)
        middle[e] = share_below(cursor, fixed, e, centre)
    first = centre  # of the upper side
    if narrow:
        first, node = centre + 1, i64(EQUAL)  # not a literal, for which numba would compile another kernel
        for e in range(EXPERTS):
            above = share_below(cursor, fixed, e, first)
            expert_input(cursor, fixed, e, (middle[e] - low[e]) + (high[e] - above), above - middle[e])
        bit = decide(cursor, learnt, fixed, node, node, i64(value == centre), coding)
        if bit:
            return centre if bit > 0 else i64(-1)
        if centre == 0 or centre == top:
            side = i64(centre == 0)
        else:
            for e in range(EXPERTS):
                above = share_below(cursor, fixed, e, first)
                expert_input(cursor, fixed, e, middle[e] - low[e], high[e] - above)
            node = i64(SIDE)
            side = decide(cursor, learnt, fixed, node, node, i64(value > centre), coding)
    elif centre == 0:
        side = i64(1)
    else:
        for e in range(EXPERTS):
            expert_input(cursor, fixed, e, middle[e] - low[e], high[e] - middle[e])
        node = WIDE_SIDE + min(k, 5)
        side = decide(cursor, learnt, fixed, node, node | k << 7, i64(value >= centre), coding)
    if side < 0:
        return i64(-1)

    # The distance from the first sample of the side, 0 .. room - 1.
    if side:
        room, distance = top + 1 - first, value - first
        for e in range(EXPERTS):
            low[e] = share_below(cursor, fixed, e, first)
    else:
        room, distance = centre, centre - 1 - value
        for e in range(EXPERTS):
            high[e] = middle[e]
    node = (STEP if narrow else WIDE_STEP) + 16 * side
    bound, width, step, spelled = i64(0), i64(1) << k, 0, False
    end = room
    while end - bound > 1:
        if not spelled:  # does it go beyond this step?
            half = width
            if bound + half >= end:
                spelled = True
                continue
            key = (node + min(step, 15)) | k << 7
        else:
            half, place = i64(1), 0
            while 2 * half < end - bound:
                half *= 2
                place += 1
            node = BITS + 2 * min(place, 7) + side
            key = node | k << 7 | min(step, 7) << 11
        split = bound + half
        for e in range(EXPERTS):
            m = share_below(cursor, fixed, e, first + split if side else centre - split)
            middle[e] = m
            if side:
                expert_input(cursor, fixed, e, m - low[e], high[e] - m)
            else:
                expert_input(cursor, fixed, e, high[e] - m, m - low[e])
        bit = decide(cursor, learnt, fixed, key & 127, key, i64(distance >= split), coding)
        if bit < 0:
            return i64(-1)
        if bit:
            bound = split
        else:
            end = split
        for e in range(EXPERTS):
            if (bit == 1) == (side == 1):
                low[e] = middle[e]
            else:
                high[e] = middle[e]
        if not spelled:
            if bit:
                step += 1
                if step >= SLOW:
                    width *= 2
            else:
                spelled = True
    return first + bound if side else centre - 1 - bound


@kernel
def spell_directly(cursor, learnt, fixed, value, top, coding):
    """Code a sample 0 .. top bit by bit, the highest first: return its value, or -1."""
    low, high, middle = cursor.low, cursor.high, cursor.middle
    for e in range(EXPERTS):
        low[e] = share_below(cursor, fixed, e, i64(0))
        high[e] = share_below(cursor, fixed, e, top + 1)
    known, half, place = i64(0), (top + 1) >> 1, i64(0)
    while half:
        for e in range(EXPERTS):
            middle[e] = share_below(cursor, fixed, e, known + half)
            expert_input(cursor, fixed, e, middle[e] - low[e], high[e] - middle[e])
        key = (known + half) << 1 | 1
        bit = decide(cursor, learnt, fixed, DIRECT_BITS + place, key, i64(value & half != 0), coding)
        if bit < 0:
            return i64(-1)
        for e in range(EXPERTS):
            if bit:
                low[e] = middle[e]
            else:
                high[e] = middle[e]
        known += half * bit
        half >>= 1
        place += 1
    return known
