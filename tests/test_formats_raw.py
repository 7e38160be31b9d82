"""Formats whose samples stand as they are."""

from __future__ import annotations

import io
import struct
import wave

import numpy as np
import pytest
from PIL import Image

from lmzip.formats import Deconstructed, detect, reconstruct, shape_of
from lmzip.formats.side_data import RAW, Shape, Writer, create_shape

PICTURE = (np.indices((37, 45)).sum(0)[:, :, None] * [1, 2, 3] + [0, 50, 100]).astype(np.uint8)


def round_trip(data: bytes, most: int = 1 << 22) -> list[Deconstructed | None]:
    """Cut into blocks; deconstruct and reconstruct each."""
    layout = detect(data[: 1 << 16])
    assert layout is not None
    start, pieces = 0, []
    while start < len(data):
        end = min(layout.block_end(start, most), len(data))
        assert start < end <= start + most
        piece = data[start:end]
        found = layout.deconstruct(piece, start)
        if found is not None:
            assert reconstruct(found.kind, found.samples, found.depth, found.side_data) == piece
            assert shape_of(found.side_data) == (
                found.kind,
                found.samples.shape,
                found.depth,
                found.palette,
            )
        pieces.append(found)
        start = end
    return pieces


def saved(picture: Image.Image, name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, name, **options)
    return buffer.getvalue()


def the_samples(data: bytes) -> np.ndarray:
    (found,) = round_trip(data)
    assert found is not None
    assert len(found.side_data) < 1800  # no samples in it
    return found.samples


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_netpbm_of_bytes(mode: str) -> None:
    picture = Image.fromarray(PICTURE).convert(mode)
    assert np.array_equal(the_samples(saved(picture, "PPM")).squeeze(), np.asarray(picture))


def test_bitmap_of_netpbm() -> None:
    bits = PICTURE[:, :, 0] & 1
    data = b"P4 # a comment 1 2 3\n45 37\n" + np.packbits(bits, axis=1).tobytes() + b"more"
    assert np.array_equal(the_samples(data)[:, :, 0], bits)


@pytest.mark.parametrize(("largest", "depth"), [(1023, 10), (65535, 16), (256, 9), (300, 9)])
def test_netpbm_of_words(largest: int, depth: int) -> None:
    words = (PICTURE[:, :, 0] * np.uint16(4 if largest != 256 else 1)).astype(">u2")
    (found,) = round_trip(b"P5\n45 37\n%d\n" % largest + words.tobytes())
    assert found is not None
    assert found.depth == depth
    assert np.array_equal(found.samples[:, :, 0], words)


def test_largest_value_of_netpbm_may_lie() -> None:
    (found,) = round_trip(b"P5 45 37 15 " + PICTURE[:, :, 0].tobytes())
    assert found is not None
    assert found.depth == 8
    (found,) = round_trip(b"P5 45 37 15 " + (PICTURE[:, :, 0] & 15).tobytes())
    assert found is not None
    assert found.depth == 4


def test_pam() -> None:
    head = b"P7\nWIDTH 37\n# x\nHEIGHT 15\nDEPTH 9\nMAXVAL 255\nTUPLTYPE ODD\nENDHDR\n"
    assert the_samples(head + PICTURE.tobytes()).shape == (15, 37, 9)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1"])
@pytest.mark.parametrize("width", [40, 41, 42, 43])
def test_bmp(mode: str, width: int) -> None:
    picture = Image.fromarray(PICTURE[:, :width]).convert(mode)
    if mode == "P":
        picture = Image.fromarray(PICTURE[:, :width]).quantize(20)
    samples = the_samples(saved(picture, "BMP"))
    assert np.array_equal(samples.squeeze(), np.asarray(picture))


def test_bmp_from_the_top_with_odd_padding() -> None:
    rows = np.hstack([PICTURE[:, :43, 0], np.full((37, 1), 7, np.uint8)])
    data = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 0, 0, 0, 54 + 1024, 40, 43, -37, 1, 8, 0, 0, 0, 0, 0, 0)
    data += np.arange(1024, dtype=np.uint16).astype(np.uint8).tobytes() + rows.tobytes()
    (found,) = round_trip(data)
    assert found is not None
    assert found.palette
    assert np.array_equal(found.samples[:, :, 0], PICTURE[:, :43, 0])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "I;16"])
def test_tiff(mode: str) -> None:
    words = PICTURE[:, :, 0].astype(np.uint16) * 257
    picture = Image.fromarray(words) if mode == "I;16" else Image.fromarray(PICTURE).convert(mode)
    assert np.array_equal(the_samples(saved(picture, "TIFF")).squeeze(), np.asarray(picture))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("gap", [0, 1])
def test_tiff_with_its_directory_at_the_end(order: str, gap: int) -> None:
    """In two strips, which are found where nothing is between them."""
    words = (np.arange(300 * 300, dtype=np.uint32) * 7).astype(order + "u2").tobytes()
    half = len(words) // 2
    at = 8 + len(words) + gap
    strips = struct.pack(order + "IIII", 8, 8 + half + gap, half, half)
    tags = [(256, 3, 1, 300), (257, 3, 1, 300), (258, 3, 1, 16), (259, 3, 1, 1), (273, 4, 2, at), (279, 4, 2, at + 8)]
    shift = 16 if order == ">" else 0
    entries = b"".join(
        struct.pack(order + "HHII", tag, kind, count, value << shift if kind == 3 else value)
        for tag, kind, count, value in tags
    )
    data = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", at + 16)
    data += words[:half] + bytes(gap) + words[half:] + strips + struct.pack(order + "H", len(tags)) + entries + bytes(4)
    (found,) = round_trip(data)
    assert (found is None) == bool(gap)
    if found is not None:
        assert np.array_equal(found.samples.reshape(-1), np.frombuffer(words, order + "u2"))


def test_tiff_that_is_compressed_is_bytes() -> None:
    assert detect(saved(Image.fromarray(PICTURE), "TIFF", compression="tiff_lzw")) is None
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300), np.uint8))
    assert round_trip(saved(noise, "TIFF", compression="tiff_lzw")) == [None]


def sound(channels: int, bits: int, frames: int = 500) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(bits // 8)
        file.setframerate(8000)
        file.writeframes(np.random.default_rng(0).integers(0, 256, frames * channels * bits // 8, np.uint8).tobytes())
    return buffer.getvalue()


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_wav(channels: int, bits: int) -> None:
    data = sound(channels, bits)
    samples = the_samples(data)
    assert samples.shape == (500, channels)
    top = np.frombuffer(data[44:], np.uint8)[bits // 8 - 1 :: bits // 8].reshape(-1, channels)
    assert np.array_equal(samples >> bits - 8, (top - 128).view(np.int8) if bits == 8 else top.view(np.int8))


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 1 << 30, 1001, 601])
def test_size_of_wav_may_lie(size: int) -> None:
    data = sound(2, 16)
    (found,) = round_trip(data[:40] + struct.pack("<I", size) + data[44:] + b"odd")
    assert found is not None
    assert len(found.samples) == (size // 4 if size in (1001, 601) else 500)


def test_wav_between_odd_chunks() -> None:
    data = sound(1, 16)
    extensible = struct.pack("<HHIIHHHHI", 0xFFFE, 1, 8000, 16000, 2, 16, 22, 12, 0)
    extensible += bytes.fromhex("0100000000001000800000aa00389b71")
    chunks = b"LIST" + struct.pack("<I", 5) + b"abcde\0fmt " + struct.pack("<I", 40) + extensible
    assert len(the_samples(data[:12] + chunks + data[36:] + b"id3 \4\0\0\0abcd")) == 500


AIFF_VALUES = np.random.default_rng(1).integers(-30000, 30000, (400, 2))


def aiff(name: bytes, method: bytes) -> bytes:
    common = struct.pack(">HIH", 2, 400, 16) + bytes(10) + method + (bytes(2) if method else b"")
    data = AIFF_VALUES.astype("<i2" if method == b"sowt" else ">i2").tobytes()
    data = b"COMM" + struct.pack(">I", len(common)) + common + b"SSND" + struct.pack(">III", len(data) + 8, 0, 0) + data
    return b"FORM" + struct.pack(">I", len(data) + 4) + name + data


@pytest.mark.parametrize(("name", "method"), [(b"AIFF", b""), (b"AIFC", b"NONE"), (b"AIFC", b"sowt")])
def test_aiff(name: bytes, method: bytes) -> None:
    assert np.array_equal(the_samples(aiff(name, method)), AIFF_VALUES)


@pytest.mark.parametrize("most", [100, 1000, 1337, 5000])
def test_long_files_are_cut_between_rows(most: int) -> None:
    for data in (sound(2, 24, 3000), saved(Image.fromarray(PICTURE), "BMP"), saved(Image.fromarray(PICTURE), "PPM")):
        pieces = round_trip(data + bytes(10), most)
        if most > 1000:
            whole = round_trip(data)[0]
            assert whole is not None
            missing = whole.samples.size - sum(piece.samples.size for piece in pieces if piece)
            assert 0 <= missing < 256  # too few for a piece of their own


def test_no_false_alarm() -> None:
    for text in (b"", b"P", b"P5", b"BM", b"RIFF", b"P6 is a road", b"BMW" * 30, b"FORM", b"P5 0 4 255 ", b"P1 1 1 1"):
        assert detect(text) is None
    assert detect(b"P6 99999 99999 255\n").deconstruct(b"P6 99999 99999 255\n", 0) is None  # type: ignore[union-attr]


def test_bad_side_data_is_refused() -> None:
    (found,) = round_trip(sound(1, 16))
    assert found is not None
    side_data = found.side_data
    for bad in (
        b"",
        side_data[:3],
        b"\x7f" + side_data[1:],
        bytes([side_data[0] + 5]) + side_data[1:],
        side_data[:1] + b"\x18" + side_data[2:],
    ):
        with pytest.raises(ValueError, match=r"."):
            reconstruct("audio", found.samples, found.depth, bad)
    for samples in (found.samples[1:], found.samples.astype(np.int64), found.samples * 2):
        with pytest.raises(ValueError, match=r"."):
            reconstruct("audio", samples, found.depth, side_data)
    with pytest.raises(ValueError, match="bits"):
        reconstruct("audio", found.samples, 15, side_data)


@pytest.mark.parametrize(("depth", "bits"), [(10, 8), (10, 2), (4, 16), (3, 4), (8, 32), (16, 24)])
def test_containers_that_no_samples_have(depth: int, bits: int) -> None:
    samples = np.zeros((20, 20, 1), np.uint8 if depth <= 8 else np.uint16)
    writer = Writer()
    create_shape(writer, RAW, Shape("image", samples.shape, depth, False))
    writer.numbers(bits, 0, 0, 0)
    with pytest.raises(ValueError, match=f"{depth} bits in {bits}"):
        reconstruct("image", samples, depth, bytes(writer.buffer))
