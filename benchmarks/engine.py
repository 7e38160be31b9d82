"""Time the CPU engine with the shipped model: `python benchmarks/engine.py [WINDOWSxSTEPS ...]`.

Prints milliseconds of processor time a call, one thread, behind a full context, and the parts of it.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from lmzip.models.exact.cpu import attention, kernels
from lmzip.models.registry import load_model

PARTS = {"embed": kernels, "attention": attention, "feed_forward": kernels, "predict": kernels}  # and their modules
REPEATS = 20


def timed(function: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    """Return a function that adds how long it took to the last of `seconds`."""

    def call(*arguments: Any) -> Any:
        start = time.thread_time()
        result = function(*arguments)
        seconds[-1] += time.thread_time() - start
        return result

    return call


def main(shapes: list[str]) -> None:
    """Print a line for every shape such as `62x1` (a step of 62 windows) or `32x64` (a prefill)."""
    engine = load_model().engine
    window = engine.config.sliding_window
    parts: dict[str, list[float]] = defaultdict(list)
    for name, module in PARTS.items():
        setattr(module, name, timed(getattr(module, name), parts[name]))
    print("windows x steps".ljust(16), *(name.rjust(13) for name in ("ms a call", *PARTS)))
    for shape in shapes:
        windows, steps = map(int, shape.split("x"))
        state = engine.start(windows, steps)
        rng = np.random.default_rng(0)
        total: list[float] = []
        for _ in range(-(-window // steps) + REPEATS):
            ids = rng.integers(0, engine.config.vocab_size, (windows, steps)).astype(np.int32)
            for seconds in parts.values():
                seconds.append(0.0)
            start = time.thread_time()
            engine.forward(state, ids)
            total.append(time.thread_time() - start)
        columns = [1000 * median(seconds[-REPEATS:]) for seconds in (total, *parts.values())]
        print(shape.ljust(16), *(f"{value:13.3f}" for value in columns), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or ["1x1", "8x1", "32x1", "62x1", "1x64", "32x64"])
