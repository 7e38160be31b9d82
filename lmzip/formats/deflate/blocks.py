# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""Tokens written as the blocks of a deflate stream, compiled: the last step of `stream.reconstruct_stream`.

The codes are Huffman's (RFC 1951 section 3.2.2). Which of equally rare symbols are joined first, and how code words are
shortened that get too long, is part of the result. Both are done as zlib does them (FORMAT.md section 10.7).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmzip.coders.compiled import compiled
from lmzip.formats.deflate.inflate import (
    BLOCK_END,
    BLOCK_TYPE,
    CODE_LENGTHS,
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
    LENGTH_MASK,
    LENGTHS_BEGIN,
    LENGTHS_END,
    LITERAL,
    LITERALS,
    LONGEST_CODE,
    LONGEST_SMALL_CODE,
    MANY_ZEROS,
    ORDER,
    REPEAT,
    STORED,
    ZEROS,
    assign,
    read_lengths,
)

kernel = compiled()

# Modes of a block: its type is chosen as by zlib; stored; with fixed codes; with zlib's codes; with given code lengths.
AS_ZLIB, AS_STORED, AS_FIXED, AS_DYNAMIC, AS_GIVEN = range(5)
LARGEST_STORED = 0xFFFF  # bytes of a stored block
SPARE = 16  # bytes that the output must have beyond what is to be written

LENGTH_SYMBOL = np.zeros(259, np.int64)  # by the length of a match; less FIRST_LENGTH
for _symbol, _base in enumerate(LENGTH_BASE):
    LENGTH_SYMBOL[_base:] = _symbol
DISTANCE_SYMBOL = np.zeros(512, np.int64)  # by distance - 1, or 256 + (distance - 1) / 128
for _symbol, _base in enumerate(DISTANCE_BASE):
    DISTANCE_SYMBOL[min(_base - 1, 256) : 256] = _symbol
    DISTANCE_SYMBOL[256 + (_base - 1) // 128 :] = _symbol


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


class Code(NamedTuple):
    """The codes of a block.

    Attributes:
        frequencies: int64, (CODES,), how often each symbol occurs.
        lengths: int64, (CODES,), of its code word, 0 for none.
        words: int64, (CODES,), the code words, the first bit lowest.
        runs: int64, (CODES + 2, 2), the symbols of the small code and the values of their extra bits.
        small_frequencies: int64, (CODE_LENGTHS,), of the symbols of the small code.
        small_lengths: int64, (CODE_LENGTHS,), of the code words of the small code.
        table: int32, for inflate.read_lengths.
    """

    frequencies: NDArray[np.int64]
    lengths: NDArray[np.int64]
    words: NDArray[np.int64]
    runs: NDArray[np.int64]
    small_frequencies: NDArray[np.int64]
    small_lengths: NDArray[np.int64]
    table: NDArray[np.int32]


@kernel
def distance_symbol(distance):
    """Return the symbol of a distance."""
    return DISTANCE_SYMBOL[distance - 1] if distance <= 256 else DISTANCE_SYMBOL[256 + ((distance - 1) >> 7)]


@kernel
def put(out, at, value, bits):
    """Write up to 32 bits at bit `at` of zeros, the lowest first; returns the bit behind them."""
    byte, value = at >> 3, value << (at & 7)
    while value:
        out[byte] |= value & 0xFF
        value >>= 8
        byte += 1
    return at + bits


@kernel
def _sink(heap, size, place, weights, depths):
    """Let the node at a place of the heap sink below all that are rarer, or as rare and not deeper."""
    node = heap[place]
    while 2 * place <= size:
        child = 2 * place
        if child < size:
            one, other = heap[child + 1], heap[child]
            if weights[one] < weights[other] or (weights[one] == weights[other] and depths[one] <= depths[other]):
                child += 1
        one = heap[child]
        if weights[node] < weights[one] or (weights[node] == weights[one] and depths[node] <= depths[one]):
            break
        heap[place] = one
        place = child
    heap[place] = node


@kernel
def build_code(frequencies, most_bits, lengths):
    """Set the lengths of the words of a Huffman code, at most `most_bits`; returns the last symbol that has one.

    frequencies, lengths: int64, (symbols,). At least two symbols get a word.
    """
    count = frequencies.size
    weights, depths = np.zeros(2 * count + 1, np.int64), np.zeros(2 * count + 1, np.int64)
    parents, bits = np.zeros(2 * count + 1, np.int64), np.zeros(2 * count + 1, np.int64)
    heap = np.zeros(count + 2, np.int64)
    size, last = 0, -1
    for symbol in range(count):
        weights[symbol] = frequencies[symbol]
        if frequencies[symbol]:
            size += 1
            heap[size] = last = symbol
    while size < 2:
        size += 1
        if last < 2:
            last += 1
            heap[size] = last
        else:
            heap[size] = 0
        weights[heap[size]] = 1
    for place in range(size // 2, 0, -1):
        _sink(heap, size, place, weights, depths)
    joined = np.zeros(2 * count + 1, np.int64)  # nodes, in the order in which they were joined
    done, node = 0, count
    while size >= 2:
        one = heap[1]
        heap[1] = heap[size]
        size -= 1
        _sink(heap, size, np.int64(1), weights, depths)
        other = heap[1]
        joined[done], joined[done + 1] = one, other
        done += 2
        weights[node] = weights[one] + weights[other]
        depths[node] = max(depths[one], depths[other]) + 1
        parents[one] = parents[other] = node
        heap[1] = node
        node += 1
        _sink(heap, size, np.int64(1), weights, depths)
    words = np.zeros(LONGEST_CODE + 2, np.int64)  # how many have so many bits
    overflow = 0
    for place in range(done - 1, -1, -1):
        node = joined[place]
        bits[node] = bits[parents[node]] + 1
        if bits[node] > most_bits:
            bits[node] = most_bits
            overflow += 1
        if node < count:
            words[bits[node]] += 1
    lengths[:] = 0
    if overflow == 0:
        for symbol in range(count):  # not lengths[:], which takes numba long
            lengths[symbol] = bits[symbol]
        return last
    while overflow > 0:
        length = most_bits - 1
        while words[length] == 0:
            length -= 1
        words[length] -= 1
        words[length + 1] += 2
        words[most_bits] -= 1
        overflow -= 2
    place = 0
    for length in range(most_bits, 0, -1):
        left = words[length]
        while left:
            if joined[place] < count:
                lengths[joined[place]] = length
                left -= 1
            place += 1
    return last


@kernel
def _run_lengths(lengths, last, runs, at):
    """Append the symbols of the small code for lengths up to the symbol `last` to runs; returns the number of runs."""
    i, before = 0, -1
    while i <= last:
        length, count = lengths[i], 1
        most, least = (138, 3) if length == 0 else (6, 3) if length == before else (7, 4)
        while i + count <= last and count < most and lengths[i + count] == length:
            count += 1
        i += count
        if count < least:
            for _ in range(count):
                runs[at, 0] = length
                at += 1
        elif length:
            if length != before:
                runs[at, 0] = length
                at += 1
                count -= 1
            runs[at, 0], runs[at, 1] = REPEAT, count - 3
            at += 1
        elif count <= 10:
            runs[at, 0], runs[at, 1] = ZEROS, count - 3
            at += 1
        else:
            runs[at, 0], runs[at, 1] = MANY_ZEROS, count - 11
            at += 1
        before = length
    return at


@kernel
def _run_extra(symbol):
    """Return the extra bits of a symbol of the small code."""
    return 0 if symbol < REPEAT else 2 if symbol == REPEAT else 3 if symbol == ZEROS else 7


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
def _build_codes(code):
    """Set the lengths, the runs and the small code of a dynamic block.

    Returns the last literal or length and the last distance that have a word, the number of runs, the number of lengths
    of the small code that are written, and the bits of the block up to its tokens.
    """
    most, few, none = np.int64(LONGEST_CODE), np.int64(LONGEST_SMALL_CODE), np.int64(0)  # as write_blocks says
    frequencies, lengths, runs = code.frequencies, code.lengths, code.runs
    small_frequencies, small_lengths = code.small_frequencies, code.small_lengths
    lengths[:] = 0
    behind = FIRST_DISTANCE + DISTANCES
    last_literal = build_code(frequencies[:LITERALS], most, lengths[:LITERALS])
    last_distance = build_code(frequencies[FIRST_DISTANCE:behind], most, lengths[FIRST_DISTANCE:behind])
    run_count = _run_lengths(lengths[:LITERALS], last_literal, runs, none)
    run_count = _run_lengths(lengths[FIRST_DISTANCE:behind], last_distance, runs, run_count)
    small_frequencies[:] = 0
    for i in range(run_count):
        small_frequencies[runs[i, 0]] += 1
    build_code(small_frequencies, few, small_lengths)
    order_count = CODE_LENGTHS
    while order_count > 4 and small_lengths[ORDER[order_count - 1]] == 0:
        order_count -= 1
    bits = 14 + 3 * order_count
    for i in range(run_count):
        bits += small_lengths[runs[i, 0]] + _run_extra(runs[i, 0])
    return last_literal, last_distance, run_count, order_count, bits


@kernel
def _write_code(out, at, code, last_literal, last_distance, run_count, order_count):
    """Write the code lengths of a dynamic block (RFC 1951 section 3.2.7); returns the bit behind them."""
    runs, small_lengths, small_words = code.runs, code.small_lengths, np.zeros(CODE_LENGTHS, np.int64)
    at = put(out, at, last_literal - 256 | last_distance << 5 | (order_count - 4) << 10, 14)
    for i in range(order_count):
        at = put(out, at, small_lengths[ORDER[i]], 3)
    assign(small_lengths, small_words)
    for i in range(run_count):
        symbol = runs[i, 0]
        at = put(out, at, small_words[symbol], small_lengths[symbol])
        at = put(out, at, runs[i, 1] if symbol >= REPEAT else 0, _run_extra(symbol))
    return at


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
            last_literal, last_distance, run_count, order_count, header = _build_codes(code)
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
            at = _write_code(out, at, code, last_literal, last_distance, run_count, order_count)
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
