"""Tokenizers of imported models: any bytes come back, in the model's own tokens where these keep them."""

from __future__ import annotations

import functools
import itertools
import json
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from language_models import BYTES, PROSE, SPECIAL, TOKENIZERS
from tokenizers import Tokenizer, models, pre_tokenizers

from lmzip.models.importing.vocabulary import Vocabulary, convert
from lmzip.models.networks import imported_tokenizer
from lmzip.models.networks.imported_tokenizer import ImportedTokenizer

KINDS = pytest.mark.parametrize("kind", TOKENIZERS)


@functools.cache
def original(kind: str) -> Tokenizer:
    return TOKENIZERS[kind]()


@functools.cache
def vocabulary(kind: str) -> Vocabulary:
    return convert(json.loads(original(kind).to_str()))


@functools.cache
def tokenizer(kind: str) -> ImportedTokenizer:
    return ImportedTokenizer.from_json(json.dumps(vocabulary(kind).values))


def spelled(kind: str, data: bytes) -> list[bytes]:
    """Return the byte strings that data is cut into."""
    return [tokenizer(kind).vocabulary[i] for i in tokenizer(kind).encode(data)]


ODD = [
    *SPECIAL, *BYTES, "\u2581", " \u2581 ", "e\u0301", "\ufeff", "\0", "  \n\t ", "\ufb01", "\uff21\uff22", "\u2028",
    "the war ",
]  # fmt: skip
BROKEN = [b"\xff", b"\xe2\x96", b"\x81", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80"]
pieces = st.one_of(
    st.binary(max_size=20),
    st.text(max_size=20).map(str.encode),
    st.sampled_from(ODD).map(str.encode),
    st.sampled_from(BROKEN),
)


@KINDS
@settings(max_examples=150, deadline=None)
@given(data=st.lists(pieces, max_size=12).map(b"".join))
def test_any_bytes_come_back(kind: str, data: bytes) -> None:
    symbols = tokenizer(kind).encode(data)
    assert symbols.dtype == np.int32 and tokenizer(kind).decode(symbols) == data


@KINDS
def test_every_character_comes_back(kind: str) -> None:
    for first in range(0, 0x110000, 0x1000):
        data = "".join(chr(c) for c in range(first, first + 0x1000) if not 0xD800 <= c < 0xE000).encode()
        assert tokenizer(kind).decode(tokenizer(kind).encode(data)) == data


@KINDS
def test_every_pair_of_bytes_comes_back(kind: str) -> None:
    pairs = list(itertools.product(range(256), repeat=2))
    random.Random(0).shuffle(pairs)
    data = bytes(itertools.chain.from_iterable(pairs))
    assert tokenizer(kind).decode(tokenizer(kind).encode(data)) == data


@KINDS
def test_tokens_are_the_models_own(kind: str) -> None:
    # One line without doubled spaces: what none of these tokenizers changes.
    text = " ".join(PROSE[5000:9000].split())
    ids = original(kind).encode(text, add_special_tokens=False).ids
    values = vocabulary(kind).values
    skipped = 0 if kind in ("byte_level", "neox", "nfc") else 3  # a space is put in front of the text
    own = [values["symbols"][i] for i in ids][skipped:]
    assert tokenizer(kind).encode(text.encode()).tolist()[-len(own) :] == own
    assert sum(len(token) > 1 for token in spelled(kind, text.encode())) > 0.5 * len(own)


def test_added_tokens_that_are_text_are_symbols() -> None:
    text = "if x:" + "\n        return" + 40 * " " + "x\n"
    values = vocabulary("neox").values
    own = [values["symbols"][i] for i in original("neox").encode(text).ids]
    assert tokenizer("neox").encode(text.encode()).tolist() == own
    assert b" " * 24 in spelled("neox", text.encode())
    rows = vocabulary("neox").ids
    assert [rows[symbol] for symbol in own] == original("neox").encode(text).ids
    added = json.loads(original("neox").to_str())["added_tokens"]
    first = len(SPECIAL)
    for changes in ({"id": 5000}, {"lstrip": True}, {"special": True}):  # with these they are not what they seem
        tokens = [*added[:first], added[first] | changes, *added[first + 1 :]]
        other = ImportedTokenizer(convert(changed("neox", added_tokens=tokens)).values)
        assert b" " * 24 not in other.vocabulary
        assert other.decode(other.encode(text.encode())) == text.encode()


@KINDS
def test_special_tokens_are_text(kind: str) -> None:
    for special in SPECIAL:
        data = f"France {special} at War{special}".encode()
        assert special.encode() not in spelled(kind, data)
        assert b"".join(spelled(kind, data)) == data


@KINDS
def test_what_was_unknown_leaves_the_rest_alone(kind: str) -> None:
    clean = spelled(kind, b" the women of France")
    assert spelled(kind, b"\xff the women of France\xff") == [b"\xff", *clean, b"\xff"]
    assert spelled(kind, b"\x07 the women of France")[1:] == clean
    mark = [bytes([byte]) for byte in "\u2581".encode()]
    if kind in ("sentencepiece", "unigram"):  # where it stands for a space
        assert spelled(kind, "\u2581 the women of France\u2581".encode()) == [*mark, *clean, *mark]


@pytest.mark.parametrize("size", [64, 1000])
@KINDS
def test_pieces_give_the_tokens_of_the_whole(kind: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = PROSE[:10_000].encode()
    monkeypatch.setattr(imported_tokenizer, "PIECE", 1 << 20)
    whole = tokenizer(kind).encode(data)
    monkeypatch.setattr(imported_tokenizer, "PIECE", size)
    assert np.array_equal(tokenizer(kind).encode(data), whole)


@KINDS
def test_pieces_without_a_place_to_cut(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imported_tokenizer, "PIECE", 10)
    for data in ("漢字" * 50).encode(), b"\x80" * 50, b"x" * 50, "😀".encode() * 20, b"":
        assert tokenizer(kind).decode(tokenizer(kind).encode(data)) == data


@KINDS
def test_vocabularies(kind: str) -> None:
    words, values = tokenizer(kind).vocabulary, vocabulary(kind).values
    assert words == sorted(set(words)) and b"" not in words
    assert {bytes([byte]) for byte in range(256)} <= set(words)
    assert [values["symbols"][original(kind).token_to_id(token)] for token in SPECIAL] == [-1] * 4
    for symbol, i in enumerate(vocabulary(kind).ids):  # a symbol has the row of a token that spells it
        assert values["symbols"][i] in (symbol, -1)


def test_a_character_is_preferred_to_the_spelling_of_its_byte() -> None:
    values, ids = vocabulary("sentencepiece").values, vocabulary("sentencepiece").ids
    symbol = tokenizer("sentencepiece").vocabulary.index(b"a")
    plain, byte = (original("sentencepiece").token_to_id(token) for token in ("a", "<0x61>"))
    assert ids[symbol] == plain
    assert values["symbols"][plain] == values["symbols"][byte] == symbol


def test_bytes_that_a_model_lacks_are_added() -> None:
    added = vocabulary("unigram")
    unknown = original("unigram").token_to_id("<unk>")
    assert added.added == added.ids.count(unknown) > 100
    assert vocabulary("byte_level").added == vocabulary("sentencepiece").added == 0


def changed(kind: str, **changes: Any) -> dict[str, Any]:
    values = json.loads(original(kind).to_str())
    model = values["model"] | changes.pop("model", {})
    return values | {"model": model} | changes


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "missing or not what it should be"),
        (json.loads(Tokenizer(models.WordPiece({"a": 0}, unk_token="a")).to_str()), "type WordPiece cannot be mapped"),
        (json.loads(Tokenizer(models.WordLevel({"a": 0}, unk_token="a")).to_str()), "type WordLevel cannot be mapped"),
        (lambda: changed("byte_level", model={"end_of_word_suffix": "</w>"}), "marks the ends"),
        (lambda: changed("byte_level", pre_tokenizer=None, decoder=None), "neither byte-level nor"),
        (
            lambda: changed("byte_level", pre_tokenizer=json.loads(
                pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel()]).__getstate__()
            )),
            "step Whitespace drops parts",
        ),
    ],
)  # fmt: skip
def test_tokenizers_that_cannot_be_mapped(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convert(values() if callable(values) else values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lmzip": "imported-9"}, "format 'imported-9'; this version reads imported-1"),
        ({"tokens": ["b", "a"]}, "not in byte order"),
        ({"tokens": ["a", "b"]}, "a single byte is missing"),
        ({"symbols": [1 << 20]}, "a symbol that there is not"),
        ({"symbols": "no"}, "tokenizer: "),
        ({"tokenizer": {"model": {"type": "Unknown"}}}, "cannot read it"),
    ],
)
def test_damaged_tokenizers(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImportedTokenizer(vocabulary("byte_level").values | changes)


def metaspace(scheme: str, split: bool) -> dict[str, Any]:
    return {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": split}


LLAMA_3 = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLIT = {"type": "Split", "pattern": {"Regex": LLAMA_3}, "behavior": "Isolated", "invert": False}
DIGITS = {"type": "Digits", "individual_digits": True}


def bytes_behind(step: dict[str, Any], **options: bool) -> dict[str, Any]:
    options = {"add_prefix_space": False, "trim_offsets": True, "use_regex": False} | options
    return {"type": "Sequence", "pretokenizers": [step, {"type": "ByteLevel", **options}]}


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("sentencepiece", {"normalizer": None, "pre_tokenizer": metaspace("first", False)}),
        ("sentencepiece", {"normalizer": None, "pre_tokenizer": metaspace("always", True)}),
        ("sentencepiece", {"normalizer": None, "pre_tokenizer": metaspace("never", False)}),
        ("byte_level", {"pre_tokenizer": bytes_behind(SPLIT)}),
        ("byte_level", {"pre_tokenizer": bytes_behind(DIGITS, add_prefix_space=True, use_regex=True)}),
    ],
)
def test_other_ways_to_say_the_same(kind: str, changes: dict[str, Any]) -> None:
    values = changed(kind, **changes)
    mapped = convert(values).values
    data = PROSE[:2000].encode() + "\n\n12345 \u2581x é漢 <s><0x41> \U0001f600".encode() + bytes(range(256))
    assert ImportedTokenizer(mapped).decode(ImportedTokenizer(mapped).encode(data)) == data
    text = " ".join(PROSE[5000:8000].split())
    own = [mapped["symbols"][i] for i in Tokenizer.from_str(json.dumps(values)).encode(text).ids]
    assert ImportedTokenizer(mapped).encode(text.encode()).tolist()[-500:] == own[-500:]
