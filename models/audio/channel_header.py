# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""What is coded before the samples: of every channel its bounds, its partner, and which values occur at all.

Before each piece of a sound comes besides how many of the lowest bits are 0 in all its samples: the wasted bits, as
FLAC calls them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmzip.coders import CoderError
from lmzip.coders.bits import NO_BITS, BitReader
from lmzip.models.mixing.code_length import UNIT, decisions_cost, log2_integer
from lmzip.models.mixing.coding import IMPOSSIBLE, DecisionEncoder, code_bit, make_coding, take_decisions
from lmzip.models.mixing.jit import i64, kernel

_CHANGES = 512  # of 65536: that a piece has another number of wasted bits than the one before
MOST_SPAN = 1 << 18  # of values that are said to occur or not, one by one
_CHANGE_BITS = 18  # of a change between samples: the squares of 65536 of them add up to less than 2**53
_FRAMES = 1 << 16  # whose values are counted at a time
_PAST = 1 << 12  # contexts: the last 12 answers
_ROOM = 256  # bits of the fields of a channel, at most


class ChannelHeader(NamedTuple):
    """What is true of all samples of each channel; values are those of samples without their `shift` lowest bits."""

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


@kernel
def _code_integer(coding, value, size, chance):
    """Code an integer of `size` bits, highest first; return it, or -1 where the code is impossible."""
    result = i64(0)
    for i in range(size - 1, -1, -1):
        bit = code_bit(coding, value >> i & 1, chance)
        if bit < 0:
            return bit
        result = result << 1 | bit
    return result


def find_header(samples: NDArray[np.int32]) -> ChannelHeader:
    """Find the header of samples (frames, channels), at least one frame."""
    channels = samples.shape[1]
    together = np.bitwise_or.reduce(samples, axis=0).astype(np.int64)
    shift = np.array([max(int(bits & -bits).bit_length() - 1, 0) for bits in together])
    lowest, highest = samples.min(axis=0) >> shift, samples.max(axis=0) >> shift
    used = [_find_used(samples[:, c], int(shift[c]), int(lowest[c]), int(highest[c])) for c in range(channels)]
    return ChannelHeader(_find_partners(samples), shift, lowest, highest, used)


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


class _Fields:
    """Codes integers one after the other: encodes them where there is an encoder, and else decodes them."""

    def __init__(self, encoder: DecisionEncoder | None, reader: BitReader) -> None:
        self._encoder, self._coding = encoder, make_coding(_ROOM, reader)

    def code(self, value: int, size: int, chance: int = 32768) -> int:
        """Code an integer of `size` bits and return it; chance: that a bit is 1, of 65536."""
        result = int(_code_integer(self._coding, value, size, chance))
        if result < 0:
            raise CoderError(IMPOSSIBLE)
        return result

    def end(self) -> None:
        """Hand the decisions since the last call to the encoder."""
        decisions = take_decisions(self._coding)
        if self._encoder is not None:
            self._encoder.encode_bits(*decisions)


def find_wasted_bits(values: NDArray[np.int64], before: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for every channel how many lowest bits are 0 in a piece (frames, channels); as before where all are."""
    together = np.bitwise_or.reduce(values, axis=0).tolist()
    pairs = zip(together, before.tolist(), strict=True)
    return np.array([(bits & -bits).bit_length() - 1 if bits else old for bits, old in pairs])


def code_wasted_bits(
    wasted_bits: NDArray[np.int64], before: NDArray[np.int64], encoder: DecisionEncoder | None, reader: BitReader
) -> NDArray[np.int64]:
    """Encode the wasted bits of a piece behind another, or decode and return them where there is no encoder."""
    result, fields = before.copy(), _Fields(encoder, reader)
    for c in range(len(before)):
        changes = fields.code(int(wasted_bits[c] != before[c]), 1, _CHANGES)
        fields.end()
        if changes:
            result[c] = fields.code(int(wasted_bits[c]), 5)
            fields.end()
    return result


def encode_header(header: ChannelHeader, depth: int, encoder: DecisionEncoder) -> None:
    """Encode the header of samples of `depth` bits. Twin: `decode_header`."""
    _code_header(header, len(header.partner), depth, encoder, NO_BITS)


def decode_header(channels: int, depth: int, reader: BitReader) -> ChannelHeader:
    """Decode a header. Raises CoderError where no encoder writes such."""
    zeros = np.zeros(channels, np.int64)
    nothing = ChannelHeader(zeros, zeros, zeros, zeros, [np.zeros(0, np.int32)] * channels)
    return _code_header(nothing, channels, depth, None, reader)


def _code_header(
    header: ChannelHeader, channels: int, depth: int, encoder: DecisionEncoder | None, reader: BitReader
) -> ChannelHeader:
    """Encode a header, or decode it where there is no encoder; return it."""
    partner, shift, lowest, highest = (array.copy() for array in header[:4])
    used, fields = list(header.used), _Fields(encoder, reader)
    half, size = 1 << depth - 1, (channels - 1).bit_length()
    for c in range(channels):
        partner[c] = fields.code(int(partner[c]), size)
        shift[c] = fields.code(int(shift[c]), 5)
        lowest[c] = fields.code(int(lowest[c]) + half, depth) - half
        highest[c] = fields.code(int(highest[c]) + half, depth) - half
        is_sparse = fields.code(int(len(used[c]) > 0), 1)
        fields.end()
        low, high, span = int(lowest[c]), int(highest[c]), int(highest[c] - lowest[c]) + 1
        if span < 1 or max(abs(low << int(shift[c])), high + 1 << int(shift[c])) > half or partner[c] >= channels:
            raise CoderError("coded data begins with an impossible header of a channel")
        if is_sparse:
            if span > MOST_SPAN:
                raise CoderError("coded data begins with impossible values of a channel")
            used[c] = _code_used(used[c], span, encoder, reader)
    return ChannelHeader(partner, shift, lowest, highest, used)


def _code_used(
    used: NDArray[np.int32], span: int, encoder: DecisionEncoder | None, reader: BitReader
) -> NDArray[np.int32]:
    """Encode ChannelHeader.used of a channel, or decode it where there is no encoder; return it."""
    occurs = np.diff(used).astype(np.uint8) if encoder is not None else np.zeros(span, np.uint8)
    coding = make_coding(span, reader)
    if _code_occurs(occurs, np.full(_PAST, 32768, np.int64), coding) < 0:
        raise CoderError(IMPOSSIBLE)
    if encoder is not None:
        encoder.encode_bits(*take_decisions(coding))
    used = np.concatenate(([0], np.cumsum(occurs))).astype(np.int32)
    if used[-1] == 0:
        raise CoderError("coded data begins with a channel without values")
    return used
