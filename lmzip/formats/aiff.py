"""AIFF and AIFF-C files of integers, where the samples stand as they are (Apple, AIFF 1.3 and AIFF-C draft of 1991).

A file is chunks: a name of four letters, a size and so many bytes, filled up to an even number. `COMM` says how the
frames lie in `SSND`, and comes before it.
"""

from __future__ import annotations

import struct

from lmzip.formats.raw import BIG_ENDIAN, UNKNOWN_COUNT, UNSIGNED, RawLayout, Rows

_UNKNOWN = 0xFFFFFFFF  # the size of a chunk that a program wrote to a pipe
_METHODS = (b"NONE", b"twos", b"sowt", b"in24", b"in32", b"raw ")  # methods of compression that are none


def detect_aiff(head: bytes) -> RawLayout | None:
    """Return where the frames of an AIFF or AIFF-C file of integers are; None for others."""
    if head[:4] != b"FORM" or head[8:12] not in (b"AIFF", b"AIFC"):
        return None
    at, rows = 12, None
    while at + 8 <= len(head):
        name, (size,) = head[at : at + 4], struct.unpack_from(">I", head, at + 4)
        at += 8
        if name == b"SSND":
            if rows is None or at + 8 > len(head):
                return None
            begin = at + 8 + struct.unpack_from(">I", head, at)[0]
            count = (at + size - begin) // rows.stride if size not in (0, 8, _UNKNOWN) else UNKNOWN_COUNT
            return RawLayout(rows, begin, count) if count > 0 else None
        if name == b"COMM" and size >= 18 and at + 18 <= len(head):
            channels, _, bits = struct.unpack_from(">HIH", head, at)
            method = head[at + 18 : at + 22] if head[8:12] == b"AIFC" else b"NONE"
            if not channels or not 1 <= bits <= 32 or method not in _METHODS:
                return None
            bits = (bits + 7) // 8 * 8
            flags = BIG_ENDIAN if bits > 8 and method != b"sowt" else 0
            rows = Rows("audio", 1, channels, bits, bits, flags=flags | (UNSIGNED if method == b"raw " else 0))
        at += size + (size & 1)
    return None
