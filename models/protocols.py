"""The seam between models and codec: history in, integer probabilities out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lmzip.models.text.tree import Tree

if TYPE_CHECKING:
    from lmzip.models.text.prior import Prior


class Session(Protocol):
    """A model at work on one block: its windows advance in lockstep, one symbol a step."""

    def predict(self) -> NDArray[np.uint32]:
        """Return the frequencies of the next symbol, (windows, alphabet), rows adding up to 2**24."""

    def update(self, symbols: NDArray[np.int32]) -> None:
        """Append one symbol (windows,) to every window."""

    def prefill(self, symbols: NDArray[np.int32]) -> NDArray[np.uint32]:
        """Do predict and update for symbols (windows, steps): return (steps, windows, alphabet).

        The encoder's way, which knows all symbols: the same integers as step by step, sooner.
        """


class Predictor(Protocol):
    """A trained model and its symbols, whatever they are of; serves any number of blocks.

    Attributes:
        id: name that files record.
        sha256: hash of everything that decides the probabilities.
        profile: name of the arithmetic, such as `exact-1`.
        kind: what the symbols are of: `bytes`, `image` or `audio`.
        alphabet: symbols are 0 .. alphabet - 1.
        most_windows: the most that a writer should ask for: more would take much memory.
        is_large: whether a symbol takes the network so much longer than the ensemble that it should have all threads.
    """

    id: str
    sha256: bytes
    profile: str
    kind: str
    alphabet: int
    most_windows: int
    is_large: bool

    def begin(self, windows: int, file_start: int, steps: int = 1, beside: int = 0) -> Session:
        """Start a block; prefill will be asked for up to `steps` symbols at a time.

        file_start: how many of the first windows begin where a file begins; True is one. beside: threads
        that the caller keeps busy while the session works.
        """


class Model(Predictor, Protocol):
    """A model of bytes.

    Attributes:
        prior: what the ensemble begins with, None for nothing.
    """

    prior: Prior | None

    @property
    def tree(self) -> Tree:
        """Return the binary decisions that stand for a symbol, for the ensemble."""

    def encode(self, data: bytes | memoryview) -> NDArray[np.int32]:
        """Cut data into symbols."""

    def decode(self, symbols: NDArray[np.int32], size: int) -> bytes:
        """Join symbols to the data they were cut from; ValueError unless that is `size` bytes long."""


class SampleModel(Predictor, Protocol):
    """A model of pixels or samples, whose symbols stand for arrays as `lmzip.formats` has them."""

    def count_symbols(self, shape: tuple[int, ...], depth: int) -> int:
        """Return how many symbols stand for an array."""

    def encode(self, samples: NDArray[Any], depth: int) -> NDArray[np.int32]:
        """Return the symbols of an array."""

    def decode(self, symbols: NDArray[np.int32], shape: tuple[int, ...], depth: int) -> NDArray[Any]:
        """Return the array that symbols stand for; ValueError where there is none."""
