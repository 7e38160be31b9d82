"""constriction's range coder and rANS coder in our own integers, for machines that constriction has no wheel for.

Methods and arguments are constriction's, as far as the coders use them. Parameters are float32 as there, and exact: of
CATEGORICAL the frequencies less one, of BERNOULLI multiples of 2**-16.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

CATEGORICAL = "categorical"
BERNOULLI = "bernoulli"

_TOTAL = 1 << 24
_WHOLE = (1 << 64) - 1  # the range before the first symbol
_RANGE, _RANS = 0, 1  # as coders.CODERS

Words = npt.NDArray[np.uint32]
Symbols = npt.NDArray[np.int32]
Parameters = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.uint64]


class QueueEncoder:
    """Range coder: what is encoded first is decoded first."""

    def __init__(self) -> None:
        self._words = np.zeros(64, np.uint32)
        self._state = np.array([0, _WHOLE, 0], np.uint64)  # lower, range, how many words there are

    def encode(self, symbols: Symbols, model: str, parameters: Parameters) -> None:
        """Encode n symbols, one for each row of parameters."""
        from .integer_kernels import encode_range

        left, width = _intervals(symbols, model, parameters)
        self._words = _with_room(self._words, int(self._state[2]) + len(symbols))
        encode_range(self._words, self._state, left, width)

    def get_compressed(self) -> Words:
        """Return all words, with the fewest at the end that lead into the interval."""
        from .integer_kernels import carry

        count, end = int(self._state[2]), self._end()
        words = np.append(self._words[:count], np.array([word & 0xFFFFFFFF for word in end], np.uint32))
        if end and end[0] >> 32:
            carry(words, count)
        return words

    def num_words(self) -> int:
        """Return how many words `get_compressed` would give."""
        return int(self._state[2]) + len(self._end())

    def _end(self) -> list[int]:
        """Return the last words; 2**32 more in the first of them is a carry into the words before."""
        lower, size = int(self._state[0]), int(self._state[1])
        if size == _WHOLE:
            return []
        point = (lower + (1 << 32) - 1) >> 32
        return [point, 0] if (lower + size) >> 32 == point else [point]


class StackEncoder:
    """rANS coder: what is encoded last is decoded first."""

    def __init__(self) -> None:
        self._words = np.zeros(64, np.uint32)
        self._state = np.zeros(2, np.uint64)  # value, how many words there are

    def encode_reverse(self, symbols: Symbols, model: str, parameters: Parameters) -> None:
        """Encode n symbols, the last one first, one for each row of parameters."""
        from .integer_kernels import encode_rans

        left, width = _intervals(symbols, model, parameters)
        self._words = _with_room(self._words, int(self._state[1]) + len(symbols))
        encode_rans(self._words, self._state, left, width)

    def get_compressed(self) -> Words:
        """Return all words; the last one is not 0."""
        value, count = int(self._state[0]), int(self._state[1])
        end = [value & 0xFFFFFFFF, value >> 32]
        return np.append(self._words[:count], np.array(end[: (value.bit_length() + 31) // 32], np.uint32))


class _Decoder:
    def __init__(self, kind: int, words: Words) -> None:
        from .bits import open_bits

        self._reader = open_bits(kind, words.astype("<u4").tobytes())

    def decode(self, model: str, parameters: Parameters) -> Symbols:
        """Return n symbols, one for each row of parameters; ValueError where the code is impossible."""
        from .integer_kernels import decode_bits, decode_symbols

        symbols = np.empty(len(parameters), np.int32)
        if model == BERNOULLI:
            done = decode_bits(self._reader, (parameters * np.float32(1 << 16)).astype(np.uint16), symbols)
        else:
            done = decode_symbols(self._reader, parameters, symbols)
        if done < len(symbols):
            raise ValueError("no encoder gives such words")
        return symbols

    def _is_used_up(self) -> bool:
        from .bits import is_used_up

        return is_used_up(self._reader)


class QueueDecoder(_Decoder):
    """Twin of QueueEncoder."""

    def __init__(self, words: Words) -> None:
        super().__init__(_RANGE, words)

    def maybe_exhausted(self) -> bool:
        """Return False where the words certainly go on."""
        return self._is_used_up()


class StackDecoder(_Decoder):
    """Twin of StackEncoder."""

    def __init__(self, words: Words) -> None:
        super().__init__(_RANS, words)

    def is_empty(self) -> bool:
        """Return whether the state is the encoder's first one."""
        return self._is_used_up()


def _intervals(symbols: Symbols, model: str, parameters: Parameters) -> tuple[Numbers, Numbers]:
    """Return left (n,) and width (n,) of the symbols' intervals."""
    if model == BERNOULLI:
        ones = (parameters * np.float32(_TOTAL)).astype(np.uint64) + (parameters < 0.5)
        zeros = np.uint64(_TOTAL) - ones
        return np.where(symbols == 1, zeros, np.uint64(0)), np.where(symbols == 1, ones, zeros)
    frequencies = parameters.astype(np.uint64) + np.uint64(1)
    rows = np.arange(len(symbols))
    width = frequencies[rows, symbols]
    return frequencies.cumsum(axis=1)[rows, symbols] - width, width


def _with_room(words: Words, count: int) -> Words:
    """Return words, or a copy with room for more; a symbol gives at most one."""
    if count <= len(words):
        return words
    grown = np.zeros(max(count, 2 * len(words)), np.uint32)
    grown[: len(words)] = words
    return grown
