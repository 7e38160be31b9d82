# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""Tokens written as the blocks of a deflate stream, with the codes that zlib makes, compiled.

Codes of Huffman's method (RFC 1951 section 3.2.7); which of equally rare symbols are joined first, and how codes that
get too long are shortened, is part of the result, and done as zlib does it.
"""

from __future__ import annotations

import numpy as np

from lmzip.coders.compiled import compiled
from lmzip.formats.deflate.inflate import (
    CODE_LENGTHS,
    CODES,
    DISTANCE_BASE,
    DISTANCE_EXTRA,
    DYNAMIC,
    END,
    FIXED,
    FIXED_LENGTHS,
    LENGTH_BASE,
    LENGTH_EXTRA,
    LITERAL,
    LONGEST_CODE,
    ORDER,
    STORED,
    assign,
    read_lengths,
)

kernel = compiled()

AS_ZLIB, AS_STORED, AS_FIXED, AS_DYNAMIC, AS_GIVEN = range(5)  # what a block is
LARGEST_STORED = 0xFFFF

LENGTH_SYMBOL = np.zeros(259, np.int64)
for _symbol, _base in enumerate(LENGTH_BASE):
    LENGTH_SYMBOL[_base:] = _symbol
DISTANCE_SYMBOL = np.zeros(512, np.int64)  # by distance - 1, or 256 + (distance - 1) / 128
for _symbol, _base in enumerate(DISTANCE_BASE):
    DISTANCE_SYMBOL[min(_base - 1, 256) : 256] = _symbol
    DISTANCE_SYMBOL[256 + (_base - 1) // 128 :] = _symbol


@kernel
def distance_symbol(distance):
    """Return the symbol of a distance."""
    return DISTANCE_SYMBOL[distance - 1] if distance <= 256 else DISTANCE_SYMBOL[256 + ((distance - 1) >> 7)]


@kernel
def put(out, at, value, bits):
    """Write up to 32 bits at bit `at` of zeros; returns the bit behind them."""
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
    """Set the lengths of the code words of a Huffman code; returns the last symbol that has one."""
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
    while size < 2:  # a code has two words at least
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
    words = np.zeros(LONGEST_CODE + 2, np.int64)
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
    """Append the symbols of code lengths to runs, (n, 2) of symbol and extra bits' value; returns their number."""
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
            runs[at, 0], runs[at, 1] = 16, count - 3
            at += 1
        elif count <= 10:
            runs[at, 0], runs[at, 1] = 17, count - 3
            at += 1
        else:
            runs[at, 0], runs[at, 1] = 18, count - 11
            at += 1
        before = length
    return at


@kernel
def _cost(frequencies, lengths):
    """Return the bits that symbols take with a code, without their extra bits."""
    bits = 0
    for symbol in range(CODES):
        bits += frequencies[symbol] * lengths[symbol]
    return bits


@kernel
def write_blocks(data, tokens, ends, slid, kinds, only_fixed, given, starts, out, heads):
    """Write the blocks of a deflate stream.

    Args:
        data: uint8.
        tokens: int32, those of the data.
        ends: int64, (blocks,): where they end in the tokens.
        slid: int64, (blocks,): where the window began in the data; a block that began earlier is not stored.
        kinds: int64, (blocks,): AS_ZLIB or how else.
        only_fixed: whether zlib was told to use the fixed codes.
        given: uint8, code lengths of blocks as they stand in the stream, and 8 zeros.
        starts: int64, (blocks + 1,): where those of each block begin in `given`, bits.
        out: uint8, zeros, gets the stream.
        heads: int64, (blocks, 3), gets the type of each block and the first bit and the end of its code lengths.

    Returns:
        Bits written; -1 where a given code does not fit, or `out` is too small.
    """
    at, token_at, data_at = np.int64(0), 0, 0
    longest, none = np.int64(LONGEST_CODE), np.int64(0)  # not literals, for which numba would compile kernels anew
    frequencies, lengths, codes = np.zeros(CODES, np.int64), np.zeros(CODES, np.int64), np.zeros(CODES, np.int64)
    runs, small = np.zeros((CODES + 2, 2), np.int64), np.zeros(CODE_LENGTHS, np.int64)
    small_frequencies, small_codes = np.zeros(CODE_LENGTHS, np.int64), np.zeros(CODE_LENGTHS, np.int64)
    table = np.zeros(1 << 7, np.int32)
    for block in range(ends.size):
        frequencies[:] = 0
        frequencies[END] = 1
        extra, size, run_count, order_count, header = 0, 0, 0, 0, 0
        last_literal, last_distance = 0, 0
        for i in range(token_at, ends[block]):
            length, distance = tokens[i] & 511, tokens[i] >> 9
            if length == LITERAL:
                frequencies[data[data_at + size]] += 1
            else:
                symbol, other = LENGTH_SYMBOL[length], distance_symbol(distance)
                frequencies[257 + symbol] += 1
                frequencies[288 + other] += 1
                extra += LENGTH_EXTRA[symbol] + DISTANCE_EXTRA[other]
            size += length
        kind = kinds[block]
        if kind in (AS_ZLIB, AS_DYNAMIC):
            lengths[:] = 0
            last_literal = build_code(frequencies[:286], longest, lengths[:286])
            last_distance = build_code(frequencies[288:318], longest, lengths[288:318])
            run_count = _run_lengths(lengths[:286], last_literal, runs, none)
            run_count = _run_lengths(lengths[288:318], last_distance, runs, run_count)
            small_frequencies[:] = 0
            for i in range(run_count):
                small_frequencies[runs[i, 0]] += 1
            build_code(small_frequencies, np.int64(7), small)
            order_count = CODE_LENGTHS
            while order_count > 4 and small[ORDER[order_count - 1]] == 0:
                order_count -= 1
            header = 14 + 3 * order_count
            for i in range(run_count):
                symbol = runs[i, 0]
                header += small[symbol] + (0 if symbol < 16 else 2 if symbol == 16 else 3 if symbol == 17 else 7)
        if kind == AS_ZLIB:
            fixed = (_cost(frequencies, FIXED_LENGTHS) + extra + 10) >> 3
            best = (header + _cost(frequencies, lengths) + extra + 10) >> 3
            kind = AS_DYNAMIC
            if fixed <= best or only_fixed:
                kind, best = AS_FIXED, fixed
            if size + 4 <= best and data_at >= slid[block]:
                kind = AS_STORED
        if (at >> 3) + size + 16 > out.size or (kind == AS_STORED and size > LARGEST_STORED):
            return -1
        last = block == ends.size - 1
        if kind == AS_STORED:
            heads[block, 0], heads[block, 1], heads[block, 2] = STORED, at + 3, at + 3
            at = (put(out, at, np.int64(last), 3) + 7) & ~7
            at = put(out, at, size | (size ^ 0xFFFF) << 16, 32)
            for i in range(size):
                out[(at >> 3) + i] = data[data_at + i]
            at += 8 * size
            token_at, data_at = ends[block], data_at + size
            continue
        if kind == AS_FIXED:
            for symbol in range(CODES):
                lengths[symbol] = FIXED_LENGTHS[symbol]
            at = put(out, at, last | FIXED << 1, 3)
            heads[block, 0], heads[block, 1], heads[block, 2] = FIXED, at, at
        else:
            at = put(out, at, last | DYNAMIC << 1, 3)
            heads[block, 0], heads[block, 1], heads[block, 2] = DYNAMIC, at, at
            if kind == AS_GIVEN:
                first, behind = starts[block], starts[block + 1]
                if read_lengths(given, first, behind, lengths, table) != behind:
                    return -1
                if (at + behind - first >> 3) + 16 > out.size:
                    return -1
                for i in range(first, behind):
                    at = put(out, at, given[i >> 3] >> (i & 7) & 1, 1)
            else:
                if (at + header >> 3) + 16 > out.size:
                    return -1
                at = put(out, at, last_literal - 256 | last_distance << 5 | (order_count - 4) << 10, 14)
                for i in range(order_count):
                    at = put(out, at, small[ORDER[i]], 3)
                assign(small, small_codes)
                for i in range(run_count):
                    symbol = runs[i, 0]
                    at = put(out, at, small_codes[symbol], small[symbol])
                    if symbol >= 16:
                        at = put(out, at, runs[i, 1], 2 if symbol == 16 else 3 if symbol == 17 else 7)
            heads[block, 2] = at
        for symbol in range(CODES):
            if frequencies[symbol] and lengths[symbol] == 0:
                return -1
        if not assign(lengths[:288], codes[:288]) or not assign(lengths[288:], codes[288:]):
            return -1
        if (at + _cost(frequencies, lengths) + extra >> 3) + 16 > out.size:
            return -1
        for i in range(token_at, ends[block]):
            length, distance = tokens[i] & 511, tokens[i] >> 9
            if length == LITERAL:
                symbol = np.int64(data[data_at])
                at = put(out, at, codes[symbol], lengths[symbol])
            else:
                symbol = LENGTH_SYMBOL[length]
                at = put(out, at, codes[257 + symbol], lengths[257 + symbol])
                at = put(out, at, length - LENGTH_BASE[symbol], LENGTH_EXTRA[symbol])
                symbol = distance_symbol(distance)
                at = put(out, at, codes[288 + symbol], lengths[288 + symbol])
                at = put(out, at, distance - DISTANCE_BASE[symbol], DISTANCE_EXTRA[symbol])
            data_at += length
        at = put(out, at, codes[END], lengths[END])
        token_at = ends[block]
    return at
