# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""Frames of FLAC (RFC 9639 section 9) read into samples and choices, and written from both, compiled.

`file.py` calls `read_frames` and `write_frames`. A frame is a header, a subframe for each channel and a CRC.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lmzip.coders.compiled import compiled
from lmzip.formats.flac.bits import crc_16, get, put
from lmzip.formats.flac.choices import BAD, COLUMNS, FULL, FULL_COLUMNS, FULL_SAMPLES
from lmzip.formats.flac.headers import (
    DEPTHS,
    HEADER_SIZE,
    INDEPENDENT,
    LEFT_SIDE,
    MID_SIDE,
    SIDE_RIGHT,
    has_channels,
    read_header,
    split_codes,
    write_header,
)
from lmzip.formats.flac.subframes import LARGEST_ORDER, Channel, read_subframe, write_subframe

kernel = compiled()

LARGEST_BLOCK = 1 << 16  # samples a channel
SPARE = 16  # zeros behind the data


class Place(NamedTuple):
    """How far the frames of a file were read: bytes, frames and samples of a channel."""

    size: int
    frames: int
    samples: int


@kernel
def is_side(assignment, channel):
    """Return whether a channel is the difference of both, which takes a bit more."""
    return (assignment in (LEFT_SIDE, MID_SIDE) and channel == 1) or (assignment == SIDE_RIGHT and channel == 0)


@kernel
def join(values, i, assignment):
    """Turn two coded channels at place i into left and right (section 4.2). values: int64, (2, samples)."""
    one, other = values[0, i], values[1, i]
    if assignment == LEFT_SIDE:
        values[1, i] = one - other
    elif assignment == SIDE_RIGHT:
        values[0, i] = one + other
    else:
        middle = one << 1 | (other & 1)
        values[0, i], values[1, i] = middle + other >> 1, middle - other >> 1


@kernel
def split(values, i, assignment):
    """Turn left and right at place i into two coded channels. Twin: join."""
    left, right = values[0, i], values[1, i]
    if assignment == SIDE_RIGHT:
        values[0, i] = left - right
    else:
        values[1, i] = left - right
    if assignment == MID_SIDE:
        values[0, i] = left + right >> 1


@kernel
def read_frames(data, size, depth, samples, choices, place):
    """Read frames until one is damaged, the data ends, or there is no room, which choices.counts[FULL] says.

    Args:
        data: uint8, the frames and SPARE zeros.
        size: bytes without the zeros.
        depth: bits a sample.
        samples: int32, (most, channels), gets the samples.
        choices: Choices, gets what the encoder chose. A frame that is not read leaves nothing in it.
        place: what the last call returned, which had less room; zeros before the first.

    Returns:
        Place, behind the last frame that was read.
    """
    channels, counts, columns = samples.shape[1], choices.counts, choices.columns
    start, frame, done = place.size, place.frames, place.samples
    counts[FULL] = 0
    values = np.zeros((channels, LARGEST_BLOCK), np.int64)
    residuals, weights = np.zeros(LARGEST_BLOCK, np.int64), np.zeros(LARGEST_ORDER, np.int64)
    header, before = np.zeros(HEADER_SIZE, np.uint8), np.zeros(COLUMNS, np.int64)
    while start + HEADER_SIZE <= size + SPARE:
        before[:] = counts[:COLUMNS]
        length, codes, count = read_header(data, start, frame, done, header, choices)
        _, _, assignment, depth_code = split_codes(codes)
        good = start + length < size and count > 0 and has_channels(assignment, channels)
        good = good and (depth_code == 0 or DEPTHS[depth_code] == depth)
        at = 8 * (start + length)
        for channel in range(channels if good else 0):
            part = Channel(values[channel, :count], residuals[:count], weights)
            at = read_subframe(data, at, 8 * size, depth + is_side(assignment, channel), part, choices)
            if counts[BAD]:
                break
        end = (at + 7) >> 3
        good = good and not counts[BAD] and end + 2 <= size and get(data, at, 8 * end - at) == 0
        good = good and get(data, 8 * end, 16) == crc_16(data, start, end)
        full = 0 if count <= samples.shape[0] - done else FULL_SAMPLES
        for which in range(COLUMNS):
            full = full if counts[which] <= columns[which].size else FULL_COLUMNS
        if not good or full:
            counts[FULL] = full if good else 0
            counts[:COLUMNS], counts[BAD] = before, 0
            break
        for i in range(count):
            if assignment > INDEPENDENT:
                join(values, i, assignment)
            for channel in range(channels):
                samples[done + i, channel] = values[channel, i]
        start, frame, done = end + 2, frame + 1, done + count
    return Place(start, frame, done)


@kernel
def write_frames(samples, frames, depth, choices, out):
    """Write frames.

    Args:
        samples: int32, (samples, channels).
        frames: their number.
        depth: bits a sample.
        choices: Choices, as read_frames gives them, with counts of zeros; BAD is set where something does not fit.
        out: uint8, zeros, gets the frames.

    Returns:
        The bytes that were written and the samples of a channel.
    """
    channels, counts, at, done = samples.shape[1], choices.counts, np.int64(0), 0
    values = np.zeros((channels, LARGEST_BLOCK), np.int64)
    residuals, weights = np.zeros(LARGEST_BLOCK, np.int64), np.zeros(LARGEST_ORDER, np.int64)
    for frame in range(frames):
        start = at >> 3
        at, assignment, count = write_header(out, at, frame, done, channels, samples.shape[0] - done, choices)
        if counts[BAD] or count == 0:
            counts[BAD] = 1
            return at >> 3, done
        for i in range(count):
            for channel in range(channels):
                values[channel, i] = samples[done + i, channel]
            if assignment > INDEPENDENT:
                split(values, i, assignment)
        for channel in range(channels):
            part = Channel(values[channel, :count], residuals[:count], weights)
            at = write_subframe(out, at, depth + is_side(assignment, channel), part, choices)
            if counts[BAD]:
                return at >> 3, done
        at = (at + 7) & ~7
        at = put(out, at, crc_16(out, start, at >> 3), 16, counts)
        done += count
    return at >> 3, done
