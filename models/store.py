"""What a model folder holds. Needs nothing that is slow to import."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

FILES = ("config.json", "tokenizer.json", "weights.safetensors")
PRIOR = "prior.safetensors"  # what the model's ensemble begins with; a model may lack it

SAMPLE_KINDS = ("image", "audio")  # of models whose symbols are no pieces of bytes, see networks/residuals.py


def create_alphabet(kind: str) -> str:
    """Return what stands in the tokenizer.json of a model of pixels or samples."""
    return json.dumps({"lmzip": "samples", "kind": kind}) + "\n"


def kind_of(tokenizer: str) -> str:
    """Return what a tokenizer.json says that symbols are of: `bytes`, `image` or `audio`."""
    return next((kind for kind in SAMPLE_KINDS if tokenizer == create_alphabet(kind)), "bytes")


def paths(folder: str | Path) -> list[Path]:
    """Return where a model's FILES lie, in their order, and its PRIOR if it has one."""
    prior = Path(folder) / PRIOR
    return [*(Path(folder) / name for name in FILES), *([prior] if prior.exists() else [])]


def size(folder: str | Path) -> int:
    """Return the bytes of a model's files."""
    return sum(path.stat().st_size for path in paths(folder))


def fingerprint(folder: str | Path) -> bytes:
    """Return the sha256 of a model: of the sha256 of each of its files."""
    digests = [hashlib.sha256(path.read_bytes()).digest() for path in paths(folder)]
    return hashlib.sha256(b"".join(digests)).digest()
