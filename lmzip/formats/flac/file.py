"""FLAC files (RFC 9639) as samples and side data (FORMAT.md section 10.9).

A file is the magic, blocks of metadata and frames. The frames (`frames.py`) follow from the samples and from what the
encoder chose, which is side data as eight columns of numbers. All else is side data as it is: the metadata, and what
stands behind the last frame that is whole.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmzip.formats.layout import WholeFile
from lmzip.formats.side_data import (
    FEWEST_SAMPLES,
    FLAC,
    MAX_SAMPLES,
    MAX_SIZE,
    Deconstructed,
    Reader,
    Shape,
    Writer,
    create_shape,
    parse_shape,
)

MAGIC = b"fLaC"
STREAMINFO = b"\0\0\0\x22"  # the header of the first block of metadata, without its flag LAST
STREAMINFO_END = 42  # bytes of the magic and this block
LAST = 0x80  # flag of the last block of metadata
MOST_NUMBER = 1 << 17  # the largest number in a column
MOST_BITS = 1 << 13  # of samples for a byte of the file, on average; silence has more, and is cut off


def _parse_info(data: bytes) -> tuple[int, int, int] | None:
    """Read the channels, the bits a sample and the samples a channel (0: not stated) from STREAMINFO.

    Returns None for what is no FLAC file.
    """
    if data[:4] != MAGIC or len(data) < STREAMINFO_END or bytes([data[4] & ~LAST & 0xFF]) + data[5:8] != STREAMINFO:
        return None
    # Section 8.2: 20 bits of sample rate, 3 of channels less 1, 5 of bits a sample less 1, 36 of samples.
    fields = int.from_bytes(data[18:26], "big")
    return (fields >> 41 & 7) + 1, (fields >> 36 & 31) + 1, fields & ((1 << 36) - 1)


def _metadata_end(data: bytes) -> int:
    """Return where the frames begin, or the end of the data."""
    at, last = 4, False
    while not last and at + 4 <= len(data):
        last, at = data[at] >= LAST, at + 4 + int.from_bytes(data[at + 1 : at + 4], "big")
    return min(at, len(data))


class FLACLayout(WholeFile):
    """A FLAC file."""

    kind = "audio"

    def deconstruct(self, data: bytes, start: int) -> Deconstructed | None:
        """Deconstruct a whole file, up to the first frame that is damaged; None where that is too little."""
        info = _parse_info(data) if start == 0 else None
        return _deconstruct(data, *info) if info else None


def detect_flac(head: bytes) -> FLACLayout | None:
    """Return the layout of a FLAC file; None for others."""
    return FLACLayout() if _parse_info(head) else None


def _deconstruct(data: bytes, channels: int, depth: int, stated: int) -> Deconstructed | None:
    from lmzip.formats.flac.choices import COLUMNS, COUNTS, FULL, FULL_COLUMNS, FULL_SAMPLES, Choices
    from lmzip.formats.flac.frames import LARGEST_BLOCK, SPARE, Place, read_frames  # numba takes its time

    begin = _metadata_end(data)
    size = len(data) - begin
    most = min(MAX_SAMPLES // channels, MOST_BITS * len(data) // (channels * depth), stated or MAX_SAMPLES)
    # Memory grows with what is found: most files have some four bytes of samples a byte, and few numbers.
    samples = np.zeros((min(most, 2 * size // channels + LARGEST_BLOCK), channels), np.int32)
    columns = tuple(np.zeros(size // 32 + LARGEST_BLOCK, np.int32) for _ in range(COLUMNS))
    counts, place = np.zeros(COUNTS, np.int64), Place(0, 0, 0)
    coded = np.frombuffer(bytearray(data[begin:] + bytes(SPARE)), np.uint8)
    while True:
        used, frames, done = place = read_frames(coded, size, depth, samples, Choices(columns, counts), place)
        if counts[FULL] == FULL_SAMPLES and len(samples) < most:
            samples = _grown(samples, most)
        elif counts[FULL] == FULL_COLUMNS and columns[0].size < 2 * size:
            columns = tuple(_grown(column, 2 * size) for column in columns)
        else:
            break
    if done * channels < FEWEST_SAMPLES:
        return None
    samples = samples[:done]
    writer = Writer()
    create_shape(writer, FLAC, Shape("audio", samples.shape, depth, False))
    writer.string(data[:begin])
    writer.numbers(used, frames)
    for column, count in zip(columns, counts, strict=False):
        writer.numbers(int(count))
        writer.array(column[:count])
    writer.buffer += data[begin + used :]
    side_data = bytes(writer.buffer)
    reader = Reader(side_data)
    shape = parse_shape(reader)[1]
    with contextlib.suppress(ValueError):
        if reconstruct_flac(shape, samples, reader) == data:
            return Deconstructed("audio", samples, depth, False, side_data)
    return None


def _grown(array: NDArray[Any], most: int) -> NDArray[Any]:
    """Return a copy of an array that is twice as long, `most` at most, filled up with zeros."""
    result = np.zeros((min(2 * len(array), most), *array.shape[1:]), array.dtype)
    result[: len(array)] = array
    return result


def reconstruct_flac(shape: Shape, samples: NDArray[Any], reader: Reader) -> bytes:
    """Return the file; ValueError for side data that _deconstruct never writes.

    reader: of the side data; the shape was read from it.
    """
    from lmzip.formats.flac.choices import BAD, COLUMNS, COUNTS, Choices
    from lmzip.formats.flac.frames import write_frames

    metadata = reader.string()
    size, frames = reader.number(MAX_SIZE), reader.number(MAX_SAMPLES)
    columns = [reader.array(reader.number(len(reader.buffer)), MOST_NUMBER, np.int32) for _ in range(COLUMNS)]
    out, counts = np.zeros(size, np.uint8), np.zeros(COUNTS, np.int64)
    used, done = write_frames(samples, frames, shape.depth, Choices(tuple(columns), counts), out)
    if counts[BAD] or used != size or done != len(samples) or counts[:COLUMNS].tolist() != [c.size for c in columns]:
        raise ValueError("frames that do not fit the samples")
    return metadata + out.tobytes() + reader.remaining()
