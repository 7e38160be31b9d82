# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# mypy: disable-error-code="arg-type, assignment, call-arg, operator"
"""One binary decision of a picture: experts and counters are mixed, the mixture is refined, the bit coded and learnt.

`binarise.py` and `repeats.py` say what the decisions are about. Before a decision they set the contexts of the sample
and give the inputs of the experts (`share_below`, `expert_input`); `decide` does the rest.
"""

from __future__ import annotations

from lmzip.models.image.state import APMS, BY_LEVEL, BY_NODE, BY_PARITY, COUNTERS, EXPERTS, NODES, SETS
from lmzip.models.image.tables import REACH
from lmzip.models.image.tables import STEPS as FINE
from lmzip.models.mixing.apm import STEPS, interpolated, learn_apms, step_of
from lmzip.models.mixing.coding import code_bit
from lmzip.models.mixing.jit import combine, i32, i64, inline, kernel, once, u32
from lmzip.models.mixing.logistic import LOGIT_MAX
from lmzip.models.mixing.mixer import dot, squash, train

# Nodes: the kinds of decisions, each with weights and adaptive probability maps of its own.
EQUAL = 0  # is the sample the prediction?
SIDE = 1  # is it above?
STEP = 2  # does it lie beyond a step? 16 on each side
WIDE_SIDE = 34  # the same two where steps are wide and EQUAL is not asked; 6, by the width
WIDE_STEP = 40
HALF = 72  # in which half of a range does it lie? 8 sizes of the range, on each side
REPEAT = 88  # is the pixel as the one on the left, above, above right, above left, the matched one?
DIRECT_BIT = 96  # the bits of a sample in direct mode, the highest first

BIAS = EXPERTS  # input of the mixer that is constant
FIRST_COUNTER = EXPERTS + 1  # inputs of the counters: first COUNTERS logits, then as many differences from 1/2
TINY = 1e-7  # share of a distribution that is spread over both sides of every decision
COUNTER_LIMIT = 250  # times seen that a counter counts
FINAL_RATE = 12


@inline
def share_below(decider, e, value):
    """Return the share of an expert's distribution below a value, a whole sample: below value - 1/2."""
    sample = decider.sample
    x = (value * 16 - 8 - i64(sample.centre[e])) * sample.inverse[e]
    x = min(max(x, -float(REACH * FINE)), float(REACH * FINE))
    return decider.tables.distribution[i64(x) + REACH * FINE]


@inline
def expert_input(decider, e, zero, one):
    """Write the logit of an expert that has shares for 0 and for 1; each operation is a single IEEE one."""
    one = one + TINY
    ratio = one / (zero + TINY + one)
    decider.sample.mixed[e] = decider.tables.stretch[min(max(i64(ratio * 4096.0), 0), 4095)]


@once
def _counter_inputs(decider, key):
    """Find the counters of a decision and write what they say."""
    sample, counters = decider.sample, decider.counters
    last = u32(len(counters) - 1)
    for i in range(COUNTERS):
        slot = i64(combine(sample.contexts[i], key) & last)
        sample.slots[i] = slot
        counter = counters[slot]
        seen = i64(counter & u32(1023))
        p = i64(counter >> u32(10))  # of 2^22
        logit = i64(decider.tables.stretch[p >> 10])
        if seen == 0:
            sample.mixed[FIRST_COUNTER + i] = 0
            sample.mixed[FIRST_COUNTER + COUNTERS + i] = 0
        else:
            sample.mixed[FIRST_COUNTER + i] = (logit * min(seen, 16)) >> 4
            sample.mixed[FIRST_COUNTER + COUNTERS + i] = (p - (1 << 21)) >> (11 if seen > 6 else 12)


@once
def _learn_counters(decider, bit):
    """Move the counters of a decision towards its bit."""
    for i in range(COUNTERS):
        slot = decider.sample.slots[i]
        counter = decider.counters[slot]
        seen = i64(counter & u32(1023))
        p = i64(counter >> u32(10))
        p += (((bit << 22) - p) * decider.tables.counter_rates[seen]) >> 16
        p = min(max(p, 64), (1 << 22) - 64)
        decider.counters[slot] = u32(p) << u32(10) | u32(min(seen + 1, COUNTER_LIMIT))


@kernel
def decide(decider, node, key, bit):
    """Code a decision whose experts have spoken: return its bit, or -1 where the code is impossible.

    key: the node, and more that tells the decisions of a context apart. bit: what an encoder codes; a decoder does not
    look at it.
    """
    sample, squashed = decider.sample, decider.tables.squash
    mixed, rows = sample.mixed, sample.weight_rows
    _counter_inputs(decider, key)
    mixed[BIAS] = 256
    rows[BY_NODE] = min(sample.channel, 7) * NODES + node
    final = decider.final_mixer[rows[BY_NODE]]
    total = i64(0)
    for k in range(SETS):
        output = dot(mixed, decider.mixer[k, rows[k]])
        sample.outputs[k] = output
        total += i64(output) * final[k]
    output = i32(min(max(total >> 16, -LOGIT_MAX), LOGIT_MAX))
    # The mean of the mixer's probability and what the adaptive probability maps have seen come of such ones.
    step, part = step_of(output)
    sample.apm_steps[0] = (node * 64 + (rows[BY_LEVEL] & 63)) * STEPS + step
    sample.apm_steps[1] = (NODES * 64 + node * 64 + (rows[BY_PARITY] & 63)) * STEPS + step
    sample.apm_steps[APMS] = part
    before = i64(squash(squashed, output))
    mean = 2 * before
    for k in range(APMS):
        mean += interpolated(decider.apms, sample.apm_steps[k], part)
    bit = code_bit(decider.coding, bit, min(max(mean >> 2, 1), 65535))
    if bit < 0:
        return bit
    target = bit << 16
    error = target - before
    for k in range(SETS):
        output = sample.outputs[k]
        final[k] += (output * error * FINAL_RATE) >> 22
        train(mixed, decider.mixer[k, rows[k]], target - i64(squash(squashed, output)), sample.rate)
    learn_apms(decider.apms, sample.apm_steps, bit)
    _learn_counters(decider, bit)
    return bit
