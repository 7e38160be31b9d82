"""A block's symbols, cut into windows that advance in lockstep, to code and back.

Each loop of an encoder stands beside its decoder's; reading them side by side is the way to
understand the format.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lmzip.coders import Decoder, Encoder, ranks_of, symbols_of
from lmzip.models.base import Session

if TYPE_CHECKING:
    from lmzip.models.ensemble.ensemble import Ensemble

Symbols = NDArray[np.int32]
Predictions = NDArray[np.uint32] | list[None]  # frequencies (steps, windows, alphabet), or no network
CALL_ROWS = 1024  # predictions that the encoder asks for at a time
CALL_FREQUENCIES = 1 << 24  # of all of their symbols: 64 MiB
TWO_COHORTS = 16  # windows; format


class TooLong(Exception):
    """The code is longer than it may be."""


# Told how many symbols are coded and how many bytes the code has so far; may raise TooLong.
Watch = Callable[[int, int], None]


class Alone:
    """A session for blocks without a network: it predicts nothing."""

    def predict(self) -> None:
        """Return no frequencies."""

    def update(self, symbols: Symbols) -> None:
        """Take no notice."""

    def prefill(self, symbols: Symbols) -> list[None]:
        """Return no frequencies for each step of symbols (windows, steps)."""
        return [None] * symbols.shape[1]


def steps_of(count: int, windows: int) -> tuple[int, int]:
    """Return the steps of the longest window, and how many windows are that long."""
    steps = -(-count // windows)
    return steps, count - windows * (steps - 1)


def cut(symbols: Symbols, windows: int) -> Symbols:
    """Cut symbols into windows (windows, steps): the first ones full, the others one shorter."""
    steps, full = steps_of(len(symbols), windows)
    table = np.zeros((windows, steps), np.int32)
    table[:full] = symbols[: full * steps].reshape(full, steps)
    table[full:, : steps - 1] = symbols[full * steps :].reshape(windows - full, steps - 1)
    return table


def join(table: Symbols, count: int) -> Symbols:
    """Join the windows (windows, steps) of `count` symbols again."""
    windows, steps = table.shape
    _, full = steps_of(count, windows)
    return np.concatenate((table[:full].reshape(-1), table[full:, : steps - 1].reshape(-1)))


def stride_of(windows: int, alphabet: int) -> int:
    """Return how many steps the encoder asks a session for at a time."""
    return max(1, min(CALL_ROWS // windows, CALL_FREQUENCIES // (windows * alphabet), 64))


def cohorts(windows: int) -> list[range]:
    """Split many windows in two: while the ensemble codes one half, the network predicts the other."""
    if windows < TWO_COHORTS:
        return [range(windows)]
    return [range(windows // 2), range(windows // 2, windows)]


def encode_symbols(
    session: Session, symbols: Symbols, windows: int, encoder: Encoder, watch: Watch, stride: int = 1
) -> None:
    """Code symbols by the network alone, asked for `stride` steps at a time. Twin: decode_symbols."""
    table = cut(symbols, windows)
    steps, full = steps_of(len(symbols), windows)
    for start in range(0, steps, stride):
        predictions = session.prefill(table[:, start : start + stride])
        for step, frequencies in enumerate(predictions, start):
            coded = windows if step < steps - 1 else full
            encoder.encode_symbols(np.ascontiguousarray(table[:coded, step]), frequencies[:coded])
        watch(min(len(symbols), (start + len(predictions)) * windows), encoder.size)


def decode_symbols(
    session: Session, decoder: Decoder, count: int, windows: int, progress: Callable[[int], None]
) -> Symbols:
    """Decode what encode_symbols coded. Raises CoderError where the code is impossible."""
    steps, full = steps_of(count, windows)
    table = np.zeros((steps, windows), np.int32)
    for step in range(steps):
        frequencies = session.predict()
        coded = windows if step < steps - 1 else full
        table[step, :coded] = decoder.decode_symbols(frequencies[:coded])
        session.update(table[step])
        progress(min(count, (step + 1) * windows))
    return join(table.T, count)


def encode_ranks(session: Session, symbols: Symbols, windows: int, watch: Watch, stride: int = 1) -> Symbols:
    """Return the rank of every symbol by the network, asked for `stride` steps at a time. Twin: decode_ranks."""
    table = cut(symbols, windows)
    ranks = np.empty_like(table)
    for start in range(0, table.shape[1], stride):
        predictions = session.prefill(table[:, start : start + stride])
        for step, frequencies in enumerate(predictions, start):
            ranks[:, step] = ranks_of(table[:, step], frequencies)
        watch(min(len(symbols), (start + len(predictions)) * windows), 0)
    return join(ranks, len(symbols))


def decode_ranks(session: Session, ranks: Symbols, windows: int, progress: Callable[[int], None]) -> Symbols:
    """Return the symbols of ranks. Raises CoderError where a rank is too large."""
    table = cut(ranks, windows)
    steps = table.shape[1]
    for step in range(steps):
        table[:, step] = symbols_of(table[:, step], session.predict())
        if step < steps - 1:
            session.update(np.ascontiguousarray(table[:, step]))
        progress(min(len(ranks), (step + 1) * windows))
    return join(table, len(ranks))


def encode_decisions(
    ensemble: Ensemble, sessions: Sequence[Session | Alone], symbols: Symbols, windows: int, encoder: Encoder,
    watch: Watch, stride: int = 1,
) -> None:  # fmt: skip
    """Code symbols by the ensemble; sessions: one for each cohort of the windows. Twin: decode_decisions."""
    table = cut(symbols, windows)
    steps, full = steps_of(len(symbols), windows)
    parts = cohorts(windows)
    chunks = [table[:, start : start + stride] for start in range(0, steps, stride)]
    step = 0
    for chunk, predictions in zip(chunks, _prefill_ahead(sessions, parts, chunks), strict=True):
        for column in range(chunk.shape[1]):
            coded = windows if step < steps - 1 else full
            for part, frequencies in zip(parts, predictions, strict=True):
                active = np.arange(part.start, min(part.stop, coded))
                encoder.encode_bits(*ensemble.encode(active, chunk[active, column], frequencies[column]))
            step += 1
        watch(min(len(symbols), step * windows), encoder.size)


def decode_decisions(
    ensemble: Ensemble, sessions: Sequence[Session | Alone], decoder: Decoder, count: int, windows: int,
    progress: Callable[[int], None],
) -> Symbols:  # fmt: skip
    """Decode what encode_decisions coded. Raises CoderError and ValueError where the code is impossible."""
    steps, full = steps_of(count, windows)
    table = np.zeros((steps, windows), np.int32)
    parts = cohorts(windows)
    with concurrent.futures.ThreadPoolExecutor(1) as background:
        predictions = [background.submit(session.predict) for session in sessions]
        for step in range(steps):
            coded = windows if step < steps - 1 else full
            for i, (part, session) in enumerate(zip(parts, sessions, strict=True)):
                active = np.arange(part.start, min(part.stop, coded))
                table[step, active] = ensemble.decode(active, predictions[i].result(), decoder.decode_bits)
                if step < steps - 1:
                    session.update(table[step, part.start : part.stop])
                    predictions[i] = background.submit(session.predict)
            progress(min(count, (step + 1) * windows))
    return join(table.T, count)


def _prefill_ahead(
    sessions: Sequence[Session | Alone], parts: list[range], chunks: Iterable[Symbols]
) -> Iterator[list[Predictions]]:
    """Yield the predictions of every cohort for one chunk after the other, the next being computed meanwhile."""

    def prefill(chunk: Symbols) -> list[Predictions]:
        return [session.prefill(chunk[part.start : part.stop]) for session, part in zip(sessions, parts, strict=True)]

    with concurrent.futures.ThreadPoolExecutor(1) as background:
        ahead: concurrent.futures.Future[list[Predictions]] | None = None
        for chunk in chunks:
            behind, ahead = ahead, background.submit(prefill, chunk)
            if behind is not None:
                yield behind.result()
        if ahead is not None:
            yield ahead.result()
