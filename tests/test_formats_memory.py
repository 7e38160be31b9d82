"""What files of pictures and sound need of memory: what they hold, not what they could declare."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

BEGIN = """
import io, resource, sys
import numpy as np, soundfile
from lmzip import formats
from lmzip.formats.png import chunks
from lmzip.formats.flac.choices import COLUMNS
from lmzip.formats.side_data import FLAC, Reader, Shape, Writer, create_shape

def flac(frames):
    buffer = io.BytesIO()
    noise = np.random.default_rng(1).integers(-20000, 20000, (frames, 2)).astype(np.int16)
    soundfile.write(buffer, noise, 44100, "PCM_16", format="FLAC")
    return buffer.getvalue()

def round_trip(data):
    found = formats.detect(data[: formats.HEAD_SIZE]).deconstruct(data, 0)
    assert formats.reconstruct("audio", found.samples, 16, found.side_data) == data
    return found

def limit(more):
    pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more,) * 2)

small = round_trip(flac(9000))
"""
CASES = {
    "a recording": """
        data = flac(1_500_000)
        assert len(data) > 5_000_000
        limit(250_000_000)
        found = round_trip(data)
        assert found.samples.shape == (1_500_000, 2)
    """,
    "a recording that does not say how long it is": """
        data = bytearray(flac(1_500_000))
        data[21] &= 0xF0
        data[22:26] = bytes(4)
        limit(350_000_000)
        assert round_trip(bytes(data)).samples.shape == (1_500_000, 2)
    """,
    "millions of numbers": """
        writer = Writer()
        create_shape(writer, FLAC, Shape("audio", small.samples.shape, 16, False))
        writer.string(b"fLaC")
        writer.numbers(1 << 20, 1, 1 << 25)
        side_data = bytes(writer.buffer) + bytes((1 << 25) + COLUMNS)
        limit(250_000_000)
        try:
            formats.reconstruct("audio", small.samples, 16, side_data)
        except ValueError:
            pass
        else:
            raise AssertionError
    """,
    "millions of chunks": """
        writer = Writer()
        writer.numbers(0, 2_000_000)
        buffer = bytes(writer.buffer) + bytes(2_000_000)
        limit(150_000_000)
        assert len(chunks.cut_stream(b"", chunks.read_sizes(Reader(buffer)))) == 12 * 2_000_000
    """,
}


@pytest.mark.parametrize("case", CASES)
def test_memory_is_that_of_the_content(case: str, tmp_path: Path) -> None:
    script = BEGIN + textwrap.dedent(CASES[case])
    process = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, "")
