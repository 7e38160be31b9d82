"""Ranks instead of symbols, as LLMZip has them: how many symbols the model held for more likely.

Frequencies are integers, so ranks are exact: among equal frequencies the smaller symbol comes first.
"""

from __future__ import annotations

import numpy as np

from .base import Buffer, CoderError, Frequencies, Symbols

_MAX_BYTES = 3  # of a rank: alphabets of up to 2**21 symbols
_PLACES = np.arange(_MAX_BYTES)


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
    Raises CoderError where a rank is none of the alphabet's.
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


def pack_ranks(ranks: Symbols) -> bytes:
    """Return (n,) int32 ranks below 2**21 as FORMAT.md's varints. Twin: unpack_ranks."""
    sizes = 1 + (ranks[:, None] >= 1 << 7 * _PLACES[1:]).sum(axis=1)
    groups = ranks[:, None] >> 7 * _PLACES & 0x7F
    groups[sizes[:, None] - 1 > _PLACES] |= 0x80
    return bytes(groups[sizes[:, None] > _PLACES].astype(np.uint8))


def unpack_ranks(data: Buffer, count: int) -> Symbols:
    """Return the ranks that pack_ranks packed, (count,) int32. Raises CoderError where it packed no such data."""
    groups = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(groups < 0x80)
    sizes = np.diff(ends, prepend=-1)
    if len(ends) != count or sizes.sum() != len(groups):
        raise CoderError(f"{len(ends)} ranks in {len(groups)} bytes where {count} ranks were expected")
    if count and (sizes.max() > _MAX_BYTES or (groups[ends[sizes > 1]] == 0).any()):
        raise CoderError("a rank in a longer form than any needs")
    table = np.zeros((count, _MAX_BYTES), np.int32)
    table[sizes[:, None] > _PLACES] = groups & 0x7F
    ranks: Symbols = (table << 7 * _PLACES).sum(axis=1).astype(np.int32)
    return ranks
