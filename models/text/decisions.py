# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# mypy: disable-error-code="arg-type, assignment, call-arg, operator"
"""The decisions of a block, one after the other: predicted, coded, learnt.

A symbol is spelled by decisions down the tree. A step has one symbol of every window, in their order.
"""

from __future__ import annotations

from lmzip.coders.bits import decode_bit
from lmzip.models.mixing.apm import STEPS, interpolated, learn_maps, note_maps, step_of
from lmzip.models.mixing.jit import combine, i32, i64, inline, kernel, u32
from lmzip.models.mixing.logistic import LOGIT_MAX
from lmzip.models.mixing.mixer import (
    AGREEMENT,
    FINAL_KIND,
    KIND,
    LAST_BYTE,
    MATCH,
    NETWORK,
    NODES,
    ORDER,
    SECOND_BYTE,
    dot,
    squash,
    train,
)
from lmzip.models.text.context_subset import SETS
from lmzip.models.text.contexts import CONFIDENCE, KINDS, OTHER, SYMBOL, SYMBOL_BEFORE, hash_contexts, remember
from lmzip.models.text.counters import context_inputs, find_lines, learn_counters
from lmzip.models.text.matches import find_matches, learn_matches, match_inputs
from lmzip.models.text.network import follow, network_inputs, split, weigh
from lmzip.models.text.numbers import FINAL_RATE, RATE_FALL, RATE_FIRST, RATE_LAST
from lmzip.models.text.state import BEGIN_MAP_1, BEGIN_MAP_2, BIAS, FIRST_MATCH, MAPS, NETWORK_LOGIT


@kernel
def code(windows, cursor, tables, tree, record, done, first, frequencies, symbols, bits, probabilities, reader):
    """Encode symbols, or decode them where there is a reader.

    symbols: (steps, n) int32 of the windows from `first` on; read, or written. frequencies: (steps, n,
    alphabet) uint32 of the network, or (steps, n, 0). record: length of the block's records. done:
    symbols of the block before these. Returns the number of decisions: their bits and probabilities are
    written to bits and probabilities, in the order of the code. It is -1 where the code is impossible.
    """
    count = 0
    for step in range(symbols.shape[0]):
        rate = i32(RATE_LAST + (RATE_FIRST - RATE_LAST) * RATE_FALL // (RATE_FALL + done + step * symbols.shape[1]))
        for a in range(symbols.shape[1]):
            w, node, of_symbols = first + a, i64(0), frequencies[step, a]
            weigh(cursor, of_symbols)
            _begin_byte(windows, cursor, tables, tree, w, node, record)
            while node >= 0:
                probability = _predict(windows, cursor, tables, tree, of_symbols, w, node)
                if reader.kind >= 0:
                    bit = i32(decode_bit(reader, probability))
                    if bit < 0:
                        return -1
                else:
                    bit = i32(symbols[step, a] >= tree.middle[node])
                bits[count], probabilities[count] = bit, probability
                count += 1
                _learn(windows, cursor, tables, tree, w, node, bit, rate)
                node = _advance(windows, cursor, tables, tree, w, node, bit, record)
            symbols[step, a] = ~node
    return count


@kernel
def _predict(windows, cursor, tables, tree, frequencies, w, node):
    """Return the probability of a 1, of 65536, of the decision at a node of the tree."""
    last = _back(windows, w, 1)
    partial, depth, known = i64(tree.partial[node]), i64(tree.depth[node]), i64(tree.known[node])
    cursor.inputs[BIAS] = 256
    if len(frequencies):
        split(cursor, frequencies, i64(tree.middle[node]))
        network_inputs(cursor, tables, partial, depth, last)
    longest = match_inputs(windows.match[w], tables, partial, tree.bytes[partial], cursor.inputs[FIRST_MATCH:])
    order, seen = context_inputs(cursor, tables, i64(tree.slot[node]))
    _choose_rows(windows, cursor, w, partial, depth, known, last, longest, order, seen)
    first, second = _final_weights(cursor, tables)
    total = i64(0)
    for k in tables.sets:
        output = dot(cursor.inputs, tables.weights[cursor.rows[k]])
        cursor.outputs[k] = output
        total += i64(output) * (first[k] + second[k])
    output = i32(min(max(total >> 17, -LOGIT_MAX), LOGIT_MAX))
    cursor.outputs[SETS] = output
    # The mean of the mixer's probability and what the adaptive maps have seen come of such ones.
    step, part = step_of(output)
    steps = cursor.steps
    steps[0] = (last * 256 + partial) * STEPS + step
    two_bytes = combine(combine(last, _back(windows, w, 2)), partial)
    steps[1] = (BEGIN_MAP_1 + i64(two_bytes & u32(0x3FFFF))) * STEPS + step
    steps[2] = (BEGIN_MAP_2 + longest * 512 + partial + (256 if depth else 0)) * STEPS + step
    steps[MAPS] = part
    mean = i64(squash(tables.squash, output))
    for k in range(MAPS):
        mean += interpolated(tables.adaptive_maps, steps[k], part)
    return min(max(mean >> 2, 1), 65535)


@inline
def _choose_rows(windows, cursor, w, partial, depth, known, last, longest, order, seen):
    """Choose a row of weights in every set."""
    rows = cursor.rows
    place = 0 if partial == 0 else 1 + known
    certainty = 0
    while certainty < 7 and abs(cursor.inputs[NETWORK_LOGIT]) > 64 << certainty:
        certainty += 1
    rows[0] = NODES + partial + (256 if depth else 0)
    rows[1] = MATCH + longest * 16 + place
    rows[2] = NETWORK + (cursor.expects[CONFIDENCE] * 4 + min(depth, 3)) * 16 + place
    rows[3] = LAST_BYTE + last
    rows[4] = ORDER + order * 16 + place
    rows[5] = AGREEMENT + certainty * 32 + min(seen, 31)
    kinds = i64(0)
    for distance in range(3):
        kinds = kinds * (OTHER + 1) + min(windows.memory[w, KINDS] >> (8 * distance) & 255, OTHER)
    rows[6] = KIND + kinds * 10 + place
    rows[7] = SECOND_BYTE + _back(windows, w, 2)


@inline
def _final_weights(cursor, tables):
    """Return the two rows of weights of the sets' outputs."""
    rows = cursor.rows
    return tables.final_weights[rows[0] - NODES], tables.final_weights[rows[6] - KIND + FINAL_KIND]


@kernel
def _learn(windows, cursor, tables, tree, w, node, bit, rate):
    """Learn the bit of the decision at a node."""
    first, second = _final_weights(cursor, tables)
    target = bit << 16
    error = i64(target - squash(tables.squash, cursor.outputs[SETS]))
    for k in tables.sets:
        output = cursor.outputs[k]
        change = (output * error * FINAL_RATE) >> 22
        first[k] += change
        second[k] += change
        train(cursor.inputs, tables.weights[cursor.rows[k]], target - squash(tables.squash, output), rate)
    if len(cursor.log):
        note_maps(cursor.log, cursor.logged, cursor.steps, i64(0))
        if len(cursor.sums):
            note_maps(cursor.log, cursor.logged, cursor.network_steps, i64(len(tables.adaptive_maps)))
    learn_maps(tables.adaptive_maps, cursor.steps, bit)
    if len(cursor.sums):
        learn_maps(tables.network_maps, cursor.network_steps, bit)
        follow(cursor.mass, bit)
    learn_counters(cursor, tables, i64(tree.slot[node]), bit)
    partial = i64(tree.partial[node])
    learn_matches(windows.match[w], tables.match_maps, partial, tree.bytes[partial], bit)


@kernel
def _advance(windows, cursor, tables, tree, w, node, bit, record):
    """Return the child of a node, after having gone there, or ~symbol."""
    child, depth = i64(tree.child[node, bit]), i64(tree.depth[node])
    if child < 0:
        symbol = ~child
        for i in range(depth, tree.length[symbol]):
            _append(windows, tables, w, tree.spelling[symbol, i])
        windows.memory[w, SYMBOL_BEFORE] = windows.memory[w, SYMBOL]
        windows.memory[w, SYMBOL] = symbol
        return child
    for i in range(depth, tree.depth[child]):
        _append(windows, tables, w, tree.spelling[tree.first[child], i])
    if tree.depth[child] > depth:
        _begin_byte(windows, cursor, tables, tree, w, child, record)
    elif tree.line[child] != tree.line[node]:
        find_lines(cursor, tables, i64(tree.line[child]))
    return child


@kernel
def _append(windows, tables, w, byte):
    """Add a byte to the history of a window."""
    size = windows.size[w]
    windows.history[w, size] = byte
    windows.size[w] = size + 1
    remember(windows.history[w], size + 1, windows.memory[w])
    find_matches(windows.history, windows.size, windows.match[w], tables.match_index, w)


@kernel
def _begin_byte(windows, cursor, tables, tree, w, node, record):
    """Be at a node that begins a byte."""
    hash_contexts(
        windows.history[w], windows.size[w], windows.memory[w], windows.match[w], cursor.expects, node, record,
        cursor.hashes,
    )  # fmt: skip
    find_lines(cursor, tables, i64(tree.line[node]))


@inline
def _back(windows, w, distance):
    """Return the byte at a distance behind the end of a window, 0 before the beginning."""
    size = windows.size[w]
    return i64(windows.history[w, size - distance]) if distance <= size else i64(0)
