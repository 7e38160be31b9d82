"""Files of Equal-Info tokens: safetensors, so that numpy, torch and others read them without lmzip. See FORMAT.md."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import numpy as np
import safetensors
import safetensors.numpy

from lmzip.equal_info.windows import TOKEN_BITS, WINDOW_BITS, Tokens
from lmzip.errors import CorruptError, TruncatedError, UnsupportedError
from lmzip.models.identity import ModelIdentity
from lmzip.models.protocols import Model

FORMAT = "lmzip equal-info 1"


@dataclasses.dataclass(frozen=True)
class TokenFile:
    """Tokens and what decoding them needs; content_size and content_sha256 are those of the data."""

    tokens: Tokens
    bits: int
    model: ModelIdentity
    content_size: int
    content_sha256: str

    def check(self, data: bytes) -> None:
        """Raise CorruptError unless data is what the tokens were made of."""
        if (len(data), hashlib.sha256(data).hexdigest()) != (self.content_size, self.content_sha256):
            raise CorruptError(
                f"token file: it gives {len(data)} bytes that are not the {self.content_size} it was made of: it is "
                "damaged, or its writer or this machine computed wrongly"
            )


def create_token_file(tokens: Tokens, bits: int, model: Model, data: bytes) -> bytes:
    """Return the file of tokens that were made of data. Twin: parse_token_file."""
    metadata = {
        "format": FORMAT, "bits": str(bits), "model": model.id, "profile": model.profile,
        "model_sha256": model.sha256.hex(), "content_size": str(len(data)),
        "content_sha256": hashlib.sha256(data).hexdigest(),
    }  # fmt: skip
    return safetensors.numpy.save({"tokens": tokens}, metadata)


def parse_token_file(file: bytes) -> TokenFile:
    """Read what create_token_file made. Raises TruncatedError, CorruptError, UnsupportedError."""
    what, length = "token file", int.from_bytes(file[:8], "little")
    if len(file) < 8 or (file[8:9] == b"{" and length < 1 << 16 and len(file) < 8 + length):
        raise TruncatedError(f"{what}: the data ends too early")
    try:
        tensors = safetensors.numpy.load(file)
        metadata = json.loads(file[8 : 8 + length]).get("__metadata__", {})
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise CorruptError(f"{what}: not one of lmzip, or damaged: {error}") from error
    if metadata.get("format") != FORMAT:
        known = str(metadata.get("format", "")).startswith(FORMAT.rstrip("1"))
        kind = UnsupportedError if known else CorruptError
        raise kind(f"{what}: its format is {metadata.get('format')!r}, this lmzip reads {FORMAT!r}")
    try:
        bits, tokens = int(metadata["bits"]), tensors["tokens"]
        model = ModelIdentity(metadata["model"], bytes.fromhex(metadata["model_sha256"]), metadata["profile"])
        found = TokenFile(tokens, bits, model, int(metadata["content_size"]), metadata["content_sha256"])
    except (KeyError, ValueError) as error:
        raise CorruptError(f"{what}: its metadata lacks what decoding needs: {error}") from error
    if bits not in WINDOW_BITS or tokens.dtype not in [np.dtype(f"u{n // 8}") for n in TOKEN_BITS] or tokens.ndim != 1:
        raise CorruptError(f"{what}: windows of {bits} bits as {tokens.dtype} tokens of {tokens.ndim} dimensions")
    return found
