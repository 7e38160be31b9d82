"""Compressed files as file objects: LMZFile and open."""

from __future__ import annotations

import bisect
import builtins
import dataclasses
import io
import os
from collections.abc import Callable
from typing import IO, Any, cast

from lmzip import container
from lmzip.compressor import LMZCompressor, Progress
from lmzip.container import Header
from lmzip.decompressor import LMZDecompressor, decode_block
from lmzip.errors import CorruptError, TruncatedError
from lmzip.library import model_for
from lmzip.models.base import Predictor

_READ_SIZE = 1 << 16


@dataclasses.dataclass(frozen=True)
class Block:
    """Where a block stands: offset and size in the file, start and raw_size in the content."""

    offset: int
    size: int
    start: int
    raw_size: int
    definition: int | None  # offset of the model definition that holds for it
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
    blocks, definition = [], None
    for size, raw_size in index.records:
        if raw_size:
            blocks.append(Block(offset, size, 0, raw_size, definition, header))
        elif _read_at(file, offset, 1)[0] == container.MODEL_DEFINITION:
            definition = offset
        offset += size
    return blocks


def _read_at(file: IO[bytes], offset: int, size: int) -> bytes:
    if offset < 0:
        raise TruncatedError("the file is shorter than its index says")
    file.seek(offset)
    return container.take(file.read(size), 0, size, "file")


class _Reader(io.RawIOBase):
    """The decoded content of a file of frames; seeks by block where the file can seek."""

    def __init__(
        self, file: IO[bytes], model: Predictor | None, loading: dict[str, Any], progress: Progress | None
    ) -> None:  # fmt: skip
        """loading: threads, backend and notify for load_model."""
        self._file, self._given, self._loading, self._progress = file, model, loading, progress
        self._position = 0
        self._decompressor: LMZDecompressor | None = self._new_decompressor()
        self._blocks: list[Block] | None = None
        self._cached: tuple[int, bytes] = (-1, b"")

    def _new_decompressor(self) -> LMZDecompressor:
        return LMZDecompressor(model=self._given, progress=self._progress, **self._loading)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._from_blocks(len(view)) if self._blocks is not None else self._from_stream(len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_CUR:
            offset += self._position
        elif whence == os.SEEK_END or offset != self._position:
            blocks = self._index()
            if whence == os.SEEK_END:
                offset += blocks[-1].start + blocks[-1].raw_size if blocks else 0
        elif whence != os.SEEK_SET:
            raise ValueError(f"whence must be 0, 1 or 2, not {whence!r}")
        if offset < 0:
            raise ValueError(f"negative seek position {offset}")
        if offset != self._position:
            self._index()
        self._position = offset
        return offset

    def _index(self) -> list[Block]:
        if self._blocks is None:
            self._blocks = read_blocks(self._file)
            self._decompressor = None
        return self._blocks

    def _from_stream(self, size: int) -> bytes:
        """Read on through the frames, one after the other."""
        while size and (decompressor := self._decompressor) is not None:
            if decompressor.eof:
                rest = decompressor.unused_data or self._file.read(_READ_SIZE)
                self._decompressor = self._new_decompressor() if rest else None
                decompressor = self._decompressor
            else:
                rest = self._file.read(_READ_SIZE) if decompressor.needs_input else b""
                if decompressor.needs_input and not rest:
                    decompressor.finish()
            if decompressor is not None and (data := decompressor.decompress(rest, size)):
                return data
        return b""

    def _from_blocks(self, size: int) -> bytes:
        """Read at the position, from the block that holds it."""
        assert self._blocks is not None
        i = bisect.bisect_right(self._blocks, self._position, key=lambda block: block.start) - 1
        if i < 0 or self._position >= self._blocks[i].start + self._blocks[i].raw_size:
            return b""
        if self._cached[0] != i:
            self._cached = (i, self._decode(i))
        start = self._position - self._blocks[i].start
        return self._cached[1][start : start + size]

    def _decode(self, i: int) -> bytes:
        assert self._blocks is not None
        block, model = self._blocks[i], None
        size = block.header.block_size
        record = _read_at(self._file, block.offset, block.size)
        header, offset = container.parse_record_header(record, 0, size)
        payload, _ = container.parse_payload(record, offset, header)
        if header.raw_size != block.raw_size:
            raise CorruptError("index: it does not describe the blocks before it")
        if header.type in container.MODEL_TYPES and block.definition is not None:
            whole = _read_at(self._file, block.definition, block.offset - block.definition)
            definition_header, offset = container.parse_record_header(whole, 0, size)
            definition, _ = container.parse_payload(whole, offset, definition_header)
            model = model_for(container.parse_model_definition(definition), self._given, **self._loading)
        return decode_block(header, payload, model, f"block {i} at byte {block.start:,}", None)


class LMZFile(io.BufferedIOBase):
    """A compressed file as a binary file object.

    Reading goes through any number of frames and seeks by block. Writing makes one frame; mode
    `a` adds one to what the file holds. Sizes and buffers as for io.BufferedIOBase.
    """

    def __init__(
        self, file: str | bytes | os.PathLike[Any] | IO[bytes], mode: str = "r", *, level: int | None = None,
        model: Predictor | None = None, method: str = "auto", coder: str = "range", verify: bool = True,
        kind: str = "auto", threads: int | None = None, backend: str | None = None,
        notify: Callable[[str], None] | None = None,
        content_size: int | None = None, progress: Progress | None = None,
    ) -> None:  # fmt: skip
        """file: a path, or a binary file object that stays open when this one closes.

        mode: r, w, x or a, with or without b. level, method, coder, verify, kind, content_size: for
        writing, see LMZCompressor. threads, backend, notify: for loading a model, see load_model.
        progress: called with the uncompressed bytes done.
        """
        modes = {"r": "rb", "rb": "rb", "w": "wb", "wb": "wb", "x": "xb", "xb": "xb", "a": "ab", "ab": "ab"}
        if mode not in modes:
            raise ValueError(f"mode must be r, w, x or a, with or without b, not {mode!r}")
        self._writing = modes[mode] != "rb"
        if not self._writing and level is not None:
            raise ValueError("level is for writing")
        self._compressor: LMZCompressor | None = None
        self._closes_file = isinstance(file, (str, bytes, os.PathLike))
        if self._closes_file:
            self._file = cast(IO[bytes], builtins.open(file, modes[mode]))  # type: ignore[arg-type]  # noqa: SIM115
        elif hasattr(file, "write" if self._writing else "read"):
            self._file = cast(IO[bytes], file)
        else:
            raise TypeError(f"file must be a path or a binary file object, not {type(file).__name__}")
        if self._writing:
            self._written = 0
            self._compressor = LMZCompressor(
                6 if level is None else level, model=model, method=method, coder=coder, verify=verify, kind=kind,
                threads=threads, backend=backend, notify=notify, content_size=content_size, progress=progress,
            )  # fmt: skip
        else:
            loading = {"threads": threads, "backend": backend, "notify": notify}
            self._reader = io.BufferedReader(_Reader(self._file, model, loading, progress), 1 << 16)

    def close(self) -> None:
        """Finish the frame when writing; close the file if this object opened it."""
        if self.closed:
            return
        try:
            if self._compressor is not None:
                self._file.write(self._compressor.flush())
                self._compressor = None
        finally:
            try:
                if self._closes_file:
                    self._file.close()
            finally:
                super().close()

    def abandon(self) -> None:
        """Close without finishing the frame: what was written cannot be decoded."""
        self._compressor = None
        self.close()

    def readable(self) -> bool:
        """Whether the file was opened for reading."""
        self._check_open()
        return not self._writing

    def writable(self) -> bool:
        """Whether the file was opened for writing."""
        self._check_open()
        return self._writing

    def seekable(self) -> bool:
        """Whether seek works: when reading from a file that can seek."""
        return self.readable() and self._file.seekable()

    @property
    def name(self) -> str:
        """Return the name of the compressed file; AttributeError where it has none."""
        return self._file.name

    def fileno(self) -> int:
        """Return the descriptor of the compressed file."""
        self._check_open()
        return self._file.fileno()

    def write(self, data: Any) -> int:
        """Take bytes to compress; return how many they are."""
        if not self.writable() or self._compressor is None:
            raise io.UnsupportedOperation("the file was opened for reading")
        self._file.write(self._compressor.compress(data))
        size = memoryview(data).nbytes
        self._written += size
        return size

    def read(self, size: int | None = -1) -> bytes:
        """Return up to size bytes; all that are left if size is negative or None."""
        return self._reading().read(size)

    def read1(self, size: int = -1) -> bytes:
        """Return up to size bytes with as few reads of the file as possible."""
        return self._reading().read1(size if size >= 0 else io.DEFAULT_BUFFER_SIZE)

    def readinto(self, buffer: Any) -> int:
        """Fill buffer; return how many bytes were read."""
        return self._reading().readinto(buffer)

    def readline(self, size: int | None = -1) -> bytes:
        """Return one line."""
        return self._reading().readline(-1 if size is None else size)

    def peek(self, size: int = -1) -> bytes:
        """Return bytes ahead without moving on."""
        return self._reading().peek(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move in the content; only the block that is then read is decoded."""
        return self._reading().seek(offset, whence)

    def tell(self) -> int:
        """Return the position in the content."""
        self._check_open()
        return self._written if self._writing else self._reader.tell()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def _reading(self) -> io.BufferedReader[_Reader]:
        if not self.readable():
            raise io.UnsupportedOperation("the file was opened for writing")
        return self._reader


def open(  # noqa: A001 - the standard library's name for it
    file: str | bytes | os.PathLike[Any] | IO[bytes], mode: str = "rb", *, encoding: str | None = None,
    errors: str | None = None, newline: str | None = None, **options: Any,
) -> LMZFile | io.TextIOWrapper:  # fmt: skip
    """Open a compressed file, in binary mode or, with a `t` in mode, as text.

    Options as for LMZFile; encoding, errors and newline as for the built-in open.
    """
    text = "t" in mode
    if text and "b" in mode:
        raise ValueError(f"mode must not have both t and b: {mode!r}")
    if not text and (encoding, errors, newline) != (None, None, None):
        raise ValueError("encoding, errors and newline are for text mode")
    binary = LMZFile(file, mode.replace("t", ""), **options)
    if not text:
        return binary
    return io.TextIOWrapper(binary, io.text_encoding(encoding), errors, newline)
