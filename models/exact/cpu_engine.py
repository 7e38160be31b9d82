"""The engine for CPUs: numba kernels, all integer products in panels."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmzip.models.exact import arithmetic, kernels
from lmzip.models.exact.panels import LANES, pack, padded
from lmzip.models.exact.weights import Weights


@dataclasses.dataclass
class _Layer:
    """What `kernels` takes of one layer: panels of weights and their scales."""

    attention: tuple[Any, ...]  # gain, eps, qkv, qkv_scale, q_gain, k_gain, out, out_scale
    feed_forward: tuple[Any, ...]  # gain, eps, gate_up, gate_up_scale, down, down_scale


@dataclasses.dataclass
class _Cache:
    """Keys and values of one layer, for every window and KV head rings of `capacity` positions, laid out in panels."""

    keys: NDArray[np.int8]  # (batch, kv_heads, capacity / LANES, head_dim / 2, 2 * LANES)
    values: NDArray[np.int8]  # (batch, kv_heads, padded head_dim / LANES, capacity / 2, 2 * LANES)
    key_scale: NDArray[np.float32]  # (batch, kv_heads, capacity)
    value_scale: NDArray[np.float32]


@dataclasses.dataclass
class CPUState:
    """The memory of a batch of windows."""

    batch: int
    steps: int  # most in a call
    position: int
    layers: list[_Cache]


class CPUEngine:
    """Evaluate an exact network on the CPU, a call on one thread: callers that want more split the batch."""

    def __init__(self, weights: Weights) -> None:
        self.config = weights.config
        c, gains = self.config, weights.gains
        eps, none = np.float64(c.rms_norm_eps), np.empty(0, np.float32)

        def projection(name: str) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
            matrix = weights.matrix(name)
            return pack(matrix.values), matrix.scale

        self._embedding = weights.matrix("embedding")
        self._layers = []
        for i in range(c.num_hidden_layers):
            layer = f"layers.{i}."
            head_gains = gains.get(layer + "q_norm", none), gains.get(layer + "k_norm", none)
            self._layers.append(
                _Layer(
                    (gains[layer + "attention_norm"], eps, *projection(layer + "qkv"), *head_gains,
                     *projection(layer + "out")),
                    (gains[layer + "mlp_norm"], eps, *projection(layer + "gate_up"), *projection(layer + "down")),
                )
            )  # fmt: skip
        self._head = gains["norm"], eps, *projection("head")
        self._rope = arithmetic.rope_tables(c.head_dim, c.rope_theta, 256)

    def start(self, batch: int, steps: int) -> CPUState:
        """See Engine.start."""
        c = self.config
        capacity = padded(c.sliding_window + steps - 1)
        heads, dim = c.num_key_value_heads, c.head_dim
        layers = [
            _Cache(
                np.zeros((batch, heads, capacity // LANES, dim // 2, 2 * LANES), np.int8),
                np.zeros((batch, heads, padded(dim) // LANES, capacity // 2, 2 * LANES), np.int8),
                np.zeros((batch, heads, capacity), np.float32),
                np.zeros((batch, heads, capacity), np.float32),
            )
            for _ in range(c.num_hidden_layers)
        ]
        return CPUState(batch, steps, 0, layers)

    def forward(self, state: CPUState, ids: NDArray[np.int32]) -> NDArray[np.uint32]:
        """See Engine.forward."""
        c = self.config
        batch, steps = ids.shape
        if batch != state.batch or steps > state.steps:
            raise ValueError(f"the state was started for {state.batch} windows and at most {state.steps} steps a call")
        if not 0 <= ids.min() <= ids.max() < c.vocab_size + 2:
            raise ValueError(f"ids must be 0 to {c.vocab_size + 1}, not {ids.min()} to {ids.max()}")
        start = state.position
        state.position += steps
        cos, sin = self._rope_until(state.position)
        x = np.empty((batch * steps, c.hidden_size), np.float32)
        kernels.embed(ids.reshape(-1), self._embedding.values, self._embedding.scale, x)
        for layer, cache in zip(self._layers, state.layers, strict=True):
            kernels.attention(
                x, *layer.attention, cos, sin, start, c.sliding_window,
                cache.keys, cache.values, cache.key_scale, cache.value_scale,
            )  # fmt: skip
            kernels.feed_forward(x, *layer.feed_forward)
        out = np.empty((batch * steps, c.vocab_size), np.uint32)
        kernels.predict(x, *self._head, out)
        return out.reshape(batch, steps, -1).transpose(1, 0, 2)

    def _rope_until(self, position: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if position > len(self._rope[0]):
            size = max(position, 2 * len(self._rope[0]))
            self._rope = arithmetic.rope_tables(self.config.head_dim, self.config.rope_theta, size)
        return self._rope
