"""The coders: bytes, round trips, sizes."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from coder_references import (
    GOLDEN_BITS,
    GOLDEN_SYMBOLS,
    REFERENCES,
    Call,
    assert_round_trip,
    call_lists,
    decode,
    draw_symbols,
    each_coder,
    encode,
    few,
    intervals_of,
    new_decoder,
    new_encoder,
    random_frequencies,
)
from hypothesis import given
from hypothesis import strategies as st

from lmzip.coders import (
    BIT_TOTAL,
    CODER_IDS,
    CODERS,
    FREQUENCY_TOTAL,
    RangeDecoder,
    RangeEncoder,
    RansDecoder,
    RansEncoder,
)
from lmzip.coders.base import _three_categories, bytes_to_words, words_to_bytes

# Exact bytes.

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
