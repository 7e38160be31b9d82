"""Threads and locks that still serve in a process that was forked: there, the parent's threads do not exist."""

from __future__ import annotations

import concurrent.futures
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Pool:
    """Threads that are made when tasks come for them, and anew in every process."""

    def __init__(self, threads: int | None, name: str) -> None:
        """threads: at most; None: a few more than there are processors. name: what their names begin with."""
        self._threads, self._name = threads, name
        self.renew()
        _pools.add(self)

    def renew(self) -> None:
        """Forget all threads."""
        self._executor = concurrent.futures.ThreadPoolExecutor(self._threads, thread_name_prefix=self._name)
        self._lock = threading.Lock()

    def submit(self, task: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> concurrent.futures.Future[T]:
        """Have a thread call the task."""
        return self._executor.submit(task, *args, **kwargs)

    def run_team(self, tasks: Sequence[Callable[[], object]]) -> None:
        """Call tasks that wait for each other, at most as many as there are threads, and wait for them.

        They begin in the order of the calls, so that no two teams hold threads that the other one waits for.
        """
        with self._lock:
            futures = [self._executor.submit(task) for task in tasks]
        for future in futures:
            future.result()


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


def after_fork(renew: Callable[[], None]) -> None:
    """Have `renew` called in every process that is forked of this one, before anything else runs there."""
    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(after_in_child=renew)


def _renew_pools() -> None:
    for pool in list(_pools):
        pool.renew()


after_fork(_renew_pools)
