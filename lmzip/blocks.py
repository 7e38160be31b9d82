"""The blocks of a seekable file: where each one stands, and its content."""

from __future__ import annotations

import dataclasses
import os
from typing import IO, Any

from lmzip import container
from lmzip.container import Header
from lmzip.decompressor import decode_block
from lmzip.errors import CorruptError, LimitError, TruncatedError
from lmzip.library import model_for
from lmzip.models.base import Predictor


@dataclasses.dataclass(frozen=True)
class Block:
    """Where a block stands: offset and size in the file, start and raw_size in the content.

    definition: offset and size in the file of the model definition that holds for it.
    """

    offset: int
    size: int
    start: int
    raw_size: int
    definition: tuple[int, int] | None
    header: Header


def read_blocks(file: IO[bytes]) -> list[Block]:
    """Read the indexes of a seekable file: every block of every frame, in order.

    Frames are found from the end of the file backwards; no block is decoded.
    """
    frames: list[list[Block]] = []
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        index_size, _ = container.parse_footer(_read_at(file, end - container.FOOTER_SIZE, container.FOOTER_SIZE))
        start = end - container.FOOTER_SIZE - index_size
        record = _read_at(file, start, index_size)
        header, offset = container.parse_record_header(record, 0, container.MAX_BLOCK_SIZE)
        payload, offset = container.parse_payload(record, offset, header)
        if header.type != container.INDEX or offset != index_size:
            raise CorruptError("footer: no index where it points")
        index = container.parse_index(payload)
        records_start = start - sum(size for size, _ in index.records)
        end = records_start - index.header_size
        frame_header, _ = container.parse_header(_read_at(file, end, index.header_size))
        frames.append(_blocks_of(file, records_start, index, frame_header))
    content = 0
    blocks = []
    for frame in reversed(frames):
        for block in frame:
            blocks.append(dataclasses.replace(block, start=content))
            content += block.raw_size
    return blocks


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
    file.seek(offset)
    pieces, missing = [], size
    while missing and (piece := file.read(missing)):
        pieces.append(piece)
        missing -= len(piece)
    return container.take(b"".join(pieces), 0, size, "file")
