"""Entropy coders: integers and integer distributions in, bytes out.

Symbols come with rows of frequencies that sum to FREQUENCY_TOTAL, bits with probabilities k / BIT_TOTAL. Both coders
have the same interface and give the same sizes; range codes as it goes, rans buffers a block and checks its end better.
"""

from __future__ import annotations

from .ans import RansDecoder, RansEncoder
from .base import BIT_TOTAL, FREQUENCY_TOTAL, MAX_ALPHABET, CoderError, Decoder, Encoder
from .implementation import IMPLEMENTATION
from .range_coder import RangeDecoder, RangeEncoder
from .ranks import ranks_of, symbols_of

# Names and ids are part of the format.
CODER_IDS: dict[str, int] = {"range": 0, "rans": 1}
CODERS: dict[int, tuple[type[Encoder], type[Decoder]]] = {
    0: (RangeEncoder, RangeDecoder),
    1: (RansEncoder, RansDecoder),
}

__all__ = [
    "BIT_TOTAL",
    "CODERS",
    "CODER_IDS",
    "FREQUENCY_TOTAL",
    "IMPLEMENTATION",
    "MAX_ALPHABET",
    "CoderError",
    "Decoder",
    "Encoder",
    "RangeDecoder",
    "RangeEncoder",
    "RansDecoder",
    "RansEncoder",
    "ranks_of",
    "symbols_of",
]
