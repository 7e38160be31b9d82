"""Files that every version must read alike, on every machine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_cases import blocks_of, cases

import lmzip
from lmzip import formats
from lmzip.models.audio.channel_header import find_header, find_wasted_bits
from lmzip.models.audio.state import PIECE
from lmzip.options import LEVELS

FOLDER = Path(__file__).parent / "golden"
NAMES = sorted(path.stem for path in FOLDER.glob("*.lmzip"))
SAMPLES = FOLDER.parent.parent / "corpora" / "samples"
CASES = cases()


def load(name: str) -> tuple[bytes, dict[str, object]]:
    return (FOLDER / f"{name}.lmzip").read_bytes(), json.loads((FOLDER / f"{name}.json").read_text())


def test_there_are_golden_files_of_every_kind() -> None:
    assert {name.split("-")[0] for name in NAMES} == {"good", "bad", "unsupported"}
    assert len(NAMES) >= 17


@pytest.mark.parametrize("name", NAMES)
def test_golden(name: str) -> None:
    data, description = load(name)
    if "error" in description:
        with pytest.raises(getattr(lmzip, str(description["error"]))):
            lmzip.decompress(data)
    else:
        content = lmzip.decompress(data)
        assert len(content) == description["size"]
        assert hashlib.sha256(content).hexdigest() == description["sha256"]
        assert blocks_of(data) == description["blocks"]


@pytest.mark.parametrize("name", CASES)
def test_a_case_uses_what_it_is_for(name: str) -> None:
    """And the bytes of the golden file come out again."""
    case = CASES[name]
    packed = lmzip.compress(case.content, verify=False, **case.options)
    (block,) = blocks_of(packed)
    assert {key: block.get(key) for key in case.uses} == case.uses
    assert packed == load(name)[0]


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("good-audio")])
def test_the_sounds_have_what_they_are_for(name: str) -> None:
    layout = formats.detect(CASES[name].content)
    assert layout is not None
    found = layout.deconstruct(CASES[name].content, 0)
    assert found is not None
    header, channels = find_header(found.samples), found.samples.shape[1]
    if name.startswith("good-audio-level"):
        assert (found.depth, channels) == (16, 2)
    elif name == "good-audio-sparse":
        assert all(len(used) for used in header.used)
    elif name == "good-audio-wasted":
        assert header.shift.tolist() == [1, 1] and not any(len(used) for used in header.used)
        pieces = [found.samples[start : start + PIECE] >> header.shift for start in range(0, len(found.samples), PIECE)]
        assert {tuple(find_wasted_bits(piece, np.zeros(2, np.int64))) for piece in pieces} == {(0, 0), (0, 2), (1, 0)}
    else:
        assert name == f"good-audio-{found.depth}-{channels}"


MADE: dict[str, dict[str, Any]] = {
    "good-model": {"level": 4, "method": "model"},
    "good-rank": {"level": 4, "method": "rank"},
    "good-ensemble": {"level": 4},
    "good-ensemble-base": {"level": 6},
    "good-adaptive": {"level": 3},
    "good-adaptive-lean": {"level": 1},
}


@pytest.mark.parametrize(
    ("backend", "threads"),
    [("cpu", 1), ("cpu", 2), ("cpu", 3), ("torch", 2), pytest.param("cuda", 2, marks=pytest.mark.gpu)],
)
def test_encoding_gives_the_golden_bytes(backend: str, threads: int) -> None:
    if backend != "cpu":
        pytest.importorskip("torch")  # of an extra
    for name, options in MADE.items():
        model = lmzip.load_model(LEVELS[options["level"]].model, threads=threads, backend=backend)
        data, _ = load(name)
        content = lmzip.decompress(data, model=model)
        assert lmzip.compress(content, model=model, verify=False, **options) == data


LOCKSTEP = [*MADE, "good-model-rans", "good-ensemble-windows"]
DECODE = """
import hashlib, sys, lmzip
for path in sys.argv[1:]:
    print(hashlib.sha256(lmzip.decompress(open(path, "rb").read())).hexdigest())
"""


@pytest.mark.parametrize(
    "environment",
    [
        {"ONEDNN_MAX_CPU_ISA": "AVX2"},
        {"ONEDNN_MAX_CPU_ISA": "SSE41"},
        {"ATEN_CPU_CAPABILITY": "default"},
        {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
        {"NUMBA_NUM_THREADS": "1"},
    ],
    ids=lambda environment: "-".join(f"{k}={v}" for k, v in environment.items()),
)
def test_golden_in_other_environments(environment: dict[str, str], tmp_path: Path) -> None:
    names = LOCKSTEP
    if "NUMBA_CPU_NAME" in environment:  # compiles for the other processor, into a cache of its own
        environment = {**environment, "NUMBA_CACHE_DIR": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", DECODE, *(str(FOLDER / f"{name}.lmzip") for name in names)],
        env={**os.environ, **environment}, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stdout.split() == [load(name)[1]["sha256"] for name in names]
    assert result.stderr == ""


@pytest.mark.gpu
def test_golden_on_a_gpu() -> None:
    for name in LOCKSTEP:
        data, description = load(name)
        assert hashlib.sha256(lmzip.decompress(data, backend="cuda")).hexdigest() == description["sha256"]


def test_samples_are_what_the_manifest_says() -> None:
    manifest = json.loads((SAMPLES / "manifest.json").read_text())
    for name, entry in manifest.items():
        data = (SAMPLES / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["bytes"], entry["sha256"])
