"""The exact network in plain torch operations, for any device: the arithmetic, stated once more.

See `torch/rows.py` for the rules that keep the integers the same.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from lmzip.models.exact.config import CHANNEL, TIME
from lmzip.models.exact.engine import check_context, rope_of
from lmzip.models.exact.ngrams import BEFORE, rows_of
from lmzip.models.exact.torch.attention import Cache, Heads, attention
from lmzip.models.exact.torch.products import PRODUCTS, best_product
from lmzip.models.exact.torch.recurrence import Recurrence, mix, recur, shift
from lmzip.models.exact.torch.rows import (
    QUANT,
    activate,
    embed,
    frequencies,
    layer_norm,
    norm_quantise,
    norm_row,
    quantise,
    sigmoid,
)
from lmzip.models.exact.torch.threads import torch_threads
from lmzip.models.exact.weights import Weights

Rope = tuple[Tensor, Tensor]  # cos and sin, (steps, head_dim / 2); empty for none


@dataclasses.dataclass
class TorchState:
    """The memory of a batch of windows. Position p is in slot p % capacity of every cache."""

    steps: int  # most in a call
    position: int
    before: Tensor  # (batch, BEFORE) the last ids
    layers: list[Any]


def _padded(x: Tensor, rows: int) -> Tensor:
    """Pad x with zeros to a multiple of `rows` rows and 8 columns, as CUDA's int8 product wants."""
    return functional.pad(x, (0, -x.shape[1] % 8, 0, -x.shape[0] % rows))


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

    def start(self, batch: int, steps: int, threads: int = 1) -> TorchState:
        """See Engine.start. torch has threads of its own."""
        layers = range(self.config.num_hidden_layers)
        before = torch.zeros(batch, BEFORE, dtype=torch.int64, device=self.device)
        if self.config.is_recurrent:
            return TorchState(steps, 0, before, [self._no_recurrence(batch) for _ in layers])
        return TorchState(steps, 0, before, [self._cache(batch, steps, i) for i in layers])

    def _cache(self, batch: int, steps: int, layer: int) -> Cache:
        c = self.config
        shape = (batch, c.num_key_value_heads, c.capacity(steps, layer))
        dtype = torch.int16 if f"layers.{layer}.key" in c.wide else torch.int8
        keys = torch.zeros(*shape, c.head_dim, dtype=dtype, device=self.device)
        values = torch.zeros(*shape, c.head_dim, dtype=torch.int8, device=self.device)
        key_scale, value_scale = torch.zeros(2, *shape, dtype=torch.float32, device=self.device)
        return Cache(keys, values, key_scale, value_scale)

    def _no_recurrence(self, batch: int) -> Recurrence:
        return Recurrence.empty(batch, self.config.hidden_size, self.config.head_dim, self.device)

    def forward(self, state: TorchState, ids: NDArray[np.int32]) -> NDArray[np.uint32]:
        """See Engine.forward. The operations are too small to share: torch keeps to one thread meanwhile."""
        with torch_threads(1):
            q = self._normalised("norm", self._hidden(state, ids), "head")
            out = frequencies(self._multiply("head", *q))
            return out.transpose(0, 1).contiguous().cpu().numpy().view(np.uint32)

    def read(self, state: TorchState, ids: NDArray[np.int32]) -> None:
        """See Engine.read."""
        with torch_threads(1):
            self._hidden(state, ids)

    def _hidden(self, state: TorchState, ids: NDArray[np.int32]) -> Tensor:
        """Read ids (batch, steps) and return the residual behind the last layer, (batch, steps, hidden)."""
        c = self.config
        if ids.shape[1] > state.steps:
            raise ValueError(f"the state was started for calls of at most {state.steps} steps, not {ids.shape[1]}")
        check_context(c, state.position, ids.shape[1])
        start, state.position = state.position, state.position + ids.shape[1]
        ids_here = torch.tensor(ids, dtype=torch.int64, device=self.device)
        x = embed(ids_here, self._tables["embedding"], self._scales["embedding"])
        if "ngrams" in self._tables:
            before = torch.full_like(state.before, c.cut_start) if start == 0 else state.before
            known = torch.cat((before, ids_here), dim=1)
            state.before = known[:, -BEFORE:]
            for rows in rows_of(known, c.ngram_rows):
                x = x + embed(rows, self._tables["ngrams"], self._scales["ngrams"])
        if c.is_recurrent:
            x = self._layer_norm("embedding_norm", x)
            if start == 0:
                state.layers = [self._no_recurrence(len(x)) for _ in state.layers]
        if "positions" in self._tables:
            now = torch.arange(start, state.position, device=self.device)
            x = x + embed(now, self._tables["positions"], self._scales["positions"])
        run = self._run_recurrent if c.is_recurrent else self._run_transformer
        usual, local = ((self._put(cos), self._put(sin)) for cos, sin in rope_of(c, start, state.position))
        for i, memory in enumerate(state.layers):
            x = run(i, x, memory, start, local if i in c.local_layers else usual)
        return x

    def _run_transformer(self, i: int, x: Tensor, cache: Cache, start: int, rope: Rope) -> Tensor:
        """Return the residual x (batch, steps, hidden) of the positions from `start` on behind layer i."""
        c, gains, eps, layer = self.config, self._gains, self.config.rms_norm_eps, f"layers.{i}."
        f = self._multiply(layer + "qkv", *self._normalised(layer + "attention_norm", x, layer + "qkv"))
        most = (self._most.get(layer + name, QUANT) for name in ("query", "key", "out"))
        heads = Heads(
            gains.get(layer + "q_norm"), gains.get(layer + "k_norm"), eps, self._query_factor, c.window(i), *most
        )
        x = x + self._post(
            layer + "attention", self._multiply(layer + "out", *attention(f, heads, *rope, start, cache))
        )
        f = self._multiply(layer + "gate_up", *self._normalised(layer + "mlp_norm", x, layer + "gate_up"))
        inner = activate(f, c.hidden_act == "gelu_tanh", c.gated, self._most.get(layer + "down", QUANT))
        return x + self._post(layer + "mlp", self._multiply(layer + "down", *inner))

    def _post(self, name: str, f: Tensor) -> Tensor:
        """Return what is added of the product f (batch, steps, hidden): itself, or normalised."""
        c = self.config
        return norm_row(f, self._gains[f"{name}_post_norm"], c.rms_norm_eps) if c.post_norms else f

    def _run_recurrent(self, i: int, x: Tensor, state: Recurrence, start: int, rope: Rope) -> Tensor:
        """Do the same for a layer of RWKV-4."""
        layer = f"layers.{i}."
        h = self._layer_norm(layer + "attention_norm", x)
        before, state.time = shift(h, state.time), h[:, -1]
        key, value, receptance = (self._mixed(layer + name, h, before) for name in TIME)
        read = recur(state, key, value, self._biases[layer + "decay"], self._biases[layer + "first"])
        x = x + self._multiply(layer + "out", *self._quantised(layer + "out", sigmoid(receptance) * read))
        h = self._layer_norm(layer + "mlp_norm", x)
        before, state.channel = shift(h, state.channel), h[:, -1]
        key, receptance = (self._mixed(layer + name, h, before) for name in CHANNEL)
        positive = key.clamp(min=0.0)
        inner = self._quantised(layer + "down", positive * positive)
        return x + sigmoid(receptance) * self._multiply(layer + "down", *inner)

    def _layer_norm(self, name: str, x: Tensor) -> Tensor:
        return layer_norm(x, self._gains[name], self._biases[name], self.config.rms_norm_eps)

    def _mixed(self, name: str, h: Tensor, before: Tensor) -> Tensor:
        """Return the product of a matrix with h (batch, steps, hidden) mixed with the rows before."""
        return self._multiply(name, *self._quantised(name, mix(h, before, self._gains[name + "_mix"])))

    def _quantised(self, name: str, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return x as the left factor of a product."""
        return quantise(x, self._most.get(name, QUANT))

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
