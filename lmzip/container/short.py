"""A frame of one block, without index and footer, as pure functions: FORMAT.md section 2.5 in code.

Around the code of a short text it has 13 bytes, where a frame of records has 80.
"""

from __future__ import annotations

import dataclasses

from lmzip import container
from lmzip.container import check32, check64, take
from lmzip.errors import CorruptError
from lmzip.models.identity import ModelIdentity
from lmzip.varint import create_varint, parse_varint

SMALL_SIZE = 1 << 16  # decoded bytes up to which one check value of four bytes stands for all
_DEFINED = 15  # in place of a model's number: its definition follows
_NEXT_TYPE = 16  # one more than the largest type that fits
_WHAT = "frame of one block"


@dataclasses.dataclass(frozen=True)
class ShortHead:
    """What a frame of one block begins with.

    type: of the block, one of DATA_TYPES; STORED for empty content. model: the one that it needs.
    """

    type: int
    raw_size: int
    payload_size: int
    model: ModelIdentity | None = None

    @property
    def check_size(self) -> int:
        """Bytes of check values behind the payload."""
        return 4 if self.raw_size <= SMALL_SIZE else 12


@dataclasses.dataclass(frozen=True)
class ShortFrame:
    """A frame of one block as it was read. frame: head and payload as they stand in the file."""

    head: ShortHead
    payload: bytes
    frame: bytes
    checks: bytes

    def check(self, content: bytes) -> None:
        """Raise CorruptError unless the content is the one that was written."""
        if self.checks != _checks(self.frame, self.payload, content):
            raise CorruptError(
                f"{_WHAT}: its checksum differs: it is damaged, or its writer or this machine computed wrongly"
            )


def create_head(head: ShortHead) -> bytes:
    """Return what a frame of one block begins with."""
    number, definition = 0, b""
    if head.model is not None:
        definition = container.create_model_definition(head.model)
        number = _number(definition)
    fields = [head.type | number << 4, *create_varint(head.raw_size), *create_varint(head.payload_size)]
    out = container.MAGIC + bytes([container.SHORT, *fields])
    if number == _DEFINED:
        out += create_varint(len(definition)) + definition
    return out if head.raw_size <= SMALL_SIZE else out + check32(out).to_bytes(4, "little")


def _number(definition: bytes) -> int:
    """Return the number that a definition consists of where it fits, else _DEFINED."""
    return definition[1] if len(definition) == 2 and definition[0] == 0 and definition[1] < _DEFINED else _DEFINED


def parse_head(buffer: bytes, offset: int = 0) -> tuple[ShortHead, int]:
    """Read the head of a frame of one block.

    Where the block is at most SMALL_SIZE bytes long nothing of it is checked before the content is.
    """
    start = offset
    if container.parse_layout(buffer, offset) != container.SHORT:
        raise CorruptError(f"{_WHAT}: a frame of records where one of one block was expected")
    first, offset = take(buffer, offset + 4, 1, _WHAT)[0], offset + 5
    raw_size, offset = parse_varint(buffer, offset, container.MAX_BLOCK_SIZE, f"{_WHAT}: decoded size")
    payload_size, offset = parse_varint(buffer, offset, raw_size, f"{_WHAT}: payload size")
    type_, number = first % _NEXT_TYPE, first // _NEXT_TYPE
    definition = create_varint(0) + bytes([number])
    if number == _DEFINED:
        size, offset = parse_varint(buffer, offset, container.MAX_DEFINITION_SIZE, f"{_WHAT}: model definition")
        definition, offset = take(buffer, offset, size, f"{_WHAT}: model definition"), offset + size
    if raw_size > SMALL_SIZE:
        check = int.from_bytes(take(buffer, offset, 4, _WHAT), "little")
        if check != check32(buffer[start:offset]):
            raise CorruptError(f"{_WHAT}: its head is damaged (its check value differs)")
        offset += 4
    if type_ not in container.DATA_TYPES or (number != 0) != (type_ in container.MODEL_TYPES):
        raise CorruptError(f"{_WHAT}: a block of type {type_:#04x} with the model number {number}")
    model = container.parse_model_definition(definition) if number else None
    return ShortHead(type_, raw_size, payload_size, model), offset


def create_frame(head: ShortHead, payload: bytes, content: bytes) -> bytes:
    """Return a frame of one block."""
    frame = create_head(head) + payload
    return frame + _checks(frame, payload, content)


def parse_frame(buffer: bytes, offset: int = 0) -> tuple[ShortFrame, int]:
    """Read a frame of one block; its content is still to be decoded and to be checked."""
    start = offset
    head, offset = parse_head(buffer, offset)
    payload = take(buffer, offset, head.payload_size, f"{_WHAT}: payload")
    offset += head.payload_size
    frame = bytes(buffer[start:offset])
    checks = take(buffer, offset, head.check_size, f"{_WHAT}: check values")
    if head.raw_size > SMALL_SIZE and checks[:4] != check32(payload).to_bytes(4, "little"):
        raise CorruptError(f"{_WHAT}: its payload is damaged (its check value differs)")
    return ShortFrame(head, payload, frame, checks), offset + head.check_size


def _checks(frame: bytes, payload: bytes, content: bytes) -> bytes:
    """Return the check values; frame: head and payload."""
    if len(content) <= SMALL_SIZE:
        return check32(frame + content).to_bytes(4, "little")
    return check32(payload).to_bytes(4, "little") + check64(content).to_bytes(8, "little")
