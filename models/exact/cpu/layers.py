"""The layers of the CPU engine: what their kernels take of the weights, and what a window remembers of each."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lmzip.models.exact.arithmetic import ATTENTION_KEYS, NO_EXPONENT
from lmzip.models.exact.config import CHANNEL, TIME
from lmzip.models.exact.cpu import attention, kernels, recurrence
from lmzip.models.exact.cpu.panels import LANES, pack, pack_bytes, padded
from lmzip.models.exact.rope import Rope
from lmzip.models.exact.weights import Weights

NONE = np.empty(0, np.float32)


def projection(weights: Weights, name: str) -> tuple[Any, ...]:
    """Return a matrix as the kernels take it: panels, scales, bias and the largest integer of the left factor."""
    matrix, config = weights.matrix(name), weights.config
    panels = pack(matrix.values) if name in config.wide else pack_bytes(matrix.values)
    return panels, matrix.scale, weights.biases.get(name, NONE), np.float32(config.largest(name))


def norm(weights: Weights, name: str) -> tuple[Any, ...]:
    """Return a norm as the kernels take it: gain, bias (empty: none) and eps."""
    return weights.gains[name], weights.biases.get(name, NONE), np.float64(weights.config.rms_norm_eps)


class Layer(Protocol):
    """One layer of a network."""

    def start(self, batch: int, steps: int) -> Any:
        """Return what so many windows remember, for calls of up to `steps` positions."""

    def run(self, x: NDArray[np.float32], memory: Any, start: int, rope: Rope) -> None:
        """Add the layer to the residual x (batch * steps, hidden) of the positions from `start` on; rope: theirs."""


@dataclasses.dataclass
class Cache:
    """Keys and values of one layer, for every window and KV head rings of `capacity` positions, laid out in panels.

    keys: (batch, parts, kv_heads, capacity / LANES, head_dim / 2, 2 * LANES), two parts where keys are wide; values:
    (batch, kv_heads, pieces, padded head_dim / LANES, slots of a piece / 2, 2 * LANES); key_scale,
    value_scale: (batch, kv_heads, capacity).
    """

    keys: NDArray[np.int8]
    values: NDArray[np.int8]
    key_scale: NDArray[np.float32]
    value_scale: NDArray[np.float32]


class TransformerLayer:
    """Attention and feed-forward. See Layer."""

    def __init__(self, weights: Weights, i: int) -> None:
        c, gains, layer = weights.config, weights.gains, f"layers.{i}."
        self._config, self._key_parts = c, 1 + (f"{layer}key" in c.wide)
        most = (np.float32(c.largest(layer + name)) for name in ("query", "key"))
        heads = gains.get(layer + "q_norm", NONE), gains.get(layer + "k_norm", NONE), *most
        qkv, out, gate_up, down = (projection(weights, layer + name) for name in ("qkv", "out", "gate_up", "down"))
        self._attention = norm(weights, layer + "attention_norm"), qkv, heads, out
        self._feed_forward = norm(weights, layer + "mlp_norm"), c.hidden_act == "gelu_tanh", c.gated, gate_up, down

    def start(self, batch: int, steps: int) -> Cache:
        """See Layer.start."""
        c = self._config
        capacity, pieces = padded(c.capacity(steps)), 1
        if c.sliding_window > ATTENTION_KEYS:  # sums of more keys could leave 32 bits
            pieces = -(-capacity // ATTENTION_KEYS)
            capacity = pieces * ATTENTION_KEYS
        heads, dim = c.num_key_value_heads, c.head_dim
        return Cache(
            np.zeros((batch, self._key_parts, heads, capacity // LANES, dim // 2, 2 * LANES), np.int8),
            np.zeros((batch, heads, pieces, padded(dim) // LANES, capacity // pieces // 2, 2 * LANES), np.int8),
            np.zeros((batch, heads, capacity), np.float32),
            np.zeros((batch, heads, capacity), np.float32),
        )

    def run(self, x: NDArray[np.float32], memory: Cache, start: int, rope: Rope) -> None:
        """See Layer.run."""
        attention.attention(
            x, *self._attention, *rope, start, self._config.sliding_window,
            memory.keys, memory.values, memory.key_scale, memory.value_scale,
        )  # fmt: skip
        kernels.feed_forward(x, *self._feed_forward)


@dataclasses.dataclass
class Recurrence:
    """The state of one recurrent layer: inputs of the last position (batch, hidden), sums (batch, channels)."""

    time: NDArray[np.float32]
    channel: NDArray[np.float32]
    numerator: NDArray[np.float32]
    denominator: NDArray[np.float32]
    exponent: NDArray[np.float32]


class RecurrentLayer:
    """Time mixing and channel mixing of RWKV-4. See Layer."""

    def __init__(self, weights: Weights, i: int) -> None:
        layer = f"layers.{i}."
        self._config = weights.config

        def mixed(names: tuple[str, ...]) -> list[tuple[Any, ...]]:
            return [(weights.gains[f"{layer}{name}_mix"], projection(weights, layer + name)) for name in names]

        exponents = weights.biases[layer + "decay"], weights.biases[layer + "first"]
        out, down = (projection(weights, layer + name) for name in ("out", "down"))
        self._time = norm(weights, layer + "attention_norm"), *mixed(TIME), out, *exponents
        self._channel = norm(weights, layer + "mlp_norm"), *mixed(CHANNEL), down

    def start(self, batch: int, steps: int) -> Recurrence:
        """See Layer.start."""
        inputs, channels = (batch, self._config.hidden_size), (batch, self._config.head_dim)
        return Recurrence(*(np.empty(shape, np.float32) for shape in (inputs, inputs, channels, channels, channels)))

    def run(self, x: NDArray[np.float32], memory: Recurrence, start: int, rope: Rope) -> None:
        """See Layer.run."""
        m = memory
        if start == 0:
            for array in (m.time, m.channel, m.numerator, m.denominator):
                array[:] = 0
            m.exponent[:] = NO_EXPONENT
        recurrence.time_mixing(x, *self._time, m.time, m.numerator, m.denominator, m.exponent)
        recurrence.channel_mixing(x, *self._channel, m.channel)
