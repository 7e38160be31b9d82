"""Byte-level BPE over any byte string.

A token is a byte string and the ids are the ranks of the tokens in byte order, so that the
tokens with a common prefix are a range of ids. Bytes travel through the `tokenizers` library
as Latin-1 characters: nothing is normalised, no special token exists, and what goes in comes
out, invalid UTF-8 included.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import tokenizers

_SPACE = r" \t\n\r\x0b\x0c"
_WORD = r"A-Za-z\x80-\xff"  # bytes over 0x7f are parts of UTF-8 letters far more often than not
SPLIT_PATTERN = "|".join(
    [
        r"'(?:[sdmt]|ll|ve|re)",
        rf" ?[{_WORD}]+",
        r"[0-9]",
        rf" ?[^{_SPACE}{_WORD}0-9]+",
        rf"[{_SPACE}]+(?![^{_SPACE}])",
        rf"[{_SPACE}]+",
    ]
)

_UP_TO_SPACE = re.compile(rf".*[^{_SPACE}](?=[{_SPACE}])".encode(), re.DOTALL)

PIECE = 1 << 17  # bytes or tokens at a time: the library and lists take some 450 bytes for each token


class Tokenizer:
    """Cut bytes into tokens and join tokens to bytes.

    Attributes:
        vocabulary: the byte string of every id, sorted; all 256 single bytes are in it.
    """

    def __init__(self, bpe: tokenizers.Tokenizer) -> None:
        by_id = sorted(bpe.get_vocab().items(), key=lambda item: item[1])
        self.vocabulary = [token.encode("latin-1") for token, _ in by_id]
        if [i for _, i in by_id] != list(range(len(by_id))):
            raise ValueError("tokenizer: ids are not 0 .. n-1")
        if self.vocabulary != sorted(set(self.vocabulary)):
            raise ValueError("tokenizer: ids are not in the byte order of their tokens")
        if not {bytes([b]) for b in range(256)} <= set(self.vocabulary):
            raise ValueError("tokenizer: a single byte is missing from the vocabulary")
        self._bpe = bpe

    def __len__(self) -> int:
        return len(self.vocabulary)

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        """Read what `to_json` wrote."""
        return cls(tokenizers.Tokenizer.from_str(text))

    @classmethod
    def from_file(cls, path: str | Path) -> Tokenizer:
        """Read a tokenizer file."""
        return cls.from_json(Path(path).read_text(encoding="utf-8"))

    def to_json(self) -> str:
        """Return the tokenizer in the `tokenizers` library's own JSON."""
        return self._bpe.to_str(pretty=False)

    def encode(self, data: bytes | bytearray | memoryview, dropout: float | None = None) -> np.ndarray:
        """Cut data into token ids, int32 of shape (tokens,).

        dropout: probability with which each merge is skipped (training only; BPE-dropout,
            Provilkov et al. 2020).
        """
        self._bpe.model.dropout = dropout
        data = bytes(data)
        cuts = [0, *_cuts(data), len(data)]
        return np.concatenate([self._encode_piece(data[a:b]) for a, b in itertools.pairwise(cuts)])

    def _encode_piece(self, piece: bytes) -> np.ndarray:
        encoding = self._bpe.encode(piece.decode("latin-1"), add_special_tokens=False)
        return np.array(encoding.ids, dtype=np.int32)

    def decode(self, ids: np.ndarray) -> bytes:
        """Join the byte strings of ids."""
        vocabulary = self.vocabulary
        pieces = (ids[start : start + PIECE].tolist() for start in range(0, len(ids), PIECE))
        return b"".join([b"".join([vocabulary[i] for i in piece]) for piece in pieces])


def _cuts(data: bytes) -> Iterator[int]:
    """Yield where to cut data into pieces of at most PIECE bytes.

    If there is such a place, a cut is before white space that follows something else: SPLIT_PATTERN cuts
    there anyway, so the tokens are those of the whole.
    """
    start = 0
    while len(data) - start > PIECE:
        found = _UP_TO_SPACE.match(data, start, start + PIECE)
        start = found.end() if found else start + PIECE
        yield start


def train(samples: Iterable[bytes], size: int, split: str = SPLIT_PATTERN) -> Tokenizer:
    """Learn a vocabulary of `size` tokens from byte strings; no token goes beyond a match of `split`."""
    bpe = _bpe({}, [], split)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=[chr(b) for b in range(256)],
        limit_alphabet=256,
        max_token_length=32,
        show_progress=False,
    )
    bpe.train_from_iterator((sample.decode("latin-1") for sample in samples), trainer)
    return _sorted(bpe.to_str())


def truncated(tokenizer: Tokenizer, size: int) -> Tokenizer:
    """Return the tokenizer with only the first merges: those of a vocabulary of `size`."""
    return _sorted(tokenizer.to_json(), size)


def _bpe(vocabulary: dict[str, int], merges: list[tuple[str, str]], split: str) -> tokenizers.Tokenizer:
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex(split), "isolated")
    return bpe


def _sorted(text: str, size: int | None = None) -> Tokenizer:
    """Renumber a trained BPE by the byte order of its tokens."""
    import json

    description = json.loads(text)
    merges = [tuple(pair) for pair in description["model"]["merges"]]
    split = description["pre_tokenizer"]["pattern"]["Regex"]
    if size is not None:
        merges = merges[: size - 256]
    tokens = {chr(b) for b in range(256)} | {a + b for a, b in merges}
    return Tokenizer(_bpe({token: i for i, token in enumerate(sorted(tokens))}, merges, split))
