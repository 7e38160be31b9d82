"""How much of the machine a process may use, by files like those of Linux's control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lmzip.models import hardware
from lmzip.models.hardware import available_memory, processors

GIB = 1 << 30
UNLIMITED = str((1 << 63) - 4096)  # as version 1 writes it

V2 = {
    "proc/self/cgroup": "0::/outer/inner\n",
    "sys/fs/cgroup/outer/memory.max": f"{3 * GIB}\n",
    "sys/fs/cgroup/outer/memory.current": f"{2 * GIB}\n",
    "sys/fs/cgroup/outer/memory.stat": f"anon 5\ninactive_file {GIB // 2}\n",
    "sys/fs/cgroup/outer/cpu.max": "max 100000\n",
    "sys/fs/cgroup/outer/inner/memory.max": "max\n",
    "sys/fs/cgroup/outer/inner/memory.current": f"{GIB}\n",
    "sys/fs/cgroup/outer/inner/cpu.max": "250000 100000\n",
}
V1 = {
    "proc/self/cgroup": "12:cpuset:/x\n4:memory:/box\n3:cpu,cpuacct:/box\n0::/\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": UNLIMITED,
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "5",
    "sys/fs/cgroup/memory/box/memory.limit_in_bytes": f"{2 * GIB}\n",
    "sys/fs/cgroup/memory/box/memory.usage_in_bytes": f"{GIB}\n",
    "sys/fs/cgroup/memory/box/memory.stat": "inactive_file 1\ntotal_inactive_file 4096\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us": "300000\n",
    "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us": "100000\n",
}


@pytest.fixture(autouse=True)
def eight_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)


def make(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"proc/meminfo": f"MemFree: 1 kB\nMemAvailable: {16 * GIB // 1024} kB\n", **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_version_2(tmp_path: Path) -> None:
    root = make(tmp_path, V2)
    assert (processors(root), available_memory(root)) == (3, GIB + GIB // 2)


def test_version_1(tmp_path: Path) -> None:
    root = make(tmp_path, V1)
    assert (processors(root), available_memory(root)) == (3, GIB + 4096)


@pytest.mark.parametrize("files", [V1, V2], ids=["1", "2"])
def test_a_container_that_sees_its_own_group_as_the_root(tmp_path: Path, files: dict[str, str]) -> None:
    inside = {name.replace("/outer/inner", "").replace("/box", ""): text for name, text in files.items()}
    inside = {name: text for name, text in inside.items() if "/outer" not in name}
    inside["proc/self/cgroup"] = files["proc/self/cgroup"]  # of the host: its folders are not there
    inside |= {name: str(GIB) for name in inside if name.endswith("memory.max")}
    inside |= {name: "0" for name in inside if name.endswith("memory.current")}
    root = make(tmp_path, inside)
    assert processors(root) == 3 and (available_memory(root) or 0) <= GIB + 4096


def test_without_limits_the_whole_machine(tmp_path: Path) -> None:
    root = make(tmp_path, {})
    assert (processors(root), available_memory(root)) == (8, 16 * GIB)
    unlimited = {"memory.max": "max", "memory.current": "1", "cpu.max": "max 100000"}
    root = make(tmp_path, {"proc/self/cgroup": "0::/", **{f"sys/fs/cgroup/{k}": v for k, v in unlimited.items()}})
    assert (processors(root), available_memory(root)) == (8, 16 * GIB)


def test_quotas_larger_than_the_machine_and_smaller_than_a_processor(tmp_path: Path) -> None:
    root = make(tmp_path, {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "1600000 100000"})
    assert processors(root) == 8
    assert processors(make(root, {"sys/fs/cgroup/cpu.max": "20000 100000"})) == 1


@pytest.mark.parametrize("text", ["", "nonsense", "1 2 3", "max", "\xff"])
def test_nonsense_is_no_limit(tmp_path: Path, text: str) -> None:
    root = make(tmp_path, V2 | {name: text for name in V2 if "cgroup/" in name})
    assert (processors(root), available_memory(root)) == (8, 16 * GIB)


def test_a_group_that_is_full_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make(tmp_path, V2 | {"sys/fs/cgroup/outer/memory.current": str(4 * GIB)})
    assert available_memory(root) == 0
    monkeypatch.setattr(hardware, "available_memory", lambda: available_memory(root))
    with pytest.raises(MemoryError, match=r"a model needs 0\.1 GiB of memory; 0\.0 GiB are left"):
        hardware.require_memory(GIB // 10, "a model", "")
