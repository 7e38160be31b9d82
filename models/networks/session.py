"""Exact networks at work: the windows of a block share the machine's threads."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmzip.models.exact import arithmetic
from lmzip.models.exact.engine import Engine
from lmzip.models.hardware import processors, require_memory
from lmzip.models.threads import Pool

CACHE = 1 << 30  # bytes: what the windows of a block that lmzip writes remember, at most
LARGE = 1 << 25  # products a symbol, which take as long as some symbols of the ensemble


class NetworkModel:
    """The half of a `lmzip.models.protocols.Model` that is an exact network.

    Threads share a block by windows: each evaluates its part of the batch alone, so nothing
    depends on their number.
    """

    profile = arithmetic.PROFILE

    def __init__(
        self, model_id: str, engine: Engine, sha256: bytes, threads: int | None = None, backend: str = "cpu"
    ) -> None:
        """threads: of the CPU; None: as many as the process may use. backend: the engine's name, for reports."""
        self.id, self.engine, self.sha256, self.backend = model_id, engine, sha256, backend
        self.alphabet = engine.config.vocab_size
        self.most_windows = max(1, CACHE // engine.config.window_bytes(1))
        self.is_large = engine.config.products_per_symbol >= LARGE
        self.threads = threads or processors()
        self._pool = Pool(self.threads, "lmzip")

    def begin(self, windows: int, file_start: int, steps: int = 1, beside: int = 0) -> NetworkSession:
        """See Model.begin. MemoryError: there is too little for keys and values of so many windows."""
        size = windows * self.engine.config.window_bytes(steps)
        require_memory(
            size, f"what {windows} windows of the model {self.id} remember",
            "Higher levels take fewer windows; `lmzip models import --context` makes a model that remembers less.",
        )  # fmt: skip
        threads = min(self.threads, processors()) if self.is_large else max(1, self.threads - beside)
        return NetworkSession(self, windows, file_start, steps, threads)

    def run(self, tasks: list[Callable[[], NDArray[np.uint32]]]) -> list[NDArray[np.uint32]]:
        """Call the tasks on the model's threads; one alone on the caller's, which saves two changes of thread."""
        if len(tasks) == 1:
            return [tasks[0]()]
        return [future.result() for future in [self._pool.submit(task) for task in tasks]]


class NetworkSession:
    """See `lmzip.models.protocols.Session`."""

    def __init__(self, model: NetworkModel, windows: int, file_start: int, steps: int, threads: int) -> None:
        config = model.engine.config
        self._model = model
        # Parts of the windows: (first, last + 1, state). Four take hardly longer than one, so a thread has four.
        # Threads share the products of a large network instead, whose weights are then read once.
        parts = 1 if model.is_large else min(threads, -(-windows // 4))
        bounds = np.linspace(0, windows, parts + 1).astype(int).tolist()
        each = threads // (len(bounds) - 1)
        self._parts = [(a, b, model.engine.start(b - a, steps, each)) for a, b in itertools.pairwise(bounds)]
        self._last = np.full(windows, config.cut_start, np.int32)
        self._last[: int(file_start)] = config.file_start

    def predict(self) -> NDArray[np.uint32]:
        """See Session.predict."""
        return self._forward(self._last[:, None])[0]

    def update(self, symbols: NDArray[np.int32]) -> None:
        """See Session.update."""
        self._last = symbols

    def prefill(self, symbols: NDArray[np.int32]) -> NDArray[np.uint32]:
        """See Session.prefill."""
        ids = np.concatenate((self._last[:, None], symbols[:, :-1]), axis=1)
        self._last = symbols[:, -1]
        return self._forward(ids)

    def _forward(self, ids: NDArray[np.int32]) -> NDArray[np.uint32]:
        forward = self._model.engine.forward

        def task(part: tuple[int, int, Any]) -> Callable[[], NDArray[np.uint32]]:
            first, end, state = part
            return lambda: forward(state, np.ascontiguousarray(ids[first:end]))

        results = self._model.run([task(part) for part in self._parts])
        return results[0] if len(results) == 1 else np.concatenate(results, axis=1)
