"""A block's symbols, cut into windows that advance in lockstep, to code and back.

Each loop of an encoder stands beside its decoder's; reading them side by side is the way to
understand the format.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lmzip.coders import Decoder, Encoder, ranks_of, symbols_of
from lmzip.models.protocols import Session

if TYPE_CHECKING:
    from lmzip.coders.bits import BitReader
    from lmzip.models.text.ensemble import Ensemble

Symbols = NDArray[np.int32]
Call = tuple[int, int, int]  # first step, last step + 1, windows that have these steps
CALL_ROWS = 1024  # predictions that the encoder asks for at a time
CALL_FREQUENCIES = 1 << 24  # of all of their symbols: 64 MiB
TWO_COHORTS = 8  # windows; a matter of speed


class TooLong(Exception):
    """The code is longer than it may be."""


# Told how many symbols are coded and how many bytes the code has so far; may raise TooLong.
Watch = Callable[[int, int], None]


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
    """Return how many steps are done in one call where all symbols are known, or no network is asked."""
    return max(1, min(CALL_ROWS // windows, CALL_FREQUENCIES // (windows * alphabet), 64))


def calls(count: int, windows: int, steps_each: int) -> Iterator[Call]:
    """Cut the steps of a block into calls of at most steps_each."""
    steps, full = steps_of(count, windows)
    whole = steps if full == windows else steps - 1
    for start in range(0, whole, steps_each):
        yield start, min(start + steps_each, whole), windows
    if whole < steps:
        yield whole, steps, full


def cohorts(windows: int, is_large: bool) -> list[range]:
    """Split many windows in two: while the ensemble decodes one half, the network predicts the other.

    is_large: of the network; such a one needs all threads for itself, and as many windows at once as there are.
    """
    if windows < TWO_COHORTS or is_large:
        return [range(windows)]
    return [range(windows // 2), range(windows // 2, windows)]


def encode_symbols(
    session: Session, symbols: Symbols, windows: int, encoder: Encoder, watch: Watch, stride: int = 1
) -> None:
    """Code symbols by the network alone, asked for `stride` steps at a time. Twin: decode_symbols."""
    table = cut(symbols, windows)
    for start, end, coded in calls(len(symbols), windows, stride):
        predictions = session.prefill(table[:, start:end])
        for step in range(start, end):
            encoder.encode_symbols(np.ascontiguousarray(table[:coded, step]), predictions[step - start, :coded])
        watch(min(len(symbols), end * windows), encoder.size)


def decode_symbols(
    session: Session, decoder: Decoder, count: int, windows: int, progress: Callable[[int], None]
) -> Symbols:
    """Decode what encode_symbols coded. Raises CoderError where the code is impossible."""
    table = np.zeros((windows, steps_of(count, windows)[0]), np.int32)
    for step, end, coded in calls(count, windows, 1):
        table[:coded, step] = decoder.decode_symbols(session.predict()[:coded])
        session.update(table[:, step])
        progress(min(count, end * windows))
    return join(table, count)


def encode_ranks(session: Session, symbols: Symbols, windows: int, watch: Watch, stride: int = 1) -> Symbols:
    """Return the rank of every symbol by the network, asked for `stride` steps at a time. Twin: decode_ranks."""
    table = cut(symbols, windows)
    ranks = np.zeros_like(table)
    for start, end, coded in calls(len(symbols), windows, stride):
        predictions = session.prefill(table[:, start:end])
        for step in range(start, end):
            ranks[:coded, step] = ranks_of(table[:coded, step], predictions[step - start, :coded])
        watch(min(len(symbols), end * windows), 0)
    return join(ranks, len(symbols))


def decode_ranks(session: Session, ranks: Symbols, windows: int, progress: Callable[[int], None]) -> Symbols:
    """Return the symbols of ranks. Raises CoderError where a rank is too large."""
    table = cut(ranks, windows)
    for step, end, coded in calls(len(ranks), windows, 1):
        table[:coded, step] = symbols_of(table[:coded, step], session.predict()[:coded])
        session.update(table[:, step])
        progress(min(len(ranks), end * windows))
    return join(table, len(ranks))


def encode_decisions(
    ensemble: Ensemble, session: Session | None, symbols: Symbols, windows: int, encoder: Encoder, watch: Watch,
    stride: int = 1,
) -> None:  # fmt: skip
    """Code symbols by the ensemble; session: None for no network. Twin: decode_decisions."""
    table = cut(symbols, windows)
    for (start, end, coded), predictions in _prefill_ahead(session, table, calls(len(symbols), windows, stride)):
        frequencies = None if predictions is None else predictions[:, :coded]
        encoder.encode_bits(*ensemble.encode(table[:coded, start:end].T, frequencies))
        watch(min(len(symbols), end * windows), encoder.size)


def decode_decisions(
    ensemble: Ensemble, sessions: Sequence[Session], reader: BitReader, count: int, windows: int,
    progress: Callable[[int], None],
) -> Symbols:  # fmt: skip
    """Decode what encode_decisions coded; sessions: one for each cohort, see `cohorts`, or none: no network.

    Raises CoderError and ValueError where the code is impossible.
    """
    table = np.zeros((windows, steps_of(count, windows)[0]), np.int32)
    parts = cohorts(windows, is_large=len(sessions) < 2)
    with concurrent.futures.ThreadPoolExecutor(1) as background:

        def ahead(session: Session) -> Callable[[], NDArray[np.uint32]]:
            """Return what gives the session's prediction; where others can be decoded meanwhile, it is begun now."""
            return background.submit(session.predict).result if len(sessions) > 1 else session.predict

        predictions = [ahead(session) for session in sessions]
        for start, end, coded in calls(count, windows, 1 if sessions else stride_of(windows, 1)):
            for i, part in enumerate(parts):
                active = range(part.start, min(part.stop, coded))
                frequencies = predictions[i]()[None, : len(active)] if sessions else None
                table[active.start : active.stop, start:end] = ensemble.decode(
                    active, end - start, frequencies, reader
                ).T
                if sessions and end < table.shape[1]:
                    sessions[i].update(table[part.start : part.stop, start])
                    predictions[i] = ahead(sessions[i])
            progress(min(count, end * windows))
    return join(table, count)


def _prefill_ahead(
    session: Session | None, table: Symbols, calls: Iterator[Call]
) -> Iterator[tuple[Call, NDArray[np.uint32] | None]]:
    """Yield every call with the session's predictions, those of the next being computed meanwhile."""
    if session is None:
        yield from ((call, None) for call in calls)
        return
    with concurrent.futures.ThreadPoolExecutor(1) as background:
        ahead: tuple[Call, concurrent.futures.Future[NDArray[np.uint32]]] | None = None
        for call in calls:
            behind, ahead = ahead, (call, background.submit(session.prefill, table[:, call[0] : call[1]]))
            if behind is not None:
                yield behind[0], behind[1].result()
        if ahead is not None:
            yield ahead[0], ahead[1].result()
