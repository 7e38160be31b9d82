"""Streams: pieces of any size, damage of any kind, limits."""

from __future__ import annotations

import array
import functools
import io
import pickle
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media import png, wav
from mocks import bigram, markov_text, uniform

import lmzip
from lmzip import container
from lmzip.cli.listing import read_frames
from lmzip.errors import CorruptError, LimitError, LMZError, ModelError, TruncatedError
from lmzip.models import identity, registry
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
    with pytest.raises(ModelError, match=r"does not ship with this version .* Or give its folder with -m"):
        lmzip.decompress(frame())


def test_the_named_model_is_loaded_as_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[object, ...]] = []

    def load(source: str, **how: object) -> object:
        asked.append((source, how))
        return MODEL

    monkeypatch.setitem(identity.SHIPPED, MODEL.id, identity.Shipped("nowhere", MODEL.sha256.hex()))
    monkeypatch.setattr(registry, "load_model", load)
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
    assert (info.level, info.block_size, info.content_size) == (None, len(TEXT), len(TEXT))
    assert info.model is not None and info.model.id == MODEL.id and info.model.sha256 == MODEL.sha256
    with pytest.raises(CorruptError):
        lmzip.get_frame_info(b"not lmzip")


@pytest.mark.usefixtures("small_blocks")
def test_get_frame_info_of_many_blocks() -> None:
    info = lmzip.get_frame_info(frame())
    assert (info.level, info.block_size, info.content_size) == (1, 300, len(TEXT))
    assert info.model is not None and info.model.id == MODEL.id and info.model.sha256 == MODEL.sha256


def test_wrong_content_size_is_refused() -> None:
    compressor = lmzip.LMZCompressor(1, model=MODEL, content_size=5)
    compressor.compress(b"four")
    with pytest.raises(ValueError, match="content_size was 5"):
        compressor.flush()


def lmz_compressor(**options: object) -> lmzip.LMZCompressor:
    return lmzip.LMZCompressor(1, **{"method": "fallback", **options})  # type: ignore[arg-type]


def test_every_flushed_block_can_be_read() -> None:
    compressor, decompressor = lmz_compressor(), lmzip.LMZDecompressor()
    assert compressor.flush(lmzip.FLUSH_BLOCK) == b"" == compressor.compress(b"one ")
    assert decompressor.decompress(compressor.flush(lmzip.FLUSH_BLOCK)) == b"one "
    assert decompressor.decompress(compressor.compress(b"two ", compressor.FLUSH_BLOCK)) == b"two "
    assert compressor.flush(lmzip.FLUSH_BLOCK) == b"" == compressor.compress(b"three")
    assert decompressor.decompress(compressor.flush()) == b"three" and decompressor.eof


def test_a_frame_after_a_frame() -> None:
    compressor = lmz_compressor(content_size=3)
    frames = [compressor.compress(b"one", lmzip.FLUSH_FRAME), compressor.flush()]
    compressor.set_pledged_input_size(5)
    frames.append(compressor.compress(b"three") + compressor.flush())
    assert [lmzip.decompress(frame) for frame in frames] == [b"one", b"", b"three"]
    assert [lmzip.get_frame_info(frame).content_size for frame in frames] == [3, 0, 5]
    assert compressor.done == 8
    with lmzip.open(io.BytesIO(b"".join(frames))) as file:
        assert file.read() == b"onethree"


def test_each_frame_defines_its_model() -> None:
    compressor = lmzip.LMZCompressor(1, model=MODEL, method="model")
    for _ in range(2):
        packed = compressor.compress(TEXT, lmzip.FLUSH_FRAME)
        info = lmzip.get_frame_info(packed)
        assert info.model is not None and lmzip.decompress(packed, model=MODEL) == TEXT


def test_last_mode_and_the_pledged_size() -> None:
    compressor = lmz_compressor()
    assert compressor.last_mode == compressor.FLUSH_FRAME == 2
    compressor.set_pledged_input_size(4)
    compressor.set_pledged_input_size(None)
    compressor.set_pledged_input_size(5)
    for mode in (compressor.FLUSH_BLOCK, compressor.CONTINUE):
        compressor.compress(b"a", mode)
        assert compressor.last_mode == mode
        with pytest.raises(ValueError, match="last_mode is FLUSH_FRAME"):
            compressor.set_pledged_input_size(6)
    with pytest.raises(ValueError, match="content_size was 5, but the input had 2 bytes"):
        compressor.flush()
    assert compressor.last_mode == compressor.CONTINUE
    compressor.compress(b"bcd")
    compressor.flush()
    assert compressor.last_mode == compressor.FLUSH_FRAME
    for size in (-1, 1 << 62):
        with pytest.raises(ValueError, match="must be 0 to"):
            compressor.set_pledged_input_size(size)
    for mode in (3, -1, lmzip.CONTINUE):
        with pytest.raises(ValueError, match="FLUSH_BLOCK or FLUSH_FRAME"):
            compressor.flush(mode)
    with pytest.raises(ValueError, match="CONTINUE, FLUSH_BLOCK or FLUSH_FRAME"):
        compressor.compress(b"", 3)
    with pytest.raises(TypeError, match="float"):
        compressor.set_pledged_input_size(1.5)  # type: ignore[arg-type]


def test_a_flushed_picture_is_deconstructed_and_bytes_follow() -> None:
    compressor = lmzip.LMZCompressor(1)
    packed = compressor.compress(png(), lmzip.FLUSH_BLOCK) + compressor.compress(TEXT * 3, lmzip.FLUSH_FRAME)
    assert next(read_frames(io.BytesIO(packed))).blocks[0].method == "image"
    assert lmzip.decompress(packed) == png() + TEXT * 3
    sound = wav(3000)  # cut in the middle of a sample
    compressor = lmzip.LMZCompressor(1)
    packed = compressor.compress(sound[:4001], lmzip.FLUSH_BLOCK) + compressor.compress(sound[4001:], lmzip.FLUSH_FRAME)
    assert lmzip.decompress(packed) == sound


@pytest.mark.usefixtures("small_blocks")
def test_nothing_is_kept_of_a_call_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    data = TEXT * 2
    compressor = lmzip.LMZCompressor(1, model=MODEL, method="model", content_size=len(data))
    packed = compressor.compress(data[:500])
    real, calls = lmzip.compressor.encode_block, []

    def encode_block(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(lmzip.compressor, "encode_block", encode_block)
    with pytest.raises(KeyboardInterrupt):
        compressor.compress(data[500:])  # one block of it was ready by then
    for wrong in ("text", 3, None, [1]):
        with pytest.raises(TypeError):
            compressor.compress(wrong)  # type: ignore[arg-type]
    assert packed + compressor.compress(data[500:]) + compressor.flush() == frame(data)


@pytest.mark.usefixtures("small_blocks")
def test_a_full_index_begins_a_new_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (container, container.frame):
        monkeypatch.setattr(module, "MAX_INDEX_SIZE", 100)  # a few blocks
    data = TEXT * 20
    packed = lmzip.compress(data, 1, model=MODEL, method="model")  # with its size, as from the command line
    frames = list(read_frames(io.BytesIO(packed)))
    assert len(frames) > 3 and lmzip.decompress(packed, model=MODEL) == data
    with lmzip.open(io.BytesIO(packed), model=MODEL) as file:
        assert file.seek(-1000, io.SEEK_END) == len(data) - 1000 and file.read() == data[-1000:]
    assert lmzip.get_frame_info(packed).content_size is None
    compressor = lmzip.LMZCompressor(1, model=MODEL, content_size=len(data))
    compressor.compress(data)
    with pytest.raises(ValueError, match="content_size was"):
        compressor.compress(b"more", lmzip.FLUSH_FRAME)
    compressor = lmz_compressor(content_size=100)
    with pytest.raises(LMZError, match="as many blocks as its index can list"):
        for _ in range(100):
            compressor.compress(b"x", lmzip.FLUSH_BLOCK)


def test_small_pieces_are_not_copied_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    data = random.Random(1).randbytes(20_000)
    packed = lmzip.compress(data, 1)
    seen = 0
    for name in ("parse_header", "parse_record_header", "parse_payload", "parse_footer"):

        def count(parse: Any, buffer: bytes, *args: Any) -> Any:
            nonlocal seen
            seen += len(buffer)
            return parse(buffer, *args)

        monkeypatch.setattr(container, name, functools.partial(count, getattr(container, name)))
    decompressor = lmzip.LMZDecompressor()
    assert b"".join(decompressor.decompress(packed[i : i + 1]) for i in range(len(packed))) == data
    assert decompressor.eof and seen < 2 * len(packed)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("most", [1, 7, 299, 300, 301, 600, len(TEXT)])
def test_no_more_input_is_asked_for_than_needed(most: int) -> None:
    decompressor, out = lmzip.LMZDecompressor(model=MODEL), b""
    piece = frame()
    while not decompressor.eof:
        assert piece or not decompressor.needs_input, "it has all of the frame"
        out += decompressor.decompress(piece, most)
        piece = b""
    assert out == TEXT and not decompressor.needs_input
    decompressor = lmzip.LMZDecompressor(model=MODEL)
    assert decompressor.needs_input and decompressor.decompress(frame(), 0) == b""
    assert not decompressor.needs_input and decompressor.decompress(b"") == TEXT


@pytest.mark.usefixtures("small_blocks")
def test_nothing_is_kept_of_a_decompression_that_fails() -> None:
    packed = frame()
    damaged = bytearray(packed)
    damaged[len(packed) * 2 // 3] ^= 1
    decompressor = lmzip.LMZDecompressor(model=MODEL, max_output=len(TEXT))
    head = decompressor.decompress(packed[:50])
    with pytest.raises(CorruptError):
        decompressor.decompress(damaged[50:])
    for wrong in ("text", 3, None, [1]):
        with pytest.raises(TypeError):
            decompressor.decompress(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        decompressor.decompress(packed[50:], "all")  # type: ignore[arg-type]
    assert head + decompressor.decompress(packed[50:]) == TEXT and decompressor.eof


@pytest.mark.usefixtures("small_blocks")
def test_get_frame_size() -> None:
    packed = frame()
    assert lmzip.get_frame_size(packed) == lmzip.get_frame_size(bytearray(packed + packed)) == len(packed)
    assert lmzip.get_frame_size(lmzip.compress(b"")) == len(lmzip.compress(b""))
    for end in range(len(packed)):
        with pytest.raises(TruncatedError):
            lmzip.get_frame_size(packed[:end])
    with pytest.raises(CorruptError):
        lmzip.get_frame_size(b"not lmzip")


def test_wrong_types() -> None:
    for wrong in ("text", 3, None, [1]):
        for call in (lmzip.compress, lmzip.decompress, lmzip.get_frame_info, lmzip.get_frame_size):
            with pytest.raises(TypeError):
                call(wrong)  # type: ignore[operator]
    for options in ({"level": "6"}, {"level": 6.0}, {"level": None}, {"method": 1}, {"coder": None}, {"kind": 2.5}):
        with pytest.raises(TypeError, match="must be"):
            lmzip.LMZCompressor(**options)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        lmzip.LMZDecompressor(max_output="much")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        lmzip.compress(b"", lvel=3)  # type: ignore[call-arg]
    assert lmzip.decompress(lmzip.compress(array.array("I"), 1)) == b""


@pytest.mark.usefixtures("small_blocks")
def test_threads_share_a_compressor_and_a_decompressor() -> None:
    compressor, pieces = lmz_compressor(verify=False), [bytes([i]) * 400 for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda piece: (piece, compressor.compress(piece, lmzip.FLUSH_FRAME)), pieces))
        assert all(lmzip.decompress(packed) == piece for piece, packed in codes)
        packed = lmzip.compress(b"".join(pieces), 1, method="fallback")
        decompressor = lmzip.LMZDecompressor()
        decompressor.decompress(packed, 0)
        out = list(pool.map(lambda i: decompressor.decompress(b"", 400), pieces))
    assert sorted(out) == pieces


def test_no_pickling() -> None:
    for thing in (lmz_compressor(), lmzip.LMZDecompressor(), lmzip.LMZFile(io.BytesIO(), "w", level=1)):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError):
                pickle.dumps(thing, protocol)


@pytest.mark.parametrize("kind", [bytearray, memoryview, lambda data: np.frombuffer(data, np.uint16)])
def test_buffers_of_any_kind(kind: object) -> None:
    data = TEXT[:100]
    assert lmzip.decompress(bytearray(lmzip.compress(kind(data), model=MODEL)), model=MODEL) == data  # type: ignore[operator]


def test_index_must_describe_the_blocks() -> None:
    compressor = lmzip.LMZCompressor(1, model=MODEL)
    packed = compressor.compress(TEXT, lmzip.FLUSH_BLOCK)
    assert compressor._state.frame is not None
    compressor._state.frame._records.append((9, 0))  # a record that is not there
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
