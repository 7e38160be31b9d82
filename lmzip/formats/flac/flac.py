"""FLAC (RFC 9639): the samples of its frames, and what the encoder chose; the frames are `flac_frames.py`'s."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmzip.formats.side_data import (
    FEWEST_SAMPLES,
    FLAC,
    MAX_SAMPLES,
    MAX_SIZE,
    Reader,
    Shape,
    Taken,
    Writer,
    create_shape,
    parse_shape,
)

MAGIC = b"fLaC"
STREAMINFO = b"\0\0\0\x22"  # the header of the first block of metadata, but for the flag of the last
LAST = 0x80
MOST_NUMBER = 1 << 17  # in a column
MOST_BITS = 1 << 13  # of samples for a byte of the file, on average; silence has more


def _parse_info(data: bytes) -> tuple[int, int, int] | None:
    """Read channels, bits a sample and samples (0: not stated) of the first block of metadata."""
    if data[:4] != MAGIC or len(data) < 42 or bytes([data[4] & ~LAST & 0xFF]) + data[5:8] != STREAMINFO:
        return None
    fields = int.from_bytes(data[18:26], "big")
    return (fields >> 41 & 7) + 1, (fields >> 36 & 31) + 1, fields & ((1 << 36) - 1)


def _metadata_end(data: bytes) -> int:
    """Return where the frames begin, or the end of the data."""
    at, last = 4, False
    while not last and at + 4 <= len(data):
        last, at = data[at] >= LAST, at + 4 + int.from_bytes(data[at + 1 : at + 4], "big")
    return min(at, len(data))


@dataclass(frozen=True)
class FLACLayout:
    """A FLAC file, which is one block or none."""

    kind: str = "audio"
    whole: bool = True

    def block_end(self, start: int, most: int) -> int:
        """Return the end of a full block."""
        return start + most

    def take(self, data: bytes, start: int) -> Taken | None:
        """Take apart a whole file, the frames before a damage; None where there are too few."""
        info = _parse_info(data) if start == 0 else None
        return _take(data, *info) if info else None


def find_flac(head: bytes) -> FLACLayout | None:
    """Find out whether it is a FLAC file."""
    return FLACLayout() if _parse_info(head) else None


def _take(data: bytes, channels: int, depth: int, stated: int) -> Taken | None:
    from lmzip.formats.flac.frames import COLUMNS, FULL, FULL_COLUMNS, FULL_SAMPLES, LARGEST_BLOCK, SPARE, read_frames

    begin = _metadata_end(data)
    size = len(data) - begin
    most = min(MAX_SAMPLES // channels, MOST_BITS * len(data) // (channels * depth), stated or MAX_SAMPLES)
    # Memory grows with what is found: most files have some four bytes of samples a byte, and few numbers.
    samples = np.zeros((min(most, 2 * size // channels + LARGEST_BLOCK), channels), np.int32)
    columns = tuple(np.zeros(size // 32 + LARGEST_BLOCK, np.int32) for _ in range(COLUMNS))
    counts, place = np.zeros(COLUMNS + 2, np.int64), (0, 0, 0)
    coded = np.frombuffer(bytearray(data[begin:] + bytes(SPARE)), np.uint8)
    while True:
        used, frames, done = place = read_frames(coded, size, depth, samples, columns, counts, place)
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
        writer.numbers(int(count), *column[:count].tolist())
    writer.buffer += data[begin + used :]
    rest = bytes(writer.buffer)
    reader = Reader(rest)
    shape = parse_shape(reader)[1]
    with contextlib.suppress(ValueError):
        if put_flac_together(shape, samples, reader) == data:
            return Taken("audio", samples, depth, False, rest)
    return None


def _grown(array: NDArray[Any], most: int) -> NDArray[Any]:
    """Return an array with the same begin that is twice as long, `most` at most."""
    result = np.zeros((min(2 * len(array), most), *array.shape[1:]), array.dtype)
    result[: len(array)] = array
    return result


def put_flac_together(shape: Shape, samples: NDArray[Any], reader: Reader) -> bytes:
    """Return the file; ValueError for a rest that _take never writes."""
    from lmzip.formats.flac.frames import BAD, COLUMNS, write_frames

    metadata = reader.string()
    size, frames = reader.number(MAX_SIZE), reader.number(MAX_SAMPLES)
    columns = [reader.numbers(reader.number(len(reader.buffer)), MOST_NUMBER, np.int32) for _ in range(COLUMNS)]
    out, counts = np.zeros(size, np.uint8), np.zeros(COLUMNS + 1, np.int64)
    used, done = write_frames(samples, frames, shape.depth, tuple(columns), counts, out)
    if counts[BAD] or used != size or done != len(samples) or counts[:COLUMNS].tolist() != [c.size for c in columns]:
        raise ValueError("frames that do not fit the samples")
    return metadata + out.tobytes() + reader.remaining()
