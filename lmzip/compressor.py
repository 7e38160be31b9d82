"""LMZCompressor: a stream of bytes into frames."""

from __future__ import annotations

import dataclasses
import threading
import warnings
from collections.abc import Callable
from typing import Any, cast

from lmzip import container
from lmzip.blocks.media import REPORT, distrust
from lmzip.blocks.select import encode_block, encode_media_block
from lmzip.container import Header
from lmzip.errors import LMZError
from lmzip.formats import HEAD_SIZE, Deconstructed, Layout, detect
from lmzip.frame_writer import FrameWriter
from lmzip.models import registry
from lmzip.models.protocols import Model, Predictor, SampleModel
from lmzip.options import Options

Buffer = bytes | bytearray | memoryview
# Called with the bytes of input (encoder) or output (decoder) done so far, never with fewer than
# before. With `verify`, a byte that is coded and not yet compared counts half.
Progress = Callable[[int], None]
MEDIA_BLOCK_SIZE = 1 << 24
CONTINUE, FLUSH_BLOCK, FLUSH_FRAME = range(3)


def as_bytes(data: Buffer) -> memoryview:
    """Return the bytes of a buffer of any format; TypeError for what is none."""
    view = memoryview(data)
    return view.cast("B") if view.nbytes else memoryview(b"")


@dataclasses.dataclass
class _State:
    """Where a compressor stands.

    content_size: of the content that began at byte `start`, None where it is unknown. done: bytes in blocks so far.
    used: bytes of the input at hand that are among them. detected: whether the content was looked at; layout: how it
    is cut, None for bytes. frame: the one that is being written, None before its first block.
    """

    content_size: int | None
    detected: bool
    start: int = 0
    done: int = 0
    used: int = 0
    layout: Layout | None = None
    frame: FrameWriter | None = None


class LMZCompressor:
    """Compress a stream of bytes into frames, block by block.

    Holds one block of input at most; where the content is a compressed picture, all of it up to 64 MiB. A model is
    loaded when the first block that needs one is full. A call that raises changes nothing: it can be made again.
    Threads may share one; a call of one waits for that of another.

    last_mode: the mode of the last call of `compress` or `flush`; FLUSH_FRAME before the first one.
    """

    CONTINUE, FLUSH_BLOCK, FLUSH_FRAME = CONTINUE, FLUSH_BLOCK, FLUSH_FRAME

    def __init__(
        self, level: int = 6, *, model: Predictor | None = None, method: str = "auto", coder: str = "range",
        verify: bool = True, kind: str = "auto", threads: int | None = None, backend: str | None = None,
        notify: Callable[[str], None] | None = None, content_size: int | None = None,
        progress: Progress | None = None,
    ) -> None:  # fmt: skip
        """level: 1 (fast) to 9 (small). model: None for the default one; with method `lm` one for its kind of data.

        method: what to try, see Options; at `auto`, levels 1 to 3 need no model.
        coder: `range` or `rans`. verify: decode every block again before it is given out.
        kind: `auto`, or `bytes` to deconstruct no picture or recording, see Options.
        threads, backend, notify: how to load the default model, see load_model.
        content_size: of the first frame, as for set_pledged_input_size.
        """
        self._options = Options(level, coder, verify, method, kind)
        if model is not None and model.kind != "bytes" and method != "lm":
            raise ValueError(f"the model {model.id} is of the kind {model.kind}; it goes with method 'lm'")
        self._models: dict[str, Predictor] = {} if model is None else {model.kind: model}
        self._loading: dict[str, Any] = {"threads": threads, "backend": backend, "notify": notify}
        self._progress = progress
        self._warned = False  # that the model of a kind of data must not be used here
        self._pending = bytearray()
        self._state = _State(None, not self._options.deconstructs)
        self._lock = threading.Lock()
        self.last_mode = FLUSH_FRAME
        self.set_pledged_input_size(content_size)

    @property
    def done(self) -> int:
        """The bytes of input that are in blocks already."""
        return self._state.done

    def set_pledged_input_size(self, size: int | None) -> None:
        """State how many bytes the next frame will hold; None: unknown. It is recorded, and checked at its end.

        Raises ValueError unless last_mode is FLUSH_FRAME.
        """
        if size is not None and not isinstance(size, int):
            raise TypeError(f"the size must be an int or None, not {type(size).__name__}")
        if size is not None and not 0 <= size <= container.MAX_CONTENT_SIZE:
            raise ValueError(f"the size must be 0 to {container.MAX_CONTENT_SIZE:,}, not {size:,}")
        if self.last_mode != FLUSH_FRAME:
            raise ValueError("the size is stated before a frame begins: when last_mode is FLUSH_FRAME")
        self._state.content_size = size

    def compress(self, data: Buffer, mode: int = CONTINUE) -> bytes:
        """Take data; return what is ready of the frame.

        CONTINUE: often nothing. FLUSH_BLOCK: end the block, so that all that was given can be decoded; every such
        block makes the output larger. FLUSH_FRAME: end the frame; the next call begins another one.
        """
        if mode not in (CONTINUE, FLUSH_BLOCK, FLUSH_FRAME):
            raise ValueError(f"mode must be CONTINUE, FLUSH_BLOCK or FLUSH_FRAME, not {mode!r}")
        with self._lock:
            return self._compress(data, mode)

    def _compress(self, data: Buffer, mode: int) -> bytes:
        state, before = dataclasses.replace(self._state), len(self._pending)
        mark = None if state.frame is None else state.frame.mark()
        self._pending += as_bytes(data)
        try:
            out = self._blocks(mode)
            if mode == FLUSH_FRAME:
                out += self._end()
            elif mode == FLUSH_BLOCK and self._state.frame is not None:
                out += self._state.frame.flush()
        except BaseException:
            del self._pending[before:]
            self._state = state
            if state.frame is not None:
                state.frame.restore(mark)
            raise
        del self._pending[: self._state.used]
        self._state.used = 0
        self.last_mode = mode
        return out

    def flush(self, mode: int = FLUSH_FRAME) -> bytes:
        """End the frame, or with FLUSH_BLOCK the block: return the rest of it. See compress."""
        if mode not in (FLUSH_BLOCK, FLUSH_FRAME):
            raise ValueError(f"mode must be FLUSH_BLOCK or FLUSH_FRAME, not {mode!r}")
        return self.compress(b"", mode)

    def __reduce__(self) -> Any:
        raise TypeError("an LMZCompressor cannot be pickled")

    def _end(self) -> bytes:
        """End the frame and the content."""
        state = self._state
        size = state.done - state.start
        if state.content_size not in (None, size):
            raise ValueError(f"content_size was {state.content_size}, but the input had {size} bytes")
        out = self._frame(self._options.settings.block_size).end()
        self._state = _State(None, not self._options.deconstructs, start=state.done, done=state.done, used=state.used)
        return out

    def _blocks(self, mode: int) -> bytes:
        """Code the blocks that are whole; unless mode is CONTINUE all that is left is."""
        state, flush = self._state, mode != CONTINUE
        if not self._pending and mode == FLUSH_BLOCK:
            return b""
        if not state.detected and (flush or len(self._pending) >= HEAD_SIZE):
            self._detect()
        if not state.detected:
            return b""
        if state.layout is not None and state.layout.whole:
            if not flush and len(self._pending) <= container.MAX_BLOCK_SIZE:
                return b""
            data = bytes(self._pending)
            deconstructed = self._deconstruct(state.layout, data, 0) if len(data) <= container.MAX_BLOCK_SIZE else None
            if deconstructed is not None:
                self._frame(len(data) if mode == FLUSH_FRAME else max(len(data), self._options.settings.block_size))
                out = self._block(data, deconstructed)
                state.layout = None  # what follows it in the same frame is bytes
                return out
            self._refuse("it cannot be deconstructed: it is damaged, or its encoder is not known")
            state.layout = None
        most = self._options.settings.block_size if state.layout is None else MEDIA_BLOCK_SIZE
        blocks: list[bytes] = []
        while (left := len(self._pending) - state.used) >= most or (flush and left):
            size, deconstructed = min(most, left), None
            if state.layout is not None:
                position = state.done - state.start
                size = min(state.layout.block_end(position, most) - position, size)
                data = bytes(self._pending[state.used : state.used + size])
                deconstructed = self._deconstruct(state.layout, data, position)
            self._frame(most)
            blocks.append(self._block(bytes(self._pending[state.used : state.used + size]), deconstructed))
        return b"".join(blocks)

    def _detect(self) -> None:
        """Find out how to cut the content."""
        self._state.detected = True
        self._state.layout = detect(bytes(self._pending[:HEAD_SIZE]))
        if self._state.layout is None:
            self._refuse("it is none that lmzip knows")
        elif self._options.kind not in ("auto", self._state.layout.kind):
            self._refuse(f"it is of the kind {self._state.layout.kind}")

    def _deconstruct(self, layout: Layout, data: bytes, position: int) -> Deconstructed | None:
        """Deconstruct a piece of the content; None where that cannot be, or no model may code its samples."""
        deconstructed = layout.deconstruct(data, position)
        if deconstructed is None or self._options.method == "lm":
            return deconstructed
        registry.announce(deconstructed.kind, self._loading["notify"])
        problem = distrust(deconstructed.kind)
        if problem is None:
            return deconstructed
        if self._options.kind != "auto":
            raise LMZError(f"{problem}. Nothing was coded. {REPORT}")
        if not self._warned:
            self._warned = True
            warning = f"{problem}. The content is coded as bytes, which takes more of them. {REPORT}"
            notify: Callable[[str], None] | None = self._loading["notify"]
            if notify is None:
                warnings.warn(warning, RuntimeWarning, stacklevel=2)
            else:
                notify(warning)
        return None

    def _refuse(self, why: str) -> None:
        """Raise LMZError where a kind of data was asked for that the content is not."""
        if self._options.kind != "auto":
            raise LMZError(f"the content cannot be coded as {self._options.kind}: {why}")

    def _frame(self, block_size: int) -> FrameWriter:
        """Return the frame that is being written; where there is none, a new one for blocks of this size at most."""
        if self._state.frame is None:
            size = self._state.content_size
            if size is not None and not container.index_has_room(size, block_size):
                size = None  # it will be more than one frame
            self._state.frame = FrameWriter(Header(self._options.level, block_size, size))
        return self._state.frame

    def _block(self, data: bytes, deconstructed: Deconstructed | None) -> bytes:
        """Code a block, the next bytes of the input, and add it to the frame."""
        state, done, report = self._state, self.done, self._progress
        tick = None if report is None else lambda amount: report(done + int(amount))
        coded: tuple[int, bytes] | None = None
        model: Predictor | None = None
        if deconstructed is not None:
            assert state.layout is not None
            if self._options.method == "lm":
                model = self._model_for(deconstructed.kind)
            coded = encode_media_block(
                data, deconstructed, state.layout.whole, self._options, cast("SampleModel | None", model), tick
            )
        if coded is None:
            model = self._model_for("bytes") if self._options.wants_model else None
            if model is None and self._options.method != "fallback":
                registry.announce("text", self._loading["notify"])
            coded = encode_block(data, cast("Model | None", model), done == state.start, self._options, tick)
        out = self._add(*coded, data, model)
        state.done += len(data)
        state.used += len(data)
        if report is not None:
            report(state.done)
        return out

    def _add(self, type_: int, payload: bytes, data: bytes, model: Predictor | None) -> bytes:
        """Add a block to the frame; where its index is full, end the frame and begin another one."""
        frame = self._state.frame
        assert frame is not None
        added = frame.add(type_, payload, data, model)
        if added is not None:
            return added
        if frame.header.content_size is not None:
            raise LMZError(
                f"the frame has as many blocks as its index can list, after {frame.content_size:,} of "
                f"{frame.header.content_size:,} bytes; flush fewer of them, or give no content_size"
            )
        self._state.frame = FrameWriter(frame.header)
        begun = self._state.frame.add(type_, payload, data, model)
        assert begun is not None  # the first block of a frame has room
        return frame.end() + begun

    def _model_for(self, kind: str) -> Predictor:
        """Return the model for blocks of a kind, loaded when the first one comes."""
        if kind not in self._models:
            self._models[kind] = registry.load_model(self._options.model_for(kind), **self._loading)
        return self._models[kind]
