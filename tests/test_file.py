"""LMZFile and open: modes, seeking, text, other file objects."""

from __future__ import annotations

import io
import os
import pathlib

import pytest
from mocks import bigram, markov_text
from test_stream import small_blocks  # noqa: F401 - a fixture

import lmzip
from lmzip.errors import CorruptError, TruncatedError
from lmzip.file import read_blocks

LINES = [markov_text(40 + i, seed=i) + b"\n" for i in range(60)]
TEXT = b"".join(LINES)
MODEL = bigram(TEXT)
pytestmark = pytest.mark.usefixtures("small_blocks")


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "file.lmzip"
    with lmzip.open(path, "wb", level=1, model=MODEL) as file:
        file.writelines(LINES)  # type: ignore[arg-type]
    return path


def test_read_in_all_ways(path: pathlib.Path) -> None:
    with lmzip.open(path, model=MODEL) as file:
        assert file.read() == TEXT and file.read() == b"" and file.tell() == len(TEXT)
    with lmzip.open(path, model=MODEL) as file:
        assert list(file) == LINES
    with lmzip.LMZFile(path, model=MODEL) as file:
        buffer = bytearray(100)
        assert file.readinto(buffer) == 100 and buffer == TEXT[:100]
        assert file.peek(1)[:1] == TEXT[100:101]
        assert file.read1(50) == TEXT[100:150]
        assert file.readline() == TEXT[150:].split(b"\n")[0] + b"\n"
        assert file.readable() and file.seekable() and not file.writable()
        assert isinstance(file.fileno(), int)


def test_seek_and_tell(path: pathlib.Path) -> None:
    with lmzip.LMZFile(path, model=MODEL) as file:
        for offset in (len(TEXT) - 10, 0, 299, 300, 301, 1500, 1499, len(TEXT) + 5):
            assert file.seek(offset) == offset == file.tell()
            assert file.read(7) == TEXT[offset : offset + 7]
        assert file.seek(-20, os.SEEK_END) == len(TEXT) - 20
        assert file.read() == TEXT[-20:]
        file.seek(100)
        assert file.seek(50, os.SEEK_CUR) == 150 and file.read(3) == TEXT[150:153]
        with pytest.raises(ValueError, match="negative"):
            file.seek(-1)


def test_seeking_decodes_only_what_is_read(path: pathlib.Path) -> None:
    data = bytearray(path.read_bytes())
    block = read_blocks(io.BytesIO(data))[2]
    data[block.offset + block.size - 1] ^= 1
    with lmzip.LMZFile(io.BytesIO(data), model=MODEL) as file:
        file.seek(1000)
        assert file.read(200) == TEXT[1000:1200]
        file.seek(700)
        with pytest.raises(CorruptError, match="damaged"):
            file.read(1)


def test_blocks_of_the_index(path: pathlib.Path) -> None:
    blocks = read_blocks(io.BytesIO(path.read_bytes()))
    assert [b.start for b in blocks] == list(range(0, len(TEXT), 300))
    assert sum(b.raw_size for b in blocks) == len(TEXT)


def test_append_adds_a_frame(path: pathlib.Path) -> None:
    with lmzip.open(path, "ab", level=1, model=MODEL) as file:
        file.write(b"appended")  # type: ignore[arg-type]
    with lmzip.LMZFile(path, model=MODEL) as file:
        assert file.read() == TEXT + b"appended"
        file.seek(len(TEXT) - 1)
        assert file.read() == TEXT[-1:] + b"appended"


def test_exclusive_mode(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileExistsError):
        lmzip.open(path, "xb")
    with lmzip.open(tmp_path / "new", "x", model=MODEL) as file:
        file.write(b"new")  # type: ignore[arg-type]
    assert lmzip.decompress((tmp_path / "new").read_bytes(), model=MODEL) == b"new"


def test_text_mode(tmp_path: pathlib.Path) -> None:
    with lmzip.open(tmp_path / "t", "wt", encoding="utf-16-le", newline="\r\n", model=MODEL) as file:
        file.write("zwei\nZeilen\u00e9")  # type: ignore[arg-type]
    with lmzip.open(tmp_path / "t", "rt", encoding="utf-16-le", model=MODEL) as file:
        assert file.readlines() == ["zwei\n", "Zeilen\u00e9"]
    with lmzip.LMZFile(tmp_path / "t", model=MODEL) as binary:
        assert binary.read().decode("utf-16-le") == "zwei\r\nZeilen\u00e9"


class Pipe(io.RawIOBase):
    """A file object that cannot seek and reads a few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece, self.rest = self.rest[: min(size, 11)], self.rest[min(size, 11) :]
        return piece


def test_reading_from_a_pipe(path: pathlib.Path) -> None:
    data = path.read_bytes()
    with lmzip.LMZFile(Pipe(data + data), model=MODEL) as file:  # type: ignore[arg-type]
        assert not file.seekable()
        assert file.read() == TEXT + TEXT
    with lmzip.LMZFile(Pipe(data[:-1]), model=MODEL) as file, pytest.raises(TruncatedError):  # type: ignore[arg-type]
        file.read()


def test_the_given_file_object_stays_open() -> None:
    target = io.BytesIO()
    with lmzip.LMZFile(target, "w", level=1, model=MODEL) as file:
        assert file.write(memoryview(TEXT)) == len(TEXT) and file.tell() == len(TEXT)
    assert not target.closed and lmzip.decompress(target.getvalue(), model=MODEL) == TEXT


def test_abandon_leaves_no_frame() -> None:
    target = io.BytesIO()
    file = lmzip.LMZFile(target, "w", level=1, model=MODEL)
    file.write(TEXT)
    file.abandon()
    assert file.closed
    with pytest.raises(TruncatedError):
        lmzip.decompress(target.getvalue(), model=MODEL)


def test_wrong_use(path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="mode must be"):
        lmzip.LMZFile(path, "q")
    with pytest.raises(ValueError, match="both t and b"):
        lmzip.open(path, "rbt")
    with pytest.raises(ValueError, match="text mode"):
        lmzip.open(path, "rb", encoding="utf-8")
    with pytest.raises(ValueError, match="for writing"):
        lmzip.LMZFile(path, "r", level=3)
    with pytest.raises(TypeError, match="int"):
        lmzip.LMZFile(3)  # type: ignore[arg-type]
    with lmzip.LMZFile(path, model=MODEL) as file, pytest.raises(io.UnsupportedOperation):
        file.write(b"x")
    with lmzip.LMZFile(io.BytesIO(), "w", model=MODEL) as file, pytest.raises(io.UnsupportedOperation):
        file.read()
    with pytest.raises(ValueError, match="closed"):
        file.tell()
