"""One-shot compression and decompression, and what the beginning of a frame says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from lmzip import container
from lmzip.compressor import FLUSH_FRAME, Buffer, LMZCompressor, Progress, as_bytes
from lmzip.container import short
from lmzip.decompressor import LMZDecompressor
from lmzip.errors import TruncatedError
from lmzip.models.identity import ModelIdentity
from lmzip.models.protocols import Predictor

_PIECE = 1 << 20  # bytes given to a decompressor at once, which keeps those that follow a frame


def compress(
    data: Buffer, level: int = 6, *, model: Predictor | None = None, method: str = "auto", coder: str = "range",
    verify: bool = True, kind: str = "auto", threads: int | None = None, backend: str | None = None,
    notify: Callable[[str], None] | None = None, progress: Progress | None = None,
) -> bytes:  # fmt: skip
    """Compress bytes into one frame. Options as for LMZCompressor."""
    view = as_bytes(data)
    compressor = LMZCompressor(
        level, model=model, method=method, coder=coder, verify=verify, kind=kind, threads=threads, backend=backend,
        notify=notify, content_size=len(view), progress=progress,
    )  # fmt: skip
    return compressor.compress(view, FLUSH_FRAME)


def decompress(
    data: Buffer, *, max_output: int | None = None, model: Predictor | None = None, threads: int | None = None,
    backend: str | None = None, notify: Callable[[str], None] | None = None, progress: Progress | None = None,
) -> bytes:  # fmt: skip
    """Decompress all frames in data; anything after them is an error. Options as for LMZDecompressor."""
    view, position, done = as_bytes(data), 0, 0
    out: list[bytes] = []
    while True:
        decompressor = LMZDecompressor(
            model=model, threads=threads, backend=backend, notify=notify, progress=progress,
            max_output=None if max_output is None else max_output - done,
        )  # fmt: skip
        while not decompressor.eof and (piece := view[position : position + _PIECE]):
            out.append(decompressor.decompress(piece))
            done += len(out[-1])
            position += len(piece)
        decompressor.finish()
        position -= len(decompressor.unused_data)
        if position == len(view):
            return b"".join(out)


@dataclasses.dataclass(frozen=True)
class FrameInfo:
    """What the beginning of a frame says.

    level: None for a frame of one block, which does not say it. content_size: None where it was unknown. model: None
    where no block before the first that is coded without a model needs one, or the data ends before that can be seen.
    """

    level: int | None
    block_size: int
    content_size: int | None
    model: ModelIdentity | None


def get_frame_info(data: Buffer) -> FrameInfo:
    """Read the beginning of a frame; 5 KiB of it are enough.

    What a frame of at most 64 KiB says here is compared with no check value before its content is.
    """
    buffer = bytes(as_bytes(data))
    if container.parse_layout(buffer) == container.SHORT:
        head, _ = short.parse_head(buffer)
        return FrameInfo(None, head.raw_size, head.raw_size, head.model)
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


def get_frame_size(data: Buffer) -> int:
    """Return the size in bytes of the frame that data begins with, all of which must be there; nothing is decoded."""
    buffer = bytes(as_bytes(data))
    if container.parse_layout(buffer) == container.SHORT:
        return short.parse_frame(buffer)[1]
    return container.find_frame_end(buffer)
