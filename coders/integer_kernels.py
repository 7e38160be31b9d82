"""The loops of `integer_coders`. All numbers are uint64 and may wrap; an interval is [left, left + width) of 2**24."""

from __future__ import annotations

import numpy as np

from .bits import decode_bit, find_part, skip
from .loops import compiled

_u64 = np.uint64
_ONE, _TOTAL, _LEAST = _u64(1), _u64(1 << 24), _u64(1 << 32)
_SHIFT, _WORD = _u64(24), _u64(32)
_LOWEST = np.uint32(0)
_HIGHEST = np.uint32((1 << 32) - 1)


@compiled(_nrt=False)
def carry(words, count):  # type: ignore[no-untyped-def]
    """Add 1 to the number that the first `count` words are."""
    place = count - 1
    while words[place] == _HIGHEST:
        words[place] = _LOWEST
        place -= 1
    words[place] = np.uint32(words[place] + np.uint32(1))


@compiled(_nrt=False)
def encode_range(words, state, left, width):  # type: ignore[no-untyped-def]
    """Encode intervals. The state is lower, range, number of words; words has room for one more an interval.

    constriction holds words back while a carry could still come; to carry into words that are there is the same.
    """
    lower, size, count = state[0], state[1], np.int64(state[2])
    for i in range(len(left)):
        part = size >> _SHIFT
        before = lower
        lower = lower + part * left[i]
        size = part * width[i]
        if lower < before:
            carry(words, count)
        if size < _LEAST:
            words[count] = np.uint32(lower >> _WORD)
            count += 1
            lower = lower << _WORD
            size = size << _WORD
    state[0], state[1], state[2] = lower, size, _u64(count)


@compiled(_nrt=False)
def encode_rans(words, state, left, width):  # type: ignore[no-untyped-def]
    """Push intervals, the last one first. The state is value, number of words; words has room as for encode_range."""
    value, count = state[0], np.int64(state[1])
    for i in range(len(left) - 1, -1, -1):
        if value >> _u64(40) >= width[i]:
            words[count] = np.uint32(value & (_LEAST - _ONE))
            count += 1
            value = value >> _WORD
        rest = value % width[i]
        value = (value // width[i]) << _SHIFT | (left[i] + rest)
    state[0], state[1] = value, _u64(count)


@compiled(_nrt=False)
def decode_bits(reader, probabilities, bits):  # type: ignore[no-untyped-def]
    """Decode a bit for each probability into bits; return how many there were before the code was impossible."""
    for i in range(len(bits)):
        bit = decode_bit(reader, probabilities[i])
        if bit < 0:
            return i
        bits[i] = bit
    return len(bits)


@compiled(_nrt=False)
def decode_symbols(reader, parameters, symbols):  # type: ignore[no-untyped-def]
    """Decode a symbol for each row of frequencies less one into symbols; return how many, as decode_bits does."""
    for i in range(len(symbols)):
        part = find_part(reader)
        if part >= _TOTAL:
            return i
        symbol, left, width = 0, _u64(0), _u64(parameters[i, 0]) + _ONE
        while left + width <= part:
            left += width
            symbol += 1
            width = _u64(parameters[i, symbol]) + _ONE
        skip(reader, part, left, width)
        symbols[i] = symbol
    return len(symbols)
