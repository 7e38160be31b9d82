"""Deflate streams described by the settings with which zlib writes them, and by what differs from that.

zlib itself is not asked: its successors write other streams, and a file must come back on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmzip.kinds.blocks import AS_FIXED, AS_GIVEN, AS_STORED, write_blocks
from lmzip.kinds.inflate import DYNAMIC, FIXED, LITERAL, STORED, inflate
from lmzip.kinds.matching import (
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
from lmzip.kinds.rest import Reader, Writer

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
PIECES, BLOCKS, FIXES, KINDS, FAR = 1, 2, 4, 8, 16  # flags of a description: what follows
SAMPLE = 1 << 16  # bytes on which settings are tried
MOST_BLOCKS = 1 << 16
WORST = 0.7  # a description of more than this part of the stream is none

Numbers = NDArray[np.int64]
_NO_TOKENS, _NO_FIXES = np.zeros(0, np.int32), np.zeros((0, 2), np.int64)


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


def _find(
    settings: Settings,
    lines: NDArray[np.uint8],
    pieces: Numbers,
    actual: NDArray[np.int32] = _NO_TOKENS,
    fixes: Numbers = _NO_FIXES,
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


def _search(
    header: bytes, lines: NDArray[np.uint8], pieces: Numbers, actual: NDArray[np.int32], blocks: Numbers
) -> tuple[Settings, Found] | None:
    """Find the settings that need the fewest fixes."""
    stop = min(SAMPLE, lines.size)
    best, fewest = None, stop
    for settings in _guesses(header, actual, blocks):
        sample = _find(settings, lines, pieces, actual, stop=stop, most=fewest)
        if sample is None:
            continue
        if best is None or len(sample.fixes) < fewest:
            best, fewest = settings, len(sample.fixes)
        if len(sample.fixes) == 0:
            for in_pieces in (True, False) if lines.size > 1 << settings.window else (False,):
                chosen = replace(settings, pieces=in_pieces)
                if found := _find(chosen, lines, pieces, actual):
                    return chosen, found
    if best is None:
        return None
    found = _find(best, lines, pieces, actual, most=lines.size // 8 + 64)
    return (best, found) if found else None


def _bits(stream: NDArray[np.uint8], start: int, end: int) -> bytes:
    """Return bits start to end of a stream, zeros behind them."""
    bits = np.unpackbits(stream[start >> 3 : (end + 7) >> 3], bitorder="little")[start & 7 :][: end - start]
    return np.packbits(bits, bitorder="little").tobytes()


def describe(stream: bytes, size: int, pieces: Numbers) -> tuple[bytes, int, bytes] | None:
    """Describe the deflate stream in a zlib stream.

    Args:
        stream: bytes that begin with the stream, its two bytes of header first.
        size: bytes that it stands for.
        pieces: int64, the ends of the pieces of data as the writer of the file would give them to zlib.

    Returns:
        The data, where the deflate stream ends in `stream`, and its description; None where there is none.
    """
    data = np.frombuffer(bytearray(stream[2:] + bytes(8)), np.uint8)  # not read-only, as `lines` in deflate
    lines, actual = np.zeros(size, np.uint8), np.zeros(size, np.int32)
    blocks = np.zeros((MOST_BLOCKS, 4), np.int64)
    count, bits = inflate(data, 8 * (len(stream) - 2), lines, actual, blocks)
    if not count:
        return None
    blocks, length = blocks[:count], (bits + 7) // 8
    best = _search(stream[:2], lines, pieces, actual, blocks)
    if best is None:
        return None
    settings, found = best
    places = np.cumsum(found.tokens & 511)
    ends = np.searchsorted(places, blocks[:, 0], side="right").astype(np.int64)
    own_blocks = not np.array_equal(ends, found.ends)
    slid = np.zeros(count, np.int64) if own_blocks else found.slid
    kinds = np.zeros(count, np.int64)
    given = [b""] * count
    written = _write(lines, found.tokens, ends, slid, kinds, settings, given)
    if written is None:
        return None
    result, heads = written
    wanted = data[:length]
    if result != wanted.tobytes():
        made = np.frombuffer(result, np.uint8)
        for block in range(count):
            _, kind, start, end = blocks[block]
            if kind == heads[block, 0] and _bits(wanted, start, end) == _bits(made, *heads[block, 1:]):
                continue
            kinds[block] = {STORED: AS_STORED, FIXED: AS_FIXED, DYNAMIC: AS_GIVEN}[int(kind)]
            given[block] = _create_given(_bits(wanted, start, end), end - start) if kind == DYNAMIC else b""
    description = _create(settings, found.fixes, ends if own_blocks else None, kinds, given)
    if len(description) > 64 + WORST * length:
        return None
    return lines.tobytes(), 2 + length, description


def deflate(description: bytes, lines: NDArray[np.uint8], pieces: Numbers) -> bytes:
    """Return the deflate stream; ValueError for what describe never gives."""
    settings, fixes, ends, kinds, given = _parse(description, lines.size)
    lines = np.require(lines, requirements="W")  # kernels are compiled anew for arrays that are read-only
    found = _find(settings, lines, pieces, fixes=fixes)
    if found is None:
        raise ValueError("tokens that the data does not have")
    slid = found.slid
    if ends is None:
        ends = found.ends
    else:
        ends, slid = np.append(ends, len(found.tokens)), np.zeros(len(ends) + 1, np.int64)
        if (np.diff(ends) < 0).any():
            raise ValueError("blocks of more tokens than there are")
    if kinds.size == 0:
        kinds, given = np.zeros(len(ends), np.int64), [b""] * len(ends)
    if len(kinds) != len(ends):
        raise ValueError("another number of blocks than there are")
    written = _write(lines, found.tokens, ends, slid, kinds, settings, given)
    if written is None:
        raise ValueError("code lengths that do not fit the block")
    return written[0]


def _write(
    lines: NDArray[np.uint8],
    tokens: NDArray[np.int32],
    ends: Numbers,
    slid: Numbers,
    kinds: Numbers,
    settings: Settings,
    given: list[bytes],
) -> tuple[bytes, Numbers] | None:
    """Run write_blocks; None where it refuses."""
    starts, parts = np.zeros(len(ends) + 1, np.int64), []
    for block, string in enumerate(given):
        reader = Reader(string)
        length = reader.number(1 << 13) if string else 0
        parts.append(np.unpackbits(np.frombuffer(reader.remaining(), np.uint8), bitorder="little")[:length])
        starts[block + 1] = starts[block] + length
        if len(parts[-1]) != length:
            return None
    codes = np.append(np.packbits(np.concatenate(parts), bitorder="little"), np.zeros(8, np.uint8))
    out = np.zeros(2 * lines.size + 512 * len(ends) + 1024, np.uint8)
    heads = np.zeros((len(ends), 3), np.int64)
    only_fixed = settings.strategy == FIXED_CODES
    bits = write_blocks(lines, tokens, ends, slid, kinds, only_fixed, codes, starts, out, heads)
    return None if bits < 0 else (out[: (bits + 7) // 8].tobytes(), heads)


def _create_given(bits: bytes, length: int) -> bytes:
    writer = Writer()
    writer.numbers(int(length))
    return bytes(writer.buffer) + bits


def _create(settings: Settings, fixes: Numbers, ends: Numbers | None, kinds: Numbers, given: list[bytes]) -> bytes:
    """Write a description (FORMAT.md, "Files taken apart")."""
    flags = PIECES * settings.pieces | FAR * settings.far | BLOCKS * (ends is not None)
    flags |= FIXES * (len(fixes) > 0) | KINDS * bool(kinds.any())
    writer = Writer()
    writer.numbers(flags, settings.level, settings.strategy, settings.memory, settings.window)
    if flags & FIXES:
        lengths = fixes[:, 1] & 511
        writer.numbers(len(fixes), *np.diff(fixes[:, 0], prepend=-1).tolist())
        writer.numbers(*lengths.tolist(), *(fixes[lengths > LITERAL, 1] >> 9).tolist())
    if flags & BLOCKS and ends is not None:
        writer.numbers(len(ends), *np.diff(ends[:-1], prepend=0).tolist())
    if flags & KINDS:
        writer.numbers(len(kinds), *kinds.tolist())
        for kind, string in zip(kinds, given, strict=True):
            writer.buffer += string if kind == AS_GIVEN else b""
    return bytes(writer.buffer)


def _parse(description: bytes, size: int) -> tuple[Settings, Numbers, Numbers | None, Numbers, list[bytes]]:
    """Read a description."""
    reader = Reader(description)
    flags, level, strategy, memory, window = (reader.number(most) for most in (31, 9, FIXED_CODES, 9, 15))
    if not level or not memory or window < 9:
        raise ValueError("settings that zlib does not have")
    fixes, ends = _NO_FIXES, None
    kinds: Any = np.zeros(0, np.int64)
    given: list[bytes] = []
    if flags & FIXES:
        count = reader.number(len(description))
        places = np.cumsum([reader.number(size + 1) for _ in range(count)], dtype=np.int64) - 1
        lengths = [reader.number(258) for _ in range(count)]
        tokens = [length | (reader.number(1 << 15) << 9 if length != LITERAL else 0) for length in lengths]
        fixes = np.stack([places, np.array(tokens, np.int64)], axis=1)
    if flags & BLOCKS:
        count = reader.number(min(len(description) + 1, MOST_BLOCKS))
        ends = np.cumsum([reader.number(size + 1) for _ in range(count - 1)], dtype=np.int64)
    if flags & KINDS:
        kinds = np.array([reader.number(AS_GIVEN) for _ in range(reader.number(len(description)))], np.int64)
        for kind in kinds:
            start = reader.offset
            if kind == AS_GIVEN:
                reader.take((reader.number(1 << 13) + 7) // 8)
            given.append(description[start : reader.offset])
    if reader.remaining():
        raise ValueError("a description of a stream with more behind it")
    return Settings(level, strategy, memory, window, bool(flags & FAR), bool(flags & PIECES)), fixes, ends, kinds, given
