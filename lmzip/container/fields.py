"""What all structures of a frame are made of: varints, check values, pieces of a buffer (FORMAT.md section 1)."""

from __future__ import annotations

import xxhash

from lmzip.errors import CorruptError, LimitError, TruncatedError


def check32(data: bytes | memoryview) -> int:
    """Return the low 32 bits of xxh3-64."""
    return xxhash.xxh3_64_intdigest(data) & 0xFFFFFFFF


def check64(data: bytes | memoryview) -> int:
    """Return xxh3-64."""
    return xxhash.xxh3_64_intdigest(data)


def create_varint(value: int) -> bytes:
    """Return value >= 0 as little-endian groups of 7 bits, the high bit set in all but the last."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def parse_varint(buffer: bytes, offset: int, limit: int, what: str) -> tuple[int, int]:
    """Read a varint of at most `limit`; LimitError beyond, CorruptError for a longer form than needed."""
    value = shift = 0
    while True:
        byte = take(buffer, offset, 1, what)[0]
        offset += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if value > limit or shift > 63:
            raise LimitError(f"{what}: more than {limit:,}, the most that this version allows")
        if byte < 0x80:
            if byte == 0 and shift > 7:
                raise CorruptError(f"{what}: a number in a longer form than needed")
            return value, offset


def take(buffer: bytes, offset: int, size: int, what: str) -> bytes:
    """Return buffer[offset : offset + size], or raise TruncatedError."""
    piece = bytes(buffer[offset : offset + size])
    if len(piece) < size:
        raise TruncatedError(f"{what}: the data ends {size - len(piece)} bytes too early")
    return piece


def number(data: bytes) -> int:
    """Return the little-endian integer that bytes hold."""
    return int.from_bytes(data, "little")
