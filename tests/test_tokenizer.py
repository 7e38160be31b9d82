"""The tokenizer: every byte string comes back, and pieces do not show."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmzip.models import registry
from lmzip.models.networks import tokenizer
from lmzip.models.networks.tokenizer import Tokenizer

PROSE = (Path(__file__).parent.parent / "corpora" / "samples" / "france_at_war.txt").read_bytes()
SHIPPED = Tokenizer.from_file(registry.shipped_folder(registry.DEFAULT_MODEL) / "tokenizer.json")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_any_bytes_come_back(data: bytes) -> None:
    assert SHIPPED.decode(SHIPPED.encode(data)) == data


@pytest.mark.parametrize("size", [1, 7, 50, 1000])
def test_pieces_give_the_tokens_of_the_whole(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    data = PROSE[:20_000].replace(b". ", b".  \r\n\t '") + b"  \n"
    whole = SHIPPED.encode(data)
    monkeypatch.setattr(tokenizer, "PIECE", size)
    pieces = SHIPPED.encode(data)
    assert pieces.dtype == whole.dtype == np.int32 and SHIPPED.decode(pieces) == data
    if size >= 50:  # no word is longer
        np.testing.assert_array_equal(pieces, whole)


def test_pieces_of_data_without_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "PIECE", 100)
    for data in (b"x" * 1234, b" " * 1234, b"a" + b" " * 500 + b"a" * 500, bytes(range(256)) * 5):
        cuts = [0, *tokenizer._cuts(data), len(data)]
        assert all(0 < b - a <= 100 for a, b in itertools.pairwise(cuts))
        assert SHIPPED.decode(SHIPPED.encode(data)) == data
