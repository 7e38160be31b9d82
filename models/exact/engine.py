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
from lmzip.models.exact.rope import NO_ROPE, Ropes, rope_between
from lmzip.models.exact.weights import Matrix, Weights, largest_value


class Engine(Protocol):
    """Evaluates an exact network on some device."""

    config: NetworkConfig

    def start(self, batch: int, steps: int, threads: int = 1) -> Any:
        """Return the state of `batch` windows at position 0, for calls of up to `steps` positions.

        threads: that a call may use of the CPU.
        """

    def forward(self, state: Any, ids: NDArray[np.int32]) -> NDArray[np.uint32]:
        """Read ids (batch, steps) and return the frequencies after each, (steps, batch, alphabet).

        The frequencies of a row are at least 1 and add up to arithmetic.FREQUENCY_TOTAL.
        """

    def read(self, state: Any, ids: NDArray[np.int32]) -> None:
        """Read ids (batch, steps) as `forward` does, and predict nothing."""


def rope_of(config: NetworkConfig, start: int, stop: int) -> Ropes:
    """Return cos and sin of positions start to stop - 1 in usual and in local layers; empty where there is no RoPE."""
    if config.positions != "rope":
        return NO_ROPE, NO_ROPE
    usual = rope_between(config.head_dim, config.rope_theta, config.rope_scaling, start, stop)
    if not config.local_layers:
        return usual, NO_ROPE
    return usual, rope_between(config.head_dim, config.local_rope_theta, (), start, stop)


def check_context(config: NetworkConfig, start: int, steps: int) -> None:
    """Raise ValueError where a call would go beyond the last position."""
    if config.context and start + steps > config.context:
        raise ValueError(f"positions {start} to {start + steps - 1} where there are {config.context}")


def reference_network() -> Weights:
    """Make the small network of the self-test: fixed integers, extreme rows among them."""
    config = NetworkConfig(
        vocab_size=61, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, sliding_window=8, qk_norm=True, tie_word_embeddings=False,
        ngram_rows=64,
    )  # fmt: skip
    return _draw(config, np.random.PCG64(20261122))


def imported_networks() -> list[Weights]:
    """Make small networks that have between them all that imported ones have; half of the products are wide."""
    gpt = NetworkConfig(
        vocab_size=61, hidden_size=48, intermediate_size=100, num_hidden_layers=2, num_attention_heads=3,
        num_key_value_heads=3, head_dim=16, sliding_window=24, hidden_act="gelu_tanh", gated=False, norm="layer",
        positions="learned", biases=("qkv", "out", "gate_up", "down"), context=24, reread=9,
        wide=("layers.0.qkv", "layers.0.query", "layers.0.key", "layers.0.out", "layers.1.down", "head"),
    )  # fmt: skip
    llama = NetworkConfig(
        vocab_size=61, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, sliding_window=8, tie_word_embeddings=False, biases=("qkv",),
        rope_theta=5e5, rope_scaling=("llama3", 32.0, 1.0, 4.0, 64), context=24, reread=9,
        wide=("layers.1.qkv", "layers.0.query", "layers.1.key", "layers.1.out", "layers.0.gate_up", "layers.0.down"),
    )  # fmt: skip
    gemma = NetworkConfig(
        vocab_size=61, hidden_size=48, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=1, head_dim=16, sliding_window=24, qk_norm=True, hidden_act="gelu_tanh", context=24,
        reread=9, rope_theta=1e6, rope_scaling=("linear", 8.0), post_norms=True, local_layers=(0, 2), local_window=5,
        wide=("layers.0.qkv", "layers.1.query", "layers.2.key", "layers.0.out", "layers.1.gate_up", "layers.2.down"),
    )  # fmt: skip
    return [_draw(config, np.random.PCG64(20261125 + i)) for i, config in enumerate((gpt, llama, gemma))]


def recurrent_networks() -> list[Weights]:
    """Make a small recurrent network; half of the products are wide. States fade, at speeds of all kinds."""
    config = NetworkConfig(
        vocab_size=61, hidden_size=48, intermediate_size=100, num_hidden_layers=2, num_attention_heads=1,
        num_key_value_heads=1, head_dim=64, sliding_window=2, norm="layer", positions="none", mixer="rwkv4",
        wide=("layers.0.time_key", "layers.0.channel_receptance", "layers.1.time_value", "layers.1.time_receptance",
              "layers.1.out", "layers.1.channel_key", "layers.0.down"),
    )  # fmt: skip
    weights = _draw(config, np.random.PCG64(20261127))
    for i in range(config.num_hidden_layers):
        speeds = np.arange(64, dtype=np.float32) / np.float32(16)
        weights.biases[f"layers.{i}.decay"][:] = -(speeds * speeds * speeds)
    return [weights]


def _draw(config: NetworkConfig, bits: np.random.PCG64) -> Weights:
    def below(limit: int, *shape: int) -> NDArray[np.int64]:
        return _integers(bits, limit, shape)

    def matrix(most: int, rows: int, columns: int) -> Matrix:
        values = (below(2 * most + 1, rows, columns) - most).astype(np.int8)
        values[0] = most
        return Matrix(values, ((1 + below(4095, rows)) / 2.0**17).astype(np.float32))

    shapes = {**config.table_shapes(), **config.matrix_shapes()}
    gains = {name: ((2048 + below(6144, length)) / 2.0**12).astype(np.float32)
             for name, length in Weights.gain_lengths(config).items()}  # fmt: skip
    matrices = {name: matrix(largest_value(name), *shape) for name, shape in shapes.items()}
    biases = {name: ((below(4096, length) - 2048) / 2.0**11).astype(np.float32)
              for name, length in Weights.bias_lengths(config).items()}  # fmt: skip
    return Weights(config, matrices, gains, biases)


REFERENCE_DIGEST = "08079794c306bf53"  # of reference_network
IMPORTED_DIGEST = "d10041ba8e520172"  # of imported_networks
RECURRENT_DIGEST = "07be83aafb737797"  # of recurrent_networks


def reference_digest(*engines: Engine) -> str:
    """Return the hash of what engines make of the symbols of the self-test, one after the other."""
    ids = _integers(np.random.PCG64(1), 63, (5, 40)).astype(np.int32)
    digest = xxhash.xxh3_64()
    for engine in engines:
        state = engine.start(5, 16)
        for start, stop in ((0, 1), (1, 17), (17, 18), (18, 34), (34, 40)):
            for frequencies in engine.forward(state, ids[:, start:stop]):
                digest.update(np.ascontiguousarray(frequencies, dtype="<u4").tobytes())
    return digest.hexdigest()


def _integers(bits: np.random.PCG64, limit: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Draw integers in [0, limit) from the raw stream, which numpy promises to keep."""
    raw = bits.random_raw(math.prod(shape)) >> np.uint64(11)
    return (raw % np.uint64(limit)).astype(np.int64).reshape(shape)
