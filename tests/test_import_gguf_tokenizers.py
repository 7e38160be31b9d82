"""Tokenizers of GGUF files: text is cut as llama.cpp cuts it, and any bytes come back."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from gguf_files import BYTE, CONTROL, NORMAL, UNKNOWN, USER_DEFINED
from language_models import PROSE, byte_level
from tokenizers import Tokenizer

from lmzip.models.importing.gguf.tokenizer import CUTS, read_tokenizer
from lmzip.models.importing.vocabulary import convert
from lmzip.models.networks.imported_tokenizer import ImportedTokenizer

ODD = "It's 12345 years\r\n\r\n  of HTMLParser's work,\n\tdon't  x=$5;  \u4e2d\u6587 e\u0301 <s>\n".encode() + bytes(
    range(256)
)


def byte_level_metadata(pre: str | None) -> dict[str, Any]:
    model = json.loads(byte_level().to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    values = {
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [CONTROL] * 4 + [NORMAL] * (len(tokens) - 4),
        "tokenizer.ggml.merges": [" ".join(merge) for merge in model["merges"]],
    }  # fmt: skip
    return values if pre is None else values | {"tokenizer.ggml.pre": pre}


def pieces(pre: str, text: str) -> list[str]:
    """Return what a text is cut into before its tokens are looked for."""
    values, _ = read_tokenizer(byte_level_metadata(pre))
    cutter = Tokenizer.from_str(json.dumps({"version": "1.0", **values, "added_tokens": []})).pre_tokenizer
    assert cutter is not None
    return [text[start:end] for _, (start, end) in cutter.pre_tokenize_str(text)]


@pytest.mark.parametrize("pre", CUTS)
def test_any_bytes_come_back(pre: str) -> None:
    values, notes = read_tokenizer(byte_level_metadata(pre))
    tokenizer = ImportedTokenizer(convert(values).values)
    data = PROSE[:3000].encode() + ODD
    assert notes == [] and tokenizer.decode(tokenizer.encode(data)) == data
    assert len(tokenizer.encode(PROSE[:3000].encode())) < 1800


@pytest.mark.parametrize(
    ("pre", "text", "cut"),
    [
        ("gpt-2", "it's 12345  x\n\n", ["it", "'s", " 12345", " ", " x", "\n\n"]),
        ("smollm", "it's 123 x", ["it", "'s", " ", "1", "2", "3", " x"]),
        ("llama-bpe", "it'S 12345  (x)\n\ny", ["it", "'S", " ", "123", "45", " ", " (", "x", ")\n\n", "y"]),
        ("qwen2", "it'S 123\n\ny", ["it", "'S", " ", "1", "2", "3", "\n\n", "y"]),
        ("tekken", "HTMLParser 12", ["HTMLParser", " ", "1", "2"]),
        ("gpt-4o", "camelCase's a/b 1234", ["camel", "Case's", " a", "/b", " ", "123", "4"]),
        ("falcon", "x==1234 y", ["x", "==", "123", "4", " y"]),
        ("deepseek-v3", "ab\u4e2d\u65871234.x", ["ab", "\u4e2d\u6587", "123", "4", ".x"]),
    ],
)
def test_text_is_cut_as_llama_cpp_does_it(pre: str, text: str, cut: list[str]) -> None:
    assert pieces(pre, text) == cut


@pytest.mark.parametrize("pre", [None, "a-newer-one"])
def test_cuts_that_are_not_known(pre: str | None) -> None:
    values, notes = read_tokenizer(byte_level_metadata(pre))
    assert values == read_tokenizer(byte_level_metadata("gpt-2"))[0]
    assert len(notes) == 1 and f"tokenizer.ggml.pre is {pre!r}" in notes[0]


# SentencePiece's.

TOKENS: list[tuple[str, int, float]] = [
    ("<unk>", UNKNOWN, 0), ("<s>", CONTROL, 0), ("</s>", CONTROL, 0), ("\n\n", USER_DEFINED, -1000),
    ("  ", USER_DEFINED, -1000), *[(f"<0x{byte:02X}>", BYTE, 0) for byte in range(256)],
    ("\u2581a", NORMAL, -1), ("bc", NORMAL, -2), ("ab", NORMAL, -3), ("\u2581abc", NORMAL, -4), ("\u2581", NORMAL, -5),
    ("a", NORMAL, -6), ("b", NORMAL, -7), ("c", NORMAL, -8),
]  # fmt: skip
SPACED = {
    "tokenizer.ggml.model": "llama", "tokenizer.ggml.unknown_token_id": 0,
    "tokenizer.ggml.tokens": [token for token, _, _ in TOKENS],
    "tokenizer.ggml.token_type": [kind for _, kind, _ in TOKENS],
    "tokenizer.ggml.scores": [score for _, _, score in TOKENS],
}  # fmt: skip


def test_merges_of_scores() -> None:
    vocabulary = convert(read_tokenizer(SPACED)[0])
    tokenizer = ImportedTokenizer(vocabulary.values)

    def spelled(data: bytes) -> list[bytes]:
        return [tokenizer.vocabulary[symbol] for symbol in tokenizer.encode(data)]

    assert spelled(b" abc") == [b" abc"]  # of " a" and "bc"
    assert spelled(b"abc") == [b"a", b"bc"]  # the better pair first
    assert spelled(b"ab\n\n\n") == [b"ab", b"\n\n", b"\n"]  # words of the user's are found first
    assert spelled(b"a  bc") == [b"a", b"  ", b"bc"]
    assert spelled(b"<s>") == [b"<", b"s", b">"]
    assert vocabulary.ids[tokenizer.vocabulary.index(b"\n\n")] == 3
    assert vocabulary.ids[tokenizer.vocabulary.index(b"  ")] == 4
    assert vocabulary.ids[tokenizer.vocabulary.index(b"\n")] == 5 + 10
    assert vocabulary.added == 0
    assert tokenizer.decode(tokenizer.encode(ODD)) == ODD


def test_gemmas_runs_of_spaces_are_merged() -> None:
    """Where Hugging Face's file has them as added tokens with U+2581, only merges make them."""
    values, _ = read_tokenizer(SPACED)
    model = values["model"]
    del model["vocab"]["  "]
    model["vocab"]["\u2581\u2581"] = 4
    model["merges"].append(["\u2581", "\u2581"])
    values["added_tokens"][4]["content"] = "\u2581\u2581"
    vocabulary = convert(values)
    tokenizer = ImportedTokenizer(vocabulary.values)
    assert vocabulary.ids[tokenizer.vocabulary.index(b"  ")] == 4
    assert tokenizer.encode(b"   ").tolist() == [tokenizer.vocabulary.index(b"  "), tokenizer.vocabulary.index(b" ")]
    assert np.array_equal(np.unique(tokenizer.encode(b" " * 40)), [tokenizer.vocabulary.index(b"  ")])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenizer.ggml.unknown_token_id": 999}, "unknown token has the id 999, of 269"),
        ({"tokenizer.ggml.scores": [1.0]}, "lack the scores"),
        ({"tokenizer.ggml.tokens": [1, 2]}, "lack the tokens"),
        ({"tokenizer.ggml.model": None}, "of the kind None cannot be mapped to bytes"),
        ({"tokenizer.ggml.tokens": ["x"] * (1 << 20), "tokenizer.ggml.token_type": [1] * (1 << 20)}, "524,288 are"),
    ],
)
def test_tokenizers_that_are_damaged(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_tokenizer(SPACED | changes)
