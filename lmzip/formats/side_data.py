"""What a deconstructed piece of a file consists of, and how its side data is written and read (FORMAT.md section 10).

Every format ends with a `Deconstructed` and begins its way back with a `Reader` of the side data in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmzip.errors import LMZError
from lmzip.varint import create_varint, create_varints, parse_varint, parse_varints

HEAD_SIZE = 1 << 16  # bytes that `detect` looks at, where the file has them
MAX_SAMPLES = 1 << 27  # of one piece
MAX_SIDE = 1 << 31  # pixels of a picture's side, and frames of a sound
MAX_CHANNELS = 1 << 16
MAX_SIZE = 1 << 26  # bytes of one piece
FEWEST_SAMPLES = 256  # of a piece: for fewer, a model is not worth its cost
_WHAT = "side data"  # the place, in messages

KINDS = ("image", "audio")
RAW, PNG, FLAC = range(3)  # forms of side data: who wrote it


@dataclass(frozen=True)
class Deconstructed:
    """A piece of a file as samples and side data.

    Attributes:
        kind: "image" or "audio".
        samples: image: (height, width, channels), uint8 up to a depth of 8 bits, else uint16;
            audio: (frames, channels), int32.
        depth: bits a sample. Audio has -2^(depth - 1) to 2^(depth - 1) - 1, images 0 to 2^depth - 1.
        palette: whether the samples of an image are indices of a palette.
        side_data: all that `reconstruct` needs besides; it repeats the kind, the shape, the depth and the palette.
    """

    kind: str
    samples: NDArray[Any]
    depth: int
    palette: bool
    side_data: bytes


class Shape(NamedTuple):
    """What a decoder of samples must know beforehand. kind, depth, palette: as in Deconstructed. shape: of samples."""

    kind: str
    shape: tuple[int, ...]
    depth: int
    palette: bool


class Writer:
    """Writes side data: varints (`lmzip.varint`), strings and plain bytes, one after the other. Twin: Reader.

    Attributes:
        buffer: what was written; plain bytes are appended to it directly.
    """

    def __init__(self) -> None:
        self.buffer = bytearray()

    def numbers(self, *values: int) -> None:
        """Append varints."""
        for value in values:
            self.buffer += create_varint(value)

    def array(self, values: NDArray[Any]) -> None:
        """Append integers of 0 or more, (n,), as varints, without their number."""
        self.buffer += create_varints(values)

    def string(self, string: bytes) -> None:
        """Append a length and as many bytes."""
        self.numbers(len(string))
        self.buffer += string


class Reader:
    """Reads what a Writer wrote, from `offset` on. Every method raises ValueError for what a Writer never writes.

    Such errors are no LMZError, since side data is only known to be damaged when a block was decoded: the caller, which
    has the name of the block, makes a CorruptError of them.
    """

    def __init__(self, buffer: bytes) -> None:
        self.buffer, self.offset = buffer, 0

    def number(self, limit: int) -> int:
        """Read a varint of at most `limit`."""
        try:
            value, self.offset = parse_varint(self.buffer, self.offset, limit, _WHAT)
        except LMZError as error:
            raise ValueError(str(error)) from error
        return value

    def array(self, count: int, limit: int, dtype: type[np.int32] | type[np.int64] = np.int64) -> NDArray[Any]:
        """Read `count` varints of at most `limit`; return (count,) of `dtype`."""
        try:
            values, self.offset = parse_varints(self.buffer, self.offset, count, limit, _WHAT, dtype)
        except LMZError as error:
            raise ValueError(str(error)) from error
        return values

    def read(self, length: int) -> bytes:
        """Read plain bytes."""
        if length > len(self.buffer) - self.offset:
            raise ValueError(f"{_WHAT}: it ends too early")
        self.offset += length
        return self.buffer[self.offset - length : self.offset]

    def string(self) -> bytes:
        """Read a length and as many bytes."""
        return self.read(self.number(len(self.buffer)))

    def remaining(self) -> bytes:
        """Read all that is left."""
        return self.read(len(self.buffer) - self.offset)


def create_shape(writer: Writer, form: int, shape: Shape) -> None:
    """Append what all side data begins with. Twin: parse_shape."""
    writer.numbers(form | KINDS.index(shape.kind) << 3 | shape.palette << 4, shape.depth, *shape.shape)


def parse_shape(reader: Reader) -> tuple[int, Shape]:
    """Read the form and the shape; ValueError for a shape that is too large or impossible. Twin: create_shape."""
    flags = reader.number(31)
    form, kind, palette = flags & 7, KINDS[flags >> 3 & 1], bool(flags >> 4)
    depth = reader.number(16 if kind == "image" else 32)
    sides = 1 if kind == "audio" else 2
    shape = (*(reader.number(MAX_SIDE) for _ in range(sides)), reader.number(MAX_CHANNELS))
    count = 1
    for side in shape:
        count *= side
    if depth == 0 or not 0 < count <= MAX_SAMPLES or (palette and (kind == "audio" or depth > 8 or shape[-1] != 1)):
        raise ValueError(f"{kind} of {shape} with {depth} bits: more than lmzip takes, or nothing")
    return form, Shape(kind, shape, depth, palette)


def check_samples(samples: NDArray[Any], shape: Shape) -> None:
    """Raise ValueError unless samples have the shape, the dtype and the range that a shape says."""
    wanted = np.int32 if shape.kind == "audio" else np.uint8 if shape.depth <= 8 else np.uint16
    if samples.shape != shape.shape or samples.dtype != wanted:
        raise ValueError(f"samples of {samples.dtype} {samples.shape} where the side data says {shape}")
    low, high = (
        (-(1 << shape.depth - 1), (1 << shape.depth - 1) - 1) if shape.kind == "audio" else (0, (1 << shape.depth) - 1)
    )
    if int(samples.min()) < low or int(samples.max()) > high:
        raise ValueError(f"a sample has more than {shape.depth} bits")
