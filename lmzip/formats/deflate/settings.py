"""The settings with which zlib writes a deflate stream, found by trial.

zlib itself is not asked: its successors write other streams, and a file must come back on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lmzip.formats.deflate.inflate import FIXED, LITERAL, STORED
from lmzip.formats.deflate.matching import (
    BAD,
    BASE,
    COUNT,
    CURSOR,
    EAGER,
    FIXED_UP,
    LAZY,
    ONLY_LITERALS,
    RUNS,
    TOO_FAR,
    find_tokens,
)

DEFAULT, FILTERED, HUFFMAN_ONLY, RLE, FIXED_CODES = range(5)  # zlib's strategies
# Of zlib's levels: the method; good, lazy, nice, chain.
LEVELS = {
    1: (EAGER, 4, 4, 8, 4),
    2: (EAGER, 4, 5, 16, 8),
    3: (EAGER, 4, 6, 32, 32),
    4: (LAZY, 4, 4, 16, 16),
    5: (LAZY, 8, 16, 32, 32),
    6: (LAZY, 8, 16, 128, 128),
    7: (LAZY, 8, 32, 128, 256),
    8: (LAZY, 32, 128, 258, 1024),
    9: (LAZY, 32, 258, 258, 4096),
}
HINTS = ((1,), (5, 4, 3, 2), (6,), (9, 8, 7))  # levels by the bits of zlib's header that hint at them
SAMPLE = 1 << 16  # bytes on which settings are tried

Numbers = NDArray[np.int64]
NO_TOKENS, NO_FIXES = np.zeros(0, np.int32), np.zeros((0, 2), np.int64)


@dataclass(frozen=True)
class Settings:
    """What zlib was told: level, strategy, memLevel, bits of the window.

    And whether it was built to take matches of three bytes from far away; whether the data came in pieces.
    """

    level: int
    strategy: int
    memory: int
    window: int
    far: bool = False
    pieces: bool = False

    @property
    def symbols(self) -> int:
        """Return the symbols of a full block."""
        return (1 << self.memory + 6) - 1

    def numbers(self) -> Numbers:
        """Return what matching.find_tokens takes."""
        method, *limits = LEVELS[self.level]
        method = {HUFFMAN_ONLY: ONLY_LITERALS, RLE: RUNS}.get(self.strategy, method)
        filtered, far = self.strategy == FILTERED, 1 << 15 if self.far else TOO_FAR
        return np.array([method, *limits, self.window, self.memory + 7, filtered, self.symbols, far], np.int64)


@dataclass(frozen=True)
class Found:
    """Tokens, int32; fixes, int64 (fixes, 2); ends of full blocks in tokens and the begin of the window there."""

    tokens: NDArray[np.int32]
    fixes: Numbers
    ends: Numbers
    slid: Numbers


def find(
    settings: Settings,
    lines: NDArray[np.uint8],
    pieces: Numbers,
    actual: NDArray[np.int32] = NO_TOKENS,
    fixes: Numbers = NO_FIXES,
    stop: int | None = None,
    most: int = 0,
) -> Found | None:
    """Run find_tokens; None for more than `most` fixes, or fixes that do not fit."""
    stop = lines.size if stop is None else stop
    tokens, found = np.zeros(stop + 1, np.int32), np.zeros((most, 2), np.int64)
    bases, state = np.zeros(stop // settings.symbols + 2, np.int64), np.zeros(6, np.int64)
    tables = np.zeros(1 << settings.memory + 7, np.int32), np.zeros(1 << settings.window, np.int32)
    ends = pieces if settings.pieces else np.array([lines.size], np.int64)
    late = find_tokens(lines, ends, settings.numbers(), stop, actual, fixes, *tables, tokens, found, bases, state)
    if state[BAD] or state[FIXED_UP] > most or state[CURSOR] < len(fixes):
        return None
    count = int(state[COUNT])
    full, left = divmod(count, settings.symbols)
    if late and full and not left:
        full -= 1  # the last block got full when it was already over
    bases[full] = state[BASE]
    ends = np.append(np.arange(1, full + 1, dtype=np.int64) * settings.symbols, count)
    return Found(tokens[:count], found[: int(state[FIXED_UP])], ends, bases[: full + 1])


def _guesses(header: bytes, actual: NDArray[np.int32], blocks: Numbers) -> Iterator[Settings]:
    """Give the settings to try, the likely ones first. header: the two bytes of zlib."""
    matches = actual[actual > LITERAL]
    far = bool(((matches & 511 == 3) & (matches >> 9 > TOO_FAR)).any())
    strategies = [DEFAULT, FILTERED]
    if matches.size == 0:
        strategies = [HUFFMAN_ONLY]
    elif int(matches.max()) < 2 << 9:
        strategies = [RLE, DEFAULT, FILTERED]
    elif int((matches & 511).min()) > 5:
        strategies = [FILTERED, DEFAULT]
    if (blocks[:, 1] == FIXED).all():
        strategies = [FIXED_CODES if strategy == DEFAULT else strategy for strategy in strategies]
    memories = [8, 9, 7, 6, 5, 4, 3, 2, 1]
    starts = np.append(0, blocks[:-1, 0])
    for start, (end, kind, _, _) in zip(starts[:-1], blocks[:-1], strict=True):
        if kind != STORED:
            symbols = int((actual[start:end] > 0).sum()) + 1
            known = symbols.bit_length() - 7
            memories = [known] if symbols == 1 << known + 6 and 1 <= known <= 9 else [8]
            break
    hint = HINTS[header[1] >> 6]
    levels = [*hint, *(level for level in (6, 9, 1, 3, 5, 8, 7, 4, 2) if level not in hint)]
    stated = min(max(9, (header[0] >> 4) + 8), 15)
    for memory in memories:
        for window in dict.fromkeys((stated, 15)):
            for strategy in strategies:
                for level in levels if strategy not in (HUFFMAN_ONLY, RLE) else [6]:
                    yield Settings(level, strategy, memory, window, far and level > 3)


def search(
    header: bytes, lines: NDArray[np.uint8], pieces: Numbers, actual: NDArray[np.int32], blocks: Numbers
) -> tuple[Settings, Found | None] | None:
    """Find the settings that need the fewest fixes on a sample, with what they find where they need none at all.

    Args:
        header: the two bytes of zlib.
        lines: the data.
        pieces: where the pieces end in which it comes.
        actual: the tokens, as `inflate.inflate` gives them.
        blocks: the same.
    """
    stop = min(SAMPLE, lines.size)
    best, fewest = None, stop
    for settings in _guesses(header, actual, blocks):
        sample = find(settings, lines, pieces, actual, stop=stop, most=fewest)
        if sample is None:
            continue
        if best is None or len(sample.fixes) < fewest:
            best, fewest = settings, len(sample.fixes)
        if len(sample.fixes) == 0:
            for in_pieces in (True, False) if lines.size > 1 << settings.window else (False,):
                chosen = replace(settings, pieces=in_pieces)
                if found := find(chosen, lines, pieces, actual):
                    return chosen, found
    return (best, None) if best else None
