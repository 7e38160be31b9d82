"""How many threads torch uses while it works for lmzip: its number is the whole process's."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import torch

from lmzip.models.threads import after_fork

_lock = threading.Lock()


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Have torch use `count` threads meanwhile, and as many as before afterwards; one caller at a time."""
    with _lock:
        before = torch.get_num_threads()
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _renew_lock() -> None:
    """Have a lock that no thread holds: the one that did is not in a forked process."""
    global _lock
    _lock = threading.Lock()


after_fork(_renew_lock)
