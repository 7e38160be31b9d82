"""Windows longer than a network has positions: at the end of the context the last symbols are read again.

A network that never saw so many positions, or that leans on the first symbols of a window (as most do whose
attention is not limited), fails where these simply drop out. So a full window begins anew: at position 0 with
the mark `cut_start`, behind it the last `reread - 1` symbols. The caller sees one endless sequence.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmzip.models.exact.engine import Engine

STEPS = 64  # read again at a time; a matter of speed only


@dataclasses.dataclass
class RereadingState:
    """The memory of a batch of windows: that of the engine, and the ids that it has read."""

    inner: Any
    steps: int  # most in a call of the engine
    ids: NDArray[np.int32]  # (batch, context)


class RereadingEngine:
    """An engine without an end of positions, made of one whose config has a context."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self.config = engine, engine.config

    def start(self, batch: int, steps: int, threads: int = 1) -> RereadingState:
        """See Engine.start."""
        context = self.config.context
        # More steps cost keys and values only where the window slides within the context.
        most = max(steps, STEPS) if self.config.sliding_window == context else steps
        most = min(most, context)
        return RereadingState(self._engine.start(batch, most, threads), most, np.zeros((batch, context), np.int32))

    def forward(self, state: RereadingState, ids: NDArray[np.int32]) -> NDArray[np.uint32]:
        """See Engine.forward."""
        parts, done = [], 0
        while done < ids.shape[1]:
            part = self._prepare(state, ids[:, done:])
            parts.append(self._engine.forward(state.inner, part))
            done += part.shape[1]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def read(self, state: RereadingState, ids: NDArray[np.int32]) -> None:
        """See Engine.read."""
        done = 0
        while done < ids.shape[1]:
            part = self._prepare(state, ids[:, done:])
            self._engine.read(state.inner, part)
            done += part.shape[1]

    def _prepare(self, state: RereadingState, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """Make room and return as many of ids as the engine can read at once."""
        context, reread = self.config.context, self.config.reread
        if state.inner.position == context:
            state.inner.position = 0
            if reread:
                again = state.ids[:, context - reread :].copy()
                again[:, 0] = self.config.cut_start
                state.ids[:, :reread] = again
                for first in range(0, reread, state.steps):
                    part = again[:, first : min(first + state.steps, reread)]
                    self._engine.read(state.inner, np.ascontiguousarray(part))
        start = state.inner.position
        part = np.ascontiguousarray(ids[:, : min(context - start, state.steps)])
        state.ids[:, start : start + part.shape[1]] = part
        return part
