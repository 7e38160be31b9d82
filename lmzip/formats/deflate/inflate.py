# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""Deflate streams (RFC 1951) read into tokens and a table of blocks, compiled.

This is the first step of `stream.deconstruct_stream`.
"""

from __future__ import annotations

import numpy as np

from lmzip.coders.compiled import compiled
from lmzip.formats.deflate.codes import peek, read_lengths, tabulate
from lmzip.formats.deflate.symbols import (
    CODES,
    DISTANCE_BASE,
    DISTANCE_EXTRA,
    DISTANCE_SHIFT,
    DISTANCES,
    DYNAMIC,
    END,
    FIRST_DISTANCE,
    FIRST_LENGTH,
    FIXED,
    FIXED_LENGTHS,
    LENGTH_BASE,
    LENGTH_EXTRA,
    LITERAL,
    LITERALS,
    LONGEST_CODE,
    STORED,
)

kernel = compiled()

# Columns of a table of blocks, int64, (blocks, BLOCK_COLUMNS): where the block ends in the data, its type, the first
# bit of its code lengths in the stream and the bit behind them.
BLOCK_END, BLOCK_TYPE, LENGTHS_BEGIN, LENGTHS_END = range(4)
BLOCK_COLUMNS = 4


@kernel
def inflate(data, limit, raw, tokens, blocks):
    """Decode a stream.

    Args:
        data: uint8, the stream and 8 zeros.
        limit: bits in it.
        raw: uint8, gets the data.
        tokens: int32, as long as raw; gets each token at the place where it begins in the data, and in stored blocks
            minus the bytes that are left in the block.
        blocks: int64, (most blocks, BLOCK_COLUMNS), gets the table of blocks.

    Returns:
        The number of blocks and the bit behind the stream; no blocks where the stream is damaged, has too many blocks
        or does not fill raw exactly.
    """
    at, out, count, last = np.int64(0), 0, 0, False
    lengths = np.zeros(CODES, np.int64)
    symbols, distances = np.zeros(1 << LONGEST_CODE, np.int32), np.zeros(1 << LONGEST_CODE, np.int32)
    while not last:
        if count == blocks.shape[0] or at + 3 > limit:
            return 0, 0
        word = peek(data, at)
        last, type_ = (word & 1) == 1, word >> 1 & 3
        at += 3
        blocks[count, BLOCK_TYPE], blocks[count, LENGTHS_BEGIN], blocks[count, LENGTHS_END] = type_, at, at
        if type_ == STORED:
            at = (at + 7) & ~7
            if at + 32 > limit:
                return 0, 0
            size, check = peek(data, at) & 0xFFFF, peek(data, at + 16) & 0xFFFF
            at += 32
            if size ^ check != 0xFFFF or at + 8 * size > limit or out + size > raw.size:
                return 0, 0
            for i in range(size):
                raw[out] = data[(at >> 3) + i]
                tokens[out] = i - size
                out += 1
            at += 8 * size
        elif type_ in (FIXED, DYNAMIC):
            if type_ == FIXED:
                for symbol in range(CODES):  # not lengths[:], which takes numba long
                    lengths[symbol] = FIXED_LENGTHS[symbol]
            else:
                at = read_lengths(data, at, limit, lengths, symbols)
                if at < 0:
                    return 0, 0
                blocks[count, LENGTHS_END] = at
            symbol_bits = tabulate(lengths[:FIRST_DISTANCE], symbols)
            distance_bits = tabulate(lengths[FIRST_DISTANCE:], distances)
            if symbol_bits < 0 or distance_bits < 0:
                return 0, 0
            while True:
                entry = symbols[peek(data, at) & ((1 << symbol_bits) - 1)]
                at += entry & 15
                symbol = entry >> 4
                if entry == 0 or at > limit or symbol >= LITERALS:
                    return 0, 0
                if symbol == END:
                    break
                if symbol < END:
                    if out == raw.size:
                        return 0, 0
                    raw[out] = symbol
                    tokens[out] = LITERAL
                    out += 1
                    continue
                extra = LENGTH_EXTRA[symbol - FIRST_LENGTH]
                length = LENGTH_BASE[symbol - FIRST_LENGTH] + (peek(data, at) & ((1 << extra) - 1))
                at += extra
                if at > limit:
                    return 0, 0
                entry = distances[peek(data, at) & ((1 << distance_bits) - 1)]
                at += entry & 15
                symbol = entry >> 4
                if entry == 0 or at > limit or symbol >= DISTANCES:
                    return 0, 0
                extra = DISTANCE_EXTRA[symbol]
                distance = DISTANCE_BASE[symbol] + (peek(data, at) & ((1 << extra) - 1))
                at += extra
                if at > limit or distance > out or out + length > raw.size:
                    return 0, 0
                tokens[out] = distance << DISTANCE_SHIFT | length
                for _ in range(length):
                    raw[out] = raw[out - distance]
                    out += 1
        else:
            return 0, 0
        blocks[count, BLOCK_END] = out
        count += 1
    return (count, at) if out == raw.size else (0, 0)
