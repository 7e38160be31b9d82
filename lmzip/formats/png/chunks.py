"""Chunks of PNG (PNG specification, section 5), in a file and in side data (FORMAT.md section 10.3).

A chunk is its length, its name of four letters, its data and a CRC of name and data. Side data holds a CRC only where
it is a wrong one. IDAT chunks hold the zlib stream, cut into pieces; side data says where.
"""

from __future__ import annotations

import array
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from lmzip.formats.side_data import MAX_SIZE, Reader, Writer

SMALLEST = 12  # bytes of a chunk without data
IN_ONE = 1 << 31  # as the size of the IDAT chunks in side data: there is one, which holds the whole stream
RIGHT = -1  # in place of a CRC: the right one
# Of IDAT chunks: the size of all but the last, or the size and the CRC of each.
Sizes: TypeAlias = "int | array.array[int]"


class Chunk(NamedTuple):
    """A chunk of a file. crc: the one that the file has."""

    name: bytes
    data: bytes
    crc: int

    @property
    def is_right(self) -> bool:
        """Whether the CRC is that of name and data."""
        return zlib.crc32(self.data, zlib.crc32(self.name)) == self.crc


def parse_chunks(data: bytes, offset: int) -> Iterator[tuple[Chunk, int]]:
    """Yield each chunk from an offset on, and the offset behind it; the last is the last that is whole."""
    while offset + SMALLEST <= len(data):
        (size,) = struct.unpack_from(">I", data, offset)
        end = offset + SMALLEST + size
        if end > len(data):
            return
        (crc,) = struct.unpack_from(">I", data, end - 4)
        yield Chunk(data[offset + 4 : offset + 8], data[offset + 8 : end - 4], crc), end
        offset = end


def create_chunk(name: bytes, data: bytes, crc: int = RIGHT) -> bytes:
    """Return a chunk as it stands in a file."""
    crc = zlib.crc32(data, zlib.crc32(name)) if crc == RIGHT else crc
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)


def write_chunks(writer: Writer, chunks: list[Chunk]) -> None:
    """Append chunks to side data. Twin: read_chunks."""
    writer.numbers(len(chunks))
    for chunk in chunks:
        writer.numbers(len(chunk.data) << 1 | (not chunk.is_right))
        writer.buffer += chunk.name + chunk.data + (b"" if chunk.is_right else struct.pack(">I", chunk.crc))


def read_chunks(reader: Reader) -> bytearray:
    """Read what write_chunks wrote; return the chunks as they stand in a file, and no object for each of millions."""
    chunks = bytearray()
    for _ in range(reader.number(len(reader.buffer))):
        size = reader.number(2 * len(reader.buffer) + 1)
        name, data = reader.read(4), reader.read(size >> 1)
        chunks += create_chunk(name, data, struct.unpack(">I", reader.read(4))[0] if size & 1 else RIGHT)
    return chunks


def write_sizes(writer: Writer, idat: list[Chunk]) -> None:
    """Append the sizes of the IDAT chunks to side data: one, where all but the last, which is no larger, have it."""
    sizes = [len(chunk.data) for chunk in idat]
    if all(chunk.is_right for chunk in idat) and set(sizes[:-1]) <= {sizes[0]} and 0 < sizes[-1] <= sizes[0]:
        writer.numbers(sizes[0] if len(sizes) > 1 else IN_ONE)
        return
    writer.numbers(0, len(idat))
    for chunk in idat:
        writer.numbers(len(chunk.data) << 1 | (not chunk.is_right))
        writer.buffer += b"" if chunk.is_right else struct.pack(">I", chunk.crc)


def read_sizes(reader: Reader) -> Sizes:
    """Read what write_sizes wrote."""
    size = reader.number(IN_ONE)
    if size:
        return size
    sizes = array.array("q")
    for _ in range(reader.number(MAX_SIZE // SMALLEST)):
        size = reader.number((1 << 32) - 1)
        sizes.extend((size >> 1, struct.unpack(">I", reader.read(4))[0] if size & 1 else RIGHT))
    return sizes


def cut_stream(stream: bytes, sizes: Sizes) -> bytearray:
    """Return a zlib stream as IDAT chunks; ValueError where the sizes are not those of the stream."""
    chunks, at = bytearray(), 0
    if isinstance(sizes, int):
        for at in range(0, len(stream), sizes):
            chunks += create_chunk(b"IDAT", stream[at : at + sizes])
        return chunks
    if sum(sizes[::2]) != len(stream):
        raise ValueError("the sizes of the IDAT chunks are not those of the stream")
    for size, crc in zip(sizes[::2], sizes[1::2], strict=True):
        chunks += create_chunk(b"IDAT", stream[at : at + size], crc)
        at += size
    return chunks
