"""What all models with a tokenizer share: cutting bytes into symbols and joining symbols to bytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lmzip.models.networks.tokenizer import Tokenizer
from lmzip.models.text.tree import Tree, make_tree


class Tokenized:
    """The half of a `lmzip.models.protocols.Model` that is not the network."""

    kind = "bytes"

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer, self.alphabet = tokenizer, len(tokenizer)
        self._tree: Tree | None = None
        self._token_sizes = np.array([len(token) for token in tokenizer.vocabulary], np.int64)

    @property
    def tree(self) -> Tree:
        """See Model.tree."""
        if self._tree is None:  # without a lock, which a process could inherit locked: two trees are the same
            self._tree = make_tree(self.tokenizer.vocabulary)
        return self._tree

    def encode(self, data: bytes | memoryview) -> NDArray[np.int32]:
        """See Model.encode."""
        return self.tokenizer.encode(data)

    def decode(self, symbols: NDArray[np.int32], size: int) -> bytes:
        """See Model.decode."""
        found = int(self._token_sizes[symbols].sum())
        if found != size:  # known before anything is allocated for it
            raise ValueError(f"the symbols make {found} bytes where {size} were declared")
        return self.tokenizer.decode(symbols)
