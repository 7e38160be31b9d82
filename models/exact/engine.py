"""What every evaluator of an exact network offers, and the test it must pass.

An engine evaluates one network; a state is the memory of a batch of windows. The same symbols
give the same frequencies, whatever the batch, the number of positions in a call, or the engine.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import xxhash
from numpy.typing import NDArray

from lmzip.models.exact.config import NetworkConfig
from lmzip.models.exact.weights import Matrix, Weights


class Engine(Protocol):
    """Evaluates an exact network on some device."""

    config: NetworkConfig

    def start(self, batch: int, steps: int) -> Any:
        """Return the state of `batch` windows at position 0, for calls of up to `steps` positions."""

    def forward(self, state: Any, ids: NDArray[np.int32]) -> NDArray[np.uint32]:
        """Read ids (batch, steps) and return the frequencies after each, (steps, batch, alphabet).

        The frequencies of a row are at least 1 and add up to arithmetic.FREQUENCY_TOTAL.
        """


def reference_network() -> Weights:
    """Make the small network of the self-test: fixed integers, extreme rows among them."""
    config = NetworkConfig(
        vocab_size=61, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, sliding_window=8, qk_norm=True, tie_word_embeddings=False,
    )  # fmt: skip
    bits = np.random.PCG64(20261122)

    def below(limit: int, *shape: int) -> NDArray[np.int64]:
        return _integers(bits, limit, shape)

    def matrix(rows: int, columns: int) -> Matrix:
        values = (below(127, rows, columns) - 63).astype(np.int8)
        values[0] = 63
        return Matrix(values, ((1 + below(4095, rows)) / 2.0**17).astype(np.float32))

    shapes = {"embedding": (config.vocab_size + 2, config.hidden_size), **config.matrix_shapes()}
    gains = {name: ((2048 + below(6144, length)) / 2.0**12).astype(np.float32)
             for name, length in Weights.gain_lengths(config).items()}  # fmt: skip
    return Weights(config, {name: matrix(*shape) for name, shape in shapes.items()}, gains)


REFERENCE_DIGEST = "2779d6211218915e"


def reference_digest(engine: Engine) -> str:
    """Return the hash of what an engine makes of the reference network."""
    ids = _integers(np.random.PCG64(1), 63, (5, 40)).astype(np.int32)
    state = engine.start(5, 16)
    digest = xxhash.xxh3_64()
    for start, stop in ((0, 1), (1, 17), (17, 18), (18, 34), (34, 40)):
        for frequencies in engine.forward(state, ids[:, start:stop]):
            digest.update(np.ascontiguousarray(frequencies, dtype="<u4").tobytes())
    return digest.hexdigest()


def _integers(bits: np.random.PCG64, limit: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Draw integers in [0, limit) from the raw stream, which numpy promises to keep."""
    raw = bits.random_raw(math.prod(shape)) >> np.uint64(11)
    return (raw % np.uint64(limit)).astype(np.int64).reshape(shape)
