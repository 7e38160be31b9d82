"""Sounds to binary decisions and back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lmzip.coders import CoderError
from lmzip.coders.bits import NO_BITS, BitReader
from lmzip.models.audio.channel_header import (
    Facts,
    code_waste,
    decode_facts,
    encode_facts,
    find_facts,
    find_waste,
)
from lmzip.models.audio.decisions import MOST_DECISIONS
from lmzip.models.audio.samples import code
from lmzip.models.audio.settings import STRENGTHS, SoundPlan, check_plan
from lmzip.models.audio.state import PAST, PIECE, make_setup, make_state
from lmzip.models.mixing.coding import IMPOSSIBLE, DecisionEncoder, make_coding, take_decisions

MOST_CHANNELS = 16  # the samples of more are coded as those of a single channel, frame after frame
Progress = Callable[[int], None]


def encode_samples(
    samples: NDArray[np.int32], depth: int, plan: SoundPlan, encoder: DecisionEncoder, progress: Progress | None = None
) -> None:
    """Hand the decisions of samples (frames, channels) to an encoder. Twin: `decode_samples`.

    progress is told the frames done. Raises ValueError for an impossible plan and for samples beyond `depth` bits.
    """
    check_plan(plan, samples.shape, depth)
    if samples.size and not -(1 << depth - 1) <= samples.min() <= samples.max() < 1 << depth - 1:
        raise ValueError(f"samples reach from {samples.min()} to {samples.max()}, but must have {depth} bits")
    if not samples.size:
        return
    flat = _flat(np.ascontiguousarray(samples, np.int32))
    facts = find_facts(flat)
    encode_facts(facts, depth, encoder)
    _code(flat, facts, plan, encoder, NO_BITS, _in_frames(progress, samples.shape, flat.shape))


def decode_samples(
    shape: tuple[int, int], depth: int, plan: SoundPlan, reader: BitReader, progress: Progress | None = None
) -> NDArray[np.int32]:
    """Decode samples (frames, channels). Twin: `encode_samples`.

    Raises CoderError where no encoder writes such a code, ValueError for an impossible plan.
    """
    check_plan(plan, shape, depth)
    samples = np.zeros(shape, np.int32)
    if samples.size:
        flat = _flat(samples)
        facts = decode_facts(flat.shape[1], depth, reader)
        _code(flat, facts, plan, None, reader, _in_frames(progress, shape, flat.shape))
    return samples


def _flat(samples: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return a view of samples as they are coded: of many channels as one."""
    return samples if samples.shape[1] <= MOST_CHANNELS else samples.reshape(-1, 1)


def _in_frames(progress: Progress | None, shape: tuple[int, ...], flat: tuple[int, ...]) -> Progress:
    """Return a function that is told rows of the flat samples."""
    return (lambda done: None) if progress is None else lambda done: progress(done * shape[0] // flat[0])


def _code(
    samples: NDArray[np.int32], facts: Facts, plan: SoundPlan, encoder: DecisionEncoder | None, reader: BitReader,
    progress: Progress,
) -> None:  # fmt: skip
    frames, channels = samples.shape
    setup = make_setup(facts, STRENGTHS[plan.strength])
    state, moment, tables = make_state(setup)
    coding = make_coding(PIECE * channels * MOST_DECISIONS, reader)
    waste = np.zeros(channels, np.int64)
    for start in range(0, frames, PIECE):
        piece = samples[start : start + PIECE]
        values = piece.astype(np.int64) >> facts.shift
        found = waste if encoder is None else find_waste(values, waste)
        waste = code_waste(found, waste, encoder, reader)
        if not code(setup, state, moment, tables, values, start, waste, coding):
            raise CoderError(IMPOSSIBLE)
        decisions = take_decisions(coding)
        if encoder is None:
            piece[:] = values << facts.shift
        else:
            encoder.encode_bits(*decisions)
        state.signal[:, :PAST] = state.signal[:, PIECE:].copy()  # of a whole piece; behind another there is none
        progress(start + len(piece))
