"""The tokenizer in the metadata of a GGUF, as a `tokenizer.json`.

Two kinds are read: byte-level BPE with its merges (`gpt2`), and SentencePiece's BPE, whose merges follow from scores
(`llama`). Where text is cut in other places than the model's own tokenizer would, that costs ratio and never bytes,
since a symbol stands for bytes whatever cut them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from lmzip.models.importing.vocabulary import VOCABULARY_LIMIT
from lmzip.models.networks.imported_tokenizer import SPACE

Values = dict[str, Any]
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)  # types of tokens


class Cuts(NamedTuple):
    """Where a text is cut before its tokens are looked for."""

    patterns: tuple[str, ...]  # one after the other; what they match is a piece, and so is what stands between
    own: bool = False  # then GPT-2's pattern cuts the pieces
    whole_words: bool = False  # a piece that is a token is not cut further


_ENDINGS = "'s|'t|'re|'ve|'m|'ll|'d"
_GPT2 = rf"{_ENDINGS}| ?\p{{L}}+| ?\p{{N}}+| ?[^\s\p{{L}}\p{{N}}]+|\s+(?!\S)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"


def _words(digits: str) -> str:
    """Return the pattern of GPT-4 and its kind. digits: how many stand together, as a repetition."""
    return rf"(?i:{_ENDINGS})|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}"


def _cased(digits: str, ending: str) -> str:
    """Return the pattern of GPT-4o and its kind, which also cuts in front of a capital inside a word."""
    before, upper, lower = r"[^\r\n\p{L}\p{N}]?", r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
    words = rf"{before}{upper}*{lower}+{ending}|{before}{upper}+{lower}*{ending}"
    return rf"{words}|\p{{N}}{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"


_OWN = Cuts((), own=True)
_DIGITS = Cuts((r"\p{N}",), own=True)
_LLAMA3 = Cuts((_words("{1,3}"),), whole_words=True)
_CODE = (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}")
_DEEPSEEK = (
    r"\p{N}{1,3}", "[一-龥぀-ヿ]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"""
    rf""" ?[\p{{P}}\p{{S}}]+[\r\n]*|{_SPACES}""",
)  # fmt: skip
# tokenizer.ggml.pre: how the text is cut.
CUTS = {
    **dict.fromkeys(("gpt-2", "phi-2", "olmo", "mpt", "jais", "trillion", "roberta-bpe", "granite-docling"), _OWN),
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"), _DIGITS),
    **dict.fromkeys(("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "lfm2"), _LLAMA3),
    **dict.fromkeys(("dbrx", "smaug-bpe", "chatglm-bpe", "glm4"), Cuts(_LLAMA3.patterns)),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "stablelm2", "hunyuan", "megrez"), Cuts((_words(""),))),
    **dict.fromkeys(("gpt-4o", "llama4"), Cuts((_cased("{1,3}", f"(?i:{_ENDINGS})?"),))),
    "tekken": Cuts((_cased("", ""),), whole_words=True),
    "falcon": Cuts((r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, "[0-9][0-9][0-9]")),
    "default": Cuts((r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", "[0-9][0-9][0-9]")),
    "deepseek-coder": Cuts(_CODE),
    "deepseek-v3": Cuts(_DEEPSEEK),
}


def read_tokenizer(metadata: Values) -> tuple[Values, list[str]]:
    """Return what a `tokenizer.json` would say, and what the user should know.

    Raises ValueError where the tokens cannot be mapped to bytes.
    """
    kind = metadata.get("tokenizer.ggml.model")
    if kind not in ("gpt2", "llama"):
        raise ValueError(
            f"a tokenizer of the kind {kind!r} cannot be mapped to bytes; gpt2 (byte-level BPE) and llama "
            "(SentencePiece) can"
        )
    tokens, types = _tokens(metadata)
    notes: list[str] = []
    if kind == "gpt2":
        cuts = _cuts(metadata, notes)
        model = _bpe(tokens, _merges(metadata, tokens)) | {"ignore_merges": cuts.whole_words}
        splits = [_split(pattern) for pattern in cuts.patterns]
        pieces: Values = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": cuts.own}
        steps: Values = {
            "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*splits, pieces]} if splits else pieces,
        }
    else:
        model = _bpe(tokens, _merges_of_scores(metadata, tokens, types))
        unknown = metadata.get("tokenizer.ggml.unknown_token_id", 0)
        if not (isinstance(unknown, int) and 0 <= unknown < len(tokens)):
            raise ValueError(f"the tokenizer's unknown token has the id {unknown}, of {len(tokens)}")
        model |= {"unk_token": tokens[unknown], "fuse_unk": True, "byte_fallback": True}
        replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
        steps = {"normalizer": replace, "pre_tokenizer": None}
    return {"added_tokens": _added(tokens, types), **steps, "model": model}, notes


def _tokens(metadata: Values) -> tuple[list[str], list[int]]:
    """Return the tokens by id and their types."""
    tokens = metadata.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, list) or not tokens or not all(isinstance(token, str) for token in tokens):
        raise ValueError("the metadata lack the tokens (tokenizer.ggml.tokens)")
    types = metadata.get("tokenizer.ggml.token_type", [NORMAL] * len(tokens))
    if not isinstance(types, list) or len(types) != len(tokens):
        raise ValueError("the metadata have not as many types of tokens as tokens")
    if len(tokens) > VOCABULARY_LIMIT:
        raise ValueError(f"{len(tokens):,} tokens; {VOCABULARY_LIMIT:,} are the most")
    return tokens, types


def _cuts(metadata: Values, notes: list[str]) -> Cuts:
    """Return how the text is cut; where the metadata do not say it in a way that is known, as GPT-2 does it."""
    name = metadata.get("tokenizer.ggml.pre")
    if name in CUTS:
        return CUTS[name]
    notes.append(
        f"the GGUF cuts text in a way that is not known here (tokenizer.ggml.pre is {name!r}), so it is cut as GPT-2 "
        "does it; files may be larger than they could be, and come back exactly"
    )
    return _OWN


def _split(pattern: str) -> Values:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def _bpe(tokens: list[str], merges: list[list[str]]) -> Values:
    vocab: dict[str, int] = {}
    for i, token in enumerate(tokens):
        vocab.setdefault(token, i)
    return {
        "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
        "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
        "vocab": vocab, "merges": merges,
    }  # fmt: skip


def _merges(metadata: Values, tokens: list[str]) -> list[list[str]]:
    """Return the pairs that are merged, the first ones first."""
    lines = metadata.get("tokenizer.ggml.merges")
    if not isinstance(lines, list):
        raise ValueError("the metadata lack the merges of the tokenizer (tokenizer.ggml.merges)")
    known, merges = set(tokens), []
    for line in lines:
        left, _, right = str(line).partition(" ")
        if not {left, right, left + right} <= known:
            raise ValueError(f"the tokenizer merges {line!r}, which are not tokens")
        merges.append([left, right])
    return merges


def _merges_of_scores(metadata: Values, tokens: list[str], types: list[int]) -> list[list[str]]:
    """Return the pairs of tokens that make a token, those of high scores first: SentencePiece merges the best pair."""
    scores = metadata.get("tokenizer.ggml.scores")
    if not isinstance(scores, list) or len(scores) != len(tokens):
        raise ValueError("the metadata lack the scores of the tokens (tokenizer.ggml.scores)")
    score_of = {token: score for token, score, kind in zip(tokens, scores, types, strict=True) if kind == NORMAL}
    pairs = [
        (-score, -len(token[:cut]), token[:cut], token[cut:])
        for token, score in score_of.items()
        for cut in range(1, len(token))
        if token[:cut] in score_of and token[cut:] in score_of
    ]
    return [[left, right] for *_, left, right in sorted(pairs)]


def _added(tokens: list[str], types: list[int]) -> list[Values]:
    """Return the tokens that no merge makes: special ones, and words that are found in the text before all others."""
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return [
        {"id": i, "content": token, **plain, "special": kind != USER_DEFINED}
        for i, (token, kind) in enumerate(zip(tokens, types, strict=True))
        if kind in (UNKNOWN, CONTROL, USER_DEFINED, UNUSED)
    ]
