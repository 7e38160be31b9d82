"""WAV files of integers, where the samples stand as they are: RIFF, its big-endian form RIFX, and RF64 (EBU Tech 3306).

A file is chunks: a name of four letters, a size and so many bytes, filled up to an even number. `fmt ` says how the
frames lie in `data`, and comes before it.
"""

from __future__ import annotations

import struct

from lmzip.formats.raw import BIG_ENDIAN, UNKNOWN_COUNT, UNSIGNED, RawLayout, Rows

_PCM, _EXTENSIBLE = 1, 0xFFFE  # format tags
_PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")  # KSDATAFORMAT_SUBTYPE_PCM
_UNKNOWN = 0xFFFFFFFF  # the size of a chunk that a program wrote to a pipe, or that RF64 has in its chunk ds64


def detect_wav(head: bytes) -> RawLayout | None:
    """Return where the frames of a WAV file of integers are; None for others."""
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
            count = size // rows.stride if size not in (0, _UNKNOWN) else UNKNOWN_COUNT
            return RawLayout(rows, at, min(count, UNKNOWN_COUNT))
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
