"""What the families of networks look like: Hugging Face's `config.json` and names of tensors, in our words.

Nothing here depends on an installed version of transformers: what a `config.json` leaves out has the value
that its family's first release gave it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from lmzip.models.exact.arithmetic import WINDOW_LIMIT
from lmzip.models.exact.config import NetworkConfig
from lmzip.models.exact.rope import Scaling

DEFAULT_CONTEXT = 1024  # more remembers more, of less and less use, in as much more memory and time
REREAD_SHARE = 4  # a full context is read again from its last fourth on

Values = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Names:
    """Where a family keeps its tensors: names without `.weight` and `.bias`, in a layer behind `layers.`."""

    prefixes: tuple[str, ...]  # one of them stands before all names but the head's
    layer: str  # such as `layers.{}.`
    matrices: dict[str, tuple[str, ...]]  # ours to those whose rows are joined
    norms: dict[str, str]
    embedding: str
    positions: str = ""
    head: str = "lm_head"
    vectors: dict[str, str] = dataclasses.field(default_factory=dict)  # of a layer, without an ending
    transposed: bool = False  # matrices of layers are (inputs, outputs)
    added: float = 0.0  # to the gains of norms
    factors: dict[str, float] = dataclasses.field(default_factory=dict)  # of the embedding and of norms, by our names


_LLAMA = Names(
    prefixes=("model.",),
    layer="layers.{}.",
    matrices={
        "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "out": ("self_attn.o_proj",),
        "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
        "down": ("mlp.down_proj",),
    },
    norms={
        "attention_norm": "input_layernorm", "mlp_norm": "post_attention_layernorm",
        "q_norm": "self_attn.q_norm", "k_norm": "self_attn.k_norm", "norm": "norm",
    },
    embedding="embed_tokens",
)  # fmt: skip
_GPT2 = Names(
    prefixes=("transformer.", ""),
    layer="h.{}.",
    matrices={"qkv": ("attn.c_attn",), "out": ("attn.c_proj",), "gate_up": ("mlp.c_fc",), "down": ("mlp.c_proj",)},
    norms={"attention_norm": "ln_1", "mlp_norm": "ln_2", "norm": "ln_f"},
    embedding="wte",
    positions="wpe",
    transposed=True,
)
_GEMMA3 = dataclasses.replace(
    _LLAMA,
    norms={
        "attention_norm": "input_layernorm", "attention_post_norm": "post_attention_layernorm",
        "mlp_norm": "pre_feedforward_layernorm", "mlp_post_norm": "post_feedforward_layernorm",
        "q_norm": "self_attn.q_norm", "k_norm": "self_attn.k_norm", "norm": "norm",
    },
    added=1.0,
)  # fmt: skip
_RWKV = Names(
    prefixes=("rwkv.",),
    layer="blocks.{}.",
    matrices={
        "time_key": ("attention.key",), "time_value": ("attention.value",),
        "time_receptance": ("attention.receptance",), "out": ("attention.output",),
        "channel_key": ("feed_forward.key",), "channel_receptance": ("feed_forward.receptance",),
        "down": ("feed_forward.value",),
    },
    norms={"attention_norm": "ln1", "mlp_norm": "ln2", "embedding_norm": "blocks.0.pre_ln", "norm": "ln_out"},
    embedding="embeddings",
    head="head",
    vectors={
        "time_key_mix": "attention.time_mix_key", "time_value_mix": "attention.time_mix_value",
        "time_receptance_mix": "attention.time_mix_receptance", "channel_key_mix": "feed_forward.time_mix_key",
        "channel_receptance_mix": "feed_forward.time_mix_receptance", "decay": "attention.time_decay",
        "first": "attention.time_first",
    },
)  # fmt: skip


def _llama(c: Values, **changes: Any) -> Values:
    """Return the fields of a network of Llama's kind."""
    heads = c["num_attention_heads"]
    theta, scaling = _rope(c)
    biases = {"attention_bias": ("qkv", "out"), "mlp_bias": ("gate_up", "down")}
    fields = {
        "hidden_size": c["hidden_size"],
        "intermediate_size": c["intermediate_size"],
        "num_hidden_layers": c["num_hidden_layers"],
        "num_attention_heads": heads,
        "num_key_value_heads": c.get("num_key_value_heads") or heads,
        "head_dim": c.get("head_dim") or c["hidden_size"] // heads,
        "hidden_act": _activation(c.get("hidden_act", "silu")),
        "rms_norm_eps": c.get("rms_norm_eps", 1e-6),
        "rope_theta": theta,
        "rope_scaling": scaling,
        "tie_word_embeddings": c.get("tie_word_embeddings", False),
        "biases": tuple(name for key, names in biases.items() if c.get(key) for name in names),
        "context": c.get("max_position_embeddings", 2048),
    }
    return fields | changes


def _mistral(c: Values) -> Values:
    fields = _llama(c | {"num_key_value_heads": c.get("num_key_value_heads", 8)})
    return fields | {"sliding_window": c.get("sliding_window", 4096)}


def _qwen2(c: Values) -> Values:
    return _llama(c, biases=("qkv",), sliding_window=_qwen_window(c))


def _qwen3(c: Values) -> Values:
    return _llama(c | {"head_dim": c.get("head_dim", 128)}, qk_norm=True, sliding_window=_qwen_window(c))


def _qwen_window(c: Values) -> int | None:
    """Return the sliding window of all layers; None: there is none."""
    if not c.get("use_sliding_window"):
        return None
    kinds = set(c.get("layer_types") or ["sliding_attention" if c.get("max_window_layers") == 0 else "mixed"])
    if kinds == {"full_attention"}:
        return None
    if kinds != {"sliding_attention"}:
        raise ValueError("layers with and without a sliding window (use_sliding_window) are not supported")
    return c.get("sliding_window")


def _gpt2(c: Values) -> Values:
    if c.get("scale_attn_by_inverse_layer_idx") or not c.get("scale_attn_weights", True):
        raise ValueError("this scaling of attention is not supported (scale_attn_by_inverse_layer_idx)")
    heads = c["n_head"]
    return {
        "hidden_size": c["n_embd"],
        "intermediate_size": c.get("n_inner") or 4 * c["n_embd"],
        "num_hidden_layers": c["n_layer"],
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "head_dim": c["n_embd"] // heads,
        "hidden_act": _activation(c.get("activation_function", "gelu_new")),
        "gated": False,
        "norm": "layer",
        "positions": "learned",
        "rms_norm_eps": c.get("layer_norm_epsilon", 1e-5),
        "tie_word_embeddings": c.get("tie_word_embeddings", True),
        "biases": ("qkv", "out", "gate_up", "down"),
        "context": c.get("n_positions", 1024),
    }


def _gemma3(c: Values) -> Values:
    """Return the fields of a network of Gemma 3's; its constant factors go into the embedding and the gains.

    A tied head has the factor of the embedding, which the last norm takes back.
    """
    for key in ("attn_logit_softcapping", "final_logit_softcapping", "use_bidirectional_attention"):
        if c.get(key):
            raise ValueError(f"networks with {key} are not supported")
    layers, head_dim, tied = c["num_hidden_layers"], c.get("head_dim", 256), c.get("tie_word_embeddings", True)
    pattern = c.get("sliding_window_pattern", 6)
    kinds = c.get("layer_types") or ["full_attention" if i % pattern == 0 else "" for i in range(1, layers + 1)]
    ropes = c.get("rope_parameters") or {}
    full = ropes.get("full_attention") or {"rope_theta": c.get("rope_theta", 1e6), **(c.get("rope_scaling") or {})}
    local = ropes.get("sliding_attention") or {"rope_theta": c.get("rope_local_base_freq", 10000.0)}
    if local.get("rope_type", "default") != "default":
        raise ValueError("scaled rotary embeddings of local layers are not supported")
    theta, scaling = _rope({"rope_parameters": full})
    scale = math.sqrt(c["hidden_size"])
    factors = {"embedding": scale, "q_norm": math.sqrt(head_dim / c.get("query_pre_attn_scalar", 256))}
    changes = {
        "head_dim": head_dim, "hidden_act": _activation(c.get("hidden_activation") or "gelu_pytorch_tanh"),
        "rope_theta": theta, "rope_scaling": scaling, "tie_word_embeddings": tied, "qk_norm": True, "post_norms": True,
        "local_layers": tuple(i for i, kind in enumerate(kinds) if kind != "full_attention"),
        "local_window": c.get("sliding_window", 4096), "local_rope_theta": float(local.get("rope_theta", 10000.0)),
        "context": c.get("max_position_embeddings", 131072),
        "factors": factors | ({"norm": 1 / scale} if tied else {}),
    }  # fmt: skip
    return _llama(c | {"rope_parameters": {"rope_theta": theta}}, **changes)


def _rwkv(c: Values) -> Values:
    size, eps = c["hidden_size"], c.get("layer_norm_epsilon", 1e-5)
    if (c.get("attention_hidden_size") or size) != size:
        raise ValueError("a time mixing of another size than the rest is not supported (attention_hidden_size)")
    if eps != 1e-5:  # the last norm has this one whatever the config says
        raise ValueError(f"layer_norm_epsilon must be 1e-5 in all norms, not {eps}")
    return {
        "hidden_size": size,
        "intermediate_size": c.get("intermediate_size") or 4 * size,
        "num_hidden_layers": c["num_hidden_layers"],
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "head_dim": size,
        "norm": "layer",
        "positions": "none",
        "mixer": "rwkv4",
        "rms_norm_eps": eps,
        "tie_word_embeddings": c.get("tie_word_embeddings", False),
        "sliding_window": 2,  # the position and the one before; all others are in the state
        "context": None,
    }


# model_type of config.json: how its values and its tensors are read.
FAMILIES: dict[str, tuple[Callable[[Values], Values], Names]] = {
    "llama": (_llama, _LLAMA),
    "mistral": (_mistral, _LLAMA),
    "qwen2": (_qwen2, _LLAMA),
    "qwen3": (_qwen3, _LLAMA),
    "gpt2": (_gpt2, _GPT2),
    "gemma3_text": (_gemma3, _GEMMA3),
    "rwkv": (_rwkv, _RWKV),
}


def read_config(values: Values, context: int | None = None) -> tuple[NetworkConfig, Names]:
    """Turn a `config.json` into the network's shape and the names of its tensors.

    context: positions to use, DEFAULT_CONTEXT if None; the network's own number and WINDOW_LIMIT bound it. Recurrent
    networks have no end of positions if it is None.
    vocab_size stays what `values` says. Raises ValueError where an exact network cannot do the same.
    """
    kind = values.get("model_type")
    if kind not in FAMILIES:
        raise ValueError(
            f"the architecture {kind!r} is not one of those that are evaluated exactly: {', '.join(FAMILIES)}"
        )
    if values.get("quantization_config"):
        raise ValueError("the weights are quantised already; take the model they were made from")
    read, names = FAMILIES[kind]
    try:
        fields = read(values)
        longest = fields.pop("context")
        positions = min(longest, WINDOW_LIMIT, context or DEFAULT_CONTEXT) if longest else context or 0
        window = fields.pop("sliding_window", None) or positions
        window = min(window, positions or window)
        if fields.get("local_layers"):
            fields["local_window"] = min(fields["local_window"], window)
        names = dataclasses.replace(names, factors=fields.pop("factors", {}))
        config = NetworkConfig(
            vocab_size=values["vocab_size"], sliding_window=window, context=positions,
            reread=positions // REREAD_SHARE, **fields,
        )  # fmt: skip
    except KeyError as error:
        raise ValueError(f"config.json lacks {error}") from error
    except TypeError as error:
        raise ValueError(f"config.json: {error}") from error
    return config, names


def _activation(name: str) -> str:
    known = {"silu": "silu", "swish": "silu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh"}
    if name not in known:
        raise ValueError(f"the activation {name!r} is not one of {', '.join(known)}")
    return known[name]


def _rope(c: Values) -> tuple[float, Scaling]:
    """Return theta and scaling, from `rope_parameters` or the older `rope_theta` and `rope_scaling`."""
    values = c.get("rope_parameters") or {"rope_theta": c.get("rope_theta", 10000.0), **(c.get("rope_scaling") or {})}
    theta = float(values.get("rope_theta", 10000.0))
    kind = values.get("rope_type", values.get("type", "default"))
    if c.get("partial_rotary_factor", values.get("partial_rotary_factor", 1)) != 1:
        raise ValueError("rotary embeddings of parts of a head are not supported (partial_rotary_factor)")
    if kind == "default":
        return theta, ()
    if kind == "linear":
        return theta, ("linear", float(values["factor"]))
    if kind == "llama3":
        keys = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
        return theta, ("llama3", *(float(values[key]) for key in keys))
    raise ValueError(f"rotary embeddings scaled by {kind!r} are not supported: only default, linear and llama3")
