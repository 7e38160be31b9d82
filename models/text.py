"""Text models: a byte-level tokenizer and an exact network, loaded from a folder."""

from __future__ import annotations

import concurrent.futures
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmzip.models.bundle import PRIOR, fingerprint
from lmzip.models.ensemble.prior import Prior, load_prior
from lmzip.models.exact import arithmetic
from lmzip.models.exact.backends import make_engine
from lmzip.models.exact.config import NetworkConfig
from lmzip.models.exact.engine import Engine
from lmzip.models.exact.weights import Weights
from lmzip.models.imported import ImportedTokenizer
from lmzip.models.machine import processors, require_memory
from lmzip.models.tokenized import Tokenized
from lmzip.models.tokenizer import Tokenizer

CACHE = 1 << 30  # bytes: what the windows of a block that lmzip writes remember, at most


class TextModel(Tokenized):
    """A tokenizer and an exact network. See `lmzip.models.base.Model`.

    Threads share a block by windows: each evaluates its part of the batch alone, so nothing
    depends on their number.
    """

    profile = arithmetic.PROFILE

    def __init__(
        self, model_id: str, tokenizer: Tokenizer, engine: Engine, sha256: bytes,
        threads: int | None = None, backend: str = "cpu", prior: Prior | None = None,
    ) -> None:  # fmt: skip
        """threads: of the CPU; None: as many as the process may use. backend: the engine's name, for reports."""
        if len(tokenizer) != engine.config.vocab_size:
            raise ValueError(f"model {model_id}: {len(tokenizer)} tokens, {engine.config.vocab_size} outputs")
        super().__init__(tokenizer)
        self.id, self.sha256, self.backend, self.prior = model_id, sha256, backend, prior
        self.engine = engine
        self.most_windows = max(1, CACHE // engine.config.window_bytes(1))
        self.threads = threads or processors()
        self._pool = concurrent.futures.ThreadPoolExecutor(self.threads, thread_name_prefix="lmzip")

    def begin(self, windows: int, file_start: bool, steps: int = 1, beside: int = 0) -> TextSession:
        """See Model.begin. MemoryError: there is too little for keys and values of so many windows."""
        size = windows * self.engine.config.window_bytes(steps)
        require_memory(
            size, f"what {windows} windows of the model {self.id} remember",
            "Higher levels take fewer windows; `lmzip models import --context` makes a model that remembers less.",
        )  # fmt: skip
        return TextSession(self, windows, file_start, steps, max(1, self.threads - beside))

    def run(self, tasks: list[Callable[[], NDArray[np.uint32]]]) -> list[NDArray[np.uint32]]:
        """Call the tasks on the model's threads; one alone on the caller's, which saves two changes of thread."""
        if len(tasks) == 1:
            return [tasks[0]()]
        return [future.result() for future in [self._pool.submit(task) for task in tasks]]


class TextSession:
    """See `lmzip.models.base.Session`."""

    def __init__(self, model: TextModel, windows: int, file_start: bool, steps: int, threads: int) -> None:
        config = model.engine.config
        self._model = model
        # Parts of the windows, one for each thread: (first, last + 1, state). Four windows take hardly longer than one.
        bounds = np.linspace(0, windows, min(threads, -(-windows // 4)) + 1).astype(int).tolist()
        each = threads // (len(bounds) - 1)
        self._parts = [(a, b, model.engine.start(b - a, steps, each)) for a, b in itertools.pairwise(bounds)]
        self._last = np.full(windows, config.cut_start, np.int32)
        if file_start:
            self._last[0] = config.file_start

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


def load_text_model(
    folder: str | Path,
    threads: int | None = None,
    backend: str | None = None,
    notify: Callable[[str], None] | None = None,
) -> TextModel:
    """Load a model from a folder of bundle.FILES, and bundle.PRIOR where there is one.

    backend, notify: see lmzip.models.exact.backends.make_engine.
    Raises FileNotFoundError where a file is missing, ValueError where one is malformed, MemoryError where there
    is too little for it, and RuntimeError where this machine cannot evaluate the network exactly.
    """
    folder = Path(folder)
    sha256 = fingerprint(folder)
    try:
        description = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        model_id, profile = description["id"], description["profile"]
        config = NetworkConfig.from_dict(description["network"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{folder / 'config.json'}: {error}") from error
    if profile != arithmetic.PROFILE:
        raise ValueError(f"{folder}: profile {profile}; this version evaluates {arithmetic.PROFILE}")
    size = (folder / "weights.safetensors").stat().st_size
    require_memory(2 * size, f"the model {model_id}", "A smaller model needs less.")
    tokenizer = _load_tokenizer(folder / "tokenizer.json")
    weights = Weights.load(folder / "weights.safetensors", config)
    name, engine = make_engine(weights, backend, notify)
    threads = threads if name == "cpu" else 1  # torch has threads of its own
    prior = load_prior(folder / PRIOR) if (folder / PRIOR).exists() else None
    return TextModel(model_id, tokenizer, engine, sha256, threads, name, prior)


def _load_tokenizer(path: Path) -> Tokenizer:
    text = path.read_text(encoding="utf-8")
    return ImportedTokenizer.from_json(text) if text.startswith('{"lmzip"') else Tokenizer.from_json(text)
