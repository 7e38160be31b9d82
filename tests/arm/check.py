"""Decode golden files and encode their contents again; print what came of it, and to stderr who did it and how long.

Arguments: golden files, or beginnings of their names; all by default. Two machines must print the same.
"""

from __future__ import annotations

import hashlib
import platform
import sys
import time
from pathlib import Path
from typing import Any

import lmzip
from lmzip.coders import IMPLEMENTATION

GOLDEN = Path(__file__).parent.parent / "golden"
# How contents are encoded: with every method, coder and kind of data.
ENCODED: dict[str, dict[str, Any]] = {
    "good-adaptive": {"level": 3},
    "good-adaptive-lean": {"level": 1},
    "good-audio": {"level": 3},
    "good-audio-flac": {"level": 3},
    "good-ensemble": {"level": 4},
    "good-ensemble-base": {"level": 6},
    "good-image": {"level": 3},
    "good-image-optimal": {"level": 3},
    "good-image-rows": {"level": 3, "coder": "rans"},
    "good-lzma": {"level": 9},
    "good-model": {"level": 4, "method": "model"},
    "good-model-rans": {"level": 4, "method": "model", "coder": "rans"},
    "good-rank": {"level": 4, "method": "rank"},
}


def check(name: str) -> None:
    """Print the name of a golden file with the sha256 of its content, or the error; and of what it is encoded to."""
    started = time.monotonic()
    try:
        content = lmzip.decompress((GOLDEN / f"{name}.lmzip").read_bytes())
    except lmzip.LMZError as error:
        print(f"{name}: {type(error).__name__}", flush=True)
        return
    print(f"{name}: {hashlib.sha256(content).hexdigest()}", flush=True)
    if name in ENCODED:
        code = lmzip.compress(content, **ENCODED[name])
        print(f"{name}, encoded {ENCODED[name]}: {hashlib.sha256(code).hexdigest()}", flush=True)
    print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    print(f"{platform.machine()}, Python {platform.python_version()}, coders: {IMPLEMENTATION}", file=sys.stderr)
    names = sorted(path.stem for path in GOLDEN.glob("*.lmzip"))
    for name in names:
        if len(sys.argv) == 1 or name.startswith(tuple(sys.argv[1:])):
            check(name)
