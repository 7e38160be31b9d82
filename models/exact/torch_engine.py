"""The exact network in plain torch operations, for any device: the arithmetic, stated once more.

The functions stand beside those of `rows.py`, `attention.py` and `kernels.py` and give the same integers:

- Every float operation is a torch operation of its own, so that no compiler can contract two.
- Sums run over integers only; a float64 product of integers is exact below 2**53.
- A divisor or a dividend is always a tensor: torch turns `x / 127.0` (on CUDA) and `127.0 / x`
  into products with a reciprocal, which round twice. Other Python numbers here are float32 values.
- Nothing waits for the device but the copy of the result at the end. (`torch.where` would: it
  copies a Python number to the device. `masked_fill` does not.)
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from lmzip.models.exact import arithmetic
from lmzip.models.exact.arithmetic import FREQUENCY_TOTAL
from lmzip.models.exact.engine import check_context, rope_tables
from lmzip.models.exact.products import PRODUCTS, best_product
from lmzip.models.exact.weights import Weights

LOG2_E, EXP2_LAST = float(arithmetic.LOG2_E), float(arithmetic.EXP2_LAST)
C1, C2 = float(arithmetic.EXP2_C1), float(arithmetic.EXP2_C2)
C3, C4 = float(arithmetic.EXP2_C3), float(arithmetic.EXP2_C4)
ATTENTION_ONE, OUTPUT_ONE = float(arithmetic.ATTENTION_ONE), float(arithmetic.OUTPUT_ONE)
QUANT, NORM = float(arithmetic.ACTIVATION_MAX), float(arithmetic.NORM_MAX)
SMALLEST = float(arithmetic.SMALLEST)
GELU_1, GELU_3 = float(arithmetic.GELU_1), float(arithmetic.GELU_3)


@dataclasses.dataclass
class _Cache:
    """Keys and values of one layer: rings of `capacity` positions."""

    keys: Tensor  # (batch, kv_heads, capacity, head_dim) int8, or int16 where they are wide
    values: Tensor  # the same, int8
    key_scale: Tensor  # (batch, kv_heads, capacity) float32
    value_scale: Tensor


@dataclasses.dataclass
class TorchState:
    """The memory of a batch of windows. Position p is in slot p % capacity of every cache."""

    steps: int  # most in a call
    position: int
    layers: list[_Cache]


def constant(value: float, like: Tensor) -> Tensor:
    """Return a number as a tensor of the same shape, dtype and device, to divide with."""
    return torch.full_like(like, value)


def ratio(value: float, x: Tensor) -> Tensor:
    """Return value / x, and 0 where x is 0."""
    return (constant(value, x) / x).masked_fill(x == 0, 0.0)


def exp_integer(x: Tensor, one: float) -> Tensor:
    """Return the integers nearest under one * exp(-x) for x >= 0, float32 to int32; one: a power of two."""
    t = torch.clamp(x * LOG2_E, max=EXP2_LAST)
    whole = torch.floor(t)
    f = t - whole
    p = f * C4 + C3
    p = p * f + C2
    p = p * f + C1
    p = p * f + 1.0
    return torch.bitwise_right_shift((p * one).int(), whole.int())


def largest(x: Tensor) -> Tensor:
    """Return the largest |x_i| of every row (..., 1), 0 where it is tiny."""
    m = x.abs().amax(dim=-1, keepdim=True)
    return m.masked_fill(m <= SMALLEST, 0.0)


def square_root(x: Tensor) -> Tensor:
    """Return the IEEE square root of float64; torch's own on the CPU (MKL) can miss the last bit."""
    return torch.from_numpy(np.sqrt(x.numpy())) if x.device.type == "cpu" else torch.sqrt(x)


def root_mean_square(x: Tensor, eps: float) -> Tensor:
    """Return sqrt(mean(x**2) + eps) of every row (..., 1) in float64, from squares added up as integers."""
    m = largest(x)
    t = torch.round(x * ratio(NORM, m)).long()
    total = (t * t).sum(dim=-1, keepdim=True).double()
    unit = m.double() / constant(NORM, total)
    mean = total / constant(x.shape[-1], total)
    mean = mean * unit
    mean = mean * unit
    return square_root(mean + eps)


def quantise(x: Tensor, most: float = QUANT) -> tuple[Tensor, Tensor]:
    """Round every row to integers with the largest at `most`; return them and the scales (..., 1).

    They are int8, or int32 where most is more than 127.
    """
    m = largest(x)
    dtype = torch.int8 if most <= QUANT else torch.int32
    return torch.round(x * ratio(most, m)).to(dtype), m / constant(most, m)


def embed(ids: Tensor, table: Tensor, scale: Tensor) -> Tensor:
    """Return the embeddings (..., hidden) of ids (...)."""
    return table[ids].float() * scale[ids][..., None]


def centre(x: Tensor, eps: float) -> Tensor:
    """Return (x - mean) / sqrt(variance + eps) of every row; mean and variance from sums of integers."""
    m, n = largest(x), x.shape[-1]
    t = torch.round(x * ratio(NORM, m)).long()
    total, squares = t.sum(dim=-1, keepdim=True), (t * t).sum(dim=-1, keepdim=True)
    unit = m.double() / constant(NORM, m.double())
    mean = total.double() / constant(n, unit)
    mean = (mean * unit).float()
    variance = (n * squares - total * total).double() / constant(n * n, unit)
    variance = variance * unit
    variance = variance * unit
    deviation = square_root(variance + eps)
    return (x - mean) * (constant(1.0, deviation) / deviation).float()


def norm_quantise(
    x: Tensor, gain: Tensor, bias: Tensor | None, eps: float, most: float = QUANT
) -> tuple[Tensor, Tensor]:
    """Normalise the rows of x; integers up to `most` and scales. Without a bias by their root mean square."""
    if bias is not None:
        return quantise(centre(x, eps) * gain + bias, most)
    q, scale = quantise(x * gain, most)
    return q, (scale.double() / root_mean_square(x, eps)).float()


def norm_head(f: Tensor, gain: Tensor, eps: float) -> Tensor:
    """Divide every head (..., head_dim) by its root mean square, times gain."""
    rms = root_mean_square(f, eps)
    return f * (constant(1.0, rms) / rms).float() * gain


def rotate(f: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the heads f (batch, steps, heads, head_dim); cos, sin: (steps, head_dim / 2)."""
    a, b = f.chunk(2, dim=-1)
    cos, sin = cos[:, None], sin[:, None]
    ac, bs, bc, a_s = a * cos, b * sin, b * cos, a * sin
    return torch.cat((ac - bs, bc + a_s), dim=-1)


def softmax(
    dots: Tensor, query_scale: Tensor, key_scale: Tensor, value_scale: Tensor, unseen: Tensor
) -> tuple[Tensor, Tensor]:
    """Turn dots into integer weights of the values, zero where unseen, and the factor of their sum.

    dots: (batch, kv_heads, steps, group, slots); query_scale: the same with one slot; key_scale,
    value_scale: (batch, kv_heads, 1, 1, slots); unseen: (steps, 1, slots) bool. Returns float32
    like dots and like query_scale.
    """
    z = dots.float() * (query_scale * key_scale)
    z = z.masked_fill(unseen, -torch.inf)
    value_largest = value_scale.masked_fill(unseen, 0.0).amax(dim=-1, keepdim=True)
    weight = exp_integer(z.amax(dim=-1, keepdim=True) - z, ATTENTION_ONE)
    total = weight.sum(dim=-1, keepdim=True)  # int64
    share = torch.clamp(value_scale * ratio(1.0, value_largest), max=1.0)
    return torch.round(weight.float() * share), value_largest / total.float()


def attention(
    f: Tensor, q_gain: Tensor | None, k_gain: Tensor | None, eps: float, query_factor: float,
    cos: Tensor, sin: Tensor, window: int, start: int, cache: _Cache, query_most: float, key_most: float,
    out_most: float,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Attend from `steps` new positions of every window of the batch to the last `window` ones.

    f: (batch, steps, qkv_rows) float32; start: position of the first new step; cos, sin:
    (steps, head_dim / 2), empty for none; query_most ...: largest integers of queries, keys and the result.
    The new keys and values go into the cache. Returns integers (batch, steps, heads * head_dim) and scales
    (batch, steps, 1).
    """
    batch, steps, _ = f.shape
    _, kv_heads, capacity, dim = cache.keys.shape
    f = f.reshape(batch, steps, -1, dim)
    q, k, v = f[:, :, : -2 * kv_heads], f[:, :, -2 * kv_heads : -kv_heads], f[:, :, -kv_heads:]
    group = q.shape[2] // kv_heads
    if q_gain is not None and k_gain is not None:
        q, k = norm_head(q, q_gain, eps), norm_head(k, k_gain, eps)
    if len(cos):
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)

    now = torch.arange(start, start + steps, device=f.device)
    for x, ring, ring_scale in ((k, cache.keys, cache.key_scale), (v, cache.values, cache.value_scale)):
        whole, scale = quantise(x.transpose(1, 2), key_most if ring is cache.keys else QUANT)
        ring.index_copy_(2, now % capacity, whole.to(ring.dtype))  # (batch, kv_heads, steps, .)
        ring_scale.index_copy_(2, now % capacity, scale[..., 0])

    slots, last = min(start + steps, capacity), start + steps - 1
    position = last - (last - torch.arange(slots, device=f.device)) % capacity  # the newest in each slot
    unseen = (position > now[:, None]) | (position <= now[:, None] - window)
    keys, values = cache.keys[:, :, :slots].double(), cache.values[:, :, :slots].double()
    key_scale, value_scale = (s[:, :, None, None, :slots] for s in (cache.key_scale, cache.value_scale))
    # Head h reads key head h // group.
    queries, query_scale = quantise(q.reshape(batch, steps, kv_heads, group, dim).transpose(1, 2), query_most)
    dots = (queries.double().flatten(2, 3) @ keys.mT).reshape(batch, kv_heads, steps, group, slots)
    weights, factor = softmax(dots, query_scale * query_factor, key_scale, value_scale, unseen[:, None])
    mixed = (weights.double().flatten(2, 3) @ values).reshape(batch, kv_heads, steps, group, dim)
    out = mixed.float() * factor
    return quantise(out.transpose(1, 2).reshape(batch, steps, -1), out_most)


def activate(f: Tensor, gelu: bool, gated: bool, most: float = QUANT) -> tuple[Tensor, Tensor]:
    """Apply the activation to f, or to its first half (..., inner), times the second, if gated; integers and scales."""
    g, up = f.chunk(2, dim=-1) if gated else (f, f)
    v = ((g * g) * GELU_3 + GELU_1) * g if gelu else g
    e = exp_integer(v.abs(), OUTPUT_ONE).float() * (1 / OUTPUT_ONE)
    a = torch.where(v > 0, g, g * e) / (e + 1.0)
    return quantise(a * up if gated else a, most)


def frequencies(z: Tensor) -> Tensor:
    """Turn logits z (..., alphabet) into frequencies >= 1, int32, that add up to FREQUENCY_TOTAL.

    The part that rounding leaves over goes to the first of the most likely symbols.
    """
    alphabet = z.shape[-1]
    room = FREQUENCY_TOTAL - alphabet
    z_largest = z.amax(dim=-1, keepdim=True)
    weights = exp_integer(z_largest - z, OUTPUT_ONE)
    total = weights.sum(dim=-1, keepdim=True).double()  # from int64
    share = constant(room, total) / total
    share = share * (1 - 2.0**-40)
    c = (weights.double() * share).int()
    left = room - c.sum(dim=-1, keepdim=True)
    index = torch.arange(alphabet, device=z.device)
    best = index.masked_fill(z != z_largest, alphabet).amin(dim=-1, keepdim=True)
    return c + 1 + left.int().masked_fill(index != best, 0)


def _padded(x: Tensor, rows: int) -> Tensor:
    """Pad x with zeros to a multiple of `rows` rows and 8 columns, as CUDA's int8 product wants."""
    return functional.pad(x, (0, -x.shape[1] % 8, 0, -x.shape[0] % rows))


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class TorchEngine:
    """Evaluate an exact network on a torch device."""

    def __init__(self, weights: Weights, device: str = "cuda", product: str | None = None) -> None:
        """product: a name from products.PRODUCTS; None: the first that is exact on the device."""
        self.config, self.device = weights.config, device
        c = self.config
        self._product = PRODUCTS[product or best_product(device)]
        names = [*c.matrix_shapes(), "head"]
        self._prepared = {n: self._product.prepare(_padded(self._put(weights.matrix(n).values), 8)) for n in names}
        self._scales = {n: self._put(weights.matrix(n).scale) for n in [*names, *c.table_shapes()]}
        self._gains = {n: self._put(gain) for n, gain in weights.gains.items()}
        self._biases = {n: self._put(bias) for n, bias in weights.biases.items()}
        self._tables = {n: self._put(weights.matrix(n).values) for n in c.table_shapes()}
        self._most = {name: float(c.largest(name)) for name in c.wide}
        self._query_factor = float(np.float32(1 / math.sqrt(c.head_dim)))
        self._rope = (torch.empty(0), torch.empty(0))

    def start(self, batch: int, steps: int) -> TorchState:
        """See Engine.start."""
        c = self.config
        shape = (batch, c.num_key_value_heads, c.capacity(steps))
        layers = []
        for i in range(c.num_hidden_layers):
            dtype = torch.int16 if f"layers.{i}.key" in c.wide else torch.int8
            keys = torch.zeros(*shape, c.head_dim, dtype=dtype, device=self.device)
            values = torch.zeros(*shape, c.head_dim, dtype=torch.int8, device=self.device)
            key_scale, value_scale = torch.zeros(2, *shape, dtype=torch.float32, device=self.device)
            layers.append(_Cache(keys, values, key_scale, value_scale))
        return TorchState(steps, 0, layers)

    def forward(self, state: TorchState, ids: NDArray[np.int32]) -> NDArray[np.uint32]:
        """See Engine.forward. The operations are too small to share: torch keeps to one thread meanwhile."""
        with _one_thread():
            q = self._normalised("norm", self._hidden(state, ids), "head")
            out = frequencies(self._multiply("head", *q))
            return out.transpose(0, 1).contiguous().cpu().numpy().view(np.uint32)

    def read(self, state: TorchState, ids: NDArray[np.int32]) -> None:
        """See Engine.read."""
        with _one_thread():
            self._hidden(state, ids)

    def _hidden(self, state: TorchState, ids: NDArray[np.int32]) -> Tensor:
        """Read ids (batch, steps) and return the residual behind the last layer, (batch, steps, hidden)."""
        c, gains, eps = self.config, self._gains, self.config.rms_norm_eps
        if ids.shape[1] > state.steps:
            raise ValueError(f"the state was started for calls of at most {state.steps} steps, not {ids.shape[1]}")
        check_context(c, state.position, ids.shape[1])
        start, state.position = state.position, state.position + ids.shape[1]
        cos, sin = self._rope_between(start, state.position)
        ids_here = torch.tensor(ids, dtype=torch.int64, device=self.device)
        x = embed(ids_here, self._tables["embedding"], self._scales["embedding"])
        if "positions" in self._tables:
            now = torch.arange(start, state.position, device=self.device)
            x = x + embed(now, self._tables["positions"], self._scales["positions"])
        for i, cache in enumerate(state.layers):
            layer = f"layers.{i}."
            f = self._multiply(layer + "qkv", *self._normalised(layer + "attention_norm", x, layer + "qkv"))
            heads = attention(
                f, gains.get(layer + "q_norm"), gains.get(layer + "k_norm"), eps, self._query_factor,
                cos, sin, c.sliding_window, start, cache,
                *(self._most.get(layer + name, QUANT) for name in ("query", "key", "out")),
            )  # fmt: skip
            x = x + self._multiply(layer + "out", *heads)
            f = self._multiply(layer + "gate_up", *self._normalised(layer + "mlp_norm", x, layer + "gate_up"))
            inner = activate(f, c.hidden_act == "gelu_tanh", c.gated, self._most.get(layer + "down", QUANT))
            x = x + self._multiply(layer + "down", *inner)
        return x

    def _normalised(self, norm: str, x: Tensor, product: str) -> tuple[Tensor, Tensor]:
        """Return x behind a norm as the left factor of a product."""
        most = self._most.get(product, QUANT)
        return norm_quantise(x, self._gains[norm], self._biases.get(norm), self.config.rms_norm_eps, most)

    def _multiply(self, name: str, q: Tensor, scale: Tensor) -> Tensor:
        """Return the float32 product of q (batch, steps, inputs) and scale (batch, steps, 1) with a matrix, plus bias.

        A left factor of more than 8 bits is 128 times a high part plus a low one.
        """
        weight_scale, prepared, bias = self._scales[name], self._prepared[name], self._biases.get(name)
        rows = _padded(q.flatten(0, 1), 1)
        if q.dtype == torch.int8:
            y = self._product.multiply(rows, prepared)
        else:
            high = (rows + 64) >> 7
            low = rows - (high << 7)
            parts = [self._product.multiply(part.to(torch.int8), prepared) for part in (high, low)]
            y = (parts[0] << 7) + parts[1]
        f = y[:, : len(weight_scale)].reshape(*q.shape[:2], -1).float() * (scale * weight_scale)
        return f if bias is None else f + bias

    def _put(self, x: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(x).to(self.device)

    def _rope_between(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return cos and sin of the positions, (positions, head_dim / 2)."""
        if stop > len(self._rope[0]):
            c, size = self.config, max(stop, 256, 2 * len(self._rope[0]))
            cos, sin = rope_tables(c, size)
            self._rope = self._put(cos), self._put(sin)
        return self._rope[0][start:stop], self._rope[1][start:stop]
