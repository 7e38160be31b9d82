# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# mypy: disable-error-code="arg-type, assignment, call-arg, operator"
"""Counters of what followed a context: their lines, their inputs to the mixer, their learning."""

from __future__ import annotations

from lmzip.models.mixing.jit import combine, i32, i64, inline, kernel, prefetch, u32
from lmzip.models.text.state import FIRST_CONTEXT, INPUTS_EACH, SLOTS

_LOW = u32(255)


@inline
def expect_lines(decision, tables, key):
    """Have the lines fetched into the cache that find_lines will look for."""
    last = u32(len(tables.slots) // SLOTS - 1)
    for i in range(len(tables.contexts)):
        h = combine(decision.hashes[tables.contexts[i]], key)
        prefetch(tables.slots, i64(h & last) * SLOTS)


@kernel
def find_lines(decision, tables, key):
    """Find the counters of the next four decisions in every context.

    A line may stand in two places. The low bytes of its slots 1 and 2 are its label, that of slot
    3 counts how often it was looked for: where neither place has it, it takes the less wanted one.
    """
    slots = tables.slots
    last = u32(len(slots) // SLOTS - 1)
    expect_lines(decision, tables, key)
    for i in range(len(tables.contexts)):
        h = combine(decision.hashes[tables.contexts[i]], key)
        line = i64(h & last) * SLOTS
        label = u32(h * u32(0x9E3779B1)) >> u32(16)
        low, high = label & _LOW, label >> u32(8)
        if slots[line + 1] & _LOW != low or slots[line + 2] & _LOW != high:
            other = line ^ SLOTS
            if slots[other + 1] & _LOW == low and slots[other + 2] & _LOW == high:
                line = other
            else:
                if slots[other + 3] & _LOW < slots[line + 3] & _LOW:
                    line = other
                for slot in range(SLOTS):
                    slots[line + slot] = u32(0)
                slots[line + 1], slots[line + 2] = low, high
        if slots[line + 3] & _LOW < _LOW:
            slots[line + 3] += u32(1)
        decision.line[i] = line


@inline
def context_inputs(decision, tables, slot):
    """Write the contexts' inputs; return the longest order that was seen before and how many were."""
    inputs = decision.inputs
    order = seen = i64(0)
    for i in range(len(tables.contexts)):
        counter = tables.slots[decision.line[i] + slot]
        state = i64(counter >> u32(8) & _LOW)
        k = FIRST_CONTEXT + INPUTS_EACH * i
        if state == 0:
            inputs[k] = inputs[k + 1] = inputs[k + 2] = 0
            continue
        confidence = tables.confidence[state]
        learnt = i32(tables.state_maps[i, state] >> u32(16))
        inputs[k] = tables.stretch[learnt >> 4]
        inputs[k + 1] = (i32(tables.stretch[counter >> u32(20)]) * confidence) >> 8
        inputs[k + 2] = ((learnt - 32768) * confidence) >> 13
        seen += 1
        if 3 <= tables.contexts[i] <= 8:
            order = tables.contexts[i]
    return order, seen


@inline
def learn_counters(decision, tables, slot, bit):
    """Move the counters of a decision, and what is known of their states, towards its bit."""
    for i in range(len(tables.contexts)):
        at = decision.line[i] + slot
        counter = tables.slots[at]
        state, probability = i64(counter >> u32(8) & _LOW), i32(counter >> u32(16))
        if state:
            learnt = tables.state_maps[i, state]
            times = i64(learnt & u32(1023))
            target = i64(learnt >> u32(10))
            target += (((i64(bit) << 22) - target) * tables.share[times]) >> 16
            target = min(max(target, 256), (1 << 22) - 256)
            tables.state_maps[i, state] = u32(target) << u32(10) | u32(min(times + 1, 254))
        else:
            probability = i32(32768)
        probability += (((bit << 16) - probability) * tables.rate[state]) >> 16
        probability = min(max(probability, 16), 65519)
        following = u32(tables.next_state[state, bit])
        tables.slots[at] = u32(probability) << u32(16) | following << u32(8) | counter & _LOW
