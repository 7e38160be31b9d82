# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# mypy: disable-error-code="arg-type, assignment, call-arg, operator"
"""The binary decisions that spell a sample: in which part of an ever smaller interval it lies.

The first asks whether the sample lies above the prediction, the next ones how far, in mean absolute errors, until it is
known to lie in a leaf; then leaves are halved. Decisions with one outcome are left out.
"""

from __future__ import annotations

import math

from lmzip.models.audio.numbers import (
    CDF_REACH,
    CDF_STEPS,
    COUNTER_LIMIT,
    FAR,
    FINAL_MIXER_RATE,
    MIDDLE,
    MIXER_RATE,
    NEAR,
)
from lmzip.models.audio.state import CONTEXTS, FINAL_LOGIT, NODES, SETS
from lmzip.models.mixing.coding import code_bit
from lmzip.models.mixing.jit import i32, i64, inline, kernel
from lmzip.models.mixing.mixer import dot, squash, train

MOST_DECISIONS = 80  # of a sample: 1 for the side, 2 or up to 40 for the leaf, 32 halve it
LOW, HIGH, SPLIT = 0, 1, 2  # rows of Moment.below
# What is asked: the side, whether beyond MIDDLE, NEAR, FAR, whether beyond twice the border before, which half.
SIDE, BEYOND_MIDDLE, BEYOND_NEAR, BEYOND_FAR, BEYOND, HALF = 0, 1, 2, 3, 4, 5
_OF_SIDE, _LEAVES, _LEARNT_HALVES, _FARTHEST = (NODES - 1) // 2, 11, 3, 8
_LAST = float(2 * CDF_REACH * CDF_STEPS)
_FLOOR = 1e-9  # probability that every interval has at least: so no quotient is 0 / 0


@inline
def distribute(moment, tables, row, value):
    """Write the probabilities of less than a value, by every distribution."""
    for k in range(len(moment.mean)):
        z = (value - moment.mean[k]) * moment.inverse[k] + 0.5 * _LAST
        z = min(max(z, 0.0), _LAST)
        at = i64(z)
        low, high = tables.cdf[tables.shape[k], at], tables.cdf[tables.shape[k], at + 1]
        moment.below[row, k] = low + (high - low) * (z - float(at))


@inline
def share_above(below, k, above, under):
    """Return the share of the upper part in a distribution's probability of the interval.

    above, under: the share of the values in the upper and in the lower part that occur at all.
    """
    upper = (below[HIGH, k] - below[SPLIT, k] + _FLOOR) * above
    lower = (below[SPLIT, k] - below[LOW, k] + _FLOOR) * under
    return min(max(upper / (upper + lower), 0.0), 0.9999)


@inline
def predict_bit(state, moment, tables, c, node, above, under):
    """Return the probability, of 65536, that the sample lies in the upper part."""
    inputs, n = moment.inputs, len(moment.mean)
    for k in range(n):
        inputs[k] = tables.stretch[i64(share_above(moment.below, k, above, under) * 4096.0)]
    for i in range(CONTEXTS):
        inputs[n + i] = tables.stretch[state.counters[c, i, moment.places[i], node] >> 12]
    inputs[n + CONTEXTS] = 256
    for s in range(SETS):
        moment.outputs[s] = dot(inputs, state.mixer[c, moment.rows[s], node])
    logit = dot(moment.outputs[:], state.final_mixer[c, node])
    moment.outputs[FINAL_LOGIT] = logit
    return i32(squash(tables.squash, logit))


@inline
def learn_bit(state, moment, tables, c, node, bit):
    """Move weights and counters towards the outcome of a decision."""
    target = i32(bit << 16)
    for s in range(SETS):
        error = target - i32(squash(tables.squash, moment.outputs[s]))
        train(moment.inputs, state.mixer[c, moment.rows[s], node], error, MIXER_RATE)
    error = target - i32(squash(tables.squash, moment.outputs[FINAL_LOGIT]))
    moment.outputs[FINAL_LOGIT] = 0  # its weight stays 0
    train(moment.outputs, state.final_mixer[c, node], error, FINAL_MIXER_RATE)
    for i in range(CONTEXTS):
        counter = state.counters[c, i, moment.places[i], node]
        probability, times = counter >> 8, counter & 255
        probability += ((target - probability) * tables.share[times]) >> 16
        probability = min(max(probability, 32), 65535 - 32)
        state.counters[c, i, moment.places[i], node] = probability << 8 | min(times + 1, COUNTER_LIMIT)


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
def multiples(first, end, waste):
    """Return how many values from first to before end have so many lowest bits 0."""
    return ((end - 1) >> waste) - ((first - 1) >> waste)


@kernel
def code_sample(state, moment, tables, c, low, high, used, waste, value, spread, coding):
    """Code a value of low .. high; return it, and whether the code is possible.

    used: see Facts. waste: how many of the lowest bits are 0 here. spread: the mean absolute error that is expected.
    """
    lo, hi = i64(low), i64(high) + 1
    distribute(moment, tables, LOW, float(lo) - 0.5)
    distribute(moment, tables, HIGH, float(hi) - 0.5)
    origin = min(max(i64(math.floor(moment.center[0])) + 1, lo), hi)
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
            distribute(moment, tables, SPLIT, float(middle) - 0.5)
            above = under = 1.0
            lower, upper = i64(1), i64(1)
            if waste > 0:
                lower, upper = multiples(lo, middle, waste), multiples(middle, hi, waste)
            elif len(used):
                lower, upper = i64(used[middle - low] - used[lo - low]), i64(used[hi - low] - used[middle - low])
            if len(used) or waste > 0:
                above, under = float(upper) / float(hi - middle), float(lower) / float(middle - lo)
            bit = i64(1) if lower == 0 else i64(0)
            if lower > 0 and upper > 0:
                is_learnt = question != HALF or step < _LEARNT_HALVES
                if is_learnt:
                    probability = predict_bit(state, moment, tables, c, node, above, under)
                else:
                    probability = i32(min(max(share_above(moment.below, 0, above, under), 0.001), 0.999) * 65536.0)
                bit = code_bit(coding, value >= middle, probability)
                if bit < 0:
                    return lo, False
                if is_learnt:
                    learn_bit(state, moment, tables, c, node, i32(bit))
            if bit:
                lo = middle
            else:
                hi = middle
            row = LOW if bit else HIGH
            for k in range(len(moment.mean)):
                moment.below[row, k] = moment.below[SPLIT, k]
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
