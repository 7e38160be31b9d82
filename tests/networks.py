"""Small networks with extreme weights, for the tests of the exact engines."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lmzip.models.exact.arithmetic import FREQUENCY_TOTAL
from lmzip.models.exact.config import NetworkConfig
from lmzip.models.exact.engine import Engine
from lmzip.models.exact.torch import attention as torch_attention
from lmzip.models.exact.torch import engine as torch_engine
from lmzip.models.exact.torch import rows as torch_rows
from lmzip.models.exact.weights import Matrix, Weights, largest_value

Frequencies = NDArray[np.uint32]

SMALL = NetworkConfig(
    vocab_size=61, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=16, sliding_window=8, qk_norm=True, tie_word_embeddings=False,
    ngram_rows=32,
)  # fmt: skip
RWKV = NetworkConfig(
    vocab_size=61, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=1,
    num_key_value_heads=1, head_dim=64, sliding_window=2, norm="layer", positions="none", mixer="rwkv4",
    tie_word_embeddings=False,
)  # fmt: skip
# Its head fills no whole panel.
WIDE = dataclasses.replace(SMALL, vocab_size=4099)
# The largest scales and gains for which no float of a network can leave float32's range.
LARGEST_SCALE, LARGEST_GAIN = 1.0, 1024.0


def make_weights(config: NetworkConfig, seed: int, scales: tuple[int, int] = (-10, -4), gain: float = 2.0) -> Weights:
    """Draw weights with rows of extremes and zeros among them; scales are powers of two with these exponents."""
    rng = np.random.default_rng(seed)

    def matrix(most: int, rows: int, columns: int) -> Matrix:
        values = rng.integers(-most, most + 1, (rows, columns)).astype(np.int8)
        for value in (-most, 0, most):
            values[rng.random(rows) < 0.05] = value
        return Matrix(values, np.ldexp(np.float32(1), rng.integers(*scales, rows, endpoint=True)).astype(np.float32))

    shapes = {**config.table_shapes(), **config.matrix_shapes()}
    gains = {n: rng.uniform(-gain, gain, k).astype(np.float32) for n, k in Weights.gain_lengths(config).items()}
    matrices = {n: matrix(largest_value(n), *shape) for n, shape in shapes.items()}
    biases = {n: rng.uniform(-gain, gain, k).astype(np.float32) for n, k in Weights.bias_lengths(config).items()}
    return Weights(config, matrices, gains, biases)


def make_ids(config: NetworkConfig, batch: int, positions: int) -> NDArray[np.int32]:
    rng = np.random.default_rng(positions)
    return rng.integers(0, config.vocab_size + 2, (batch, positions)).astype(np.int32)


def evaluate(engine: Engine, ids: NDArray[np.int32], steps: int, threads: int = 1) -> Frequencies:
    """Read ids in calls of `steps` positions; every row of frequencies must be one."""
    state = engine.start(len(ids), steps, threads)
    parts = [engine.forward(state, ids[:, i : i + steps]) for i in range(0, ids.shape[1], steps)]
    result = np.concatenate(parts)
    assert result.dtype == np.uint32
    assert result.shape == (ids.shape[1], len(ids), engine.config.vocab_size)
    assert_frequencies(result)
    return result


def check_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the torch engine fail where it is to round a number that is not finite."""

    def checked(x: torch.Tensor, most: float = 127.0) -> tuple[torch.Tensor, torch.Tensor]:
        assert x.isfinite().all()
        return quantise(x, most)

    quantise = torch_rows.quantise
    for module in (torch_attention, torch_engine, torch_rows):
        monkeypatch.setattr(module, "quantise", checked)


def assert_frequencies(rows: NDArray[np.uint32]) -> None:
    assert rows.min() >= 1
    assert (rows.sum(axis=-1, dtype=np.int64) == FREQUENCY_TOTAL).all()
