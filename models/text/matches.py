# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# mypy: disable-error-code="arg-type, assignment, call-arg, operator"
"""Match models: where did the last bytes stand before, anywhere in the block, and what followed?

Every window looks into the history of all windows. A match is followed through a few wrong
bytes; how far to trust it is learnt for each length and number of recent misses.
"""

from __future__ import annotations

from lmzip.models.mixing.jit import combine, i32, i64, inline, kernel, u32

MATCHES = 3
LEAST = (5, 9, 20)  # bytes that a match of each model must have
LONGEST = 400
LENGTHS = 32  # classes of length
INDEX_BITS = 18
MOST_MISSES = 7  # of the last eight bytes; a match that had more is given up

# The fields of a match, int64.
IN_WINDOW, POSITION, LENGTH = 0, 1, 2  # POSITION: 0 for no match; LENGTH: bytes since the last miss
EXPECTED = 3  # the next byte; -1: none, or it cannot be that any more
MISSED = 4  # a bit for each of the last eight bytes
FIELDS = 5
INPUTS_A_MATCH = 2
_POSITION_BITS = 40
MISSES = 4  # classes


@inline
def length_class(length):
    """Return the class, 0 .. LENGTHS - 1, of a match's length."""
    return length if length < 16 else min(15 + (length >> 4), LENGTHS - 1)


@inline
def misses(match):
    """Return how many of the last eight bytes were not as expected."""
    missed, count = match[MISSED], 0
    while missed:
        missed &= missed - 1
        count += 1
    return count


@inline
def trust_class(match):
    """Return the class, 0 .. MISSES * LENGTHS - 1, for which trust is learnt."""
    return min(misses(match), MISSES - 1) * LENGTHS + length_class(match[LENGTH])


@inline
def _common(a, end_a, b, end_b):
    """Return how many bytes before end_a in a and before end_b in b are the same, at most LONGEST."""
    length = 0
    while length < min(LONGEST, end_a, end_b) and a[end_a - 1 - length] == b[end_b - 1 - length]:
        length += 1
    return length


@inline
def _slot_of(history, size, least):
    """Return where the index has the hash of the `least` bytes that end at `size`."""
    h = u32(0)
    for distance in range(1, least + 1):
        h = combine(h, history[size - distance])
    return i64(h) & ((1 << INDEX_BITS) - 1)


@kernel
def forget_matches(histories, sizes, index):
    """Make an index empty again in which find_matches has put what these windows hold."""
    for w in range(len(sizes)):
        for size in range(1, sizes[w] + 1):
            for k in range(MATCHES):
                if size >= LEAST[k]:
                    index[k, _slot_of(histories[w], size, LEAST[k])] = -1


@kernel
def find_matches(histories, sizes, matches, index, w):
    """Bring the matches (MATCHES, FIELDS) of window w up to date after a byte.

    histories: (windows, capacity) uint8; sizes: (windows,); index: (MATCHES, 2**INDEX_BITS)
    int64, the last place of every hash, -1 for none.
    """
    size, history = sizes[w], histories[w]
    for k in range(MATCHES):
        match, least = matches[k], LEAST[k]
        if match[POSITION] > 0:
            match[POSITION] += 1
            match[MISSED] = (match[MISSED] << 1) & 255
            if match[EXPECTED] == history[size - 1]:
                match[LENGTH] += 1
            else:
                match[LENGTH] = 0
                match[MISSED] |= 1
                if misses(match) > MOST_MISSES:
                    match[POSITION] = 0
        if size >= least:
            slot = _slot_of(history, size, least)
            place = index[k, slot]
            if place >= 0 and (match[POSITION] == 0 or match[LENGTH] < least):
                other, position = place >> _POSITION_BITS, place & ((1 << _POSITION_BITS) - 1)
                length = _common(history, size, histories[other], position)
                if length >= least:
                    match[IN_WINDOW], match[POSITION], match[LENGTH], match[MISSED] = other, position, length, 0
            index[k, slot] = (w << _POSITION_BITS) | size
        match[EXPECTED] = -1
        if match[POSITION] > 0:
            if match[POSITION] < sizes[match[IN_WINDOW]]:
                match[EXPECTED] = histories[match[IN_WINDOW], match[POSITION]]
            else:
                match[POSITION] = 0


@inline
def _expected_bit(match, partial, parted):
    """Return the bit that a match expects of the decision that parts bytes [0] .. [2] - 1 at [1], or -1."""
    if partial == 0 or match[EXPECTED] < parted[0] or match[EXPECTED] >= parted[2]:
        return i32(-1)
    return i32(match[EXPECTED] >= parted[1])


@inline
def match_inputs(matches, tables, partial, parted, inputs):
    """Write the matches' inputs; return the class of the longest."""
    longest = i64(0)
    for k in range(MATCHES):
        match = matches[k]
        bit = _expected_bit(match, partial, parted)
        logit = distance = i32(0)
        if bit >= 0:
            probability = tables.match_maps[k, trust_class(match)]
            logit = i32(tables.stretch[probability >> 10])
            distance = (probability - (1 << 21)) >> 11
            longest = max(longest, length_class(match[LENGTH]), 1)
        inputs[INPUTS_A_MATCH * k] = logit if bit == 1 else -logit
        inputs[INPUTS_A_MATCH * k + 1] = distance if bit == 1 else -distance
    return longest


@inline
def learn_matches(matches, maps, partial, parted, bit):
    """Learn how far the matches can be trusted; those that were wrong expect nothing more of this byte."""
    for k in range(MATCHES):
        match = matches[k]
        expected = _expected_bit(match, partial, parted)
        if expected >= 0:
            trust = trust_class(match)
            target = (1 << 22) - 1024 if expected == bit else 1024
            maps[k, trust] += (target - maps[k, trust]) >> 7
            if expected != bit:
                match[EXPECTED] = -1
