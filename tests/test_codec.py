"""Blocks with mock models: all windows plans, both coders, every method."""

from __future__ import annotations

import lzma
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mocks import TOTAL, MockModel, MockSession, bigram, certain, markov_text, uniform

from lmzip import codec, container
from lmzip.codec import LEVELS, Options, decode_payload, encode_block, encode_symbols
from lmzip.coders import CODER_IDS, CODERS
from lmzip.errors import CorruptError, LMZError, UnsupportedError

TEXT = markov_text(2400)
MODELS = {"uniform": uniform(), "bigram": bigram(TEXT), "certain": certain(ord("a"))}


def coded(data: bytes, model: MockModel, windows: int, coder: str) -> bytes:
    """Code data with the model, whatever else would be smaller."""
    symbols = model.encode(data)
    session = model.begin(windows, True)
    code = encode_symbols(session, symbols, windows, CODERS[CODER_IDS[coder]][0](), 1 << 30, lambda done: None)
    assert code is not None
    return container.create_model_payload(len(symbols), windows, CODER_IDS[coder], True, code)


@settings(max_examples=60, deadline=None)
@given(
    st.binary(min_size=1, max_size=300),
    st.integers(1, 300),
    st.sampled_from(sorted(CODER_IDS)),
    st.sampled_from(sorted(MODELS)),
)
def test_any_bytes_in_any_number_of_windows(data: bytes, windows: int, coder: str, name: str) -> None:
    payload = coded(data, MODELS[name], min(windows, len(data)), coder)
    assert decode_payload(container.MODEL, payload, len(data), MODELS[name]) == data


def test_every_way_to_cut_is_undone() -> None:
    for count in range(1, 40):
        symbols = np.arange(count, dtype=np.int32)
        for windows in range(1, count + 1):
            table, steps, last = codec._in_windows(symbols, windows)
            assert table.shape == (windows, steps) and 1 <= last <= windows
            assert (codec._out_of_windows(table, count) == symbols).all()


@pytest.mark.parametrize("coder", sorted(CODER_IDS))
def test_code_length_is_the_models_entropy(coder: str) -> None:
    model, data = MODELS["bigram"], TEXT * 4
    windows = 16
    payload = coded(data, model, windows, coder)
    table, _, _ = codec._in_windows(model.encode(data), windows)
    before = np.concatenate((np.zeros((windows, 1), np.int32), table[:, :-1]), axis=1)
    order = np.arange(table.size).reshape(table.T.shape).T
    mask = order < len(data)
    entropy = -np.log2(model.table[before, table][mask] / TOTAL).sum()
    assert abs(8 * len(payload) - entropy) < 0.001 * entropy + 128


def test_the_smallest_method_wins() -> None:
    noise = random.Random(1).randbytes(3000)
    assert encode_block(noise, uniform(), True, Options()) == (container.STORED, noise)
    type_, payload = encode_block(b"a" * 5000, certain(ord("a")), True, Options())
    assert type_ != container.STORED and len(payload) < 60
    type_, payload = encode_block(TEXT[:200], bigram(TEXT), True, Options())
    assert type_ == container.MODEL and len(payload) < 70
    repeats = noise + noise
    assert encode_block(repeats, uniform(), True, Options())[0] in (container.LZMA, container.ZSTD)


def test_without_model_no_model_block() -> None:
    type_, payload = encode_block(TEXT, None, True, Options())
    assert type_ in (container.LZMA, container.ZSTD)
    assert decode_payload(type_, payload, len(TEXT), None) == TEXT


@pytest.mark.parametrize("size", [1, 100, 30_000, 200_000])
def test_lzma_is_never_larger_than_by_default(size: int) -> None:
    data = (TEXT * 100)[: size // 2] + random.Random(2).randbytes(size - size // 2)
    payload = codec._encode_lzma(data)
    default = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}
    assert len(payload) <= len(lzma.compress(data, lzma.FORMAT_RAW, filters=[default]))
    assert decode_payload(container.LZMA, payload, size, None) == data


def test_lzma_looks_at_data_as_suits_it() -> None:
    source = Path(codec.__file__).read_bytes()
    payload = codec._encode_lzma(source)
    # The sixth byte of an LZMA2 chunk is (pb * 5 + lp) * 9 + lc, by default 93.
    assert payload[5] in (1, 2) and len(payload) < len(source)
    assert decode_payload(container.LZMA, payload, len(source), None) == source


class Forgetful(MockModel):
    """Decodes with other frequencies than it encodes: what verification is for."""

    def begin(self, windows: int, file_start: bool, steps: int = 1) -> MockSession:
        session = super().begin(windows, file_start, steps)
        self.table = np.roll(self.table, 1, axis=0)
        return session


def test_a_model_that_contradicts_itself_is_caught() -> None:
    with pytest.raises(LMZError, match="did not decode to itself"):
        encode_block(TEXT[:200], Forgetful(bigram(TEXT).table, "forgetful"), True, Options())
    type_, _ = encode_block(TEXT[:200], Forgetful(bigram(TEXT).table, "forgetful"), True, Options(verify=False))
    assert type_ == container.MODEL


def test_hopeless_blocks_are_given_up_early() -> None:
    calls = []

    class Counting(MockSession):
        def prefill(self, symbols: np.ndarray) -> np.ndarray:
            calls.append(symbols.shape[1])
            return super().prefill(symbols)

    data = b"ab" * 40000  # zstd needs a few bytes, the uniform model 80,000
    symbols = uniform().encode(data)
    session = Counting(uniform().table, 4)
    assert encode_symbols(session, symbols, 4, CODERS[0][0](), 100, lambda done: None) is None
    assert sum(calls) < len(data) // 4 // 10


def test_bad_payloads() -> None:
    model = MODELS["bigram"]
    payload = coded(TEXT, model, 4, "range")
    with pytest.raises(CorruptError, match="no model definition"):
        decode_payload(container.MODEL, payload, len(TEXT), None)
    with pytest.raises(CorruptError, match="2400 symbols where 10000 were declared"):
        decode_payload(container.MODEL, payload, 10000, model)
    with pytest.raises(UnsupportedError, match="coder 9"):
        decode_payload(container.MODEL, container.create_model_payload(3, 1, 9, True, b""), 3, model)
    for type_ in (container.ZSTD, container.LZMA):
        with pytest.raises(CorruptError):
            decode_payload(type_, b"\x28\xb5nonsense", 100, None)
        good = encode_block(b"x" * 1000, None, True, Options())
        if good[0] == type_:
            with pytest.raises(CorruptError):
                decode_payload(type_, good[1], 999, None)
    with pytest.raises(CorruptError, match="stored block: 3 bytes where 4"):
        decode_payload(container.STORED, b"abc", 4, None)


def test_levels_depend_on_size_alone() -> None:
    sizes = (1, 12288, 12289, 1_000_000, 1 << 22)
    assert [LEVELS[6].windows(size) for size in sizes] == [1, 1, 2, 82, 128]
    for level in LEVELS.values():
        assert level.block_size <= container.MAX_BLOCK_SIZE
        assert level.windows(1) == 1 and level.windows(level.block_size) <= level.max_windows


@pytest.mark.parametrize("bad", [{"level": 0}, {"level": 10}, {"coder": "huffman"}])
def test_bad_options(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Options(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("verify", [True, False])
def test_progress_is_one_way_to_the_end(verify: bool) -> None:
    seen: list[float] = []
    encode_block(TEXT, bigram(TEXT), True, Options(verify=verify), seen.append)
    assert seen == sorted(seen) and len(set(seen)) > 10
    assert seen[-1] == pytest.approx(len(TEXT))


def test_what_is_not_compared_yet_counts_half(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    coded: list[float] = []
    monkeypatch.setattr(codec, "_verify", lambda *_: coded.extend(seen))
    encode_block(TEXT, bigram(TEXT), True, Options(), seen.append)
    assert coded and coded[-1] == pytest.approx(len(TEXT) / 2)
