"""The float parent of the exact network (`lmzip.models.exact`).

While `Matrix.quantised`, every matrix product sees weights rounded to 7 bits and activations to 8, and rows of tables
are rounded too, exactly as in the exact network, with straight-through gradients.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from lmzip.models.exact.config import NetworkConfig
from lmzip.models.exact.ngrams import BEFORE, rows_of
from lmzip.models.exact.weights import NIBBLE_MAX

WEIGHT_MAX, ACTIVATION_MAX = 63, 127  # lmzip.models.exact.arithmetic explains the bounds
CHUNK = 64  # queries of windowed_attention


def rounded(x: Tensor, largest: int) -> Tensor:
    """Round each row to integers of at most `largest` times a scale; gradients pass straight."""
    scale = x.abs().amax(dim=-1, keepdim=True).clamp(min=1e-8) / largest
    return x + (torch.round(x / scale) * scale - x).detach()


class Matrix(nn.Linear):
    """A product without bias that can see what the exact network will see."""

    quantised = False

    def __init__(self, inputs: int, outputs: int, zero: bool = False) -> None:
        super().__init__(inputs, outputs, bias=False)
        nn.init.zeros_(self.weight) if zero else nn.init.normal_(self.weight, std=inputs**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Return the products (..., outputs)."""
        weight = self.weight
        if self.quantised:
            x, weight = rounded(x, ACTIVATION_MAX), rounded(weight, WEIGHT_MAX)
        return F.linear(x, weight)


def looked_up(table: nn.Embedding, rows: Tensor, largest: int) -> Tensor:
    """Return rows of a table, as the exact network will see them."""
    return rounded(table(rows), largest) if Matrix.quantised else table(rows)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply rotary position embedding to x (batch, heads, time, head_dim)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def windowed_attention(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """Return what queries (batch, heads, time, head_dim) find in keys and values (batch, KV heads, time, head_dim).

    A query sees its own position and the window - 1 before it. Queries are cut into chunks, each beside all keys that
    it may see, and heads that share keys lie one below the other. So nearly everything is large plain products: on a
    CPU the whole step takes a third less time than with scaled_dot_product_attention and a mask. No maximum is taken
    off the scores before exp: queries and keys have norms.
    """
    batch, heads, time_, dim = q.shape
    kv = k.shape[1]
    chunks = -(-time_ // CHUNK)
    behind = chunks * CHUNK - time_
    queries = torch.arange(chunks * CHUNK, device=q.device).view(chunks, 1, CHUNK, 1)
    keys = queries[:, :, :1] - window + torch.arange(window + CHUNK, device=q.device)
    seen = (keys >= 0) & (keys <= queries) & (keys > queries - window)  # (chunks, 1, CHUNK, keys)
    q = F.pad(q, (0, 0, 0, behind)).view(batch, kv, heads // kv, chunks, CHUNK, dim).transpose(2, 3).flatten(3, 4)
    k, v = (F.pad(x, (0, 0, window, behind)).unfold(2, window + CHUNK, CHUNK) for x in (k, v))
    scores = (q @ k).unflatten(3, (heads // kv, CHUNK)).float() * dim**-0.5  # (batch, kv, chunks, group, CHUNK, keys)
    weights = scores.exp() * seen
    y = (weights.type_as(v).flatten(3, 4) @ v.mT).unflatten(3, (heads // kv, CHUNK))
    y = (y / weights.sum(-1, keepdim=True)).type_as(v)
    return y.transpose(2, 3).reshape(batch, heads, -1, dim)[:, :, :time_]


def window_mask(window: int, time: int, device: str) -> BlockMask:
    """Return for FlexAttention which keys each of `time` queries sees: its own position, the window - 1 before it."""

    def sees(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (key <= query) & (key > query - window)

    return create_block_mask(sees, None, None, time, time, device)


class Layer(nn.Module):
    """Attention and gated feed-forward, each behind a norm and added to the residual."""

    def __init__(self, c: NetworkConfig) -> None:
        super().__init__()
        self.config = c
        heads = c.num_attention_heads * c.head_dim
        self.attention_norm = nn.RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.qkv = Matrix(c.hidden_size, c.qkv_rows)
        if c.qk_norm:
            self.q_norm = nn.RMSNorm(c.head_dim, c.rms_norm_eps)
            self.k_norm = nn.RMSNorm(c.head_dim, c.rms_norm_eps)
        self.out = Matrix(heads, c.hidden_size, zero=True)
        self.mlp_norm = nn.RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.gate_up = Matrix(c.hidden_size, 2 * c.intermediate_size)
        self.down = Matrix(c.intermediate_size, c.hidden_size, zero=True)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: BlockMask | None = None) -> Tensor:
        """Return the residual x (batch, time, hidden) after the layer; the mask is that of FlexAttention."""
        c = self.config
        batch, time_, _ = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(batch, time_, -1, c.head_dim).transpose(1, 2)
        kv = c.num_key_value_heads
        q, k, v = qkv.split((c.num_attention_heads, kv, kv), dim=1)  # (batch, heads, time, head_dim)
        if c.qk_norm:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k = rotate(q, cos, sin).type_as(v), rotate(k, cos, sin).type_as(v)
        if mask is None:
            y = windowed_attention(q, k, v, c.sliding_window)
        else:
            y = flex_attention(q, k, v, block_mask=mask, enable_gqa=True)
        y = y.transpose(1, 2).reshape(batch, time_, -1)
        x = x + self.out(y)
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


class Network(nn.Module):
    """The float parent of the exact network."""

    def __init__(self, c: NetworkConfig) -> None:
        super().__init__()
        self.config = c
        self.embedding = nn.Embedding(c.vocab_size + 2, c.hidden_size)
        nn.init.normal_(self.embedding.weight, std=0.5 * c.hidden_size**-0.5)
        if c.ngram_rows:
            self.ngrams = nn.Embedding(c.ngram_rows, c.hidden_size)
            nn.init.zeros_(self.ngrams.weight)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.num_hidden_layers))
        self.norm = nn.RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.head = None if c.tie_word_embeddings else Matrix(c.hidden_size, c.vocab_size)

    def forward(self, ids: Tensor, mask: BlockMask | None = None) -> Tensor:
        """Return logits (batch, time, vocab_size) after each of ids (batch, time)."""
        c = self.config
        positions = torch.arange(ids.shape[1], device=ids.device)
        steps = torch.arange(0, c.head_dim, 2, device=ids.device) / c.head_dim
        angles = positions[:, None] * c.rope_theta**-steps
        x = looked_up(self.embedding, ids, WEIGHT_MAX)
        if c.ngram_rows:
            for rows in rows_of(F.pad(ids, (BEFORE, 0), value=c.cut_start), c.ngram_rows):
                x = x + looked_up(self.ngrams, rows, NIBBLE_MAX)
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        for layer in self.layers:
            x = layer(x, cos, sin, mask)
        x = self.norm(x)
        if self.head is not None:
            return self.head(x)
        weight = self.embedding.weight[: c.vocab_size]
        if Matrix.quantised:
            x, weight = rounded(x, ACTIVATION_MAX), rounded(weight, WEIGHT_MAX)
        return F.linear(x, weight)

    def loss(
        self, ids: Tensor, targets: Tensor, mask: BlockMask | None = None, weights: Tensor | None = None
    ) -> Tensor:
        """Return the mean code length in nats, a weighted one where there are weights (batch, time).

        Targets that are marks do not count. A mask is for FlexAttention.
        """
        logits = self(ids, mask).float().flatten(0, 1)
        targets = targets.flatten()
        targets = torch.where(targets < self.config.vocab_size, targets, -100)
        if weights is None:
            return F.cross_entropy(logits, targets)
        weights = weights.flatten() * (targets >= 0)
        return (F.cross_entropy(logits, targets, reduction="none") * weights).sum() / weights.sum()
