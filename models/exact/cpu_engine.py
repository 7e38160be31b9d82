"""The engine for CPUs: numba kernels, all integer products in panels."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmzip.models.exact import attention, kernels
from lmzip.models.exact.arithmetic import ATTENTION_KEYS
from lmzip.models.exact.engine import check_context, rope_tables
from lmzip.models.exact.panels import LANES, pack, pack_bytes, padded
from lmzip.models.exact.weights import Weights


@dataclasses.dataclass
class _Layer:
    """What the kernels take of one layer."""

    attention: tuple[Any, ...]  # norm, qkv, heads, out
    feed_forward: tuple[Any, ...]  # norm, gelu, gated, gate_up, down


@dataclasses.dataclass
class _Cache:
    """Keys and values of one layer, for every window and KV head rings of `capacity` positions, laid out in panels."""

    keys: NDArray[
        np.int8
    ]  # (batch, 1 or 2, kv_heads, capacity / LANES, head_dim / 2, 2 * LANES), wide ones in two parts
    values: NDArray[np.int8]  # (batch, kv_heads, pieces, padded head_dim / LANES, slots of a piece / 2, 2 * LANES)
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
        c, gains, biases = self.config, weights.gains, weights.biases
        eps, none = np.float64(c.rms_norm_eps), np.empty(0, np.float32)

        def projection(name: str) -> tuple[Any, ...]:
            matrix = weights.matrix(name)
            panels = pack(matrix.values) if name in c.wide else pack_bytes(matrix.values)
            return panels, matrix.scale, biases.get(name, none), np.float32(c.largest(name))

        def norm(name: str) -> tuple[Any, ...]:
            return gains[name], biases.get(name, none), eps

        self._embedding = weights.matrix("embedding")
        self._positions = weights.matrices.get("positions")
        self._layers = []
        for i in range(c.num_hidden_layers):
            layer = f"layers.{i}."
            most = (np.float32(c.largest(layer + name)) for name in ("query", "key"))
            heads = gains.get(layer + "q_norm", none), gains.get(layer + "k_norm", none), *most
            self._layers.append(
                _Layer(
                    (norm(layer + "attention_norm"), projection(layer + "qkv"), heads, projection(layer + "out")),
                    (norm(layer + "mlp_norm"), c.hidden_act == "gelu_tanh", c.gated,
                     projection(layer + "gate_up"), projection(layer + "down")),
                )
            )  # fmt: skip
        self._head = norm("norm"), projection("head")
        self._rope = rope_tables(c, 256)

    def start(self, batch: int, steps: int) -> CPUState:
        """See Engine.start."""
        c = self.config
        capacity, pieces = padded(c.capacity(steps)), 1
        if c.sliding_window > ATTENTION_KEYS:  # sums of more keys could leave 32 bits
            pieces = -(-capacity // ATTENTION_KEYS)
            capacity = pieces * ATTENTION_KEYS
        heads, dim = c.num_key_value_heads, c.head_dim
        layers = [
            _Cache(
                np.zeros((batch, parts, heads, capacity // LANES, dim // 2, 2 * LANES), np.int8),
                np.zeros((batch, heads, pieces, padded(dim) // LANES, capacity // pieces // 2, 2 * LANES), np.int8),
                np.zeros((batch, heads, capacity), np.float32),
                np.zeros((batch, heads, capacity), np.float32),
            )
            for parts in (1 + (f"layers.{i}.key" in c.wide) for i in range(c.num_hidden_layers))
        ]
        return CPUState(batch, steps, 0, layers)

    def forward(self, state: CPUState, ids: NDArray[np.int32]) -> NDArray[np.uint32]:
        """See Engine.forward."""
        x = self._hidden(state, ids)
        out = np.empty((len(x), self.config.vocab_size), np.uint32)
        kernels.predict(x, *self._head, out)
        return out.reshape(*ids.shape, -1).transpose(1, 0, 2)

    def read(self, state: CPUState, ids: NDArray[np.int32]) -> None:
        """See Engine.read."""
        self._hidden(state, ids)

    def _hidden(self, state: CPUState, ids: NDArray[np.int32]) -> NDArray[np.float32]:
        """Read ids (batch, steps) and return the residual behind the last layer, (batch * steps, hidden)."""
        c = self.config
        batch, steps = ids.shape
        if batch != state.batch or steps > state.steps:
            raise ValueError(f"the state was started for {state.batch} windows and at most {state.steps} steps a call")
        if not 0 <= ids.min() <= ids.max() < c.vocab_size + 2:
            raise ValueError(f"ids must be 0 to {c.vocab_size + 1}, not {ids.min()} to {ids.max()}")
        start = state.position
        check_context(c, start, steps)
        state.position += steps
        cos, sin = self._rope_until(state.position)
        x = np.empty((batch * steps, c.hidden_size), np.float32)
        kernels.embed(ids.reshape(-1), self._embedding.values, self._embedding.scale, x)
        if self._positions is not None:
            kernels.add_positions(x, self._positions.values, self._positions.scale, start, steps)
        for layer, cache in zip(self._layers, state.layers, strict=True):
            attention.attention(
                x, *layer.attention, cos, sin, start, c.sliding_window,
                cache.keys, cache.values, cache.key_scale, cache.value_scale,
            )  # fmt: skip
            kernels.feed_forward(x, *layer.feed_forward)
        return x

    def _rope_until(self, position: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if self.config.positions == "rope" and position > len(self._rope[0]):
            self._rope = rope_tables(self.config, max(position, 2 * len(self._rope[0])))
        return self._rope
