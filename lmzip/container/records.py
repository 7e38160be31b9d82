"""Records, the pieces of a frame (FORMAT.md section 2.2)."""

from __future__ import annotations

import dataclasses

from lmzip.container.constants import (
    DATA_TYPES,
    FIRST_SKIPPABLE,
    INDEX,
    MAX_DEFINITION_SIZE,
    MAX_INDEX_SIZE,
    MAX_SKIPPABLE_SIZE,
    MODEL_DEFINITION,
)
from lmzip.container.fields import check32, check64, number, take
from lmzip.errors import CorruptError, UnsupportedError
from lmzip.varint import create_varint, parse_varint


@dataclasses.dataclass(frozen=True)
class RecordHeader:
    """What a record begins with; raw_size and raw_check are 0 for records without data."""

    type: int
    payload_size: int
    payload_check: int
    raw_size: int = 0
    raw_check: int = 0

    @property
    def is_data(self) -> bool:
        """Whether the record is a block."""
        return self.type in DATA_TYPES


def create_record(type_: int, payload: bytes, raw: bytes | memoryview | None = None) -> bytes:
    """Return a record; raw: the decoded data of a block."""
    head = bytes([type_]) + create_varint(len(payload))
    if type_ in DATA_TYPES:
        if raw is None:
            raise ValueError("a block needs its raw data")
        head += create_varint(len(raw)) + check64(raw).to_bytes(8, "little")
    head += check32(payload).to_bytes(4, "little")
    return head + check32(head).to_bytes(4, "little") + payload


def parse_record_header(buffer: bytes, offset: int, block_size: int) -> tuple[RecordHeader, int]:
    """Read a record up to its payload. block_size: that of the frame header."""
    what, start = "record header", offset
    type_ = take(buffer, offset, 1, what)[0]
    limits = {MODEL_DEFINITION: MAX_DEFINITION_SIZE, INDEX: MAX_INDEX_SIZE}
    if type_ in DATA_TYPES:
        limit = block_size  # a block that would take more is stored
    elif type_ in limits:
        limit = limits[type_]
    elif type_ >= FIRST_SKIPPABLE:
        limit = MAX_SKIPPABLE_SIZE
    else:
        raise UnsupportedError(f"{what}: record type {type_:#04x}; it is damaged or of a newer lmzip")
    payload_size, offset = parse_varint(buffer, offset + 1, limit, f"{what}: payload size")
    raw_size = raw_check = 0
    if type_ in DATA_TYPES:
        raw_size, offset = parse_varint(buffer, offset, block_size, f"{what}: decoded size")
        raw_check, offset = number(take(buffer, offset, 8, what)), offset + 8
    payload_check, offset = number(take(buffer, offset, 4, what)), offset + 4
    if number(take(buffer, offset, 4, what)) != check32(buffer[start:offset]):
        raise CorruptError(f"{what}: damaged (its check value differs)")
    return RecordHeader(type_, payload_size, payload_check, raw_size, raw_check), offset + 4


def parse_payload(buffer: bytes, offset: int, header: RecordHeader) -> tuple[bytes, int]:
    """Read and check the payload of a record."""
    what = f"{DATA_TYPES.get(header.type, 'record')} payload"
    payload = take(buffer, offset, header.payload_size, what)
    if check32(payload) != header.payload_check:
        raise CorruptError(f"{what}: damaged (its check value differs)")
    return payload, offset + header.payload_size
