"""The shape of a decoder-only network, in the key names of Hugging Face's `config.json`."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from lmzip.models.exact.arithmetic import WINDOW_LIMIT


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """Llama family: RMSNorm, RoPE, grouped-query attention, sliding window, SwiGLU.

    vocab_size symbols are predicted. The input embedding has two more rows, the marks that
    stand before the first symbol of a window: `file_start` where the file begins, `cut_start`
    anywhere else.
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    sliding_window: int
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-5
    qk_norm: bool = False
    tie_word_embeddings: bool = True

    def __post_init__(self) -> None:
        sizes = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                 "num_key_value_heads", "head_dim", "sliding_window")  # fmt: skip
        for name in sizes:
            if not 1 <= getattr(self, name) < 1 << 24:
                raise ValueError(f"{name} must be 1 to 2**24 - 1, not {getattr(self, name)}")
        if self.sliding_window > WINDOW_LIMIT:
            raise ValueError(f"sliding_window must be at most {WINDOW_LIMIT}, not {self.sliding_window}")
        if not 2.0**-40 <= self.rms_norm_eps <= 1:
            raise ValueError(f"rms_norm_eps must be 2**-40 to 1, not {self.rms_norm_eps}")
        if not 1 <= self.rope_theta <= 1e12:
            raise ValueError(f"rope_theta must be 1 to 1e12, not {self.rope_theta}")
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError("num_attention_heads must be a multiple of num_key_value_heads")
        if self.head_dim % 2:
            raise ValueError("head_dim must be even")

    @property
    def file_start(self) -> int:
        """Id of the mark before a file's first symbol."""
        return self.vocab_size

    @property
    def cut_start(self) -> int:
        """Id of the mark before a window that begins inside a file."""
        return self.vocab_size + 1

    @property
    def qkv_rows(self) -> int:
        """Rows of the joined query, key and value projection."""
        return (self.num_attention_heads + 2 * self.num_key_value_heads) * self.head_dim

    def matrix_shapes(self) -> dict[str, tuple[int, int]]:
        """Name to (outputs, inputs) of every weight matrix but the embedding."""
        d, f = self.hidden_size, self.intermediate_size
        heads = self.num_attention_heads * self.head_dim
        shapes = {}
        for i in range(self.num_hidden_layers):
            shapes[f"layers.{i}.qkv"] = (self.qkv_rows, d)
            shapes[f"layers.{i}.out"] = (d, heads)
            shapes[f"layers.{i}.gate_up"] = (2 * f, d)
            shapes[f"layers.{i}.down"] = (d, f)
        if not self.tie_word_embeddings:
            shapes["head"] = (self.vocab_size, d)
        return shapes

    def to_json(self) -> str:
        """Return the config as JSON with sorted keys."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NetworkConfig:
        """Make a config from the keys it knows; unknown keys raise TypeError."""
        return cls(**values)
