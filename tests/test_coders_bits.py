"""The compiled decoding of decisions against constriction's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmzip.coders import CODERS, CoderError
from lmzip.coders.bits import NO_BITS, decode_bit, finish_bits, open_bits

KINDS = sorted(CODERS)
PROBABILITIES = st.one_of(st.integers(1, 65535), st.sampled_from((1, 2, 32767, 32768, 65534, 65535)))
DECISIONS = st.lists(st.tuples(st.booleans(), PROBABILITIES), max_size=400)


def refuses(finish: Callable[[], None]) -> bool:
    try:
        finish()
    except CoderError:
        return True
    return False


def encode(kind: int, decisions: list[tuple[bool, int]]) -> bytes:
    encoder = CODERS[kind][0]()
    encoder.encode_bits(np.array([bit for bit, _ in decisions], bool), np.array([p for _, p in decisions], np.uint16))
    return encoder.finish()


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(KINDS), DECISIONS)
def test_decisions_come_back(kind: int, decisions: list[tuple[bool, int]]) -> None:
    reader = open_bits(kind, encode(kind, decisions))
    assert [decode_bit(reader, p) for _, p in decisions] == [int(bit) for bit, _ in decisions]
    finish_bits(reader)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(KINDS), st.binary(max_size=80), st.lists(PROBABILITIES, max_size=300))
def test_any_data_decodes_as_constriction_decodes_it(kind: int, data: bytes, probabilities: list[int]) -> None:
    try:
        decoder = CODERS[kind][1](data)
    except CoderError:
        with pytest.raises(CoderError):
            open_bits(kind, data)
        return
    reader = open_bits(kind, data)
    for p in probabilities:
        found = decode_bit(reader, p)
        try:
            expected = int(decoder.decode_bits(np.array([p], np.uint16))[0])
        except CoderError:
            assert found == -1
            return
        assert found == expected
    assert refuses(decoder.finish) == refuses(lambda: finish_bits(reader))


@pytest.mark.parametrize("kind", KINDS)
def test_surplus_and_odd_data(kind: int) -> None:
    data = encode(kind, [(True, 100), (False, 60000)] * 40)
    reader = open_bits(kind, data + data)
    for _ in range(10):
        decode_bit(reader, 100)
    with pytest.raises(CoderError, match="goes on"):
        finish_bits(reader)
    with pytest.raises(CoderError, match="whole 32-bit words"):
        open_bits(kind, data[:-1])
    with pytest.raises(TypeError):
        open_bits(kind, "text")  # type: ignore[arg-type]


def test_a_reader_of_nothing_is_of_no_coder() -> None:
    assert NO_BITS.kind not in CODERS
