"""LMZFile and open: modes, seeking, text, other file objects."""

from __future__ import annotations

import gc
import io
import logging
import os
import pathlib
import random
import shutil
from collections.abc import Sequence
from typing import IO, Any

import pytest
from mocks import bigram, markov_text
from test_stream import small_blocks  # noqa: F401 - a fixture

import lmzip
from lmzip import container
from lmzip.errors import CorruptError, LimitError, ModelError, TruncatedError
from lmzip.models import registry
from lmzip.options import LEVELS, Level
from lmzip.seekable import read_blocks

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
        for offset in (len(TEXT) - 10, 0, 299, 300, 301, 1500, 1499, len(TEXT)):
            assert file.seek(offset) == offset == file.tell()
            assert file.read(7) == TEXT[offset : offset + 7]
        assert file.seek(-20, os.SEEK_END) == len(TEXT) - 20
        assert file.read() == TEXT[-20:]
        file.seek(100)
        assert file.seek(50, os.SEEK_CUR) == 150 and file.read(3) == TEXT[150:153]
        with pytest.raises(ValueError, match="whence"):
            file.seek(0, 3)


def test_positions_are_clamped_as_in_the_standard_library(path: pathlib.Path) -> None:
    with lmzip.LMZFile(path, model=MODEL) as file:
        for offset, whence in ((-1, os.SEEK_SET), (-50, os.SEEK_CUR), (-len(TEXT) - 9, os.SEEK_END)):
            file.read(7)
            assert file.seek(offset, whence) == 0 == file.tell() and file.read(3) == TEXT[:3]
        for offset, whence in ((len(TEXT) + 5, os.SEEK_SET), (len(TEXT), os.SEEK_CUR), (9, os.SEEK_END)):
            assert file.seek(offset, whence) == len(TEXT) == file.tell() and file.read(3) == b""


class Counting(io.BytesIO):
    """Remember what is read: (position, size)."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.reads: list[tuple[int, int]] = []

    def read(self, size: int | None = -1) -> bytes:
        start = self.tell()
        data = super().read(size)
        self.reads.append((start, len(data)))
        return data


def test_seeking_reads_index_definition_and_block_only() -> None:
    raw = Counting(lmzip.compress(TEXT, 1, model=MODEL, method="model"))
    last = read_blocks(io.BytesIO(raw.getvalue()))[-1]
    assert last.definition is not None
    with lmzip.LMZFile(raw, model=MODEL) as file:
        file.seek(-10, os.SEEK_END)
        to_find_it = len(raw.reads)
        assert to_find_it <= 4  # footer, index, frame header, the type of the model definition
        assert file.read() == TEXT[-10:]
    assert sorted(raw.reads[to_find_it:]) == sorted([(last.offset, last.size), last.definition])


def test_sizes_are_checked_before_they_are_read(path: pathlib.Path) -> None:
    data = path.read_bytes()
    huge = Counting(data[:-8] + (0xFFFFFFFF).to_bytes(4, "little") + data[-4:])
    with lmzip.LMZFile(huge, model=MODEL) as file, pytest.raises(LimitError, match="footer: an index of 4,294,967,295"):
        file.seek(10)
    assert huge.reads == [(len(data) - 8, 8)]
    header = container.Header(1, 300)
    for record, what in (
        ((1 << 40, 300), "a block of 300 bytes in 1,099,511,627,776"),
        ((200, 301), "301 bytes in 200"),
    ):
        head = container.create_header(header)
        index = container.Index(len(head), (record,), bytes(32))
        with pytest.raises(LimitError, match=what):
            read_blocks(Hole(head, record[0], container.create_end(index)))


class Hole(io.BytesIO):
    """A file with a hole that must not be read."""

    def __init__(self, head: bytes, hole: int, tail: bytes) -> None:
        super().__init__()
        self.parts, self.position, self.size = {0: head, len(head) + hole: tail}, 0, len(head) + hole + len(tail)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.position = offset + (self.size if whence == os.SEEK_END else 0)
        return self.position

    def read(self, size: int | None = -1) -> bytes:
        for start, part in self.parts.items():
            if start <= self.position and self.position + (size or 0) <= start + len(part):
                return part[self.position - start :][:size]
        raise AssertionError(f"{size} bytes at {self.position} were read")


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
        file.write(b"appended")
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
        file.write("zwei\nZeilen\u00e9")
    with lmzip.open(tmp_path / "t", "rt", encoding="utf-16-le", model=MODEL) as file:
        assert file.readlines() == ["zwei\n", "Zeilen\u00e9"]
    with lmzip.LMZFile(tmp_path / "t", model=MODEL) as binary:
        assert binary.read().decode("utf-16-le") == "zwei\r\nZeilen\u00e9"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_text_has_one_byte_order_mark_as_in_other_files(tmp_path: pathlib.Path, encoding: str) -> None:
    for mode in ("wt", "at", "at"):
        with lmzip.open(tmp_path / "packed", mode, level=1, method="fallback", encoding=encoding) as file:
            file.write("Zeile \u00e9\n")
        with open(tmp_path / "plain", mode, encoding=encoding) as plain:
            plain.write("Zeile \u00e9\n")
    with lmzip.open(tmp_path / "packed") as file:
        assert file.read() == (tmp_path / "plain").read_bytes()
    with lmzip.open(tmp_path / "packed", "rt", encoding=encoding) as file:
        assert file.read() == "Zeile \u00e9\n" * 3


def test_text_of_one_block_stays_one_block(tmp_path: pathlib.Path) -> None:
    with lmzip.open(tmp_path / "t", "wt", level=1, model=MODEL, encoding="ascii") as file:
        file.write("text")
    with lmzip.open(tmp_path / "b", "wb", level=1, model=MODEL) as binary:
        binary.write(b"text")
    assert (tmp_path / "t").read_bytes() == (tmp_path / "b").read_bytes()


def test_flush_writes_what_a_reader_sees(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "log"
    handler = logging.StreamHandler(lmzip.open(path, "wt", level=1, method="fallback", encoding="utf-8"))
    log = logging.Logger("test")
    log.addHandler(handler)
    for message in ("first", "second"):
        log.error(message)
        decompressor = lmzip.LMZDecompressor()
        assert decompressor.decompress(path.read_bytes()).decode().splitlines()[-1] == message
    handler.stream.close()
    with lmzip.open(path, "rt", encoding="utf-8") as text:
        assert list(text) == ["first\n", "second\n"]


def test_flush_ends_blocks_and_frames() -> None:
    target = io.BytesIO()
    with lmzip.LMZFile(target, "w", level=1, method="fallback") as file:
        file.flush()
        assert target.getvalue() == b""
        for data, mode in ((b"one", file.FLUSH_BLOCK), (b"two", file.FLUSH_FRAME), (b"three", file.FLUSH_FRAME)):
            file.write(data)
            file.flush(mode)
            size = len(target.getvalue())
            file.flush(mode)
            assert len(target.getvalue()) == size
        with pytest.raises(ValueError, match="FLUSH_BLOCK or FLUSH_FRAME"):
            file.flush(lmzip.CONTINUE)
    packed = target.getvalue()
    assert lmzip.decompress(packed[: lmzip.get_frame_size(packed)]) == b"onetwo"
    assert lmzip.decompress(packed[lmzip.get_frame_size(packed) :]) == b"three"
    with pytest.raises(ValueError, match="closed"):
        file.flush()
    with lmzip.LMZFile(target) as reader:
        reader.flush()


def test_mode_and_name(path: pathlib.Path) -> None:
    with lmzip.LMZFile(path) as file:
        assert file.mode == "rb" and file.name == str(path)
    with pytest.raises(ValueError, match="closed"):
        _ = file.name
    with lmzip.LMZFile(io.BytesIO(), "x", level=1, method="fallback") as file:
        assert file.mode == "wb" and not hasattr(file, "name")


@pytest.mark.parametrize(
    "wrong", [{"level": 12}, {"method": "no"}, {"coder": "no"}, {"kind": "no"}, {"content_size": -1}]
)
def test_a_wrong_option_leaves_the_file_as_it_is(tmp_path: pathlib.Path, wrong: dict[str, Any]) -> None:
    path = tmp_path / "old"
    path.write_bytes(b"old")
    for mode in ("w", "a"):
        with pytest.raises(ValueError, match="must be"):
            lmzip.LMZFile(path, mode, **wrong)
        assert path.read_bytes() == b"old"
    with pytest.raises(LookupError):
        lmzip.open(path, "wt", encoding="no")
    with pytest.raises(ValueError, match="newline"):
        lmzip.open(path, "wt", encoding="ascii", newline="no")
    gc.collect()
    with pytest.raises(ValueError, match="must be"):
        lmzip.LMZFile(tmp_path / "new", "x", **wrong)
    assert path.read_bytes() == b"old" and not (tmp_path / "new").exists()


def test_a_model_that_is_missing_leaves_the_file_as_it_is(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    def load_model(*args: object, **options: object) -> None:
        raise ModelError("no model there")

    monkeypatch.setattr(registry, "load_model", load_model)
    path = tmp_path / "old"
    path.write_bytes(b"old")
    file = lmzip.LMZFile(path, "w")
    file.write(TEXT)
    with pytest.raises(ModelError, match="no model there"):
        file.close()
    assert path.read_bytes() == b"old"


def test_new_content_replaces_longer_content(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "old"
    path.write_bytes(b"old" * 1000)
    with lmzip.LMZFile(path, "w", level=1, method="fallback") as file:
        file.write(b"new")
    assert lmzip.decompress(path.read_bytes()) == b"new"
    with lmzip.LMZFile(path, "w", level=1, method="fallback"):
        pass
    assert lmzip.decompress(path.read_bytes()) == b""


class Full(io.RawIOBase):
    """A file object that takes a few bytes at a time, and then none."""

    def __init__(self, room: int) -> None:
        self.taken, self.room = bytearray(), room

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if len(self.taken) >= self.room:
            raise OSError("full")
        self.taken += data[:7]
        return min(len(data), 7)


def test_a_write_that_fails_ends_the_writing() -> None:
    whole = Full(10_000)
    with lmzip.LMZFile(whole, "w", level=1, method="fallback") as file:  # type: ignore[arg-type]
        file.write(TEXT)
    assert lmzip.decompress(whole.taken) == TEXT
    full = Full(300)
    file = lmzip.LMZFile(full, "w", level=1, method="fallback")  # type: ignore[arg-type]
    with pytest.raises(OSError, match="full"):
        file.write(TEXT)
    with pytest.raises(ValueError, match="an earlier write to the file failed"):
        file.write(b"more")
    size = len(full.taken)
    file.close()
    assert len(full.taken) == size


class Pipe(io.RawIOBase):
    """A file object that cannot seek and reads a few bytes at a time."""

    def __init__(self, data: bytes, most: int = 11) -> None:
        self.rest, self.most = data, most

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        size = min(size, self.most)
        piece, self.rest = self.rest[:size], self.rest[size:]
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


def ways_of_reading(data: bytes, packed: IO[bytes], steps: Sequence[tuple[str, int]]) -> None:
    """Compare what an LMZFile gives, read in these ways, with what io.BufferedReader gives of the same content."""
    with lmzip.LMZFile(packed) as file, io.BufferedReader(io.BytesIO(data)) as plain:  # type: ignore[arg-type]
        for way, size in [*steps, ("read", -1), ("read", 1)]:
            for_both = (file, plain)
            if way == "read":
                a, b = (f.read(size) for f in for_both)
            elif way == "readline":
                a, b = (f.readline(size) for f in for_both)
            elif way == "read1":
                a = file.read1(size)
                b = plain.read(len(a))
                assert a or size == 0 or plain.tell() == len(data)
            elif way == "readinto":
                buffers = bytearray(size), bytearray(size)
                a, b = (bytes(buffer[: f.readinto(buffer)]) for f, buffer in zip(for_both, buffers, strict=True))
            elif way == "peek":
                a = file.peek(1)
                b = data[plain.tell() :][: len(a)]
                assert a or plain.tell() == len(data)
            elif way == "next":
                a, b = (next(f, b"") for f in for_both)
            elif way == "copy":
                targets = io.BytesIO(), io.BytesIO()
                for f, target in zip(for_both, targets, strict=True):
                    shutil.copyfileobj(f, target, size)
                a, b = (target.getvalue() for target in targets)
            else:
                place = size % (len(data) + 1)
                a = b = b""
                file.seek(place)
                plain.seek(place)
            assert a == b and file.tell() == plain.tell(), (way, size)


WAYS = ("read", "readline", "read1", "readinto", "peek", "next", "copy", "seek")


def random_way(rng: random.Random) -> tuple[str, int]:
    way = rng.choice(WAYS[:-1] if rng.random() < 0.7 else WAYS)
    size = rng.choice([0, 1, 2, 7, 299, 300, 301, 600, 4096, 8191, 8192, 8193, 65536, 65537, rng.randrange(1, 9000)])
    return way, max(1, size) if way in ("copy", "seek") else size


def packed_in_frames(data: bytes, rng: random.Random, block: int) -> bytes:
    """Return frames of blocks of `block` bytes, flushed here and there."""
    compressor, out, position = lmzip.LMZCompressor(1, method="fallback", verify=False), b"", 0
    while position < len(data):
        size = block * rng.choice([1, 1, 2, 8]) if rng.random() < 0.8 else rng.randrange(1, 2 * block)
        mode = rng.choices((lmzip.CONTINUE, lmzip.FLUSH_BLOCK, lmzip.FLUSH_FRAME), (8, 3, 1))[0]
        out += compressor.compress(data[position : position + size], mode)
        position += size
    return out if compressor.last_mode == lmzip.FLUSH_FRAME and out else out + compressor.flush()


def content(size: int, rng: random.Random) -> bytes:
    """Return lines of noise, which is stored and therefore quick."""
    return rng.randbytes(size).replace(b"\xf1", b"\n")


def read_at_random(seed: int) -> None:
    """Read a file of random size, blocks and frames in random ways, from a file that can seek or not."""
    rng = random.Random(seed)
    block = rng.choice([300, 4096, 8192, 65536])
    count = rng.randrange(0, 6)
    size = rng.choice([block * count, 8192 * count, 65536, max(0, block * count + rng.randrange(-2, 3))])
    data = content(size, rng)
    packed = packed_in_frames(data, rng, block)
    steps = [random_way(rng) for _ in range(rng.randrange(1, 12))]
    if rng.random() < 0.3:
        steps = [step for step in steps if step[0] != "seek"]
        ways_of_reading(data, Pipe(packed, rng.choice([1, 11, 8192, 65536]) if size < 9000 else 8192), steps)  # type: ignore[arg-type]
    else:
        ways_of_reading(data, io.BytesIO(packed), steps)


@pytest.mark.parametrize("start", range(0, 400, 100))
def test_the_contract_holds_for_every_size_and_way_of_reading(start: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(start, start + 100):
        monkeypatch.setitem(LEVELS, 1, Level(random.Random(seed).choice([300, 4096, 8192, 65536]), 64, 8))
        read_at_random(seed)


@pytest.mark.parametrize("size", [0, 1, 8191, 8192, 8193, 16384, 65535, 65536, 65537, 131072])
@pytest.mark.parametrize("block", [8192, 65536, 1 << 20])
def test_sizes_that_meet_the_buffers(size: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LEVELS, 1, Level(block, 64, 8))
    data = content(size, random.Random(size))
    packed = lmzip.compress(data, 1, method="fallback")
    for step in (8192, 65536):
        with lmzip.open(io.BytesIO(packed)) as file:
            assert b"".join(iter(lambda file=file, step=step: file.read(step), b"")) == data  # type: ignore[misc]
    for steps in ([], [("copy", 8192)], [("copy", 65536)], [("readinto", size)], [("read1", 8192)]):
        ways_of_reading(data, io.BytesIO(packed), steps)


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
        lmzip.LMZFile(3)
    with lmzip.LMZFile(path, model=MODEL) as file, pytest.raises(io.UnsupportedOperation):
        file.write(b"x")
    with lmzip.LMZFile(io.BytesIO(), "w", model=MODEL) as file, pytest.raises(io.UnsupportedOperation):
        file.read()
    with pytest.raises(ValueError, match="closed"):
        file.tell()
