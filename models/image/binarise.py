# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# mypy: disable-error-code="arg-type, assignment, call-arg, operator"
"""The binarisation of a sample: which binary decisions code it.

In natural mode they go out from the prediction: is the sample equal to it, on which side, beyond which step, and at
last in which half of the range that is left. In direct mode they are the bits of the sample.
"""

from __future__ import annotations

from lmzip.models.image.decisions import (
    DIRECT_BIT,
    EQUAL,
    HALF,
    SIDE,
    STEP,
    WIDE_SIDE,
    WIDE_STEP,
    decide,
    expert_input,
    share_below,
)
from lmzip.models.image.state import EXPERTS
from lmzip.models.mixing.jit import i64, kernel

MOST_DECISIONS = 48  # of a sample: 2, then 6 and 16 of the distance's length, then 16 of its bits
SLOW = 6  # steps before they double


@kernel
def binarise(decider, value, centre, k, narrow, top):
    """Code a sample 0 .. top: return its value, or -1 where the code is impossible.

    centre: the prediction. k: the first steps are 2^k wide. narrow: ask first whether it is the prediction.
    """
    low, high, middle = decider.sample.low, decider.sample.high, decider.sample.middle
    for e in range(EXPERTS):
        low[e] = share_below(decider, e, i64(0))
        high[e] = share_below(decider, e, top + 1)
        middle[e] = share_below(decider, e, centre)
    first = centre  # of the upper side
    if narrow:
        first, node = centre + 1, i64(EQUAL)  # not a literal, for which numba would compile another kernel
        for e in range(EXPERTS):
            above = share_below(decider, e, first)
            expert_input(decider, e, (middle[e] - low[e]) + (high[e] - above), above - middle[e])
        bit = decide(decider, node, node, i64(value == centre))
        if bit:
            return centre if bit > 0 else i64(-1)
        if centre == 0 or centre == top:
            side = i64(centre == 0)
        else:
            for e in range(EXPERTS):
                above = share_below(decider, e, first)
                expert_input(decider, e, middle[e] - low[e], high[e] - above)
            node = i64(SIDE)
            side = decide(decider, node, node, i64(value > centre))
    elif centre == 0:
        side = i64(1)
    else:
        for e in range(EXPERTS):
            expert_input(decider, e, middle[e] - low[e], high[e] - middle[e])
        node = WIDE_SIDE + min(k, 5)
        side = decide(decider, node, node | k << 7, i64(value >= centre))
    if side < 0:
        return i64(-1)

    # The distance from the first sample of the side, 0 .. room - 1, is at least `bound` and below `end`.
    if side:
        room, distance = top + 1 - first, value - first
        for e in range(EXPERTS):
            low[e] = share_below(decider, e, first)
    else:
        room, distance = centre, centre - 1 - value
        for e in range(EXPERTS):
            high[e] = middle[e]
    node = (STEP if narrow else WIDE_STEP) + 16 * side
    bound, width, step, halving = i64(0), i64(1) << k, 0, False
    end = room
    while end - bound > 1:
        if not halving:  # does it go beyond this step?
            half = width
            if bound + half >= end:
                halving = True
                continue
            key = (node + min(step, 15)) | k << 7
        else:
            half, place = i64(1), 0
            while 2 * half < end - bound:
                half *= 2
                place += 1
            node = HALF + 2 * min(place, 7) + side
            key = node | k << 7 | min(step, 7) << 11
        split = bound + half
        for e in range(EXPERTS):
            m = share_below(decider, e, first + split if side else centre - split)
            middle[e] = m
            if side:
                expert_input(decider, e, m - low[e], high[e] - m)
            else:
                expert_input(decider, e, high[e] - m, m - low[e])
        bit = decide(decider, key & 127, key, i64(distance >= split))
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
        if not halving:
            if bit:
                step += 1
                if step >= SLOW:
                    width *= 2
            else:
                halving = True
    return first + bound if side else centre - 1 - bound


@kernel
def binarise_directly(decider, value, top):
    """Code a sample 0 .. top bit by bit, the highest first: return its value, or -1 where the code is impossible."""
    low, high, middle = decider.sample.low, decider.sample.high, decider.sample.middle
    for e in range(EXPERTS):
        low[e] = share_below(decider, e, i64(0))
        high[e] = share_below(decider, e, top + 1)
    known, half, place = i64(0), (top + 1) >> 1, i64(0)
    while half:
        for e in range(EXPERTS):
            middle[e] = share_below(decider, e, known + half)
            expert_input(decider, e, middle[e] - low[e], high[e] - middle[e])
        key = (known + half) << 1 | 1
        bit = decide(decider, DIRECT_BIT + place, key, i64(value & half != 0))
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
