"""Where the samples are: WAV (RIFF, RF64) and AIFF."""

from __future__ import annotations

import struct

from lmzip.formats.raw import BIG_ENDIAN, UNSIGNED, RawLayout, Rows

_PCM, _EXTENSIBLE = 1, 0xFFFE
_PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")
_UNKNOWN = 0xFFFFFFFF
_ENDLESS = 1 << 40  # frames, where the file does not say how many there are


def find_wav(head: bytes) -> RawLayout | None:
    """Find the frames of integers in a WAV file."""
    if head[:4] not in (b"RIFF", b"RF64", b"RIFX") or head[8:12] != b"WAVE":
        return None
    order = ">" if head[:4] == b"RIFX" else "<"
    at, rows, long_size = 12, None, 0
    while at + 8 <= len(head):
        name, (size,) = head[at : at + 4], struct.unpack_from(order + "I", head, at + 4)
        at += 8
        if name == b"data":
            if rows is None:
                return None
            if size == _UNKNOWN and head[:4] == b"RF64":
                size = long_size
            count = size // rows.stride if size not in (0, _UNKNOWN) else _ENDLESS
            return RawLayout(rows, at, min(count, _ENDLESS))
        if name == b"ds64" and at + 16 <= len(head):
            long_size = struct.unpack_from("<Q", head, at + 8)[0]
        if name == b"fmt " and size >= 16 and at + 16 <= len(head):
            method, channels, _, _, frame, _ = struct.unpack_from(order + "HHIIHH", head, at)
            if method == _EXTENSIBLE and head[at + 24 : at + 40] == _PCM_GUID:
                method = _PCM
            if method != _PCM or not channels or frame % channels or frame // channels not in (1, 2, 3, 4):
                return None
            bits = frame // channels * 8
            flags = (UNSIGNED if bits == 8 else 0) | (BIG_ENDIAN if order == ">" and bits > 8 else 0)
            rows = Rows("audio", 1, channels, bits, bits, flags=flags)
        at += size + (size & 1)
    return None


def find_aiff(head: bytes) -> RawLayout | None:
    """Find the frames of integers in an AIFF or AIFC file."""
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
            count = (at + size - begin) // rows.stride if size not in (0, 8, _UNKNOWN) else _ENDLESS
            return RawLayout(rows, begin, count) if count > 0 else None
        if name == b"COMM" and size >= 18 and at + 18 <= len(head):
            channels, _, bits = struct.unpack_from(">HIH", head, at)
            method = head[at + 18 : at + 22] if head[8:12] == b"AIFC" else b"NONE"
            if (
                not channels
                or not 1 <= bits <= 32
                or method not in (b"NONE", b"twos", b"sowt", b"in24", b"in32", b"raw ")
            ):
                return None
            bits = (bits + 7) // 8 * 8
            flags = BIG_ENDIAN if bits > 8 and method != b"sowt" else 0
            rows = Rows("audio", 1, channels, bits, bits, flags=flags | (UNSIGNED if method == b"raw " else 0))
        at += size + (size & 1)
    return None
