"""Which rows of the table `ngrams` a symbol and the two before it have: what a network knows of pairs and triples.

The table costs a network memory and hardly any time: a position adds two of its rows to the embedding of its
symbol. Hashes choose them, so that different pairs may share a row.
"""

from __future__ import annotations

from typing import Any

BEFORE = 2  # symbols before a symbol that its rows depend on; at the start of a window the mark `cut_start`


def rows_of(ids: Any, count: int) -> tuple[Any, Any]:
    """Return the rows of pairs and those of triples, 0 .. count - 1, that end in ids[:, BEFORE:].

    ids: int64 array or tensor (batch, BEFORE + steps). count: rows of the table, a power of 2.
    """
    second, first, last = ids[:, :-2], ids[:, 1:-1], ids[:, 2:]
    pairs = _combine(_combine(0, first), last)
    triples = _combine(_combine(pairs, second), 1)
    return pairs & (count - 1), triples & (count - 1)


def _combine(h: Any, values: Any) -> Any:
    """Return hashes, 32 bits, of hashes and values; the products wrap around, of which the low half is right."""
    x = ((h + values + 1) * 0x9E3779B1) & 0xFFFFFFFF
    x = ((x ^ (x >> 15)) * 0x85EBCA6B) & 0xFFFFFFFF
    return x ^ (x >> 13)
