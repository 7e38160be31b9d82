"""Ranks in place of symbols, as in LLMZip (Valmeekam et al. 2023): how many symbols the model held for more likely.

Frequencies are integers, so that ranks are exact: of symbols with equal frequencies the smaller one comes first.
"""

from __future__ import annotations

import numpy as np

from .base import CoderError, Frequencies, Symbols


def ranks_of(symbols: Symbols, frequencies: Frequencies) -> Symbols:
    """Return the rank of each symbol in its row of frequencies, 0 for the most frequent. Twin: symbols_of.

    symbols: (n,) int32. frequencies: (n, alphabet) uint32 or int32. Returns (n,) int32.
    """
    chosen = np.take_along_axis(frequencies, symbols[:, None], axis=1)
    before = np.arange(frequencies.shape[1]) < symbols[:, None]
    ranks: Symbols = np.count_nonzero(frequencies + before > chosen, axis=1).astype(np.int32)  # a + 1 > b is a >= b
    return ranks


def symbols_of(ranks: Symbols, frequencies: Frequencies) -> Symbols:
    """Return the symbol of each rank in its row of frequencies; no row is sorted. Twin: ranks_of.

    ranks: (n,) int32. frequencies: (n, alphabet) uint32 or int32. Returns (n,) int32.
    Raises CoderError for a rank that no symbol of the alphabet has.
    """
    alphabet = frequencies.shape[1]
    wrong = ranks[(ranks < 0) | (ranks >= alphabet)]
    if len(wrong):
        raise CoderError(f"rank {wrong[0]} in an alphabet of {alphabet} symbols")
    symbols: Symbols = frequencies.argmax(axis=1).astype(np.int32)
    for row in np.flatnonzero(ranks):
        rank, values = ranks[row], frequencies[row]
        value = np.partition(values, alphabet - 1 - rank)[alphabet - 1 - rank]
        symbols[row] = np.flatnonzero(values == value)[rank - np.count_nonzero(values > value)]
    return symbols
