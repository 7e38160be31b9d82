"""The limits of a control group: what a container or a service may use of the machine, by Linux's version 1 or 2.

A group's limit holds for all groups in it, so each from the process's own up to the root is asked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

Root = Path  # of the file system: / but in tests


def memory_left(root: Root) -> int | None:
    """Return the bytes that the groups of this process may still use; None for no limit.

    What the kernel would give back, pages of files that were not used lately, counts as free.
    """
    left = []
    for folder, version in _folders(root, "memory"):
        limit = _number(folder / ("memory.max" if version == 2 else "memory.limit_in_bytes"))
        used = _number(folder / ("memory.current" if version == 2 else "memory.usage_in_bytes"))
        if limit is not None and used is not None:
            key = "inactive_file" if version == 2 else "total_inactive_file"
            left.append(max(0, limit - used + _statistic(folder / "memory.stat", key)))
    return min(left, default=None)


def processors_left(root: Root) -> int | None:
    """Return how many processors' time the groups of this process may use, rounded up; None for no limit."""
    left = []
    for folder, version in _folders(root, "cpu"):
        if version == 2:
            words = _text(folder / "cpu.max").split()
            quota, period = (_integer(word) for word in words) if len(words) == 2 else (None, None)
        else:
            quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        if quota is not None and quota > 0 and period:
            left.append(math.ceil(quota / period))
    return min(left, default=None)


def _folders(root: Root, controller: str) -> Iterator[tuple[Path, int]]:
    """Yield the folders of the groups that this process is in, and the version of each, the innermost first."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if names and controller not in names.split(","):
            continue
        version = 1 if names else 2
        mounts = [root / "sys/fs/cgroup" / name for name in (names, controller)] if names else [root / "sys/fs/cgroup"]
        mount = next((folder for folder in mounts if folder.is_dir()), None)
        if mount is not None:
            inner = PurePosixPath(path.lstrip("/"))
            for group in (inner, *inner.parents):  # a container may see its own as the root: others are not there
                yield mount / group, version


def _statistic(path: Path, key: str) -> int:
    for line in _text(path).splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return _integer(value) or 0
    return 0


def _number(path: Path) -> int | None:
    return _integer(_text(path))


def _integer(text: str) -> int | None:
    """Return the number in a text; None for `max` and for nothing."""
    try:
        return int(text)
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
