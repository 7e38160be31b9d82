# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""The context-mixing ensemble at work on one block: symbols of many windows to binary decisions and back."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from lmzip.coders import CoderError
from lmzip.coders.bits import NO_BITS, BitReader
from lmzip.models.mixing.coding import IMPOSSIBLE, make_coding, take_decisions
from lmzip.models.mixing.digest import DecisionDigest
from lmzip.models.text import state
from lmzip.models.text.beginning import LOG, begin, beginning_of
from lmzip.models.text.binarisation import FLAT, MOST_DECISIONS, TEXT
from lmzip.models.text.context_subset import ALL, ContextSubset
from lmzip.models.text.decisions import code
from lmzip.models.text.numbers import HISTORY_LIMIT
from lmzip.models.text.prior import Prior
from lmzip.models.text.tree import Tree, make_tree

Symbols = NDArray[np.int32]
Bits = NDArray[np.uint8]
Probabilities = NDArray[np.uint16]
_FIRST_CAPACITY = 1 << 12


class Ensemble:
    """One block's windows and tables.

    Windows advance in lockstep, one symbol a step, in the order of the windows. Frequencies of the
    network are (steps, windows, alphabet) uint32, or None where the ensemble works alone.

    Attributes:
        tables: what has been learnt.
    """

    def __init__(
        self, tree: Tree, windows: int, size: int, row_length: int, has_network: bool, subset: ContextSubset = ALL,
        prior: Prior | None = None,
    ) -> None:  # fmt: skip
        """size: bytes of the block. row_length: bytes of the rows that it consists of, 0 for none.

        prior: what to begin with where all contexts and sets are used, None for nothing.
        Coding raises ValueError where a window grows beyond HISTORY_LIMIT.
        """
        self._limit = HISTORY_LIMIT * size // windows
        self._tree, self._row_length = tree, row_length
        self._longest = int(tree.length.max())
        self._windows = state.make_windows(windows, _FIRST_CAPACITY)
        self._beginning = beginning_of(size, has_network, subset, prior)
        if self._beginning is None:
            self.tables, log = begin(size, has_network, subset, prior), 0
        else:
            self.tables, log = self._beginning.take(size), LOG
        self._decision = state.make_decision(len(tree.length) if has_network else 0, len(self.tables.contexts), log)
        self._done = 0

    def release(self) -> None:
        """Give up the tables, so that another small block may have them; the ensemble is of no more use then."""
        if self._beginning is not None:
            self._beginning.give_back(self.tables, self._windows, self._decision)
            self._beginning = None

    def encode(self, symbols: Symbols, frequencies: NDArray[np.uint32] | None) -> tuple[Bits, Probabilities]:
        """Code symbols (steps, windows): return the decisions and their probabilities. Twin: `decode`."""
        return self._code(0, np.array(symbols, np.int32, order="C"), frequencies, NO_BITS)

    def decode(self, windows: range, steps: int, frequencies: NDArray[np.uint32] | None, reader: BitReader) -> Symbols:
        """Decode the symbols (steps, windows) of some windows. Raises CoderError where the code is impossible."""
        symbols = np.zeros((steps, len(windows)), np.int32)
        self._code(windows.start, symbols, frequencies, reader)
        return symbols

    def _code(
        self, first: int, symbols: Symbols, frequencies: NDArray[np.uint32] | None, reader: BitReader
    ) -> tuple[Bits, Probabilities]:
        history, room = self._windows.history, symbols.shape[0] * self._longest
        size = int(self._windows.size.max())
        if size > self._limit:
            raise ValueError(f"a window is longer than {self._limit:,} bytes, {HISTORY_LIMIT} times the average")
        if size + room > history.shape[1]:
            grown = np.zeros((len(history), max(2 * history.shape[1], size + room)), np.uint8)
            grown[:, : history.shape[1]] = history
            self._windows = self._windows._replace(history=grown)
        if frequencies is None:
            frequencies = np.zeros((*symbols.shape, 0), np.uint32)
        frequencies = np.ascontiguousarray(frequencies)
        coding = make_coding(symbols.size * (1 + MOST_DECISIONS) * self._longest, reader)
        block = state.Block(self._windows, self._decision, self.tables, self._tree, self._row_length)
        if code(block, self._done - first, first, frequencies, symbols, coding) < 0:
            raise CoderError(IMPOSSIBLE)
        self._done += symbols.size
        return take_decisions(coding)


REFERENCE_DIGEST = "04cca2436e1e40ca"


def reference_digest() -> str:
    """Return the hash of the probabilities of a fixed block, lines, repeats and noise, in both binarisations."""
    vocabulary = sorted([*(bytes([byte]) for byte in range(256)), b"ab", b"abc", b", "])
    digest = DecisionDigest()
    for binarisation in (FLAT, TEXT):
        _digest_block(make_tree(vocabulary, binarisation), digest)
    return digest.hexdigest()


def _digest_block(tree: Tree, digest: DecisionDigest) -> None:
    ensemble = Ensemble(tree, 3, 1200, 0, True)
    raw = np.random.PCG64(20261124).random_raw(40 * 3 * (1 + len(tree.length))) >> np.uint64(40)
    for step, row in enumerate(raw.reshape(40, 3, -1)):
        symbols = (row[:, 0] % np.uint64(259 if step % 8 == 0 else 7) + np.uint64(97 - step % 3)).astype(np.int32)
        frequencies = (1 + (row[:, 1:] >> np.uint64(10))).astype(np.uint32)
        frequencies[:, 0] += np.uint32(1 << 24) - frequencies.sum(axis=1, dtype=np.uint32)
        digest.encode_bits(*ensemble.encode(np.minimum(symbols, 258)[None], frequencies[None]))


@functools.cache
def is_trusted() -> bool:
    """Code a fixed block and compare every probability; done once in a process."""
    return reference_digest() == REFERENCE_DIGEST
