# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""Tokens written as the blocks of a deflate stream, compiled: the last step of `stream.reconstruct_stream`.

FORMAT.md section 10.7 describes how zlib chooses the type of a block.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmzip.coders.compiled import compiled
from lmzip.formats.deflate.codes import Code, assign, build_codes, put, read_lengths, write_code
from lmzip.formats.deflate.inflate import BLOCK_END, BLOCK_TYPE, LENGTHS_BEGIN, LENGTHS_END
from lmzip.formats.deflate.symbols import (
    CODE_LENGTHS,
    CODES,
    DISTANCE_BASE,
    DISTANCE_EXTRA,
    DISTANCE_SHIFT,
    DYNAMIC,
    END,
    FIRST_DISTANCE,
    FIRST_LENGTH,
    FIXED,
    FIXED_LENGTHS,
    LENGTH_BASE,
    LENGTH_EXTRA,
    LENGTH_MASK,
    LENGTH_SYMBOL,
    LITERAL,
    LONGEST_SMALL_CODE,
    STORED,
    distance_symbol,
)

kernel = compiled()

# Modes of a block: its type is chosen as by zlib; stored; with fixed codes; with zlib's codes; with given code lengths.
AS_ZLIB, AS_STORED, AS_FIXED, AS_DYNAMIC, AS_GIVEN = range(5)
LARGEST_STORED = 0xFFFF  # bytes of a stored block
SPARE = 16  # bytes that the output must have beyond what is to be written


class Blocks(NamedTuple):
    """How tokens are cut into blocks, and how each block is written.

    Attributes:
        ends: int64, (blocks,), where they end in the tokens.
        slid: int64, (blocks,), where zlib's window began in the data when it wrote the block: it does not store a block
            that began earlier.
        modes: int64, (blocks,), AS_ZLIB and so on.
        given: uint8, the code lengths of blocks as they stand in the stream, and 8 zeros.
        starts: int64, (blocks + 1,), the bits where those of each block begin in `given`.
    """

    ends: NDArray[np.int64]
    slid: NDArray[np.int64]
    modes: NDArray[np.int64]
    given: NDArray[np.uint8]
    starts: NDArray[np.int64]


@kernel
def _cost(frequencies, lengths):
    """Return the bits that symbols take with a code, without their extra bits."""
    bits = 0
    for symbol in range(CODES):
        bits += frequencies[symbol] * lengths[symbol]
    return bits


@kernel
def _count_symbols(data, data_at, tokens, first, end, frequencies):
    """Count the symbols of tokens[first:end], whose data begins at data_at; returns its bytes and all extra bits."""
    size, extra = 0, 0
    frequencies[:] = 0
    frequencies[END] = 1
    for i in range(first, end):
        length, distance = tokens[i] & LENGTH_MASK, tokens[i] >> DISTANCE_SHIFT
        if length == LITERAL:
            frequencies[data[data_at + size]] += 1
        else:
            symbol, other = LENGTH_SYMBOL[length], distance_symbol(distance)
            frequencies[FIRST_LENGTH + symbol] += 1
            frequencies[FIRST_DISTANCE + other] += 1
            extra += LENGTH_EXTRA[symbol] + DISTANCE_EXTRA[other]
        size += length
    return size, extra


@kernel
def _write_tokens(out, at, data, data_at, tokens, first, end, code):
    """Write tokens[first:end], whose data begins at data_at, and the end of the block; returns the bit behind them."""
    words, lengths = code.words, code.lengths
    for i in range(first, end):
        length, distance = tokens[i] & LENGTH_MASK, tokens[i] >> DISTANCE_SHIFT
        if length == LITERAL:
            symbol = np.int64(data[data_at])
            at = put(out, at, words[symbol], lengths[symbol])
        else:
            symbol = LENGTH_SYMBOL[length]
            at = put(out, at, words[FIRST_LENGTH + symbol], lengths[FIRST_LENGTH + symbol])
            at = put(out, at, length - LENGTH_BASE[symbol], LENGTH_EXTRA[symbol])
            symbol = distance_symbol(distance)
            at = put(out, at, words[FIRST_DISTANCE + symbol], lengths[FIRST_DISTANCE + symbol])
            at = put(out, at, distance - DISTANCE_BASE[symbol], DISTANCE_EXTRA[symbol])
        data_at += length
    return put(out, at, words[END], lengths[END])


@kernel
def write_blocks(data, tokens, blocks, only_fixed, out, table):
    """Write the blocks of a deflate stream.

    Args:
        data: uint8.
        tokens: int32, those of the data.
        blocks: Blocks.
        only_fixed: whether zlib was told to use the fixed codes.
        out: uint8, zeros, gets the stream.
        table: int64, (blocks, inflate.BLOCK_COLUMNS), gets the table of blocks.

    Returns:
        Bits written; -1 where a given code does not fit, or `out` is too small.
    """
    at, token_at, data_at = np.int64(0), 0, 0  # not literals, for which numba would compile kernels anew
    frequencies, lengths, words = np.zeros(CODES, np.int64), np.zeros(CODES, np.int64), np.zeros(CODES, np.int64)
    code = Code(
        frequencies,
        lengths,
        words,
        np.zeros((CODES + 2, 2), np.int64),
        np.zeros(CODE_LENGTHS, np.int64),
        np.zeros(CODE_LENGTHS, np.int64),
        np.zeros(1 << LONGEST_SMALL_CODE, np.int32),
    )
    for block in range(blocks.ends.size):
        end, mode = blocks.ends[block], blocks.modes[block]
        last_literal, last_distance, run_count, order_count, header = 0, 0, 0, 0, 0
        size, extra = _count_symbols(data, data_at, tokens, token_at, end, frequencies)
        if mode in (AS_ZLIB, AS_DYNAMIC):
            last_literal, last_distance, run_count, order_count, header = build_codes(code)
        if mode == AS_ZLIB:
            fixed = (_cost(frequencies, FIXED_LENGTHS) + extra + 10) >> 3
            best = (header + _cost(frequencies, lengths) + extra + 10) >> 3
            mode = AS_DYNAMIC
            if fixed <= best or only_fixed:
                mode, best = AS_FIXED, fixed
            if size + 4 <= best and data_at >= blocks.slid[block]:
                mode = AS_STORED
        if (at >> 3) + size + SPARE > out.size or (mode == AS_STORED and size > LARGEST_STORED):
            return -1
        type_ = STORED if mode == AS_STORED else FIXED if mode == AS_FIXED else DYNAMIC
        at = put(out, at, np.int64(block == blocks.ends.size - 1) | type_ << 1, 3)
        table[block, BLOCK_END], table[block, BLOCK_TYPE] = data_at + size, type_
        table[block, LENGTHS_BEGIN] = table[block, LENGTHS_END] = at
        if mode == AS_STORED:
            at = put(out, (at + 7) & ~7, size | (size ^ 0xFFFF) << 16, 32)
            for i in range(size):
                out[(at >> 3) + i] = data[data_at + i]
            at += 8 * size
            token_at, data_at = end, data_at + size
            continue
        if mode == AS_FIXED:
            for symbol in range(CODES):
                lengths[symbol] = FIXED_LENGTHS[symbol]
        elif mode == AS_GIVEN:
            first, behind = blocks.starts[block], blocks.starts[block + 1]
            if read_lengths(blocks.given, first, behind, lengths, code.table) != behind:
                return -1
            if (at + behind - first >> 3) + SPARE > out.size:
                return -1
            for i in range(first, behind):
                at = put(out, at, blocks.given[i >> 3] >> (i & 7) & 1, 1)
        else:
            if (at + header >> 3) + SPARE > out.size:
                return -1
            at = write_code(out, at, code, last_literal, last_distance, run_count, order_count)
        table[block, LENGTHS_END] = at
        for symbol in range(CODES):
            if frequencies[symbol] and lengths[symbol] == 0:
                return -1
        if not assign(lengths[:FIRST_DISTANCE], words[:FIRST_DISTANCE]):
            return -1
        if not assign(lengths[FIRST_DISTANCE:], words[FIRST_DISTANCE:]):
            return -1
        if (at + _cost(frequencies, lengths) + extra >> 3) + SPARE > out.size:
            return -1
        at = _write_tokens(out, at, data, data_at, tokens, token_at, end, code)
        token_at, data_at = end, data_at + size
    return at
