"""Deflate streams as their data and a description: how the tokens are found again, and what differs from that.

The description (FORMAT.md sections 10.4 to 10.8) says that the tokens are those that zlib finds with some
settings (`settings.py`), or that they are the cheapest ones for the codes of each block (`optimal.py`). It lists the
tokens that are others, the **fixes**, and how each block is written where zlib would do it in another way.
`lmzip.formats.png` keeps it in its side data.
"""

from __future__ import annotations

import contextlib

import numpy as np
from numpy.typing import NDArray

from lmzip.formats.deflate.blocks import AS_FIXED, AS_GIVEN, AS_STORED, Blocks, write_blocks
from lmzip.formats.deflate.codes import read_lengths
from lmzip.formats.deflate.inflate import BLOCK_COLUMNS, BLOCK_END, BLOCK_TYPE, LENGTHS_BEGIN, LENGTHS_END, inflate
from lmzip.formats.deflate.optimal import Fixes, parse
from lmzip.formats.deflate.settings import FIXED_CODES, NO_FIXES, Found, Numbers, Settings, find, search
from lmzip.formats.deflate.symbols import (
    CODES,
    DISTANCE_SHIFT,
    DYNAMIC,
    FARTHEST,
    FIXED,
    FIXED_LENGTHS,
    LENGTH_MASK,
    LITERAL,
    LONGEST,
    LONGEST_SMALL_CODE,
    STORED,
)
from lmzip.formats.side_data import Reader, Writer

PIECES, BLOCKS, FIXES, MODES, FAR, OPTIMAL = 1, 2, 4, 8, 16, 32  # flags of a description: what follows
MOST_BLOCKS = 1 << 16  # of a stream
MOST_BITS = 1 << 13  # of the code lengths of a block
WORST = 0.7  # a description that takes more than this part of the stream, and MOST_EXTRA bytes, is none
MOST_EXTRA = 64
GOOD = 1 / 16  # a description that takes less than this part is not compared with another
MODE_OF_TYPE = {STORED: AS_STORED, FIXED: AS_FIXED, DYNAMIC: AS_GIVEN}


def deconstruct_stream(stream: bytes, size: int, pieces: Numbers) -> tuple[bytes, int, bytes] | None:
    """Return the data of the deflate stream in a zlib stream, and its description. Twin: reconstruct_stream.

    Args:
        stream: bytes that begin with the zlib stream, its two bytes of header first.
        size: bytes of the data.
        pieces: int64, the ends of the pieces of data as the writer of the file would give them to zlib.

    Returns:
        The data, where the deflate stream ends in `stream`, and its description. None where the stream is damaged or
        its description is too long.
    """
    data = np.frombuffer(bytearray(stream[2:] + bytes(8)), np.uint8)  # not read-only, as in reconstruct_stream
    lines, actual = np.zeros(size, np.uint8), np.zeros(size, np.int32)
    blocks = np.zeros((MOST_BLOCKS, BLOCK_COLUMNS), np.int64)
    count, bits = inflate(data, 8 * (len(stream) - 2), lines, actual, blocks)
    if not count:
        return None
    blocks, length = blocks[:count], (bits + 7) // 8
    stated, descriptions = data[:length], []
    # The settings of zlib that fit a sample, at once for all data if nothing is to be fixed. Otherwise the cheapest
    # tokens; and where they need many fixes, the settings after all.
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
    if description is None or len(description) > MOST_EXTRA + WORST * length:
        return None
    return lines.tobytes(), 2 + length, description


def reconstruct_stream(description: bytes, lines: NDArray[np.uint8], pieces: Numbers) -> bytes:
    """Return the deflate stream of data; ValueError for a description that deconstruct_stream never gives.

    lines: the data. pieces: as for deconstruct_stream.
    """
    reader = Reader(description)
    lines = np.require(lines, requirements="W")  # kernels are compiled anew for arrays that are read-only
    flags = reader.number(OPTIMAL)
    if flags == OPTIMAL:
        stream = _reconstruct_optimal(reader, lines)
    else:
        stream = _reconstruct_zlib(flags, reader, lines, pieces)
    if reader.remaining():
        raise ValueError("a description of a stream with more behind it")
    return stream


def _describe_zlib(
    stream: NDArray[np.uint8], lines: NDArray[np.uint8], blocks: Numbers, settings: Settings, found: Found
) -> bytes:
    """Describe a stream by the settings of zlib. Twin: _reconstruct_zlib."""
    ends = _ends_in_tokens(found.tokens, blocks[:, BLOCK_END])
    own_blocks = not np.array_equal(ends, found.ends)
    slid = np.zeros(len(ends), np.int64) if own_blocks else found.slid
    modes, given = np.zeros(len(ends), np.int64), [b""] * len(ends)
    result, table = _write(lines, found.tokens, ends, slid, modes, given, settings.strategy == FIXED_CODES)
    made = np.frombuffer(result, np.uint8)
    if not np.array_equal(made, stream):
        for block, (stated, zlibs) in enumerate(zip(blocks, table, strict=True)):
            type_, is_other = int(stated[BLOCK_TYPE]), stated[BLOCK_TYPE] != zlibs[BLOCK_TYPE]
            if is_other or _lengths_of(stream, stated) != _lengths_of(made, zlibs):
                modes[block], given[block] = MODE_OF_TYPE[type_], _create_given(stream, stated)
    return create_description(settings, found.fixes, ends if own_blocks else None, modes, given)


def create_description(
    settings: Settings, fixes: Numbers, ends: Numbers | None, modes: Numbers, given: list[bytes]
) -> bytes:
    """Return a description by the settings of zlib.

    Args:
        settings: those of zlib.
        fixes: int64, (fixes, 2), number and value of tokens.
        ends: int64, (blocks,), where blocks end in the tokens; None: where they are full.
        modes: int64, (blocks,), as in blocks.Blocks.
        given: of each block of the mode AS_GIVEN its code lengths: the number of bits, and these; else nothing.
    """
    flags = PIECES * settings.pieces | FAR * settings.far | BLOCKS * (ends is not None)
    flags |= FIXES * (len(fixes) > 0) | MODES * bool(modes.any())
    writer = Writer()
    writer.numbers(flags, settings.level, settings.strategy, settings.memory, settings.window)
    if flags & FIXES:
        _write_places(writer, fixes[:, 0])
        _write_tokens(writer, fixes[:, 1])
    if ends is not None:
        _write_ends(writer, ends)
    if flags & MODES:
        writer.numbers(len(modes))
        _write_modes(writer, modes, given)
    return bytes(writer.buffer)


def _reconstruct_zlib(flags: int, reader: Reader, lines: NDArray[np.uint8], pieces: Numbers) -> bytes:
    """Return the stream that _describe_zlib described; the flags were read."""
    level, strategy, memory, window = (reader.number(most) for most in (9, FIXED_CODES, 9, 15))
    if not level or not memory or window < 9:
        raise ValueError("settings that zlib does not have")
    settings = Settings(level, strategy, memory, window, bool(flags & FAR), bool(flags & PIECES))
    fixes, own_ends = NO_FIXES, None
    chosen: tuple[Numbers, list[bytes]] | None = None
    if flags & FIXES:
        places = _read_places(reader, lines.size)
        fixes = np.stack((places, _read_tokens(reader, len(places))), axis=1)
    if flags & BLOCKS:
        own_ends = _read_ends(reader, lines.size)
    if flags & MODES:
        chosen = _read_modes(reader, reader.number(MOST_BLOCKS))
    found = find(settings, lines, pieces, fixes=fixes)
    if found is None:
        raise ValueError("tokens that the data does not have")
    ends, slid = found.ends, found.slid
    if own_ends is not None:
        ends = np.append(own_ends, len(found.tokens))
        slid = np.zeros(len(ends), np.int64)
    modes, given = chosen or (np.zeros(len(ends), np.int64), [b""] * len(ends))
    return _write(lines, found.tokens, ends, slid, modes, given, settings.strategy == FIXED_CODES)[0]


def _describe_optimal(
    stream: NDArray[np.uint8], lines: NDArray[np.uint8], actual: NDArray[np.int32], blocks: Numbers
) -> bytes:
    """Describe a stream by the codes of its blocks. Twin: _reconstruct_optimal."""
    modes = np.array([MODE_OF_TYPE[type_] for type_ in blocks[:, BLOCK_TYPE].tolist()])
    given = [_create_given(stream, block) for block in blocks]
    _, fixes = parse(lines, blocks[:, BLOCK_END].copy(), _lengths(modes, given), actual, None)
    writer = Writer()
    writer.numbers(OPTIMAL)
    _write_ends(writer, blocks[:, BLOCK_END])
    _write_modes(writer, modes, given)
    _write_places(writer, fixes.clear)
    _write_places(writer, fixes.tied)
    writer.array(fixes.ranks)
    writer.numbers(len(fixes.explicit))
    _write_tokens(writer, fixes.explicit)
    return bytes(writer.buffer)


def _reconstruct_optimal(reader: Reader, lines: NDArray[np.uint8]) -> bytes:
    """Return the stream that _describe_optimal described; the flags were read."""
    ends = np.append(_read_ends(reader, lines.size), lines.size)
    modes, given = _read_modes(reader, len(ends))
    clear, tied = _read_places(reader, lines.size), _read_places(reader, lines.size)
    ranks = reader.array(len(clear) + len(tied), LONGEST)
    explicit = _read_tokens(reader, reader.number(len(reader.buffer)))
    tokens, _ = parse(lines, ends, _lengths(modes, given), None, Fixes(clear, tied, ranks, explicit))
    return _write(lines, tokens, _ends_in_tokens(tokens, ends), np.zeros(len(ends), np.int64), modes, given)[0]


def _write(
    lines: NDArray[np.uint8],
    tokens: NDArray[np.int32],
    ends: Numbers,
    slid: Numbers,
    modes: Numbers,
    given: list[bytes],
    only_fixed: bool = False,
) -> tuple[bytes, Numbers]:
    """Return the stream and its table of blocks; ValueError for blocks that cannot be.

    ends, slid, modes: as in blocks.Blocks. given: as for create_description.
    """
    if len(modes) != len(ends) or (np.diff(ends, prepend=0) < 0).any():
        raise ValueError("blocks of more tokens than there are, or of more modes")
    out = np.zeros(2 * lines.size + 512 * len(ends) + 1024, np.uint8)
    table = np.zeros((len(ends), BLOCK_COLUMNS), np.int64)
    bits = write_blocks(lines, tokens, Blocks(ends, slid, modes, *_join(given)), only_fixed, out, table)
    if bits < 0:
        raise ValueError("code lengths that do not fit the block")
    return out[: (bits + 7) // 8].tobytes(), table


def _ends_in_tokens(tokens: NDArray[np.int32], ends: Numbers) -> Numbers:
    """Return where blocks end in the tokens, by where they end in the data."""
    return np.searchsorted(np.cumsum(tokens & LENGTH_MASK), ends, side="right").astype(np.int64)


# Code lengths of blocks: bits of the stream, kept as they stand there.


def _lengths_of(stream: NDArray[np.uint8], block: Numbers) -> bytes:
    """Return the code lengths of a block, a row of a table of blocks, with zeros up to a whole byte."""
    start, end = int(block[LENGTHS_BEGIN]), int(block[LENGTHS_END])
    bits = np.unpackbits(stream[start >> 3 : (end + 7) >> 3], bitorder="little")[start & 7 :][: end - start]
    return np.packbits(bits, bitorder="little").tobytes()


def _create_given(stream: NDArray[np.uint8], block: Numbers) -> bytes:
    """Return how the code lengths of a block stand in a description: nothing unless the block is dynamic."""
    if block[BLOCK_TYPE] != DYNAMIC:
        return b""
    writer = Writer()
    writer.numbers(int(block[LENGTHS_END] - block[LENGTHS_BEGIN]))
    return bytes(writer.buffer) + _lengths_of(stream, block)


def _join(given: list[bytes]) -> tuple[NDArray[np.uint8], Numbers]:
    """Return `given` and `starts` of blocks.Blocks."""
    starts, parts = np.zeros(len(given) + 1, np.int64), []
    for block, string in enumerate(given):
        reader = Reader(string)
        length = reader.number(MOST_BITS) if string else 0
        parts.append(np.unpackbits(np.frombuffer(reader.remaining(), np.uint8), bitorder="little")[:length])
        starts[block + 1] = starts[block] + length
    return np.append(np.packbits(np.concatenate(parts), bitorder="little"), np.zeros(8, np.uint8)), starts


def _lengths(modes: Numbers, given: list[bytes]) -> Numbers:
    """Return the code lengths of all blocks, int64, (blocks, CODES); zeros where a block is stored."""
    codes, starts = _join(given)
    lengths, table = np.zeros((len(modes), CODES), np.int64), np.zeros(1 << LONGEST_SMALL_CODE, np.int32)
    lengths[modes == AS_FIXED] = FIXED_LENGTHS
    for block in np.flatnonzero(modes == AS_GIVEN):
        first, behind = int(starts[block]), int(starts[block + 1])
        if read_lengths(codes, first, behind, lengths[block], table) != behind:
            raise ValueError("code lengths that do not fit the block")
    return lengths


# The parts of a description.


def _write_places(writer: Writer, places: Numbers) -> None:
    """Append numbers that grow: how many there are, then each less the one before."""
    writer.numbers(len(places))
    writer.array(np.diff(places, prepend=-1))


def _read_places(reader: Reader, most: int) -> Numbers:
    """Read what _write_places wrote."""
    count = reader.number(len(reader.buffer))
    return np.cumsum(reader.array(count, most + 1), dtype=np.int64) - 1


def _write_tokens(writer: Writer, tokens: Numbers) -> None:
    """Append lengths, then the distances of the matches."""
    lengths = tokens & LENGTH_MASK
    writer.array(lengths)
    writer.array(tokens[lengths > LITERAL] >> DISTANCE_SHIFT)


def _read_tokens(reader: Reader, count: int) -> Numbers:
    """Read what _write_tokens wrote."""
    tokens = reader.array(count, LONGEST)
    matches = tokens != LITERAL
    tokens[matches] |= reader.array(int(matches.sum()), FARTHEST) << DISTANCE_SHIFT
    return tokens


def _write_ends(writer: Writer, ends: Numbers) -> None:
    """Append the number of blocks, then what lies in each but the last."""
    writer.numbers(len(ends))
    writer.array(np.diff(ends[:-1], prepend=0))


def _read_ends(reader: Reader, size: int) -> Numbers:
    """Read where all blocks but the last end."""
    count = reader.number(min(len(reader.buffer) + 1, MOST_BLOCKS))
    if not count:
        raise ValueError("a stream without blocks")
    return np.cumsum(reader.array(count - 1, size + 1), dtype=np.int64)


def _write_modes(writer: Writer, modes: Numbers, given: list[bytes]) -> None:
    """Append the mode of each block, then the code lengths that are given."""
    writer.array(modes)
    writer.buffer += b"".join(given)


def _read_modes(reader: Reader, count: int) -> tuple[Numbers, list[bytes]]:
    """Read what _write_modes wrote."""
    modes, given = reader.array(count, AS_GIVEN), []
    for mode in modes:
        start = reader.offset
        if mode == AS_GIVEN:
            reader.read((reader.number(MOST_BITS) + 7) // 8)
        given.append(reader.buffer[start : reader.offset])
    return modes, given
