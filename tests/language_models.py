"""Small models in Hugging Face's formats, of every family and every kind of tokenizer, for the tests of the import."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    RwkvConfig,
    RwkvForCausalLM,
)

PROSE = (Path(__file__).parent.parent / "corpora" / "samples" / "france_at_war.txt").read_text()
SPECIAL = ["<unk>", "<s>", "</s>", "<|endoftext|>"]
SIZE = 600  # tokens
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def byte_level(normalizer: Any = None) -> Tokenizer:
    """Return a BPE over bytes, such as GPT-2's."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    if normalizer is not None:
        bpe.normalizer = normalizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator([PROSE], trainer)
    return bpe


def neox() -> Tokenizer:
    """Return a BPE over bytes that also has runs of spaces, such as GPT-NeoX's."""
    bpe = byte_level(normalizers.NFC())
    bpe.add_tokens([AddedToken(" " * count, normalized=True) for count in range(24, 1, -1)])
    return bpe


def sentencepiece() -> Tokenizer:
    """Return a BPE with byte fallback and U+2581 for spaces, such as Llama 2's."""
    bpe = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    bpe.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=SIZE, special_tokens=SPECIAL + BYTES, show_progress=False)
    bpe.train_from_iterator([PROSE], trainer)
    values = json.loads(bpe.to_str())
    values["added_tokens"] = values["added_tokens"][: len(SPECIAL)]
    values["pre_tokenizer"] = None
    prepend = {"type": "Prepend", "prepend": "\u2581"}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    values["normalizer"] = {"type": "Sequence", "normalizers": [prepend, replace]}
    return Tokenizer.from_str(json.dumps(values))


def unigram() -> Tokenizer:
    """Return a unigram vocabulary that knows few characters and normalises the text, such as XLM-R's."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("  ", " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=SIZE, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator([PROSE], trainer)
    return tokenizer


TOKENIZERS = {
    "byte_level": byte_level,
    "neox": neox,
    "nfc": lambda: byte_level(normalizers.NFC()),
    "sentencepiece": sentencepiece,
    "unigram": unigram,
}

_SHAPE = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 96, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
_GEMMA3 = {
    "full_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1000.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 50.0},
}
_LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}  # fmt: skip

# Family, or a variant of one: the class, its config and its tokenizer.
FAMILIES: dict[str, tuple[Any, Any, str]] = {
    "llama": (LlamaForCausalLM, lambda **k: LlamaConfig(**_SHAPE, **k, tie_word_embeddings=True), "byte_level"),
    "llama2": (LlamaForCausalLM, lambda **k: LlamaConfig(**_SHAPE, **k, attention_bias=True), "sentencepiece"),
    "llama3": (LlamaForCausalLM, lambda **k: LlamaConfig(**_SHAPE, **k, rope_parameters=_LLAMA3), "unigram"),
    "mistral": (MistralForCausalLM, lambda **k: MistralConfig(**_SHAPE, **k, sliding_window=24), "sentencepiece"),
    "qwen2": (Qwen2ForCausalLM, lambda **k: Qwen2Config(**_SHAPE, **k, tie_word_embeddings=True), "nfc"),
    "qwen3": (Qwen3ForCausalLM, lambda **k: Qwen3Config(**_SHAPE, **k, head_dim=32), "byte_level"),
    "gemma3": (
        Gemma3ForCausalLM,
        lambda **k: Gemma3TextConfig(
            **_SHAPE | {"num_hidden_layers": 3}, **k, head_dim=32, query_pre_attn_scalar=16, sliding_window=12,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"], rope_parameters=_GEMMA3,
            pad_token_id=None, attn_implementation="eager",
        ),
        "sentencepiece",
    ),
    "gpt2": (
        GPT2LMHeadModel,
        lambda **k: GPT2Config(
            n_embd=64, n_layer=2, n_head=4, n_positions=96, bos_token_id=3, eos_token_id=3, resid_pdrop=0.0,
            embd_pdrop=0.0, attn_pdrop=0.0, **k,
        ),
        "byte_level",
    ),
    "rwkv": (
        RwkvForCausalLM,
        lambda **k: RwkvConfig(hidden_size=64, num_hidden_layers=2, bos_token_id=3, eos_token_id=3, **k),
        "neox",
    ),
}  # fmt: skip


def train(model: PreTrainedModel, tokenizer: Tokenizer, steps: int, text: str) -> None:
    """Train for some steps on a text."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two would wait for each other most of the time
    ids = torch.tensor(tokenizer.encode(text, add_special_tokens=False).ids)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.0)
    generator = torch.Generator().manual_seed(0)
    model.train()
    for _ in range(steps):
        starts = torch.randint(len(ids) - 65, (8,), generator=generator)
        rows = torch.stack([ids[start : start + 64] for start in starts])
        rows[:, 0] = model.config.bos_token_id
        loss = model(input_ids=rows, labels=rows).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.set_num_threads(threads)
    model.eval()


def make_model(folder: Path, family: str, steps: int, text: str = PROSE) -> Path:
    """Write a model of a family, trained for some steps on a text, to a new folder."""
    make, config, kind = FAMILIES[family]
    tokenizer = TOKENIZERS[kind]()
    torch.manual_seed(0)
    size = tokenizer.get_vocab_size() + 8  # networks often have more rows than tokens
    model = make(config(vocab_size=size))
    for name, parameter in model.named_parameters():  # they begin as 0 and 1
        if "norm" in name or "ln" in name or name.endswith("bias"):
            torch.nn.init.normal_(parameter, 0.0 if name.endswith("bias") or family == "gemma3" else 1.0, 0.2)
    train(model, tokenizer, steps, text)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def parent_log_probabilities(folder: Path, ids: torch.Tensor) -> torch.Tensor:
    """Return log2 of the float model's probabilities after ids (windows, length)."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        return torch.log_softmax(model(ids).logits.double(), dim=-1) / math.log(2)
