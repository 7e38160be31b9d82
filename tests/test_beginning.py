"""Tables of small blocks: used again, and as if they were new."""

from __future__ import annotations

import numpy as np
import pytest
from mocks import bigram, markov_text

from lmzip.coders import BIT_TOTAL
from lmzip.models.text import beginning
from lmzip.models.text.beginning import Beginning, begin
from lmzip.models.text.context_subset import ALL, LEAN, ContextSubset
from lmzip.models.text.ensemble import Ensemble

TEXT = markov_text(3000)
MODEL = bigram(TEXT)


def code(data: bytes, parts: ContextSubset, has_network: bool) -> tuple[Ensemble, list[int]]:
    ensemble = Ensemble(MODEL.tree, 1, len(data), 0, has_network, parts)
    symbols = MODEL.encode(data)
    frequencies = MODEL.begin(1, 0).prefill(symbols[None]) if has_network else None
    bits, probabilities = ensemble.encode(symbols[:, None], frequencies)
    assert len(bits) > 0 and probabilities.max() < BIT_TOTAL
    return ensemble, probabilities.tolist()


@pytest.mark.parametrize("parts", [ALL, LEAN])
@pytest.mark.parametrize("has_network", [True, False])
def test_tables_that_are_used_again_are_as_new(
    parts: ContextSubset, has_network: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = Beginning(begin(1, has_network, parts, None))
    monkeypatch.setattr("lmzip.models.text.ensemble.beginning_of", lambda *arguments: ours)
    first, probabilities = code(TEXT[:400], parts, has_network)
    used = first.tables
    first.release()
    for name, table in begin(400, has_network, parts, None)._asdict().items():
        assert np.array_equal(getattr(used, name), table), name
    other, _ = code(TEXT[1000:1900], parts, has_network)
    assert other.tables.apms is used.apms  # no new ones were made
    other.release()
    again, same = code(TEXT[:400], parts, has_network)
    assert again.tables.apms is used.apms and same == probabilities


def test_two_blocks_at_once_have_tables_of_their_own() -> None:
    one, _ = code(TEXT[:100], ALL, True)
    two, _ = code(TEXT[:100], ALL, True)
    assert not np.shares_memory(one.tables.weights, two.tables.weights)


def test_tables_of_a_block_that_learnt_more_than_the_log_holds_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Beginning(begin(1, True, ALL, None))
    monkeypatch.setattr("lmzip.models.text.ensemble.beginning_of", lambda *arguments: ours)
    monkeypatch.setattr("lmzip.models.text.ensemble.LOG", 50)
    first, probabilities = code(TEXT[:400], ALL, True)
    first.release()
    second, same = code(TEXT[:400], ALL, True)
    assert second.tables.apms is not first.tables.apms and same == probabilities


def test_large_blocks_make_their_own() -> None:
    assert beginning.beginning_of(beginning.SMALL_SIZE + 1, True, ALL, None) is None
