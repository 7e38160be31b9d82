"""GGUF files of the small models of language_models.py, as llama.cpp's converters would write them.

Names of tensors are the `gguf` package's own, so that nothing here repeats what the import says.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf.constants import GGMLQuantizationType as Kind
from numpy.typing import NDArray
from safetensors.numpy import load_file

ARCHITECTURES = {"mistral": "llama", "gemma3_text": "gemma3"}  # by model_type, where they differ
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
Tensors = dict[str, NDArray[np.float32]]
Change = Callable[["gguf.GGUFWriter", Tensors], None]


def permute(weights: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Order the rows of Llama's queries or keys as llama.cpp wants them."""
    halves = weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
    return halves.swapaxes(1, 2).reshape(weights.shape)


def llama3_factors(rope: dict[str, Any], head_dim: int) -> NDArray[np.float32]:
    """Return what llama.cpp divides the frequencies of Llama 3 by."""
    factors = []
    for i in range(0, head_dim, 2):
        wavelength = 2 * math.pi * rope["rope_theta"] ** (i / head_dim)
        low, high = (rope["original_max_position_embeddings"] / rope[f"{end}_freq_factor"] for end in ("low", "high"))
        if wavelength < high:
            factors.append(1.0)
        elif wavelength > low:
            factors.append(rope["factor"])
        else:
            smooth = (rope["original_max_position_embeddings"] / wavelength - rope["low_freq_factor"]) / (
                rope["high_freq_factor"] - rope["low_freq_factor"]
            )
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(factors, np.float32)


def tensors_of(folder: Path, config: dict[str, Any]) -> Tensors:
    """Return the tensors of a model of Hugging Face's under GGUF's names and in its order of rows."""
    kind = config["model_type"]
    architecture = ARCHITECTURES.get(kind, kind)
    number = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
    names = gguf.get_tensor_name_map(number, config.get("num_hidden_layers") or config["n_layer"])
    found = {}
    for name, value in load_file(folder / "model.safetensors").items():
        value = value.astype(np.float32)
        if architecture == "llama" and "q_proj" in name:
            value = permute(value, config["num_attention_heads"])
        if architecture == "llama" and "k_proj" in name:
            value = permute(value, config["num_key_value_heads"])
        if kind == "gpt2" and ".c_" in name and value.ndim == 2:
            value = value.T
        if kind == "gemma3_text" and "norm" in name:
            value = value + 1
        new = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert new is not None, name
        found[new] = np.ascontiguousarray(value)
    rope = config.get("rope_parameters") or {}
    if rope.get("rope_type") == "llama3":
        found["rope_freqs.weight"] = llama3_factors(rope, config["head_dim"])
    return found


def add_metadata(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    """Write what the config says."""
    if config["model_type"] == "gpt2":
        writer.add_context_length(config["n_positions"])
        writer.add_embedding_length(config["n_embd"])
        writer.add_feed_forward_length(4 * config["n_embd"])
        writer.add_block_count(config["n_layer"])
        writer.add_head_count(config["n_head"])
        writer.add_layer_norm_eps(config["layer_norm_epsilon"])
        return
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    rope = config["rope_parameters"]
    full = rope.get("full_attention", rope)
    writer.add_rope_freq_base(full["rope_theta"])
    if full["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(full["factor"])
    if "sliding_attention" in rope:
        writer.add_float32("gemma3.rope.freq_base_swa", rope["sliding_attention"]["rope_theta"])
        writer.add_uint32("gemma3.attention.sliding_window_pattern", 1 + config["layer_types"].index("full_attention"))
    if "head_dim" in config:
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
    if config.get("sliding_window"):
        writer.add_sliding_window(config["sliding_window"])


def add_tokenizer(writer: gguf.GGUFWriter, tokenizer: dict[str, Any]) -> None:
    """Write a tokenizer.json with a BPE: byte-level with its merges, or SentencePiece's with scores."""
    vocab = {i: token for token, i in tokenizer["model"]["vocab"].items()}
    tokens = [vocab[i] for i in range(len(vocab))]
    special = {token["content"] for token in tokenizer["added_tokens"]}
    types = [CONTROL if token in special else BYTE if token.startswith("<0x") else NORMAL for token in tokens]
    merges = [tuple(merge) for merge in tokenizer["model"]["merges"]]
    writer.add_token_list(tokens)
    if tokenizer["model"]["byte_fallback"]:
        rank = {left + right: -float(i) for i, (left, right) in reversed(list(enumerate(merges)))}
        writer.add_tokenizer_model("llama")
        writer.add_token_scores([rank.get(token, -1e6) for token in tokens])
        types[0] = UNKNOWN
        writer.add_unk_token_id(0)
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_merges([" ".join(merge) for merge in merges])
    writer.add_token_types(types)


def write_gguf(
    folder: Path, path: Path, kind: Kind = Kind.F32, *, change: Change | None = None, tensors_a_file: int = 0
) -> Path:
    """Write the model in a folder of Hugging Face's; matrices have the type `kind`. Returns the path of the first file.

    change: alters the writer or the tensors before they are written. tensors_a_file: of a split GGUF.
    """
    config = json.loads((folder / "config.json").read_text())
    architecture = ARCHITECTURES.get(config["model_type"], config["model_type"])
    writer = gguf.GGUFWriter(path, architecture, split_max_tensors=tensors_a_file)
    add_metadata(writer, config)
    add_tokenizer(writer, json.loads((folder / "tokenizer.json").read_text()))
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    tensors = tensors_of(folder, config)
    if change:
        change(writer, tensors)
    for name, value in tensors.items():
        if value.ndim == 2 and kind != Kind.F32:
            writer.add_tensor(name, gguf.quantize(value, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path if path.exists() else sorted(path.parent.glob(f"{path.stem}-00001-of-*.gguf"))[0]
