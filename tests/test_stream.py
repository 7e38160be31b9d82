"""Streams: pieces of any size, damage of any kind, limits."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mocks import bigram, markov_text, uniform

import lmzip
from lmzip import container, library
from lmzip.errors import CorruptError, LimitError, LMZError, ModelError, TruncatedError
from lmzip.options import LEVELS, Level

TEXT = markov_text(850) + b"\r\n\xff\x00<|endoftext|>"
MODEL = bigram(TEXT)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let level 1 have blocks of 300 bytes, so that little data has many."""
    monkeypatch.setitem(LEVELS, 1, Level(300, 64, 8))


def frame(data: bytes = TEXT, **options: object) -> bytes:
    return lmzip.compress(data, 1, model=MODEL, **{"method": "model", **options})  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=2000), st.sampled_from(["range", "rans"]))
def test_one_shot_round_trip(data: bytes, coder: str) -> None:
    packed = lmzip.compress(data, model=MODEL, coder=coder)
    assert lmzip.decompress(packed, model=MODEL) == data
    assert len(packed) <= len(data) + 128


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("coder", ["range", "rans"])
def test_any_split_gives_the_same_bytes(coder: str) -> None:
    rng = random.Random(3)
    whole = frame(coder=coder)
    for _ in range(5):
        compressor = lmzip.LMZCompressor(1, model=MODEL, method="model", coder=coder, content_size=len(TEXT))
        cuts = sorted(rng.sample(range(len(TEXT)), 6))
        pieces = [TEXT[a:b] for a, b in zip([0, *cuts], [*cuts, len(TEXT)], strict=True)]
        assert b"".join(map(compressor.compress, pieces)) + compressor.flush() == whole
    for size in (1, 2, 7, 100, 5000):
        decompressor = lmzip.LMZDecompressor(model=MODEL)
        out = b"".join(decompressor.decompress(whole[i : i + size]) for i in range(0, len(whole), size))
        assert out == TEXT and decompressor.eof and not decompressor.needs_input


@pytest.mark.usefixtures("small_blocks")
def test_max_length_and_unused_data() -> None:
    decompressor = lmzip.LMZDecompressor(model=MODEL)
    out = decompressor.decompress(frame() + b"after", 10)
    assert len(out) == 10 and not decompressor.needs_input
    while not decompressor.eof or len(out) < len(TEXT):
        piece = decompressor.decompress(b"", 97)
        assert 0 < len(piece) <= 97
        out += piece
    assert out == TEXT and decompressor.unused_data == b"after"
    with pytest.raises(EOFError, match="unused_data"):
        decompressor.decompress(b"more")


def test_empty_input_is_a_frame() -> None:
    packed = lmzip.compress(b"", model=MODEL)
    assert 0 < len(packed) < 100 and lmzip.decompress(packed) == b""
    with pytest.raises(TruncatedError):
        lmzip.decompress(b"")


@pytest.mark.usefixtures("small_blocks")
def test_concatenated_frames() -> None:
    assert lmzip.decompress(frame() + lmzip.compress(b"") + frame(b"end"), model=MODEL) == TEXT + b"end"


@pytest.mark.usefixtures("small_blocks")
def test_every_prefix_is_truncated() -> None:
    packed = frame(TEXT[:400])
    for end in range(len(packed)):
        with pytest.raises(TruncatedError):
            lmzip.decompress(packed[:end], model=MODEL)


@pytest.mark.usefixtures("small_blocks")
def test_every_flipped_bit_is_an_error() -> None:
    packed = frame(TEXT[:400])
    assert container.MODEL_DEFINITION in packed  # the frame has a model, so its record is flipped too
    for i in range(8 * len(packed)):
        damaged = bytearray(packed)
        damaged[i // 8] ^= 1 << i % 8
        with pytest.raises(LMZError):
            lmzip.decompress(damaged, model=MODEL)


def test_trailing_garbage_is_an_error() -> None:
    with pytest.raises(CorruptError, match="not an lmzip file"):
        lmzip.decompress(frame() + b"garbage", model=MODEL)


def test_other_and_missing_models_are_named() -> None:
    other = uniform()
    with pytest.raises(ModelError, match=r"mock-bigram with sha256 .* but the one at hand is mock-uniform") as caught:
        lmzip.decompress(frame(), model=other)
    error = caught.value
    assert (error.model_id, error.expected, error.found) == (MODEL.id, MODEL.sha256.hex(), other.sha256.hex())
    with pytest.raises(ModelError, match="does not ship with this version; give its folder with -m"):
        lmzip.decompress(frame())


def test_the_named_model_is_loaded_as_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[object, ...]] = []

    def load(source: str, **how: object) -> object:
        asked.append((source, how))
        return MODEL

    monkeypatch.setitem(library.SHIPPED, MODEL.id, library.Shipped("nowhere", MODEL.sha256.hex()))
    monkeypatch.setattr(library, "load_model", load)
    how = {"threads": 3, "backend": "torch", "notify": print}
    path = tmp_path / "f.lmzip"
    path.write_bytes(frame())
    assert lmzip.decompress(frame(), **how) == TEXT
    with lmzip.open(path, **how) as file:
        assert file.read(7) == TEXT[:7]
    with lmzip.open(path, **how) as file:  # seeking reads the definition another way
        file.seek(100)
        assert file.read(7) == TEXT[100:107]
    assert asked == [(MODEL.id, how)] * len(asked) and len(asked) >= 3
    assert lmzip.decompress(frame(), model=MODEL, **how) == TEXT and len(asked) == 3


def test_blocks_without_model_need_none() -> None:
    noise = np.random.default_rng(0).bytes(2000)
    packed = lmzip.compress(noise, model=MODEL)
    assert lmzip.decompress(packed, model=uniform()) == noise
    assert lmzip.get_frame_info(packed).model is None


def test_max_output() -> None:
    packed = frame()
    assert lmzip.decompress(packed, model=MODEL, max_output=len(TEXT)) == TEXT
    with pytest.raises(LimitError, match="max_output"):
        lmzip.decompress(packed, model=MODEL, max_output=len(TEXT) - 1)
    with pytest.raises(LimitError, match="max_output"):
        lmzip.decompress(packed + packed, model=MODEL, max_output=2 * len(TEXT) - 1)
    compressor = lmzip.LMZCompressor(1, model=MODEL)
    unsized = compressor.compress(TEXT) + compressor.flush()
    with pytest.raises(LimitError, match="max_output"):
        lmzip.decompress(unsized, model=MODEL, max_output=10)


def test_get_frame_info() -> None:
    info = lmzip.get_frame_info(frame())
    assert (info.level, info.block_size, info.content_size) == (1, LEVELS[1].block_size, len(TEXT))
    assert info.model is not None and info.model.id == MODEL.id and info.model.sha256 == MODEL.sha256
    with pytest.raises(CorruptError):
        lmzip.get_frame_info(b"not lmzip")


def test_wrong_content_size_is_refused() -> None:
    compressor = lmzip.LMZCompressor(1, model=MODEL, content_size=5)
    compressor.compress(b"four")
    with pytest.raises(ValueError, match="content_size was 5"):
        compressor.flush()


def test_a_finished_compressor_is_finished() -> None:
    compressor = lmzip.LMZCompressor(1, model=MODEL)
    compressor.flush()
    with pytest.raises(ValueError, match="finished"):
        compressor.compress(b"x")
    with pytest.raises(ValueError, match="finished"):
        compressor.flush()


@pytest.mark.parametrize("kind", [bytearray, memoryview, lambda data: np.frombuffer(data, np.uint16)])
def test_buffers_of_any_kind(kind: object) -> None:
    data = TEXT[:100]
    assert lmzip.decompress(bytearray(lmzip.compress(kind(data), model=MODEL)), model=MODEL) == data  # type: ignore[operator]


def test_index_must_describe_the_blocks() -> None:
    compressor = lmzip.LMZCompressor(1, model=MODEL)
    packed = compressor.compress(TEXT)
    compressor._records.append((9, 0))  # a record that is not there
    with pytest.raises(CorruptError, match="index: it does not describe"):
        lmzip.decompress(packed + compressor.flush(), model=MODEL)


@pytest.mark.usefixtures("small_blocks")
def test_progress_counts_bytes() -> None:
    seen: list[int] = []
    packed = lmzip.compress(TEXT, 1, model=MODEL, progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == len(TEXT)
    seen.clear()
    lmzip.decompress(packed, model=MODEL, progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == len(TEXT)
