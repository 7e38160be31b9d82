"""The settings with which zlib wrote a deflate stream, found by trial.

A trial runs `matching.find_tokens` on the begin of the data and counts the tokens that differ from those of the stream.
zlib itself is not asked: its successors write other streams, and a file must come back on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lmzip.formats.deflate.inflate import BLOCK_END, BLOCK_TYPE
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
    STATE_SIZE,
    TOO_FAR,
    Limits,
    Search,
    find_tokens,
)
from lmzip.formats.deflate.symbols import DISTANCE_SHIFT, FARTHEST, FIXED, LENGTH_MASK, LITERAL, SHORTEST, STORED

DEFAULT, FILTERED, HUFFMAN_ONLY, RLE, FIXED_CODES = range(5)  # zlib's strategies
# Of zlib's levels: the method; good, lazy, nice, chain (matching.Limits).
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
# Levels by the two bits of a zlib stream's header that hint at them (RFC 1950, FLEVEL), the likely ones first.
HINTS = ((1,), (5, 4, 3, 2), (6,), (9, 8, 7))
SAMPLE = 1 << 16  # bytes on which settings are tried

Numbers = NDArray[np.int64]
NO_TOKENS, NO_FIXES = np.zeros(0, np.int32), np.zeros((0, 2), np.int64)


@dataclass(frozen=True)
class Settings:
    """What zlib was told by the program that called it.

    Attributes:
        level: 1 to 9.
        strategy: DEFAULT and so on.
        memory: memLevel, 1 to 9.
        window: bits of the window, 9 to 15.
        far: whether zlib was built to take matches of three bytes from any distance.
        pieces: whether the data came in pieces.
    """

    level: int
    strategy: int
    memory: int
    window: int
    far: bool = False
    pieces: bool = False

    @property
    def symbols(self) -> int:
        """Return the tokens of a full block."""
        return (1 << self.memory + 6) - 1

    def limits(self) -> Limits:
        """Return the same as matching.find_tokens wants it."""
        method, good, lazy, nice, chain = LEVELS[self.level]
        method = {HUFFMAN_ONLY: ONLY_LITERALS, RLE: RUNS}.get(self.strategy, method)
        filtered, too_far = int(self.strategy == FILTERED), FARTHEST if self.far else TOO_FAR
        hash_bits = self.memory + 7
        return Limits(method, good, lazy, nice, chain, self.window, hash_bits, filtered, self.symbols, too_far)


@dataclass(frozen=True)
class Found:
    """What find_tokens found.

    Attributes:
        tokens: int32.
        fixes: int64, (fixes, 2), number and value of the tokens that were others.
        ends: int64, (blocks,), where blocks end in the tokens: when they are full, and at the end.
        slid: int64, (blocks,), where the window began then.
    """

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
    """Run find_tokens on the data up to `stop`; None for more than `most` fixes, or fixes that do not fit.

    lines, pieces, actual, fixes: data, ends, actual and fixes of matching.Search.
    """
    stop = lines.size if stop is None else stop
    tokens, found = np.zeros(stop + 1, np.int32), np.zeros((most, 2), np.int64)
    bases, state = np.zeros(stop // settings.symbols + 2, np.int64), np.zeros(STATE_SIZE, np.int64)
    limits = settings.limits()
    heads, links = np.zeros(1 << limits.hash_bits, np.int32), np.zeros(1 << limits.window_bits, np.int32)
    ends = pieces if settings.pieces else np.array([lines.size], np.int64)
    late = find_tokens(Search(lines, ends, actual, fixes, heads, links, tokens, found, bases, state), limits, stop)
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
    """Yield the settings to try, the likely ones first. header, actual, blocks: as for search."""
    matches = actual[actual > LITERAL]
    far = bool(((matches & LENGTH_MASK == SHORTEST) & (matches >> DISTANCE_SHIFT > TOO_FAR)).any())
    strategies = [DEFAULT, FILTERED]
    if matches.size == 0:
        strategies = [HUFFMAN_ONLY]
    elif int(matches.max()) < 2 << DISTANCE_SHIFT:  # all are runs
        strategies = [RLE, DEFAULT, FILTERED]
    elif int((matches & LENGTH_MASK).min()) > 5:
        strategies = [FILTERED, DEFAULT]
    if (blocks[:, BLOCK_TYPE] == FIXED).all():
        strategies = [FIXED_CODES if strategy == DEFAULT else strategy for strategy in strategies]
    memories = [8, 9, 7, 6, 5, 4, 3, 2, 1]
    starts = np.append(0, blocks[:-1, BLOCK_END])
    for start, block in zip(starts[:-1], blocks[:-1], strict=True):
        end = block[BLOCK_END]
        if block[BLOCK_TYPE] != STORED:  # the first full block tells how many tokens are one
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
        header: the two bytes before the stream (RFC 1950).
        lines: uint8, the data.
        pieces: int64, where the pieces end in which the data may come.
        actual: int32, the tokens at their places, as `inflate.inflate` gives them.
        blocks: int64, the table of blocks, as `inflate.inflate` gives it.

    Returns:
        The settings, and what they find if nothing is to be fixed in the whole data, else None; None where no settings
        give a sample with fewer fixes than bytes.
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
