"""TIFF files that are not compressed, where the pixels stand as they are (TIFF 6.0, baseline).

The strips of pixels must follow each other without a gap. A file with tiles or with a plane for each channel is bytes
for lmzip. Only the first directory counts: the pictures of others are side data.
"""

from __future__ import annotations

import struct

from lmzip.formats.layout import WholeFile
from lmzip.formats.raw import BIG_ENDIAN, RawLayout, Rows
from lmzip.formats.side_data import HEAD_SIZE, MAX_CHANNELS, Deconstructed

_SIZES = {1: "B", 3: "H", 4: "I"}  # letters of `struct` by the types of fields: BYTE, SHORT, LONG
# Tags of fields (TIFF 6.0, Appendix A): ImageWidth, ImageLength, BitsPerSample; Compression and
# PhotometricInterpretation; StripOffsets and StripByteCounts; SamplesPerPixel and PlanarConfiguration; FillOrder,
# TileWidth and SampleFormat.
_WIDTH, _HEIGHT, _BITS = 256, 257, 258
_METHOD, _COLOUR = 259, 262
_OFFSETS, _LENGTHS = 273, 279
_CHANNELS, _PLANES = 277, 284
_ORDER, _TILES, _FORMAT = 266, 322, 339
_PALETTE = 3  # a value of PhotometricInterpretation
_MOST_STRIPS = 1 << 20


def _read_fields(data: bytes) -> dict[int, tuple[int, ...]] | None:
    """Return the integers of the first directory by their tags; None where some are not within the data."""
    order = "<" if data[:2] == b"II" else ">"
    (at,) = struct.unpack_from(order + "I", data, 4)
    if at + 2 > len(data):
        return None
    (count,) = struct.unpack_from(order + "H", data, at)
    if at + 2 + 12 * count > len(data):
        return None
    fields: dict[int, tuple[int, ...]] = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, type_, number = struct.unpack_from(order + "HHI", data, entry)
        if type_ not in _SIZES or number > _MOST_STRIPS:
            continue
        pattern = f"{order}{number}{_SIZES[type_]}"
        size = struct.calcsize(pattern)
        place = entry + 8 if size <= 4 else struct.unpack_from(order + "I", data, entry + 8)[0]
        if place + size > len(data):
            return None
        fields[tag] = struct.unpack_from(pattern, data, place)
    return fields


def _find_rows(data: bytes) -> RawLayout | None:
    """Return where the rows are, by the first directory; None where they are compressed, tiled or scattered."""
    fields = _read_fields(data)
    if not fields or _TILES in fields:
        return None

    def first(tag: int, default: int = 0) -> int:
        return (fields.get(tag) or (default,))[0]

    width, height, channels = first(_WIDTH), first(_HEIGHT), first(_CHANNELS, 1)
    bits, offsets, lengths = set(fields.get(_BITS, (1,))), fields.get(_OFFSETS, ()), fields.get(_LENGTHS, ())
    plain = first(_METHOD, 1) == first(_PLANES, 1) == first(_ORDER, 1) == first(_FORMAT, 1) == 1
    if not plain or len(bits) != 1 or not (width and height and 0 < channels <= MAX_CHANNELS and offsets):
        return None
    (depth,) = bits
    if depth not in (1, 2, 4, 8, 16):
        return None
    palette = first(_COLOUR) == _PALETTE and channels == 1 and depth <= 8
    rows = Rows("image", width, channels, depth, depth, palette, BIG_ENDIAN if depth == 16 and data[:2] == b"MM" else 0)
    ends = [offset + length for offset, length in zip(offsets, lengths, strict=False)]
    if len(offsets) > 1 and ends[: len(offsets) - 1] != list(offsets[1:]):
        return None
    return RawLayout(rows, offsets[0], height)


class LateLayout(WholeFile):
    """A TIFF file whose directory stands behind its pixels, so that only the whole file tells where they are."""

    kind = "image"

    def deconstruct(self, data: bytes, start: int) -> Deconstructed | None:
        """Deconstruct a whole file."""
        layout = _find_rows(data) if start == 0 and len(data) >= 8 else None
        return layout.deconstruct(data, start) if layout else None


def detect_tiff(head: bytes) -> RawLayout | LateLayout | None:
    """Return where the rows of a TIFF file are, or a layout that finds them in the whole file; None for others."""
    if head[:4] not in (b"II*\0", b"MM\0*") or len(head) < 8:
        return None
    if len(head) >= HEAD_SIZE and _read_fields(head) is None:
        return LateLayout()
    return _find_rows(head)
