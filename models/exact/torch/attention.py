"""The attention of a layer in plain torch operations. See `torch/rows.py` for the rules that they keep."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import torch
from torch import Tensor

from lmzip.models.exact import arithmetic
from lmzip.models.exact.torch.rows import QUANT, exp_integer, norm_row, quantise, ratio

ATTENTION_ONE = float(arithmetic.ATTENTION_ONE)


@dataclasses.dataclass
class Cache:
    """Keys and values of one layer: rings of `capacity` positions."""

    keys: Tensor  # (batch, kv_heads, capacity, head_dim) int8, or int16 where they are wide
    values: Tensor  # the same, int8
    key_scale: Tensor  # (batch, kv_heads, capacity) float32
    value_scale: Tensor


class Heads(NamedTuple):
    """What an attention does to its heads."""

    query_gain: Tensor | None  # (head_dim,) of the norm of a query; None: no such norm
    key_gain: Tensor | None  # likewise of a key
    eps: float  # of these norms
    query_factor: float  # that the scale of a query is multiplied by
    window: int  # positions that a query sees
    query_most: float  # the largest integers that queries, keys and the joined heads are rounded to
    key_most: float
    out_most: float


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


def attention(f: Tensor, heads: Heads, cos: Tensor, sin: Tensor, start: int, cache: Cache) -> tuple[Tensor, Tensor]:
    """Attend from `steps` new positions of every window of the batch to the last ones.

    f: (batch, steps, qkv_rows) float32; start: position of the first new step; cos, sin: (steps, head_dim / 2), empty
    for none. The new keys and values go into the cache. Returns integers (batch, steps, heads * head_dim) and scales
    (batch, steps, 1).
    """
    batch, steps, _ = f.shape
    _, kv_heads, capacity, dim = cache.keys.shape
    f = f.reshape(batch, steps, -1, dim)
    q, k, v = f[:, :, : -2 * kv_heads], f[:, :, -2 * kv_heads : -kv_heads], f[:, :, -kv_heads:]
    group = q.shape[2] // kv_heads
    if heads.query_gain is not None and heads.key_gain is not None:
        q, k = norm_row(q, heads.query_gain, heads.eps), norm_row(k, heads.key_gain, heads.eps)
    if len(cos):
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)

    now = torch.arange(start, start + steps, device=f.device)
    for x, ring, ring_scale in ((k, cache.keys, cache.key_scale), (v, cache.values, cache.value_scale)):
        whole, scale = quantise(x.transpose(1, 2), heads.key_most if ring is cache.keys else QUANT)
        ring.index_copy_(2, now % capacity, whole.to(ring.dtype))  # (batch, kv_heads, steps, .)
        ring_scale.index_copy_(2, now % capacity, scale[..., 0])

    slots, last = min(start + steps, capacity), start + steps - 1
    position = last - (last - torch.arange(slots, device=f.device)) % capacity  # the newest in each slot
    unseen = (position > now[:, None]) | (position <= now[:, None] - heads.window)
    keys, values = cache.keys[:, :, :slots].double(), cache.values[:, :, :slots].double()
    key_scale, value_scale = (s[:, :, None, None, :slots] for s in (cache.key_scale, cache.value_scale))
    # Head h reads key head h // group.
    queries, query_scale = quantise(q.reshape(batch, steps, kv_heads, group, dim).transpose(1, 2), heads.query_most)
    dots = (queries.double().flatten(2, 3) @ keys.mT).reshape(batch, kv_heads, steps, group, slots)
    weights, factor = softmax(dots, query_scale * heads.query_factor, key_scale, value_scale, unseen[:, None])
    mixed = (weights.double().flatten(2, 3) @ values).reshape(batch, kv_heads, steps, group, dim)
    out = mixed.float() * factor
    return quantise(out.transpose(1, 2).reshape(batch, steps, -1), heads.out_most)
