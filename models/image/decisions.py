# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# mypy: disable-error-code="arg-type, assignment, call-arg, operator"
"""One decision: what experts and counters say is mixed, refined, coded and learnt."""

from __future__ import annotations

from lmzip.models.image.state import COUNTERS, EXPERTS, MAPS, NODES, SETS
from lmzip.models.image.tables import REACH
from lmzip.models.image.tables import STEPS as FINE
from lmzip.models.mixing.apm import STEPS, interpolated, learn_maps, step_of
from lmzip.models.mixing.coding import code_bit
from lmzip.models.mixing.jit import combine, i32, i64, inline, kernel, once, u32
from lmzip.models.mixing.logistic import LOGIT_MAX
from lmzip.models.mixing.mixer import dot, squash, train

TINY = 1e-7  # share of a distribution that is spread over both sides of every decision
BIAS = EXPERTS
FIRST_COUNTER = EXPERTS + 1
FINAL_RATE = 12
# Facts of the cursor.
CHANNEL, PLACE_A, PLACE_B, PLACE_C, RATE, LIMIT = 1, 2, 3, 4, 5, 6
SIGNS, MATCH, LENGTH, RUN, PATTERN, PLACE_D, BLOCK_WIDTH, BIAS_PLACE, SCALE = 7, 8, 9, 10, 11, 12, 13, 14, 15


@inline
def share_below(cursor, fixed, e, value):
    """Return the share of an expert's distribution below a value, a whole sample: below value - 1/2."""
    x = (value * 16 - 8 - i64(cursor.centre[e])) * cursor.inverse[e]
    x = min(max(x, -float(REACH * FINE)), float(REACH * FINE))
    return fixed.distribution[i64(x) + REACH * FINE]


@inline
def expert_input(cursor, fixed, e, zero, one):
    """Write the logit of an expert that has shares for 0 and for 1; each operation is a single IEEE one."""
    one = one + TINY
    ratio = one / (zero + TINY + one)
    cursor.mixed[e] = fixed.stretch[min(max(i64(ratio * 4096.0), 0), 4095)]


@once
def counter_inputs(cursor, learnt, fixed, key):
    """Find the counters of a decision and write what they say."""
    last = u32(len(learnt.counters) - 1)
    for i in range(COUNTERS):
        h = combine(cursor.contexts[i], key)
        at = i64(h & last)
        cursor.places[i] = at
        counter = learnt.counters[at]
        seen = i64(counter & u32(1023))
        p = i64(counter >> u32(10))  # of 2^22
        logit = i64(fixed.stretch[p >> 10])
        if seen == 0:
            cursor.mixed[FIRST_COUNTER + i] = 0
            cursor.mixed[FIRST_COUNTER + COUNTERS + i] = 0
        else:
            cursor.mixed[FIRST_COUNTER + i] = (logit * min(seen, 16)) >> 4
            cursor.mixed[FIRST_COUNTER + COUNTERS + i] = (p - (1 << 21)) >> (11 if seen > 6 else 12)


@once
def learn_counters(cursor, learnt, fixed, bit):
    """Move the counters towards a bit."""
    limit = cursor.facts[LIMIT]
    for i in range(COUNTERS):
        at = cursor.places[i]
        counter = learnt.counters[at]
        seen = i64(counter & u32(1023))
        p = i64(counter >> u32(10))
        p += (((bit << 22) - p) * fixed.reciprocals[seen]) >> 16
        p = min(max(p, 64), (1 << 22) - 64)
        learnt.counters[at] = u32(p) << u32(10) | u32(min(seen + 1, limit))


@kernel
def decide(cursor, learnt, fixed, node, key, bit, coding):
    """Code a decision whose experts have spoken: return its bit, or -1 where the code is impossible.

    node: its kind. key: the same, and more of it. bit: what an encoder codes; a decoder does not look at it.
    """
    mixed, rows, facts = cursor.mixed, cursor.rows, cursor.facts
    channel = facts[CHANNEL]
    counter_inputs(cursor, learnt, fixed, key)
    mixed[BIAS] = 256
    rows[0] = min(channel, 7) * NODES + node
    rows[1] = facts[PLACE_A]
    rows[2] = facts[PLACE_B]
    rows[3] = facts[PLACE_C]
    rows[4] = facts[PLACE_D]
    final = learnt.final[min(channel, 7) * NODES + node]
    total = i64(0)
    for k in range(SETS):
        output = dot(mixed, learnt.mixer[k, rows[k]])
        cursor.outputs[k] = output
        total += i64(output) * final[k]
    output = i32(min(max(total >> 16, -LOGIT_MAX), LOGIT_MAX))
    step, part = step_of(output)
    cursor.steps[0] = (node * 64 + (facts[PLACE_A] & 63)) * STEPS + step
    cursor.steps[1] = (NODES * 64 + node * 64 + (facts[PLACE_C] & 63)) * STEPS + step
    cursor.steps[MAPS] = part
    before = i64(squash(fixed.squash, output))
    mean = 2 * before
    for k in range(MAPS):
        mean += interpolated(learnt.maps, cursor.steps[k], part)
    probability = min(max(mean >> 2, 1), 65535)

    bit = code_bit(coding, bit, probability)
    if bit < 0:
        return bit
    target = bit << 16
    error = target - before
    for k in range(SETS):
        output = cursor.outputs[k]
        final[k] += (output * error * FINAL_RATE) >> 22
        train(mixed, learnt.mixer[k, rows[k]], target - i64(squash(fixed.squash, output)), facts[RATE])
    learn_maps(learnt.maps, cursor.steps, bit)
    learn_counters(cursor, learnt, fixed, bit)
    return bit
