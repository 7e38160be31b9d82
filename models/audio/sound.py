"""Sounds to binary decisions and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lmzip.coders import CoderError
from lmzip.coders.bits import NO_BITS, BitReader, decode_bit
from lmzip.models.audio import state
from lmzip.models.audio.plan import MOST_CHANNELS, STRENGTHS, SoundPlan, check_plan
from lmzip.models.audio.samples import code

PIECE = 8192  # samples that are coded with one call
MOST_DECISIONS = 80  # of a sample
Progress = Callable[[int], None] | None


class Encoder(Protocol):
    """What encodes decisions: an encoder of `lmzip.coders`."""

    def encode_bits(self, bits: NDArray[np.uint8], probabilities: NDArray[np.uint16]) -> None:
        """Encode bits with their probabilities of a 1, of 65536."""


class _Facts:
    """Integers that stand before the samples: written, or read where there is a reader."""

    def __init__(self, reader: BitReader) -> None:
        self._reader = reader
        self.bits: list[int] = []

    def code(self, value: int, size: int) -> int:
        """Code an integer of `size` bits, highest first."""
        result = 0
        for i in range(size - 1, -1, -1):
            if self._reader.kind >= 0:
                bit = int(decode_bit(self._reader, 32768))
                if bit < 0:
                    raise CoderError("coded data does not fit the probabilities")
            else:
                bit = value >> i & 1
                self.bits.append(bit)
            result = result << 1 | bit
        return result


def encode_samples(
    samples: NDArray[np.int32], depth: int, plan: SoundPlan, encoder: Encoder, progress: Progress = None
) -> None:
    """Code samples (frames, channels) int32 of `depth` bits as decisions. Twin: `decode_samples`.

    progress is called with the number of samples done since the last call. Raises ValueError for a plan or samples out of range.
    """
    shape = samples.shape
    check_plan(plan, shape, depth)
    if samples.size and not -(1 << depth - 1) <= samples.min() <= samples.max() < 1 << depth - 1:
        raise ValueError(f"samples reach beyond {depth} bits")
    values = np.array(samples, np.int32, order="C")
    _code(_view(values), depth, plan, encoder, NO_BITS, progress)


def decode_samples(
    shape: tuple[int, int], depth: int, plan: SoundPlan, reader: BitReader, progress: Progress = None
) -> NDArray[np.int32]:
    """Decode samples (frames, channels). Raises CoderError where the code is impossible, ValueError for a bad plan."""
    check_plan(plan, shape, depth)
    values = np.zeros(shape, np.int32)
    _code(_view(values), depth, plan, None, reader, progress)
    return values


def _view(values: NDArray[np.int32]) -> NDArray[np.int32]:
    return values if values.shape[1] <= MOST_CHANNELS else values.reshape(-1, 1)


def _code(
    values: NDArray[np.int32], depth: int, plan: SoundPlan, encoder: Encoder | None, reader: BitReader, progress: Progress
) -> None:
    frames, channels = values.shape
    if not frames:
        return
    facts = _Facts(reader)
    shifts, lowest, highest = (np.zeros(channels, np.int64) for _ in range(3))
    for c in range(channels):
        shift = low = high = 0
        if encoder is not None:
            column = values[:, c]
            together = int(np.bitwise_or.reduce(column))
            shift = (together & -together).bit_length() - 1 if together else 0
            low, high = int(column.min()) >> shift, int(column.max()) >> shift
        shifts[c] = facts.code(shift, 5)
        half = 1 << depth - 1
        lowest[c] = facts.code(low + half, depth) - half
        highest[c] = facts.code(high + half, depth) - half
        if lowest[c] > highest[c] or shifts[c] >= depth:
            raise CoderError("coded data begins with impossible bounds of the samples")
    size = (channels - 1).bit_length()
    order = np.arange(channels)
    partner = np.array([c - 1 if c else channels - 1 for c in range(channels)])
    present = np.array([1 if c else 0 for c in range(channels)])
    if encoder is not None:
        encoder.encode_bits(np.array(facts.bits, np.uint8), np.full(len(facts.bits), 32768, np.uint16))
    largest = int(max(np.abs(lowest).max(), np.abs(highest).max()))
    unit = 2.0 ** (15 - largest.bit_length())
    s = STRENGTHS[plan.strength]
    ch, work, tables, setup = state.make(
        order, partner, present, lowest, highest, frames, s.solvers, s.stages, unit, state.KNOBS
    )
    step = max(PIECE // channels, 1)
    most = step * channels * MOST_DECISIONS
    bits, probabilities = np.empty(most, np.uint8), np.empty(most, np.uint16)
    for start in range(0, frames, step):
        piece = values[start : start + step]
        shifted = piece.astype(np.int64) >> shifts
        count = code(ch, work, tables, setup, shifted, start, bits, probabilities, reader)
        if count < 0:
            raise CoderError("coded data does not fit the probabilities")
        if encoder is not None:
            encoder.encode_bits(bits[:count], probabilities[:count])
        else:
            piece[:] = shifted << shifts
        if progress is not None:
            progress(piece.size)
