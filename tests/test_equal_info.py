"""Equal-Info windows: everything comes back, every window alone, and any tokens are good for something."""

from __future__ import annotations

import functools
import hashlib
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mocks import MockModel, MockSession, bigram, certain, frequencies, markov_text, uniform
from numpy.typing import NDArray

import lmzip
from lmzip.blocks.lockstep import CALL_ROWS
from lmzip.equal_info import TOKEN_BITS, WINDOW_BITS, WindowCoder, decode, decode_window, encode, windows_of
from lmzip.models.protocols import Model
from lmzip.models.text.tree import Tree, make_tree

NOISE = random.Random(5).randbytes(300)
FUZZ = {
    "empty": b"",
    "one byte": b"\xff",
    "all bytes": bytes(range(256)),
    "noise": NOISE,
    "zeros": bytes(700),
    "invalid UTF-8": b"\xc3(\xa0\xa1\xe2\x28\xa1\xf0\x90\x28\xbc\xed\xa0\x80\xfe\xff" * 3,
    "special tokens": b"<|endoftext|><s></s>[INST]<unk>\n<|im_start|>system\n<0x0A>" * 2,
    "planes": "".join(chr(plane << 16 | 0x1F600 & 0xFFFF) for plane in range(17)).encode() * 2,
    "prose": b"It was the best of times, it was the worst of times. " * 3,
}


class Words(MockModel):
    """A model with tokens of several bytes, that lie within one another."""

    alphabet = 263

    def __init__(self) -> None:
        words = [b" the", b" th", b"the best", b"\0\0\0\0", b"\0\0", b"times", b"tim"]
        self.vocabulary = sorted([bytes([byte]) for byte in range(256)] + words)
        weights = np.random.default_rng(1).exponential(size=(263, 263)) ** 4
        weights[:, [self.vocabulary.index(word) for word in words]] += 30
        self.table, self.id, self.sha256 = frequencies(weights), "words", bytes(32)

    @functools.cached_property
    def tree(self) -> Tree:
        return make_tree(self.vocabulary)

    def encode(self, data: bytes | memoryview) -> NDArray[np.int32]:
        data, place, symbols = bytes(data), 0, []
        while place < len(data):
            size = max(n for n in range(1, 9) if data[place : place + n] in self.vocabulary)
            symbols.append(self.vocabulary.index(data[place : place + size]))
            place += size
        return np.array(symbols, np.int32)


MODELS: dict[str, Model] = {
    "words": Words(), "uniform": uniform(), "certain": certain(0), "bigram": bigram(markov_text(2000))
}  # fmt: skip


@pytest.fixture(scope="module")
def model() -> Model:
    return lmzip.load_model()


@pytest.mark.parametrize("token_bits", TOKEN_BITS)
@pytest.mark.parametrize("bits", WINDOW_BITS)
@pytest.mark.parametrize("name", FUZZ)
def test_everything_comes_back(name: str, bits: int, token_bits: int) -> None:
    for mock in (MODELS["words"], MODELS["certain"]):
        tokens = encode(FUZZ[name], bits, token_bits, mock, segment=200)
        assert tokens.dtype == f"uint{token_bits}" and tokens.ndim == 1
        assert decode(tokens, bits, mock) == FUZZ[name]


@pytest.mark.parametrize("token_bits", TOKEN_BITS)
@pytest.mark.parametrize("bits", WINDOW_BITS)
def test_everything_comes_back_from_the_shipped_model(bits: int, token_bits: int, model: Model) -> None:
    joined = b"".join(FUZZ.values())
    assert decode(encode(joined, bits, token_bits, model, segment=100), bits, model) == joined


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(WINDOW_BITS), st.sampled_from(sorted(MODELS)), st.integers(1, 250))
def test_any_bytes_in_any_segments(data: bytes, bits: int, name: str, segment: int) -> None:
    mock = MODELS[name]
    assert decode(encode(data, bits, 8, mock, segment=segment), bits, mock) == data


@pytest.mark.parametrize("bits", WINDOW_BITS)
@pytest.mark.parametrize("name", ["words", "certain"])
def test_optimal_windows_are_the_fewest(name: str, bits: int) -> None:
    mock, data = MODELS[name], FUZZ["special tokens"] + FUZZ["prose"] + bytes(50)
    fewest, full = encode(data, bits, 8, mock, optimal=True), encode(data, bits, 8, mock)
    assert decode(fewest, bits, mock) == data
    assert len(fewest) <= len(full)
    # Ending each window one stop earlier, where that is possible, makes more of them.
    coder, place, count = WindowCoder(mock, bits), 0, 0
    while place < len(data):
        place += coder.encode([data[place : place + coder.limit]])[0][-2:][0][1]
        count += bits // 8
    assert len(fewest) <= count


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=100), st.sampled_from(WINDOW_BITS), st.sampled_from(sorted(MODELS)))
def test_any_tokens_decode(tokens: bytes, bits: int, name: str) -> None:
    decode(np.frombuffer(tokens, np.uint8), bits, MODELS[name])
    decode(np.frombuffer(tokens[len(tokens) % 2 :], np.uint16), bits, MODELS[name])


@pytest.mark.parametrize("bits", WINDOW_BITS)
def test_every_window_decodes_alone(bits: int, model: Model) -> None:
    text = FUZZ["prose"][:90]
    for token_bits in TOKEN_BITS:
        tokens = encode(text, bits, token_bits, model)
        pieces = [decode_window(tokens, i, bits, model) for i in range(len(windows_of(tokens, bits)))]
        assert b"".join(pieces) == text and min(map(len, pieces)) >= 1
        with pytest.raises(IndexError):
            decode_window(tokens, len(pieces), bits, model)


@pytest.mark.parametrize("bits", WINDOW_BITS)
def test_a_window_takes_what_fits(bits: int) -> None:
    """No other value of a window begins with more of the text: tried for all values, or for those around."""
    coder, text = WindowCoder(MODELS["bigram"], bits), markov_text(200)
    value, size = coder.encode([text])[0][-1]
    near = [v for v in range(value - 300, value + 300) if 0 <= v < 1 << bits]
    for other in coder.decode(near):
        assert not text.startswith(other) or len(other) <= size
    assert coder.decode([value]) == [text[:size]]


def test_windows_of_16_bits_are_all_different() -> None:
    """Nearly every value of a window stands for a string of its own."""
    coder = WindowCoder(MODELS["words"], 16)
    strings = coder.decode(range(0, 1 << 16, 16))
    assert min(map(len, strings)) >= 1 and len(set(strings)) > (1 << 12) - 20


def test_tokens_of_16_bits_hold_those_of_8(model: Model) -> None:
    text = FUZZ["prose"]
    for bits in WINDOW_BITS:
        narrow, wide = encode(text, bits, 8, model), encode(text, bits, 16, model)
        assert wide.astype(">u2").tobytes().startswith(narrow.tobytes())
        assert 2 * len(wide) - len(narrow) in (0, 1)


def test_the_code_is_pinned(model: Model) -> None:
    digest = hashlib.sha256()
    for bits in WINDOW_BITS:
        digest.update(encode(b"".join(FUZZ.values())[:1500], bits, 8, model, segment=100).tobytes())
    assert digest.hexdigest()[:16] == "1a3008ac00fcce45"


def test_progress_reaches_the_end() -> None:
    seen: list[int] = []
    data = markov_text(500)
    tokens = encode(data, 16, 8, MODELS["bigram"], segment=100, progress=seen.append)
    assert seen[-1] == len(data) and seen == sorted(seen) and len(seen) > 5
    decode(tokens, 16, MODELS["bigram"], progress=seen.append)
    assert seen[-1] == len(windows_of(tokens, 16))


def test_long_windows_take_little_memory() -> None:
    asked: list[int] = []

    class Watched(MockSession):
        def prefill(self, symbols: NDArray[np.int32]) -> NDArray[np.uint32]:
            asked.append(symbols.size)
            return super().prefill(symbols)

    class WatchedModel(MockModel):
        def begin(self, windows: int, file_start: bool, steps: int = 1, beside: int = 0) -> MockSession:
            return Watched(self.table, windows)

    mock = WatchedModel(certain(0).table, "watched")
    tokens = encode(bytes(16_000), 128, 8, mock, segment=1000)
    assert len(tokens) == 16 * 16 and decode(tokens, 128, mock) == bytes(16_000)
    assert max(asked) <= CALL_ROWS


@pytest.mark.parametrize(("bits", "token_bits"), [(8, 8), (20, 8), (0, 8), (16, 32), (16, 0)])
def test_other_bits(bits: int, token_bits: int) -> None:
    with pytest.raises(ValueError, match="bits must be"):
        encode(b"abc", bits, token_bits, MODELS["uniform"])


@pytest.mark.parametrize("tokens", [b"abc", np.zeros(4, np.int32), np.zeros((2, 2), np.uint8), [1, 2]])
def test_other_tokens(tokens: object) -> None:
    with pytest.raises(TypeError, match="uint8 or uint16"):
        decode(tokens, 16, MODELS["uniform"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="bits must be"):
        windows_of(np.zeros(4, np.uint8), 17)
