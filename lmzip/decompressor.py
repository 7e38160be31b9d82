"""LMZDecompressor: one frame back into bytes."""

from __future__ import annotations

import dataclasses
import hashlib
import operator
import threading
from collections.abc import Callable
from typing import Any

from lmzip import container
from lmzip.blocks.select import decode_payload
from lmzip.compressor import Buffer, Progress, as_bytes
from lmzip.container import Header, Index, RecordHeader, short
from lmzip.container.short import ShortFrame
from lmzip.errors import CorruptError, LimitError, TruncatedError
from lmzip.models import registry
from lmzip.models.protocols import Predictor
from lmzip.models.registry import model_for

# Folders of kernels that blocks without a model definition need.
KERNELS = {container.ADAPTIVE: "text", container.IMAGE: "image", container.AUDIO: "audio"}


@dataclasses.dataclass
class _State:
    """Where a decompressor stands in the frame.

    used: bytes of the input at hand that were read. record: the one whose payload comes next, after a head of
    head_size bytes. done: bytes of output so far. missing: what lacks before anything can be read, None where that
    is not known.
    """

    used: int = 0
    header: Header | None = None
    header_size: int = 0
    record: RecordHeader | None = None
    head_size: int = 0
    index: Index | None = None
    index_size: int = 0
    model: Predictor | None = None
    done: int = 0
    eof: bool = False
    missing: str | None = "the data ends too early: there is no frame"


class LMZDecompressor:
    """Decompress one frame, given in pieces of any size.

    Holds one record of input and one block of output. A call that raises changes nothing: it can be made again.
    Threads may share one; a call of one waits for that of another.
    """

    def __init__(
        self, *, model: Predictor | None = None, threads: int | None = None, backend: str | None = None,
        notify: Callable[[str], None] | None = None, max_output: int | None = None, progress: Progress | None = None,
    ) -> None:  # fmt: skip
        """model: the one the frame was written with; None: found among those that ship and in the user's store.

        threads, backend, notify: how to load one that was not given, see load_model; it is loaded when the
        frame names it. max_output: LimitError is raised rather than more bytes given out.
        """
        if max_output is not None:
            max_output = operator.index(max_output)
        self._given, self._max_output, self._progress = model, max_output, progress
        self._loading: dict[str, Any] = {"threads": threads, "backend": backend, "notify": notify}
        self._input, self._ready = bytearray(), bytearray()
        self._state = _State()
        self._records: list[tuple[int, int]] = []
        self._sha256 = hashlib.sha256()
        self._lock = threading.Lock()

    @property
    def eof(self) -> bool:
        """Whether the frame has ended and all of its content was given out."""
        return self._state.eof and not self._ready

    @property
    def needs_input(self) -> bool:
        """Whether there is no more output without more input."""
        return not (self.eof or self._ready or self._state.missing is None)

    @property
    def unused_data(self) -> bytes:
        """The bytes after the end of the frame."""
        return bytes(self._input) if self.eof else b""

    def decompress(self, data: Buffer, max_length: int = -1) -> bytes:
        """Take data; return what can be decoded, at most max_length bytes if that is not negative.

        Every block was checked before its bytes are given out. Raises EOFError after the end, and
        LMZError as errors.py says.
        """
        view, most = as_bytes(data), operator.index(max_length)
        with self._lock:
            return self._decompress(view, most)

    def _decompress(self, view: memoryview, most: int) -> bytes:
        if self.eof:
            raise EOFError("the frame has ended; what came after it is in unused_data")
        saved, sha256 = dataclasses.replace(self._state), self._sha256.copy()
        lengths = [(part, len(part)) for part in (self._input, self._ready, self._records)]
        try:
            if view:
                self._input += view
                self._state.missing = None
            while not (self._state.eof or self._state.missing is not None or 0 <= most <= len(self._ready)):
                try:
                    self._advance(self._state)
                except TruncatedError as error:
                    self._state.missing = str(error)
        except BaseException as error:
            place = self._place()
            self._state, self._sha256 = saved, sha256
            for part, length in lengths:
                del part[length:]
            if place and isinstance(error, CorruptError):
                raise CorruptError(f"at byte {place:,} of the frame: {error}") from error
            raise
        del self._input[: self._state.used]
        self._state.used = 0
        size = len(self._ready) if most < 0 else min(most, len(self._ready))
        out = bytes(memoryview(self._ready)[:size])
        del self._ready[:size]
        return out

    def finish(self) -> None:
        """State that there is no more input: raises TruncatedError unless the frame has ended."""
        if not self._state.eof:
            raise TruncatedError(self._state.missing or "the end was stated before all that was given was decoded")

    def __reduce__(self) -> Any:
        raise TypeError("an LMZDecompressor cannot be pickled")

    def _place(self) -> int:
        """Return where in the frame the part begins that is read next."""
        return self._state.header_size + sum(size for size, _ in self._records) + self._state.index_size

    def _peek(self, size: int) -> bytes:
        """Return the next bytes of the input, fewer where it ends."""
        return bytes(memoryview(self._input)[self._state.used : self._state.used + size])

    def _advance(self, state: _State) -> None:
        """Read the next part of the frame from the input, all of it or, with TruncatedError, nothing."""
        if state.header is None and container.parse_layout(self._peek(container.MAX_HEAD_SIZE)) == container.SHORT:
            size = self._short(state)
        elif state.header is None:
            state.header, size = container.parse_header(self._peek(container.MAX_HEAD_SIZE))
            state.header_size = size
            if self._max_output is not None and (state.header.content_size or 0) > self._max_output:
                raise LimitError(f"the frame holds {state.header.content_size:,} bytes, more than max_output")
        elif state.index is not None:
            index_size, size = container.parse_footer(self._peek(container.FOOTER_SIZE))
            self._end(state.header, state.index, index_size)
        elif state.record is None:
            head = self._peek(container.MAX_HEAD_SIZE)
            state.record, size = container.parse_record_header(head, 0, state.header.block_size)
            state.head_size = size
        else:
            size = state.record.payload_size
            missing = size - (len(self._input) - state.used)
            if missing > 0:  # said before a part of it is copied
                raise TruncatedError(f"record payload: the data ends {missing:,} bytes too early")
            payload, _ = container.parse_payload(self._peek(size), 0, state.record)
            try:
                self._record(state, state.record, payload)
            except TruncatedError as error:  # the payload is whole, so more input would not help
                raise CorruptError(str(error)) from error
            state.record = None
        state.used += size

    def _short(self, state: _State) -> int:
        """Read a frame of one block; return its size."""
        head, size = short.parse_head(self._peek(container.MAX_DEFINITION_SIZE + container.MAX_HEAD_SIZE))
        if self._max_output is not None and head.raw_size > self._max_output:
            raise LimitError(f"the frame holds {head.raw_size:,} bytes, more than max_output")
        size += head.payload_size + head.check_size
        missing = size - (len(self._input) - state.used)
        if missing > 0:  # said before a part of it is copied
            raise TruncatedError(f"frame of one block: the data ends {missing:,} bytes too early")
        frame, _ = short.parse_frame(self._peek(size))
        self._ready += decode_short(frame, self._given, self._loading, self._progress)
        state.done, state.eof = head.raw_size, True
        return size

    def _record(self, state: _State, header: RecordHeader, payload: bytes) -> None:
        size = state.head_size + len(payload)
        if header.type == container.INDEX:
            state.index, state.index_size = container.parse_index(payload), size
            return
        if header.type == container.MODEL_DEFINITION:
            state.model = model_for(container.parse_model_definition(payload), self._given, **self._loading)
        elif header.is_data:
            if self._max_output is not None and state.done + header.raw_size > self._max_output:
                raise LimitError(f"the output would be longer than max_output, {self._max_output:,} bytes")
            done, report = state.done, self._progress
            tick = None if report is None else lambda amount: report(done + int(amount))
            place = f"block whose content begins at byte {done:,}"
            data = decode_block(header, payload, state.model, place, tick, self._loading["notify"])
            self._sha256.update(data)
            self._ready += data
            state.done += len(data)
        self._records.append((size, header.raw_size))

    def _end(self, header: Header, index: Index, index_size: int) -> None:
        """Compare what the index says with what was read."""
        state = self._state
        found = (state.header_size, tuple(self._records), state.index_size)
        if found != (index.header_size, index.records, index_size):
            raise CorruptError("index: it does not describe the blocks before it")
        if index.sha256 != self._sha256.digest():
            raise CorruptError("index: the sha256 of the content differs")
        if header.content_size not in (None, state.done):
            raise CorruptError(f"frame header: {header.content_size} bytes declared, {state.done} found")
        state.eof = True


def decode_short(
    frame: ShortFrame, given: Predictor | None, loading: dict[str, Any], progress: Progress | None
) -> bytes:
    """Decode and check a frame of one block. given, loading: see model_for."""
    head = frame.head
    model = None if head.model is None else model_for(head.model, given, **loading)
    if head.type in KERNELS:
        registry.announce(KERNELS[head.type], loading.get("notify"))
    tick = None if progress is None else lambda amount: progress(int(amount))
    try:
        data = decode_payload(head.type, frame.payload, head.raw_size, model, tick)
    except (CorruptError, TruncatedError) as error:  # the payload is whole, so more input would not help
        raise CorruptError(f"frame of one block: it is damaged ({error})") from error
    frame.check(data)
    return data


def decode_block(
    header: RecordHeader, payload: bytes, model: Predictor | None, place: str,
    progress: Callable[[float], None] | None = None, notify: Callable[[str], None] | None = None,
) -> bytes:  # fmt: skip
    """Decode a block and compare its checksum; errors name the place."""
    if header.type in KERNELS:
        registry.announce(KERNELS[header.type], notify)
    try:
        data = decode_payload(header.type, payload, header.raw_size, model, progress)
        if container.check64(data) != header.raw_check:
            raise CorruptError(
                "its checksum differs although its code is undamaged: the writer or this machine computed wrongly"
            )
    except (CorruptError, TruncatedError) as error:
        raise CorruptError(f"{place}: {error}") from error
    return data
