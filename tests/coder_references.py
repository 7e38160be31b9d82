"""What the tests of the coders share. The references are written from the definition, in integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from lmzip.coders import CODER_IDS, CODERS, FREQUENCY_TOTAL, Decoder, Encoder

Array: TypeAlias = npt.NDArray[Any]
Interval: TypeAlias = tuple[int, int]  # left, width
Call: TypeAlias = tuple[str, Array, Array]  # "symbols" or "bits", values, frequencies or probabilities

each_coder = pytest.mark.parametrize("name", sorted(CODER_IDS))
few = settings(max_examples=30, deadline=None)


def new_encoder(name: str) -> Encoder:
    return CODERS[CODER_IDS[name]][0]()


def new_decoder(name: str, data: bytes) -> Decoder:
    return CODERS[CODER_IDS[name]][1](data)


def encode(name: str, calls: list[Call]) -> bytes:
    encoder = new_encoder(name)
    for kind, values, model in calls:
        (encoder.encode_symbols if kind == "symbols" else encoder.encode_bits)(values, model)
    return encoder.finish()


def decode(name: str, data: bytes, calls: list[Call]) -> list[Array]:
    decoder = new_decoder(name, data)
    out = [
        decoder.decode_symbols(model) if kind == "symbols" else decoder.decode_bits(model) for kind, _, model in calls
    ]
    decoder.finish()
    return out


def assert_round_trip(name: str, calls: list[Call]) -> bytes:
    data = encode(name, calls)
    for (_, values, _), decoded in zip(calls, decode(name, data, calls), strict=True):
        np.testing.assert_array_equal(values, decoded)
    return data


def intervals_of(calls: list[Call]) -> list[Interval]:
    """Return the interval of every coded value; a one-symbol alphabet has none."""
    intervals = []
    for kind, values, model in calls:
        for value, row in zip(values.tolist(), model.tolist(), strict=True):
            if kind == "bits":
                one = 256 * row + (row < 32768)
                intervals.append((FREQUENCY_TOTAL - one, one) if value else (0, FREQUENCY_TOTAL - one))
            elif len(row) > 1:
                intervals.append((sum(row[:value]), row[value]))
    return intervals


def range_reference(intervals: list[Interval]) -> bytes:
    """Encode intervals with a range coder of 64-bit state and 32-bit words; carries are left to Python's integers."""
    lower, size, words = 0, 2**64 - 1, 0
    for left, width in intervals:
        part = size >> 24
        lower, size = lower + part * left, part * width
        if size < 2**32:
            lower, size, words = lower << 32, size << 32, words + 1
    if not intervals:
        return b""
    point = (lower + 2**32 - 1) >> 32
    point, words = (point << 32, words + 2) if (lower + size) >> 32 == point else (point, words + 1)
    return b"".join((point >> 32 * i & 0xFFFFFFFF).to_bytes(4, "little") for i in reversed(range(words)))


def rans_reference(intervals: list[Interval]) -> bytes:
    """Push intervals, last one first, on a rANS stack of 64-bit state and 32-bit words."""
    state, words = 0, []
    for left, width in reversed(intervals):
        if state >> 40 >= width:
            words.append(state & 0xFFFFFFFF)
            state >>= 32
        state = (state // width << 24) + left + state % width
    while state:
        words.append(state & 0xFFFFFFFF)
        state >>= 32
    return b"".join(word.to_bytes(4, "little") for word in words)


REFERENCES: dict[str, Callable[[list[Interval]], bytes]] = {"range": range_reference, "rans": rans_reference}


def random_frequencies(rng: np.random.Generator, count: int, alphabet: int, skew: float = 0.3) -> Array:
    """Return (count, alphabet) uint32 rows of gamma-distributed frequencies; a small skew means steep rows."""
    weights = rng.gamma(skew, size=(count, alphabet)) + 1e-30
    rows = 1 + np.floor(weights / weights.sum(axis=1, keepdims=True) * (FREQUENCY_TOTAL - alphabet)).astype(np.int64)
    rows[np.arange(count), rows.argmax(axis=1)] += FREQUENCY_TOTAL - rows.sum(axis=1)
    frequencies: Array = rows.astype(np.uint32)
    return frequencies


def draw_symbols(rng: np.random.Generator, frequencies: Array) -> Array:
    points = rng.integers(0, FREQUENCY_TOTAL, size=(len(frequencies), 1))
    symbols: Array = (frequencies.astype(np.int64).cumsum(axis=1) <= points).sum(axis=1).astype(np.int32)
    return symbols


@st.composite
def call_lists(draw: st.DrawFn) -> list[Call]:
    """Draw calls that mix symbols and bits; values are likely, uniform, or the ends of the alphabet."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    calls: list[Call] = []
    for _ in range(draw(st.integers(0, 4))):
        count = draw(st.integers(0, 25))
        choice = draw(st.sampled_from(["likely", "uniform", "first", "last"]))
        if draw(st.booleans()):
            probabilities = np.maximum(rng.beta(0.2, 0.2, count) * 65535, 1).astype(np.uint16)
            thresholds: dict[str, Any] = {"likely": probabilities, "uniform": 32768, "first": 0, "last": 65536}
            calls.append(("bits", (rng.integers(0, 65536, count) < thresholds[choice]).astype(np.uint8), probabilities))
            continue
        alphabet = draw(st.sampled_from([1, 2, 3, 4, 5, 17, 256]))
        if draw(st.booleans()):
            frequencies = random_frequencies(rng, count, alphabet, draw(st.sampled_from([0.01, 0.3, 10.0])))
        else:
            frequencies = np.ones((count, alphabet), np.uint32)
            frequencies[np.arange(count), rng.integers(0, alphabet, count)] += FREQUENCY_TOTAL - alphabet
        symbols = {
            "likely": draw_symbols(rng, frequencies),
            "uniform": rng.integers(0, alphabet, count).astype(np.int32),
            "first": np.zeros(count, np.int32),
            "last": np.full(count, alphabet - 1, np.int32),
        }[choice]
        calls.append(("symbols", symbols, frequencies))
    return calls


GOLDEN_SYMBOLS: Call = (
    "symbols",
    np.array([0, 3, 1, 2, 3], np.int32),
    np.array([[2**23, 2**22, 2**21, 2**21], [1, 2, 3, 2**24 - 6]] * 2 + [[2**24 - 3, 1, 1, 1]], np.uint32),
)
GOLDEN_BITS: Call = (
    "bits",
    np.array([0, 1, 1, 0, 1], np.uint8),
    np.array([32768, 32767, 1, 65535, 60000], np.uint16),
)
