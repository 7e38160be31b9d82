# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""The codes of deflate's blocks (RFC 1951 sections 3.2.2 and 3.2.7), compiled: read, made and written.

`inflate.py` reads the code lengths of a block with `read_lengths`. `blocks.py` makes codes with `build_codes`, and
writes their lengths with `write_code`. Which of equally rare symbols are joined first, and how code words are shortened
that get too long, is part of the result. Both are done as zlib does them (FORMAT.md section 10.7).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmzip.coders.compiled import compiled
from lmzip.formats.deflate.symbols import (
    CODE_LENGTHS,
    DISTANCES,
    FIRST_DISTANCE,
    LITERALS,
    LONGEST_CODE,
    LONGEST_SMALL_CODE,
    MANY_ZEROS,
    ORDER,
    REPEAT,
    ZEROS,
)

kernel = compiled()


class Code(NamedTuple):
    """The codes of a block.

    Attributes:
        frequencies: int64, (CODES,), how often each symbol occurs.
        lengths: int64, (CODES,), of its code word, 0 for none.
        words: int64, (CODES,), the code words, the first bit lowest.
        runs: int64, (CODES + 2, 2), the symbols of the small code and the values of their extra bits.
        small_frequencies: int64, (CODE_LENGTHS,), of the symbols of the small code.
        small_lengths: int64, (CODE_LENGTHS,), of the code words of the small code.
        table: int32, (1 << LONGEST_SMALL_CODE,), for read_lengths.
    """

    frequencies: NDArray[np.int64]
    lengths: NDArray[np.int64]
    words: NDArray[np.int64]
    runs: NDArray[np.int64]
    small_frequencies: NDArray[np.int64]
    small_lengths: NDArray[np.int64]
    table: NDArray[np.int32]


@kernel
def peek(data, at):
    """Return 25 bits or more from bit `at` on, the first lowest; data has 4 bytes more than are used."""
    byte = at >> 3
    word = np.int64(data[byte]) | np.int64(data[byte + 1]) << 8
    word |= np.int64(data[byte + 2]) << 16 | np.int64(data[byte + 3]) << 24
    return word >> (at & 7)


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
def build_codes(code):
    """Set the lengths, the runs and the small code of a dynamic block.

    Returns the last literal or length and the last distance that have a word, the number of runs, the number of lengths
    of the small code that are written, and the bits of the block up to its tokens.
    """
    # Not literals, for which numba would compile kernels anew.
    most, few, none = np.int64(LONGEST_CODE), np.int64(LONGEST_SMALL_CODE), np.int64(0)
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
def write_code(out, at, code, last_literal, last_distance, run_count, order_count):
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
