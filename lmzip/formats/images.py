"""Where the pixels are: Netpbm's formats and BMP."""

from __future__ import annotations

import re
import struct

from lmzip.formats.raw import BIG_ENDIAN, BOTTOM_UP, SWAPPED, RawLayout, Rows
from lmzip.formats.side_data import MAX_CHANNELS, MAX_SIDE

# Numbers stand between white space and comments; one white space ends the last.
_GAP = rb"(?:\s|#[^\n\r]*[\n\r])+"
_NUMBER = rb"0*([0-9]{1,9})"
_BITMAP = re.compile(rb"P4" + _GAP + _NUMBER + _GAP + _NUMBER + rb"\s")
_PIXMAP = re.compile(rb"P([56])" + _GAP + _NUMBER + _GAP + _NUMBER + _GAP + _NUMBER + rb"\s")
_PAM = re.compile(rb"P7\n((?:[^\n]*\n){1,64}?)ENDHDR\n")


def find_netpbm(head: bytes) -> RawLayout | None:
    """Find the rows of P4 (bits), P5 (grey), P6 (colour) and P7 (anything)."""
    if match := _BITMAP.match(head):
        return _layout(match.end(), int(match[1]), int(match[2]), 1, 1, bits=1)
    if match := _PIXMAP.match(head):
        return _layout(match.end(), int(match[2]), int(match[3]), 3 if match[1] == b"6" else 1, int(match[4]))
    if match := _PAM.match(head):
        fields = dict(line.split(None, 1) for line in match[1].split(b"\n") if len(line.split(None, 1)) == 2)
        numbers = [fields.get(name, b"").strip() for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL")]
        if all(number.isdigit() and len(number) < 10 for number in numbers):
            return _layout(match.end(), *map(int, numbers))
    return None


def _layout(begin: int, width: int, height: int, channels: int, largest: int, bits: int = 8) -> RawLayout | None:
    if not (width and height and 0 < channels <= MAX_CHANNELS and 0 < largest < 1 << 16):
        return None
    bits = 16 if largest > 255 else bits
    rows = Rows("image", width, channels, bits, largest.bit_length(), flags=BIG_ENDIAN if bits == 16 else 0)
    return RawLayout(rows, begin, height)


def find_bmp(head: bytes) -> RawLayout | None:
    """Find the rows of a BMP that is not compressed."""
    if head[:2] != b"BM" or len(head) < 26:
        return None
    begin, size = struct.unpack_from("<II", head, 10)
    if size == 12:
        width, height, planes, bits = struct.unpack_from("<HHHH", head, 18)
        method = 0
    elif 40 <= size <= 124 and len(head) >= 54:
        width, height, planes, bits, method = struct.unpack_from("<iiHHI", head, 18)
    else:
        return None
    bottom_up, height = height > 0, abs(height)
    if planes != 1 or width <= 0 or not 0 < height < MAX_SIDE or begin < 14 + size or begin > 1 << 24:
        return None
    if not (method == 0 or (method == 3 and bits == 32)) or bits not in (1, 4, 8, 24, 32):
        return None
    channels = max(1, bits // 8)
    palette = bits <= 8 and not _is_ramp(head[14 + size : begin], bits, 3 if size == 12 else 4)
    flags = (BOTTOM_UP if bottom_up else 0) | (SWAPPED if channels > 1 else 0)
    sample = min(bits, 8)
    rows = Rows("image", width, channels, sample, sample, palette, flags, -((width * bits + 7) // 8) % 4)
    return RawLayout(rows, begin, height)


def _is_ramp(colors: bytes, bits: int, entry: int) -> bool:
    """Whether a palette is just the greys in their order."""
    count = 1 << bits
    if len(colors) < count * entry:
        return False
    return all(
        colors[entry * value : entry * value + 3] == bytes([value * 255 // (count - 1)] * 3) for value in range(count)
    )
