"""Varints: one by one and in arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmzip import varint
from lmzip.errors import CorruptError, LimitError, LMZError, TruncatedError
from lmzip.varint import create_varint, create_varints, parse_varint, parse_varints

LARGEST = (1 << 63) - 1
BAD = [
    (b"", TruncatedError),
    (b"\x80", TruncatedError),
    (b"\xff" * 8, TruncatedError),
    (b"\x80\x00", CorruptError),
    (b"\xff" * 9 + b"\1", LimitError),
    (b"\xff" * 12, LimitError),
    (b"\xff" * (1 << 17), LimitError),
]


@given(st.integers(0, LARGEST))
def test_round_trip(value: int) -> None:
    data = create_varint(value)
    assert parse_varint(b"?" + data + b"x", 1, LARGEST, "test") == (value, 1 + len(data))


def test_literals() -> None:
    assert create_varint(0) == b"\0"
    assert create_varint(127) == b"\x7f"
    assert create_varint(300) == b"\xac\x02"


@pytest.mark.parametrize(("data", "error"), BAD)
def test_bad_varints(data: bytes, error: type[LMZError]) -> None:
    with pytest.raises(error, match="place: "):
        parse_varint(data, 0, LARGEST, "place")
    for before in (b"", b"\x01\xac\x02"):
        count = len(before) // 3 * 2 + 1
        with pytest.raises(error, match="place: "):
            parse_varints(before + data, 0, count, LARGEST, "place")


def test_limit() -> None:
    assert parse_varint(b"\x64", 0, 100, "size") == (100, 1)
    with pytest.raises(LimitError, match="size: more than 99"):
        parse_varint(b"\x64", 0, 99, "size")
    assert parse_varints(b"\x64\x01", 0, 2, 100, "size")[0].tolist() == [100, 1]
    with pytest.raises(LimitError, match="size: more than 99"):
        parse_varints(b"\x64\x01", 0, 2, 99, "size")


@given(st.lists(st.integers(0, 300) | st.integers(0, LARGEST)), st.integers(1, 50))
def test_arrays_are_numbers_one_after_the_other(values: list[int], piece: int) -> None:
    array = np.array(values, np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(varint, "_PIECE", max(piece, 9))
        data = create_varints(array)
        assert data == b"".join(map(create_varint, values))
        found, end = parse_varints(b"?" + data + b"x", 1, len(values), LARGEST, "test")
        assert found.dtype == np.int64 and found.tolist() == values and end == 1 + len(data)
        for cut in range(len(data)):
            with pytest.raises(TruncatedError):
                parse_varints(data[:cut], 0, len(values), LARGEST, "test")


def test_many_numbers_of_32_bits() -> None:
    values = np.random.default_rng(0).integers(0, 1 << 31, 200_000).astype(np.int32)
    data = create_varints(values)
    found, end = parse_varints(data, 0, len(values), (1 << 31) - 1, "test", np.int32)
    assert found.dtype == np.int32 and (found == values).all() and end == len(data)


def test_a_count_that_lies_allocates_nothing() -> None:
    with pytest.raises(TruncatedError, match="numbers in 3 bytes"):
        parse_varints(bytes(3), 0, 1 << 60, 1, "test")
