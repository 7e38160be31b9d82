# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# mypy: disable-error-code="arg-type, assignment, call-arg, operator"
"""The decisions of a block, one after the other: predicted, coded, learnt.

A symbol is coded as the decisions on the way from the root of the tree to it. A step has one symbol of every window, in
the order of the windows.
"""

from __future__ import annotations

from lmzip.models.mixing.apm import STEPS, interpolated, learn_apms, note_apms, step_of
from lmzip.models.mixing.coding import code_bit
from lmzip.models.mixing.jit import combine, i32, i64, inline, kernel, u32
from lmzip.models.mixing.logistic import LOGIT_MAX
from lmzip.models.mixing.mixer import dot, squash, train
from lmzip.models.text.contexts import CONFIDENCE, KINDS, OTHER, SYMBOL, SYMBOL_BEFORE, hash_contexts, remember
from lmzip.models.text.counters import context_inputs, find_lines, learn_counters
from lmzip.models.text.matches import find_matches, learn_matches, match_inputs
from lmzip.models.text.network import follow, network_inputs, split, weigh
from lmzip.models.text.numbers import FINAL_RATE, RATE_FALL, RATE_FIRST, RATE_LAST
from lmzip.models.text.state import APMS, BIAS, FIRST_MATCH, FIRST_OF_MATCH, FIRST_OF_TWO_BYTES, NETWORK_LOGIT
from lmzip.models.text.weight_sets import (
    AGREEMENT,
    BY_AGREEMENT,
    BY_KINDS,
    BY_LAST_BYTE,
    BY_MATCH,
    BY_NETWORK,
    BY_NODE,
    BY_ORDER,
    BY_SECOND_BYTE,
    FINAL_KIND,
    KIND,
    LAST_BYTE,
    MATCH,
    NETWORK,
    NODES,
    ORDER,
    SECOND_BYTE,
    SETS,
)


@kernel
def code(block, done, first, frequencies, symbols, coding):
    """Encode symbols, or decode them where `coding` has a reader. Return 0, or -1 where the code is impossible.

    done: symbols of the block before these. symbols: (steps, n) int32 of the windows from `first` on; read, or written.
    frequencies: (steps, n, alphabet) uint32 of the network, or (steps, n, 0). coding: where the decisions go.
    """
    for step in range(symbols.shape[0]):
        rate = i32(RATE_LAST + (RATE_FIRST - RATE_LAST) * RATE_FALL // (RATE_FALL + done + step * symbols.shape[1]))
        for a in range(symbols.shape[1]):
            w, node, of_symbols = first + a, i64(0), frequencies[step, a]
            weigh(block.decision, of_symbols)
            depth = i64(-1)
            while node >= 0:
                if block.tree.depth[node] > depth:
                    _begin_byte(block, w, node)
                depth = i64(block.tree.depth[node])
                probability = _predict(block, of_symbols, w, node)
                bit = code_bit(coding, i32(symbols[step, a] >= block.tree.middle[node]), probability)
                if bit < 0:
                    return -1
                _learn(block, w, node, bit, rate)
                node = _advance(block, w, node, bit)
            symbols[step, a] = ~node
    return 0


@inline
def _predict(block, frequencies, w, node):
    """Return the probability of a 1, of 65536, of the decision at a node of the tree."""
    windows, decision, tables, tree = block.windows, block.decision, block.tables, block.tree
    last = _back(windows, w, 1)
    partial, depth = i64(tree.partial[node]), i64(tree.depth[node])
    decision.inputs[BIAS] = 256
    if len(frequencies):
        split(decision, frequencies, i64(tree.middle[node]))
        network_inputs(decision, tables, partial, depth, last)
    longest = match_inputs(windows.match[w], tables, partial, tree.range[partial], decision.inputs[FIRST_MATCH:])
    order, seen = context_inputs(decision, tables, i64(tree.slot[node]))
    _choose_rows(block, w, node, longest, order, seen)
    first, second = _final_weights(decision, tables)
    total = i64(0)
    for k in tables.sets:
        output = dot(decision.inputs, tables.weights[decision.rows[k]])
        decision.outputs[k] = output
        total += i64(output) * (first[k] + second[k])
    output = i32(min(max(total >> 17, -LOGIT_MAX), LOGIT_MAX))
    decision.outputs[SETS] = output
    # The mean of the mixer's probability and of what, by the APMs, has come of such probabilities.
    step, part = step_of(output)
    steps = decision.steps
    steps[0] = (last * 256 + partial) * STEPS + step
    two_bytes = combine(combine(last, _back(windows, w, 2)), partial)
    steps[1] = (FIRST_OF_TWO_BYTES + i64(two_bytes & u32(0x3FFFF))) * STEPS + step
    steps[2] = (FIRST_OF_MATCH + longest * 512 + partial + (256 if depth else 0)) * STEPS + step
    steps[APMS] = part
    mean = i64(squash(tables.squash, output))
    for k in range(APMS):
        mean += interpolated(tables.apms, steps[k], part)
    return min(max(mean >> 2, 1), 65535)


@inline
def _choose_rows(block, w, node, longest, order, seen):
    """Choose a row of weights in every set.

    longest: the class of the longest match. order, seen: as context_inputs returns them.
    """
    windows, decision, tree = block.windows, block.decision, block.tree
    rows, partial, depth = decision.rows, i64(tree.partial[node]), i64(tree.depth[node])
    place = 0 if partial == 0 else 1 + i64(tree.known[node])
    certainty = 0
    while certainty < 7 and abs(decision.inputs[NETWORK_LOGIT]) > 64 << certainty:
        certainty += 1
    kinds = i64(0)
    for distance in range(3):
        kinds = kinds * (OTHER + 1) + min(windows.memory[w, KINDS] >> (8 * distance) & 255, OTHER)
    rows[BY_NODE] = NODES + partial + (256 if depth else 0)
    rows[BY_MATCH] = MATCH + longest * 16 + place
    rows[BY_NETWORK] = NETWORK + (decision.expects[CONFIDENCE] * 4 + min(depth, 3)) * 16 + place
    rows[BY_LAST_BYTE] = LAST_BYTE + _back(windows, w, 1)
    rows[BY_ORDER] = ORDER + order * 16 + place
    rows[BY_AGREEMENT] = AGREEMENT + certainty * 32 + min(seen, 31)
    rows[BY_KINDS] = KIND + kinds * 10 + place
    rows[BY_SECOND_BYTE] = SECOND_BYTE + _back(windows, w, 2)


@inline
def _final_weights(decision, tables):
    """Return the two rows of weights of the sets' outputs."""
    rows = decision.rows
    return tables.final_weights[rows[BY_NODE] - NODES], tables.final_weights[rows[BY_KINDS] - KIND + FINAL_KIND]


@inline
def _learn(block, w, node, bit, rate):
    """Learn the bit of the decision at a node."""
    windows, decision, tables, tree = block.windows, block.decision, block.tables, block.tree
    first, second = _final_weights(decision, tables)
    target = bit << 16
    error = i64(target - squash(tables.squash, decision.outputs[SETS]))
    for k in tables.sets:
        output = decision.outputs[k]
        change = (output * error * FINAL_RATE) >> 22
        first[k] += change
        second[k] += change
        train(decision.inputs, tables.weights[decision.rows[k]], target - squash(tables.squash, output), rate)
    if len(decision.log):
        note_apms(decision.log, decision.logged, decision.steps, i64(0))
        if len(decision.sums):
            note_apms(decision.log, decision.logged, decision.network_steps, i64(len(tables.apms)))
    learn_apms(tables.apms, decision.steps, bit)
    if len(decision.sums):
        learn_apms(tables.network_maps, decision.network_steps, bit)
        follow(decision.mass, bit)
    learn_counters(decision, tables, i64(tree.slot[node]), bit)
    partial = i64(tree.partial[node])
    learn_matches(windows.match[w], tables.match_maps, partial, tree.range[partial], bit)


@inline
def _advance(block, w, node, bit):
    """Return the child of a node, after having gone there, or ~symbol."""
    windows, tables, tree = block.windows, block.tables, block.tree
    child, depth = i64(tree.child[node, bit]), i64(tree.depth[node])
    if child < 0:
        symbol = ~child
        for i in range(depth, tree.length[symbol]):
            _append(windows, tables, w, tree.bytes[symbol, i])
        windows.memory[w, SYMBOL_BEFORE] = windows.memory[w, SYMBOL]
        windows.memory[w, SYMBOL] = symbol
        return child
    for i in range(depth, tree.depth[child]):
        _append(windows, tables, w, tree.bytes[tree.first[child], i])
    if tree.depth[child] == depth and tree.line[child] != tree.line[node]:
        find_lines(block.decision, tables, i64(tree.line[child]))
    return child


@kernel
def _append(windows, tables, w, byte):
    """Add a byte to the history of a window."""
    size = windows.size[w]
    windows.history[w, size] = byte
    windows.size[w] = size + 1
    remember(windows.history[w], size + 1, windows.memory[w])
    find_matches(windows.history, windows.size, windows.match[w], tables.match_index, w)


@inline
def _begin_byte(block, w, node):
    """Be at a node that begins a byte."""
    hash_contexts(block, w, node)
    find_lines(block.decision, block.tables, i64(block.tree.line[node]))


@inline
def _back(windows, w, distance):
    """Return the byte at a distance behind the end of a window, 0 before the beginning."""
    size = windows.size[w]
    return i64(windows.history[w, size - distance]) if distance <= size else i64(0)
