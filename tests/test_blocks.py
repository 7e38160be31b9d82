"""Blocks with mock models: all windows plans, both coders, every method."""

from __future__ import annotations

import lzma
import random
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mocks import TOTAL, MockModel, MockSession, bigram, certain, markov_text, uniform

from lmzip import container
from lmzip.blocks import fallback, lockstep, select, text
from lmzip.blocks.select import decode_payload, encode_block
from lmzip.coders import CODER_IDS, CODERS
from lmzip.container import ADAPTIVE, ENSEMBLE, MODEL, RANK, LockstepHead
from lmzip.errors import CorruptError, LMZError, UnsupportedError
from lmzip.models.text.binarisation import BINARISATIONS
from lmzip.models.text.context_subset import ALL, LEAN, NONE, ContextSubset
from lmzip.options import LEVELS, Options

TEXT = markov_text(2400)
MODELS = {"uniform": uniform(), "bigram": bigram(TEXT), "certain": certain(ord("a"))}


def coded(
    data: bytes, model: MockModel, windows: int, coder: str, type_: int = MODEL, row_length: int = 0,
    subset: ContextSubset = ALL, binarisation: int = 0,
) -> bytes:  # fmt: skip
    """Code data by a lockstep method, whatever else would be smaller."""
    symbols = model.encode(data)
    subset = NONE if type_ == MODEL else subset
    head = LockstepHead(len(symbols), windows, CODER_IDS[coder], True, row_length, subset, binarisation)
    encoder = CODERS[head.coder][0]()

    def watch(done: int, size: int) -> None:
        pass

    if type_ == RANK:
        return text._pack_ranks(lockstep.encode_ranks(model.begin(windows, True), symbols, windows, watch), head)
    if type_ == MODEL:
        lockstep.encode_symbols(model.begin(windows, True), symbols, windows, encoder, watch)
    else:
        network = model if type_ == ENSEMBLE else None
        session = None if network is None else network.begin(windows, True)
        ensemble = text.ensemble_for(head, len(data), network)
        lockstep.encode_decisions(ensemble, session, symbols, windows, encoder, watch)
    return container.create_lockstep_head(type_, head) + encoder.finish()


@settings(max_examples=60, deadline=None)
@given(
    st.binary(min_size=1, max_size=300),
    st.integers(1, 300),
    st.sampled_from(sorted(CODER_IDS)),
    st.sampled_from(sorted(MODELS)),
    st.sampled_from((MODEL, ENSEMBLE, ADAPTIVE, RANK)),
    st.sampled_from((0, 2, 7, 400)),
    st.sampled_from((ALL, LEAN, ContextSubset(1 << 5, 1 << 3))),
    st.sampled_from(range(len(BINARISATIONS))),
)
def test_any_bytes_in_any_number_of_windows(
    data: bytes, windows: int, coder: str, name: str, type_: int, row_length: int, subset: ContextSubset,
    binarisation: int,
) -> None:  # fmt: skip
    payload = coded(data, MODELS[name], min(windows, len(data)), coder, type_, row_length, subset, binarisation)
    model = None if type_ == ADAPTIVE else MODELS[name]
    assert decode_payload(type_, payload, len(data), model) == data


def test_every_way_to_cut_is_undone() -> None:
    for count in range(1, 40):
        symbols = np.arange(count, dtype=np.int32)
        for windows in range(1, count + 1):
            table, (steps, full) = lockstep.cut(symbols, windows), lockstep.steps_of(count, windows)
            assert table.shape == (windows, steps) and 1 <= full <= windows
            assert (lockstep.join(table, count) == symbols).all()


@pytest.mark.parametrize("coder", sorted(CODER_IDS))
def test_code_length_is_the_models_entropy(coder: str) -> None:
    model, data = MODELS["bigram"], TEXT * 4
    windows = 16
    payload = coded(data, model, windows, coder)
    table = lockstep.cut(model.encode(data), windows)
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
    type_, payload = encode_block(TEXT[:200], bigram(TEXT), True, Options(method="model"))
    assert type_ == MODEL and len(payload) < 70
    assert encode_block(TEXT, bigram(TEXT), True, Options())[0] == ENSEMBLE
    repeats = noise + noise
    assert encode_block(repeats, uniform(), True, Options(method="model"))[0] in (container.LZMA, container.ZSTD)


def test_each_method_is_used_where_it_is_asked_for() -> None:
    model = bigram(TEXT)
    for method, type_ in (("model", MODEL), ("ensemble", ENSEMBLE), ("adaptive", ADAPTIVE), ("rank", RANK)):
        assert encode_block(TEXT, model, True, Options(method=method))[0] == type_
    assert encode_block(TEXT, model, True, Options(method="fallback"))[0] in (container.LZMA, container.ZSTD)
    assert encode_block(TEXT, None, True, Options())[0] == ADAPTIVE
    assert encode_block(TEXT, uniform(), True, Options())[0] == ADAPTIVE  # that model knows nothing of it
    assert encode_block(TEXT, model, True, Options(1))[0] == ADAPTIVE


def test_noise_is_not_worked_on() -> None:
    noise = random.Random(3).randbytes(1 << 17)
    assert fallback.looks_random(noise) and not fallback.looks_random(noise[: 1 << 16] + TEXT * 40)
    assert encode_block(noise, uniform(), True, Options()) == (container.STORED, noise)


@pytest.mark.parametrize("size", [1, 100, 30_000, 200_000])
def test_lzma_is_never_larger_than_by_default(size: int) -> None:
    data = (TEXT * 100)[: size // 2] + random.Random(2).randbytes(size - size // 2)
    payload = fallback.encode_lzma(data)
    default = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}
    assert len(payload) <= len(lzma.compress(data, lzma.FORMAT_RAW, filters=[default]))
    assert decode_payload(container.LZMA, payload, size, None) == data


def test_lzma_looks_at_data_as_suits_it() -> None:
    source = (Path(__file__).parents[1] / "corpora/samples/pep-0697.rst").read_bytes()
    payload = fallback.encode_lzma(source)
    # The sixth byte of an LZMA2 chunk is (pb * 5 + lp) * 9 + lc, by default 93.
    assert payload[5] in (1, 2) and len(payload) < len(source)
    assert decode_payload(container.LZMA, payload, len(source), None) == source


def test_an_interrupt_does_not_wait_for_lzma(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread beside the ensemble does next to nothing once the main thread was interrupted."""
    pieces, begun, interrupted = [], threading.Event(), threading.Event()

    class Counting:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def compress(self, data: bytes) -> bytes:
            pieces.append(len(data))
            begun.set()
            assert interrupted.wait(60)
            time.sleep(0.01)
            return b""

        def flush(self) -> bytes:
            return b""

    def interrupt(*_: object) -> bytes:
        assert begun.wait(60)
        interrupted.set()
        raise KeyboardInterrupt

    monkeypatch.setattr(fallback.lzma, "LZMACompressor", Counting)
    monkeypatch.setattr(select, "encode_in_lockstep", interrupt)
    data = bytes(range(256)) * (1 << 17)
    with pytest.raises(KeyboardInterrupt):
        encode_block(data, None, True, Options(1, kind="bytes"))
    assert 0 < sum(pieces) < len(data) // 4


def test_pieces_give_what_one_call_gives() -> None:
    source = (Path(__file__).parents[1] / "corpora/samples/france_at_war.txt").read_bytes() * 3
    default = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": len(source)}
    at_once = lzma.compress(source, lzma.FORMAT_RAW, filters=[default])
    assert len(source) > 3 * fallback._PIECE and len(fallback.encode_lzma(source)) <= len(at_once)
    with pytest.raises(fallback.Stopped):
        fallback.encode_fallback(source, iter([False, False, True]).__next__)


class Forgetful(MockModel):
    """Decodes with other frequencies than it encodes: what verification is for."""

    def begin(self, windows: int, file_start: bool, steps: int = 1, beside: int = 0) -> MockSession:
        session = super().begin(windows, file_start, steps, beside)
        self.table = np.roll(self.table, 1, axis=0)
        return session


def test_a_model_that_contradicts_itself_is_caught() -> None:
    for method in ("model", "ensemble", "rank"):
        model = Forgetful(bigram(TEXT).table, "forgetful")
        with pytest.raises(LMZError, match="did not decode to itself"):
            encode_block(TEXT[:200], model, True, Options(method=method))
    model = Forgetful(bigram(TEXT).table, "forgetful")
    assert encode_block(TEXT[:200], model, True, Options(method="model", verify=False))[0] == MODEL


def test_hopeless_blocks_are_given_up_early() -> None:
    calls = []

    class Counting(MockSession):
        def prefill(self, symbols: np.ndarray) -> np.ndarray:
            calls.append(symbols.shape[1])
            return super().prefill(symbols)

    class CountingModel(MockModel):
        def begin(self, windows: int, file_start: bool, steps: int = 1, beside: int = 0) -> MockSession:
            return Counting(self.table, windows)

    data = b"ab" * 40000  # zstd needs a few bytes, the uniform model 80,000
    model = CountingModel(uniform().table, "counting")
    assert encode_block(data, model, True, Options(method="model"))[0] in (container.LZMA, container.ZSTD)
    calls.clear()
    size = len(fallback.encode_fallback(data)[1])  # the block's coding need not wait for that
    assert text.encode_in_lockstep(MODEL, data, model, True, Options(), lambda: size, None) is None
    assert sum(calls) < len(data) // 4 // 10


def test_lzma_looks_no_farther_back_than_its_decoder_can() -> None:
    far = np.random.default_rng(0).bytes(1 << 15)
    data = far + bytes(1 << 24) + far  # the second one lies 2^24 + 2^15 bytes behind the first
    payload = fallback.encode_lzma(data)
    assert fallback.decode_fallback(container.LZMA, payload, len(data), "lzma block") == data


def test_bad_payloads() -> None:
    model = MODELS["bigram"]
    payload = coded(TEXT, model, 4, "range")
    with pytest.raises(CorruptError, match="no model definition"):
        decode_payload(MODEL, payload, len(TEXT), None)
    with pytest.raises(CorruptError, match="2400 symbols where 10000 were declared"):
        decode_payload(MODEL, payload, 10000, model)
    with pytest.raises(UnsupportedError, match="coder 3"):
        decode_payload(MODEL, container.create_lockstep_head(MODEL, LockstepHead(3, 1, 3, True)), 3, model)
    for coder in CODER_IDS.values():
        with pytest.raises(UnsupportedError, match=f"coder {coder}"):
            decode_payload(RANK, container.create_lockstep_head(RANK, LockstepHead(3, 1, coder, True)), 3, model)
    for masks in ((0, 1), (1, 0), (1 << 31, 1), (1, 1 << 31)):
        head = LockstepHead(3, 1, 0, True, 0, ContextSubset(*masks))
        with pytest.raises(UnsupportedError, match="of a newer lmzip"):
            decode_payload(ADAPTIVE, container.create_lockstep_head(ADAPTIVE, head), 3, None)
    for type_ in (container.ZSTD, container.LZMA):
        with pytest.raises(CorruptError):
            decode_payload(type_, b"\x28\xb5nonsense", 100, None)
        good = encode_block(b"x" * 1000, None, True, Options(method="fallback"))
        if good[0] == type_:
            with pytest.raises(CorruptError):
                decode_payload(type_, good[1], 999, None)
    with pytest.raises(CorruptError, match="stored block: 3 bytes where 4"):
        decode_payload(container.STORED, b"abc", 4, None)


def test_levels_depend_on_size_alone() -> None:
    sizes = (1, 16384, 16385, 150_000, 1 << 22)
    assert [LEVELS[6].windows(size) for size in sizes] == [1, 1, 2, 10, 16]
    assert LEVELS[6].windows(10**6, is_large=True) == 62 and LEVELS[9].windows(10**6, is_large=True) == 1
    for level in LEVELS.values():
        assert level.block_size <= container.MAX_BLOCK_SIZE
        assert level.windows(1) == 1 and level.windows(level.block_size) <= level.max_windows


@pytest.mark.parametrize("level", LEVELS)
def test_only_a_network_needs_windows(level: int) -> None:
    data, model = TEXT * (40_000 // len(TEXT)), bigram(TEXT)
    for method, windows in (("adaptive", 1), ("ensemble", LEVELS[level].windows(len(data)))):
        type_, payload = encode_block(data, model, True, Options(level, method=method))
        head, _ = container.parse_lockstep_head(type_, payload, len(data))
        assert head.windows == windows


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
    monkeypatch.setattr(select, "verify", lambda *_: coded.extend(seen))
    encode_block(TEXT, bigram(TEXT), True, Options(), seen.append)
    assert coded and coded[-1] == pytest.approx(len(TEXT) / 2)
