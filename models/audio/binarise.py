# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# mypy: disable-error-code="arg-type, assignment, call-arg, operator"
"""The binarisation of a sample: in which part of an ever smaller interval does it lie?

The first question is whether the sample lies above the prediction. The next ones ask how far, in mean absolute errors,
until the sample is known to lie in a leaf: a range between two borders. Then leaves are halved. Questions with one
possible answer are left out.
"""

from __future__ import annotations

import math

from lmzip.models.audio.decisions import HIGH, LOW, SPLIT, distribute, learn_bit, predict_bit, share_above
from lmzip.models.audio.numbers import FAR, MIDDLE, NEAR
from lmzip.models.audio.state import NODES
from lmzip.models.mixing.coding import code_bit
from lmzip.models.mixing.jit import i32, i64, inline, once

MOST_DECISIONS = 80  # of a sample: 1 for the side, 2 or up to 40 for the leaf, 32 halve it
# What is asked: the side, whether beyond MIDDLE, NEAR, FAR, whether beyond twice the border before, which half.
SIDE, BEYOND_MIDDLE, BEYOND_NEAR, BEYOND_FAR, BEYOND, HALF = 0, 1, 2, 3, 4, 5
# Nodes: 0 is the side, then come those of each side: borders, and the first halvings of each leaf.
_OF_SIDE, _LEAVES, _LEARNT_HALVES, _FARTHEST = (NODES - 1) // 2, 11, 3, 8


@inline
def border(question, step, spread):
    """Return how far from the prediction a question splits, in samples of at least 1."""
    if question == BEYOND_MIDDLE:
        distance = MIDDLE * spread
    elif question == BEYOND_NEAR:
        distance = NEAR * spread
    elif question == BEYOND_FAR:
        distance = FAR * spread
    else:
        distance = min(FAR * spread * float(i64(1) << min(step, i64(40))), 1e12)
    # It grows with the step even where the spread is next to nothing.
    least = step + 2 if question == BEYOND else i64(1)
    return max(i64(distance + 0.5), least)


@inline
def multiples(first, end, wasted_bits):
    """Return how many values from first to before end have so many lowest bits 0."""
    return ((end - 1) >> wasted_bits) - ((first - 1) >> wasted_bits)


@once
def binarise(model, c, value, wasted_bits, spread, coding):
    """Code a value of channel c; return it, and whether the code is possible.

    wasted_bits: how many of the lowest bits are 0 here. spread: the mean absolute error that is expected.
    """
    setup, sample = model.setup, model.sample
    low, high = setup.lowest[c], setup.highest[c]
    used = setup.used[setup.first_used[c] : setup.first_used[c + 1]]
    lo, hi = i64(low), i64(high) + 1  # the value is at least lo and below hi
    distribute(model, LOW, float(lo) - 0.5)
    distribute(model, HIGH, float(hi) - 0.5)
    origin = min(max(i64(math.floor(sample.center[0])) + 1, lo), hi)
    question, side, step, leaf = i64(SIDE), i64(0), i64(0), i64(0)
    while hi - lo > 1:
        if question == SIDE:
            middle, node = origin, i64(0)
        elif question == HALF:
            middle, node = (lo + hi) >> 1, 1 + side * _OF_SIDE + _LEAVES + leaf * _LEARNT_HALVES + step
        else:
            distance = border(question, step, spread)
            middle = origin + distance if side else origin - distance
            node = 1 + side * _OF_SIDE + (question - 1 if question < BEYOND else 2 + min(step, _FARTHEST))
        if lo < middle and middle < hi:
            distribute(model, SPLIT, float(middle) - 0.5)
            # Shares and numbers of the values in both parts that occur at all.
            above = under = 1.0
            lower, upper = i64(1), i64(1)
            if wasted_bits > 0:
                lower, upper = multiples(lo, middle, wasted_bits), multiples(middle, hi, wasted_bits)
            elif len(used):
                lower, upper = i64(used[middle - low] - used[lo - low]), i64(used[hi - low] - used[middle - low])
            if len(used) or wasted_bits > 0:
                above, under = float(upper) / float(hi - middle), float(lower) / float(middle - lo)
            bit = i64(1) if lower == 0 else i64(0)
            if lower > 0 and upper > 0:
                is_learnt = question != HALF or step < _LEARNT_HALVES
                if is_learnt:
                    probability = predict_bit(model, c, node, above, under)
                else:
                    probability = i32(min(max(share_above(sample.below, 0, above, under), 0.001), 0.999) * 65536.0)
                bit = code_bit(coding, value >= middle, probability)
                if bit < 0:
                    return lo, False
                if is_learnt:
                    learn_bit(model, c, node, i32(bit))
            if bit:
                lo = middle
            else:
                hi = middle
            row = LOW if bit else HIGH
            for k in range(len(sample.mean)):
                sample.below[row, k] = sample.below[SPLIT, k]
        else:
            bit = i64(1) if lo >= middle else i64(0)
        # The next question.
        outward = bit == side
        if question == SIDE:
            side, question = bit, i64(BEYOND_MIDDLE)
        elif question == BEYOND_MIDDLE:
            question = i64(BEYOND_FAR) if outward else i64(BEYOND_NEAR)
        elif question == BEYOND_NEAR:
            question, leaf, step = i64(HALF), i64(outward), i64(0)
        elif question == BEYOND_FAR:
            question, leaf, step = (i64(BEYOND), i64(0), i64(1)) if outward else (i64(HALF), i64(2), i64(0))
        elif question == BEYOND:
            if outward:
                step += 1
            else:
                question, leaf, step = i64(HALF), min(2 + step, _LEAVES - 1), i64(0)
        elif step < _LEARNT_HALVES:
            step = min(2 * step + 1 + bit, _LEARNT_HALVES)
    return lo, True
