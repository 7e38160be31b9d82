# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# mypy: disable-error-code="arg-type, assignment, call-arg, operator"
"""The cheapest tokens for given codes, as encoders choose them that take their time, compiled.

zopfli, libdeflate and 7-Zip look for the tokens that take the fewest bits. The code lengths of a block stand in the
stream and say what each token costs, so the choice can be made again: from every place, the token with which the rest
of the block is cheapest. What an encoder did otherwise, most often where two choices cost the same, is a fix.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmzip.coders.compiled import compiled
from lmzip.formats.deflate.blocks import LENGTH_SYMBOL, distance_symbol
from lmzip.formats.deflate.inflate import DISTANCE_EXTRA, LENGTH_EXTRA, LITERAL
from lmzip.formats.deflate.matching import LONGEST, MOST_WORK, SHORTEST

kernel = compiled(_nrt=False)

u64 = np.uint64

WINDOW = 1 << 15  # matches are nearer
HASH_BITS = 16
DEPTH = 1024  # strings compared at each place
SEGMENT = 1 << 20  # bytes whose tokens are chosen together
MATCHES = 8  # a byte of a segment; when there are more, the last bytes have none
IMPOSSIBLE = 1 << 28  # the price of what has no code

CLEAR, TIED = range(2)  # classes of decisions: one token is the cheapest, or several are
FIXES = 2  # of the state: the decisions of both classes so far, the fixes of both, and then
RANK, EXPLICIT, AT, BAD = range(4, 8)

Numbers = NDArray[np.int64]


class Matches(NamedTuple):
    """The nearest matches of each place: tokens of growing length, and where those of each place begin."""

    tokens: NDArray[np.int32]
    firsts: Numbers


class Prices(NamedTuple):
    """Bits of literals, (256,), of lengths, (LONGEST + 1,), of the symbols of distances, (32,)."""

    literals: NDArray[np.int32]
    lengths: NDArray[np.int32]
    distances: NDArray[np.int32]


class Fixes(NamedTuple):
    """Where tokens are not the cheapest ones.

    Attributes:
        clear: int64, the numbers of these decisions among those where one token is the cheapest.
        tied: int64, the same among those where several cost the same.
        ranks: int64, for each, in the order of the stream: how many tokens are cheaper, or as cheap and shorter.
        explicit: int64, the tokens whose rank is the number of all: other matches than the nearest of their length.
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

    The newest string is the root, smaller ones are on its left. So the way down to where the new one belongs meets
    all that have more bytes in common with it than those met before, the nearest first.

    Args:
        data: uint8.
        start: the first place; those before were asked for already.
        end: behind the last place.
        heads: int32, (2^HASH_BITS,), the roots' places plus 1, zeros at first.
        children: int32, (2 WINDOW,), left and right ones' places plus 1.
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
            if at - other == last >> 9:  # the longest match of the byte before goes on
                same = max(same, min(most, (last & 511) - 1))
            known, same = same, _common(data, u64(other), u64(at), u64(same), u64(most))
            work += same - known + 1
            if same > best and count < matches.tokens.size:
                best = same
                matches.tokens[count] = longest = (at - other) << 9 | same
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
    """Set the prices of a code: int64, (CODES,), the lengths of its words."""
    for symbol in range(256):
        prices.literals[symbol] = code[symbol] if code[symbol] else IMPOSSIBLE
    for length in range(SHORTEST, LONGEST + 1):
        symbol = LENGTH_SYMBOL[length]
        bits = code[257 + symbol]
        prices.lengths[length] = bits + LENGTH_EXTRA[symbol] if bits else IMPOSSIBLE
    for symbol in range(DISTANCE_EXTRA.size):
        bits = code[288 + symbol]
        prices.distances[symbol] = bits + DISTANCE_EXTRA[symbol] if bits else IMPOSSIBLE


@kernel
def weigh(data, at, start, end, matches, prices, costs, options):
    """Set `options` to the bits from a place to the end with each length; returns the longest one."""
    i = at - start
    options[LITERAL], options[LITERAL + 1] = costs[i + 1] + prices.literals[data[at]], IMPOSSIBLE
    length = np.int64(SHORTEST)
    for k in range(matches.firsts[i], matches.firsts[i + 1]):
        most = min(matches.tokens[k] & 511, end - at)
        bits = prices.distances[distance_symbol(matches.tokens[k] >> 9)]
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
def sum_up(data, start, end, matches, prices, costs):
    """Set costs, int32, (end - start + 1,), to the fewest bits from each place to the end."""
    costs[end - start] = 0
    for at in range(end - 1, start - 1, -1):
        i = at - start
        best, length = costs[i + 1] + prices.literals[data[at]], SHORTEST
        for k in range(matches.firsts[i], matches.firsts[i + 1]):
            most = min(matches.tokens[k] & 511, end - at)
            bits = prices.distances[distance_symbol(matches.tokens[k] >> 9)]
            best = min(best, _least(costs, u64(i), prices.lengths, u64(length), u64(most)) + bits)
            length = max(length, most + 1)
        costs[i] = min(best, IMPOSSIBLE)


@kernel
def nearest(matches, i, length):
    """Return the distance of the nearest match of a length at the place start + i; 0 for a literal."""
    for k in range(matches.firsts[i], matches.firsts[i + 1]):
        if length > LITERAL and matches.tokens[k] & 511 >= length:
            return np.int64(matches.tokens[k] >> 9)
    return np.int64(0)


@kernel
def rank_of(options, longest, length):
    """Return how many lengths are cheaper, or as cheap and shorter."""
    rank = 0
    for other in range(LITERAL, longest + 1):
        rank += options[other] < options[length] or (options[other] == options[length] and other < length)
    return rank


@kernel
def _fits(match, at, size):
    """Return whether a match is one that can stand there."""
    return SHORTEST <= match & 511 <= min(LONGEST, size - at) and 0 < match >> 9 <= min(at, WINDOW)


@kernel
def choose(data, start, end, matches, prices, costs, options, actual, fixes, tokens, state):
    """Choose the tokens from state[AT] to end.

    Args:
        data: uint8.
        start: the first place of the segment.
        end: its end.
        matches: those of the segment.
        prices: those of the block.
        costs: int32, from each place of the segment to its end (`sum_up`).
        options: int32, (LONGEST + 1,), for the costs of the lengths.
        actual: int32, the tokens to be chosen, each at its place (`inflate.inflate`): `fixes` gets what leads to them.
            Empty: `fixes` are those to follow.
        fixes: Fixes.
        tokens: int32, gets each token at its place.
        state: int64, (8,): how many decisions of both classes, fixes of both, ranks and explicit tokens there were,
            where the next token begins, whether a fix was impossible.
    """
    while state[AT] < end and not state[BAD]:
        at = state[AT]
        longest = weigh(data, at, start, end, matches, prices, costs, options)
        best, times, count = np.int64(LITERAL), 0, 0
        for length in range(LITERAL, longest + 1):
            if options[length] < options[best]:
                best, times = length, 0
            times += options[length] == options[best]
            count += options[length] < IMPOSSIBLE
        kind = TIED if times > 1 and count else CLEAR
        places = fixes.tied if kind == TIED else fixes.clear
        fix, rank = state[FIXES + kind], np.int64(count)
        token = nearest(matches, at - start, best) << 9 | best
        if actual.size:
            wanted = np.int64(max(actual[at], LITERAL))  # in stored blocks it is below 1
            length, changed = wanted & 511, wanted != token
            if changed:
                if length <= longest and nearest(matches, at - start, length) == wanted >> 9:
                    rank = min(rank, rank_of(options, longest, length))
                token, places[fix], fixes.ranks[state[RANK]] = wanted, state[kind], rank
                if rank == count:
                    fixes.explicit[state[EXPLICIT]] = token
        else:
            length, changed = LITERAL, fix < places.size and places[fix] == state[kind]
            if changed:
                rank = min(rank, fixes.ranks[state[RANK]])
                if rank < count:
                    while rank_of(options, longest, length) != rank:
                        length += 1
                    token = nearest(matches, at - start, length) << 9 | length
                elif state[EXPLICIT] < fixes.explicit.size:
                    token = fixes.explicit[state[EXPLICIT]]
                    state[BAD] = not (token == LITERAL or _fits(token, at, data.size))
                else:
                    state[BAD] = 1
        if changed:
            state[FIXES + kind] += 1
            state[RANK] += 1
            state[EXPLICIT] += rank == count
        tokens[at] = token
        state[kind] += 1
        state[AT] += token & 511


def parse(
    lines: NDArray[np.uint8], ends: Numbers, lengths: Numbers, actual: NDArray[np.int32] | None, fixes: Fixes | None
) -> tuple[NDArray[np.int32], Fixes]:
    """Choose tokens, with the fixes that are given or those that lead to `actual`.

    Args:
        lines: uint8, the data.
        ends: int64, (blocks,), where they end in the data.
        lengths: int64, (blocks, CODES), of their code words; zeros for a stored block, which has literals.
        actual: int32, (data,), as `inflate.inflate` gives them.
        fixes: instead of `actual`.

    Returns:
        The tokens, and the fixes. ValueError where those that are given do not fit.
    """
    size = lines.size
    tokens, state = np.zeros(size + 1, np.int32), np.zeros(8, np.int64)
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
                sum_up(lines, start, end, matches, prices, costs)
                choose(lines, start, end, matches, prices, costs, options, wanted, fixes, tokens, state)
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
