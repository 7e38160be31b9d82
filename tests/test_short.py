"""Frames of one block: bytes, sizes, damage."""

from __future__ import annotations

import io
import random

import pytest
from test_stream import small_blocks  # noqa: F401 - a fixture

import lmzip
from lmzip import container
from lmzip.container import short
from lmzip.container.short import ShortHead
from lmzip.errors import CorruptError, LMZError, TruncatedError, UnsupportedError
from lmzip.models.identity import ModelIdentity

OTHER = ModelIdentity("somebody/model", bytes(32), "exact-1")
TEXT = (
    b"The train to Lisbon leaves at nine from the other platform, so please be there a few minutes earlier, all of you."
)


def test_frame_literal() -> None:
    frame = short.create_frame(ShortHead(container.STORED, 5, 5), b"hello", b"hello")
    assert frame[:-4] == bytes.fromhex("b14c4d 02 01 05 05") + b"hello"
    assert frame[-4:] == container.check32(frame[:-4] + b"hello").to_bytes(4, "little")


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 300000])
@pytest.mark.parametrize("model", [None, container.shipped_model(1), OTHER], ids=["none", "shipped", "other"])
def test_round_trip(size: int, model: ModelIdentity | None) -> None:
    head = ShortHead(container.STORED if model is None else container.ENSEMBLE, size, size // 2, model)
    content, payload = bytes(size), b"\x01" * (size // 2)
    frame = short.create_frame(head, payload, content)
    found, end = short.parse_frame(b"??" + frame + b"after", 2)
    assert (found.head, found.payload, end) == (head, payload, 2 + len(frame))
    assert short.parse_head(frame[:200])[0] == head
    found.check(content)
    if size:
        with pytest.raises(CorruptError, match="checksum"):
            found.check(b"\x01" + content[1:])


@pytest.mark.parametrize("level", [1, 6])
def test_every_prefix_is_truncated_and_flips_are_noticed(level: int) -> None:
    packed = lmzip.compress(TEXT, level)
    assert packed[3] == container.SHORT
    for end in range(len(packed)):
        with pytest.raises(TruncatedError):
            lmzip.decompress(packed[:end])
    for i in [*range(100), *range(100, 8 * len(packed), 11)]:
        damaged = bytearray(packed)
        damaged[i // 8] ^= 1 << i % 8
        with pytest.raises(LMZError):
            lmzip.decompress(bytes(damaged))


def test_damage_of_large_frames_is_found_before_anything_is_decoded() -> None:
    frame = bytearray(short.create_frame(ShortHead(container.ZSTD, 70000, 400), bytes(400), bytes(70000)))
    frame[6] ^= 1
    with pytest.raises(CorruptError, match="head is damaged"):
        short.parse_head(frame)
    frame[6] ^= 1
    frame[300] ^= 1
    with pytest.raises(CorruptError, match="payload is damaged"):
        short.parse_frame(frame)


@pytest.mark.parametrize(
    ("first", "error", "message"),
    [
        (0x00, CorruptError, "type 0x00"),
        (0x0F, CorruptError, "type 0x0f"),
        (0x05, CorruptError, "model number 0"),
        (0x11, CorruptError, "model number 1"),
        (0xE5, UnsupportedError, "model number 14"),
    ],
)
def test_impossible_heads(first: int, error: type[LMZError], message: str) -> None:
    with pytest.raises(error, match=message):
        short.parse_head(container.MAGIC + bytes([container.SHORT, first, 1, 1]))


def test_what_stands_around_the_code_of_a_short_text() -> None:
    frame, _ = short.parse_frame(lmzip.compress(TEXT))
    _, code_start = container.parse_lockstep_head(frame.head.type, frame.payload, len(TEXT))
    assert len(frame.frame) - len(frame.payload) + len(frame.checks) + code_start <= 16


@pytest.mark.parametrize(("size", "most"), [(100, 60), (112, 60)])
def test_short_english_is_small(size: int, most: int) -> None:
    assert len(lmzip.compress(TEXT[:size])) <= most


@pytest.mark.usefixtures("small_blocks")
def test_files_of_frames_of_both_layouts_seek() -> None:
    rng = random.Random(8)
    for _ in range(20):
        contents = [rng.randbytes(rng.choice([0, 1, 100, 300, 301, 1000])) for _ in range(rng.randrange(1, 6))]
        file = io.BytesIO(b"".join(lmzip.compress(content, 1, method="fallback") for content in contents))
        whole = b"".join(contents)
        with lmzip.open(file) as reader:
            assert reader.seek(0, io.SEEK_END) == len(whole)
            for _ in range(10):
                start = rng.randrange(len(whole) + 1)
                reader.seek(start)
                assert reader.read(50) == whole[start : start + 50]
        assert lmzip.decompress(file.getvalue()) == whole


@pytest.mark.usefixtures("small_blocks")
def test_seeking_in_damaged_files() -> None:
    one, many = lmzip.compress(b"one", 1, method="fallback"), lmzip.compress(bytes(1000), 1, method="fallback")
    for data, error in ((one[:-1], TruncatedError), (many + one[:-1], TruncatedError), (many[:-9] + one, LMZError)):
        with lmzip.open(io.BytesIO(data)) as reader, pytest.raises(error):
            reader.seek(0, io.SEEK_END)
