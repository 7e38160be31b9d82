"""What an encoder chooses it chooses everywhere: from integers, and whatever the order in which threads end."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media import pixels, wav
from mocks import bigram, markov_text, uniform

from lmzip import container
from lmzip.blocks.fallback import looks_random, spread
from lmzip.blocks.text import encode_in_lockstep, network_helps
from lmzip.models import audio, image
from lmzip.models.audio.channel_header import find_header
from lmzip.models.image import choose_settings, colour_lattice
from lmzip.models.image.choose import choose_settings as choose_image_settings
from lmzip.models.mixing.code_length import UNIT, bit_costs, decisions_cost, log2_integer
from lmzip.models.text.row_length import find_row_length
from lmzip.options import Options

ROUNDED = ("log", "log2", "log10", "log1p", "exp", "exp2", "power", "dot", "matmul", "einsum", "linspace")


@pytest.fixture
def no_rounded_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every function of numpy fail whose last bit depends on the machine."""
    assert image.is_trusted() and audio.is_trusted()  # numba looks at these functions when it compiles

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("a float function whose last bit depends on the machine")

    for name in ROUNDED:
        monkeypatch.setattr(np, name, fail)
    for name in ("inv", "solve", "lstsq", "norm"):
        monkeypatch.setattr(np.linalg, name, fail)


@pytest.mark.usefixtures("no_rounded_functions")
def test_choices_ask_no_function_that_rounds_as_the_machine_does() -> None:
    text = markov_text(40_000)
    assert network_helps(text, bigram(text)) and not network_helps(text, uniform())
    assert not looks_random(text)
    assert find_row_length(bytes(range(13)) * 4000) == 13
    grey = pixels(80, 80, 1)
    assert choose_settings(grey, 8, 6, False).colours == 0
    assert choose_image_settings(grey // 64 * 64, 8, 6, False) is not None
    planes = np.random.default_rng(1).integers(90, 150, (40, 40, 3)).astype(np.uint8)
    for kind in (colour_lattice.PHOTO_CD, colour_lattice.JPEG):
        assert choose_settings(colour_lattice.to_pixels(planes, kind), 8, 6, False).lattice == kind
    samples = np.random.default_rng(2).integers(-500, 500, (5000, 4)).astype(np.int32)
    header = find_header(samples * 7)
    assert all(len(used) for used in header.used)  # a seventh of the values occurs
    assert not any(len(used) for used in find_header(samples).used)


def test_partners_are_found_from_exact_sums() -> None:
    """Changes of 32 bits, whose products no float64 holds, give the partners of the same sound with fewer bits."""
    random = np.random.default_rng(3)
    base = random.integers(-(2**29), 2**29, (3000, 2))
    samples = np.stack((base[:, 0], base[:, 1], base[:, 0] // 2, base[:, 1] // 4 * 3), axis=1)
    assert find_header(samples.astype(np.int32)).partner.tolist() == [2, 0, 0, 1]
    assert find_header((samples >> 14).astype(np.int32)).partner.tolist() == [2, 0, 0, 1]


def test_logarithms_and_costs() -> None:
    values = np.array([1, 2, 3, 5, 1000, 65535, 65536, (1 << 31) - 1])
    exact = np.log2(values) * UNIT
    found = log2_integer(values)
    assert (found <= exact + 1e-6).all() and (found > exact - 1.01).all()
    assert (bit_costs()[1:] == 16 * UNIT - log2_integer(np.arange(1, 65537))).all()
    bits, probabilities = np.array([1, 0, 1], np.uint8), np.array([32768, 49152, 65535], np.uint16)
    assert abs(decisions_cost(bits, probabilities) - UNIT * (1 + 2)) <= 3
    assert decisions_cost(bits[:0], probabilities[:0]) == 0


def test_pieces_are_spread_from_end_to_end() -> None:
    assert spread(bytes(range(100)), 10, 4) == [bytes(range(i, i + 10)) for i in (0, 30, 60, 90)]
    assert spread(b"short", 10, 2) == [b"short", b"short"] and spread(b"one", 2, 1) == [b"on"]


@pytest.mark.parametrize("coder", ["range", "rans"])
@pytest.mark.parametrize("method", ["model", "ensemble"])
def test_a_limit_ends_only_what_has_lost(coder: str, method: str) -> None:
    """Whether lzma is done yet is a matter of threads: what would be smaller must come back in any case."""
    text = markov_text(30_000)
    model, options = bigram(text), Options(4, coder, verify=False)
    type_ = container.MODEL if method == "model" else container.ENSEMBLE

    def encode(limit: int | None, data: bytes) -> bytes | None:
        return encode_in_lockstep(type_, data, model, True, options, lambda: limit, lambda done: None)

    for size in (40, 333, 2000, 9999, 30_000):
        coded = encode(None, text[:size])
        assert coded is not None and encode(len(coded) + 1, text[:size]) == coded
    assert encode(100, text) is None


MACHINES = [
    {"NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR AVX2 FMA3"},
    {"OPENBLAS_CORETYPE": "Nehalem", "OPENBLAS_NUM_THREADS": "1"},
    {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "2"},
]
SCRIPT = """
import sys, warnings
warnings.simplefilter("ignore")  # numpy names the features that this processor lacks
sys.path.insert(0, sys.argv[1])
import test_choices
print(test_choices.digest_of_choices())
"""


def digest_of_choices() -> str:
    """Return the hash of what is chosen for pictures and sounds that differ in every way that is looked at."""
    digest = hashlib.sha256()
    for seed in range(12):
        random = np.random.default_rng(seed)
        picture = np.clip(random.normal(128, 2 + 3 * seed, (40, 60, 3)), 0, 255).astype(np.uint8)
        picture = picture // (1 + seed % 4) * (1 + seed % 4)
        digest.update(repr(choose_settings(picture, 8, 6, False)).encode())
        digest.update(repr(choose_settings(picture[:, :, :1].copy(), 8, 6, False)).encode())
        samples = np.cumsum(random.integers(-(2**20), 2**20, (4000, 6)), axis=0).astype(np.int32)
        samples[:, 3:] += samples[:, :3] // (2 + seed)
        header = find_header(samples // (1 + seed) * (1 + seed))
        digest.update(repr([array.tolist() for array in (header.partner, header.shift, *header.used)]).encode())
    digest.update(wav())
    return digest.hexdigest()


@pytest.mark.parametrize("environment", MACHINES, ids=lambda environment: "-".join(environment.values())[:20])
def test_other_machines_choose_the_same(environment: dict[str, str], tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(Path(__file__).parent)],
        env={**os.environ, **environment}, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert process.stdout.strip() == digest_of_choices()
