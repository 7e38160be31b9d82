"""Predicting a decision of every window, and learning from it.

A step codes one symbol of every window. It goes in rounds: in each, `predict` gives the
probability of the next decision of every window that has one, all from the same tables; once
the bits are known, `learn` changes the tables, window by window, and moves on in the tree.
Encoder and decoder call the same two.
"""

from __future__ import annotations

from lmzip.models.ensemble.contexts import (
    CONTEXTS,
    KINDS,
    OTHER,
    SYMBOL,
    SYMBOL_BEFORE,
    hash_contexts,
    remember,
)
from lmzip.models.ensemble.jit import combine, i32, i64, inline, kernel, u32
from lmzip.models.ensemble.matches import (
    EXPECTED,
    LENGTH,
    MATCHES,
    expected_bit,
    find_matches,
    length_class,
    trust_class,
)
from lmzip.models.ensemble.mixer import (
    AGREEMENT,
    FINAL_KIND,
    KIND,
    LAST_BYTE,
    MATCH,
    NETWORK,
    NODES,
    ORDER,
    SETS,
    STEPS,
    dot,
    squash,
    train,
)
from lmzip.models.ensemble.numbers import FINAL_RATE, LOGIT_MAX, RATE_FALL, RATE_FIRST, RATE_LAST
from lmzip.models.ensemble.state import (
    BEGIN_MAP_1,
    BEGIN_MAP_2,
    BIAS,
    FIRST_CONTEXT,
    FIRST_MATCH,
    FIRST_REFINED,
    INPUTS_A_MATCH,
    INPUTS_EACH,
    MAPS,
    NETWORK_LOGIT,
    NETWORK_MAPS,
    NETWORK_PROBABILITY,
    SLOTS,
)


@kernel
def begin(windows, tables, tree, active, record):
    """Put the active windows at the root of the tree."""
    for w in active:
        windows.node[w] = 0
        _reach(windows, tables, tree, w, 0, record)


@kernel
def accumulate(frequencies, windows, active):
    """Sum up the network's frequencies (active, alphabet) of the active windows."""
    for a in range(len(active)):
        w = active[a]
        sums = windows.cumulative[w]
        total, largest = i32(0), u32(0)
        for symbol in range(frequencies.shape[1]):
            total = i32(total + i32(frequencies[a, symbol]))
            sums[symbol + 1] = total
            largest = max(largest, frequencies[a, symbol])
        windows.confidence[w] = min(i32(largest >> u32(20)), i32(15))


@kernel
def predict(windows, tables, tree, active, probabilities):
    """Write the probability of a 1, of 65536, of the next decision of every active window."""
    for a in range(len(active)):
        w = active[a]
        node = windows.node[w]
        _network_inputs(windows, tables, tree, w, node)
        longest = _match_inputs(windows, tables, tree, w, node)
        order, seen = _context_inputs(windows, tables, tree, w, node)
        _choose_rows(windows, tree, w, node, longest, order, seen)
        total = i64(0)
        first, second = _final_weights(windows, tables, w)
        for k in range(SETS):
            output = dot(windows.inputs[w], tables.weights[windows.rows[w, k]])
            windows.outputs[w, k] = output
            total += i64(output) * (first[k] + second[k])
        output = i32(min(max(total >> 17, -LOGIT_MAX), LOGIT_MAX))
        windows.outputs[w, SETS] = output
        probabilities[a] = _refine(windows, tables, tree, w, node, longest, output)


@kernel
def learn(windows, tables, tree, active, bits, record, done):
    """Learn the bits of the active windows, move on, and return how many still have decisions.

    These are moved to the front of active. done: symbols of the block before this step.
    """
    rate = i32(RATE_LAST + (RATE_FIRST - RATE_LAST) * RATE_FALL // (RATE_FALL + done))
    left = 0
    for a in range(len(active)):
        w, bit = active[a], i32(bits[a])
        node = windows.node[w]
        _learn_mixing(windows, tables, w, bit, rate)
        _learn_counters(windows, tables, tree, w, node, bit)
        _learn_matches(windows, tables, tree, w, node, bit)
        if _advance(windows, tables, tree, w, node, bit, record):
            active[left] = w
            left += 1
    return left


@kernel
def encode(windows, tables, tree, active, symbols, record, done, bits, probabilities):
    """Predict and learn the symbols of the active windows; return the number of decisions.

    bits, probabilities: what the coder gets, in this order. Twin: Ensemble.decode.
    """
    for a in range(len(active)):
        windows.symbol[active[a]] = symbols[a]
    targets = windows.symbol.copy()
    begin(windows, tables, tree, active, record)
    count, left = 0, len(active)
    while left:
        predict(windows, tables, tree, active[:left], probabilities[count:])
        for a in range(left):
            w = active[a]
            bits[count + a] = 1 if targets[w] >= tree.middle[windows.node[w]] else 0
        now = bits[count : count + left]
        count += left
        left = learn(windows, tables, tree, active[:left], now, record, done)
    return count


@inline
def _find_lines(windows, tables, w, key):
    """Find the counters of the next four decisions.

    A line may stand in two places. The low bytes of its slots 1 and 2 are its label, that of slot
    3 counts how often it was looked for: where neither place has it, it takes the less wanted one.
    """
    slots, low_byte = tables.slots, u32(255)
    last = u32(len(slots) // SLOTS - 1)
    for i in range(CONTEXTS):
        h = combine(windows.hashes[w, i], key)
        line = i64(h & last) * SLOTS
        label = u32(h * u32(0x9E3779B1)) >> u32(16)
        low, high = label & low_byte, label >> u32(8)
        if slots[line + 1] & low_byte != low or slots[line + 2] & low_byte != high:
            other = line ^ SLOTS
            if slots[other + 1] & low_byte == low and slots[other + 2] & low_byte == high:
                line = other
            else:
                if slots[other + 3] & low_byte < slots[line + 3] & low_byte:
                    line = other
                slots[line : line + SLOTS] = u32(0)
                slots[line + 1], slots[line + 2] = low, high
        if slots[line + 3] & low_byte < low_byte:
            slots[line + 3] += u32(1)
        windows.line[w, i] = line


@kernel
def _append(windows, tables, w, byte):
    size = windows.size[w]
    windows.history[w, size] = byte
    windows.size[w] = size + 1
    remember(windows.memory[w], i64(byte), size + 1)
    find_matches(windows.history, windows.size, windows.match[w], tables.match_index, w)


@kernel
def _reach(windows, tables, tree, w, node, record):
    """Be at a node that begins a byte."""
    hash_contexts(
        windows.history[w], windows.size[w], windows.memory[w], windows.match[w], node, record,
        windows.hashes[w],
    )  # fmt: skip
    _find_lines(windows, tables, w, tree.line[node])


@kernel
def _advance(windows, tables, tree, w, node, bit, record):
    """Go to the child of a node; return whether it is a node, not a symbol."""
    child, depth = tree.child[node, bit], tree.depth[node]
    if child < 0:
        symbol = ~child
        for i in range(depth, tree.length[symbol]):
            _append(windows, tables, w, tree.spelling[symbol, i])
        windows.symbol[w] = symbol
        windows.node[w] = -1
        windows.memory[w, SYMBOL_BEFORE] = windows.memory[w, SYMBOL]
        windows.memory[w, SYMBOL] = symbol
        return False
    for i in range(depth, tree.depth[child]):
        _append(windows, tables, w, tree.spelling[tree.first[child], i])
    windows.node[w] = child
    if tree.depth[child] > depth:
        _reach(windows, tables, tree, w, child, record)
    elif tree.line[child] != tree.line[node]:
        _find_lines(windows, tables, w, tree.line[child])
    return True


@inline
def _ln(table, value):
    """Return ln(value) in units of 1/4096, value >= 1."""
    up, down = 0, 0
    while value >> down >= 2048:
        down += 1
    while value << up < 1024:
        up += 1
    return table[((value << up) >> down) - 1024] + (down - up) * table[1024]


@inline
def _back(windows, w, distance):
    """Return the byte at a distance behind the end of a window, 0 before the beginning."""
    size = windows.size[w]
    return i64(windows.history[w, size - distance]) if distance <= size else i64(0)


@inline
def _step(logit):
    """Return the support point of an adaptive map below a logit, and how far the logit is from it to the next.

    The latter is in units of 1 / (2 * LOGIT_MAX).
    """
    scaled = i64(logit + LOGIT_MAX) * (STEPS - 1)
    step = scaled // (2 * LOGIT_MAX)
    return step, scaled - step * (2 * LOGIT_MAX)


@inline
def _interpolated(maps, step, part):
    """Return the probability between a support point and the next."""
    return (i64(maps[step]) * (2 * LOGIT_MAX - part) + i64(maps[step + 1]) * part) // (2 * LOGIT_MAX)


@inline
def _network_inputs(windows, tables, tree, w, node):
    logit = i32(0)
    sums = windows.cumulative[w]
    if len(sums):
        low, middle, high = sums[tree.first[node]], sums[tree.middle[node]], sums[tree.end[node]]
        logit = i32((_ln(tables.log, high - middle) - _ln(tables.log, middle - low)) >> 4)
        logit = min(max(logit, i32(-LOGIT_MAX)), i32(LOGIT_MAX))
    windows.inputs[w, NETWORK_LOGIT] = logit
    windows.inputs[w, NETWORK_PROBABILITY] = (squash(tables.squash, logit) - 32768) >> 5
    windows.inputs[w, BIAS] = 256
    if len(sums):
        partial, steps = tree.partial[node], windows.network_steps[w]
        step, part = _step(logit)
        steps[0] = (partial + (256 if tree.depth[node] else 0)) * STEPS + step
        steps[1] = (512 + _back(windows, w, 1) * 256 + partial) * STEPS + step
        steps[NETWORK_MAPS] = part
        for k in range(NETWORK_MAPS):
            refined = _interpolated(tables.network_maps, steps[k], part)
            windows.inputs[w, FIRST_REFINED + k] = tables.stretch[refined >> 4]


@inline
def _match_inputs(windows, tables, tree, w, node):
    """Write the matches' inputs; return the class of the longest."""
    longest = 0
    for k in range(MATCHES):
        match = windows.match[w, k]
        bit = expected_bit(match, tree.partial[node], tree.known[node])
        logit = distance = i32(0)
        if bit >= 0:
            probability = tables.match_maps[k, trust_class(match)]
            logit = i32(tables.stretch[probability >> 10])
            distance = (probability - (1 << 21)) >> 11
            longest = max(longest, length_class(match[LENGTH]), 1)
        first = FIRST_MATCH + INPUTS_A_MATCH * k
        windows.inputs[w, first] = logit if bit == 1 else -logit
        windows.inputs[w, first + 1] = distance if bit == 1 else -distance
    return longest


@inline
def _context_inputs(windows, tables, tree, w, node):
    """Write the contexts' inputs; return the longest order that was seen before and how many were."""
    inputs, slot = windows.inputs[w], tree.slot[node]
    order = seen = 0
    for i in range(CONTEXTS):
        counter = tables.slots[windows.line[w, i] + slot]
        state = i64(counter >> u32(8) & u32(255))
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
        if 3 <= i <= 8:
            order = i
    return order, seen


@inline
def _choose_rows(windows, tree, w, node, longest, order, seen):
    """Choose a row of weights in every set."""
    rows, partial, depth = windows.rows[w], tree.partial[node], tree.depth[node]
    place = 0 if partial == 0 else 1 + tree.known[node]
    certainty = 0
    while certainty < 7 and abs(windows.inputs[w, NETWORK_LOGIT]) > 64 << certainty:
        certainty += 1
    rows[0] = NODES + partial + (256 if depth else 0)
    rows[1] = MATCH + longest * 16 + place
    rows[2] = NETWORK + (windows.confidence[w] * 4 + min(depth, 3)) * 16 + place
    rows[3] = LAST_BYTE + _back(windows, w, 1)
    rows[4] = ORDER + order * 16 + place
    rows[5] = AGREEMENT + certainty * 32 + min(seen, 31)
    kinds = i64(0)
    for distance in range(3):
        kinds = kinds * (OTHER + 1) + min(windows.memory[w, KINDS] >> (8 * distance) & 255, OTHER)
    rows[6] = KIND + kinds * 10 + place


@inline
def _refine(windows, tables, tree, w, node, longest, output):
    """Average the mixer's probability with what the adaptive maps have seen come of such ones."""
    partial, last, second = tree.partial[node], _back(windows, w, 1), _back(windows, w, 2)
    step, part = _step(output)
    steps = windows.steps[w]
    steps[0] = (last * 256 + partial) * STEPS + step
    steps[1] = (BEGIN_MAP_1 + i64(combine(combine(last, second), partial) & u32(0x3FFFF))) * STEPS + step
    steps[2] = (BEGIN_MAP_2 + longest * 512 + partial + (256 if tree.depth[node] else 0)) * STEPS + step
    steps[MAPS] = part
    total = i64(squash(tables.squash, output))
    for k in range(MAPS):
        total += _interpolated(tables.adaptive_maps, steps[k], part)
    return min(max(total >> 2, 1), 65535)


@inline
def _final_weights(windows, tables, w):
    """Return the two rows of weights of the sets' outputs."""
    rows = windows.rows[w]
    return tables.final_weights[rows[0] - NODES], tables.final_weights[rows[6] - KIND + FINAL_KIND]


@inline
def _learn_mixing(windows, tables, w, bit, rate):
    """Train the final mixer, the sets, and the adaptive maps."""
    first, second = _final_weights(windows, tables, w)
    error = i64((bit << 16) - squash(tables.squash, windows.outputs[w, SETS]))
    for k in range(SETS):
        change = (windows.outputs[w, k] * error * FINAL_RATE) >> 22
        first[k] += change
        second[k] += change
    for k in range(SETS):
        # Windows of the same round share rows: the error is that of the weights as they are now.
        weights = tables.weights[windows.rows[w, k]]
        output = dot(windows.inputs[w], weights)
        train(windows.inputs[w], weights, (bit << 16) - squash(tables.squash, output), rate)
    if len(windows.cumulative[w]):
        _learn_maps(tables.network_maps, windows.network_steps[w], bit)
    _learn_maps(tables.adaptive_maps, windows.steps[w], bit)


@inline
def _learn_maps(maps, steps, bit):
    """Move the nearer support point of every map; steps: as the windows keep them."""
    nearer = 1 if steps[-1] > LOGIT_MAX else 0
    for k in range(len(steps) - 1):
        at = steps[k] + nearer
        maps[at] += ((bit * 65535) - maps[at]) >> 6


@inline
def _learn_counters(windows, tables, tree, w, node, bit):
    slot = tree.slot[node]
    for i in range(CONTEXTS):
        at = windows.line[w, i] + slot
        counter = tables.slots[at]
        state, probability = i64(counter >> u32(8) & u32(255)), i32(counter >> u32(16))
        if state:
            learnt = tables.state_maps[i, state]
            times = i64(learnt & u32(1023))
            target = i64(learnt >> u32(10))
            target += ((i64(bit) << 22) - target) // (times + 2)
            target = min(max(target, 256), (1 << 22) - 256)
            tables.state_maps[i, state] = u32(target) << u32(10) | u32(min(times + 1, 254))
        else:
            probability = i32(32768)
        probability += (((bit << 16) - probability) * tables.rate[state]) >> 16
        probability = min(max(probability, 16), 65519)
        following = u32(tables.next_state[state, bit])
        tables.slots[at] = u32(probability) << u32(16) | following << u32(8) | counter & u32(255)


@inline
def _learn_matches(windows, tables, tree, w, node, bit):
    for k in range(MATCHES):
        match = windows.match[w, k]
        expected = expected_bit(match, tree.partial[node], tree.known[node])
        if expected >= 0:
            trust = trust_class(match)
            target = (1 << 22) - 1024 if expected == bit else 1024
            tables.match_maps[k, trust] += (target - tables.match_maps[k, trust]) >> 7
            if expected != bit:
                match[EXPECTED] = -1
