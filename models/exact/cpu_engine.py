"""The engine for CPUs: numba kernels, all integer products in panels."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmzip.models.exact import kernels, recurrence
from lmzip.models.exact.cpu_layers import Layer, RecurrentLayer, TransformerLayer, norm, projection
from lmzip.models.exact.engine import check_context, rope_tables
from lmzip.models.exact.ngrams import BEFORE, rows_of
from lmzip.models.exact.weights import Weights


@dataclasses.dataclass
class CPUState:
    """The memory of a batch of windows."""

    batch: int
    steps: int  # most in a call
    position: int
    before: NDArray[np.int64]  # (batch, BEFORE) the last ids
    layers: list[Any]


class CPUEngine:
    """Evaluate an exact network on the CPU, a call on one thread: callers that want more split the batch."""

    def __init__(self, weights: Weights) -> None:
        c = self.config = weights.config
        self._embedding = weights.matrix("embedding")
        self._positions = weights.matrices.get("positions")
        self._ngrams = weights.matrices.get("ngrams")
        self._embedding_norm = norm(weights, "embedding_norm") if c.is_recurrent else None
        make = RecurrentLayer if c.is_recurrent else TransformerLayer
        self._layers: list[Layer] = [make(weights, i) for i in range(c.num_hidden_layers)]
        self._head = norm(weights, "norm"), projection(weights, "head")
        self._rope = rope_tables(c, 256)

    def start(self, batch: int, steps: int) -> CPUState:
        """See Engine.start."""
        before = np.zeros((batch, BEFORE), np.int64)
        return CPUState(batch, steps, 0, before, [layer.start(batch, steps) for layer in self._layers])

    def forward(self, state: CPUState, ids: NDArray[np.int32]) -> NDArray[np.uint32]:
        """See Engine.forward."""
        x = self._hidden(state, ids)
        out = np.empty((len(x), self.config.vocab_size), np.uint32)
        kernels.predict(x, *self._head, out)
        return out.reshape(*ids.shape, -1).transpose(1, 0, 2)

    def read(self, state: CPUState, ids: NDArray[np.int32]) -> None:
        """See Engine.read."""
        self._hidden(state, ids)

    def _hidden(self, state: CPUState, ids: NDArray[np.int32]) -> NDArray[np.float32]:
        """Read ids (batch, steps) and return the residual behind the last layer, (batch * steps, hidden)."""
        c = self.config
        batch, steps = ids.shape
        if batch != state.batch or steps > state.steps:
            raise ValueError(f"the state was started for {state.batch} windows and at most {state.steps} steps a call")
        if not 0 <= ids.min() <= ids.max() < c.vocab_size + 2:
            raise ValueError(f"ids must be 0 to {c.vocab_size + 1}, not {ids.min()} to {ids.max()}")
        start = state.position
        check_context(c, start, steps)
        state.position += steps
        rope = self._rope_until(state.position)
        x = np.empty((batch * steps, c.hidden_size), np.float32)
        kernels.embed(ids.reshape(-1), self._embedding.values, self._embedding.scale, x)
        if self._ngrams is not None:
            if start == 0:
                state.before[:] = c.cut_start
            known = np.concatenate((state.before, ids.astype(np.int64)), axis=1)
            state.before = known[:, -BEFORE:]
            for rows in rows_of(known, c.ngram_rows):
                kernels.add_rows(rows.reshape(-1), self._ngrams.values, self._ngrams.scale, x)
        if self._positions is not None:
            kernels.add_positions(x, self._positions.values, self._positions.scale, start, steps)
        if self._embedding_norm is not None:
            recurrence.normalise(x, self._embedding_norm, x)
        for layer, memory in zip(self._layers, state.layers, strict=True):
            layer.run(x, memory, start, rope)
        return x

    def _rope_until(self, position: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if self.config.positions == "rope" and position > len(self._rope[0]):
            self._rope = rope_tables(self.config, max(position, 2 * len(self._rope[0])))
        return self._rope
