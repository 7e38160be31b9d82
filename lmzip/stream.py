"""Incremental and one-shot compression, as in the standard library's `compression.zstd`."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any, cast

from lmzip import container, library
from lmzip.codec import decode_payload, encode_block, encode_media_block
from lmzip.container import Header, Index, ModelDefinition, RecordHeader
from lmzip.errors import CorruptError, LimitError, LMZError, TruncatedError
from lmzip.kinds import Layout, Taken, sniff
from lmzip.library import model_for
from lmzip.models.base import Model, Predictor, SampleModel
from lmzip.options import Options

Buffer = bytes | bytearray | memoryview
# Called with the bytes of input (encoder) or output (decoder) done so far, never with fewer than
# before. With `verify`, a byte that is coded and not yet compared counts half.
Progress = Callable[[int], None]
SNIFF_SIZE = 1 << 16  # bytes that tell what a file is
MEDIA_BLOCK_SIZE = 1 << 24
# Folders of kernels that blocks without a model definition need.
KERNELS = {container.ADAPTIVE: "ensemble", container.IMAGE: "image", container.AUDIO: "audio"}


class LMZCompressor:
    """Compress a stream of bytes into one frame, block by block.

    Holds one block of input at most; where the content is a compressed picture, all of it up to 64 MiB. A model is
    loaded when the first block that needs one is full.
    """

    def __init__(
        self, level: int = 6, *, model: Predictor | None = None, method: str = "auto", coder: str = "range",
        verify: bool = True, kind: str = "auto", threads: int | None = None, backend: str | None = None,
        notify: Callable[[str], None] | None = None, content_size: int | None = None,
        progress: Progress | None = None,
    ) -> None:  # fmt: skip
        """level: 1 (fast) to 9 (small). model: None for the default one; with method `lm` one for its kind of data.

        method: what to try, see Options; at `auto`, levels 1 to 3 need no model.
        coder: `range` or `rans`. verify: decode every block again before it is given out.
        kind: `auto`, or `bytes` to take no picture or recording apart, see Options.
        threads, backend, notify: how to load the default model, see load_model.
        content_size: size of the whole input where it is known; recorded, and checked at `flush`.
        """
        self._options = Options(level, coder, verify, method, kind)
        if model is not None and model.kind != "bytes" and method != "lm":
            raise ValueError(f"the model {model.id} is of the kind {model.kind}; it goes with method 'lm'")
        self._models: dict[str, Predictor] = {} if model is None else {model.kind: model}
        self._loading: dict[str, Any] = {"threads": threads, "backend": backend, "notify": notify}
        self._content_size, self._progress = content_size, progress
        self._pending = bytearray()
        self._sniffed = not self._options.takes_apart
        self._layout: Layout | None = None
        self._records: list[tuple[int, int]] = []
        self._sha256 = hashlib.sha256()
        self._defined = b""  # sha256 of the model that holds for the next block
        self._finished = False
        self._header_size = 0  # until it was given out
        self.done = 0

    def compress(self, data: Buffer) -> bytes:
        """Take data; return what is ready of the frame, often nothing."""
        if self._finished:
            raise ValueError("the frame was finished; make a new LMZCompressor for another one")
        self._pending += memoryview(data).cast("B")
        return self._blocks(final=False)

    def flush(self) -> bytes:
        """Finish the frame: return the rest of it."""
        if self._finished:
            raise ValueError("the frame was finished before")
        out = self._blocks(final=True) + self._header(self._options.plan.block_size)
        if self._content_size not in (None, self.done):
            raise ValueError(f"content_size was {self._content_size}, but the input had {self.done} bytes")
        self._finished = True
        return out + container.create_end(Index(self._header_size, tuple(self._records), self._sha256.digest()))

    def _blocks(self, final: bool) -> bytes:
        """Code the blocks that are whole; final: all that is left is."""
        if not self._sniffed and (final or len(self._pending) >= SNIFF_SIZE):
            self._sniff()
        if not self._sniffed:
            return b""
        out = b""
        if self._layout is not None and self._layout.whole:
            if not final and len(self._pending) <= container.MAX_BLOCK_SIZE:
                return b""
            data = bytes(self._pending)
            taken = self._layout.take(data, 0) if len(data) <= container.MAX_BLOCK_SIZE else None
            if taken is not None:
                self._pending.clear()
                return self._header(len(data)) + self._block(data, taken)
            self._refuse("it cannot be taken apart")
            self._layout = None
        most = self._options.plan.block_size if self._layout is None else MEDIA_BLOCK_SIZE
        out = self._header(most)
        while len(self._pending) >= most or (final and self._pending):
            size, taken = min(most, len(self._pending)), None
            if self._layout is not None:
                size = min(self._layout.block_end(self.done, most) - self.done, size)
                taken = self._layout.take(bytes(self._pending[:size]), self.done)
            data = bytes(self._pending[:size])
            del self._pending[:size]
            out += self._block(data, taken)
        return out

    def _sniff(self) -> None:
        """Find out how to cut the content."""
        self._sniffed = True
        self._layout = sniff(bytes(self._pending[:SNIFF_SIZE]))
        if self._layout is None:
            self._refuse("it is none that lmzip knows")
        elif self._options.kind not in ("auto", self._layout.kind):
            self._refuse(f"it is of the kind {self._layout.kind}")

    def _refuse(self, why: str) -> None:
        """Raise LMZError where a kind of data was asked for that the content is not."""
        if self._options.kind != "auto":
            raise LMZError(f"the content cannot be coded as {self._options.kind}: {why}")

    def _header(self, block_size: int) -> bytes:
        if self._header_size:
            return b""
        header = container.create_header(Header(self._options.level, block_size, self._content_size))
        self._header_size = len(header)
        return header

    def _block(self, data: bytes, taken: Taken | None) -> bytes:
        done, report = self.done, self._progress
        tick = None if report is None else lambda amount: report(done + int(amount))
        coded: tuple[int, bytes] | None = None
        model: Predictor | None = None
        if taken is not None:
            assert self._layout is not None
            if self._options.method == "lm":
                model = self._model_for(taken.kind)
            else:
                library.announce(taken.kind, self._loading["notify"])
            coded = encode_media_block(
                data, taken, self._layout.whole, self._options, cast("SampleModel | None", model), tick
            )
        if coded is None:
            model = self._model_for("bytes") if self._options.wants_model else None
            if model is None and self._options.method != "general":
                library.announce("ensemble", self._loading["notify"])
            coded = encode_block(data, cast("Model | None", model), done == 0, self._options, tick)
        type_, payload = coded
        out = b""
        if type_ in container.MODEL_TYPES and model is not None and model.sha256 != self._defined:
            definition = ModelDefinition(model.id, model.sha256, model.profile)
            out = self._record(container.MODEL_DEFINITION, container.create_model_definition(definition))
            self._defined = model.sha256
        out += self._record(type_, payload, data)
        self._sha256.update(data)
        self.done += len(data)
        if report is not None:
            report(self.done)
        return out

    def _model_for(self, kind: str) -> Predictor:
        """Return the model for blocks of a kind, loaded when the first one comes."""
        if kind not in self._models:
            self._models[kind] = library.load_model(self._options.model_for(kind), **self._loading)
        return self._models[kind]

    def _record(self, type_: int, payload: bytes, raw: bytes | None = None) -> bytes:
        record = container.create_record(type_, payload, raw)
        self._records.append((len(record), len(raw or b"")))
        return record


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
