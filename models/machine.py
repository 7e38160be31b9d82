"""How many processors and how much memory there are, so that what needs more can say so before it begins."""

from __future__ import annotations

import os


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory() -> int | None:
    """Return the bytes that may still be had without swapping; None where the system does not tell."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
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
