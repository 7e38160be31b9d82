# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""The matches that zlib finds, as tokens of inflate.py, compiled.

What zlib does is known from its documentation (algorithm.txt, deflate's chapter of RFC 1951) and from what it gives:
chains of positions with the same hash of three bytes, the newest first, of which so many are tried; matches taken at
once (levels 1 to 3) or only if none longer begins one byte later (from level 4 on); a window of twice the largest
distance, which slides when its last part is reached. Positions are those in the data; `base` is where the window
begins. Its first byte is never found, and how the input comes in pieces says when it slides.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lmzip.coders.compiled import compiled
from lmzip.formats.deflate.inflate import LITERAL

kernel = compiled(_nrt=False)

u64 = np.uint64

SHORTEST, LONGEST = 3, 258
AHEAD = LONGEST + SHORTEST + 1  # bytes that zlib wants to see before it looks for a match
TOO_FAR = 4096  # for a match of three bytes, with zlib as it is; makers of small PNGs build it with 32767

ONLY_LITERALS, RUNS, EAGER, LAZY = range(4)  # methods
COUNT, FIXED_UP, CURSOR, BAD, BASE, WORK = range(6)  # of the state
MOST_WORK = 1 << 13  # bytes compared for each byte; zlib's own worst case is more


@kernel
def settle(predicted, at, size, actual, fixes, state, tokens, found, bases, symbols):
    """Return the token at a place: the predicted one, unless `actual` or `fixes` say something else."""
    token = predicted
    if actual.size:
        wanted = actual[at]
        if wanted > 0:
            token = wanted
        elif (predicted & 511) > -wanted:
            token = LITERAL
        if token != predicted:
            if state[FIXED_UP] < found.shape[0]:
                found[state[FIXED_UP], 0] = state[COUNT]
                found[state[FIXED_UP], 1] = token
            state[FIXED_UP] += 1
    elif state[CURSOR] < fixes.shape[0] and fixes[state[CURSOR], 0] == state[COUNT]:
        token = fixes[state[CURSOR], 1]
        state[CURSOR] += 1
        length, distance = token & 511, token >> 9
        if token != LITERAL and not (SHORTEST <= length <= min(LONGEST, size - at) and 0 < distance <= min(at, 32768)):
            state[BAD] = 1
            token = LITERAL
    tokens[state[COUNT]] = token
    state[COUNT] += 1
    if state[COUNT] % symbols == 0:
        bases[state[COUNT] // symbols - 1] = state[BASE]
    return token


@kernel
def insert(data, at, heads, links, bits):
    """Put a position in front of its chain; returns what was there."""
    shift = (bits + 2) // 3
    hash_ = np.int64(data[at]) << 2 * shift ^ np.int64(data[at + 1]) << shift ^ np.int64(data[at + 2])
    hash_ &= (1 << bits) - 1
    newest = heads[hash_]
    links[at & (links.size - 1)] = newest
    heads[hash_] = at
    return np.int64(newest)


@kernel
def longest(data, at, candidate, best, lowest, ahead, chain, nice, links, state):
    """Return the longest match longer than `best` as a token, or 0; the first of equals, from a chain of positions."""
    if best >= ahead:
        return np.int64(0)
    # Unsigned, so that no index is asked whether it is negative.
    here, other, mask, length = u64(at), u64(candidate), u64(links.size - 1), u64(best)
    least, most, nearest = u64(min(nice, ahead)), u64(min(LONGEST, ahead)), u64(max(lowest, 0))
    first, second = data[here], data[here + u64(1)]
    before_last, last = data[here + length - u64(1)], data[here + length]
    token, work = np.int64(0), np.int64(0)
    while True:
        if (
            data[other + length] == last
            and data[other + length - u64(1)] == before_last
            and data[other] == first
            and data[other + u64(1)] == second
        ):
            same = u64(2)
            while same < most and data[other + same] == data[here + same]:
                same += u64(1)
            work += np.int64(same)
            if same > length:
                length, token = same, np.int64((here - other) << u64(9) | same)
                if same >= least:
                    break
                before_last, last = data[here + length - u64(1)], data[here + length]
        other = u64(links[other & mask])
        chain -= 1
        work += 1
        if other <= nearest or chain == 0:
            break
    state[WORK] += work
    return token


@kernel
def find_tokens(data, ends, settings, stop, actual, fixes, heads, links, tokens, found, bases, state):
    """Find the tokens.

    Args:
        data: uint8.
        ends: int64, where the pieces end in which the data comes.
        settings: int64: method, good, lazy, nice, chain (zlib's names), bits of the window, bits of the hash, whether
            matches of up to 5 bytes are left out, symbols a block, distance from which on those of three bytes are.
        stop: where to stop, in the data.
        actual: int32, the tokens to be found, each at its place (`inflate.inflate`), or empty.
        fixes: int64, (fixes, 2): number and value of the tokens that differ from what is found here.
        heads: int32, zeros, 2 to the power of the bits of the hash.
        links: int32, zeros, 2 to the power of the bits of the window.
        tokens: int32, gets the tokens.
        found: int64, (most, 2): gets the fixes that lead to `actual`; one more ends the search.
        bases: int64, gets where the window began when a block was full.
        state: int64, (6,), zeros; gets the numbers of tokens, of fixes, of used ones, whether a fix was impossible or
            the work too much, where the window begins, the work.

    Returns:
        Whether the last token came too late to end a block.
    """
    method, good, lazy, nice, chain = settings[0], settings[1], settings[2], settings[3], settings[4]
    width, bits, filtered, symbols, too_far = (
        np.int64(1) << settings[5],
        settings[6],
        settings[7],
        settings[8],
        settings[9],
    )
    farthest = width - AHEAD
    need = AHEAD if method >= EAGER else LONGEST + 1 if method == RUNS else 1
    at, ahead, read, piece, size = np.int64(0), 0, 0, 0, data.size
    literal, pair = np.int64(LITERAL), np.int64(2)  # not literals, for which numba would compile kernels anew
    base, waiting, match = np.int64(0), False, np.int64(0)
    allowed = MOST_WORK * (np.int64(size) + (1 << 12))
    while at < stop or stop == size:  # once more at the end, where the window may slide
        if state[WORK] > allowed:
            state[BAD] = 1
        if state[BAD] or state[FIXED_UP] > found.shape[0]:
            return False
        while ahead < need:
            if at - base >= width + farthest:
                base += width
                state[BASE] = base
            if read == size:
                break
            if read == ends[piece]:
                piece += 1
            more = min(ends[piece] - read, 2 * width - ahead - (at - base))
            ahead += more
            read += more
        if ahead == 0:
            break
        if method <= RUNS:
            predicted: Any = literal
            if method == RUNS and at and ahead >= SHORTEST:
                length = 0
                while length < min(LONGEST, ahead) and data[at + length] == data[at - 1]:
                    length += 1
                if length >= SHORTEST:
                    predicted = 1 << 9 | length
            token = settle(predicted, at, size, actual, fixes, state, tokens, found, bases, symbols)
            at += token & 511
            ahead -= token & 511
            continue
        candidate = insert(data, at, heads, links, bits) if ahead >= SHORTEST else np.int64(0)
        usable = candidate > base and at - candidate <= farthest
        lowest = max(base, at - farthest)
        if method == EAGER:
            predicted = longest(data, at, candidate, pair, lowest, ahead, chain, nice, links, state) if usable else 0
            token = settle(max(predicted, literal), at, size, actual, fixes, state, tokens, found, bases, symbols)
            length = token & 511
            ahead -= length
            if LITERAL < length <= lazy and ahead >= SHORTEST:
                for place in range(at + 1, at + length):
                    insert(data, place, heads, links, bits)
            at += length
            continue
        before, match = match, np.int64(0)
        reached = max(before & 511, pair)
        if usable and reached < lazy:
            tries = chain >> 2 if reached >= good else chain
            match = longest(data, at, candidate, reached, lowest, ahead, tries, nice, links, state)
            length = match & 511
            if length <= 5 and (filtered or (length == SHORTEST and match >> 9 > too_far)):
                match = np.int64(0)
        if not waiting:
            waiting = True
            at += 1
            ahead -= 1
            continue
        predicted = before if before and match == 0 else literal
        token = settle(predicted, at - 1, size, actual, fixes, state, tokens, found, bases, symbols)
        length = token & 511
        for place in range(at + 1, min(at - 1 + length, at + ahead - 2)):
            insert(data, place, heads, links, bits)
        if length > 1:
            waiting, match = False, np.int64(0)
            at += length - 1
            ahead -= length - 1
        else:
            at += 1
            ahead -= 1
    if waiting and ahead == 0:
        settle(literal, at - 1, size, actual, fixes, state, tokens, found, bases, symbols)
    return waiting
