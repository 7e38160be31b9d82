"""Samples that stand in a file as they are: rows of pixels or frames of sound, one after the other.

The modules of BMP, Netpbm, TIFF, WAV and AIFF say with a `Rows` how the samples lie, and with a `RawLayout` where; PNG
uses `Rows` for its scan lines. FORMAT.md section 10.2 describes the side data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmzip.formats.side_data import (
    FEWEST_SAMPLES,
    MAX_SAMPLES,
    RAW,
    Deconstructed,
    Reader,
    Shape,
    Writer,
    create_shape,
    parse_shape,
)

BIG_ENDIAN, UNSIGNED, BOTTOM_UP, SWAPPED, PADDED = (1 << bit for bit in range(5))  # flags of Rows
MAX_PADDING = 3  # bytes
UNKNOWN_COUNT = 1 << 40  # rows or frames, where the file does not say how many there are: more than any has


@dataclass(frozen=True)
class Rows:
    """How the samples of rows lie in bytes.

    Attributes:
        kind: "image" or "audio".
        width: pixels a row; 1 for audio.
        channels: samples a pixel or frame.
        bits: bits of a sample in the file. Samples of fewer than 8 bits are packed, the first in the highest bits, and
            each row begins with a byte.
        depth: bits of a sample that are used.
        palette: whether the samples are indices of a palette.
        flags: the sum of BIG_ENDIAN, UNSIGNED (audio: 2^(depth - 1) means silence), BOTTOM_UP (the last row comes
            first) and SWAPPED (the first and the third channel are exchanged).
        padding: bytes after each row.
    """

    kind: str
    width: int
    channels: int
    bits: int
    depth: int
    palette: bool = False
    flags: int = 0
    padding: int = 0

    @property
    def size(self) -> int:
        """Bytes of a row without its padding."""
        return (self.width * self.channels * self.bits + 7) // 8

    @property
    def stride(self) -> int:
        """Bytes from a row to the next."""
        return self.size + self.padding


def unpack_rows(rows: Rows, data: NDArray[np.uint8]) -> NDArray[Any]:
    """Return the samples of rows, as Deconstructed has them. Twin: pack_rows.

    data: uint8, (rows, rows.size), without padding.
    """
    items = rows.width * rows.channels
    pixels: NDArray[Any]
    if rows.bits < 8:
        steps = np.arange(8 - rows.bits, -1, -rows.bits, dtype=np.uint8)
        pixels = (data[:, :, None] >> steps & ((1 << rows.bits) - 1)).reshape(len(data), -1)[:, :items]
    elif rows.bits == 8:
        pixels = data
    elif rows.bits == 24:
        order = (2, 1, 0) if rows.flags & BIG_ENDIAN else (0, 1, 2)
        parts = [data[:, at::3].astype(np.int32) for at in order]
        pixels = parts[0] | parts[1] << 8 | parts[2] << 16
    else:
        pixels = data.view(f"{'>' if rows.flags & BIG_ENDIAN else '<'}u{rows.bits // 8}")
    if rows.kind == "audio":
        pixels = pixels.astype(np.uint32)
        shift = 32 - rows.bits
        if rows.flags & UNSIGNED:
            pixels ^= np.uint32(1 << rows.bits - 1)
        return (pixels << np.uint32(shift)).view(np.int32).__rshift__(np.int32(shift)).reshape(-1, rows.channels)
    pixels = pixels.astype(np.uint8 if rows.depth <= 8 else np.uint16).reshape(len(data), rows.width, rows.channels)
    if rows.flags & SWAPPED:
        pixels = pixels[:, :, _swapped(rows.channels)]
    return np.ascontiguousarray(pixels[::-1] if rows.flags & BOTTOM_UP else pixels)


def pack_rows(rows: Rows, samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the bytes of samples, uint8, (rows, rows.size). Twin: unpack_rows."""
    count = samples.shape[0]
    if rows.flags & BOTTOM_UP:
        samples = samples[::-1]
    if rows.flags & SWAPPED:
        samples = samples[:, :, _swapped(rows.channels)]
    flat = samples.reshape(count, -1)
    if rows.kind == "audio":
        flat = flat.view(np.uint32) if flat.flags.c_contiguous else np.ascontiguousarray(flat).view(np.uint32)
        if rows.flags & UNSIGNED:
            flat = flat ^ np.uint32(1 << rows.bits - 1)
    if rows.bits < 8:
        packed = np.zeros((count, rows.size), np.uint8)
        each = 8 // rows.bits
        for at in range(each):
            part = flat[:, at::each]
            packed[:, : part.shape[1]] |= part << np.uint8(8 - rows.bits * (at + 1))
        return packed
    if rows.bits == 24:
        packed = np.empty((count, rows.size), np.uint8)
        for at, place in enumerate((2, 1, 0) if rows.flags & BIG_ENDIAN else (0, 1, 2)):
            packed[:, place::3] = flat >> np.uint32(8 * at) & np.uint32(0xFF)
        return packed
    order = ">" if rows.flags & BIG_ENDIAN else "<"
    return np.ascontiguousarray(flat.astype(f"{order}u{rows.bits // 8}")).view(np.uint8).reshape(count, -1)


def _swapped(channels: int) -> list[int]:
    """Return the order of channels in which the first and the third are exchanged."""
    return [2, 1, 0, *range(3, channels)]


def deconstruct_rows(rows: Rows, head: bytes, data: bytes, tail: bytes) -> Deconstructed | None:
    """Deconstruct head + data + tail, of which data is whole rows. Twin: reconstruct_rows.

    Returns None for too few samples, or too many.
    """
    whole = np.frombuffer(data, np.uint8).reshape(-1, rows.stride)
    padding = b"" if not rows.padding else whole[:, rows.size :].tobytes()
    samples = unpack_rows(rows, np.ascontiguousarray(whole[:, : rows.size]))
    depth = rows.depth
    if rows.kind == "image" and rows.bits in (8, 16) and int(samples.max()) >> depth:
        depth = rows.bits  # the header says less than the samples need
    if not FEWEST_SAMPLES <= samples.size <= MAX_SAMPLES:
        return None
    flags = rows.flags | (PADDED if any(padding) else 0)
    writer = Writer()
    create_shape(writer, RAW, Shape(rows.kind, samples.shape, depth, rows.palette))
    writer.numbers(rows.bits, flags, rows.padding)
    if flags & PADDED:
        writer.buffer += padding
    writer.string(head)
    writer.buffer += tail
    return Deconstructed(rows.kind, samples, depth, rows.palette, bytes(writer.buffer))


def reconstruct_rows(shape: Shape, samples: NDArray[Any], reader: Reader) -> bytes:
    """Return the bytes that deconstruct_rows was given; ValueError for side data that it never writes.

    reader: of the side data; the shape was read from it.
    """
    bits, flags, padding = reader.number(32), reader.number(31), reader.number(MAX_PADDING)
    height, width = (shape.shape[0], 1) if shape.kind == "audio" else (shape.shape[0], shape.shape[1])
    if not _stand_in(shape, bits) or (shape.kind == "audio" and (flags & (BOTTOM_UP | SWAPPED) or padding)):
        raise ValueError(f"{shape.kind} of {shape.depth} bits in {bits}, or in an order that no file has")
    channels = shape.shape[-1]
    if flags & SWAPPED and channels < 3:
        raise ValueError("two channels have no third to be exchanged with")
    rows = Rows(shape.kind, width, channels, bits, shape.depth, shape.palette, flags & ~PADDED, padding)
    whole = np.zeros((height, rows.stride), np.uint8)
    if flags & PADDED:
        whole[:, rows.size :] = np.frombuffer(reader.read(height * padding), np.uint8).reshape(height, padding)
    whole[:, : rows.size] = pack_rows(rows, samples)
    head = reader.string()
    return head + whole.tobytes() + reader.remaining()


def _stand_in(shape: Shape, bits: int) -> bool:
    """Return whether samples of that kind and depth stand in so many bits of a file."""
    if shape.kind == "audio":
        return bits == shape.depth and bits in (8, 16, 24, 32)
    return bits == shape.depth if bits in (1, 2, 4) else bits == (8 if shape.depth <= 8 else 16)


@dataclass(frozen=True)
class RawLayout:
    """A file with `count` rows of samples from byte `begin` on, or fewer where the file ends."""

    rows: Rows
    begin: int
    count: int
    whole: bool = False

    @property
    def kind(self) -> str:
        """Return "image" or "audio"."""
        return self.rows.kind

    def block_end(self, start: int, most: int) -> int:
        """Return where the block from `start` ends, at most `most` bytes later: behind a row where one ends there."""
        limit = start + most
        rows_end = self.begin + self.count * self.rows.stride
        if start >= rows_end or limit >= rows_end or limit < self.begin:
            return limit
        end = limit - (limit - self.begin) % self.rows.stride
        return end if end > start else limit

    def deconstruct(self, data: bytes, start: int) -> Deconstructed | None:
        """Deconstruct the piece of the file that begins at `start`: the rows that lie in it as a whole."""
        stride = self.rows.stride
        first = max(0, -(-(start - self.begin) // stride))
        last = min(self.count, (start + len(data) - self.begin) // stride)
        if last <= first:
            return None
        cut, end = (self.begin + row * stride - start for row in (first, last))
        deconstructed = deconstruct_rows(self.rows, data[:cut], data[cut:end], data[end:])
        if deconstructed is None:
            return None
        reader = Reader(deconstructed.side_data)
        again = reconstruct_rows(parse_shape(reader)[1], deconstructed.samples, reader)
        return deconstructed if again == data else None
