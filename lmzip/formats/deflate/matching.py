# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""The tokens that zlib finds (FORMAT.md section 10.6), compiled; `settings.py` says with which settings.

What zlib does is known from its documentation (algorithm.txt, RFC 1951 section 4) and from what it gives. It keeps a
chain of the positions with the same hash of three bytes, the newest first, and tries so many of them. Levels 1 to 3
take a match at once; from level 4 on, only if none longer begins one byte later. The window is twice as long as the
largest distance and slides when its last part is reached; its first byte is never found, and the pieces in which the
input comes say when it slides. Positions here are those in the data, and `BASE` is where the window begins.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmzip.coders.compiled import compiled
from lmzip.formats.deflate.symbols import DISTANCE_SHIFT, FARTHEST, LENGTH_MASK, LITERAL, LONGEST, SHORTEST

kernel = compiled(_nrt=False)

u64 = np.uint64

AHEAD = LONGEST + SHORTEST + 1  # bytes that zlib wants to see before it looks for a match
TOO_FAR = 4096  # for a match of three bytes, with zlib as it is; makers of small PNGs build it with 32767
MOST_WORK = 1 << 13  # bytes compared for each byte; zlib's own worst case is more

ONLY_LITERALS, RUNS, EAGER, LAZY = range(4)  # methods
# Slots of the state: numbers of tokens, of fixes found and of fixes followed; whether a fix was impossible or the work
# too much; where the window begins; bytes compared so far.
COUNT, FIXED_UP, CURSOR, BAD, BASE, WORK = range(6)
STATE_SIZE = 6


class Limits(NamedTuple):
    """What the settings of zlib say, all int; good, lazy, nice and chain are zlib's names.

    Attributes:
        method: ONLY_LITERALS, RUNS, EAGER or LAZY.
        good: bytes of a match from which on a quarter of the chain is tried for a longer one.
        lazy: bytes of a match from which on no longer one is looked for. EAGER: bytes of a match up to which all of its
            positions go into chains.
        nice: bytes of a match that ends the search of a chain.
        chain: positions that are tried.
        window_bits: log2 of the window.
        hash_bits: of the hash.
        filtered: whether matches of up to 5 bytes are left out.
        symbols: tokens of a full block.
        too_far: distance beyond which matches of three bytes are left out.
    """

    method: int
    good: int
    lazy: int
    nice: int
    chain: int
    window_bits: int
    hash_bits: int
    filtered: int
    symbols: int
    too_far: int


class Search(NamedTuple):
    """What find_tokens works with.

    Attributes:
        data: uint8.
        ends: int64, where the pieces end in which the data comes to zlib.
        actual: int32, the tokens to be found, each at its place in the data (`inflate.inflate`), or empty.
        fixes: int64, (fixes, 2): number and value of the tokens that differ from what is found here.
        heads: int32, (2^hash_bits,), zeros; gets the newest position of each hash.
        links: int32, (2^window_bits,), zeros; gets the position before each in its chain.
        tokens: int32, gets the tokens.
        found: int64, (most, 2), gets the fixes that lead to `actual`; one more ends the search.
        bases: int64, gets where the window began when a block was full.
        state: int64, (STATE_SIZE,), zeros.
    """

    data: NDArray[np.uint8]
    ends: NDArray[np.int64]
    actual: NDArray[np.int32]
    fixes: NDArray[np.int64]
    heads: NDArray[np.int32]
    links: NDArray[np.int32]
    tokens: NDArray[np.int32]
    found: NDArray[np.int64]
    bases: NDArray[np.int64]
    state: NDArray[np.int64]


@kernel
def settle(search, predicted, at, symbols):
    """Return the token at a place, and append it: the predicted one, unless `actual` or `fixes` say something else."""
    token, state, actual, fixes, found = predicted, search.state, search.actual, search.fixes, search.found
    if actual.size:
        wanted = actual[at]
        if wanted > 0:
            token = wanted
        elif (predicted & LENGTH_MASK) > -wanted:  # a stored block ends before the match
            token = LITERAL
        if token != predicted:
            if state[FIXED_UP] < found.shape[0]:
                found[state[FIXED_UP], 0] = state[COUNT]
                found[state[FIXED_UP], 1] = token
            state[FIXED_UP] += 1
    elif state[CURSOR] < fixes.shape[0] and fixes[state[CURSOR], 0] == state[COUNT]:
        token = fixes[state[CURSOR], 1]
        state[CURSOR] += 1
        length, distance = token & LENGTH_MASK, token >> DISTANCE_SHIFT
        fits = SHORTEST <= length <= min(LONGEST, search.data.size - at) and 0 < distance <= min(at, FARTHEST)
        if token != LITERAL and not fits:
            state[BAD] = 1
            token = LITERAL
    search.tokens[state[COUNT]] = token
    state[COUNT] += 1
    if state[COUNT] % symbols == 0:
        search.bases[state[COUNT] // symbols - 1] = state[BASE]
    return token


@kernel
def insert(data, at, heads, links, bits):
    """Put a position in front of its chain; returns the position that was there."""
    shift = (bits + 2) // 3
    hash_ = np.int64(data[at]) << 2 * shift ^ np.int64(data[at + 1]) << shift ^ np.int64(data[at + 2])
    hash_ &= (1 << bits) - 1
    newest = heads[hash_]
    links[at & (links.size - 1)] = newest
    heads[hash_] = at
    return np.int64(newest)


@kernel
def longest(search, at, candidate, best, lowest, ahead, chain, nice):
    """Return the longest match from a chain as a token, the first of equals; 0 where none is longer than `best`.

    Args:
        search: Search.
        at: the place for which a match is wanted.
        candidate: the newest position of the chain.
        best: bytes.
        lowest: the position that is too far away, and all before it.
        ahead: bytes that may be compared.
        chain: positions to try.
        nice: bytes of a match that ends the search.
    """
    if best >= ahead:
        return np.int64(0)
    data, links = search.data, search.links
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
                length, token = same, np.int64((here - other) << u64(DISTANCE_SHIFT) | same)
                if same >= least:
                    break
                before_last, last = data[here + length - u64(1)], data[here + length]
        other = u64(links[other & mask])
        chain -= 1
        work += 1
        if other <= nearest or chain == 0:
            break
    search.state[WORK] += work
    return token


@kernel
def find_tokens(search, limits, stop):
    """Find the tokens of data up to the place `stop`.

    search: Search, whose tokens, found, bases and state are set. limits: Limits.
    Returns whether the last token came too late to end a block.
    """
    data, ends, heads, links, state = search.data, search.ends, search.heads, search.links, search.state
    method, bits, symbols = limits.method, limits.hash_bits, limits.symbols
    width = np.int64(1) << limits.window_bits
    farthest = width - AHEAD
    need = AHEAD if method >= EAGER else LONGEST + 1 if method == RUNS else 1
    at, ahead, read, piece, size = np.int64(0), 0, 0, 0, data.size
    literal, pair = np.int64(LITERAL), np.int64(2)  # not literals, for which numba would compile kernels anew
    base, waiting, match = np.int64(0), False, np.int64(0)
    allowed = MOST_WORK * (np.int64(size) + (1 << 12))
    while at < stop or stop == size:  # once more at the end, where the window may slide
        if state[WORK] > allowed:
            state[BAD] = 1
        if state[BAD] or state[FIXED_UP] > search.found.shape[0]:
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
                    predicted = 1 << DISTANCE_SHIFT | length
            token = settle(search, predicted, at, symbols)
            at += token & LENGTH_MASK
            ahead -= token & LENGTH_MASK
            continue
        candidate = insert(data, at, heads, links, bits) if ahead >= SHORTEST else np.int64(0)
        usable = candidate > base and at - candidate <= farthest
        lowest = max(base, at - farthest)
        if method == EAGER:
            predicted = longest(search, at, candidate, pair, lowest, ahead, limits.chain, limits.nice) if usable else 0
            token = settle(search, max(predicted, literal), at, symbols)
            length = token & LENGTH_MASK
            ahead -= length
            if LITERAL < length <= limits.lazy and ahead >= SHORTEST:
                for place in range(at + 1, at + length):
                    insert(data, place, heads, links, bits)
            at += length
            continue
        before, match = match, np.int64(0)
        reached = max(before & LENGTH_MASK, pair)
        if usable and reached < limits.lazy:
            tries = limits.chain >> 2 if reached >= limits.good else limits.chain
            match = longest(search, at, candidate, reached, lowest, ahead, tries, limits.nice)
            length, distance = match & LENGTH_MASK, match >> DISTANCE_SHIFT
            if length <= 5 and (limits.filtered or (length == SHORTEST and distance > limits.too_far)):
                match = np.int64(0)
        if not waiting:
            waiting = True
            at += 1
            ahead -= 1
            continue
        predicted = before if before and match == 0 else literal
        token = settle(search, predicted, at - 1, symbols)
        length = token & LENGTH_MASK
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
        settle(search, literal, at - 1, symbols)
    return waiting
