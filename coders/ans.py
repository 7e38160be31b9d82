"""rANS coder: a stack. The encoder keeps everything and pushes it in reverse, so that the decoder reads forward."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .base import CoderError, Decoder, Encoder, Parameters, Symbols, Words
from .implementation import BERNOULLI, StackDecoder, StackEncoder


class RansEncoder(Encoder):
    """Buffer all calls, 16 bytes per symbol and 8 per bit, and encode them last to first in `finish`."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[Symbols, Any, Parameters]] = []
        self._information = 0.0  # bits

    def _encode(self, symbols: Symbols, model: Any, parameters: Parameters) -> None:
        self._calls.append((symbols.copy(), model, parameters))
        if model is BERNOULLI:
            probabilities = np.where(symbols == 1, parameters, 1 - parameters)
        else:
            frequencies = np.take_along_axis(parameters, symbols[:, None], axis=1)[:, 0] + 1
            probabilities = frequencies * np.float32(2**-24)
        self._information -= float(np.log2(probabilities, dtype=np.float64).sum())

    def _flush(self) -> Words:
        coder = StackEncoder()
        while self._calls:
            coder.encode_reverse(*self._calls.pop())
        words: Words = coder.get_compressed()
        return words

    def _size_bound(self) -> int:
        # A symbol of width w takes the state x to floor(x / w) * T + left + x mod w, with T = 2**24: the ideal
        # x * T / w plus at most left <= T - w. Here x >= 2**8 * w after a word was written and x >= 2**32 otherwise, so
        # a symbol costs at most 1/256 more than its information. Bernoulli's rounding adds 1/256; both are below 1 %.
        # Before the first word, symbols fill up to 33 bits of state without a relation to their information.
        return 4 * math.ceil((self._information * 1.01 + 34) / 32) if self._information else 0


class RansDecoder(Decoder):
    """Decode what a RansEncoder gave."""

    def finish(self) -> None:
        """Check that the state is the encoder's first one again; may be called at any time and repeatedly.

        This notices nearly all damage, and symbols that were not asked for unless they took next to no bits. It cannot
        notice symbols asked for beyond the end: they decode as 0.

        Raises:
            CoderError: it is not.
        """
        if not self._coder.is_empty():
            raise CoderError("coded data is not used up after the last symbol")

    @staticmethod
    def _open(words: Words) -> Any:
        return StackDecoder(words)
