"""LMZDecompressor: one frame back into bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from lmzip import container, library
from lmzip.codec import decode_payload
from lmzip.compressor import Buffer, Progress
from lmzip.container import Header, Index, RecordHeader
from lmzip.errors import CorruptError, LimitError, TruncatedError
from lmzip.library import model_for
from lmzip.models.base import Predictor

# Folders of kernels that blocks without a model definition need.
KERNELS = {container.ADAPTIVE: "ensemble", container.IMAGE: "image", container.AUDIO: "audio"}


class LMZDecompressor:
    """Decompress one frame, given in pieces of any size.

    Holds one record of input and one block of output. Attributes as in the standard library:
    eof: the frame has ended. unused_data: what came after it. needs_input: no more output without
    more input.
    """

    def __init__(
        self, *, model: Predictor | None = None, threads: int | None = None, backend: str | None = None,
        notify: Callable[[str], None] | None = None, max_output: int | None = None, progress: Progress | None = None,
    ) -> None:  # fmt: skip
        """model: the one the frame was written with; None: found among those that ship.

        threads, backend, notify: how to load one that ships, see load_model; it is loaded when the
        frame names it. max_output: LimitError is raised rather than more bytes given out.
        """
        self._given, self._max_output, self._progress = model, max_output, progress
        self._loading: dict[str, Any] = {"threads": threads, "backend": backend, "notify": notify}
        self._input, self._offset = b"", 0
        self._ready = bytearray()
        self._header: Header | None = None
        self._index: Index | None = None
        self._model: Predictor | None = None
        self._records: list[tuple[int, int]] = []
        self._sha256 = hashlib.sha256()
        self._done = 0
        self.eof = False
        self.needs_input = True

    @property
    def unused_data(self) -> bytes:
        """The bytes after the end of the frame."""
        return self._input[self._offset :] if self.eof else b""

    def decompress(self, data: Buffer, max_length: int = -1) -> bytes:
        """Take data; return what can be decoded, at most max_length bytes if that is not negative.

        Every block was checked before its bytes are given out. Raises EOFError after the end, and
        LMZError as errors.py says.
        """
        if self.eof and not self._ready:
            raise EOFError("the frame has ended; what came after it is in unused_data")
        self._input = self._input[self._offset :] + bytes(data)
        self._offset = 0
        while not self.eof and not (0 <= max_length <= len(self._ready)):
            try:
                self._advance()
            except TruncatedError:
                break
        size = len(self._ready) if max_length < 0 else min(max_length, len(self._ready))
        out = bytes(self._ready[:size])
        del self._ready[:size]
        self.needs_input = not self.eof and not self._ready
        return out

    def finish(self) -> None:
        """State that there is no more input: raises TruncatedError unless the frame has ended."""
        if not self.eof:
            self._advance()
            raise TruncatedError("the data ends before the frame does")

    def __reduce__(self) -> Any:
        raise TypeError("an LMZDecompressor cannot be pickled")

    def _advance(self) -> None:
        """Read the next part of the frame from the input, all of it or, with TruncatedError, nothing."""
        buffer, offset = self._input, self._offset
        if self._header is None:
            self._header, offset = container.parse_header(buffer, offset)
            self._header_size = offset - self._offset
            if self._max_output is not None and (self._header.content_size or 0) > self._max_output:
                raise LimitError(f"the frame holds {self._header.content_size:,} bytes, more than max_output")
        elif self._index is not None:
            index_size, offset = container.parse_footer(buffer, offset)
            self._end(self._header, self._index, index_size)
        else:
            header, offset = container.parse_record_header(buffer, offset, self._header.block_size)
            payload, offset = container.parse_payload(buffer, offset, header)
            size = offset - self._offset
            try:
                if header.type == container.INDEX:
                    self._index, self._index_size = container.parse_index(payload), size
                else:
                    self._record(header, payload)
                    self._records.append((size, header.raw_size))
            except TruncatedError as error:  # the payload is whole, so more input would not help
                raise CorruptError(str(error)) from error
        self._offset = offset

    def _record(self, header: RecordHeader, payload: bytes) -> None:
        if header.type == container.MODEL_DEFINITION:
            self._model = model_for(container.parse_model_definition(payload), self._given, **self._loading)
        elif header.is_data:
            if self._max_output is not None and self._done + header.raw_size > self._max_output:
                raise LimitError(f"the output would be longer than max_output, {self._max_output:,} bytes")
            done, report = self._done, self._progress
            tick = None if report is None else lambda amount: report(done + int(amount))
            if header.type in KERNELS:
                library.announce(KERNELS[header.type], self._loading["notify"])
            data = decode_block(header, payload, self._model, f"block {len(self._records)} at byte {done:,}", tick)
            self._sha256.update(data)
            self._ready += data
            self._done += len(data)

    def _end(self, header: Header, index: Index, index_size: int) -> None:
        """Compare what the index says with what was read."""
        found = (self._header_size, tuple(self._records), self._index_size)
        if found != (index.header_size, index.records, index_size):
            raise CorruptError("index: it does not describe the blocks before it")
        if index.sha256 != self._sha256.digest():
            raise CorruptError("index: the sha256 of the content differs")
        if header.content_size not in (None, self._done):
            raise CorruptError(f"frame header: {header.content_size} bytes declared, {self._done} found")
        self.eof = True


def decode_block(
    header: RecordHeader, payload: bytes, model: Predictor | None, place: str, progress: Callable[[float], None] | None
) -> bytes:
    """Decode a block and compare its checksum; errors name the place."""
    try:
        data = decode_payload(header.type, payload, header.raw_size, model, progress)
        if container.check64(data) != header.raw_check:
            raise CorruptError(
                "its checksum differs although its code is undamaged: the writer or this machine computed wrongly"
            )
    except (CorruptError, TruncatedError) as error:
        raise CorruptError(f"{place}: {error}") from error
    return data
