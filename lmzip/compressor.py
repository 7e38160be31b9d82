"""LMZCompressor: a stream of bytes into one frame."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, cast

from lmzip import container, library
from lmzip.codec import encode_block, encode_media_block
from lmzip.container import Header, Index, ModelDefinition
from lmzip.errors import LMZError
from lmzip.kinds import Layout, Taken, sniff
from lmzip.models.base import Model, Predictor, SampleModel
from lmzip.options import Options

Buffer = bytes | bytearray | memoryview
# Called with the bytes of input (encoder) or output (decoder) done so far, never with fewer than
# before. With `verify`, a byte that is coded and not yet compared counts half.
Progress = Callable[[int], None]
SNIFF_SIZE = 1 << 16  # bytes that tell what a file is
MEDIA_BLOCK_SIZE = 1 << 24


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
