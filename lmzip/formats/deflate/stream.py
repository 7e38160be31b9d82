"""Deflate streams described by how their tokens are found again, and by what differs from that.

Either as zlib finds them (`settings.py`), or the cheapest ones for the codes of each block (`optimal.py`).
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmzip.formats.deflate.blocks import AS_FIXED, AS_GIVEN, AS_STORED, write_blocks
from lmzip.formats.deflate.inflate import CODES, DYNAMIC, FIXED, FIXED_LENGTHS, LITERAL, STORED, inflate, read_lengths
from lmzip.formats.deflate.matching import LONGEST
from lmzip.formats.deflate.optimal import Fixes, parse
from lmzip.formats.deflate.settings import FIXED_CODES, NO_FIXES, Found, Numbers, Settings, find, search
from lmzip.formats.side_data import Reader, Writer

PIECES, BLOCKS, FIXES, KINDS, FAR, OPTIMAL = 1, 2, 4, 8, 16, 32  # flags of a description: what follows
MOST_BLOCKS, MOST_BITS = 1 << 16, 1 << 13  # of a stream; of the code lengths of a block
WORST = 0.7  # a description of more than this part of the stream is none
GOOD = 1 / 16  # one of less than this part is not compared with another
HOW = {STORED: AS_STORED, FIXED: AS_FIXED, DYNAMIC: AS_GIVEN}


def deconstruct_stream(stream: bytes, size: int, pieces: Numbers) -> tuple[bytes, int, bytes] | None:
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
    stated, descriptions = data[:length], []
    best = search(stream[:2], lines, pieces, actual, blocks)
    settings, found = best or (None, None)
    with contextlib.suppress(ValueError):
        if not found:
            descriptions.append(_describe_optimal(stated, lines, actual, blocks))
    if settings and not found and not (descriptions and len(descriptions[0]) < GOOD * length):
        found = find(settings, lines, pieces, actual, most=size // 8 + 64)
    with contextlib.suppress(ValueError):
        if settings and found:
            descriptions.append(_describe_zlib(stated, lines, blocks, settings, found))
    description = min(descriptions, key=len, default=None)
    if description is None or len(description) > 64 + WORST * length:
        return None
    return lines.tobytes(), 2 + length, description


def _describe_zlib(
    stream: NDArray[np.uint8], lines: NDArray[np.uint8], blocks: Numbers, settings: Settings, found: Found
) -> bytes:
    """Describe a stream by the settings of zlib."""
    places = np.cumsum(found.tokens & 511)
    ends = np.searchsorted(places, blocks[:, 0], side="right").astype(np.int64)
    own_blocks = not np.array_equal(ends, found.ends)
    slid = np.zeros(len(ends), np.int64) if own_blocks else found.slid
    kinds, given = np.zeros(len(ends), np.int64), [b""] * len(ends)
    result, heads = _write(lines, found.tokens, ends, slid, kinds, given, settings.strategy == FIXED_CODES)
    made = np.frombuffer(result, np.uint8)
    if not np.array_equal(made, stream):
        for block, (_, kind, start, end) in enumerate(blocks.tolist()):
            if kind != heads[block, 0] or _bits(stream, start, end) != _bits(made, *heads[block, 1:]):
                kinds[block], given[block] = HOW[kind], _create_given(stream, kind, start, end)
    return create_description(settings, found.fixes, ends if own_blocks else None, kinds, given)


def create_description(
    settings: Settings, fixes: Numbers, ends: Numbers | None, kinds: Numbers, given: list[bytes]
) -> bytes:
    """Write a description by the settings of zlib (FORMAT.md section 10)."""
    flags = PIECES * settings.pieces | FAR * settings.far | BLOCKS * (ends is not None)
    flags |= FIXES * (len(fixes) > 0) | KINDS * bool(kinds.any())
    writer = Writer()
    writer.numbers(flags, settings.level, settings.strategy, settings.memory, settings.window)
    if flags & FIXES:
        _write_places(writer, fixes[:, 0])
        _write_tokens(writer, fixes[:, 1])
    if ends is not None:
        writer.numbers(len(ends), *np.diff(ends[:-1], prepend=0).tolist())
    if flags & KINDS:
        writer.numbers(len(kinds), *kinds.tolist())
        writer.buffer += b"".join(given)
    return bytes(writer.buffer)


def _describe_optimal(
    stream: NDArray[np.uint8], lines: NDArray[np.uint8], actual: NDArray[np.int32], blocks: Numbers
) -> bytes:
    """Describe a stream by the codes of its blocks."""
    kinds = np.array([HOW[kind] for kind in blocks[:, 1].tolist()])
    given = [_create_given(stream, *block) for block in blocks[:, 1:].tolist()]
    _, fixes = parse(lines, blocks[:, 0].copy(), _lengths(kinds, given), actual, None)
    writer = Writer()
    writer.numbers(OPTIMAL, len(blocks), *np.diff(blocks[:-1, 0], prepend=0).tolist(), *kinds.tolist())
    writer.buffer += b"".join(given)
    _write_places(writer, fixes.clear)
    _write_places(writer, fixes.tied)
    writer.numbers(*fixes.ranks.tolist(), len(fixes.explicit))
    _write_tokens(writer, fixes.explicit)
    return bytes(writer.buffer)


def reconstruct_stream(description: bytes, lines: NDArray[np.uint8], pieces: Numbers) -> bytes:
    """Return the deflate stream; ValueError for a description that deconstruct_stream never gives."""
    reader = Reader(description)
    lines = np.require(lines, requirements="W")  # kernels are compiled anew for arrays that are read-only
    flags = reader.number(OPTIMAL)
    stream = _deflate_optimal(reader, lines) if flags == OPTIMAL else _deflate_zlib(flags, reader, lines, pieces)
    if reader.remaining():
        raise ValueError("a description of a stream with more behind it")
    return stream


def _deflate_zlib(flags: int, reader: Reader, lines: NDArray[np.uint8], pieces: Numbers) -> bytes:
    level, strategy, memory, window = (reader.number(most) for most in (9, FIXED_CODES, 9, 15))
    if not level or not memory or window < 9:
        raise ValueError("settings that zlib does not have")
    settings = Settings(level, strategy, memory, window, bool(flags & FAR), bool(flags & PIECES))
    fixes, own_ends = NO_FIXES, None
    kinds: Any = None
    given: list[bytes] = []
    if flags & FIXES:
        places = _read_places(reader, lines.size)
        fixes = np.stack((places, _read_tokens(reader, len(places))), axis=1)
    if flags & BLOCKS:
        own_ends = _read_ends(reader, lines.size)
    if flags & KINDS:
        kinds, given = _read_kinds(reader, reader.number(MOST_BLOCKS))
    found = find(settings, lines, pieces, fixes=fixes)
    if found is None:
        raise ValueError("tokens that the data does not have")
    ends, slid = found.ends, found.slid
    if own_ends is not None:
        ends = np.append(own_ends, len(found.tokens))
        slid = np.zeros(len(ends), np.int64)
    if kinds is None:
        kinds, given = np.zeros(len(ends), np.int64), [b""] * len(ends)
    return _write(lines, found.tokens, ends, slid, kinds, given, settings.strategy == FIXED_CODES)[0]


def _deflate_optimal(reader: Reader, lines: NDArray[np.uint8]) -> bytes:
    ends = np.append(_read_ends(reader, lines.size), lines.size)
    kinds, given = _read_kinds(reader, len(ends))
    clear, tied = _read_places(reader, lines.size), _read_places(reader, lines.size)
    ranks = _read_numbers(reader, len(clear) + len(tied), LONGEST)
    explicit = _read_tokens(reader, reader.number(len(reader.buffer)))
    tokens, _ = parse(lines, ends, _lengths(kinds, given), None, Fixes(clear, tied, ranks, explicit))
    token_ends = np.searchsorted(np.cumsum(tokens & 511), ends, side="right").astype(np.int64)
    return _write(lines, tokens, token_ends, np.zeros(len(ends), np.int64), kinds, given)[0]


def _write(
    lines: NDArray[np.uint8],
    tokens: NDArray[np.int32],
    ends: Numbers,
    slid: Numbers,
    kinds: Numbers,
    given: list[bytes],
    only_fixed: bool = False,
) -> tuple[bytes, Numbers]:
    """Run write_blocks; ValueError where it refuses."""
    if len(kinds) != len(ends) or (np.diff(ends, prepend=0) < 0).any():
        raise ValueError("blocks of more tokens than there are, or of more kinds")
    out = np.zeros(2 * lines.size + 512 * len(ends) + 1024, np.uint8)
    heads = np.zeros((len(ends), 3), np.int64)
    bits = write_blocks(lines, tokens, ends, slid, kinds, only_fixed, *_join(given), out, heads)
    if bits < 0:
        raise ValueError("code lengths that do not fit the block")
    return out[: (bits + 7) // 8].tobytes(), heads


def _bits(stream: NDArray[np.uint8], start: int, end: int) -> bytes:
    """Return bits start to end of a stream, zeros behind them."""
    bits = np.unpackbits(stream[start >> 3 : (end + 7) >> 3], bitorder="little")[start & 7 :][: end - start]
    return np.packbits(bits, bitorder="little").tobytes()


def _create_given(stream: NDArray[np.uint8], kind: int, start: int, end: int) -> bytes:
    """Return how the code lengths of a block stand in a description: only those of a dynamic one do."""
    if kind != DYNAMIC:
        return b""
    writer = Writer()
    writer.numbers(end - start)
    return bytes(writer.buffer) + _bits(stream, start, end)


def _join(given: list[bytes]) -> tuple[NDArray[np.uint8], Numbers]:
    """Return all code lengths as bits, and where those of each block begin; eight zeros and the end behind them."""
    starts, parts = np.zeros(len(given) + 1, np.int64), []
    for block, string in enumerate(given):
        reader = Reader(string)
        length = reader.number(MOST_BITS) if string else 0
        parts.append(np.unpackbits(np.frombuffer(reader.remaining(), np.uint8), bitorder="little")[:length])
        starts[block + 1] = starts[block] + length
    return np.append(np.packbits(np.concatenate(parts), bitorder="little"), np.zeros(8, np.uint8)), starts


def _lengths(kinds: Numbers, given: list[bytes]) -> Numbers:
    """Return the code lengths of all blocks, (blocks, CODES); zeros where it is stored."""
    codes, starts = _join(given)
    lengths, table = np.zeros((len(kinds), CODES), np.int64), np.zeros(1 << 7, np.int32)
    lengths[kinds == AS_FIXED] = FIXED_LENGTHS
    for block in np.flatnonzero(kinds == AS_GIVEN):
        first, behind = int(starts[block]), int(starts[block + 1])
        if read_lengths(codes, first, behind, lengths[block], table) != behind:
            raise ValueError("code lengths that do not fit the block")
    return lengths


def _write_places(writer: Writer, places: Numbers) -> None:
    writer.numbers(len(places), *np.diff(places, prepend=-1).tolist())


def _read_places(reader: Reader, most: int) -> Numbers:
    count = reader.number(len(reader.buffer))
    return np.cumsum(_read_numbers(reader, count, most + 1), dtype=np.int64) - 1


def _write_tokens(writer: Writer, tokens: Numbers) -> None:
    """Append lengths, then the distances of the matches."""
    lengths = tokens & 511
    writer.numbers(*lengths.tolist(), *(tokens[lengths > LITERAL] >> 9).tolist())


def _read_tokens(reader: Reader, count: int) -> Numbers:
    tokens = _read_numbers(reader, count, LONGEST)
    matches = tokens != LITERAL
    tokens[matches] |= _read_numbers(reader, int(matches.sum()), 1 << 15) << 9
    return tokens


def _read_ends(reader: Reader, size: int) -> Numbers:
    """Read where all blocks but the last end."""
    count = reader.number(min(len(reader.buffer) + 1, MOST_BLOCKS))
    return np.cumsum(_read_numbers(reader, count - 1, size + 1), dtype=np.int64)


def _read_kinds(reader: Reader, count: int) -> tuple[Numbers, list[bytes]]:
    """Read the kinds of blocks, and the code lengths that are given."""
    kinds, given = _read_numbers(reader, count, AS_GIVEN), []
    for kind in kinds:
        start = reader.offset
        if kind == AS_GIVEN:
            reader.read((reader.number(MOST_BITS) + 7) // 8)
        given.append(reader.buffer[start : reader.offset])
    return kinds, given


def _read_numbers(reader: Reader, count: int, most: int) -> Numbers:
    return reader.array(count, most)
