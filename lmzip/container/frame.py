"""What a frame of records begins and ends with: header, index, footer (FORMAT.md sections 2.1 and 2.4)."""

from __future__ import annotations

import dataclasses

from lmzip.container.constants import (
    END_MAGIC,
    FOOTER_SIZE,
    INDEX,
    MAGIC,
    MAX_BLOCK_SIZE,
    MAX_CONTENT_SIZE,
    MAX_HEAD_SIZE,
    MAX_INDEX_SIZE,
    OTHER_MAGIC,
    RECORDS,
    SHORT,
)
from lmzip.container.fields import check32, number, take
from lmzip.container.records import create_record, parse_record_header
from lmzip.errors import CorruptError, LimitError, UnsupportedError
from lmzip.varint import create_varint, parse_varint


@dataclasses.dataclass(frozen=True)
class Header:
    """What a frame begins with.

    block_size bounds the decoded size of every block; content_size is None where it was unknown.
    """

    level: int
    block_size: int
    content_size: int | None = None


@dataclasses.dataclass(frozen=True)
class Index:
    """What a frame holds: the size of its header, its records, and the sha256 of its content.

    records: (size in the frame, decoded size) of each, in order; the index itself is not among them.
    """

    header_size: int
    records: tuple[tuple[int, int], ...]
    sha256: bytes

    @property
    def content_size(self) -> int:
        """Decoded bytes of the frame."""
        return sum(raw for _, raw in self.records)


def create_header(header: Header) -> bytes:
    """Return the frame header."""
    size = 0 if header.content_size is None else header.content_size + 1
    fields = bytes([header.level]) + create_varint(header.block_size) + create_varint(size)
    head = MAGIC + bytes([RECORDS, 0, 0, len(fields)]) + fields
    return head + check32(head).to_bytes(4, "little")


def parse_layout(buffer: bytes, offset: int = 0) -> int:
    """Read what a frame begins with: return its layout, RECORDS or SHORT."""
    what = "frame header"
    magic = bytes(buffer[offset : offset + len(MAGIC) + 1])
    if magic == OTHER_MAGIC:
        raise CorruptError(
            f"{what}: a file of another program that is called lmzip too, a compressor of the weights of models; "
            "this lmzip cannot read it"
        )
    if magic[: len(MAGIC)] != MAGIC[: len(magic)]:
        raise CorruptError(f"{what}: not an lmzip file (it begins with {magic.hex(' ')})")
    layout = take(buffer, offset + len(MAGIC), 1, what)[0]
    if layout not in (RECORDS, SHORT):
        raise UnsupportedError(f"{what}: layout {layout}, which this lmzip does not know; install a newer one")
    return layout


def parse_header(buffer: bytes, offset: int = 0) -> tuple[Header, int]:
    """Read the header of a frame of records."""
    what = "frame header"
    start = offset
    if parse_layout(buffer, offset) != RECORDS:
        raise CorruptError(f"{what}: a frame of one block where one of records was expected")
    _, required, _, length = take(buffer, offset + len(MAGIC), 4, what)
    end = offset + len(MAGIC) + 4 + length
    check = number(take(buffer, end, 4, what))
    if check != check32(buffer[start:end]):
        raise CorruptError(f"{what}: damaged (its check value differs)")
    if required:
        raise UnsupportedError(f"{what}: needs the features {required:#04x} of a newer lmzip")
    fields = bytes(buffer[:end])  # so that the fields cannot reach beyond their length
    offset += len(MAGIC) + 4
    level = take(fields, offset, 1, what)[0]
    block_size, offset = parse_varint(fields, offset + 1, MAX_BLOCK_SIZE, f"{what}: block size")
    size, offset = parse_varint(fields, offset, MAX_CONTENT_SIZE + 1, f"{what}: content size")
    return Header(level, block_size, size - 1 if size else None), end + 4


def create_end(index: Index) -> bytes:
    """Return the index record and the footer."""
    payload = create_varint(index.header_size) + create_varint(len(index.records))
    payload += b"".join(create_varint(size) + create_varint(raw) for size, raw in index.records)
    record = create_record(INDEX, payload + index.sha256)
    return record + len(record).to_bytes(4, "little") + END_MAGIC


def index_size_bound(records: list[tuple[int, int]], size: int = 64) -> int:
    """Return the most that the payload of an INDEX record takes with these records beside what takes `size`.

    size: by default that of an index without records.
    """
    return size + sum(len(create_varint(coded)) + len(create_varint(raw)) for coded, raw in records)


def index_has_room(content_size: int, block_size: int) -> bool:
    """Whether the index of one frame has room for a content of which most blocks have half of block_size or more."""
    return 64 + 16 * (2 * content_size // block_size + 1) <= MAX_INDEX_SIZE


def parse_index(payload: bytes) -> Index:
    """Read the payload of the INDEX record."""
    what, records = "index", []
    header_size, offset = parse_varint(payload, 0, 1 << 10, what)
    count, offset = parse_varint(payload, offset, MAX_INDEX_SIZE, what)
    for _ in range(count):
        size, offset = parse_varint(payload, offset, 1 << 62, what)
        raw, offset = parse_varint(payload, offset, MAX_BLOCK_SIZE, what)
        records.append((size, raw))
    if len(payload) != offset + 32:
        raise CorruptError(f"{what}: {len(payload) - offset} bytes where 32 were expected")
    return Index(header_size, tuple(records), payload[offset:])


def parse_footer(buffer: bytes, offset: int = 0) -> tuple[int, int]:
    """Read the footer: return the size of the index record before it."""
    footer = take(buffer, offset, FOOTER_SIZE, "footer")
    if footer[4:] != END_MAGIC:
        raise CorruptError("footer: not the end of an lmzip frame")
    size = number(footer[:4])
    if size > MAX_INDEX_SIZE + MAX_HEAD_SIZE:
        raise LimitError(f"footer: an index of {size:,} bytes, more than this version allows")
    return size, offset + FOOTER_SIZE


def find_frame_end(buffer: bytes, offset: int = 0) -> int:
    """Return where the frame that begins at `offset` ends; only heads are looked at."""
    header, offset = parse_header(buffer, offset)
    type_ = -1
    while type_ != INDEX:
        record, offset = parse_record_header(buffer, offset, header.block_size)
        type_, offset = record.type, offset + record.payload_size
    return parse_footer(buffer, offset)[1]
