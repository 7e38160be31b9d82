"""Compressed files as file objects: LMZFile and open."""

from __future__ import annotations

import bisect
import builtins
import contextlib
import io
import os
import stat
from collections.abc import Callable, Iterator
from typing import IO, Any, Literal, cast, overload

from lmzip.compressor import FLUSH_BLOCK, FLUSH_FRAME, Buffer, LMZCompressor, Progress, as_bytes
from lmzip.decompressor import LMZDecompressor
from lmzip.models.protocols import Predictor
from lmzip.seekable import Block, read_block, read_blocks

File = str | bytes | os.PathLike[str] | os.PathLike[bytes] | IO[bytes]
_READ_SIZE = 1 << 16


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
        return hasattr(self._file, "seekable") and self._file.seekable()

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = as_bytes(buffer)
        data = self._next(len(view))
        view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return b"".join(iter(lambda: self._next(1 << 20), b""))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_CUR:
            offset += self._position
        elif whence == os.SEEK_END:
            offset += self._size()
        elif whence != os.SEEK_SET:
            raise ValueError(f"whence must be 0, 1 or 2, not {whence!r}")
        if offset != self._position:
            self._position = max(0, min(offset, self._size()))
        return self._position

    def _size(self) -> int:
        """Return the size of the content, and read by block from now on."""
        if self._blocks is None:
            self._blocks = read_blocks(self._file)
            self._decompressor = None
        return self._blocks[-1].start + self._blocks[-1].raw_size if self._blocks else 0

    def _next(self, size: int) -> bytes:
        """Read on, up to size bytes, nothing only at the end."""
        data = self._from_stream(size) if self._blocks is None else self._from_blocks(self._blocks, size)
        self._position += len(data)
        return data

    def _from_stream(self, size: int) -> bytes:
        """Read on through the frames, one after the other."""
        while size and (decompressor := self._decompressor) is not None:
            rest = b""
            if decompressor.eof:
                rest = decompressor.unused_data or self._file.read(_READ_SIZE)
                self._decompressor = decompressor = self._new_decompressor() if rest else None
            elif decompressor.needs_input:
                rest = self._file.read(_READ_SIZE)
                if not rest:
                    decompressor.finish()
            if decompressor is not None and (data := decompressor.decompress(rest, size)):
                return data
        return b""

    def _from_blocks(self, blocks: list[Block], size: int) -> bytes:
        """Read at the position, from the block that holds it."""
        i = bisect.bisect_right(blocks, self._position, key=lambda block: block.start) - 1
        if i < 0 or self._position >= blocks[i].start + blocks[i].raw_size:
            return b""
        if self._cached[0] != i:
            place = f"block {i + 1} at byte {blocks[i].offset:,}"
            self._cached = (i, read_block(self._file, blocks[i], place, self._given, self._loading))
        start = self._position - blocks[i].start
        return self._cached[1][start : start + size]


class LMZFile(io.BufferedIOBase):
    """A compressed file as a binary file object.

    Reading goes through any number of frames and seeks by block; a position before the beginning or after the end is
    that of the beginning or the end. Writing makes a frame, mode `a` adds one to what the file holds, and so does what
    is written after `flush(FLUSH_FRAME)`. Sizes and buffers as for io.BufferedIOBase.
    """

    FLUSH_BLOCK, FLUSH_FRAME = FLUSH_BLOCK, FLUSH_FRAME

    def __init__(
        self, file: File, mode: str = "r", *, level: int | None = None,
        model: Predictor | None = None, method: str = "auto", coder: str = "range", verify: bool = True,
        kind: str = "auto", threads: int | None = None, backend: str | None = None,
        notify: Callable[[str], None] | None = None,
        content_size: int | None = None, progress: Progress | None = None,
    ) -> None:  # fmt: skip
        """file: a path, or a binary file object that stays open when this one closes.

        mode: r, w, x or a, with or without b. level, method, coder, verify, kind, content_size: for
        writing, see LMZCompressor. threads, backend, notify: for loading a model, see load_model.
        progress: called with the uncompressed bytes done.
        With mode w, what a file held is there until the first compressed bytes replace it.
        """
        if mode not in ("r", "rb", "w", "wb", "x", "xb", "a", "ab"):
            raise ValueError(f"mode must be r, w, x or a, with or without b, not {mode!r}")
        self._writing = mode[0] != "r"
        if not self._writing and level is not None:
            raise ValueError("level is for writing")
        self._compressor: LMZCompressor | None = None
        if self._writing:
            self._compressor = LMZCompressor(
                6 if level is None else level, model=model, method=method, coder=coder, verify=verify, kind=kind,
                threads=threads, backend=backend, notify=notify, content_size=content_size, progress=progress,
            )  # fmt: skip
        self._appends = mode[0] == "a"
        self._closes_file = isinstance(file, (str, bytes, os.PathLike))
        self._replaces = self._closes_file and mode[0] == "w"  # what the file held, once there is something to write
        self._written = self._given_out = 0
        self._text_start: int | None = None  # while a text file is made of this one: where the text begins
        self._closing = False
        if isinstance(file, (str, bytes, os.PathLike)):
            opener = _open_untruncated if self._replaces else None
            self._file = cast(IO[bytes], builtins.open(file, mode[0] + "b", opener=opener))  # noqa: SIM115
        elif hasattr(file, "write" if self._writing else "read"):
            self._file = file
        else:
            raise TypeError(f"file must be a path or a binary file object, not {type(file).__name__}")
        if not self._writing:
            loading = {"threads": threads, "backend": backend, "notify": notify}
            self._reader = io.BufferedReader(_Reader(self._file, model, loading, progress))

    def close(self) -> None:
        """Finish the frame when writing; close the file if this object opened it."""
        if self.closed or not hasattr(self, "_file"):
            return
        try:
            if self._compressor is not None:
                if self._compressor.last_mode != FLUSH_FRAME or not self._given_out:
                    self._give_out(self._compressor.flush())
            elif not self._writing:
                self._reader.close()
        finally:
            self._compressor = None
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
        if self._text_start is not None:
            return True
        return self.readable() and self._reader.seekable()

    @property
    def mode(self) -> str:
        """Return `rb` or `wb`."""
        return "wb" if self._writing else "rb"

    @property
    def name(self) -> str:
        """Return the name of the compressed file; AttributeError where it has none."""
        self._check_open()
        return self._file.name

    def fileno(self) -> int:
        """Return the descriptor of the compressed file."""
        self._check_open()
        return self._file.fileno()

    def write(self, data: Buffer) -> int:  # type: ignore[override]
        """Take bytes to compress; return how many they are."""
        view = as_bytes(data)
        self._give_out(self._compressing().compress(view))
        self._written += len(view)
        return len(view)

    def flush(self, mode: int = FLUSH_BLOCK) -> None:
        """Write what was given so far, so that readers see it, and flush the file; do nothing when reading.

        Every call ends a block, or with FLUSH_FRAME the frame, which makes the file larger.
        """
        if mode not in (FLUSH_BLOCK, FLUSH_FRAME):
            raise ValueError(f"mode must be FLUSH_BLOCK or FLUSH_FRAME, not {mode!r}")
        if self.closed:
            raise ValueError("I/O operation on closed file")
        compressor = self._compressor
        if compressor is None or self._closing:  # then the end of the frame is about to come
            return
        if compressor.last_mode not in (mode, FLUSH_FRAME):
            self._give_out(compressor.flush(mode))
        if hasattr(self._file, "flush"):
            self._file.flush()

    def read(self, size: int | None = -1) -> bytes:
        """Return up to size bytes; all that are left if size is negative or None."""
        return self._reading().read(size)

    def read1(self, size: int = -1) -> bytes:
        """Return up to size bytes with as few reads of the file as possible."""
        return self._reading().read1(size if size >= 0 else io.DEFAULT_BUFFER_SIZE)

    def readinto(self, buffer: Any) -> int:
        """Fill buffer; return how many bytes were read."""
        return self._reading().readinto(buffer)

    def readinto1(self, buffer: Any) -> int:
        """Fill buffer with as few reads of the file as possible; return how many bytes were read."""
        return self._reading().readinto1(buffer)

    def readline(self, size: int | None = -1) -> bytes:
        """Return one line."""
        return self._reading().readline(-1 if size is None else size)

    def peek(self, size: int = -1) -> bytes:
        """Return bytes ahead without moving on."""
        return self._reading().peek(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move in the content; only the block that is then read is decoded. Return the new position."""
        return self._reading().seek(offset, whence)

    def tell(self) -> int:
        """Return the position in the content."""
        self._check_open()
        if self._text_start is not None:
            return self._text_start
        return self._written if self._writing else self._reader.tell()

    def __reduce__(self) -> Any:
        raise TypeError("an LMZFile cannot be pickled")

    @contextlib.contextmanager
    def _at_start_of_text(self) -> Iterator[None]:
        """Let a TextIOWrapper see that it may begin with a byte order mark: where nothing was written before."""
        if self._writing:
            seekable = hasattr(self._file, "seekable") and self._file.seekable()
            self._text_start = self._file.seek(0, os.SEEK_END) if self._appends and seekable else 0
        try:
            yield
        finally:
            self._text_start = None

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def _reading(self) -> io.BufferedReader[_Reader]:
        if not self.readable():
            raise io.UnsupportedOperation("the file was opened for writing")
        return self._reader

    def _compressing(self) -> LMZCompressor:
        if not self.writable():
            raise io.UnsupportedOperation("the file was opened for reading")
        if self._compressor is None:
            raise ValueError("an earlier write to the file failed; its frame cannot be finished")
        return self._compressor

    def _give_out(self, data: bytes) -> None:
        """Write compressed bytes; where that fails nothing more is written, since the frame would have a gap."""
        if not data:
            return
        try:
            if self._replaces and stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
                self._file.truncate(0)
            self._replaces = False
            view = memoryview(data)
            while view:
                count = self._file.write(view)
                if count == 0:
                    raise OSError(f"the file object took none of {len(view):,} bytes")
                view = view[count if isinstance(count, int) else len(view) :]
            self._given_out += len(data)
        except BaseException:
            self._compressor = None
            raise


def _open_untruncated(path: str, flags: int) -> int:
    return os.open(path, flags & ~os.O_TRUNC, 0o666)


class _TextFile(io.TextIOWrapper):
    """The text of an LMZFile."""

    def __init__(self, binary: LMZFile, encoding: str, errors: str | None, newline: str | None) -> None:
        self._binary = binary
        with binary._at_start_of_text():
            super().__init__(binary, encoding, errors, newline)

    def close(self) -> None:
        """Write what is left and close the file."""
        self._binary._closing = True
        super().close()


@overload
def open(  # noqa: A001 - the standard library's name for it
    file: File, mode: Literal["r", "rb", "w", "wb", "x", "xb", "a", "ab"] = ..., *,
    level: int | None = ..., model: Predictor | None = ..., method: str = ..., coder: str = ...,
    verify: bool = ..., kind: str = ..., threads: int | None = ..., backend: str | None = ...,
    notify: Callable[[str], None] | None = ..., content_size: int | None = ..., progress: Progress | None = ...,
    encoding: None = ..., errors: None = ..., newline: None = ...,
) -> LMZFile: ...  # fmt: skip
@overload
def open(  # noqa: A001 - the standard library's name for it
    file: File, mode: Literal["rt", "wt", "xt", "at"], *,
    level: int | None = ..., model: Predictor | None = ..., method: str = ..., coder: str = ...,
    verify: bool = ..., kind: str = ..., threads: int | None = ..., backend: str | None = ...,
    notify: Callable[[str], None] | None = ..., content_size: int | None = ..., progress: Progress | None = ...,
    encoding: str | None = ..., errors: str | None = ..., newline: str | None = ...,
) -> io.TextIOWrapper: ...  # fmt: skip
@overload
def open(  # noqa: A001 - the standard library's name for it
    file: File, mode: str, *,
    level: int | None = ..., model: Predictor | None = ..., method: str = ..., coder: str = ...,
    verify: bool = ..., kind: str = ..., threads: int | None = ..., backend: str | None = ...,
    notify: Callable[[str], None] | None = ..., content_size: int | None = ..., progress: Progress | None = ...,
    encoding: str | None = ..., errors: str | None = ..., newline: str | None = ...,
) -> LMZFile | io.TextIOWrapper: ...  # fmt: skip
def open(  # noqa: A001 - the standard library's name for it
    file: File, mode: str = "rb", *, level: int | None = None, model: Predictor | None = None, method: str = "auto",
    coder: str = "range", verify: bool = True, kind: str = "auto", threads: int | None = None,
    backend: str | None = None, notify: Callable[[str], None] | None = None, content_size: int | None = None,
    progress: Progress | None = None, encoding: str | None = None, errors: str | None = None,
    newline: str | None = None,
) -> LMZFile | io.TextIOWrapper:  # fmt: skip
    """Open a compressed file, in binary mode or, with a `t` in mode, as text.

    Options as for LMZFile; encoding, errors and newline as for the built-in open.
    """
    text = "t" in mode
    if text and "b" in mode:
        raise ValueError(f"mode must not have both t and b: {mode!r}")
    if not text and (encoding, errors, newline) != (None, None, None):
        raise ValueError("encoding, errors and newline are for text mode")
    binary = LMZFile(
        file, mode.replace("t", "", 1), level=level, model=model, method=method, coder=coder, verify=verify, kind=kind,
        threads=threads, backend=backend, notify=notify, content_size=content_size, progress=progress,
    )  # fmt: skip
    if not text:
        return binary
    try:
        return _TextFile(binary, io.text_encoding(encoding), errors, newline)
    except BaseException:
        binary.abandon()  # so that what the file held is still there
        raise
