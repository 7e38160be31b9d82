"""The coders: bytes, round trips, sizes, errors. The references below are written from the definition, in integers."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmzip.coders import (
    BIT_TOTAL,
    CODER_IDS,
    CODERS,
    FREQUENCY_TOTAL,
    MAX_ALPHABET,
    CoderError,
    Decoder,
    Encoder,
    RangeDecoder,
    RangeEncoder,
    RansDecoder,
    RansEncoder,
)
from lmzip.coders.base import _three_categories, bytes_to_words, words_to_bytes

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


# Exact bytes.

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
GOLDEN = {
    ("range", "symbols"): "3f020040 f85f7dfe",
    ("range", "bits"): "c0bfff7f 32ddec83",
    ("rans", "symbols"): "310000b9 aaaa0200",
    ("rans", "bits"): "8aa92bd5 812a5600",
}


@pytest.mark.parametrize(("name", "kind"), sorted(GOLDEN))
def test_golden_bytes(name: str, kind: str) -> None:
    call = GOLDEN_SYMBOLS if kind == "symbols" else GOLDEN_BITS
    assert encode(name, [call]).hex(" ", 4) == GOLDEN[name, kind]
    decoded = decode(name, bytes.fromhex(GOLDEN[name, kind]), [call])
    np.testing.assert_array_equal(decoded[0], call[1])


@each_coder
@few
@given(calls=call_lists())
def test_bytes_are_those_of_the_integer_reference(name: str, calls: list[Call]) -> None:
    assert encode(name, calls) == REFERENCES[name](intervals_of(calls))


def test_three_categories_are_never_empty() -> None:
    left = np.array([0, 0, 1, 5, FREQUENCY_TOTAL - 1, 2])
    width = np.array([1, FREQUENCY_TOTAL - 2, FREQUENCY_TOTAL - 2, 7, 1, FREQUENCY_TOTAL - 2])
    indices, categories = _three_categories(left, width)
    widths = categories.astype(np.int64) + 1
    assert widths.min() >= 1  # constriction takes an empty or negative one without a word
    assert (widths.sum(axis=1) == FREQUENCY_TOTAL).all()
    rows = np.arange(len(left))
    np.testing.assert_array_equal(widths[rows, indices], width)
    np.testing.assert_array_equal(widths.cumsum(axis=1)[rows, indices], left + width)


@each_coder
def test_every_bit_probability_has_its_documented_width(name: str) -> None:
    probabilities = np.arange(1, BIT_TOTAL, dtype=np.uint16)
    for bit in (0, 1):
        call: Call = ("bits", np.full(len(probabilities), bit, np.uint8), probabilities)
        assert encode(name, [call]) == REFERENCES[name](intervals_of([call]))


@each_coder
@pytest.mark.parametrize(("frequency", "bits"), [(1, 24), (2, 23), (2**8, 16), (2**22, 2), (2**23, 1)])
def test_a_frequency_costs_exactly_its_logarithm(name: str, frequency: int, bits: int) -> None:
    count = 3200
    rest = FREQUENCY_TOTAL - frequency
    frequencies = np.tile(np.array([rest // 3, frequency, rest - rest // 3], np.uint32), (count, 1))
    data = encode(name, [("symbols", np.ones(count, np.int32), frequencies)])
    assert 0 <= 8 * len(data) - count * bits <= 64


def test_words_are_little_endian() -> None:
    words = np.array([0x01020304, 0xA0B0C0D0], np.uint32)
    assert words_to_bytes(words) == bytes([4, 3, 2, 1, 0xD0, 0xC0, 0xB0, 0xA0])
    np.testing.assert_array_equal(bytes_to_words(words_to_bytes(words)), words)
    assert words_to_bytes(words.astype(">u4")) == words_to_bytes(words)
    # Half of 2**32 is the first word of a 1 with probability one half.
    assert encode("range", [("bits", np.ones(1, np.uint8), np.array([32768], np.uint16))]) == bytes([0, 0, 0, 0x80])


def test_ids_are_format() -> None:
    assert CODER_IDS == {"range": 0, "rans": 1}
    assert CODERS[0] == (RangeEncoder, RangeDecoder)
    assert CODERS[1] == (RansEncoder, RansDecoder)
    assert len(CODERS) == 2


# Round trips.


@each_coder
@few
@given(calls=call_lists())
def test_round_trip(name: str, calls: list[Call]) -> None:
    assert_round_trip(name, calls)


@each_coder
@pytest.mark.parametrize("alphabet", [1, 2, 3, 256, 4096, 70_000])
def test_round_trip_when_one_symbol_has_nearly_all(name: str, alphabet: int) -> None:
    places = np.array([0, alphabet // 2, alphabet - 1])
    frequencies = np.ones((3, alphabet), np.uint32)
    frequencies[np.arange(3), places] = FREQUENCY_TOTAL - alphabet + 1
    for shift in (0, 1):
        assert_round_trip(name, [("symbols", ((places + shift) % alphabet).astype(np.int32), frequencies)])


@each_coder
def test_round_trip_over_more_rows_than_a_piece(name: str) -> None:
    rng = np.random.default_rng(5)
    frequencies = random_frequencies(rng, 200, 1500)
    assert_round_trip(name, [("symbols", draw_symbols(rng, frequencies), frequencies)])


@each_coder
@few
@given(calls=call_lists(), seed=st.integers(0, 2**32))
def test_any_split_of_calls_gives_the_same_bytes(name: str, calls: list[Call], seed: int) -> None:
    rng = np.random.default_rng(seed)
    pieces: list[Call] = []
    for kind, values, model in calls:
        cuts = [0, *np.sort(rng.integers(0, len(values) + 1, 3)).tolist(), len(values)]
        pieces += [(kind, values[a:b], model[a:b]) for a, b in itertools.pairwise(cuts)]
    data = encode(name, calls)
    assert encode(name, pieces) == data
    for (_, values, _), decoded in zip(pieces, decode(name, data, pieces), strict=True):
        np.testing.assert_array_equal(values, decoded)


@each_coder
def test_nothing_and_certainty_cost_nothing(name: str) -> None:
    certain = np.full((7, 1), FREQUENCY_TOTAL, np.uint32)
    calls: list[Call] = [
        ("symbols", np.zeros(0, np.int32), np.zeros((0, 5), np.uint32)),
        ("symbols", np.zeros(0, np.int32), np.zeros((0, 0), np.uint32)),
        ("bits", np.zeros(0, np.uint8), np.zeros(0, np.uint16)),
        ("symbols", np.zeros(7, np.int32), certain),
    ]
    assert assert_round_trip(name, calls) == b""
    assert new_encoder(name).finish() == b""


@each_coder
def test_dtypes_of_results(name: str) -> None:
    symbols, bits = decode(name, encode(name, [GOLDEN_SYMBOLS, GOLDEN_BITS]), [GOLDEN_SYMBOLS, GOLDEN_BITS])
    assert symbols.dtype == np.int32
    assert symbols.shape == (5,)
    assert bits.dtype == np.uint8
    assert bits.shape == (5,)
    decoder = new_decoder(name, b"")
    assert decoder.decode_symbols(np.zeros((0, 3), np.uint32)).dtype == np.int32
    assert decoder.decode_bits(np.zeros(0, np.uint16)).dtype == np.uint8


@each_coder
@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int32])
def test_bits_may_have_three_dtypes(name: str, dtype: type[np.generic]) -> None:
    kind, bits, probabilities = GOLDEN_BITS
    assert encode(name, [(kind, bits.astype(dtype), probabilities)]) == encode(name, [GOLDEN_BITS])


@each_coder
@pytest.mark.parametrize("alphabet", [2, 9])
def test_layout_and_signedness_do_not_matter(name: str, alphabet: int) -> None:
    rng = np.random.default_rng(3)
    frequencies = random_frequencies(rng, 30, alphabet)
    symbols = draw_symbols(rng, frequencies)
    bits, probabilities = symbols % 2, rng.integers(1, BIT_TOTAL, 30).astype(np.uint16)
    plain: list[Call] = [("symbols", symbols, frequencies), ("bits", bits, probabilities)]
    strided = np.repeat(symbols, 2)[::2]
    for same in (
        np.asfortranarray(frequencies),
        frequencies.astype(np.int32),
        np.repeat(np.repeat(frequencies, 2, axis=0), 3, axis=1)[::2, ::3],
        frequencies[::-1].copy()[::-1],
    ):
        other: list[Call] = [
            ("symbols", strided, same),
            ("bits", np.repeat(bits, 3)[::3], probabilities[::-1].copy()[::-1]),
        ]
        assert assert_round_trip(name, other) == encode(name, plain)


@each_coder
def test_the_encoder_keeps_no_reference_to_its_arguments(name: str) -> None:
    frequencies = np.array([[2**23, 2**23]] * 4, np.uint32)
    expected = encode(name, [("symbols", np.array([1, 0, 1, 1], np.int32), frequencies), GOLDEN_BITS])
    encoder = new_encoder(name)
    symbols = np.array([1, 0, 1, 1], np.int32)
    bits, probabilities = GOLDEN_BITS[1].astype(np.int32), GOLDEN_BITS[2].copy()
    encoder.encode_symbols(symbols, frequencies)
    encoder.encode_bits(bits, probabilities)
    for array in (symbols, frequencies, bits, probabilities):
        array[:] = 0
    assert encoder.finish() == expected


@each_coder
def test_coders_work_in_other_threads(name: str) -> None:
    results: list[bytes] = []
    thread = threading.Thread(target=lambda: results.append(assert_round_trip(name, [GOLDEN_SYMBOLS, GOLDEN_BITS])))
    thread.start()
    thread.join()
    assert results == [encode(name, [GOLDEN_SYMBOLS, GOLDEN_BITS])]


@each_coder
@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_the_decoder_takes_any_buffer(name: str, wrap: Callable[[bytes], Any]) -> None:
    data = encode(name, [GOLDEN_SYMBOLS])
    np.testing.assert_array_equal(decode(name, wrap(data), [GOLDEN_SYMBOLS])[0], GOLDEN_SYMBOLS[1])


@each_coder
def test_silence(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert_round_trip(name, [GOLDEN_SYMBOLS, GOLDEN_BITS])
    assert capfd.readouterr() == ("", "")


# Sizes.


@each_coder
@pytest.mark.parametrize(("alphabet", "skew"), [(2, 0.3), (5, 0.01), (256, 0.3), (2000, 5.0)])
def test_symbols_take_their_information(name: str, alphabet: int, skew: float) -> None:
    rng = np.random.default_rng(alphabet)
    frequencies = random_frequencies(rng, 2000, alphabet, skew)
    symbols = draw_symbols(rng, frequencies)
    information = -np.log2(frequencies[np.arange(2000), symbols] / FREQUENCY_TOTAL).sum()
    size = 8 * len(assert_round_trip(name, [("symbols", symbols, frequencies)]))
    assert abs(size - information) <= 0.001 * information + 64


@each_coder
@pytest.mark.parametrize("sharpness", [0.05, 1.0, 20.0])
def test_bits_take_their_information(name: str, sharpness: float) -> None:
    rng = np.random.default_rng(8)
    probabilities = np.clip(rng.beta(sharpness, sharpness, 50_000) * BIT_TOTAL, 1, BIT_TOTAL - 1).astype(np.uint16)
    bits = (rng.integers(0, BIT_TOTAL, 50_000) < probabilities).astype(np.uint8)
    one = probabilities / BIT_TOTAL
    information = -np.log2(np.where(bits, one, 1 - one)).sum()
    size = 8 * len(assert_round_trip(name, [("bits", bits, probabilities)]))
    assert abs(size - information) <= 0.001 * information + 64


@each_coder
@few
@given(calls=call_lists())
def test_size_bounds_what_finish_gives(name: str, calls: list[Call]) -> None:
    encoder = new_encoder(name)
    assert encoder.size == 0
    for index, (kind, values, model) in enumerate(calls):
        (encoder.encode_symbols if kind == "symbols" else encoder.encode_bits)(values, model)
        size, actual = encoder.size, len(encode(name, calls[: index + 1]))
        information = -sum(math.log2(width / FREQUENCY_TOTAL) for _, width in intervals_of(calls[: index + 1]))
        assert actual <= size <= 1.01 * information / 8 + 16
        assert name != "range" or size == actual
    assert len(encoder.finish()) == encoder.size


# Wrong arguments.

HALVES = np.array([[2**23, 2**23], [2**23, 2**23]], np.uint32)
FIVE = np.array([[2**24 - 4, 1, 1, 1, 1]], np.uint32)

BAD_FREQUENCIES = [
    ([[2**24]], TypeError, "frequencies must be a numpy array, not list"),
    (HALVES.astype(np.int64), TypeError, "frequencies must be uint32 or int32, not int64"),
    (HALVES.astype(np.float32), TypeError, "frequencies must be uint32 or int32, not float32"),
    (HALVES[0], ValueError, r"frequencies must have 2 dimension\(s\), not shape \(2,\)"),
    (HALVES[None], ValueError, r"frequencies must have 2 dimension\(s\), not shape \(1, 2, 2\)"),
    (np.zeros((1, 0), np.uint32), ValueError, f"frequencies must have 1 .. {MAX_ALPHABET} columns, not 0"),
    (
        np.broadcast_to(np.uint32(1), (1, FREQUENCY_TOTAL)),
        ValueError,
        f"frequencies must have 1 .. {MAX_ALPHABET} columns, not {FREQUENCY_TOTAL}",
    ),
    (np.array([[1, 2**24 - 1, 0]], np.uint32), ValueError, r"frequencies\[0, 2\] is 0, must be at least 1"),
    (np.array([[2**24 + 5, -5, 0]], np.int32), ValueError, r"frequencies\[0, 1\] is -5, must be at least 1"),
    (np.array([[2**24 - 1]], np.uint32), ValueError, r"frequencies\[0\] sums to 16777215, must be 16777216"),
    (np.array([[2**23, 2**23 + 1]], np.uint32), ValueError, r"frequencies\[0\] sums to 16777217, must be 16777216"),
    (np.array([[2**24 - 3, 1, 1]], np.uint32), ValueError, r"frequencies\[0\] sums to 16777215, must be 16777216"),
    (np.array([[2**24 - 1, 1, 1]], np.uint32), ValueError, r"frequencies\[0\] sums to 16777217, must be 16777216"),
    # 2**32 more than is right, which 32-bit sums would not see.
    (np.array([[2**32 - 2, 2**24 + 1, 1]], np.uint32), ValueError, r"frequencies\[0\] sums to 4311744512, must be"),
    (np.array([[2**32 - 2, 2**24 + 2]], np.uint32), ValueError, r"frequencies\[0\] sums to 4311744512, must be"),
]


@each_coder
@pytest.mark.parametrize(("frequencies", "error", "message"), BAD_FREQUENCIES)
def test_wrong_frequencies(name: str, frequencies: Any, error: type[Exception], message: str) -> None:
    encoder = new_encoder(name)
    with pytest.raises(error, match=message):
        encoder.encode_symbols(np.zeros(1, np.int32), frequencies)
    with pytest.raises(error, match=message):
        new_decoder(name, encode(name, [GOLDEN_SYMBOLS])).decode_symbols(frequencies)
    assert encoder.finish() == b""


@each_coder
@pytest.mark.parametrize("alphabet", [2, 300])
def test_the_message_names_the_row_and_nothing_is_encoded(name: str, alphabet: int) -> None:
    count = 150_000 // alphabet
    good = np.ones((count, alphabet), np.uint32)
    good[:, 0] = FREQUENCY_TOTAL - alphabet + 1
    symbols = np.full(count, alphabet - 1, np.int32)
    data = encode(name, [("symbols", symbols, good)])
    for value, message in ((0, r"\[{}, 1\] is 0"), (2, r"\[{}\] sums to 16777217")):
        bad = good.copy()
        bad[count - 2, 1] = value
        encoder = new_encoder(name)
        with pytest.raises(ValueError, match="frequencies" + message.format(count - 2)):
            encoder.encode_symbols(symbols, bad)
        assert encoder.finish() == b""
        with pytest.raises(ValueError, match="frequencies" + message.format(count - 2)):
            new_decoder(name, data).decode_symbols(bad)


@each_coder
@pytest.mark.parametrize(
    ("symbols", "frequencies", "error", "message"),
    [
        ([0, 0], HALVES, TypeError, "symbols must be a numpy array, not list"),
        (np.zeros(2, np.int64), HALVES, TypeError, "symbols must be int32, not int64"),
        (np.zeros(2, np.float32), HALVES, TypeError, "symbols must be int32, not float32"),
        (np.zeros((2, 1), np.int32), HALVES, ValueError, r"symbols must have 1 dimension\(s\), not shape \(2, 1\)"),
        (np.zeros(3, np.int32), HALVES, ValueError, "symbols has length 3, but frequencies has 2 rows"),
        (np.array([0, 2], np.int32), HALVES, ValueError, r"symbol 2 is outside of the alphabet 0 \.\. 1"),
        (np.array([-1, 0], np.int32), HALVES, ValueError, r"symbol -1 is outside of the alphabet 0 \.\. 1"),
        (np.array([5], np.int32), FIVE, ValueError, r"symbol 5 is outside of the alphabet 0 \.\. 4"),
        (np.array([1], np.int32), np.array([[2**24]], np.uint32), ValueError, r"symbol 1 is outside .* 0 \.\. 0"),
    ],
)
def test_wrong_symbols(name: str, symbols: Any, frequencies: Any, error: type[Exception], message: str) -> None:
    encoder = new_encoder(name)
    with pytest.raises(error, match=message):
        encoder.encode_symbols(symbols, frequencies)
    assert encoder.finish() == b""


BAD_PROBABILITIES = [
    ([1], TypeError, "probabilities must be a numpy array, not list"),
    (np.array([0.5]), TypeError, "probabilities must be uint16, not float64"),
    (np.array([70_000], np.int32), TypeError, "probabilities must be uint16, not int32"),
    (np.ones((1, 1), np.uint16), ValueError, r"probabilities must have 1 dimension\(s\), not shape \(1, 1\)"),
    (np.array([0], np.uint16), ValueError, r"probabilities\[0\] is 0, must be 1 \.\. 65535"),
]


@each_coder
@pytest.mark.parametrize(("probabilities", "error", "message"), BAD_PROBABILITIES)
def test_wrong_probabilities(name: str, probabilities: Any, error: type[Exception], message: str) -> None:
    encoder = new_encoder(name)
    with pytest.raises(error, match=message):
        encoder.encode_bits(np.zeros(1, np.uint8), probabilities)
    with pytest.raises(error, match=message):
        new_decoder(name, b"").decode_bits(probabilities)
    assert encoder.finish() == b""


@each_coder
@pytest.mark.parametrize(
    ("bits", "error", "message"),
    [
        ([0, 1], TypeError, "bits must be a numpy array, not list"),
        (np.zeros(2, np.int64), TypeError, "bits must be bool or uint8 or int32, not int64"),
        (np.zeros((2, 1), np.uint8), ValueError, r"bits must have 1 dimension\(s\), not shape \(2, 1\)"),
        (np.zeros(3, np.uint8), ValueError, "bits has length 3, but probabilities has length 2"),
        (np.array([0, 2], np.uint8), ValueError, "bit 2 is neither 0 nor 1"),
        (np.array([-1, 0], np.int32), ValueError, "bit -1 is neither 0 nor 1"),
    ],
)
def test_wrong_bits(name: str, bits: Any, error: type[Exception], message: str) -> None:
    encoder = new_encoder(name)
    with pytest.raises(error, match=message):
        encoder.encode_bits(bits, np.array([1, 1], np.uint16))
    assert encoder.finish() == b""


@each_coder
def test_a_finished_encoder_refuses_more(name: str) -> None:
    encoder = new_encoder(name)
    encoder.encode_bits(*GOLDEN_BITS[1:])
    encoder.finish()
    for again in (
        encoder.finish,
        lambda: encoder.encode_bits(*GOLDEN_BITS[1:]),
        lambda: encoder.encode_symbols(*GOLDEN_SYMBOLS[1:]),
    ):
        with pytest.raises(ValueError, match="the encoder is finished"):
            again()


# Wrong data.


@each_coder
@pytest.mark.parametrize("data", ["text", 5, None, [1, 2]])
def test_data_must_be_bytes_like(name: str, data: Any) -> None:
    with pytest.raises(TypeError, match=f"data must be contiguous and bytes-like, not {type(data).__name__}"):
        new_decoder(name, data)


@each_coder
@pytest.mark.parametrize("length", [1, 2, 3, 5, 4097])
def test_data_must_be_whole_words(name: str, length: int) -> None:
    with pytest.raises(CoderError, match=f"whole 32-bit words, not {length} bytes"):
        new_decoder(name, bytes(length))


@each_coder
@few
@given(calls=call_lists(), data=st.binary(max_size=64) | st.sampled_from([b"\xff", b"\0"]).map(lambda byte: byte * 64))
def test_garbage_decodes_or_raises_coder_error(name: str, calls: list[Call], data: bytes) -> None:
    try:
        decoder = new_decoder(name, data)
        for kind, _, model in calls:
            values = decoder.decode_symbols(model) if kind == "symbols" else decoder.decode_bits(model)
            assert len(values) == len(model)
            assert not len(values) or 0 <= values.min() <= values.max() < (2 if kind == "bits" else model.shape[1])
        decoder.finish()
    except CoderError:
        pass


@each_coder
def test_every_prefix_decodes_or_raises_coder_error(name: str) -> None:
    rng = np.random.default_rng(4)
    frequencies = random_frequencies(rng, 60, 300)
    call: Call = ("symbols", draw_symbols(rng, frequencies), frequencies)
    data = encode(name, [call])
    for length in range(len(data)):
        try:
            decoded = decode(name, data[:length], [call])[0]
        except CoderError:
            continue
        assert length % 4 == 0
        assert len(decoded) == 60


def test_constriction_errors_are_translated() -> None:
    # Ones everywhere lie beyond the last symbol of a range coder's first interval.
    decoder = RangeDecoder(b"\xff" * 16)
    with pytest.raises(CoderError, match="coded data does not fit the probabilities") as caught:
        decoder.decode_symbols(np.array([[2**23, 2**23]] * 50, np.uint32))
    assert isinstance(caught.value.__cause__, AssertionError)
    # A stack never ends in a zero word.
    with pytest.raises(CoderError, match="coded data does not fit the probabilities") as caught:
        RansDecoder(bytes(8))
    assert isinstance(caught.value.__cause__, ValueError)


class PanicException(BaseException):
    """Stands for pyo3's, which no checked argument is known to provoke."""


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (PanicException("boom"), CoderError),
        (KeyError("boom"), CoderError),
        (AssertionError("boom"), CoderError),
        (ValueError("boom"), CoderError),
        (KeyboardInterrupt("boom"), KeyboardInterrupt),
        (MemoryError("boom"), MemoryError),
    ],
)
def test_which_errors_are_translated(raised: BaseException, expected: type[BaseException]) -> None:
    class Broken:
        def decode(self, model: object, parameters: Array) -> Array:
            raise raised

    decoder = RangeDecoder(bytes(8))
    decoder._coder = Broken()
    with pytest.raises(expected, match="boom") as caught:
        decoder.decode_bits(GOLDEN_BITS[2])
    assert caught.value is raised or caught.value.__cause__ is raised


@each_coder
def test_finish_notices_surplus_data(name: str) -> None:
    rng = np.random.default_rng(6)
    frequencies = random_frequencies(rng, 300, 50)
    call: Call = ("symbols", draw_symbols(rng, frequencies), frequencies)
    data = encode(name, [call])
    # A stack's end is its first byte.
    for surplus in (bytes(12), b"\x01" * 12):
        with pytest.raises(CoderError, match="after the last symbol"):
            decode(name, data + surplus if name == "range" else surplus + data, [call])
    decoder = new_decoder(name, data)
    decoder.decode_symbols(frequencies[:150])
    with pytest.raises(CoderError, match="after the last symbol"):
        decoder.finish()
    decoder.decode_symbols(frequencies[150:])
    decoder.finish()
    decoder.finish()


def test_finish_of_rans_notices_damage() -> None:
    rng = np.random.default_rng(7)
    frequencies = random_frequencies(rng, 300, 50)
    call: Call = ("symbols", draw_symbols(rng, frequencies), frequencies)
    data = encode("rans", [call])
    # The decoder starts at the end, so damage in the second half has time to spread.
    for place in range(len(data) // 2, len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 16
        with pytest.raises(CoderError):
            decode("rans", bytes(damaged), [call])
