"""BMP files that are not compressed, where the pixels stand as they are.

Microsoft's BITMAPFILEHEADER is followed by a BITMAPCOREHEADER (12 bytes) or one of the BITMAPINFOHEADERs (40 to 124
bytes), a palette, and rows that are padded to 4 bytes, the last one first unless the height is negative.
"""

from __future__ import annotations

import struct

from lmzip.formats.raw import BOTTOM_UP, SWAPPED, RawLayout, Rows
from lmzip.formats.side_data import MAX_SIDE

_CORE_HEADER, _SMALLEST_INFO_HEADER, _LARGEST_INFO_HEADER = 12, 40, 124  # bytes
_RGB, _BITFIELDS = 0, 3  # methods of compression that are none
_MOST_BEFORE = 1 << 24  # bytes before the pixels


def detect_bmp(head: bytes) -> RawLayout | None:
    """Return where the rows of a BMP file that is not compressed are; None for others."""
    if head[:2] != b"BM" or len(head) < 26:
        return None
    begin, size = struct.unpack_from("<II", head, 10)
    if size == _CORE_HEADER:
        width, height, planes, bits = struct.unpack_from("<HHHH", head, 18)
        method = _RGB
    elif _SMALLEST_INFO_HEADER <= size <= _LARGEST_INFO_HEADER and len(head) >= 54:
        width, height, planes, bits, method = struct.unpack_from("<iiHHI", head, 18)
    else:
        return None
    bottom_up, height = height > 0, abs(height)
    if planes != 1 or width <= 0 or not 0 < height < MAX_SIDE or begin < 14 + size or begin > _MOST_BEFORE:
        return None
    if not (method == _RGB or (method == _BITFIELDS and bits == 32)) or bits not in (1, 4, 8, 24, 32):
        return None
    channels = max(1, bits // 8)
    palette = bits <= 8 and not _is_ramp(head[14 + size : begin], bits, 3 if size == _CORE_HEADER else 4)
    flags = (BOTTOM_UP if bottom_up else 0) | (SWAPPED if channels > 1 else 0)
    sample = min(bits, 8)
    rows = Rows("image", width, channels, sample, sample, palette, flags, -((width * bits + 7) // 8) % 4)
    return RawLayout(rows, begin, height)


def _is_ramp(colors: bytes, bits: int, entry: int) -> bool:
    """Return whether a palette is the greys in their order. entry: bytes a colour, of which the fourth is unused."""
    count = 1 << bits
    if len(colors) < count * entry:
        return False
    return all(
        colors[entry * value : entry * value + 3] == bytes([value * 255 // (count - 1)] * 3) for value in range(count)
    )
