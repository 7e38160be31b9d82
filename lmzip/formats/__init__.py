"""Files of pictures and sound: finding the samples, taking them out, putting the file together again byte for byte.

Knows formats, numpy and zlib; no models and no coders. Kernels are compiled when the first PNG comes.
"""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from lmzip.formats.flac.flac import find_flac, put_flac_together
from lmzip.formats.images import find_bmp, find_netpbm
from lmzip.formats.png.png import find_png, put_png_together
from lmzip.formats.raw import put_rows_together
from lmzip.formats.side_data import (
    FLAC,
    HEAD_SIZE,
    MAX_SAMPLES,
    PNG,
    RAW,
    Reader,
    Shape,
    Taken,
    check_samples,
    parse_shape,
)
from lmzip.formats.sounds import find_aiff, find_wav
from lmzip.formats.tiff import find_tiff

__all__ = ["HEAD_SIZE", "MAX_SAMPLES", "Layout", "Shape", "Taken", "put_together", "shape_of", "sniff"]


class Layout(Protocol):
    """How the content of one file is cut into blocks."""

    @property
    def kind(self) -> str:
        """Return "image" or "audio"."""

    @property
    def whole(self) -> bool:
        """Return whether the file can only be taken apart as a whole."""

    def block_end(self, start: int, most: int) -> int:
        """Return where the block that begins at `start` of the content ends, at most `most` bytes later."""

    def take(self, data: bytes, start: int) -> Taken | None:
        """Take apart content[start : start + len(data)]; None where there is nothing to take. Never raises."""


def sniff(head: bytes) -> Layout | None:
    """Find out from the first HEAD_SIZE bytes of a file what it is; None: plain bytes. Never raises."""
    for find in (find_png, find_netpbm, find_bmp, find_tiff, find_wav, find_aiff, find_flac):
        if layout := find(head):
            return layout
    return None


def shape_of(rest: bytes) -> Shape:
    """Return what must be known before the samples are decoded; ValueError for a rest that take never gives."""
    return parse_shape(Reader(rest))[1]


def put_together(kind: str, samples: NDArray[Any], depth: int, rest: bytes) -> bytes:
    """Return the bytes that were taken apart; ValueError for what take never gives."""
    reader = Reader(rest)
    form, shape = parse_shape(reader)
    if (kind, depth) != (shape.kind, shape.depth):
        raise ValueError(f"the rest is of {shape.kind} with {shape.depth} bits")
    check_samples(samples, shape)
    if form == RAW:
        return put_rows_together(shape, samples, reader)
    if form == PNG and kind == "image":
        return put_png_together(shape, samples, reader)
    if form == FLAC and kind == "audio":
        return put_flac_together(shape, samples, reader)
    raise ValueError(f"form {form}, which this version does not know")
