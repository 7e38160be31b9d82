"""The shipped model on every kind of input, and memory that does not grow with it."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

import lmzip

PROSE = (Path(__file__).parent.parent / "corpora" / "samples" / "france_at_war.txt").read_bytes()
CASES = {
    "zeros": bytes(100_000),
    "every byte": bytes(range(256)),
    "every byte, shuffled, with prose": bytes(random.Random(0).sample(range(256), 256)) + PROSE[:3000],
    "invalid UTF-8": PROSE[:1500] + b"\xff\xfe\xc3\x28\xf0\x9f\x92" + PROSE[1500:3000],
    "special tokens": b"<|endoftext|><s></s>[CLS]<unk><pad>\x00<|im_start|>" * 3 + PROSE[:2000],
    "utf-16": PROSE[:1500].decode().encode("utf-16"),
    "crlf and tabs": PROSE[:2000].replace(b"\n", b"\r\n\t"),
    "many languages": "Zażółć gęślą jaźń. Съешь же ещё этих мягких булок. 色は匂へど散りぬるを。 😀".encode() * 5
    + PROSE[:900],
}


@pytest.mark.parametrize("name", CASES)
def test_round_trip(name: str) -> None:
    data = CASES[name]
    packed = lmzip.compress(data, verify=False)
    assert lmzip.decompress(packed) == data
    assert len(packed) <= len(data) + 128


def test_all_one_byte_files() -> None:
    for value in range(256):
        packed = lmzip.compress(bytes([value]), verify=False)
        assert lmzip.decompress(packed) == bytes([value]) and len(packed) <= 129


def test_the_model_is_worth_it() -> None:
    import lzma

    data = PROSE[10_000:22_000]
    assert len(lmzip.compress(data, verify=False)) < 0.8 * len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


@pytest.mark.slow
def test_two_hundred_random_files() -> None:
    rng = random.Random(7)
    for _ in range(200):
        data = rng.randbytes(int(1_000_000 * rng.random() ** 3))
        packed = lmzip.compress(data)
        assert len(packed) <= len(data) + 128
        assert lmzip.decompress(packed) == data


PEAK = """
import os, resource, sys, lmzip
size = int(sys.argv[1])
with lmzip.open(os.devnull, "wb", level=1, method="fallback") as file:
    for i in range(size):
        file.write(i.to_bytes(4, "big") * (1 << 18))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    peaks = [
        int(
            subprocess.run([sys.executable, "-c", PEAK, str(mib)], cwd=tmp_path, capture_output=True, check=True).stdout
        )
        for mib in (4, 40)
    ]
    assert peaks[1] < peaks[0] + 16 * 1024  # KiB: a fraction of the 36 MiB more that were written
