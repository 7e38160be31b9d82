# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""Binary decisions on their way between a model's kernels and an entropy coder.

A kernel predicts a bit, codes it with `code_bit`, and learns it; encoding and decoding run the same kernel. An encoder
gets the decisions afterwards, as arrays (`take_decisions`, `DecisionEncoder`). A decoder cannot wait, as the next
prediction depends on the bit: its kernel reads each bit from the code (`lmzip.coders.bits`).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lmzip.coders.bits import NO_BITS, BitReader, decode_bit
from lmzip.models.mixing.jit import i64, inline

IMPOSSIBLE = "coded data does not fit the probabilities"  # message of the CoderError for a bit that is -1

Decisions = tuple[NDArray[np.uint8], NDArray[np.uint16]]  # bits, and the probabilities of a 1, of 65536


class DecisionEncoder(Protocol):
    """What takes decisions: an encoder of `lmzip.coders`, or one that counts or hashes them."""

    def encode_bits(self, bits: NDArray[np.uint8], probabilities: NDArray[np.uint16]) -> None:
        """Encode bits (n,) with the probabilities (n,) of a 1, in units of 1 / 65536."""


class Coding(NamedTuple):
    """The decisions that kernels have coded, and the code that a decoder reads them from."""

    bits: NDArray[np.uint8]  # (room,)
    probabilities: NDArray[np.uint16]  # (room,) of a 1, in units of 1 / 65536
    coded: NDArray[np.int64]  # (1,) how many decisions there are; kernels do not check that there is room for them
    reader: BitReader  # NO_BITS: the kernels encode


def make_coding(room: int, reader: BitReader = NO_BITS) -> Coding:
    """Return a Coding for at most `room` decisions: it decodes them where there is a reader, and else encodes them."""
    return Coding(np.empty(room, np.uint8), np.empty(room, np.uint16), np.zeros(1, np.int64), reader)


def take_decisions(coding: Coding) -> Decisions:
    """Return the decisions since the last call. They are views, which the next decisions overwrite."""
    count = int(coding.coded[0])
    coding.coded[0] = 0
    return coding.bits[:count], coding.probabilities[:count]


@inline
def code_bit(coding, bit, probability):
    """Code one decision; return its bit, int64, or -1 where the code is impossible.

    bit: what an encoder codes; ignored where there is a reader. probability: of a 1, 1 .. 65535, in units of 1 / 65536.
    """
    bit = i64(bit)
    if coding.reader.kind >= 0:
        bit = i64(decode_bit(coding.reader, probability))
        if bit < 0:
            return bit
    n = coding.coded[0]
    coding.bits[n], coding.probabilities[n] = bit, probability
    coding.coded[0] = n + 1
    return bit
