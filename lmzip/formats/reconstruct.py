"""The way back: the bytes of a file from its samples and its side data, whatever the format is.

`lmzip.blocks.media` calls `shape_of` before it decodes samples, and `reconstruct` after it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from lmzip.formats.flac.file import reconstruct_flac
from lmzip.formats.png.file import reconstruct_png
from lmzip.formats.raw import reconstruct_rows
from lmzip.formats.side_data import FLAC, PNG, RAW, Reader, Shape, check_samples, parse_shape

# By form and kind.
RECONSTRUCTORS: dict[tuple[int, str], Callable[[Shape, NDArray[Any], Reader], bytes]] = {
    (RAW, "image"): reconstruct_rows,
    (RAW, "audio"): reconstruct_rows,
    (PNG, "image"): reconstruct_png,
    (FLAC, "audio"): reconstruct_flac,
}


def shape_of(side_data: bytes) -> Shape:
    """Return what must be known before samples are decoded; ValueError for side data that no format writes."""
    return parse_shape(Reader(side_data))[1]


def reconstruct(kind: str, samples: NDArray[Any], depth: int, side_data: bytes) -> bytes:
    """Return the bytes that a layout's `deconstruct` was given.

    kind, samples, depth, side_data: as in `Deconstructed`.
    Raises ValueError for what no `deconstruct` returns.
    """
    reader = Reader(side_data)
    form, shape = parse_shape(reader)
    if (kind, depth) != (shape.kind, shape.depth):
        raise ValueError(f"the side data is that of {shape.kind} with {shape.depth} bits")
    check_samples(samples, shape)
    if (form, kind) not in RECONSTRUCTORS:
        raise ValueError(f"side data of form {form}, which this version does not know")
    return RECONSTRUCTORS[form, kind](shape, samples, reader)
