"""The engine for CPUs: numba kernels, all integer products in panels."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmzip.models.exact.cpu import kernels, recurrence
from lmzip.models.exact.cpu.layers import Layer, RecurrentLayer, TransformerLayer, norm, projection
from lmzip.models.exact.cpu.rows import space_for
from lmzip.models.exact.cpu.team import CAN_MEET, SOLO, Team, make_team
from lmzip.models.exact.engine import check_context, rope_of
from lmzip.models.exact.ngrams import BEFORE, rows_of
from lmzip.models.exact.weights import Weights
from lmzip.models.threads import Pool

Finish = Callable[[NDArray[np.float32], int, int], None]
MOST_THREADS = 64  # of a call
ROWS = 16  # that a thread should have of a call at least; a matter of speed only


@dataclasses.dataclass
class CPUState:
    """The memory of a batch of windows."""

    batch: int
    steps: int  # most in a call
    threads: int  # for a call
    position: int
    before: NDArray[np.int64]  # (batch, BEFORE) the last ids
    layers: list[Any]


class CPUEngine:
    """Evaluate an exact network on the CPU.

    Threads share the positions of a call: each has some that follow each other, and goes through the layers behind
    the thread with those before. A call of one position has one thread: callers that want more split the batch.
    """

    def __init__(self, weights: Weights) -> None:
        c = self.config = weights.config
        self._embedding = weights.matrix("embedding")
        self._positions = weights.matrices.get("positions")
        self._ngrams = weights.matrices.get("ngrams")
        self._embedding_norm = norm(weights, "embedding_norm") if c.is_recurrent else None
        make = RecurrentLayer if c.is_recurrent else TransformerLayer
        self._layers: list[Layer] = [make(weights, i) for i in range(c.num_hidden_layers)]
        self._head = norm(weights, "norm"), projection(weights, "head")
        self._pool = Pool(MOST_THREADS, "lmzip-layers")

    def start(self, batch: int, steps: int, threads: int = 1) -> CPUState:
        """See Engine.start."""
        before = np.zeros((batch, BEFORE), np.int64)
        return CPUState(batch, steps, threads, 0, before, [layer.start(batch, steps) for layer in self._layers])

    def forward(self, state: CPUState, ids: NDArray[np.int32]) -> NDArray[np.uint32]:
        """See Engine.forward."""
        out = np.empty((*ids.shape[::-1], self.config.vocab_size), np.uint32)
        head = self._head[1].panels
        if self._is_shared(state, ids):
            self._pass_together(state, ids, out[0], space_for(len(ids), head))
            return out

        def predict(x: NDArray[np.float32], first: int, end: int) -> None:
            if min(len(ids), end - first) > 1:  # rows step by step, as those of out
                x = np.ascontiguousarray(x.reshape(len(ids), end - first, -1).transpose(1, 0, 2)).reshape(x.shape)
            rows = min(len(x), kernels.CHUNK)
            kernels.predict(x, *self._head, space_for(rows, head), out[first:end].reshape(len(x), -1), SOLO)

        self._pass(state, ids, predict)
        return out

    def read(self, state: CPUState, ids: NDArray[np.int32]) -> None:
        """See Engine.read."""
        if self._is_shared(state, ids):
            self._pass_together(state, ids, None, None)
        else:
            self._pass(state, ids, lambda x, first, end: None)

    def _is_shared(self, state: CPUState, ids: NDArray[np.int32]) -> bool:
        """Whether threads share the columns of a call: of one step, of which there are no positions to share."""
        return CAN_MEET and state.threads > 1 and ids.shape[1] == 1 and not self.config.is_recurrent

    def _pass_together(
        self, state: CPUState, ids: NDArray[np.int32], out: NDArray[np.uint32] | None, logits: NDArray[np.int32] | None
    ) -> None:
        """Read ids (batch, 1) by a team; write the frequencies (batch, alphabet) after them to out, if it is given."""
        start = state.position
        self._check(state, ids)
        x = self._embed(state, ids)
        ropes = rope_of(self.config, start, state.position)
        works = [layer.work(len(ids)) for layer in self._layers]

        def through_layers(team: Team) -> None:
            try:
                for layer, memory, work in zip(self._layers, state.layers, works, strict=True):
                    layer.run(x, memory, start, ropes, work, team)
                if out is not None:
                    kernels.predict(x, *self._head, logits, out, team)
            except BaseException:
                team.give_up()
                raise

        # No member is this thread: an interrupt, which only the main thread gets, would keep the others waiting.
        team = make_team(min(state.threads, MOST_THREADS))
        self._pool.run_team([functools.partial(through_layers, member) for member in team])

    def _pass(self, state: CPUState, ids: NDArray[np.int32], finish: Finish) -> None:
        """Read ids (batch, steps); call finish(residual behind the last layer, first, end) for steps first to end - 1.

        The residual of n steps is (batch * n, hidden).
        """
        batch, steps = ids.shape
        start = state.position
        self._check(state, ids)
        parts = min(state.threads, steps, batch * steps // ROWS)
        if parts > 1:
            self._pass_in_turn(state, ids, finish, [steps * i // parts for i in range(parts + 1)])
            return
        x = self._embed(state, ids)
        ropes = rope_of(self.config, start, state.position)
        for layer, memory in zip(self._layers, state.layers, strict=True):
            layer.run(x, memory, start, ropes, layer.work(len(x)), SOLO)
        finish(x, 0, steps)

    def _pass_in_turn(self, state: CPUState, ids: NDArray[np.int32], finish: Finish, bounds: list[int]) -> None:
        """Do the same by threads, each of which has the steps between two bounds."""
        start = state.position
        xs = [self._embed(state, ids[:, first:end]) for first, end in itertools.pairwise(bounds)]
        left = [threading.Semaphore(0) for _ in xs]  # layers that a part has left

        def through_layers(part: int) -> None:
            x, first, end = xs[part], bounds[part], bounds[part + 1]
            ropes = rope_of(self.config, start + first, start + end)
            try:
                for layer, memory in zip(self._layers, state.layers, strict=True):
                    if part:
                        left[part - 1].acquire()
                    layer.run(x, memory, start + first, ropes, layer.work(len(x)), SOLO)
                    left[part].release()
            except BaseException:
                left[part].release(len(self._layers))  # nobody waits for a part that failed
                raise
            finish(x, first, end)

        behind = [self._pool.submit(through_layers, part) for part in range(1, len(xs))]
        try:
            through_layers(0)
        finally:
            for future in behind:
                future.result()

    def _check(self, state: CPUState, ids: NDArray[np.int32]) -> None:
        c = self.config
        batch, steps = ids.shape
        if batch != state.batch or steps > state.steps:
            raise ValueError(f"the state was started for {state.batch} windows and at most {state.steps} steps a call")
        if not 0 <= ids.min() <= ids.max() < c.vocab_size + 2:
            raise ValueError(f"ids must be 0 to {c.vocab_size + 1}, not {ids.min()} to {ids.max()}")
        check_context(c, state.position, steps)

    def _embed(self, state: CPUState, ids: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return what the first layer gets for the next ids (batch, steps): (batch * steps, hidden)."""
        c = self.config
        batch, steps = ids.shape
        start = state.position
        state.position += steps
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
        return x
