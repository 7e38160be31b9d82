"""Vocabularies in the form of Hugging Face's `tokenizer.json` as byte strings.

Three kinds are understood: byte-level BPE (GPT-2, Llama 3, Qwen, SmolLM2), BPE of SentencePiece with
U+2581 for spaces (Llama 2, Mistral), and Unigram. The tokenizer is kept but for what changes the text or adds
to it: normalisation, a space in front, special tokens.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from lmzip.models.networks.imported_tokenizer import FORMAT, NONE, SPACE

VOCABULARY_LIMIT = 1 << 19

Values = dict[str, Any]
_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")
# Steps in front of the model that keep all of the text.
_KEEPING = ("Split", "Digits", "Punctuation", "UnicodeScripts", "ByteLevel", "Metaspace")


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """A model's symbols.

    values: what ImportedTokenizer reads, for JSON. ids: the original id whose row each symbol has, by symbol. added:
    how many of the symbols the model does not know: bytes with the row of an unknown or special token.
    """

    values: Values
    ids: list[int]
    added: int


def convert(tokenizer: Values) -> Vocabulary:
    """Turn a `tokenizer.json` into symbols; raises ValueError where its tokens are not byte strings."""
    try:
        tokens, kind = _tokens(tokenizer), _kind(tokenizer)
        words = _words(tokenizer, tokens, kind)
        special = [
            token["id"]
            for token in tokenizer.get("added_tokens") or []
            if token not in words and not _is_merged(token, kind)
        ]
        unknown = _unknown(tokenizer["model"], tokens)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"tokenizer.json: {error!r} is missing or not what it should be") from error
    hidden = {*special, *([] if unknown is None else [unknown])}
    spell = _byte_level if kind == "bytes" else _spaced
    strings = {i: spell(token) for i, token in tokens.items() if i not in hidden}
    found = {word["id"]: word["content"].encode("utf-8") for word in words}
    strings |= found
    best: dict[bytes, int] = {}
    # Of several tokens with the same bytes the one that texts have has the row: added ones are looked for first, and
    # spellings of bytes last.
    for i in sorted(strings, key=lambda i: (_is_byte(tokens.get(i, "")), i not in found, i)):
        if strings[i]:
            best.setdefault(strings[i], i)
    stand_in = unknown if unknown is not None else min(special, default=min(tokens))
    missing = [bytes([b]) for b in range(256) if bytes([b]) not in best]
    best |= dict.fromkeys(missing, stand_in)
    if len(best) > VOCABULARY_LIMIT:
        raise ValueError(f"{len(best):,} tokens; {VOCABULARY_LIMIT:,} are the most")
    vocabulary = sorted(best)
    index = {string: symbol for symbol, string in enumerate(vocabulary)}
    size = max([*tokens, *strings]) + 1
    values = {
        "lmzip": FORMAT,
        "spaced": kind == "spaced",
        "symbols": [index.get(strings.get(i) or b"", NONE) for i in range(size)],
        "tokenizer": _plain(tokenizer, kind, tokens, words),
        "tokens": [string.decode("latin-1") for string in vocabulary],
    }
    return Vocabulary(values, [best[string] for string in vocabulary], len(missing))


def _tokens(tokenizer: Values) -> dict[int, str]:
    """Return the model's tokens by id."""
    model = tokenizer["model"]
    kind = model.get("type") or ("Unigram" if "unk_id" in model else "BPE")
    if kind == "Unigram":
        return {i: piece for i, (piece, _) in enumerate(model["vocab"])}
    if kind != "BPE":
        raise ValueError(f"a tokenizer of the type {kind} cannot be mapped to bytes; BPE and Unigram can")
    if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        raise ValueError("a tokenizer that marks the ends or the insides of words cannot be mapped to bytes")
    return {i: token for token, i in model["vocab"].items()}


def _words(tokenizer: Values, tokens: dict[int, str], kind: str) -> list[Values]:
    """Return the added tokens that are nothing but text, such as GPT-NeoX's runs of spaces, ordered by id.

    They are either among the model's tokens (Gemma) or behind them. The library numbers the latter itself, so they must
    be what their ids are.
    """
    added = sorted(tokenizer.get("added_tokens") or [], key=lambda token: token["id"])
    words = [token for token in added if _is_text(token) and not _is_merged(token, kind)]
    inside = [word for word in words if tokens.get(word["id"]) == word["content"]]
    behind = [word for word in words if word["id"] not in tokens]
    first = max(tokens) + 1
    if [word["id"] for word in behind] != list(range(first, first + len(behind))):
        return inside
    return inside + behind


def _is_text(token: Values) -> bool:
    """Return whether an added token is found wherever its characters stand."""
    changing = ("special", "single_word", "lstrip", "rstrip")
    return bool(token["content"]) and not any(token.get(key, True) for key in changing)


def _is_merged(token: Values, kind: str) -> bool:
    """Return whether an added token is text that only merges make: Gemma's runs of spaces, spelled with U+2581."""
    return kind == "spaced" and _is_text(token) and SPACE in token["content"]


def _is_byte(token: str) -> bool:
    return _BYTE_TOKEN.fullmatch(token) is not None


def _unknown(model: Values, tokens: dict[int, str]) -> int | None:
    if model.get("unk_id") is not None:
        return int(model["unk_id"])
    return next((i for i, token in tokens.items() if token == model.get("unk_token")), None)


def _kind(tokenizer: Values) -> str:
    """Return `bytes` where characters stand for bytes, `spaced` where U+2581 stands for a space."""
    steps = _steps(tokenizer.get("pre_tokenizer")) + _steps(tokenizer.get("decoder"))
    if any(step["type"] == "ByteLevel" for step in steps):
        return "bytes"
    normalizers = _steps(tokenizer.get("normalizer"))
    replaces = any(step["type"] == "Replace" and step.get("content") == SPACE for step in normalizers)
    if replaces or any(step["type"] == "Metaspace" for step in steps):
        return "spaced"
    raise ValueError("a tokenizer that is neither byte-level nor of SentencePiece's kind cannot be mapped to bytes")


def _steps(part: Values | None) -> list[Values]:
    """Return the steps of a normalizer, pre-tokenizer or decoder, sequences opened."""
    if part is None:
        return []
    if part["type"] != "Sequence":
        return [part]
    inner = next(part[key] for key in ("pretokenizers", "normalizers", "decoders") if key in part)
    return [step for each in inner for step in _steps(each)]


def _plain(tokenizer: Values, kind: str, tokens: dict[int, str], words: list[Values]) -> Values:
    """Return the tokenizer without what changes the text or adds to it."""
    model = dict(tokenizer["model"], dropout=None)
    if model.get("unk_token") not in (None, *tokens.values()):
        model["unk_token"] = None
    if kind == "bytes":
        steps = [_kept(step) for step in _steps(tokenizer.get("pre_tokenizer"))]
    elif "Metaspace" in {step["type"] for step in _steps(tokenizer.get("pre_tokenizer"))}:
        # Words are cut as the model's own does; all other steps only drop white space.
        steps = [_kept(step) for step in _steps(tokenizer["pre_tokenizer"]) if step["type"] in _KEEPING]
    else:
        steps = []
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": words, "post_processor": None,
        "decoder": None,
        "normalizer": spaces if kind == "spaced" else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps} if steps else None,
        "model": model,
    }  # fmt: skip


def _kept(step: Values) -> Values:
    if step["type"] not in _KEEPING or step.get("behavior", "Isolated") == "Removed":
        raise ValueError(
            f"a tokenizer with the step {step['type']} drops parts of the text and cannot be mapped to bytes"
        )
    if step["type"] == "ByteLevel":
        return {**step, "add_prefix_space": False}
    if step["type"] == "Metaspace":
        step = {**step, "prepend_scheme": "never"}
        step.pop("add_prefix_space", None)
    return step


def _spaced(token: str) -> bytes:
    byte = _BYTE_TOKEN.fullmatch(token)
    return bytes.fromhex(byte[1]) if byte else token.replace(SPACE, " ").encode("utf-8")


def _byte_level(token: str) -> bytes:
    """Return the bytes of a byte-level token; nothing where a character stands for none."""
    values = [_BYTE_OF.get(character, -1) for character in token]
    return bytes(values) if -1 not in values else b""


def _byte_characters() -> dict[str, int]:
    """Return the character that stands for each byte: the printable ones of Latin-1, then those from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}


_BYTE_OF = _byte_characters()
