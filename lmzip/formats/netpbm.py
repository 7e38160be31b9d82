"""Netpbm's formats, where the pixels stand as they are: PBM, PGM, PPM and PAM.

Their manual pages (netpbm.sourceforge.net, `pbm`, `pgm`, `ppm`, `pam`) are the specification. The plain formats, P1 to
P3, whose numbers are text, are bytes for lmzip.
"""

from __future__ import annotations

import re

from lmzip.formats.raw import BIG_ENDIAN, RawLayout, Rows
from lmzip.formats.side_data import MAX_CHANNELS

# Numbers stand between white space and comments; one white space ends the last.
_GAP = rb"(?:\s|#[^\n\r]*[\n\r])+"
_NUMBER = rb"0*([0-9]{1,9})"
_BITMAP = re.compile(rb"P4" + _GAP + _NUMBER + _GAP + _NUMBER + rb"\s")
_PIXMAP = re.compile(rb"P([56])" + _GAP + _NUMBER + _GAP + _NUMBER + _GAP + _NUMBER + rb"\s")
_PAM = re.compile(rb"P7\n((?:[^\n]*\n){1,64}?)ENDHDR\n")


def detect_netpbm(head: bytes) -> RawLayout | None:
    """Return where the rows of a P4 (bits), P5 (grey), P6 (colour) or P7 (any channels) file are; None for others."""
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
    """Return the layout of rows that begin at byte `begin`; None for sizes that lmzip does not take.

    largest: the largest value of a sample, MAXVAL. bits: of a sample in the file, up to a largest value of 255.
    """
    if not (width and height and 0 < channels <= MAX_CHANNELS and 0 < largest < 1 << 16):
        return None
    bits = 16 if largest > 255 else bits
    rows = Rows("image", width, channels, bits, largest.bit_length(), flags=BIG_ENDIAN if bits == 16 else 0)
    return RawLayout(rows, begin, height)
