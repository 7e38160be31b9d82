"""What all structures of a frame are made of besides varints: check values and pieces of a buffer (FORMAT.md, 1)."""

from __future__ import annotations

import xxhash

from lmzip.errors import TruncatedError


def check32(data: bytes | memoryview) -> int:
    """Return the low 32 bits of xxh3-64."""
    return xxhash.xxh3_64_intdigest(data) & 0xFFFFFFFF


def check64(data: bytes | memoryview) -> int:
    """Return xxh3-64."""
    return xxhash.xxh3_64_intdigest(data)


def take(buffer: bytes, offset: int, size: int, what: str) -> bytes:
    """Return buffer[offset : offset + size], or raise TruncatedError."""
    piece = bytes(buffer[offset : offset + size])
    if len(piece) < size:
        raise TruncatedError(f"{what}: the data ends {size - len(piece)} bytes too early")
    return piece


def number(data: bytes) -> int:
    """Return the little-endian integer that bytes hold."""
    return int.from_bytes(data, "little")
