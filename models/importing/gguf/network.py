"""The network in a GGUF: its config in the words of config.json, and its tensors by their names in Hugging Face's.

llama.cpp's converters rename tensors and change some: Llama's rows of queries and keys stand in another order, GPT-2's
matrices are transposed, and the gains of Gemma's norms have their 1 added. Here all of that is undone.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmzip.models.importing.families import FAMILIES, Names
from lmzip.models.importing.gguf.file import GGUFFile

Values = dict[str, Any]
Floats = NDArray[np.float32]
ROPE_FACTORS = "rope_freqs.weight"


@dataclasses.dataclass(frozen=True)
class Architecture:
    """How llama.cpp keeps a family's networks.

    Tensors are GGUF's names without `.weight` and `.bias` to Hugging Face's and the sizes of their dimensions, see
    `_sizes`; those of layers stand behind `blk.N.`.
    """

    read: Callable[[Metadata], Values]  # the values of config.json that only this family has
    tensors: dict[str, tuple[str, str]]
    layer: dict[str, tuple[str, str]]
    biases: tuple[str, ...] = ()  # of `tensors` and `layer`, those that may have one
    permuted: tuple[str, ...] = ()  # whose rows stand in another order: (i, half) of a head instead of (half, i)
    lowered: bool = False  # the gains of norms are 1 more than Hugging Face's


class Metadata:
    """The metadata of a network, by their keys without the architecture."""

    def __init__(self, values: Values) -> None:
        self.values, self.architecture = values, str(values.get("general.architecture"))

    def __getitem__(self, key: str) -> Any:
        value = self.get(key)
        if value is None:
            raise ValueError(f"the metadata lack {self.architecture}.{key}")
        return value

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, the only one where every layer has it."""
        value = self.values.get(f"{self.architecture}.{key}", default)
        if isinstance(value, list):
            if len(set(value)) != 1:
                raise ValueError(f"layers that differ in {self.architecture}.{key} are not supported")
            return value[0]
        return value


def _llama(metadata: Metadata) -> Values:
    window = metadata.get("attention.sliding_window")
    return {"model_type": "mistral", "sliding_window": window} if window else {"model_type": "llama"}


def _qwen2(metadata: Metadata) -> Values:
    return {"model_type": "qwen2", "use_sliding_window": False}


def _qwen3(metadata: Metadata) -> Values:
    return {"model_type": "qwen3", "use_sliding_window": False, "attention_bias": False}


def _gpt2(metadata: Metadata) -> Values:
    return {
        "model_type": "gpt2",
        "n_embd": metadata["embedding_length"],
        "n_inner": metadata["feed_forward_length"],
        "n_layer": metadata["block_count"],
        "n_head": metadata["attention.head_count"],
        "n_positions": metadata["context_length"],
        "layer_norm_epsilon": metadata["attention.layer_norm_epsilon"],
        "activation_function": "gelu_new",
    }


def _gemma3(metadata: Metadata) -> Values:
    """Return what llama.cpp knows without being told: every sixth layer sees all; the scale of queries."""
    layers, hidden, heads = (metadata[key] for key in ("block_count", "embedding_length", "attention.head_count"))
    window = metadata.get("attention.sliding_window")
    pattern = metadata.get("attention.sliding_window_pattern", 6)
    is_full = [not window or i % pattern == 0 for i in range(1, layers + 1)]
    return {
        "model_type": "gemma3_text",
        "hidden_activation": "gelu_pytorch_tanh",
        "sliding_window": window or metadata["context_length"],
        "layer_types": ["full_attention" if full else "sliding_attention" for full in is_full],
        # Of the published networks only that of 27 billion weights, with 62 layers, does not divide by the head's size.
        "query_pre_attn_scalar": hidden // heads if layers == 62 else metadata["attention.key_length"],
    }


_TOP = {"token_embd": ("embed_tokens", "vd"), "output_norm": ("norm", "d"), "output": ("lm_head", "vd")}
_ROPED = {
    "attn_norm": ("input_layernorm", "d"), "ffn_norm": ("post_attention_layernorm", "d"),
    "attn_q": ("self_attn.q_proj", "qd"), "attn_k": ("self_attn.k_proj", "kd"), "attn_v": ("self_attn.v_proj", "kd"),
    "attn_output": ("self_attn.o_proj", "dq"),
    "ffn_gate": ("mlp.gate_proj", "fd"), "ffn_up": ("mlp.up_proj", "fd"), "ffn_down": ("mlp.down_proj", "df"),
}  # fmt: skip
_QUERY_KEY_NORMS = {"attn_q_norm": ("self_attn.q_norm", "h"), "attn_k_norm": ("self_attn.k_norm", "h")}
_POST_NORMS = {
    "post_attention_norm": ("post_attention_layernorm", "d"), "ffn_norm": ("pre_feedforward_layernorm", "d"),
    "post_ffw_norm": ("post_feedforward_layernorm", "d"),
}  # fmt: skip
_ALL_BIASES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
_GPT2_LAYER = {
    "attn_norm": ("ln_1", "d"), "ffn_norm": ("ln_2", "d"), "attn_qkv": ("attn.c_attn", "ad"),
    "attn_output": ("attn.c_proj", "dd"), "ffn_up": ("mlp.c_fc", "fd"), "ffn_down": ("mlp.c_proj", "df"),
}  # fmt: skip

# general.architecture: how it is read. Mistral's networks are of the architecture llama.
ARCHITECTURES = {
    "llama": Architecture(_llama, _TOP, _ROPED, _ALL_BIASES, permuted=("attn_q", "attn_k")),
    "qwen2": Architecture(_qwen2, _TOP, _ROPED, ("attn_q", "attn_k", "attn_v")),
    "qwen3": Architecture(_qwen3, _TOP, _ROPED | _QUERY_KEY_NORMS),
    "gemma3": Architecture(
        _gemma3,
        _TOP,
        _ROPED | _QUERY_KEY_NORMS | _POST_NORMS,
        lowered=True,
    ),
    "gpt2": Architecture(
        _gpt2,
        {"token_embd": ("wte", "vd"), "position_embd": ("wpe", "cd"), "output_norm": ("ln_f", "d"),
         "output": ("lm_head", "vd")},
        _GPT2_LAYER,
        ("output_norm", *_GPT2_LAYER),
    ),
}  # fmt: skip
# What networks of other kinds have beside the same tensors; it changes what they compute.
_UNKNOWN = ("expert_count", "attention.scale", "logit_scale", "embedding_scale", "residual_scale",
            "attention.clamp_kqv", "final_logit_softcapping", "attn_logit_softcapping")  # fmt: skip


class Network:
    """The config and the tensors of a network in Hugging Face's words."""

    def __init__(self, values: Values, files: dict[str, GGUFFile]) -> None:
        """values: the metadata. files: where every tensor is. Raises ValueError where the network is not understood."""
        self._files, metadata = files, Metadata(values)
        if metadata.architecture not in ARCHITECTURES:
            raise ValueError(
                f"the architecture {metadata.architecture!r} is not one of those that are read from GGUF: "
                f"{', '.join(ARCHITECTURES)}"
            )
        for key in _UNKNOWN:
            if metadata.get(key):
                raise ValueError(f"a network with {metadata.architecture}.{key} is not supported")
        self._architecture = ARCHITECTURES[metadata.architecture]
        if "token_embd.weight" not in files:
            raise ValueError("the weights lack token_embd.weight: a GGUF of something else than a language model")
        self._sizes = _sizes(metadata, files["token_embd.weight"].tensors["token_embd.weight"].shape[0])
        self.config = self._config(metadata)
        self._names = self._names_of(FAMILIES[self.config["model_type"]][1], metadata["block_count"])

    def _config(self, metadata: Metadata) -> Values:
        """Return the values of config.json."""
        sizes = self._sizes
        values: Values = {
            "hidden_size": sizes["d"],
            "intermediate_size": sizes["f"],
            "num_hidden_layers": metadata["block_count"],
            "num_attention_heads": sizes["q"] // sizes["h"],
            "num_key_value_heads": sizes["k"] // sizes["h"],
            "head_dim": sizes["h"],
            "max_position_embeddings": metadata["context_length"],
            "vocab_size": sizes["v"],
            "tie_word_embeddings": "output.weight" not in self._files,
            "attention_bias": "blk.0.attn_output.bias" in self._files,
            "mlp_bias": "blk.0.ffn_down.bias" in self._files,
        }
        if "position_embd.weight" not in self._files:
            local = metadata.architecture == "gemma3"
            values["rope_parameters"] = self._ropes(metadata) if local else self._rope(metadata)
            values["rms_norm_eps"] = metadata["attention.layer_norm_rms_epsilon"]
        return values | self._architecture.read(metadata)

    def _rope(self, metadata: Metadata) -> Values:
        """Return the rope_parameters of config.json."""
        if metadata.get("rope.dimension_count", self._sizes["h"]) != self._sizes["h"]:
            raise ValueError("rotary embeddings of parts of a head are not supported (rope.dimension_count)")
        theta = metadata.get("rope.freq_base", 10000.0)
        kind = metadata.get("rope.scaling.type", "none")
        factor = metadata.get("rope.scaling.factor") or metadata.get("rope.scale_linear") or 1.0
        if ROPE_FACTORS in self._files:
            return {"rope_theta": theta, **llama3_scaling(self._files[ROPE_FACTORS].read(ROPE_FACTORS), theta)}
        if kind == "none" or factor == 1:
            return {"rope_theta": theta, "rope_type": "default"}
        return {"rope_theta": theta, "rope_type": kind, "factor": factor}

    def _ropes(self, metadata: Metadata) -> Values:
        """Return the rope_parameters of a network with local layers."""
        local = metadata.get("rope.freq_base_swa", 10000.0)
        return {
            "full_attention": self._rope(metadata),
            "sliding_attention": {"rope_theta": local, "rope_type": "default"},
        }

    def _names_of(self, names: Names, layers: int) -> dict[str, str]:
        """Return Hugging Face's names of all tensors, to GGUF's. Raises ValueError where one should not be there."""
        architecture = self._architecture
        expected: dict[str, tuple[str, str]] = {}
        found: dict[str, str] = {}
        for tensor, (part, shape) in architecture.tensors.items():
            expected[tensor] = (part if part == names.head else names.prefixes[0] + part), shape
        for i in range(layers):
            for tensor, (part, shape) in architecture.layer.items():
                expected[f"blk.{i}.{tensor}"] = names.prefixes[0] + names.layer.format(i) + part, shape
        for name, file in self._files.items():
            tensor, _, ending = name.rpartition(".")
            if name == ROPE_FACTORS:
                continue
            biased = tensor.rpartition(".")[2] in architecture.biases
            if tensor not in expected or not (ending == "weight" or (ending == "bias" and biased)):
                raise ValueError(f"the tensor {name} does not belong to the architecture: another one, or a newer form")
            part, dimensions = expected[tensor]
            lengths = tuple(self._sizes[dimension] for dimension in dimensions[: 1 if ending == "bias" else 2])
            if file.tensors[name].shape != lengths:
                raise ValueError(f"the tensor {name} has the shape {file.tensors[name].shape} instead of {lengths}")
            found[f"{part}.{ending}"] = name
        return found

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def tensor(self, name: str) -> Floats:
        """Return a tensor by Hugging Face's name. Raises ValueError where it is missing or not finite."""
        if name not in self._names:
            raise ValueError(f"the weights lack {name}: another architecture, or a file is missing")
        stored = self._names[name]
        value = self._files[stored].read(stored)
        if not np.isfinite(value).all():
            raise ValueError(f"the tensor {stored} holds numbers that are not finite")
        kind = stored.split(".")[-2]
        if kind in self._architecture.permuted:
            return unpermuted(value, self._sizes["h"])
        if self._architecture.lowered and kind.endswith("norm"):
            return value - np.float32(1)
        if self._architecture is ARCHITECTURES["gpt2"] and kind in _GPT2_LAYER and value.ndim == 2:
            return value.T
        return value


def _sizes(metadata: Metadata, rows: int) -> dict[str, int]:
    """Return the sizes of dimensions: the vocabulary, hidden, inner, queries, keys, all three, a head, positions."""
    heads, hidden = metadata["attention.head_count"], metadata["embedding_length"]
    numbers = (heads, hidden, metadata["block_count"], metadata["feed_forward_length"], metadata["context_length"])
    if not all(isinstance(number, int) and 0 < number < 1 << 24 for number in numbers):
        raise ValueError(f"the metadata are damaged: the sizes {', '.join(map(str, numbers))}")
    head = metadata.get("attention.key_length") or hidden // heads
    if metadata.get("attention.value_length", head) != head:
        raise ValueError("keys and values of different sizes are not supported")
    queries, keys = heads * head, (metadata.get("attention.head_count_kv") or heads) * head
    return {
        "v": rows, "d": hidden, "f": metadata["feed_forward_length"], "q": queries, "k": keys, "a": queries + 2 * keys,
        "h": head, "c": metadata["context_length"],
    }  # fmt: skip


def unpermuted(value: Floats, head_dim: int) -> Floats:
    """Return the rows of queries or keys (heads * head_dim, ...) in Hugging Face's order: first halves in front."""
    paired = value.reshape(-1, head_dim // 2, 2, *value.shape[1:])
    return np.ascontiguousarray(paired.swapaxes(1, 2)).reshape(value.shape)


def llama3_scaling(factors: Floats, theta: float) -> Values:
    """Return the rope_parameters whose frequencies are divided by `factors` (head_dim / 2,), as Llama 3's are.

    The converter keeps only the factors. low_freq_factor is 1 and high_freq_factor 4 in all of these models, the number
    of positions is a power of two. Raises ValueError where the factors are others.
    """
    values = factors.astype(np.float64)
    turns = theta ** (-np.arange(len(values)) / len(values)) / (2 * math.pi)  # a position
    factor, low, high = float(values.max()), 1.0, 4.0
    for exponent in range(4, 21):
        share = np.clip((turns * 2.0**exponent - low) / (high - low), 0, 1)
        if np.allclose(1 / ((1 - share) / factor + share), values, rtol=1e-4):
            return {
                "rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
                "original_max_position_embeddings": 1 << exponent,
            }  # fmt: skip
    raise ValueError(f"{ROPE_FACTORS} scales rotary embeddings in another way than Llama 3")
