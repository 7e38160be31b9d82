"""Damaged files: nothing is raised, and what is deconstructed comes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_formats_png import chunk, saved, written
from test_formats_raw import PICTURE, aiff, sound
from test_formats_raw import saved as saved_as

from lmzip.formats import detect, reconstruct, shape_of

LINES = b"".join(bytes([y % 5]) + PICTURE[y].tobytes() for y in range(37))
FILES = [
    saved(Image.fromarray(PICTURE)),
    saved(Image.fromarray(PICTURE).quantize(16), compress_level=1),
    written((45, 37, 8, 2, 0, 0, 0), LINES, 50, before=chunk(b"tEXt", b"Title\0abc")),
    saved_as(Image.fromarray(PICTURE), "PPM"),
    saved_as(Image.fromarray(PICTURE).convert("1"), "PPM"),
    b"P7\nWIDTH 37\nHEIGHT 15\nDEPTH 9\nMAXVAL 255\nENDHDR\n" + PICTURE.tobytes(),
    saved_as(Image.fromarray(PICTURE), "BMP"),
    saved_as(Image.fromarray(PICTURE).quantize(16), "BMP"),
    saved_as(Image.fromarray(PICTURE), "TIFF"),
    sound(2, 16, 300),
    sound(1, 24, 300),
    aiff(b"AIFF", b""),
    aiff(b"AIFC", b"sowt"),
    (Path(__file__).parent / "sounds" / "libflac.flac").read_bytes(),
    (Path(__file__).parent / "pictures" / "zopfli.png").read_bytes(),
]


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """Change some bytes, mostly in the first hundred; or cut, repeat or drop a piece."""
    changed = bytearray(data)
    for _ in range(random.integers(1, 5)):
        at = int(random.integers(0, min(len(changed), 100 if random.integers(0, 4) else len(changed)) or 1))
        what = random.integers(0, 6)
        if what <= 2:
            changed[at : at + 1] = random.bytes(1) if what else random.choice([b"\0", b"\xff", b"\x7f", b"\x80"])
        elif what == 3:
            changed[at : at + 4] = random.choice([bytes(4), b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0\0\1\0"])
        elif what == 4:
            del changed[at : at + int(random.integers(1, 30))]
        else:
            changed[at:at] = changed[at : at + int(random.integers(1, 30))]
    return bytes(changed[: random.integers(0, len(changed) + 1)] if random.integers(0, 8) == 0 else changed)


def check_piece(data: bytes, most: int) -> int:
    """Deconstruct a file, block by block; return how many blocks had samples."""
    layout, start, count = detect(data[: 1 << 16]), 0, 0
    while layout is not None and start < len(data):
        end = min(layout.block_end(start, most), len(data))
        assert start < end <= start + most
        found = layout.deconstruct(data[start:end], start)
        if found is not None:
            assert reconstruct(found.kind, found.samples, found.depth, found.side_data) == data[start:end]
            assert shape_of(found.side_data) == (
                found.kind,
                found.samples.shape,
                found.depth,
                found.palette,
            )
            count += 1
        start = end
    return count


def check_files(seeds: range) -> None:
    count = 0
    for seed in seeds:
        random = np.random.default_rng(seed)
        data = mutated(FILES[seed % len(FILES)], random)
        count += check_piece(data, 1 << 22 if seed % 3 else int(random.integers(1, 3000))) > 0
    assert len(seeds) / 8 < count < len(seeds)


def check_side_data(seeds: range) -> None:
    """Reconstruct from damaged side data: ValueError, or some bytes."""
    whole = [layout.deconstruct(data, 0) for data in FILES if (layout := detect(data)) is not None]
    count = 0
    for seed in seeds:
        found = whole[seed % len(whole)]
        assert found is not None
        side_data = mutated(found.side_data, np.random.default_rng(seed))
        try:
            kind, shape, depth, _ = shape_of(side_data)
            samples = found.samples
            if shape != samples.shape:
                assert np.prod(shape) <= 1 << 27
                if np.prod(shape) > 1 << 16:
                    continue
                samples = np.zeros(shape, np.int32 if kind == "audio" else np.uint8 if depth <= 8 else np.uint16)
            reconstruct(kind, samples, depth, side_data)
            count += 1
        except ValueError:
            pass
    assert 0 < count < len(seeds)


def test_damaged_files() -> None:
    check_files(range(2500))


def test_damaged_side_data() -> None:
    check_side_data(range(3000))


@pytest.mark.slow
def test_many_damaged_files() -> None:
    check_files(range(10_000, 40_000))


@pytest.mark.slow
def test_many_damaged_side_data() -> None:
    check_side_data(range(10_000, 40_000))
