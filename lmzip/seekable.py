"""The blocks of a seekable file: where each one stands, and its content."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Iterator
from typing import IO, Any

from lmzip import container
from lmzip.container import Header, short
from lmzip.decompressor import decode_block, decode_short
from lmzip.errors import CorruptError, LimitError, TruncatedError
from lmzip.models.protocols import Predictor
from lmzip.models.registry import model_for


@dataclasses.dataclass(frozen=True)
class Block:
    """Where a block stands: offset and size in the file, start and raw_size in the content.

    definition: offset and size in the file of the model definition that holds for it. header: that of its frame; None
    where the block is the only one of its frame, which then stands at the offset.
    """

    offset: int
    size: int
    start: int
    raw_size: int
    definition: tuple[int, int] | None
    header: Header | None


def read_blocks(file: IO[bytes]) -> list[Block]:
    """Return every block of every frame of a seekable file, in order; no block is decoded.

    Frames of records are found by their indexes, from the end of the file backwards. What stands before the last frame
    of one block is found forwards: that layout has no end that says where it begins.
    """
    frames: list[list[Block]] = []
    end = file.seek(0, os.SEEK_END)
    with contextlib.suppress(CorruptError, TruncatedError):  # the way forwards tells what is wrong
        while end > 0 and (found := _frame_before(file, end)) is not None:
            end, blocks = found
            frames.append(blocks)
    frames += reversed(list(_frames_up_to(file, end)))
    content, placed = 0, []
    for block in itertools.chain(*reversed(frames)):
        placed.append(dataclasses.replace(block, start=content))
        content += block.raw_size
    return placed


def _frame_before(file: IO[bytes], end: int) -> tuple[int, list[Block]] | None:
    """Return where the frame of records begins that ends at `end`, and its blocks; None where none ends there."""
    footer = _read_at(file, max(0, end - container.FOOTER_SIZE), min(end, container.FOOTER_SIZE))
    if not footer.endswith(container.END_MAGIC):
        return None
    index_size, _ = container.parse_footer(footer)
    start = end - container.FOOTER_SIZE - index_size
    record = _read_at(file, start, index_size)
    header, offset = container.parse_record_header(record, 0, container.MAX_BLOCK_SIZE)
    payload, offset = container.parse_payload(record, offset, header)
    if header.type != container.INDEX or offset != index_size:
        raise CorruptError("footer: no index where it points")
    index = container.parse_index(payload)
    records_start = start - sum(size for size, _ in index.records)
    frame_start = records_start - index.header_size
    frame_header, _ = container.parse_header(_read_at(file, frame_start, index.header_size))
    return frame_start, _blocks_of(file, records_start, index, frame_header)


def _frames_up_to(file: IO[bytes], end: int) -> Iterator[list[Block]]:
    """Yield the blocks of every frame from the beginning of the file to `end`, one after the other."""
    offset = 0
    while offset < end:
        head = _read_up_to(file, offset, container.MAX_DEFINITION_SIZE + container.MAX_HEAD_SIZE)
        if container.parse_layout(head) == container.SHORT:
            found, size = short.parse_head(head)
            size += found.payload_size + found.check_size
            yield [Block(offset, size, 0, found.raw_size, None, None)] if found.raw_size else []
            offset += size
        else:
            offset = _end_of_frame(file, offset)
            before = _frame_before(file, offset)
            if before is None:
                raise CorruptError("footer: not the end of an lmzip frame")
            yield before[1]
    if offset > end:
        raise TruncatedError("frame of one block: the file ends before it does")


def _end_of_frame(file: IO[bytes], offset: int) -> int:
    """Return where the frame of records at an offset ends, read from record header to record header."""
    header, size = container.parse_header(_read_up_to(file, offset, container.MAX_HEAD_SIZE))
    while True:
        offset += size
        head = _read_up_to(file, offset, container.MAX_HEAD_SIZE)
        record, size = container.parse_record_header(head, 0, header.block_size)
        size += record.payload_size
        if record.type == container.INDEX:
            return offset + size + container.FOOTER_SIZE


def _blocks_of(file: IO[bytes], offset: int, index: container.Index, header: Header) -> list[Block]:
    blocks: list[Block] = []
    definition = None
    for size, raw_size in index.records:
        if raw_size:
            if raw_size > header.block_size or size > header.block_size + container.MAX_HEAD_SIZE:
                raise LimitError(f"index: a block of {raw_size:,} bytes in {size:,}, more than the frame header allows")
            blocks.append(Block(offset, size, 0, raw_size, definition, header))
        elif _read_at(file, offset, 1)[0] == container.MODEL_DEFINITION:
            if size > container.MAX_DEFINITION_SIZE + container.MAX_HEAD_SIZE:
                raise LimitError(f"index: a model definition of {size:,} bytes, more than this version allows")
            definition = (offset, size)
        offset += size
    return blocks


def read_block(file: IO[bytes], block: Block, place: str, given: Predictor | None, loading: dict[str, Any]) -> bytes:
    """Return the content of a block; only it and its model definition are read.

    place: what errors call it. given, loading: the model and how to load one, see model_for.
    """
    if block.header is None:
        frame, _ = short.parse_frame(_read_at(file, block.offset, block.size))
        return decode_short(frame, given, loading, None)
    try:
        header, payload = _read_record(file, (block.offset, block.size), block.header.block_size)
    except CorruptError as error:
        raise CorruptError(f"{place}: {error}") from error
    if header.raw_size != block.raw_size:
        raise CorruptError("index: it does not describe the blocks before it")
    model = None
    if header.type in container.MODEL_TYPES and block.definition is not None:
        _, definition = _read_record(file, block.definition, block.header.block_size)
        model = model_for(container.parse_model_definition(definition), given, **loading)
    return decode_block(header, payload, model, place, notify=loading["notify"])


def _read_record(file: IO[bytes], place: tuple[int, int], block_size: int) -> tuple[container.RecordHeader, bytes]:
    """Read the record at (offset, size)."""
    record = _read_at(file, *place)
    header, offset = container.parse_record_header(record, 0, block_size)
    return header, container.parse_payload(record, offset, header)[0]


def _read_at(file: IO[bytes], offset: int, size: int) -> bytes:
    """Read `size` bytes; TruncatedError where the file does not have them."""
    if offset < 0:
        raise TruncatedError("the file is shorter than its index says")
    return container.take(_read_up_to(file, offset, size), 0, size, "file")


def _read_up_to(file: IO[bytes], offset: int, size: int) -> bytes:
    """Read `size` bytes, fewer at the end of the file."""
    file.seek(offset)
    pieces, missing = [], size
    while missing and (piece := file.read(missing)):
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)
