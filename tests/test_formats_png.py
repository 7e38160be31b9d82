"""PNG files deconstructed and reconstructed."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from test_formats_raw import PICTURE

from lmzip.formats import Deconstructed, detect, reconstruct, shape_of

DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def round_trip(data: bytes) -> Deconstructed | None:
    layout = detect(data[: 1 << 16])
    assert layout is not None
    assert layout.whole
    found = layout.deconstruct(data, 0)
    if found is not None:
        assert reconstruct(found.kind, found.samples, found.depth, found.side_data) == data
        assert shape_of(found.side_data) == (
            found.kind,
            found.samples.shape,
            found.depth,
            found.palette,
        )
    return found


def deconstruct(data: bytes) -> Deconstructed:
    found = round_trip(data)
    assert found is not None
    return found


def saved(picture: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def written(header: tuple[int, ...], lines: bytes, cut: int = 1 << 20, level: int = 6, before: bytes = b"") -> bytes:
    """Write a PNG by hand. header: width, height, depth, colour type, 0, 0, interlaced."""
    stream = zlib.compress(lines, level)
    idat = b"".join(chunk(b"IDAT", stream[at : at + cut]) for at in range(0, len(stream), cut))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", *header)) + before + idat + chunk(b"IEND", b"")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "1", "P", "I;16"])
def test_modes(mode: str) -> None:
    words = PICTURE[:, :, 0].astype(np.uint16) * 257
    picture = Image.fromarray(words) if mode == "I;16" else Image.fromarray(PICTURE).convert(mode)
    found = deconstruct(saved(picture))
    assert np.array_equal(found.samples.squeeze(), np.asarray(picture))
    assert found.palette == (mode == "P")
    assert len(found.side_data) < 1000


@pytest.mark.parametrize("level", range(1, 10))
def test_levels(level: int) -> None:
    assert np.array_equal(deconstruct(saved(Image.fromarray(PICTURE), compress_level=level)).samples, PICTURE)


@pytest.mark.parametrize(
    ("colour", "depths"), [(0, (1, 2, 4, 8, 16)), (2, (8, 16)), (3, (1, 2, 4, 8)), (4, (8, 16)), (6, (8, 16))]
)
@pytest.mark.parametrize("interlaced", [0, 1])
def test_every_colour_type(colour: int, depths: tuple[int, ...], interlaced: int) -> None:
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    for depth in depths:
        for width, height in ((16, 16), (33, 17), (300, 1), (1, 300), (2, 130)):
            lines = b""
            count = 0
            for top, left, down, right in ADAM7 if interlaced else ((0, 0, 1, 1),):
                columns = -((left - width) // right)
                for _ in range(top, height, down) if columns > 0 else ():
                    bits = columns * channels * depth
                    row = np.random.default_rng(count).integers(0, 256, (bits + 7) // 8, np.uint8)
                    row[-1] &= 0xFF << -bits % 8 & 0xFF
                    lines += bytes([0 if depth < 8 else count % 5]) + row.tobytes()
                    count += 1
            found = deconstruct(written((width, height, depth, colour, 0, 0, interlaced), lines))
            assert found.samples.shape == (height, width, channels)
            assert found.depth == depth


def test_interlaced_pixels_are_in_their_places() -> None:
    data = np.arange(1, 65, dtype=np.uint8).reshape(8, 8).repeat(4, 0).repeat(4, 1)
    lines = b""
    for top, left, down, right in ADAM7:
        lines += b"".join(b"\0" + row.tobytes() for row in data[top::down, left::right])
    found = deconstruct(written((32, 32, 8, 0, 0, 0, 1), lines))
    assert np.array_equal(found.samples[:, :, 0], data)


@pytest.mark.parametrize("cut", [1, 7, 100, 1 << 20])
def test_chunks(cut: int) -> None:
    lines = b"".join(bytes([y % 5]) + PICTURE[y].tobytes() for y in range(37))
    note = chunk(b"tEXt", b"Title\0abc") + chunk(b"abCd", b"") + struct.pack(">I", 2) + b"wrNgxy" + b"crc?"
    data = written((45, 37, 8, 2, 0, 0, 0), lines, cut, before=note)
    assert len(deconstruct(data).side_data) < len(deconstruct(data + b"and a tail").side_data) < 300
    deconstruct(data.replace(b"IEND", b"IDxx"))
    at = data.index(b"IDAT") + 4
    deconstruct(data[:at] + b"\xff" + data[at + 1 :])  # of the header of zlib, which nobody needs; and a wrong crc
    at = data.index(b"IEND") - 9
    deconstruct(data[:at] + b"\xff" + data[at + 1 :])  # of the check value of the stream, or a crc


def test_text_and_transparency_of_pillow() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("k", "v" * 100)
    picture = Image.fromarray(PICTURE).quantize(16)
    found = deconstruct(saved(picture, pnginfo=text, transparency=3, dpi=(300, 300)))
    assert found.depth == 4


def test_animation() -> None:
    frames = [Image.fromarray(np.roll(PICTURE, n, 1)) for n in range(3)]
    data = saved(frames[0], save_all=True, append_images=frames[1:])
    assert np.array_equal(deconstruct(data).samples, PICTURE)


def test_what_is_no_whole_png() -> None:
    data = saved(Image.fromarray(PICTURE))
    for cut in (*range(0, len(data) - 12, 37), len(data) - 16):
        layout = detect(data[:cut])
        assert layout is None or layout.deconstruct(data[:cut], 0) is None or cut > len(data) - 20
    layout = detect(data)
    assert layout is not None
    assert layout.deconstruct(data[1:], 1) is None
    bomb = written((1 << 16, 1 << 16, 8, 6, 0, 0, 0), bytes(1000))
    assert detect(bomb) is None
    assert round_trip(written((1 << 12, 1 << 12, 8, 6, 0, 0, 0), bytes(1000))) is None
