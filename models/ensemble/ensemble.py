"""The ensemble at work on one block: symbols of many windows to binary decisions and back."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import xxhash
from numpy.typing import NDArray

from lmzip.models.ensemble import state
from lmzip.models.ensemble.decisions import accumulate, begin, encode, learn, predict
from lmzip.models.ensemble.jit import kernel
from lmzip.models.ensemble.numbers import HISTORY_LIMIT
from lmzip.models.ensemble.tree import Tree, make_tree

Bits = NDArray[np.uint8]
Probabilities = NDArray[np.uint16]
_FIRST_CAPACITY = 1 << 12


@kernel
def _first_round(windows, tables, tree, record, active, probabilities):
    """Begin a step and predict its first decisions."""
    begin(windows, tables, tree, active, record)
    predict(windows, tables, tree, active, probabilities)


@kernel
def _next_round(windows, tables, tree, record, active, bits, done, probabilities):
    """Learn a round's bits and predict the next decisions; return how many windows have one. Calls are dear."""
    left = learn(windows, tables, tree, active, bits, record, done)
    predict(windows, tables, tree, active[:left], probabilities)
    return left


class Ensemble:
    """One block's windows and tables.

    Windows advance in lockstep, one symbol a step. A step is given frequencies of the network
    (active windows, alphabet) uint32, or None where the ensemble works alone.
    """

    def __init__(self, tree: Tree, windows: int, size: int, record: int, has_network: bool) -> None:
        """size: bytes of the block. record: length of its records in bytes, 0 for none.

        Coding raises ValueError where a window grows beyond HISTORY_LIMIT.
        """
        self._limit = HISTORY_LIMIT * size // windows
        self._tree, self._record = tree, record
        self._longest = int(tree.length.max())
        self._windows = state.make_windows(windows, _FIRST_CAPACITY, len(tree.length) if has_network else 0)
        self._tables = state.make_tables(size, has_network)
        self._done = 0
        most = windows * 9 * self._longest  # decisions of a step: nine at most a byte
        self._bits, self._probabilities = np.zeros(most, np.uint8), np.zeros(most, np.uint16)

    def encode(
        self, active: NDArray[np.int64], symbols: NDArray[np.int32], frequencies: NDArray[np.uint32] | None
    ) -> tuple[Bits, Probabilities]:
        """Code one symbol of each active window: return the decisions and their probabilities.

        The arrays are views that the next call overwrites. Twin: `decode`.
        """
        self._prepare(active, frequencies)
        count = encode(
            self._windows, self._tables, self._tree, active.copy(), symbols, self._record, self._done,
            self._bits, self._probabilities,
        )  # fmt: skip
        self._done += len(active)
        return self._bits[:count], self._probabilities[:count]

    def decode(
        self,
        active: NDArray[np.int64],
        frequencies: NDArray[np.uint32] | None,
        decode_bits: Callable[[Probabilities], Bits],
    ) -> NDArray[np.int32]:
        """Decode one symbol of each active window; decode_bits gives the bits for probabilities."""
        self._prepare(active, frequencies)
        shared = (self._windows, self._tables, self._tree, self._record)
        rest, left, probabilities = active.copy(), len(active), self._probabilities
        _first_round(*shared, rest, probabilities)
        while left:
            bits = decode_bits(probabilities[:left])
            left = _next_round(*shared, rest[:left], bits, self._done, probabilities)
        self._done += len(active)
        return self._windows.symbol[active]

    def _prepare(self, active: NDArray[np.int64], frequencies: NDArray[np.uint32] | None) -> None:
        history = self._windows.history
        if self._windows.size.max() > self._limit:
            raise ValueError(f"a window is longer than {self._limit:,} bytes, {HISTORY_LIMIT} times the average")
        if self._windows.size.max() + self._longest > history.shape[1]:
            grown = np.zeros((len(history), 2 * history.shape[1]), np.uint8)
            grown[:, : history.shape[1]] = history
            self._windows = self._windows._replace(history=grown)
        if frequencies is not None:
            accumulate(np.ascontiguousarray(frequencies), self._windows, active)


REFERENCE_DIGEST = "4105264fdbe86b59"


def reference_digest() -> str:
    """Return the hash of the probabilities of a fixed block: lines, repeats and noise."""
    tree = make_tree(sorted([*(bytes([byte]) for byte in range(256)), b"ab", b"abc", b", "]))
    ensemble = Ensemble(tree, 3, 1200, 0, True)
    raw = np.random.PCG64(20261124).random_raw(40 * 3 * (1 + len(tree.length))) >> np.uint64(40)
    digest = xxhash.xxh3_64()
    for step, numbers in enumerate(raw.reshape(40, 3, -1)):
        symbols = (numbers[:, 0] % np.uint64(259 if step % 8 == 0 else 7) + np.uint64(97 - step % 3)).astype(np.int32)
        frequencies = (1 + (numbers[:, 1:] >> np.uint64(10))).astype(np.uint32)
        frequencies[:, 0] += np.uint32(1 << 24) - frequencies.sum(axis=1, dtype=np.uint32)
        bits, probabilities = ensemble.encode(np.arange(3), np.minimum(symbols, 258), frequencies)
        digest.update(bits.tobytes() + probabilities.astype("<u2").tobytes())
    return digest.hexdigest()


@functools.cache
def is_trusted() -> bool:
    """Code a fixed block and compare every probability; done once in a process."""
    return reference_digest() == REFERENCE_DIGEST
