"""The engine for CPUs: torch's int8 products and numba kernels between them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from numpy.typing import NDArray

from lmzip.models.exact import arithmetic, kernels
from lmzip.models.exact.products import PRODUCTS, best_product
from lmzip.models.exact.weights import Weights


@dataclasses.dataclass
class _Cache:
    """Keys and values of one layer: rings of `capacity` positions."""

    keys: NDArray[np.int8]  # (batch, kv_heads, capacity, head_dim)
    values: NDArray[np.int8]  # (batch, kv_heads, head_dim, capacity)
    key_scale: NDArray[np.float32]  # (batch, kv_heads, capacity)
    value_scale: NDArray[np.float32]


@dataclasses.dataclass
class CPUState:
    """The memory of a batch of windows."""

    position: int
    slot_position: NDArray[np.int32]  # (capacity,), -1: empty
    layers: list[_Cache]


class CPUEngine:
    """Evaluate an exact network on the CPU.

    One call uses the threads that torch uses for products and one for the kernels: callers
    that want more split the batch.
    """

    def __init__(self, weights: Weights, product: str | None = None) -> None:
        """product: a name from products.PRODUCTS; None: the first that is exact here."""
        self.config = weights.config
        self._weights = weights
        c = self.config
        depth = max(c.hidden_size, c.intermediate_size, c.num_attention_heads * c.head_dim)
        self._product = PRODUCTS[product or best_product(depth)]
        names = [*c.matrix_shapes(), "head"]
        self._prepared = {n: self._product.prepare(torch.from_numpy(weights.matrix(n).values)) for n in names}
        self._scales = {n: weights.matrix(n).scale for n in [*names, "embedding"]}
        self._no_gain = np.empty(0, np.float32)
        self._query_factor = np.float32(1 / math.sqrt(c.head_dim))
        self._eps = np.float64(c.rms_norm_eps)
        self._rope = arithmetic.rope_tables(c.head_dim, c.rope_theta, 256)

    def start(self, batch: int, steps: int) -> CPUState:
        """See Engine.start."""
        c = self.config
        capacity = c.sliding_window + steps - 1
        heads, dim = c.num_key_value_heads, c.head_dim
        layers = [
            _Cache(
                np.zeros((batch, heads, capacity, dim), np.int8),
                np.zeros((batch, heads, dim, capacity), np.int8),
                np.zeros((batch, heads, capacity), np.float32),
                np.zeros((batch, heads, capacity), np.float32),
            )
            for _ in range(c.num_hidden_layers)
        ]
        return CPUState(0, np.full(capacity, -1, np.int32), layers)

    def forward(self, state: CPUState, ids: NDArray[np.int32]) -> NDArray[np.uint32]:
        """See Engine.forward."""
        c, gains = self.config, self._weights.gains
        batch, steps = ids.shape
        rows, start = batch * steps, state.position
        if steps > len(state.slot_position) - c.sliding_window + 1:
            raise ValueError(f"{steps} steps in a call are more than the state was started for")
        if not 0 <= ids.min() <= ids.max() < c.vocab_size + 2:
            raise ValueError(f"ids must be 0 to {c.vocab_size + 1}, not {ids.min()} to {ids.max()}")
        positions = np.arange(start, start + steps)
        state.slot_position[positions % len(state.slot_position)] = positions
        state.position += steps
        cos, sin = self._rope_until(state.position)

        x = np.empty((rows, c.hidden_size), np.float32)
        q = np.empty((rows, c.hidden_size), np.int8)
        heads = np.empty((batch, steps, c.num_attention_heads * c.head_dim), np.int8)
        inner = np.empty((rows, c.intermediate_size), np.int8)
        scale = np.empty(rows, np.float32)
        kernels.embed(ids.reshape(-1), self._weights.matrices["embedding"].values, self._scales["embedding"], x)
        for i, cache in enumerate(state.layers):
            layer = f"layers.{i}."
            kernels.norm_quantise(x, gains[layer + "attention_norm"], self._eps, q, scale)
            y = self._multiply(layer + "qkv", q)
            kernels.attention(
                y.reshape(batch, steps, -1), scale.reshape(batch, steps), self._scales[layer + "qkv"],
                gains.get(layer + "q_norm", self._no_gain), gains.get(layer + "k_norm", self._no_gain), self._eps,
                self._query_factor, cos, sin, c.sliding_window, start, cache.keys, cache.values, cache.key_scale,
                cache.value_scale, state.slot_position, heads, scale.reshape(batch, steps),
            )  # fmt: skip
            y = self._multiply(layer + "out", heads.reshape(rows, -1))
            kernels.add(x, y, scale, self._scales[layer + "out"])
            kernels.norm_quantise(x, gains[layer + "mlp_norm"], self._eps, q, scale)
            y = self._multiply(layer + "gate_up", q)
            kernels.gate(y, scale, self._scales[layer + "gate_up"], inner, scale)
            y = self._multiply(layer + "down", inner)
            kernels.add(x, y, scale, self._scales[layer + "down"])
        kernels.norm_quantise(x, gains["norm"], self._eps, q, scale)
        y = self._multiply("head", q)
        out = np.empty((rows, c.vocab_size), np.uint32)
        kernels.frequencies(y, scale, self._scales["head"], out)
        return out.reshape(batch, steps, -1).transpose(1, 0, 2)

    def _multiply(self, name: str, q: NDArray[np.int8]) -> NDArray[np.int32 | np.float32]:
        return self._product.multiply(torch.from_numpy(q), self._prepared[name]).numpy()

    def _rope_until(self, position: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if position > len(self._rope[0]):
            size = max(position, 2 * len(self._rope[0]))
            self._rope = arithmetic.rope_tables(self.config.head_dim, self.config.rope_theta, size)
        return self._rope
