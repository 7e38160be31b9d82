"""What the tests of the command line share."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mocks import bigram, markov_text

LMZIP = [sys.executable, "-m", "lmzip"]
TEXT = markov_text(3000, seed=1)
MODEL = bigram(TEXT)
SHORT = TEXT[:400]  # for the model: a mock takes its time
NOISE = random.Random(1).randbytes(5000)


class Outcome(NamedTuple):
    code: int
    out: bytes
    err: str


Call = Callable[..., Outcome]


def process(*args: str, cwd: Path, **options: object) -> subprocess.CompletedProcess[bytes]:
    options = {"input": b"", "capture_output": True, **options}
    return subprocess.run([*LMZIP, *args], cwd=cwd, **options)  # type: ignore[call-overload, no-any-return]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
