"""Our own deflate against Python's zlib, stream by stream."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmzip.formats.deflate import optimal
from lmzip.formats.deflate.inflate import BLOCK_COLUMNS, inflate
from lmzip.formats.deflate.matching import BAD, MOST_WORK, STATE_SIZE, WORK, Search, find_tokens
from lmzip.formats.deflate.settings import Settings
from lmzip.formats.deflate.stream import (
    OPTIMAL,
    _describe_optimal,
    create_description,
    deconstruct_stream,
    reconstruct_stream,
)

RANDOM = np.random.default_rng(0)
NOISE = RANDOM.bytes(40000)
STEPS = np.cumsum(RANDOM.integers(-2, 3, 150_000)).astype(np.uint8).tobytes()
WORDS = b" ".join(RANDOM.choice([b"one", b"two", b"three", b"fourteen", b"a", b"longest word"], 20000))
DATA = {
    "empty": b"",
    "letter": b"a",
    "zeros": bytes(100_000),
    "steps": STEPS,
    "words": WORDS,
    "mixed": NOISE[:30000] + bytes(3000) + RANDOM.integers(0, 3, 60000, np.uint8).tobytes() + NOISE,
}
IS_CLASSIC = not zlib.ZLIB_RUNTIME_VERSION.endswith("zlib-ng")
NOTHING = np.zeros((0, 2), np.int64)


def pieces_of(data: bytes, piece: int) -> np.ndarray:
    return np.minimum(np.arange(piece, len(data) + piece, piece, dtype=np.int64), len(data))


def own(data: bytes, how: Settings, piece: int = 1000) -> bytes:
    """Write the stream that zlib writes with these settings."""
    description = create_description(how, NOTHING, None, np.zeros(0, np.int64), [])
    return reconstruct_stream(description, np.frombuffer(data, np.uint8), pieces_of(data, piece))


def by_zlib(data: bytes, how: Settings, piece: int = 1000) -> bytes:
    coder = zlib.compressobj(how.level, zlib.DEFLATED, -how.window, how.memory, how.strategy)
    step = piece if how.pieces else max(1, len(data))
    return b"".join(coder.compress(data[at : at + step]) for at in range(0, len(data), step)) + coder.flush()


def every_setting() -> list[Settings]:
    some = [Settings(level, strategy, 8, 15) for level in range(1, 10) for strategy in (0, 1)]
    some += [Settings(level, 0, memory, 15) for level in (1, 6) for memory in (1, 5, 9)]
    some += [Settings(level, 0, 8, window, False, True) for level in (3, 9) for window in (9, 12, 15)]
    return some + [Settings(6, strategy, memory, 15) for strategy in (2, 3, 4) for memory in (1, 8)]


@pytest.mark.parametrize("how", every_setting(), ids=str)
def test_same_stream_as_zlib(how: Settings) -> None:
    for name, data in DATA.items():
        assert not IS_CLASSIC or own(data, how) == by_zlib(data, how), name


@pytest.mark.slow
def test_same_stream_as_zlib_with_all_settings() -> None:
    for level in range(1, 10):
        for strategy in range(5):
            for memory in range(1, 10):
                for window in (9, 10, 11, 13, 15):
                    for pieces in (False, True):
                        how = Settings(level, strategy, memory, window, False, pieces)
                        for name, data in DATA.items():
                            assert not IS_CLASSIC or own(data, how) == by_zlib(data, how), (how, name)


def test_the_bytes_never_change() -> None:
    streams = [own(data, how) for how in every_setting() for data in DATA.values()]
    assert [zlib.decompress(stream, -15) for stream in streams] == list(DATA.values()) * len(every_setting())
    digest = hashlib.sha256(b"".join(streams)).hexdigest()
    assert digest == "c7dd1065173fa9f84e06d45081e3352b3b23029430f259f16603705410a53c4b"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=8),
    st.lists(st.integers(0, 7), max_size=300),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 4),
)
def test_any_data(parts: list[bytes], order: list[int], level: int, memory: int, strategy: int) -> None:
    data = b"".join(parts[n % len(parts)] for n in order)
    how = Settings(level, strategy, memory, 15)
    assert zlib.decompress(own(data, how), -15) == data
    assert not IS_CLASSIC or own(data, how) == by_zlib(data, how)


def described(stream: bytes, data: bytes, window: int = 15) -> bytes:
    found = deconstruct_stream(bytes([window - 8 << 4 | 8, 128]) + stream + b"behind", len(data), pieces_of(data, 1000))
    assert found is not None
    assert found[:2] == (data, len(stream) + 2)
    assert reconstruct_stream(found[2], np.frombuffer(data, np.uint8), pieces_of(data, 1000)) == stream
    return found[2]


@pytest.mark.parametrize("how", [*every_setting()[::3], Settings(6, 0, 8, 15, False, True)], ids=str)
def test_settings_are_found(how: Settings) -> None:
    for name in ("steps", "mixed", "words"):
        assert len(described(own(DATA[name], how), DATA[name], how.window)) == 5, name


def test_matches_from_far_away() -> None:
    how = Settings(9, 0, 8, 15, True)
    data = RANDOM.integers(0, 40, 100_000, np.uint8).tobytes()
    assert own(data, how) != own(data, Settings(9, 0, 8, 15))
    assert len(described(own(data, how), data)) == 5


def test_other_encoders_need_more_words() -> None:
    """Flushes, stored blocks, one setting after another: no zlib with one setting writes that."""
    coder = zlib.compressobj(6, zlib.DEFLATED, -15)
    stream = coder.compress(WORDS) + coder.flush(zlib.Z_FULL_FLUSH) + coder.compress(STEPS) + coder.flush()
    assert 5 < len(described(stream, WORDS + STEPS)) < 1000
    stored = zlib.compressobj(0, zlib.DEFLATED, -15)
    assert len(described(stored.compress(NOISE * 5) + stored.flush(), NOISE * 5)) < 60


PICTURES = sorted((Path(__file__).parent / "pictures").glob("*.png"))


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_encoders_that_look_for_the_cheapest_tokens(path: Path) -> None:
    """zopfli's and libdeflate's tokens follow from the codes but for few, and the codes must be kept."""
    data = path.read_bytes()
    stream = data[data.index(b"IDAT") + 4 : data.index(b"IEND") - 8]
    lines = zlib.decompress(stream)
    found = deconstruct_stream(stream, len(lines), pieces_of(lines, 601))
    assert found is not None
    assert found[0] == lines
    assert found[2][0] == OPTIMAL
    assert len(found[2]) < len(stream) / 7
    assert reconstruct_stream(found[2], np.frombuffer(lines, np.uint8), pieces_of(lines, 601)) == stream[2:-4]


def cheapest(stream: bytes, size: int) -> bytes:
    """Describe a stream, without its header, by the codes of its blocks, and make it again."""
    data = np.frombuffer(bytearray(stream + bytes(8)), np.uint8)
    lines, actual, blocks = (
        np.zeros(size, np.uint8),
        np.zeros(size, np.int32),
        np.zeros((1 << 14, BLOCK_COLUMNS), np.int64),
    )
    count, _ = inflate(data, 8 * len(stream), lines, actual, blocks)
    description = _describe_optimal(data[: len(stream)], lines, actual, blocks[:count])
    assert reconstruct_stream(description, lines, pieces_of(bytes(size), 1000)) == stream
    return description


def test_the_cheapest_tokens_of_any_stream() -> None:
    for how in (*every_setting()[::4], Settings(9, 0, 1, 9)):
        for name in ("letter", "zeros", "steps", "words", "mixed"):
            assert cheapest(own(DATA[name], how), len(DATA[name])), name
    coder = zlib.compressobj(6, zlib.DEFLATED, -15)
    stream = coder.compress(WORDS) + coder.flush(zlib.Z_FULL_FLUSH) + coder.compress(STEPS) + coder.flush()
    assert cheapest(stream, len(WORDS + STEPS))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=8), st.lists(st.integers(0, 7), max_size=300))
def test_the_cheapest_tokens_of_any_data(parts: list[bytes], order: list[int]) -> None:
    data = b"x" + b"".join(parts[n % len(parts)] for n in order)
    assert cheapest(own(data, Settings(6, 0, 8, 15)), len(data))


def test_segments_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    """A match may begin in one segment and end in the next."""
    monkeypatch.setattr(optimal, "SEGMENT", 1000)
    monkeypatch.setattr(optimal, "MATCHES", 1)
    for name in ("zeros", "steps", "words", "mixed"):
        assert cheapest(own(DATA[name], Settings(9, 0, 8, 15)), len(DATA[name])), name


def test_too_long_a_search_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = own(WORDS, Settings(6, 0, 8, 15))
    description = cheapest(stream, len(WORDS))
    monkeypatch.setattr(optimal, "MOST_WORK", 1)
    with pytest.raises(ValueError, match="too long"):
        reconstruct_stream(description, np.frombuffer(WORDS, np.uint8), pieces_of(WORDS, 1000))


def test_what_cannot_be_described() -> None:
    stream = zlib.compress(WORDS)
    ends = pieces_of(WORDS, 1000)
    for cut in (*range(0, 60, 7), 1000, len(stream) - 6):
        assert deconstruct_stream(stream[:cut], len(WORDS), ends) is None
    assert deconstruct_stream(stream, len(WORDS) - 1, ends) is None
    assert deconstruct_stream(stream, len(WORDS) + 1, ends) is None
    for seed in range(40):
        changed = bytearray(stream)
        changed[np.random.default_rng(seed).integers(2, len(stream) - 4)] ^= 1 << seed % 8
        found = deconstruct_stream(bytes(changed), len(WORDS), ends)  # whatever it is, it does not crash
        assert found is None or len(found[0]) == len(WORDS)


def test_any_description_is_survived() -> None:
    lines = np.frombuffer(WORDS[:3000], np.uint8)
    ends, good = pieces_of(WORDS[:3000], 100), 0
    right = cheapest(own(WORDS[:3000], Settings(6, 0, 8, 15)), 3000)
    for seed in range(2000):
        random, changed = np.random.default_rng(seed), bytearray(right)
        for _ in range(1 + seed % 3):
            changed[random.integers(1, len(right))] = random.integers(0, 256)
        try:
            reconstruct_stream(bytes(changed[: len(right) - seed % 7]), lines, ends)
            good += 1
        except ValueError:
            pass
    assert 0 < good < 1900
    good = 0
    for seed in range(2000):
        random = np.random.default_rng(seed)
        flags = int(random.integers(0, 32))
        head = bytes([flags, *(int(random.integers(low, high)) for low, high in ((1, 10), (0, 5), (1, 10), (9, 16)))])
        try:
            reconstruct_stream(head + random.integers(0, 4 + seed % 30, seed % 40, np.uint8).tobytes(), lines, ends)
            good += 1
        except ValueError:
            pass
    assert 0 < good < 1900


def test_too_much_work_is_refused() -> None:
    """Noise of two values fills the chains; what was done before counts."""
    line = RANDOM.integers(0, 2, 100_000, np.uint8)
    how = Settings(9, 0, 9, 15)
    for before, refused in ((0, 0), (MOST_WORK * (line.size + 1000), 1)):
        state, tables = np.zeros(STATE_SIZE, np.int64), (np.zeros(1 << 16, np.int32), np.zeros(1 << 15, np.int32))
        state[WORK] = before
        tokens, bases = np.zeros(line.size + 1, np.int32), np.zeros(100, np.int64)
        given = (line, np.array([line.size]), np.zeros(0, np.int32), NOTHING)
        find_tokens(Search(*given, *tables, tokens, NOTHING, bases, state), how.limits(), line.size)
        assert state[BAD] == refused
