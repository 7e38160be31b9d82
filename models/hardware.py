"""How many processors and how much memory there are, so that what needs more can say so before it begins."""

from __future__ import annotations

import os
from pathlib import Path

from lmzip.models.cgroup import memory_left, processors_left

ROOT = Path("/")


def processors(root: Path = ROOT) -> int:
    """Return how many processors this process may use: by its affinity, and by the quota of its control group."""
    has_affinity = hasattr(os, "sched_getaffinity")  # not on macOS
    there = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return max(1, min(there, processors_left(root) or there))


def available_memory(root: Path = ROOT) -> int | None:
    """Return the bytes that may still be had, without swapping and by the limit of the control group.

    None where the system does not tell.
    """
    found = [size for size in (_free_memory(root), memory_left(root)) if size is not None]
    return min(found, default=None)


def _free_memory(root: Path) -> int | None:
    try:
        with open(root / "proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def require_memory(size: int, what: str, remedy: str) -> None:
    """Raise MemoryError where `size` bytes are more than there are; what, remedy: for the message."""
    available = available_memory()
    if available is not None and size > available:
        raise MemoryError(
            f"{what} needs {size / (1 << 30):.1f} GiB of memory; {available / (1 << 30):.1f} GiB are left. {remedy}"
        )
