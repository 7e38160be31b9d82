"""FLAC files deconstructed and reconstructed, against libFLAC (by soundfile) and streams that no encoder writes."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from lmzip import formats
from lmzip.formats.flac import file
from lmzip.formats.flac.choices import (
    BAD,
    CODES,
    COEFFICIENTS,
    COLUMNS,
    COUNTS,
    PARAMETERS,
    PARTITIONS,
    PRECISIONS,
    RATES,
    SIZES,
    TYPES,
    Choices,
)
from lmzip.formats.flac.frames import SPARE, Place, read_frames, write_frames
from lmzip.formats.flac.headers import put_number
from lmzip.formats.flac.subframes import FIXED, LPC
from lmzip.formats.side_data import FLAC, Shape, Writer, create_shape

SUBTYPES = {8: "PCM_S8", 16: "PCM_16", 24: "PCM_24"}


def sound(frames: int, channels: int, depth: int, seed: int = 0) -> np.ndarray:
    """Return int32 (frames, channels): tones, noise, silence, a clipped part and one without low bits."""
    random = np.random.default_rng(seed)
    t = np.arange(frames)[:, None]
    high = (1 << depth - 1) - 1
    samples = high * (0.4 * np.sin(t / (9 + np.arange(channels))) + 0.05 * random.normal(size=(frames, channels)))
    samples[frames // 4 : frames // 2] *= 4
    samples = np.clip(samples, -high - 1, high).astype(np.int32)
    samples[: frames // 8] = 0
    samples[frames // 8 : frames // 4] &= ~7
    samples[-frames // 8 :, -1] = samples[-frames // 8 :, 0]
    return samples


def encoded(samples: np.ndarray, depth: int, level: float = 0.5) -> bytes:
    """Return the file that libFLAC makes."""
    buffer = io.BytesIO()
    shifted = samples << 32 - depth  # as soundfile wants them
    soundfile.write(buffer, shifted, 44100, SUBTYPES[depth], format="FLAC", compression_level=level)
    return buffer.getvalue()


def round_trip(data: bytes) -> formats.Deconstructed:
    """Deconstruct and reconstruct."""
    layout = formats.detect(data[: formats.HEAD_SIZE])
    assert isinstance(layout, file.FLACLayout)
    found = layout.deconstruct(data, 0)
    assert found is not None
    assert formats.reconstruct("audio", found.samples, found.depth, found.side_data) == data
    return found


@pytest.mark.parametrize("depth", SUBTYPES)
@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8])
def test_files_of_libflac(depth: int, channels: int) -> None:
    samples = sound(30_000, channels, depth)
    for level in (0, 0.5, 1):
        found = round_trip(encoded(samples, depth, level))
        assert found.depth == depth
        assert np.array_equal(found.samples, samples)
        assert len(found.side_data) < 12_000  # 8 KiB of it is padding


def test_what_stands_behind_the_frames() -> None:
    data = encoded(sound(9000, 2, 16), 16)
    assert round_trip(data + b"TAG a title").side_data.endswith(b"TAG a title")
    assert len(round_trip(data[:-3]).samples) == 4096 * 2
    damaged = bytearray(data)
    damaged[-1000] ^= 4
    assert len(round_trip(bytes(damaged)).samples) == 4096 * 2


def test_too_little_to_deconstruct() -> None:
    data = encoded(sound(9000, 2, 16), 16)
    layout = formats.detect(data)
    assert layout is not None
    for cut in (10, 42, 43, 8000, 9000):
        assert layout.deconstruct(data[:cut], 0) is None
    assert layout.deconstruct(encoded(sound(100, 1, 16), 16), 0) is None
    assert formats.detect(b"fLaC" + bytes(100)) is None


def test_silence_is_bounded() -> None:
    """The longest blocks of nothing would be samples of more memory than their bytes can ask for."""
    found = round_trip(encoded(np.zeros((2_000_000, 8), np.int32), 16))
    assert found.samples.size * 16 <= file.MOST_BITS * 2_000_000


def columns_of(random: np.random.Generator, channels: int, depth: int, frames: int) -> tuple[list[list[int]], int]:
    """Return what an encoder might choose for some frames, and how many samples they have."""
    columns: list[list[int]] = [[] for _ in range(COLUMNS)]
    total, variable = 0, int(random.integers(0, 2))
    for _ in range(frames):
        assignment = int(random.integers(8, 11)) if channels == 2 and random.integers(0, 2) else channels - 1
        size_code, rate_code = int(random.choice([1, 2, 6, 7, 8])), int(random.choice([0, 9, 12, 13, 14]))
        count = {1: 192, 2: 576, 8: 256, 6: int(random.integers(33, 257)), 7: int(random.integers(33, 1000))}[size_code]
        columns[CODES].append(variable << 16 | size_code << 12 | rate_code << 8 | assignment << 4)
        columns[SIZES] += [count - 1] if size_code in (6, 7) else []
        columns[RATES] += [int(random.integers(0, 256))] if rate_code >= 12 else []
        total += count
        for _ in range(channels):
            type_ = int(random.choice([1, 8, 9, 10, 11, 12, 32, 40, 63]))
            columns[TYPES].append(type_)
            if type_ < FIXED:
                continue
            order = type_ - LPC + 1 if type_ >= LPC else type_ - FIXED
            if type_ >= LPC:
                precision = int(random.integers(5, 16))
                columns[PRECISIONS].append(precision << 5 | int(random.integers(0, 16)))
                columns[COEFFICIENTS] += random.integers(0, 1 << precision, order).tolist()
            partitions = 1 if count % 2 or count // 2 < order else 2
            columns[PARTITIONS].append((partitions - 1) << 1 | 1)
            for _ in range(partitions):
                columns[PARAMETERS] += [0, 31] if random.integers(0, 3) == 0 else [1 + int(random.integers(0, 4))]
    return columns, total


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_what_the_format_allows(channels: int) -> None:
    """Blocks of changing sizes, differences of 33 bits, raw residuals, odd weights."""
    written = 0
    for seed in range(150):
        random = np.random.default_rng(seed)
        depth = int(random.choice([4, 8, 16, 20, 24]))
        columns, total = columns_of(random, channels, depth, 4)
        high = 1 << depth - 1
        samples = random.integers(-high, high, (total, channels)).astype(np.int32)
        given = tuple(np.array(column, np.int32) for column in columns)
        out, counts = np.zeros(400_000, np.uint8), np.zeros(COUNTS, np.int64)
        used, done = write_frames(samples, 4, depth, Choices(given, counts), out)
        if counts[BAD]:  # weights that lead beyond what 31 bits hold
            continue
        written += 1
        assert (done, counts[:COLUMNS].tolist()) == (total, [len(column) for column in columns])
        again = np.zeros_like(samples)
        found, counts = tuple(np.zeros(10_000, np.int32) for _ in columns), np.zeros(COUNTS, np.int64)
        data = np.append(out[:used], np.zeros(SPARE, np.uint8))
        place = read_frames(data, used, depth, again, Choices(found, counts), Place(0, 0, 0))
        assert place == (used, 4, total)
        assert np.array_equal(again, samples)
        for column, wanted, count in zip(found, given, counts, strict=False):
            assert np.array_equal(column[:count], wanted)
    assert written > 50


def test_damaged_files() -> None:
    data = encoded(sound(9000, 2, 16)[:, :], 16)
    for seed in range(300):
        random, changed = np.random.default_rng(seed), bytearray(data)
        for _ in range(1 + seed % 4):
            changed[random.integers(4, len(data))] = random.integers(0, 256)
        layout = formats.detect(bytes(changed[: formats.HEAD_SIZE]))
        found = layout and layout.deconstruct(bytes(changed), 0)
        if found:
            assert formats.reconstruct("audio", found.samples, found.depth, found.side_data) == changed


def test_any_side_data_is_survived() -> None:
    found, good = round_trip(encoded(sound(3000, 2, 16), 16)), 0
    begin = found.side_data.index(b"fLaC")
    metadata = len(file.MAGIC) + 38
    for seed in range(1500):
        random, changed = np.random.default_rng(seed), bytearray(found.side_data)
        for _ in range(1 + seed % 3):
            low = begin if seed % 2 else max(begin + metadata, len(changed) - 300)
            changed[random.integers(low, len(changed))] = random.integers(0, 256)
        try:
            formats.reconstruct("audio", found.samples, found.depth, bytes(changed))
            good += 1
        except ValueError:
            pass
    assert 0 < good < 1500


def test_a_size_that_lies() -> None:
    samples = sound(1000, 1, 16)
    writer = Writer()
    create_shape(writer, FLAC, Shape("audio", samples.shape, 16, False))
    writer.string(b"fLaC")
    for size, message in ((1 << 29, "side data: more than"), (1 << 20, "do not fit")):
        lying = Writer()
        lying.numbers(size, 0, *[0] * COLUMNS)
        with pytest.raises(ValueError, match=message):
            formats.reconstruct("audio", samples, 16, bytes(writer.buffer + lying.buffer))


def test_numbers_as_utf_8() -> None:
    for number in (0, 0x7F, 0x80, 0x7FF, 0x800, 0xFFFF, 0x10FFFF):
        out, counts = np.zeros(8, np.uint8), np.zeros(COUNTS, np.int64)
        end = put_number(out, np.int64(0), np.int64(number), counts)
        if not 0xD800 <= number <= 0xDFFF:
            assert out[: end >> 3].tobytes() == chr(number).encode()
