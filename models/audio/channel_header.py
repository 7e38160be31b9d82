# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""What stands before the samples: of every channel its bounds, partner, and which values occur at all."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmzip.coders import CoderError
from lmzip.coders.bits import NO_BITS, BitReader, decode_bit
from lmzip.models.mixing.code_length import UNIT, decisions_cost, log2_integer
from lmzip.models.mixing.coding import IMPOSSIBLE, DecisionEncoder, code_bit, make_coding, take_decisions
from lmzip.models.mixing.jit import i64, kernel

_CHANGES = 512  # of 65536: that a piece wastes more or fewer bits than the one before
MOST_SPAN = 1 << 18  # of values that are said to occur or not, one by one
_CHANGE_BITS = 18  # of a change between samples: the squares of 65536 of them add up to less than 2**53
_FRAMES = 1 << 16  # whose values are counted at a time
_PAST = 1 << 12  # contexts: the last 12 answers


class Facts(NamedTuple):
    """Of every channel; values are those of samples without their lowest bits."""

    partner: NDArray[np.int64]  # (channels,) the channel whose samples help to predict
    shift: NDArray[np.int64]  # (channels,) bits that are 0 in all samples
    lowest: NDArray[np.int64]  # (channels,)
    highest: NDArray[np.int64]  # (channels,)
    used: list[NDArray[np.int32]]  # how many of the values lowest .. lowest + i - 1 occur; (0,): all may


@kernel
def _code_occurs(occurs, chances, coding):
    """Code which values occur, (span,) uint8; return -1 where the code is impossible, else 0.

    chances: (_PAST,) of 65536 that a value occurs, by whether the 12 before did.
    """
    past = i64(1)
    for i in range(len(occurs)):
        chance = chances[past]
        bit = code_bit(coding, occurs[i], chance)
        if bit < 0:
            return -1
        occurs[i] = bit
        chances[past] = min(max(chance + (((bit << 16) - chance) >> 4), 64), 65536 - 64)
        past = (past << 1 | bit) & (_PAST - 1)
    return 0


def find_facts(samples: NDArray[np.int32]) -> Facts:
    """Find the facts of samples (frames, channels), at least one frame."""
    channels = samples.shape[1]
    together = np.bitwise_or.reduce(samples, axis=0).astype(np.int64)
    shift = np.array([max(int(bits & -bits).bit_length() - 1, 0) for bits in together])
    lowest, highest = samples.min(axis=0) >> shift, samples.max(axis=0) >> shift
    used = [_find_used(samples[:, c], int(shift[c]), int(lowest[c]), int(highest[c])) for c in range(channels)]
    return Facts(_find_partners(samples), shift, lowest, highest, used)


def _find_partners(samples: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return for every channel the one before it whose changes are most like its own; for the first, any."""
    channels = samples.shape[1]
    if channels <= 2:
        return np.arange(channels)[::-1].copy()
    wide = samples[: 1 << 16].astype(np.int64)
    changes = wide[1:] - wide[:-1]
    spare = max(int(np.abs(changes).max(initial=0)).bit_length() - _CHANGE_BITS, 0)
    cut = (changes >> spare).astype(np.float64)
    products = np.abs(cut.T @ cut)  # exact: sums of integers below 2**53, in whatever order
    power = np.sqrt(np.maximum(np.diag(products), 1.0))
    alike = products / power / power[:, None]
    np.fill_diagonal(alike, -1)
    return np.array([int(np.argmax(alike[c, : c or channels])) for c in range(channels)])


def _find_used(samples: NDArray[np.int32], shift: int, lowest: int, highest: int) -> NDArray[np.int32]:
    """Return how many of the values below each occur, (span + 1,); (0,) where it does not pay to say so."""
    span = highest - lowest + 1
    if not 3 <= span <= MOST_SPAN:
        return np.zeros(0, np.int32)
    counts = np.zeros(span, np.int64)
    for start in range(0, len(samples), _FRAMES):  # whole arrays of int64 would take more than the samples
        counts += np.bincount((samples[start : start + _FRAMES] >> shift) - lowest, minlength=span)
    used = np.concatenate(([0], np.cumsum(counts > 0)))
    # What a sample saves: the logarithm of the share of the values around it that occur.
    around = np.minimum(np.arange(span) + 17, span), np.maximum(np.arange(span) - 16, 0)
    occurring = counts > 0
    nearby, there = (around[0] - around[1])[occurring], (used[around[0]] - used[around[1]])[occurring]
    saved = int((counts[occurring] * (log2_integer(nearby) - log2_integer(there))).sum()) - 64 * UNIT
    if saved < 0:
        return np.zeros(0, np.int32)
    coding = make_coding(span)
    _code_occurs((counts > 0).astype(np.uint8), np.full(_PAST, 32768, np.int64), coding)
    pays = 10 * saved > 11 * decisions_cost(*take_decisions(coding))
    return used.astype(np.int32) if pays else np.zeros(0, np.int32)


class _Integers:
    """Integers whose bits are all as likely: written, or read where there is a reader."""

    def __init__(self, reader: BitReader) -> None:
        self._reader = reader
        self.bits: list[int] = []

    def code(self, value: int, size: int) -> int:
        """Code an integer of `size` bits, highest first, and return it."""
        result = 0
        for i in range(size - 1, -1, -1):
            bit = value >> i & 1
            if self._reader.kind >= 0:
                bit = int(decode_bit(self._reader, 32768))
                if bit < 0:
                    raise CoderError(IMPOSSIBLE)
            self.bits.append(bit)
            result = result << 1 | bit
        return result


def find_waste(values: NDArray[np.int64], before: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for every channel how many lowest bits are 0 in a piece (frames, channels); as before where all are."""
    together = np.bitwise_or.reduce(values, axis=0).tolist()
    pairs = zip(together, before.tolist(), strict=True)
    return np.array([(bits & -bits).bit_length() - 1 if bits else old for bits, old in pairs])


def code_waste(
    waste: NDArray[np.int64], before: NDArray[np.int64], encoder: DecisionEncoder | None, reader: BitReader
) -> NDArray[np.int64]:
    """Encode the waste of a piece behind another, or decode and return it where there is no encoder."""
    result = before.copy()
    for c in range(len(before)):
        changes = _code_flag(int(waste[c] != before[c]), encoder, reader)
        if changes:
            integers = _Integers(reader)
            result[c] = integers.code(int(waste[c]), 5)
            if encoder is not None:
                encoder.encode_bits(np.array(integers.bits, np.uint8), np.full(5, 32768, np.uint16))
    return result


def _code_flag(flag: int, encoder: DecisionEncoder | None, reader: BitReader) -> int:
    """Encode or decode whether something changes."""
    if encoder is not None:
        encoder.encode_bits(np.array([flag], np.uint8), np.array([_CHANGES], np.uint16))
    else:
        flag = int(decode_bit(reader, _CHANGES))
        if flag < 0:
            raise CoderError(IMPOSSIBLE)
    return flag


def encode_facts(facts: Facts, depth: int, encoder: DecisionEncoder) -> None:
    """Encode facts of samples of `depth` bits. Twin: `decode_facts`."""
    _code_facts(facts, len(facts.partner), depth, encoder, NO_BITS)


def decode_facts(channels: int, depth: int, reader: BitReader) -> Facts:
    """Decode facts. Raises CoderError where no encoder writes such."""
    zeros = np.zeros(channels, np.int64)
    nothing = Facts(zeros, zeros, zeros, zeros, [np.zeros(0, np.int32)] * channels)
    return _code_facts(nothing, channels, depth, None, reader)


def _code_facts(facts: Facts, channels: int, depth: int, encoder: DecisionEncoder | None, reader: BitReader) -> Facts:
    partner, shift, lowest, highest = (array.copy() for array in facts[:4])
    used = list(facts.used)
    half, size = 1 << depth - 1, (channels - 1).bit_length()
    for c in range(channels):
        integers = _Integers(reader)
        partner[c] = integers.code(int(partner[c]), size)
        shift[c] = integers.code(int(shift[c]), 5)
        lowest[c] = integers.code(int(lowest[c]) + half, depth) - half
        highest[c] = integers.code(int(highest[c]) + half, depth) - half
        is_sparse = integers.code(int(len(used[c]) > 0), 1)
        if encoder is not None:
            encoder.encode_bits(np.array(integers.bits, np.uint8), np.full(len(integers.bits), 32768, np.uint16))
        low, high, span = int(lowest[c]), int(highest[c]), int(highest[c] - lowest[c]) + 1
        if span < 1 or max(abs(low << int(shift[c])), high + 1 << int(shift[c])) > half or partner[c] >= channels:
            raise CoderError("coded data begins with impossible facts about a channel")
        if is_sparse:
            if span > MOST_SPAN:
                raise CoderError("coded data begins with impossible facts about the values of a channel")
            occurs = np.diff(used[c]).astype(np.uint8) if encoder is not None else np.zeros(span, np.uint8)
            coding = make_coding(span, reader)
            if _code_occurs(occurs, np.full(_PAST, 32768, np.int64), coding) < 0:
                raise CoderError(IMPOSSIBLE)
            if encoder is not None:
                encoder.encode_bits(*take_decisions(coding))
            used[c] = np.concatenate(([0], np.cumsum(occurs))).astype(np.int32)
            if used[c][-1] == 0:
                raise CoderError("coded data begins with a channel without values")
    return Facts(partner, shift, lowest, highest, used)
