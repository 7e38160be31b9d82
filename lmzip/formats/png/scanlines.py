"""Scan lines of PNG (PNG specification, sections 7 to 9): rows of pixels as bytes, each behind the type of its filter.

The lines of all passes, one after the other, are what the zlib stream of a file decodes to.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmzip.formats.raw import BIG_ENDIAN, Rows, pack_rows, unpack_rows
from lmzip.formats.side_data import MAX_SAMPLES, Reader, Writer

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER_END = 33  # bytes of the signature and the IHDR chunk
GREY, COLOUR, INDEXED, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6  # colour types
CHANNELS = {GREY: 1, COLOUR: 3, INDEXED: 1, GREY_ALPHA: 2, COLOUR_ALPHA: 4}
DEPTHS = {GREY: (1, 2, 4, 8, 16), COLOUR: (8, 16), INDEXED: (1, 2, 4, 8), GREY_ALPHA: (8, 16), COLOUR_ALPHA: (8, 16)}
# The passes: first row, first column, steps to the next row and to the next column.
ONE_PASS = ((0, 0, 1, 1),)
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
FILTER_TYPES = 5
EACH, ALIKE = 0, 1  # how the types stand in side data: a byte for each line; ALIKE + the type that all lines have


class Header(NamedTuple):
    """What the IHDR chunk says. depth: bits a sample. colour: the colour type."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool

    @property
    def channels(self) -> int:
        """Return the samples a pixel."""
        return CHANNELS[self.colour]

    @property
    def step(self) -> int:
        """Return the bytes from a pixel to the next, as filters see it: at least one."""
        return max(1, self.channels * self.depth // 8)

    def create(self) -> bytes:
        """Return the data of the IHDR chunk. Twin: parse_header."""
        return struct.pack(">IIBBBBB", self.width, self.height, self.depth, self.colour, 0, 0, self.interlaced)

    def passes(self) -> Iterator[tuple[tuple[slice, slice], int, int]]:
        """Yield the pixels of each pass, its height and its width; a pass without pixels is left out."""
        for top, left, down, right in ADAM7 if self.interlaced else ONE_PASS:
            height, width = -((top - self.height) // down), -((left - self.width) // right)
            if height > 0 and width > 0:
                yield (slice(top, None, down), slice(left, None, right)), height, width

    def rows(self, width: int) -> Rows:
        """Return how the samples lie in a row of a pass of that width."""
        return Rows("image", width, self.channels, self.depth, self.depth, flags=BIG_ENDIAN if self.depth == 16 else 0)

    def size(self) -> int:
        """Return the bytes of all scan lines with their filter types."""
        return sum(height * (1 + self.rows(width).size) for _, height, width in self.passes())

    def line_ends(self) -> NDArray[np.int64]:
        """Return where each line ends, (lines,) int64."""
        lengths = [np.full(height, 1 + self.rows(width).size) for _, height, width in self.passes()]
        return np.cumsum(np.concatenate(lengths))


def parse_header(data: bytes) -> Header | None:
    """Read the signature and the IHDR chunk; None for what no PNG file has, or for more than MAX_SAMPLES."""
    if data[:16] != SIGNATURE + b"\0\0\0\x0dIHDR" or len(data) < HEADER_END:
        return None
    width, height, depth, colour, method, filtering, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    if method or filtering or interlaced > 1 or depth not in DEPTHS.get(colour, ()) or not (width and height):
        return None
    if struct.unpack_from(">I", data, 29)[0] != zlib.crc32(data[12:29]):
        return None
    header = Header(width, height, depth, colour, bool(interlaced))
    return header if width * height * header.channels <= MAX_SAMPLES and header.size() <= MAX_SAMPLES else None


def parse_lines(header: Header, lines: bytes) -> tuple[NDArray[Any] | None, NDArray[np.uint8]]:
    """Undo the filters: return the samples, (height, width, channels), and the filter type of each line.

    No samples are returned where a type is unknown. Twin: create_lines.
    """
    from lmzip.formats.png.filters import unfilter_rows

    dtype = np.uint8 if header.depth <= 8 else np.uint16
    samples = np.empty((header.height, header.width, header.channels), dtype)
    data, at, types = np.frombuffer(lines, np.uint8), 0, []
    for place, height, width in header.passes():
        rows = header.rows(width)
        table = data[at : at + height * (1 + rows.size)].reshape(height, 1 + rows.size)
        at += table.size
        types.append(table[:, 0].copy())
        if int(types[-1].max()) >= FILTER_TYPES:
            return None, types[-1]
        plain = np.empty((height, rows.size), np.uint8)
        unfilter_rows(table[:, 1:].copy(), types[-1], header.step, plain)
        samples[place] = unpack_rows(rows, plain)
    return samples, np.concatenate(types)


def create_lines(header: Header, samples: NDArray[Any], types: NDArray[np.uint8]) -> bytes:
    """Return the scan lines of samples, filtered by a type for each line. Twin: parse_lines."""
    from lmzip.formats.png.filters import filter_rows

    parts, at = [], 0
    for place, height, width in header.passes():
        rows = header.rows(width)
        table = np.empty((height, 1 + rows.size), np.uint8)
        table[:, 0] = types[at : at + height]
        at += height
        filtered = np.empty((height, rows.size), np.uint8)
        plain = pack_rows(rows, np.ascontiguousarray(samples[place]))
        filter_rows(plain, table[:, 0].copy(), header.step, filtered)
        table[:, 1:] = filtered
        parts.append(table.tobytes())
    return b"".join(parts)


def write_types(writer: Writer, types: NDArray[np.uint8]) -> None:
    """Append the filter types to side data. Twin: read_types."""
    if (types == types[0]).all():
        writer.numbers(ALIKE + int(types[0]))
    else:
        writer.numbers(EACH)
        writer.buffer += types.tobytes()


def read_types(reader: Reader, header: Header) -> NDArray[np.uint8]:
    """Read the filter types of all lines, (lines,) uint8; ValueError for one that PNG does not have."""
    count = sum(height for _, height, _ in header.passes())
    how = reader.number(ALIKE + FILTER_TYPES - 1)
    if how != EACH:
        return np.full(count, how - ALIKE, np.uint8)
    types = np.frombuffer(reader.read(count), np.uint8)
    if int(types.max()) >= FILTER_TYPES:
        raise ValueError("a filter that PNG does not have")
    return types
