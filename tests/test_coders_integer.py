"""Our own coders against constriction, word for word, and in its place."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coder_references import GOLDEN_BITS, GOLDEN_SYMBOLS, Array, Call, call_lists, draw_symbols, few, random_frequencies
from hypothesis import given
from hypothesis import strategies as st

from lmzip.coders import FREQUENCY_TOTAL, integer_coders

constriction = pytest.importorskip("constriction", reason="there is nothing to compare with")
OURS = {"bits": integer_coders.BERNOULLI, "symbols": integer_coders.CATEGORICAL}
THEIRS = {
    "bits": constriction.stream.model.Bernoulli(perfect=False),
    "symbols": constriction.stream.model.Categorical(perfect=False),
}
GOLDEN = Path(__file__).parent / "golden"
TESTS = Path(__file__).parent


def as_coded(calls: list[Call]) -> list[Call]:
    """Return the calls with what a model is told: int32 values and float32 parameters. One symbol is not coded."""
    coded: list[Call] = []
    for kind, values, model in calls:
        if kind == "bits" and len(values):
            coded.append((kind, values.astype(np.int32), model * np.float32(1 / 65536)))
        elif len(values) and model.shape[1] > 1:
            coded.append((kind, values, (model - 1).astype(np.float32)))
    return coded


def assert_same_words(calls: list[Call]) -> tuple[Array, Array]:
    """Encode with both, compare the words after every call, decode with both; return the words of queue and stack."""
    our_queue, their_queue = integer_coders.QueueEncoder(), constriction.stream.queue.RangeEncoder()
    our_stack, their_stack = integer_coders.StackEncoder(), constriction.stream.stack.AnsCoder()
    for kind, values, parameters in calls:
        our_queue.encode(values, OURS[kind], parameters)
        their_queue.encode(values, THEIRS[kind], parameters)
        our_stack.encode_reverse(values, OURS[kind], parameters)
        their_stack.encode_reverse(values, THEIRS[kind], parameters)
        np.testing.assert_array_equal(our_queue.get_compressed(), their_queue.get_compressed())
        np.testing.assert_array_equal(our_stack.get_compressed(), their_stack.get_compressed())
        assert our_queue.num_words() == their_queue.num_words()
    queue, stack = our_queue.get_compressed(), our_stack.get_compressed()
    assert queue.dtype == stack.dtype == np.uint32
    queue_decoder, stack_decoder = integer_coders.QueueDecoder(queue), integer_coders.StackDecoder(stack)
    for kind, values, parameters in calls:
        np.testing.assert_array_equal(queue_decoder.decode(OURS[kind], parameters), values)
    for kind, values, parameters in reversed(calls):
        np.testing.assert_array_equal(stack_decoder.decode(OURS[kind], parameters), values)
    assert queue_decoder.maybe_exhausted()
    assert stack_decoder.is_empty()
    return queue, stack


@few
@given(calls=call_lists())
def test_words_are_constrictions(calls: list[Call]) -> None:
    assert_same_words(as_coded(calls))


def test_nothing_is_no_words() -> None:
    for words in assert_same_words([]):
        assert len(words) == 0


@pytest.mark.parametrize("seed", range(3))
def test_words_of_long_streams_are_constrictions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sharpness = (0.02, 0.3, 20.0)[seed]
    probabilities = np.clip(rng.beta(sharpness, sharpness, 300_000) * 65536, 1, 65535).astype(np.uint16)
    likely = (rng.integers(0, 65536, 300_000) < probabilities).astype(np.uint8)
    frequencies = random_frequencies(rng, 3_000, (2, 40, 1000)[seed], sharpness)
    assert_same_words(
        as_coded([
            ("bits", likely, probabilities), ("symbols", draw_symbols(rng, frequencies), frequencies),
            ("bits", rng.integers(0, 2, 300_000).astype(np.uint8), probabilities), GOLDEN_BITS, GOLDEN_SYMBOLS,
        ])
    )  # fmt: skip


@pytest.mark.parametrize("bit", [0, 1])
def test_every_bit_probability_gives_constrictions_words(bit: int) -> None:
    probabilities = np.arange(1, 65536, dtype=np.uint16)
    assert_same_words(as_coded([("bits", np.full(65535, bit, np.uint8), probabilities)]))


def around_one_half(rng: np.random.Generator, count: int) -> Call:
    """Return symbols whose interval always lies on both sides of one half, so that no word is settled.

    Only the last one lies below or above it, which settles all words at once, with a carry into them or without.
    """
    lower, size, half = 0, 2**64 - 1, 2**63
    rows, symbols = [], []
    for step in range(count):
        part = size >> 24
        place = (half - lower) // part  # the part that one half lies in
        radius = 1 << int(rng.integers(0, 22))  # of an interval around one half, so that it never comes to an end
        left, right = max(1, place - radius), min(FREQUENCY_TOTAL - 1, place + radius)
        row = [left, right - left, FREQUENCY_TOTAL - right]
        symbol = 1 if step < count - 1 else 2 * int(rng.integers(0, 2))
        rows.append(row)
        symbols.append(symbol)
        lower, size = lower + part * sum(row[:symbol]), part * row[symbol]
        if size < 2**32:
            lower, size, half = lower << 32, size << 32, half << 32
    return "symbols", np.array(symbols, np.int32), np.array(rows, np.uint32)


def test_carries_go_through_many_words() -> None:
    ends = set()
    for seed in range(12):
        call = around_one_half(np.random.default_rng(seed), 200 + seed)
        queue, _ = assert_same_words(as_coded([call, GOLDEN_BITS]))
        for value in (0, 2**32 - 1):
            if np.count_nonzero(queue == value) > 50:
                ends.add(value)
        assert_same_words(as_coded([(call[0], call[1][:-1], call[2][:-1])]))  # the end itself settles the words
    assert ends == {0, 2**32 - 1}


@few
@given(calls=call_lists(), words=st.lists(st.sampled_from([0, 1, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1)))
def test_any_words_decode_as_constriction_decodes_them(calls: list[Call], words: list[int]) -> None:
    array = np.array(words, np.uint32)
    decoders: list[tuple[Any, Any]] = [
        (integer_coders.QueueDecoder(array), constriction.stream.queue.RangeDecoder(array))
    ]
    if words and words[-1] == 0:
        with pytest.raises(ValueError):
            integer_coders.StackDecoder(array)
        with pytest.raises(ValueError):
            constriction.stream.stack.AnsCoder(array)
    else:
        decoders.append((integer_coders.StackDecoder(array), constriction.stream.stack.AnsCoder(array)))
    for ours, theirs in decoders:
        for kind, _, parameters in as_coded(calls):
            try:
                expected = theirs.decode(THEIRS[kind], parameters)
            except AssertionError:
                with pytest.raises(ValueError, match="no encoder gives such words"):
                    ours.decode(OURS[kind], parameters)
                break
            np.testing.assert_array_equal(ours.decode(OURS[kind], parameters), expected)
        else:
            ends = ("maybe_exhausted", "is_empty")
            assert [getattr(ours, end)() for end in ends if hasattr(ours, end)] == [
                getattr(theirs, end)() for end in ends if hasattr(ours, end)
            ]


# In constriction's place: a Python that cannot import it.


def run_without(absent: list[str], code: str, *arguments: str) -> str:
    hide = f"import sys; sys.modules.update(dict.fromkeys({absent}));"
    result = subprocess.run(
        [sys.executable, "-c", hide + code, *arguments], capture_output=True, text=True, cwd=TESTS.parent
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    return result.stdout


@pytest.mark.parametrize("absent", [["constriction"], ["constriction", "numba"]], ids="-".join)
def test_what_is_true_of_the_coders_is_true_of_ours(absent: list[str]) -> None:
    files = ["test_coders.py", "test_coders_errors.py", "test_coders_bits.py"]
    out = run_without(
        absent,
        "import pytest; from lmzip.coders import IMPLEMENTATION; assert IMPLEMENTATION == 'lmzip';"
        "sys.exit(pytest.main(['-q', '--noconftest', '-p', 'no:cacheprovider', *sys.argv[1:]]))",
        *(str(TESTS / name) for name in files),
    )
    assert " passed" in out
    assert "skipped" not in out


DECODED = ["good-model", "good-model-rans", "good-ensemble", "good-adaptive", "good-image-rows", "good-audio"]
CODE = """
import hashlib, lmzip
from pathlib import Path
for path in sys.argv[1:]:
    data = Path(path).read_bytes()
    content = lmzip.decompress(data)
    print(hashlib.sha256(content).hexdigest())
    if "good-adaptive" in path:
        assert lmzip.compress(content, level=3) == data
    if path.endswith("good-model.lmzip"):
        assert lmzip.compress(content, level=4, method="model") == data
"""


def test_golden_files_without_constriction() -> None:
    expected = [json.loads((GOLDEN / f"{name}.json").read_text())["sha256"] for name in DECODED]
    out = run_without(["constriction"], CODE, *(str(GOLDEN / f"{name}.lmzip") for name in DECODED))
    assert out.split() == expected
    assert hashlib.sha256(b"").hexdigest() not in expected
