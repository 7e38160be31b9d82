# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""Deflate streams (RFC 1951) read into tokens and a table of blocks, compiled.

A **token** is an integer: the length of a match, 3 to 258, plus 512 times its distance; 1 is a literal. This is the
first step of `stream.deconstruct_stream`.
"""

from __future__ import annotations

import numpy as np

from lmzip.coders.compiled import compiled

kernel = compiled()

LITERAL = 1
LENGTH_MASK, DISTANCE_SHIFT = 511, 9  # of a token

# Symbols: bytes, the end of a block, lengths of matches. Arrays of both codes have those of distances behind them.
END, FIRST_LENGTH, FIRST_DISTANCE = 256, 257, 288
LITERALS, DISTANCES = 286, 30  # symbols that may occur
CODES = FIRST_DISTANCE + 32
CODE_LENGTHS = 19  # symbols of the code of code lengths
LONGEST_CODE, LONGEST_SMALL_CODE = 15, 7  # bits of a code word; the small code is that of code lengths
REPEAT, ZEROS, MANY_ZEROS = 16, 17, 18  # symbols of the small code: the length before 3 to 6 times, zeros

STORED, FIXED, DYNAMIC = range(3)  # types of blocks
# Columns of a table of blocks, int64, (blocks, BLOCK_COLUMNS): where the block ends in the data, its type, the first
# bit of its code lengths in the stream and the bit behind them.
BLOCK_END, BLOCK_TYPE, LENGTHS_BEGIN, LENGTHS_END = range(4)
BLOCK_COLUMNS = 4

# RFC 1951, sections 3.2.5 to 3.2.7.
ORDER = np.array([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15], np.int64)
LENGTH_EXTRA = np.array([0] * 8 + [n for n in range(1, 6) for _ in range(4)] + [0], np.int64)
LENGTH_BASE = np.append(3 + np.cumsum(np.append(0, 1 << LENGTH_EXTRA[:-2])), 258)
DISTANCE_EXTRA = np.array([0] * 4 + [n for n in range(1, 14) for _ in range(2)], np.int64)
DISTANCE_BASE = 1 + np.append(0, np.cumsum(1 << DISTANCE_EXTRA[:-1]))
FIXED_LENGTHS = np.array([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8 + [5] * 32, np.int64)


@kernel
def peek(data, at):
    """Return 25 bits or more from bit `at` on, the first lowest; data has 4 bytes more than are used."""
    byte = at >> 3
    word = np.int64(data[byte]) | np.int64(data[byte + 1]) << 8
    word |= np.int64(data[byte + 2]) << 16 | np.int64(data[byte + 3]) << 24
    return word >> (at & 7)


@kernel
def reverse(code, length):
    """Return the bits of a code word the other way round."""
    turned = 0
    for _ in range(length):
        turned = turned << 1 | (code & 1)
        code >>= 1
    return turned


@kernel
def assign(lengths, codes):
    """Set `codes` to the canonical code words of lengths (RFC 1951 section 3.2.2), the first bit lowest.

    Returns whether the lengths leave room for all words.
    """
    counts = np.zeros(LONGEST_CODE + 2, np.int64)
    for length in lengths:
        counts[length] += 1
    counts[0] = 0
    following = np.zeros(LONGEST_CODE + 2, np.int64)
    for bits in range(1, LONGEST_CODE + 1):
        following[bits] = (following[bits - 1] + counts[bits - 1]) << 1
        if following[bits] + counts[bits] > 1 << bits:
            return False
    for symbol in range(lengths.size):
        length = lengths[symbol]
        codes[symbol] = reverse(following[length], length) if length else 0
        following[length] += 1
    return True


@kernel
def tabulate(lengths, table):
    """Set table[the next bits] to symbol * 16 + length, or 0 for no code word.

    Returns the number of bits that the table looks at; -1 for lengths that leave no room for all words.
    """
    codes = np.zeros(lengths.size, np.int64)
    if not assign(lengths, codes):
        return -1
    bits = 1
    for length in lengths:
        bits = max(bits, length)
    table[: 1 << bits] = 0
    for symbol in range(lengths.size):
        length = lengths[symbol]
        if length:
            for at in range(codes[symbol], 1 << bits, 1 << length):
                table[at] = symbol << 4 | length
    return bits


@kernel
def read_lengths(data, at, limit, lengths, table):
    """Read the code lengths of a dynamic block (RFC 1951 section 3.2.7).

    Args:
        data: uint8, the stream and 4 bytes more.
        at: the first bit, that of HLIT.
        limit: bits in the stream.
        lengths: int64, (CODES,), gets the lengths.
        table: int32, (1 << LONGEST_SMALL_CODE,), for the use of this function.

    Returns:
        The bit behind the code lengths; -1 where they are damaged.
    """
    if at + 14 > limit:
        return -1
    word = peek(data, at)
    literals, distances, count = (word & 31) + 257, (word >> 5 & 31) + 1, (word >> 10 & 15) + 4
    at += 14
    if literals > LITERALS or at + 3 * count > limit:
        return -1
    small = np.zeros(CODE_LENGTHS, np.int64)
    for i in range(count):
        small[ORDER[i]] = peek(data, at) & 7
        at += 3
    bits = tabulate(small, table)
    if bits < 0:
        return -1
    lengths[:] = 0
    i, last = 0, 0
    while i < literals + distances:
        word = peek(data, at)
        entry = table[word & ((1 << bits) - 1)]
        if entry == 0 or at > limit:
            return -1
        symbol, used = entry >> 4, entry & 15
        word >>= used
        times, value = 1, symbol
        if symbol == REPEAT:
            times, value, used = 3 + (word & 3), last, used + 2
            if i == 0:
                return -1
        elif symbol == ZEROS:
            times, value, used = 3 + (word & 7), 0, used + 3
        elif symbol == MANY_ZEROS:
            times, value, used = 11 + (word & 127), 0, used + 7
        at += used
        if i + times > literals + distances:
            return -1
        for _ in range(times):
            lengths[i if i < literals else FIRST_DISTANCE + i - literals] = value
            i += 1
        last = value
    return at if at <= limit else -1


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
