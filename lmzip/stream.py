"""One-shot compression and decompression, and what the beginning of a frame says."""

from __future__ import annotations

import dataclasses

from lmzip import container
from lmzip.compressor import Buffer, LMZCompressor
from lmzip.container import ModelDefinition
from lmzip.decompressor import LMZDecompressor
from lmzip.errors import TruncatedError


def compress(data: Buffer, level: int = 6, **options: object) -> bytes:
    """Compress bytes into one frame. Options as for LMZCompressor."""
    size = memoryview(data).nbytes
    compressor = LMZCompressor(level, **{"content_size": size, **options})  # type: ignore[arg-type]
    return compressor.compress(data) + compressor.flush()


def decompress(data: Buffer, *, max_output: int | None = None, **options: object) -> bytes:
    """Decompress all frames in data; anything after them is an error. Options as for LMZDecompressor."""
    rest = bytes(memoryview(data).cast("B"))
    out: list[bytes] = []
    while True:
        left = None if max_output is None else max_output - sum(len(content) for content in out)
        decompressor = LMZDecompressor(max_output=left, **options)  # type: ignore[arg-type]
        out.append(decompressor.decompress(rest))
        decompressor.finish()
        rest = decompressor.unused_data
        if not rest:
            return b"".join(out)


@dataclasses.dataclass(frozen=True)
class FrameInfo:
    """What the beginning of a frame says.

    content_size: None where it was unknown. model: None where no block before the first that is
    coded without a model needs one, or the data ends before that can be seen.
    """

    level: int
    block_size: int
    content_size: int | None
    model: ModelDefinition | None


def get_frame_info(data: Buffer) -> FrameInfo:
    """Read the beginning of a frame; 4 KiB of it are enough."""
    buffer = bytes(memoryview(data).cast("B"))
    header, offset = container.parse_header(buffer)
    model = None
    try:
        record, offset = container.parse_record_header(buffer, offset, header.block_size)
        if record.type == container.MODEL_DEFINITION:
            payload, _ = container.parse_payload(buffer, offset, record)
            model = container.parse_model_definition(payload)
    except TruncatedError:
        pass
    return FrameInfo(header.level, header.block_size, header.content_size, model)
