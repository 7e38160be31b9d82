"""What a model folder holds. Needs nothing that is slow to import."""

from __future__ import annotations

import hashlib
from pathlib import Path

FILES = ("config.json", "tokenizer.json", "weights.safetensors")
PRIOR = "prior.safetensors"  # what the model's ensemble begins with; a model may lack it


def fingerprint(folder: str | Path) -> bytes:
    """Return the sha256 of a model: of the sha256 of each of its FILES, in their order, and of its PRIOR."""
    names = [*FILES, PRIOR] if (Path(folder) / PRIOR).exists() else FILES
    digests = [hashlib.sha256((Path(folder) / name).read_bytes()).digest() for name in names]
    return hashlib.sha256(b"".join(digests)).digest()
