"""PNG files (PNG specification, third edition) as pixels and side data (FORMAT.md section 10.3).

A file is a signature and chunks (`chunks.py`). The data of its IDAT chunks is a zlib stream of filtered scan lines
(`scanlines.py`). The lines follow from the pixels and the types of filters; the stream follows from the lines and a
description of what its encoder chose (`lmzip.formats.deflate.stream`). All else is side data as it is.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmzip.formats.layout import WholeFile
from lmzip.formats.png.chunks import (
    Chunk,
    create_chunk,
    cut_stream,
    parse_chunks,
    read_chunks,
    read_sizes,
    write_chunks,
    write_sizes,
)
from lmzip.formats.png.scanlines import (
    CHANNELS,
    COLOUR,
    COLOUR_ALPHA,
    DEPTHS,
    GREY,
    GREY_ALPHA,
    HEADER_END,
    INDEXED,
    SIGNATURE,
    Header,
    create_lines,
    parse_header,
    parse_lines,
    read_types,
    write_types,
)
from lmzip.formats.side_data import (
    FEWEST_SAMPLES,
    MAX_SAMPLES,
    PNG,
    Deconstructed,
    Reader,
    Shape,
    Writer,
    create_shape,
    parse_shape,
)

INTERLACED, PALETTE = 1, 2  # flags of the side data
COLOUR_TYPES = {1: GREY, 2: GREY_ALPHA, 3: COLOUR, 4: COLOUR_ALPHA}  # by the number of channels, without a palette


class PNGLayout(WholeFile):
    """A PNG file."""

    kind = "image"

    def deconstruct(self, data: bytes, start: int) -> Deconstructed | None:
        """Deconstruct a whole file; None where it is damaged, or what its encoder chose takes too much."""
        header = parse_header(data) if start == 0 else None
        return _deconstruct(header, data) if header else None


def detect_png(head: bytes) -> PNGLayout | None:
    """Return the layout of a PNG file; None for others."""
    return PNGLayout() if parse_header(head) else None


def _deconstruct(header: Header, data: bytes) -> Deconstructed | None:
    from lmzip.formats.deflate.stream import deconstruct_stream  # numba takes its time

    before: list[Chunk] = []
    idat: list[Chunk] = []
    after: list[Chunk] = []
    end = HEADER_END
    for chunk, chunk_end in parse_chunks(data, end):
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
    found = deconstruct_stream(stream, header.size(), header.line_ends())
    if found is None:
        return None
    lines, used, description = found
    samples, types = parse_lines(header, lines)
    if samples is None:
        return None
    palette = header.colour == INDEXED
    writer = Writer()
    create_shape(writer, PNG, Shape("image", samples.shape, header.depth, palette))
    writer.numbers(header.interlaced * INTERLACED + palette * PALETTE)
    write_chunks(writer, before)
    write_sizes(writer, idat)
    writer.buffer += stream[:2]
    writer.string(description)
    writer.string(b"" if stream[used:] == _adler(lines) else stream[used:])
    write_types(writer, types)
    write_chunks(writer, after)
    writer.buffer += data[end:]
    side_data = bytes(writer.buffer)
    reader = Reader(side_data)
    with contextlib.suppress(ValueError):  # what no encoder writes, such as 258 bytes as 227 + 31
        if reconstruct_png(parse_shape(reader)[1], samples, reader) == data:
            return Deconstructed("image", samples, header.depth, palette, side_data)
    return None


def reconstruct_png(shape: Shape, samples: NDArray[Any], reader: Reader) -> bytes:
    """Return the file; ValueError for side data that _deconstruct never writes.

    reader: of the side data; the shape was read from it.
    """
    from lmzip.formats.deflate.stream import reconstruct_stream

    flags = reader.number(INTERLACED + PALETTE)
    height, width, channels = shape.shape
    colour = INDEXED if flags & PALETTE else COLOUR_TYPES.get(channels, -1)
    if shape.depth not in DEPTHS.get(colour, ()) or CHANNELS[colour] != channels:
        raise ValueError(f"no PNG has {channels} channels of {shape.depth} bits")
    header = Header(width, height, shape.depth, colour, bool(flags & INTERLACED))
    if header.size() > MAX_SAMPLES:
        raise ValueError("scan lines of more bytes than lmzip takes")
    before, sizes = read_chunks(reader), read_sizes(reader)
    zlib_header, description, ending = reader.read(2), reader.string(), reader.string()
    lines = create_lines(header, samples, read_types(reader, header))
    deflated = reconstruct_stream(description, np.frombuffer(lines, np.uint8), header.line_ends())
    stream = zlib_header + deflated + (ending or _adler(lines))
    parts: list[bytes | bytearray] = [
        SIGNATURE,
        create_chunk(b"IHDR", header.create()),
        before,
        cut_stream(stream, sizes),
        read_chunks(reader),
    ]
    return b"".join(parts) + reader.remaining()


def _adler(lines: bytes) -> bytes:
    """Return the check value that a zlib stream ends with (RFC 1950)."""
    return struct.pack(">I", zlib.adler32(lines))
