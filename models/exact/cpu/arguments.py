"""What the kernels take: matrices, norms and the memory of windows, in named tuples, which numba compiles for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NO_FLOATS = np.empty(0, np.float32)


class Projection(NamedTuple):
    """A matrix that rows of activations are multiplied with."""

    panels: NDArray[np.int8] | NDArray[np.int16]  # see panels.py
    scale: NDArray[np.float32]  # (outputs,)
    bias: NDArray[np.float32]  # (outputs,), or (0,) for none
    most: np.float32  # the largest integer that activations are rounded to


class Norm(NamedTuple):
    """An RMS norm, or a layer norm where it has a bias."""

    gain: NDArray[np.float32]  # (hidden,), or (0,) where there is no norm
    bias: NDArray[np.float32]  # (hidden,), or (0,) for none
    eps: np.float64


NO_NORM = Norm(NO_FLOATS, NO_FLOATS, np.float64(0))


class Heads(NamedTuple):
    """What happens to the queries and keys of an attention before they meet."""

    query_gain: NDArray[np.float32]  # (head_dim,) of the norm of a query, or (0,) for none
    key_gain: NDArray[np.float32]  # likewise of a key
    query_most: np.float32  # the largest integer that queries are rounded to
    key_most: np.float32


class Attention(NamedTuple):
    """The attention of a layer."""

    norm: Norm
    qkv: Projection  # to the queries, keys and values, joined
    heads: Heads
    out: Projection
    post_norm: Norm  # of what is added to the residual


class FeedForward(NamedTuple):
    """The feed-forward of a layer."""

    norm: Norm
    gelu: bool  # instead of silu
    gated: bool  # whether the first half of gate_up's outputs gates the second
    gate_up: Projection
    down: Projection
    post_norm: Norm  # of what is added to the residual


class Mixed(NamedTuple):
    """A projection of rows that are mixed with the rows before them."""

    share: NDArray[np.float32]  # (hidden,) of the row itself
    projection: Projection


class TimeMixing(NamedTuple):
    """The time mixing of a layer of RWKV-4."""

    norm: Norm
    key: Mixed
    value: Mixed
    receptance: Mixed
    out: Projection
    decay: NDArray[np.float32]  # (channels,) added to the exponent of a channel at every step, not positive
    bonus: NDArray[np.float32]  # (channels,) added to the key of a position when the position itself reads


class ChannelMixing(NamedTuple):
    """The channel mixing of a layer of RWKV-4."""

    norm: Norm
    key: Mixed
    receptance: Mixed
    down: Projection


class Cache(NamedTuple):
    """Keys and values of one layer, for every window and head of keys a ring: position p lies in slot p % capacity.

    The kernels for one window take a Cache whose arrays lack the first axis.
    """

    # Panels whose columns are slots: (batch, parts, kv_heads, capacity / LANES, head_dim / 2, 2 * LANES). Wide keys
    # have two parts, the second of which counts 128 times.
    keys: NDArray[np.int8]
    # Panels whose columns are the dimensions of a head: (batch, kv_heads, pieces, padded head_dim / LANES, slots of a
    # piece / 2, 2 * LANES).
    values: NDArray[np.int8]
    key_scale: NDArray[np.float32]  # (batch, kv_heads, capacity)
    value_scale: NDArray[np.float32]  # (batch, kv_heads, capacity)


class Queries(NamedTuple):
    """The queries of some positions of one window."""

    integers: NDArray[np.int16]  # (kv_heads, steps * group, head_dim)
    scale: NDArray[np.float32]  # (kv_heads, steps * group)


class Work(NamedTuple):
    """What the threads of a team write for each other, for calls of some rows."""

    qkv: NDArray[np.int32]  # (rows, columns) products; so are those with other names of projections
    joined: NDArray[np.int16]  # (rows, depth) left factor of the attention's out
    joined_scale: NDArray[np.float32]  # (rows,)
    out: NDArray[np.int32]
    gate_up: NDArray[np.int32]
    inner: NDArray[np.int16]  # (rows, depth) left factor of the feed-forward's down
    inner_scale: NDArray[np.float32]  # (rows,)
    down: NDArray[np.int32]


class Recurrence(NamedTuple):
    """What windows remember of one recurrent layer.

    The state of a channel is a sum of values, each weighted by exp(key), and the sum of these weights. Both are kept
    times exp(-exponent), where exponent is the largest key there was, less the decay since.
    """

    time: NDArray[np.float32]  # (batch, hidden) inputs of the time mixing at the last position
    channel: NDArray[np.float32]  # (batch, hidden) inputs of the channel mixing at the last position
    numerator: NDArray[np.float32]  # (batch, channels)
    denominator: NDArray[np.float32]  # (batch, channels)
    exponent: NDArray[np.float32]  # (batch, channels)
