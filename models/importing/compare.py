"""Code lengths of a text by the exact network, in integers, and by the float network it was made from."""

from __future__ import annotations

import concurrent.futures
import math

import numpy as np
from numpy.typing import NDArray

from lmzip.models.exact.arithmetic import FREQUENCY_BITS
from lmzip.models.exact.engine import Engine
from lmzip.models.extras import has
from lmzip.models.hardware import processors
from lmzip.models.importing.source import Source
from lmzip.models.mixing.code_length import UNIT, log2_integer

Symbols = NDArray[np.int32]
ROWS = 1 << 22  # frequencies at a time


def code_length(engine: Engine, windows: Symbols) -> int:
    """Return the code length of windows (windows, length), each with its own context, in units of 1 / UNIT bits."""
    config = engine.config
    ids = np.concatenate((np.full((len(windows), 1), config.cut_start, np.int32), windows[:, :-1]), axis=1)
    steps = max(1, min(ids.shape[1], 256, ROWS // config.vocab_size))

    def length_of(window: int) -> int:
        state = engine.start(1, steps)
        total = 0
        for start in range(0, ids.shape[1], steps):
            frequencies = engine.forward(state, ids[window : window + 1, start : start + steps])[:, 0]
            chosen = np.take_along_axis(frequencies, windows[window, start : start + steps, None], axis=1)
            total += FREQUENCY_BITS * UNIT * len(chosen) - int(log2_integer(chosen).sum())
        return total

    with concurrent.futures.ThreadPoolExecutor(processors()) as pool:
        return sum(pool.map(length_of, range(len(windows))))


def parent_bits(source: Source, ids: NDArray[np.int64], start: int) -> float | None:
    """Return the code length in bits of windows of the model's own ids by the float32 network; None: no transformers.

    ids: (windows, length); start: the id before a window.
    """
    if not (has("torch") and has("transformers")):
        return None
    import torch

    model = source.float_network().eval()
    total = 0.0
    with torch.no_grad():
        for window in torch.from_numpy(ids):
            logits = model(torch.cat((torch.tensor([start]), window[:-1]))[None]).logits[0].float()
            total += float(torch.nn.functional.cross_entropy(logits, window, reduction="sum"))
    return total / math.log(2)


def cut_windows(symbols: Symbols, length: int, most: int) -> Symbols:
    """Cut symbols into at most `most` windows (windows, length), spread over the text."""
    length = min(length, len(symbols))
    starts = list(range(0, len(symbols) - length + 1, length))
    chosen = [starts[i * len(starts) // min(most, len(starts))] for i in range(min(most, len(starts)))]
    return np.stack([symbols[a:b] for a, b in ((start, start + length) for start in chosen)])
