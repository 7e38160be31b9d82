"""Range coder: a queue. What was encoded first is decoded first."""

from __future__ import annotations

from typing import Any

from .base import CoderError, Decoder, Encoder, Parameters, Symbols, Words
from .implementation import QueueDecoder, QueueEncoder


class RangeEncoder(Encoder):
    """Encode at once, first in, first out."""

    def __init__(self) -> None:
        super().__init__()
        self._coder = QueueEncoder()

    def _encode(self, symbols: Symbols, model: Any, parameters: Parameters) -> None:
        self._coder.encode(symbols, model, parameters)

    def _flush(self) -> Words:
        words: Words = self._coder.get_compressed()
        return words

    def _size_bound(self) -> int:
        return 4 * int(self._coder.num_words())


class RangeDecoder(Decoder):
    """Decode what a RangeEncoder gave."""

    def finish(self) -> None:
        """Check that the data is used up, as far as that can be known; may be called at any time and repeatedly.

        The decoder reads two words ahead and takes missing words as zeros. So three surplus words are always noticed,
        two nearly always, one nearly never; damage often, a missing end or symbols beyond the end by chance.

        Raises:
            CoderError: words are left.
        """
        if not self._coder.maybe_exhausted():
            raise CoderError("coded data goes on after the last symbol")

    @staticmethod
    def _open(words: Words) -> Any:
        return QueueDecoder(words)
