"""Models without weights, so that the whole codec can be tested without any."""

from __future__ import annotations

import functools
import hashlib

import numpy as np
from numpy.typing import NDArray

from lmzip.models.text.prior import Prior
from lmzip.models.text.tree import Tree, make_tree

TOTAL = 1 << 24


class MockSession:
    """Predicts from the last symbol of each window by a table (alphabet, alphabet)."""

    def __init__(self, table: NDArray[np.uint32], windows: int) -> None:
        self.table, self.last = table, np.zeros(windows, np.int32)

    def predict(self) -> NDArray[np.uint32]:
        return self.table[self.last]

    def update(self, symbols: NDArray[np.int32]) -> None:
        self.last = symbols.copy()

    def prefill(self, symbols: NDArray[np.int32]) -> NDArray[np.uint32]:
        rows = []
        for column in symbols.T:
            rows.append(self.predict())
            self.update(column)
        return np.stack(rows)


class MockModel:
    """Bytes as symbols, and a table of frequencies after each byte."""

    profile = "mock"
    kind = "bytes"
    alphabet = 256
    most_windows = 1024
    is_large = False
    prior: Prior | None = None

    def __init__(self, table: NDArray[np.uint32], name: str) -> None:
        assert table.shape == (256, 256) and (table.sum(axis=1, dtype=np.int64) == TOTAL).all()
        self.table, self.id = table, f"mock-{name}"
        self.sha256 = hashlib.sha256(table.tobytes()).digest()

    @functools.cached_property
    def tree(self) -> Tree:
        return make_tree([bytes([byte]) for byte in range(256)])

    def encode(self, data: bytes | memoryview) -> NDArray[np.int32]:
        return np.frombuffer(data, np.uint8).astype(np.int32)

    def decode(self, symbols: NDArray[np.int32], size: int) -> bytes:
        if len(symbols) != size:
            raise ValueError(f"{len(symbols)} symbols where {size} were declared")
        return symbols.astype(np.uint8).tobytes()

    def begin(self, windows: int, file_start: int, steps: int = 1, beside: int = 0) -> MockSession:
        return MockSession(self.table, windows)


def frequencies(weights: NDArray[np.float64]) -> NDArray[np.uint32]:
    """Turn rows of weights into frequencies that add up to 2**24."""
    shares = weights / weights.sum(axis=1, keepdims=True)
    table = 1 + np.floor(shares * (TOTAL - weights.shape[1])).astype(np.int64)
    table[np.arange(len(table)), table.argmax(axis=1)] += TOTAL - table.sum(axis=1)
    return table.astype(np.uint32)


def uniform() -> MockModel:
    """Every byte is as likely as any other."""
    return MockModel(frequencies(np.ones((256, 256))), "uniform")


def bigram(text: bytes) -> MockModel:
    """The pairs of bytes of a text."""
    counts = np.full((256, 256), 0.02)
    codes = np.frombuffer(text, np.uint8)
    np.add.at(counts, (codes[:-1], codes[1:]), 1)
    return MockModel(frequencies(counts), "bigram")


def certain(byte: int) -> MockModel:
    """Almost sure of one byte: every other has frequency 1."""
    table = np.ones((256, 256), np.uint32)
    table[:, byte] = TOTAL - 255
    return MockModel(table, "certain")


def markov_text(size: int, seed: int = 0) -> bytes:
    """Random text that a bigram model codes well, and lzma and zstd do not."""
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.full(16, 0.2), 16).cumsum(axis=1)
    letter, out = 0, bytearray()
    for draw in rng.random(size):
        letter = min(int(np.searchsorted(rows[letter], draw)), 15)
        out.append(0x70 + letter)
    return bytes(out)
