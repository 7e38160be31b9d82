"""PNG: chunks, scan lines and their filters; the deflate stream is `deflate.py`'s."""

from __future__ import annotations

import array
import contextlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmzip.formats.raw import BIG_ENDIAN, Rows, pack_rows, unpack_rows
from lmzip.formats.side_data import (
    FEWEST_SAMPLES,
    MAX_SAMPLES,
    MAX_SIZE,
    PNG,
    Reader,
    Shape,
    Taken,
    Writer,
    create_shape,
    parse_shape,
)

SIGNATURE = b"\x89PNG\r\n\x1a\n"
INTERLACED, PALETTE = 1, 2  # flags of a rest
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
FILTERS = 5
EACH, ALIKE = 0, 1  # how the filters stand in the rest: a byte for each line; ALIKE + the filter of all lines


class Chunk(NamedTuple):
    """A chunk; crc is that of the file."""

    name: bytes
    data: bytes
    crc: int

    @property
    def is_right(self) -> bool:
        """Whether the crc fits."""
        return zlib.crc32(self.data, zlib.crc32(self.name)) == self.crc


class Header(NamedTuple):
    """What IHDR says."""

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
        """Return the bytes from a pixel to the next, as filters see it."""
        return max(1, self.channels * self.depth // 8)

    def create(self) -> bytes:
        """Return the data of the chunk."""
        return struct.pack(">IIBBBBB", self.width, self.height, self.depth, self.colour, 0, 0, self.interlaced)

    def passes(self) -> Iterator[tuple[tuple[slice, slice], int, int]]:
        """Give the pixels of each pass, its height and its width; passes without pixels are left out."""
        for top, left, down, right in ADAM7 if self.interlaced else ((0, 0, 1, 1),):
            height, width = -((top - self.height) // down), -((left - self.width) // right)
            if height > 0 and width > 0:
                yield (slice(top, None, down), slice(left, None, right)), height, width

    def rows(self, width: int) -> Rows:
        """Return how the samples of a row lie."""
        return Rows("image", width, self.channels, self.depth, self.depth, flags=BIG_ENDIAN if self.depth == 16 else 0)

    def size(self) -> int:
        """Return the bytes of all scan lines with their filters."""
        return sum(height * (1 + self.rows(width).size) for _, height, width in self.passes())

    def pieces(self) -> NDArray[np.int64]:
        """Return where each line ends."""
        lengths = [np.full(height, 1 + self.rows(width).size) for _, height, width in self.passes()]
        return np.cumsum(np.concatenate(lengths))


def _parse_chunks(data: bytes, offset: int) -> Iterator[tuple[Chunk, int]]:
    """Give each chunk and where it ends."""
    while offset + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, offset)
        end = offset + 12 + size
        if end > len(data):
            return
        (crc,) = struct.unpack_from(">I", data, end - 4)
        yield Chunk(data[offset + 4 : offset + 8], data[offset + 8 : end - 4], crc), end
        offset = end


def _create_chunk(chunk: Chunk) -> bytes:
    return struct.pack(">I", len(chunk.data)) + chunk.name + chunk.data + struct.pack(">I", chunk.crc)


def _write_chunks(writer: Writer, chunks: list[Chunk]) -> None:
    writer.numbers(len(chunks))
    for chunk in chunks:
        writer.numbers(len(chunk.data) << 1 | (not chunk.is_right))
        writer.buffer += chunk.name + chunk.data + (b"" if chunk.is_right else struct.pack(">I", chunk.crc))


def _read_chunks(reader: Reader) -> bytearray:
    chunks = bytearray()  # and no object for each: there may be millions
    for _ in range(reader.number(len(reader.buffer))):
        size = reader.number(2 * len(reader.buffer) + 1)
        name, data = reader.take(4), reader.take(size >> 1)
        crc = struct.unpack(">I", reader.take(4))[0] if size & 1 else zlib.crc32(data, zlib.crc32(name))
        chunks += _create_chunk(Chunk(name, data, crc))
    return chunks


def parse_header(data: bytes) -> Header | None:
    """Read the signature and IHDR; None for what no PNG has."""
    if data[:16] != SIGNATURE + b"\0\0\0\x0dIHDR" or len(data) < 33:
        return None
    width, height, depth, colour, method, filtering, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    if method or filtering or interlaced > 1 or depth not in DEPTHS.get(colour, ()) or not (width and height):
        return None
    if struct.unpack_from(">I", data, 29)[0] != zlib.crc32(data[12:29]):
        return None
    header = Header(width, height, depth, colour, bool(interlaced))
    return header if width * height * header.channels <= MAX_SAMPLES and header.size() <= MAX_SAMPLES else None


@dataclass(frozen=True)
class PNGLayout:
    """A PNG, which is one block or none."""

    kind: str = "image"
    whole: bool = True

    def block_end(self, start: int, most: int) -> int:
        """Return the end of a full block."""
        return start + most

    def take(self, data: bytes, start: int) -> Taken | None:
        """Take apart a whole file; None where it is damaged or was written by an encoder that is not known."""
        header = parse_header(data) if start == 0 else None
        return _take(header, data) if header else None


def find_png(head: bytes) -> PNGLayout | None:
    """Find out whether it is a PNG."""
    return PNGLayout() if parse_header(head) else None


def _take(header: Header, data: bytes) -> Taken | None:
    from lmzip.formats.deflate.deflate import describe

    before: list[Chunk] = []
    idat: list[Chunk] = []
    after: list[Chunk] = []
    end = 33
    for chunk, chunk_end in _parse_chunks(data, end):
        end = chunk_end
        if chunk.name == b"IDAT" and not after:
            idat.append(chunk)
        else:
            (after if idat else before).append(chunk)
        if chunk.name == b"IEND":
            break
    stream = b"".join(chunk.data for chunk in idat)
    if header.width * header.height * header.channels < FEWEST_SAMPLES or len(stream) < 2:
        return None
    found = describe(stream, header.size(), header.pieces())
    if found is None:
        return None
    lines, used, described = found
    samples, filters = unfilter(header, lines)
    if samples is None:
        return None
    palette = header.colour == 3
    writer = Writer()
    create_shape(writer, PNG, Shape("image", samples.shape, header.depth, palette))
    writer.numbers(header.interlaced * INTERLACED + palette * PALETTE)
    _write_chunks(writer, before)
    _write_sizes(writer, idat)
    writer.buffer += stream[:2]
    writer.string(described)
    writer.string(b"" if stream[used:] == struct.pack(">I", zlib.adler32(lines)) else stream[used:])
    _write_filters(writer, filters)
    _write_chunks(writer, after)
    writer.buffer += data[end:]
    rest = bytes(writer.buffer)
    reader = Reader(rest)
    with contextlib.suppress(ValueError):  # what no encoder writes, such as 258 bytes as 227 + 31
        if put_png_together(parse_shape(reader)[1], samples, reader) == data:
            return Taken("image", samples, header.depth, palette, rest)
    return None


def put_png_together(shape: Shape, samples: NDArray[Any], reader: Reader) -> bytes:
    """Return the file; ValueError for a rest that _take never writes."""
    from lmzip.formats.deflate.deflate import deflate

    flags = reader.number(INTERLACED + PALETTE)
    height, width, channels = shape.shape
    colour = 3 if flags & PALETTE else {1: 0, 2: 4, 3: 2, 4: 6}.get(channels, 7)
    if shape.depth not in DEPTHS.get(colour, ()) or CHANNELS[colour] != channels:
        raise ValueError(f"no PNG has {channels} channels of {shape.depth} bits")
    header = Header(width, height, shape.depth, colour, bool(flags & INTERLACED))
    if header.size() > MAX_SAMPLES:
        raise ValueError("scan lines of more bytes than lmzip takes")
    before, sizes = _read_chunks(reader), _read_sizes(reader)
    start, described, ending = reader.take(2), reader.string(), reader.string()
    lines = filter_(header, samples, reader)
    deflated = deflate(described, np.frombuffer(lines, np.uint8), header.pieces())
    stream = start + deflated + (ending or struct.pack(">I", zlib.adler32(lines)))
    parts: list[bytes | bytearray] = [
        SIGNATURE,
        _create(b"IHDR", header.create()),
        before,
        _cut(stream, sizes),
        _read_chunks(reader),
    ]
    return b"".join(parts) + reader.remaining()


def _create(name: bytes, data: bytes) -> bytes:
    return _create_chunk(Chunk(name, data, zlib.crc32(data, zlib.crc32(name))))


def _write_sizes(writer: Writer, idat: list[Chunk]) -> None:
    """Append the sizes of the IDAT chunks: one, where all but the last, which is no larger, have it."""
    sizes = [len(chunk.data) for chunk in idat]
    if all(chunk.is_right for chunk in idat) and set(sizes[:-1]) <= {sizes[0]} and 0 < sizes[-1] <= sizes[0]:
        writer.numbers(sizes[0] if len(sizes) > 1 else 1 << 31)
        return
    writer.numbers(0, len(idat))
    for chunk in idat:
        writer.numbers(len(chunk.data) << 1 | (not chunk.is_right))
        writer.buffer += b"" if chunk.is_right else struct.pack(">I", chunk.crc)


def _read_sizes(reader: Reader) -> int | array.array[int]:
    """Return the one size, or of each chunk its size and crc, -1 for the right one."""
    size = reader.number(1 << 31)
    if size:
        return size
    sizes = array.array("q")
    for _ in range(reader.number(MAX_SIZE // 12)):
        size = reader.number((1 << 32) - 1)
        sizes.extend((size >> 1, struct.unpack(">I", reader.take(4))[0] if size & 1 else -1))
    return sizes


def _cut(stream: bytes, sizes: int | array.array[int]) -> bytearray:
    """Return the IDAT chunks."""
    chunks, at = bytearray(), 0
    if isinstance(sizes, int):
        for at in range(0, len(stream), sizes):
            chunks += _create(b"IDAT", stream[at : at + sizes])
        return chunks
    if sum(sizes[::2]) != len(stream):
        raise ValueError("the sizes of the IDAT chunks are not those of the stream")
    for size, crc in zip(sizes[::2], sizes[1::2], strict=True):
        data, at = stream[at : at + size], at + size
        chunks += _create(b"IDAT", data) if crc < 0 else _create_chunk(Chunk(b"IDAT", data, crc))
    return chunks


def unfilter(header: Header, lines: bytes) -> tuple[NDArray[Any] | None, NDArray[np.uint8]]:
    """Return the samples and the filter of each line; no samples where a filter is unknown."""
    from lmzip.formats.png.filters import unfilter_rows

    kind = np.uint8 if header.depth <= 8 else np.uint16
    samples = np.empty((header.height, header.width, header.channels), kind)
    data, at, filters = np.frombuffer(lines, np.uint8), 0, []
    for place, height, width in header.passes():
        rows = header.rows(width)
        table = data[at : at + height * (1 + rows.size)].reshape(height, 1 + rows.size)
        at += table.size
        filters.append(table[:, 0].copy())
        if int(filters[-1].max()) >= FILTERS:
            return None, filters[-1]
        plain = np.empty((height, rows.size), np.uint8)
        unfilter_rows(table[:, 1:].copy(), filters[-1], header.step, plain)
        samples[place] = unpack_rows(rows, plain)
    return samples, np.concatenate(filters)


def filter_(header: Header, samples: NDArray[Any], reader: Reader) -> bytes:
    """Return the scan lines, with the filters that the rest says."""
    from lmzip.formats.png.filters import filter_rows

    filters = _read_filters(reader, sum(height for _, height, _ in header.passes()))
    parts, at = [], 0
    for place, height, width in header.passes():
        rows = header.rows(width)
        table = np.empty((height, 1 + rows.size), np.uint8)
        table[:, 0] = filters[at : at + height]
        at += height
        filtered = np.empty((height, rows.size), np.uint8)
        plain = pack_rows(rows, np.ascontiguousarray(samples[place]))
        filter_rows(plain, table[:, 0].copy(), header.step, filtered)
        table[:, 1:] = filtered
        parts.append(table.tobytes())
    return b"".join(parts)


def _write_filters(writer: Writer, filters: NDArray[np.uint8]) -> None:
    if (filters == filters[0]).all():
        writer.numbers(ALIKE + int(filters[0]))
    else:
        writer.numbers(EACH)
        writer.buffer += filters.tobytes()


def _read_filters(reader: Reader, count: int) -> NDArray[np.uint8]:
    how = reader.number(ALIKE + FILTERS - 1)
    if how:
        return np.full(count, how - ALIKE, np.uint8)
    filters = np.frombuffer(reader.take(count), np.uint8)
    if int(filters.max()) >= FILTERS:
        raise ValueError("a filter that PNG does not have")
    return filters
