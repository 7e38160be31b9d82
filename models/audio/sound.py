"""Arrays of samples to decisions and back: the header of the channels first, then the samples piece by piece."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lmzip.coders import CoderError
from lmzip.coders.bits import NO_BITS, BitReader
from lmzip.models.audio.binarise import MOST_DECISIONS
from lmzip.models.audio.channel_header import (
    ChannelHeader,
    code_wasted_bits,
    decode_header,
    encode_header,
    find_header,
    find_wasted_bits,
)
from lmzip.models.audio.frames import code_frames
from lmzip.models.audio.settings import STRENGTHS, SoundSettings, check_settings
from lmzip.models.audio.state import PAST, PIECE, make_model
from lmzip.models.mixing.coding import IMPOSSIBLE, DecisionEncoder, make_coding, take_decisions

MOST_CHANNELS = 16  # the samples of more are coded as those of a single channel, frame after frame
Progress = Callable[[int], None]


def encode_samples(
    samples: NDArray[np.int32],
    depth: int,
    settings: SoundSettings,
    encoder: DecisionEncoder,
    progress: Progress | None = None,
) -> None:
    """Hand the decisions of samples (frames, channels) to an encoder. Twin: `decode_samples`.

    progress is told the frames done. Raises ValueError for an impossible settings and for samples beyond `depth` bits.
    """
    check_settings(settings, samples.shape, depth)
    if samples.size and not -(1 << depth - 1) <= samples.min() <= samples.max() < 1 << depth - 1:
        raise ValueError(f"samples reach from {samples.min()} to {samples.max()}, but must have {depth} bits")
    if not samples.size:
        return
    flat = _flat(np.ascontiguousarray(samples, np.int32))
    header = find_header(flat)
    encode_header(header, depth, encoder)
    _code(flat, header, settings, encoder, NO_BITS, _in_frames(progress, samples.shape, flat.shape))


def decode_samples(
    shape: tuple[int, int], depth: int, settings: SoundSettings, reader: BitReader, progress: Progress | None = None
) -> NDArray[np.int32]:
    """Decode samples (frames, channels). Twin: `encode_samples`.

    Raises CoderError where no encoder writes such a code, ValueError for an impossible settings.
    """
    check_settings(settings, shape, depth)
    samples = np.zeros(shape, np.int32)
    if samples.size:
        flat = _flat(samples)
        header = decode_header(flat.shape[1], depth, reader)
        _code(flat, header, settings, None, reader, _in_frames(progress, shape, flat.shape))
    return samples


def _flat(samples: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return a view of samples as they are coded: of many channels as one."""
    return samples if samples.shape[1] <= MOST_CHANNELS else samples.reshape(-1, 1)


def _in_frames(progress: Progress | None, shape: tuple[int, ...], flat: tuple[int, ...]) -> Progress:
    """Return a function that is told rows of the flat samples."""
    return (lambda done: None) if progress is None else lambda done: progress(done * shape[0] // flat[0])


def _code(
    samples: NDArray[np.int32], header: ChannelHeader, settings: SoundSettings, encoder: DecisionEncoder | None,
    reader: BitReader, progress: Progress,
) -> None:  # fmt: skip
    """Encode samples, or decode them where there is no encoder: they are written."""
    frames, channels = samples.shape
    model = make_model(header, STRENGTHS[settings.strength])
    coding = make_coding(PIECE * channels * MOST_DECISIONS, reader)
    wasted_bits = np.zeros(channels, np.int64)
    for start in range(0, frames, PIECE):
        piece = samples[start : start + PIECE]
        values = piece.astype(np.int64) >> header.shift
        found = wasted_bits if encoder is None else find_wasted_bits(values, wasted_bits)
        wasted_bits = code_wasted_bits(found, wasted_bits, encoder, reader)
        if not code_frames(model, values, start, wasted_bits, coding):
            raise CoderError(IMPOSSIBLE)
        decisions = take_decisions(coding)
        if encoder is None:
            piece[:] = values << header.shift
        else:
            encoder.encode_bits(*decisions)
        signal = model.channels.signal
        signal[:, :PAST] = signal[:, PIECE:].copy()  # of a whole piece; behind another there is none
        progress(start + len(piece))
