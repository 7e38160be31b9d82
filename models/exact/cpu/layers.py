"""The layers of the CPU engine: what their kernels take of the weights, and what a window remembers of each."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lmzip.models.exact.arithmetic import ATTENTION_KEYS, NO_EXPONENT
from lmzip.models.exact.config import CHANNEL, TIME
from lmzip.models.exact.cpu import attention, kernels, recurrence
from lmzip.models.exact.cpu.arguments import (
    NO_FLOATS,
    NO_NORM,
    Attention,
    Cache,
    ChannelMixing,
    FeedForward,
    Heads,
    Mixed,
    Norm,
    Projection,
    Recurrence,
    TimeMixing,
    Work,
)
from lmzip.models.exact.cpu.panels import LANES, pack, pack_bytes, padded
from lmzip.models.exact.cpu.rows import left_factor, space_for
from lmzip.models.exact.cpu.team import Team
from lmzip.models.exact.rope import Ropes
from lmzip.models.exact.weights import Weights


def projection(weights: Weights, name: str) -> Projection:
    """Return a matrix as the kernels take it."""
    matrix, config = weights.matrix(name), weights.config
    panels = pack(matrix.values) if name in config.wide else pack_bytes(matrix.values)
    return Projection(panels, matrix.scale, weights.biases.get(name, NO_FLOATS), np.float32(config.largest(name)))


def norm(weights: Weights, name: str) -> Norm:
    """Return a norm as the kernels take it."""
    eps = np.float64(weights.config.rms_norm_eps)
    return Norm(weights.gains[name], weights.biases.get(name, NO_FLOATS), eps)


class Layer(Protocol):
    """One layer of a network."""

    def start(self, batch: int, steps: int) -> Any:
        """Return what so many windows remember, for calls of up to `steps` positions."""

    def work(self, rows: int) -> Any:
        """Return what the threads of a team write for each other in calls of so many rows."""

    def run(self, x: NDArray[np.float32], memory: Any, start: int, ropes: Ropes, work: Any, team: Team) -> None:
        """Add the layer to the residual x (batch * steps, hidden) of the positions from `start` on.

        ropes: of these positions. work: of the team, whose threads all call this.
        """


class TransformerLayer:
    """Attention and feed-forward. See Layer."""

    def __init__(self, weights: Weights, i: int) -> None:
        c, gains, layer = weights.config, weights.gains, f"layers.{i}."
        self._config, self._layer, self._key_parts = c, i, 1 + (f"{layer}key" in c.wide)
        self._window, self._is_local = c.window(i), i in c.local_layers
        most = (np.float32(c.largest(layer + name)) for name in ("query", "key"))
        heads = Heads(gains.get(layer + "q_norm", NO_FLOATS), gains.get(layer + "k_norm", NO_FLOATS), *most)
        qkv, out, gate_up, down = (projection(weights, layer + name) for name in ("qkv", "out", "gate_up", "down"))
        after_attention, after_mlp = (
            norm(weights, f"{layer}{part}_post_norm") if c.post_norms else NO_NORM for part in ("attention", "mlp")
        )
        self._attention = Attention(norm(weights, layer + "attention_norm"), qkv, heads, out, after_attention)
        self._feed_forward = FeedForward(
            norm(weights, layer + "mlp_norm"), c.hidden_act == "gelu_tanh", c.gated, gate_up, down, after_mlp
        )

    def start(self, batch: int, steps: int) -> Cache:
        """See Layer.start."""
        c = self._config
        capacity, pieces = padded(c.capacity(steps, self._layer)), 1
        if self._window > ATTENTION_KEYS:  # sums of more keys could leave 32 bits
            pieces = -(-capacity // ATTENTION_KEYS)
            capacity = pieces * ATTENTION_KEYS
        heads, dim = c.num_key_value_heads, c.head_dim
        return Cache(
            np.zeros((batch, self._key_parts, heads, capacity // LANES, dim // 2, 2 * LANES), np.int8),
            np.zeros((batch, heads, pieces, padded(dim) // LANES, capacity // pieces // 2, 2 * LANES), np.int8),
            np.zeros((batch, heads, capacity), np.float32),
            np.zeros((batch, heads, capacity), np.float32),
        )

    def work(self, rows: int) -> Work:
        """See Layer.work."""
        attends, feeds = self._attention, self._feed_forward
        few = min(rows, kernels.CHUNK)
        return Work(
            space_for(rows, attends.qkv.panels), left_factor(rows, attends.out.panels), np.empty(rows, np.float32),
            space_for(rows, attends.out.panels), space_for(few, feeds.gate_up.panels),
            left_factor(few, feeds.down.panels), np.empty(few, np.float32), space_for(few, feeds.down.panels),
        )  # fmt: skip

    def run(self, x: NDArray[np.float32], memory: Cache, start: int, ropes: Ropes, work: Work, team: Team) -> None:
        """See Layer.run."""
        attention.attention(x, self._attention, *ropes[self._is_local], start, self._window, memory, work, team)
        kernels.feed_forward(x, self._feed_forward, work, team)


class RecurrentLayer:
    """Time mixing and channel mixing of RWKV-4. See Layer."""

    def __init__(self, weights: Weights, i: int) -> None:
        layer = f"layers.{i}."
        self._config = weights.config

        def mixed(name: str) -> Mixed:
            return Mixed(weights.gains[f"{layer}{name}_mix"], projection(weights, layer + name))

        key, value, receptance = map(mixed, TIME)
        channel_key, channel_receptance = map(mixed, CHANNEL)
        exponents = weights.biases[layer + "decay"], weights.biases[layer + "first"]
        out, down = (projection(weights, layer + name) for name in ("out", "down"))
        self._time = TimeMixing(norm(weights, layer + "attention_norm"), key, value, receptance, out, *exponents)
        self._channel = ChannelMixing(norm(weights, layer + "mlp_norm"), channel_key, channel_receptance, down)

    def start(self, batch: int, steps: int) -> Recurrence:
        """See Layer.start."""
        inputs, channels = (batch, self._config.hidden_size), (batch, self._config.head_dim)
        return Recurrence(*(np.empty(shape, np.float32) for shape in (inputs, inputs, channels, channels, channels)))

    def work(self, rows: int) -> None:
        """See Layer.work."""

    def run(self, x: NDArray[np.float32], memory: Recurrence, start: int, ropes: Ropes, work: None, team: Team) -> None:
        """See Layer.run. The team must be SOLO."""
        if start == 0:
            for array in memory:
                array[:] = 0
            memory.exponent[:] = NO_EXPONENT
        recurrence.time_mixing(x, self._time, memory, team)
        recurrence.channel_mixing(x, self._channel, memory, team)
