"""Files of pixels and samples through the whole of lmzip."""

from __future__ import annotations

import io
import lzma
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from media import pixels, png, ppm, wav

import lmzip
from lmzip import compressor, container, formats
from lmzip.blocks import fallback, select
from lmzip.blocks.media import distrust
from lmzip.blocks.select import decode_payload, encode_media_block
from lmzip.cli.listing import read_frames
from lmzip.container import AUDIO, IMAGE, MediaHead
from lmzip.errors import CorruptError, LimitError, LMZError, UnsupportedError
from lmzip.models import image
from lmzip.models.image import network
from lmzip.options import Options

FILES = {"png": png(), "png-interlaced": png(optimize=True), "ppm": ppm(), "wav": wav()}


def methods(packed: bytes) -> list[str]:
    return [block.method for frame in read_frames(io.BytesIO(packed)) for block in frame.blocks]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("coder", ["range", "rans"])
def test_files_are_deconstructed(name: str, coder: str) -> None:
    data = FILES[name]
    packed = lmzip.compress(data, coder=coder)
    assert methods(packed) == ["audio" if name == "wav" else "image"]
    assert lmzip.decompress(packed) == data
    assert len(packed) < len(lzma.compress(data, preset=9))
    assert methods(lmzip.compress(data, 1, kind="bytes")) in (["adaptive"], ["lzma"], ["zstd"], ["stored"])


@pytest.mark.parametrize("level", [1, 3, 9])
def test_every_level_codes_pixels_and_samples(level: int) -> None:
    for data in (FILES["png"], FILES["wav"]):
        packed = lmzip.compress(data, level)
        assert methods(packed) in (["image"], ["audio"]) and lmzip.decompress(packed) == data


def test_no_model_is_loaded_for_them(mock_model: list[object]) -> None:
    lmzip.compress(FILES["png"])
    assert mock_model == []


def test_raw_files_are_cut_between_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressor, "MEDIA_BLOCK_SIZE", 5000)
    for data, unit in ((ppm(120), 120), (wav(9000), 4)):
        packed = lmzip.compress(data)
        assert lmzip.decompress(packed) == data
        with lmzip.open(io.BytesIO(packed)) as file:
            file.seek(len(data) - 100)
            assert file.read() == data[-100:]
        (frame,) = read_frames(io.BytesIO(packed))
        assert len(frame.blocks) > 2 and frame.block_size == 5000
        head = len(data) % unit if unit == 120 else 44
        assert all((block.start - head) % unit == 0 for block in frame.blocks[1:])


def test_pieces_of_any_size_give_the_same_frame() -> None:
    data = FILES["png"]
    compressor = lmzip.LMZCompressor()
    out = b"".join(compressor.compress(data[i : i + 7]) for i in range(0, len(data), 7)) + compressor.flush()
    assert methods(out) == ["image"] and lmzip.decompress(out) == data


def test_what_only_looks_like_a_picture_is_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    data = FILES["png"]
    broken = data[:100] + bytes([data[100] ^ 255]) + data[101:]
    packed = lmzip.compress(broken, 1)
    assert lmzip.decompress(packed) == broken
    truncated = FILES["png"][:-200]
    assert lmzip.decompress(lmzip.compress(truncated, 1)) == truncated
    monkeypatch.setattr(container, "MAX_BLOCK_SIZE", 1000)  # a compressed picture that is no single block
    monkeypatch.setattr(compressor, "HEAD_SIZE", 512)
    waiting = lmzip.LMZCompressor(1)
    early = waiting.compress(data)
    assert waiting._state.detected and waiting._state.layout is None  # the end was not waited for
    monkeypatch.undo()
    out = early + waiting.flush()
    assert "image" not in methods(out) and lmzip.decompress(out) == data


def test_bytes_where_they_are_smaller() -> None:
    """A picture of noise that repeats: nothing for a model of pixels, everything for matches."""
    rows = np.random.default_rng(7).integers(0, 256, (8, 40, 3)).astype(np.uint8)
    data = b"P6 40 800 255\n" + rows.tobytes() * 100
    packed = lmzip.compress(data, 1)
    assert lmzip.decompress(packed) == data and len(packed) < 3000


def test_shapes_that_no_model_takes_are_bytes() -> None:
    """A PAM file of 200 channels: more than the model of pictures has."""
    rows = np.random.default_rng(9).integers(0, 4, (9, 20, 200)).astype(np.uint8)
    data = b"P7\nWIDTH 20\nHEIGHT 9\nDEPTH 200\nMAXVAL 255\nTUPLTYPE X\nENDHDR\n" + rows.tobytes()
    layout = formats.detect(data)
    assert layout is not None and layout.deconstruct(data, 0) is not None
    packed = lmzip.compress(data, 1)
    assert "image" not in methods(packed) and lmzip.decompress(packed) == data


@pytest.mark.slow
def test_twenty_thousand_damaged_files_come_back() -> None:
    rng = random.Random(10)
    files = [*FILES.values(), png(compress_level=1), wav(400)]
    count = 0
    for _ in range(20_000):
        data = bytearray(rng.choice(files))
        for _ in range(rng.choice((1, 2, 5, 20))):
            at = rng.randrange(len(data) if rng.random() < 0.5 else min(len(data), 120))
            if rng.random() < 0.8:
                data[at] = rng.choice((0, 255, rng.randrange(256), data[at] ^ 1 << rng.randrange(8)))
            elif rng.random() < 0.5:
                del data[at : at + rng.choice((1, 4, 100, 5000))]
            else:
                data[at:at] = rng.randbytes(rng.choice((1, 4, 100)))
            data = data or bytearray(b"\x89")
        packed = lmzip.compress(data, 1, verify=False)
        assert lmzip.decompress(packed) == data
        count += methods(packed)[0] in ("image", "audio")
    assert 2000 < count < 18_000


def test_a_kind_can_be_forced() -> None:
    assert methods(lmzip.compress(FILES["png"], kind="image")) == ["image"]
    for data, kind, message in (
        (b"no picture at all", "image", "it is none that lmzip knows"),
        (FILES["wav"], "image", "it is of the kind audio"),
        (FILES["png"][:-200], "image", "it cannot be deconstructed"),
    ):
        with pytest.raises(LMZError, match=f"cannot be coded as {kind}: {message}"):
            lmzip.compress(data, kind=kind)
    with pytest.raises(ValueError, match="kind must be one of"):
        lmzip.compress(b"", kind="video")
    with pytest.raises(ValueError, match="does not go with kind"):
        lmzip.compress(b"", kind="image", method="fallback")


def coded_block(data: bytes = FILES["png"]) -> tuple[bytes, int, bytes]:
    """Return the payload of the block of a file, and its data."""
    layout = formats.detect(data)
    assert layout is not None
    deconstructed = layout.deconstruct(data, 0)
    assert deconstructed is not None
    coded = encode_media_block(data, deconstructed, layout.whole, Options(1))
    assert coded is not None
    return coded[1], coded[0], data


def test_only_what_is_long_beside_samples_takes_the_ensemble() -> None:
    text = b"".join(b"line %d of a comment beside the samples\n" % (i * i) for i in range(400))
    for data, expected in ((FILES["wav"], False), (FILES["wav"] + text, True)):
        payload, type_, _ = coded_block(data)
        head, _ = container.parse_media_head(type_, payload, len(data))
        assert (head.side_data_type == container.ADAPTIVE) == expected and (head.side_data_size > 256) == expected
        assert decode_payload(type_, payload, len(data), None) == data


@pytest.mark.parametrize("name", ["png", "ppm", "wav"])
def test_damage_is_an_error_or_other_data(name: str) -> None:
    payload, type_, data = coded_block(FILES[name])
    rng = random.Random(8)
    for _ in range(60):
        damaged = bytearray(payload)
        for _ in range(rng.choice((1, 1, 3, 10))):
            damaged[rng.randrange(len(damaged) if rng.random() < 0.5 else 60)] = rng.randrange(256)
        try:
            result = decode_payload(type_, bytes(damaged[: rng.choice((None, None, None, 40))]), len(data), None)
        except LMZError:
            continue
        assert isinstance(result, bytes) and len(result) == len(data)


def test_bad_payloads() -> None:
    payload, type_, data = coded_block()
    head, start = container.parse_media_head(type_, payload, len(data))
    code = payload[start:]

    def decode(head: MediaHead, size: int = len(data), type_: int = type_) -> bytes:
        return decode_payload(type_, container.create_media_head(head) + code, size, None)

    assert decode(head) == data
    with pytest.raises(UnsupportedError, match="image block: coder 9 is of a newer lmzip"):
        decode(replace(head, coder=9))
    with pytest.raises(CorruptError, match="settings of 0 fields"):
        decode(replace(head, settings=()))
    with pytest.raises(CorruptError, match="image block: "):
        decode(replace(head, settings=tuple(250 for _ in head.settings)))
    with pytest.raises(LimitError, match="settings of 40 fields"):
        decode(replace(head, settings=(0,) * 40))
    with pytest.raises(CorruptError, match="side data of type 0x04"):
        decode(replace(head, side_data_type=container.MODEL))
    with pytest.raises(CorruptError, match=r"audio block: .* cannot be image"):
        decode(head, type_=AUDIO)
    with pytest.raises(CorruptError, match="cannot be image of the shape"):
        decode(head, size=2)
    with pytest.raises(LimitError, match="side data"):
        decode(replace(head, side_data_size=1 << 30))
    assert type_ == IMAGE


def test_a_model_that_contradicts_itself_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "decode_media", lambda *_: b"something else")
    with pytest.raises(LMZError, match="did not decode to itself"):
        lmzip.compress(FILES["png"])


def test_what_beats_the_model_of_a_whole_file_is_decoded_again_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback, "encode_lzma", lambda *_: b"wrong")
    with pytest.raises(LMZError, match="did not decode to itself"):
        lmzip.compress(FILES["png"])


@pytest.fixture
def fresh_trust() -> Iterator[None]:
    """Have the models be asked again whether they are trusted, now and after the test."""
    distrust.cache_clear()
    yield
    distrust.cache_clear()


@pytest.mark.usefixtures("fresh_trust")
@pytest.mark.parametrize(("name", "kind"), [("png", "image"), ("ppm", "image"), ("wav", "audio")])
def test_an_untrusted_model_codes_nothing(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data, packed = FILES[name], lmzip.compress(FILES[name], 1)
    monkeypatch.setattr(f"lmzip.models.{kind}.is_trusted", lambda: False)
    distrust.cache_clear()
    message = f"the model of {kind} does not compute exactly"
    with pytest.raises(LMZError, match=message):
        lmzip.compress(data, 1, kind=kind)
    with pytest.raises(LMZError, match=message):
        lmzip.decompress(packed)
    with pytest.warns(RuntimeWarning, match=f"{message}.*coded as bytes"):
        instead = lmzip.compress(data, 1)
    assert methods(instead)[0] not in ("image", "audio") and lmzip.decompress(instead) == data
    told: list[str] = []
    monkeypatch.setattr(compressor, "MEDIA_BLOCK_SIZE", 1000)
    assert lmzip.decompress(lmzip.compress(data, 1, notify=told.append)) == data
    assert sum(message in line for line in told) == 1


@pytest.mark.usefixtures("fresh_trust")
@pytest.mark.parametrize("problem", ["damaged", "missing"])
def test_weights_of_the_package_that_are_not_whole(
    monkeypatch: pytest.MonkeyPatch, problem: str, tmp_path: Path
) -> None:
    network.weights.cache_clear()
    image.is_trusted.cache_clear()
    distrust.cache_clear()
    if problem == "damaged":
        monkeypatch.setattr(network, "WEIGHTS_SHA256", "0" * 64)
    else:
        monkeypatch.setattr(network, "__file__", str(tmp_path / "network.py"))
    with pytest.raises(LMZError, match=r"networks\.safetensors"):
        lmzip.compress(png(), kind="image")
    with pytest.warns(RuntimeWarning, match=r"networks\.safetensors"):
        assert lmzip.decompress(lmzip.compress(png(), 1)) == png()


def test_progress_is_one_way_to_the_end() -> None:
    for data in (FILES["png"], FILES["wav"]):
        seen: list[int] = []
        lmzip.compress(data, progress=seen.append)
        assert seen == sorted(seen) and seen[-1] == len(data) and len(set(seen)) > 1


def test_pixels_of_the_file() -> None:
    layout = formats.detect(FILES["png"])
    assert layout is not None
    deconstructed = layout.deconstruct(FILES["png"], 0)
    assert deconstructed is not None and np.array_equal(deconstructed.samples, pixels())
