"""Tokenizers of imported models: any byte string to symbols, with the model's own tokenizer where it keeps every byte.

A symbol is a byte string, as everywhere; symbols are in byte order and all 256 bytes are among them. What the
model's tokenizer cannot return exactly is coded as single bytes: bytes that are not UTF-8, characters that it does
not know, and in a vocabulary that writes spaces as U+2581 that character itself. Special tokens do not exist.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray

from lmzip.models.networks.tokenizer import Tokenizer

FORMAT = "imported-1"
SPACE = "\u2581"  # stands for a space in vocabularies of SentencePiece
PIECE = 1 << 14  # bytes at a time: where a tokenizer splits nothing by itself, the time grows faster than the text
NONE = -1  # the symbol of ids that no text has

# No token goes on from a letter to a space behind it, so the tokens are those of the whole.
_UP_TO_SPACE = re.compile(rb".*[A-Za-z](?= )", re.DOTALL)
_INVALID = "[\udc80-\udcff]+"  # what Python makes of bytes that are not UTF-8


class ImportedTokenizer(Tokenizer):
    """Cut bytes into symbols and join symbols to bytes. See Tokenizer."""

    def __init__(self, values: dict[str, Any]) -> None:
        """values: what `importing.vocabulary.convert` made. Raises ValueError where they cannot be right."""
        try:
            self.vocabulary = [token.encode("latin-1") for token in values["tokens"]]
            self._symbols = np.array(values["symbols"], np.int32)
            self._inner = tokenizers.Tokenizer.from_str(json.dumps(values["tokenizer"]))
            spaced = values["spaced"]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"tokenizer: {error}") from error
        except Exception as error:  # the library raises nothing narrower
            raise ValueError(f"tokenizer: the library `tokenizers` cannot read it: {error}") from error
        if values.get("lmzip") != FORMAT:
            raise ValueError(f"tokenizer: format {values.get('lmzip')!r}; this version reads {FORMAT}")
        if any(a >= b for a, b in itertools.pairwise(self.vocabulary)) or not self.vocabulary[0]:
            raise ValueError("tokenizer: the symbols are not in byte order")
        if not {bytes([b]) for b in range(256)} <= set(self.vocabulary):
            raise ValueError("tokenizer: a single byte is missing from the vocabulary")
        if not NONE <= self._symbols.min() <= self._symbols.max() < len(self.vocabulary):
            raise ValueError("tokenizer: an id stands for a symbol that there is not")
        self._other = re.compile(f"{_INVALID}|{SPACE}+" if spaced else _INVALID)
        index = {token: i for i, token in enumerate(self.vocabulary)}
        self._bytes = np.array([index[bytes([b])] for b in range(256)], np.int32)

    @classmethod
    def from_json(cls, text: str) -> ImportedTokenizer:
        """Read the tokenizer of an imported model."""
        return cls(json.loads(text))

    def encode(self, data: bytes | bytearray | memoryview, dropout: float | None = None) -> NDArray[np.int32]:
        """Cut data into symbols, int32 of shape (symbols,). dropout: must be None."""
        data = bytes(data)
        cuts = [0, *_cuts(data), len(data)]
        parts = [self._encode_piece(data[a:b]) for a, b in itertools.pairwise(cuts)]
        return np.concatenate(parts) if parts else np.empty(0, np.int32)

    def _encode_piece(self, piece: bytes) -> NDArray[np.int32]:
        text = piece.decode("utf-8", "surrogateescape")
        found = list(self._other.finditer(text))
        if not found:
            return self._encode_text(text)
        ends = [0, *itertools.chain.from_iterable(match.span() for match in found), len(text)]
        parts = [text[a:b] for a, b in itertools.pairwise(ends)]  # text and other in turn
        coded = [self._encode_text(part) for part in parts[::2]]
        others = [self._single_bytes(part.encode("utf-8", "surrogateescape")) for part in parts[1::2]]
        joined = [part for pair in itertools.zip_longest(coded, others) for part in pair if part is not None]
        return np.concatenate(joined)

    def _encode_text(self, text: str) -> NDArray[np.int32]:
        """Return the symbols of the model's tokens if they make the text, else others that do."""
        encoding = self._inner.encode(text, add_special_tokens=False)
        symbols = self._symbols[np.array(encoding.ids, np.int64)]
        data = text.encode("utf-8")
        if NONE not in symbols and self.decode(symbols) == data:
            return symbols
        return self._align(text, data, encoding)

    def _align(self, text: str, data: bytes, encoding: tokenizers.Encoding) -> NDArray[np.int32]:
        """Keep the tokens that stand where they should, and cut the rest into single bytes."""
        starts = np.concatenate(([0], np.cumsum([len(character.encode("utf-8")) for character in text])))
        parts, done = [], 0
        for symbol, (start, _) in zip(self._symbols[encoding.ids].tolist(), encoding.offsets, strict=True):
            if symbol == NONE:
                continue
            token = self.vocabulary[symbol]
            place = max(done, int(starts[start]))
            if data.startswith(token, place):
                parts += [self._single_bytes(data[done:place]), np.array([symbol], np.int32)]
                done = place + len(token)
        return np.concatenate([*parts, self._single_bytes(data[done:])])

    def _single_bytes(self, data: bytes) -> NDArray[np.int32]:
        """Return the symbols of single bytes."""
        return self._bytes[np.frombuffer(data, np.uint8)]


def _cuts(data: bytes) -> Iterator[int]:
    """Yield where to cut data into pieces of at most PIECE bytes: behind a word, or else behind a character."""
    start = 0
    while len(data) - start > PIECE:
        found = _UP_TO_SPACE.match(data, start, start + PIECE)
        end = found.end() if found else start + PIECE
        while not found and end > start + PIECE - 3 and data[end] & 0xC0 == 0x80:
            end -= 1
        start = end
        yield start
