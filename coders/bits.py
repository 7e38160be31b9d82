"""Both coders' decoding for compiled loops, which cannot call constriction for each round.

`decode_bit` does for one decision what `Decoder.decode_bits` does for an array; the tests compare them. Symbols are
decoded by `find_part` and `skip`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .base import Buffer, CoderError, Words, bytes_to_words
from .loops import compiled

NONE, RANGE, RANS = -1, 0, 1  # as coders.CODERS
_u64 = np.uint64
_TOTAL, _LEAST = _u64(1 << 24), _u64(1 << 32)
_SHIFT, _WORD, _STEP = _u64(24), _u64(32), _u64(8)
# Places of a reader's state. The range coder's interval is [lower, lower + range), and point lies in it.
_LOWER, _RANGE, _POINT = 0, 1, 2
_VALUE = 0  # of rANS
_NEXT = 3  # how many words are read


class BitReader(NamedTuple):
    """Code that is being decoded."""

    kind: int  # RANGE, RANS; NONE for a reader of nothing
    words: Words
    state: npt.NDArray[np.uint64]  # (4,)


NO_BITS = BitReader(NONE, np.zeros(0, np.uint32), np.zeros(4, np.uint64))


def open_bits(kind: int, data: Buffer) -> BitReader:
    """Return a reader of what an encoder of a kind wrote.

    Raises CoderError where no encoder gives such data, TypeError where it is not bytes-like.
    """
    words = bytes_to_words(data)
    state = np.zeros(4, np.uint64)
    if kind == RANGE:
        first = [int(word) for word in words[:2]] + [0, 0]
        state[:] = 0, (1 << 64) - 1, first[0] << 32 | first[1], min(len(words), 2)
    else:
        if len(words) and words[-1] == 0:
            raise CoderError("coded data ends with a zero word")
        words = np.ascontiguousarray(words[::-1])
        for word in words[:2]:
            state[_VALUE] = state[_VALUE] << _WORD | _u64(word)
        state[_NEXT] = min(len(words), 2)
    return BitReader(kind, words, state)


@compiled(_nrt=False)
def find_part(reader):  # type: ignore[no-untyped-def]
    """Return in which of the 2**24 parts the code lies; 2**24 or more where the code is impossible."""
    state = reader.state
    if reader.kind == RANGE:
        return (state[_POINT] - state[_LOWER]) // (state[_RANGE] >> _SHIFT)
    return state[_VALUE] & (_TOTAL - _u64(1))


@compiled(_nrt=False)
def skip(reader, part, left, width):  # type: ignore[no-untyped-def]
    """Go on behind a symbol that has the `width` parts from `left` on, `part` among them."""
    state, words = reader.state, reader.words
    if reader.kind == RANGE:
        scale = state[_RANGE] >> _SHIFT
        state[_LOWER] += scale * left
        state[_RANGE] = scale * width
        if state[_RANGE] < _LEAST:
            state[_LOWER] <<= _WORD
            state[_RANGE] <<= _WORD
            state[_POINT] <<= _WORD
            if state[_NEXT] < _u64(len(words)):
                state[_POINT] |= _u64(words[state[_NEXT]])
                state[_NEXT] += _u64(1)
        return
    state[_VALUE] = (state[_VALUE] >> _SHIFT) * width + (part - left)
    if state[_VALUE] < _LEAST and state[_NEXT] < _u64(len(words)):
        state[_VALUE] = state[_VALUE] << _WORD | _u64(words[state[_NEXT]])
        state[_NEXT] += _u64(1)


@compiled(_nrt=False)
def decode_bit(reader, probability):  # type: ignore[no-untyped-def]
    """Return the next bit, where 1 has `probability` / 65536; -1 where the code is impossible."""
    ones = _u64(probability) << _STEP
    if probability < 32768:
        ones += _u64(1)
    zeros = _TOTAL - ones
    part = find_part(reader)
    if part >= _TOTAL:
        return -1
    bit = 1 if part >= zeros else 0
    left, width = (zeros, ones) if bit else (_u64(0), zeros)
    skip(reader, part, left, width)
    return bit


def is_used_up(reader: BitReader) -> bool:
    """Return False where the code certainly goes on."""
    lower, range_, point = (int(number) for number in reader.state[:3])
    if int(reader.state[_NEXT]) < len(reader.words):
        return False
    if reader.kind == RANGE:
        return range_ == (1 << 64) - 1 or (point - lower) % (1 << 64) < (1 << 33) - 1
    return int(reader.state[_VALUE]) == 0


def finish_bits(reader: BitReader) -> None:
    """Check that the code is used up, as `Decoder.finish` does.

    Raises:
        CoderError: it is certainly not.
    """
    if not is_used_up(reader):
        raise CoderError("coded data goes on after the last decision")
