"""No compiled kernel holds a fused multiply-add, on this processor and on others for which LLVM makes code here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "fused.py"
EXPECTED = {
    "central": {
        "exact.cpu.rows.norm_quantise", "exact.cpu.kernels.frequencies", "exact.cpu.recurrence._recur",
        "mixing.least_squares.accumulate", "mixing.least_squares.solve", "audio.filters.filter_learn",
    },
    "all": {
        "exact.cpu.attention.attention", "exact.cpu.kernels.feed_forward", "exact.cpu.recurrence.time_mixing",
        "audio.frames.code_frames", "image.rows.code_row", "text.decisions.code",
    },
}  # fmt: skip


@pytest.mark.parametrize("what", ["central", pytest.param("all", marks=pytest.mark.slow)])
def test_nothing_is_fused(what: str, tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    process = subprocess.run(
        [sys.executable, str(PROGRAM), what], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    found = json.loads(process.stdout)
    control = found.pop("control")
    unseen = [name for name, instructions in control.items() if not instructions]
    assert unseen in ([], ["this processor"])  # which may have no such instructions
    assert EXPECTED[what] <= {name.removeprefix("lmzip.models.") for name in found}
    assert {name: places for name, places in found.items() if any(places.values())} == {}
