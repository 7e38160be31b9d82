# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# mypy: disable-error-code="arg-type, assignment, call-arg, operator"
"""The cheapest tokens for given codes, as encoders choose them that take their time (FORMAT.md section 10.8), compiled.

zopfli, libdeflate and 7-Zip look for the tokens that take the fewest bits. The code lengths of a block stand in the
stream and say what each token costs. So the choice can be made again: at every place, the token with which the bits to
the end of the block are the fewest. Where an encoder chose another token, mostly one that costs the same, there is a
fix. `parse` does it all: segment by segment it finds the matches, sums up the costs backwards and chooses forwards.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmzip.coders.compiled import compiled
from lmzip.formats.deflate.matching import MOST_WORK
from lmzip.formats.deflate.symbols import (
    DISTANCE_EXTRA,
    DISTANCE_SHIFT,
    FIRST_DISTANCE,
    FIRST_LENGTH,
    LENGTH_EXTRA,
    LENGTH_MASK,
    LENGTH_SYMBOL,
    LITERAL,
    LONGEST,
    SHORTEST,
    distance_symbol,
)

kernel = compiled(_nrt=False)

u64 = np.uint64

WINDOW = 1 << 15  # the nearest distance that is too far
HASH_BITS = 16
DEPTH = 1024  # strings compared at each place
SEGMENT = 1 << 20  # bytes whose tokens are chosen together
MATCHES = 8  # a byte of a segment; when there are more, the last bytes have none
IMPOSSIBLE = 1 << 28  # the price of what has no code

CLEAR, TIED = range(2)  # classes of decisions: one token is the cheapest, or several are
# Slots of the state: the decisions of both classes so far, the fixes of both (FIXES + the class), the ranks and the
# explicit tokens, the place where the next token begins, whether a fix was impossible.
FIXES, RANK, EXPLICIT, AT, BAD = 2, 4, 5, 6, 7
STATE_SIZE = 8

Numbers = NDArray[np.int64]


class Matches(NamedTuple):
    """The nearest matches of each place of a segment.

    Attributes:
        tokens: int32, those of a place one after the other, of growing length.
        firsts: int64, (places + 1,), where those of each place begin.
    """

    tokens: NDArray[np.int32]
    firsts: Numbers


class Prices(NamedTuple):
    """What symbols cost with the codes of a block, in bits; IMPOSSIBLE for those without a code word.

    Attributes:
        literals: int32, (256,).
        lengths: int32, (LONGEST + 1,), by the length of a match.
        distances: int32, (32,), by the symbol of the distance.
    """

    literals: NDArray[np.int32]
    lengths: NDArray[np.int32]
    distances: NDArray[np.int32]


class Segment(NamedTuple):
    """A piece of the data whose tokens are chosen together; it lies in one block.

    Attributes:
        data: uint8, all of the data.
        start: the first place.
        end: behind the last place.
        matches: those of the segment.
        prices: those of the block.
        costs: int32, (SEGMENT + 1,), gets the fewest bits from each place to the end.
    """

    data: NDArray[np.uint8]
    start: int
    end: int
    matches: Matches
    prices: Prices
    costs: NDArray[np.int32]


class Fixes(NamedTuple):
    """Where tokens are not the cheapest ones.

    Attributes:
        clear: int64, the numbers of these decisions among the clear ones, where one token is the cheapest.
        tied: int64, the same among the tied ones, where several tokens cost the same.
        ranks: int64, of each fix, in the order of the stream: how many tokens are cheaper, or as cheap and shorter.
        explicit: int64, the tokens that no rank stands for: other matches than the nearest of their length. Their rank
            is the number of all tokens.
    """

    clear: Numbers
    tied: Numbers
    ranks: Numbers
    explicit: Numbers


@kernel
def _common(data, one, other, same, most):
    """Return how many bytes are alike at two places, up to `most`; the first `same` are."""
    while same < most and data[one + same] == data[other + same]:
        same += u64(1)
    return np.int64(same)


@kernel
def find_matches(data, start, end, heads, children, matches):
    """Find for each place and length the nearest match, in a binary tree for each hash.

    The newest string is the root of its tree, smaller strings are on its left. The way down to where a new string
    belongs meets every string that has more bytes in common with the new one than those met before, the nearest first.

    Args:
        data: uint8.
        start: the first place; the places before it were searched by earlier calls.
        end: behind the last place.
        heads: int32, (2^HASH_BITS,), the places of roots plus 1, zeros at first.
        children: int32, (2 WINDOW,), the places of left and right children plus 1.
        matches: gets the matches of each place.

    Returns:
        How many bytes were compared.
    """
    count, last, work = 0, np.int64(0), 0
    for at in range(start, end):
        matches.firsts[at - start] = count
        most, best = min(LONGEST, data.size - at), SHORTEST - 1
        if most < SHORTEST:
            continue
        hash_ = np.int64(data[at]) << 16 | np.int64(data[at + 1]) << 8 | np.int64(data[at + 2])
        hash_ = (hash_ * 0x9E3779B1 >> 14) & ((1 << HASH_BITS) - 1)
        other = np.int64(heads[hash_]) - 1
        heads[hash_] = at + 1
        less, more = 2 * (at & (WINDOW - 1)), 2 * (at & (WINDOW - 1)) + 1  # where the next such string belongs
        less_same, more_same, tries, longest = 0, 0, DEPTH, np.int64(0)
        while other >= 0 and at - other < WINDOW and tries:
            tries -= 1
            same = min(less_same, more_same)
            if at - other == last >> DISTANCE_SHIFT:  # the longest match of the byte before goes on
                same = max(same, min(most, (last & LENGTH_MASK) - 1))
            known, same = same, _common(data, u64(other), u64(at), u64(same), u64(most))
            work += same - known + 1
            if same > best and count < matches.tokens.size:
                best = same
                matches.tokens[count] = longest = (at - other) << DISTANCE_SHIFT | same
                count += 1
            child = 2 * (other & (WINDOW - 1))
            if same == most:  # takes the place of the other one, which is no longer needed
                children[less], children[more] = children[child], children[child + 1]
                break
            if data[other + same] < data[at + same]:
                children[less] = other + 1
                less, less_same = child + 1, same
                other = np.int64(children[less]) - 1
            else:
                children[more] = other + 1
                more, more_same = child, same
                other = np.int64(children[more]) - 1
        else:
            children[less] = children[more] = 0
        last = longest
    matches.firsts[end - start] = count
    return work


@kernel
def set_prices(code, prices):
    """Set the prices of the codes of a block. code: int64, (CODES,), the lengths of their words."""
    for symbol in range(256):
        prices.literals[symbol] = code[symbol] if code[symbol] else IMPOSSIBLE
    for length in range(SHORTEST, LONGEST + 1):
        symbol = LENGTH_SYMBOL[length]
        bits = code[FIRST_LENGTH + symbol]
        prices.lengths[length] = bits + LENGTH_EXTRA[symbol] if bits else IMPOSSIBLE
    for symbol in range(DISTANCE_EXTRA.size):
        bits = code[FIRST_DISTANCE + symbol]
        prices.distances[symbol] = bits + DISTANCE_EXTRA[symbol] if bits else IMPOSSIBLE


@kernel
def weigh(segment, at, options):
    """Set `options`, int32, (LONGEST + 1,), to the bits from a place to the end with each length.

    Returns the longest length that there is.
    """
    matches, prices, costs, i = segment.matches, segment.prices, segment.costs, at - segment.start
    options[LITERAL], options[LITERAL + 1] = costs[i + 1] + prices.literals[segment.data[at]], IMPOSSIBLE
    length = np.int64(SHORTEST)
    for k in range(matches.firsts[i], matches.firsts[i + 1]):
        most = min(matches.tokens[k] & LENGTH_MASK, segment.end - at)
        bits = prices.distances[distance_symbol(matches.tokens[k] >> DISTANCE_SHIFT)]
        while length <= most:
            options[length] = costs[i + length] + prices.lengths[length] + bits
            length += 1
    return max(length - 1, LITERAL + 1)


@kernel
def _least(costs, i, lengths, first, last):
    """Return the fewest bits from place i on with a match of first to last bytes, without its distance."""
    least = np.int32(IMPOSSIBLE)
    for length in range(first, last + u64(1)):
        least = min(least, costs[i + length] + lengths[length])
    return least


@kernel
def sum_up(segment):
    """Set the costs of a segment."""
    data, start, end = segment.data, segment.start, segment.end
    matches, prices, costs = segment.matches, segment.prices, segment.costs
    costs[end - start] = 0
    for at in range(end - 1, start - 1, -1):
        i = at - start
        best, length = costs[i + 1] + prices.literals[data[at]], SHORTEST
        for k in range(matches.firsts[i], matches.firsts[i + 1]):
            most = min(matches.tokens[k] & LENGTH_MASK, end - at)
            bits = prices.distances[distance_symbol(matches.tokens[k] >> DISTANCE_SHIFT)]
            best = min(best, _least(costs, u64(i), prices.lengths, u64(length), u64(most)) + bits)
            length = max(length, most + 1)
        costs[i] = min(best, IMPOSSIBLE)


@kernel
def nearest(matches, i, length):
    """Return the distance of the nearest match of a length at place i of the segment; 0 for a literal."""
    for k in range(matches.firsts[i], matches.firsts[i + 1]):
        if length > LITERAL and matches.tokens[k] & LENGTH_MASK >= length:
            return np.int64(matches.tokens[k] >> DISTANCE_SHIFT)
    return np.int64(0)


@kernel
def rank_of(options, longest, length):
    """Return how many lengths are cheaper than one, or as cheap and shorter."""
    rank = 0
    for other in range(LITERAL, longest + 1):
        rank += options[other] < options[length] or (options[other] == options[length] and other < length)
    return rank


@kernel
def _fits(match, at, size):
    """Return whether a match can stand at a place of data of that size."""
    return SHORTEST <= match & LENGTH_MASK <= min(LONGEST, size - at) and 0 < match >> DISTANCE_SHIFT <= min(at, WINDOW)


@kernel
def choose(segment, options, actual, fixes, tokens, state):
    """Choose the tokens from the place state[AT] to the end of a segment.

    Args:
        segment: Segment, whose costs were summed up.
        options: int32, (LONGEST + 1,), for the use of this function.
        actual: int32, the tokens to be chosen, each at its place (`inflate.inflate`): `fixes` gets what leads to them.
            Empty: `fixes` are to be followed.
        fixes: Fixes.
        tokens: int32, gets each token at its place.
        state: int64, (STATE_SIZE,).
    """
    matches, start = segment.matches, segment.start
    while state[AT] < segment.end and not state[BAD]:
        at = state[AT]
        longest = weigh(segment, at, options)
        best, times, count = np.int64(LITERAL), 0, 0
        for length in range(LITERAL, longest + 1):
            if options[length] < options[best]:
                best, times = length, 0
            times += options[length] == options[best]
            count += options[length] < IMPOSSIBLE
        class_ = TIED if times > 1 and count else CLEAR
        places = fixes.tied if class_ == TIED else fixes.clear
        fix, rank = state[FIXES + class_], np.int64(count)
        token = nearest(matches, at - start, best) << DISTANCE_SHIFT | best
        if actual.size:
            wanted = np.int64(max(actual[at], LITERAL))  # in stored blocks it is below 1
            length, changed = wanted & LENGTH_MASK, wanted != token
            if changed:
                if length <= longest and nearest(matches, at - start, length) == wanted >> DISTANCE_SHIFT:
                    rank = min(rank, rank_of(options, longest, length))
                token, places[fix], fixes.ranks[state[RANK]] = wanted, state[class_], rank
                if rank == count:
                    fixes.explicit[state[EXPLICIT]] = token
        else:
            length, changed = LITERAL, fix < places.size and places[fix] == state[class_]
            if changed:
                rank = min(rank, fixes.ranks[state[RANK]])
                if rank < count:
                    while rank_of(options, longest, length) != rank:
                        length += 1
                    token = nearest(matches, at - start, length) << DISTANCE_SHIFT | length
                elif state[EXPLICIT] < fixes.explicit.size:
                    token = fixes.explicit[state[EXPLICIT]]
                    state[BAD] = not (token == LITERAL or _fits(token, at, segment.data.size))
                else:
                    state[BAD] = 1
        if changed:
            state[FIXES + class_] += 1
            state[RANK] += 1
            state[EXPLICIT] += rank == count
        tokens[at] = token
        state[class_] += 1
        state[AT] += token & LENGTH_MASK


def parse(
    lines: NDArray[np.uint8], ends: Numbers, lengths: Numbers, actual: NDArray[np.int32] | None, fixes: Fixes | None
) -> tuple[NDArray[np.int32], Fixes]:
    """Choose tokens, with the fixes that are given or those that lead to `actual`.

    Args:
        lines: uint8, the data.
        ends: int64, (blocks,), where the blocks end in the data.
        lengths: int64, (blocks, CODES), of their code words; zeros for a stored block, which has literals.
        actual: int32, (data,), the tokens at their places, as `inflate.inflate` gives them; None where fixes are given.
        fixes: those to follow; None where `actual` is given.

    Returns:
        The tokens, int32, and the fixes.

    Raises:
        ValueError: the fixes do not fit, or the search compares too many bytes.
    """
    size = lines.size
    tokens, state = np.zeros(size + 1, np.int32), np.zeros(STATE_SIZE, np.int64)
    heads, children = np.zeros(1 << HASH_BITS, np.int32), np.zeros(2 * WINDOW, np.int32)
    longest = min(SEGMENT, size)
    matches = Matches(np.zeros(MATCHES * longest, np.int32), np.zeros(longest + 1, np.int64))
    prices = Prices(*(np.zeros(count, np.int32) for count in (256, LONGEST + 1, 32)))
    costs, options = np.zeros(longest + 1, np.int32), np.zeros(LONGEST + 1, np.int32)
    wanted = np.zeros(0, np.int32) if actual is None else actual
    if fixes is None:
        fixes = Fixes(*(np.zeros(np.count_nonzero(wanted), np.int64) for _ in range(4)))  # at most one a token
    start = work = 0
    for block, end_ in enumerate(ends.tolist()):
        set_prices(lengths[block], prices)
        while start < end_:
            end = min(start + SEGMENT, end_)
            work += find_matches(lines, start, end, heads, children, matches)
            if work > MOST_WORK * (size + (1 << 12)):
                raise ValueError("matches that take too long to find")
            if lengths[block].any():
                segment = Segment(lines, start, end, matches, prices, costs)
                sum_up(segment)
                choose(segment, options, wanted, fixes, tokens, state)
            else:
                tokens[max(start, state[AT]) : end] = LITERAL
                state[AT] = max(end, state[AT])
            start = end
        if state[BAD] or state[AT] != end_:
            raise ValueError("tokens that the data does not have")
    used = state[[FIXES + CLEAR, FIXES + TIED, RANK, EXPLICIT]].tolist()
    if actual is None and used != [column.size for column in fixes]:
        raise ValueError("fixes of more tokens than there are")
    return tokens[tokens > 0], Fixes(*(column[:count] for column, count in zip(fixes, used, strict=True)))
