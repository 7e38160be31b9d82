"""The coders with wrong arguments and wrong data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from coder_references import (
    GOLDEN_BITS,
    GOLDEN_SYMBOLS,
    Array,
    Call,
    call_lists,
    decode,
    draw_symbols,
    each_coder,
    encode,
    few,
    new_decoder,
    new_encoder,
    random_frequencies,
)
from hypothesis import given
from hypothesis import strategies as st

from lmzip.coders import FREQUENCY_TOTAL, IMPLEMENTATION, MAX_ALPHABET, CoderError, RangeDecoder, RansDecoder

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


def test_errors_of_the_implementation_are_translated() -> None:
    # Ones everywhere lie beyond the last symbol of a range coder's first interval.
    decoder = RangeDecoder(b"\xff" * 16)
    with pytest.raises(CoderError, match="coded data does not fit the probabilities") as caught:
        decoder.decode_symbols(np.array([[2**23, 2**23]] * 50, np.uint32))
    assert isinstance(caught.value.__cause__, AssertionError if IMPLEMENTATION == "constriction" else ValueError)
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
