# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""Frames of FLAC (RFC 9639) read into samples and what an encoder chose, and written from both, compiled.

Every sample of a frame follows from the choices and the samples before it, so the choices are all that a file has
besides. They stand in columns, one for each sort of number.
"""

from __future__ import annotations

import numpy as np

from lmzip.coders.compiled import compiled

kernel = compiled()

# The columns: the codes of a frame's header, its block size and rate where they are not codes; type and wasted bits of
# a subframe, method and order of its partitions, precision and shift, coefficients; what partitions' parameters are
# above the expected ones.
CODES, SIZES, RATES, TYPES, PARTITIONS, PRECISIONS, COEFFICIENTS, PARAMETERS = range(8)
COLUMNS = 8
BAD = COLUMNS  # of the counters: what is read does not fit
FULL = COLUMNS + 1  # what has no room for the next frame: one of these
FULL_SAMPLES, FULL_COLUMNS = 1, 2

SYNC = 0x3FFE
INDEPENDENT, LEFT_SIDE, SIDE_RIGHT, MID_SIDE = 7, 8, 9, 10  # channel assignments; up to 7: channels - 1
CONSTANT, VERBATIM, FIXED, LPC = 0, 1, 8, 32  # types of subframes, the last two plus their order
LARGEST_FIXED, LARGEST_ORDER, LARGEST_BLOCK, MOST_CHANNELS = 4, 32, 1 << 16, 8
SIZE_BYTE, SIZE_WORD = 6, 7  # codes of block sizes that follow
RATE_BYTE, NO_RATE = 12, 15  # codes of rates: those from the first to the last, which does not exist, follow
DEPTHS = np.array([0, 8, 12, 0, 16, 20, 24, 32], np.int64)  # by their codes; 0: that of the file
HEADER_SIZE = 16  # of a frame, at most
SPARE = 16  # zeros behind the data

FIXED_WEIGHTS = np.zeros((LARGEST_FIXED + 1, LARGEST_ORDER), np.int64)
for _order, _weights in enumerate(((), (1,), (2, -1), (3, -3, 1), (4, -6, 4, -1))):
    FIXED_WEIGHTS[_order, :_order] = _weights


def _crc_table(polynomial: int, bits: int) -> np.ndarray:
    table = np.zeros(256, np.int64)
    for byte in range(256):
        value = byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value >> bits - 1 & 1 else 0)) & ((1 << bits) - 1)
        table[byte] = value
    return table


CRC_8, CRC_16 = _crc_table(0x07, 8), _crc_table(0x8005, 16)


@kernel
def crc_8(data, start, end):
    """Return the CRC of a header."""
    crc = 0
    for i in range(start, end):
        crc = CRC_8[crc ^ data[i]]
    return crc


@kernel
def crc_16(data, start, end):
    """Return the CRC of a frame."""
    crc = 0
    for i in range(start, end):
        crc = (crc << 8 & 0xFFFF) ^ CRC_16[crc >> 8 ^ data[i]]
    return crc


@kernel
def get(data, at, count):
    """Return up to 32 bits from bit `at` on, highest first; data has 8 bytes more than are used."""
    byte, word = at >> 3, np.int64(0)
    for i in range(5):
        word = word << 8 | np.int64(data[byte + i])
    return word >> (40 - (at & 7) - count) & ((1 << count) - 1)


@kernel
def put(out, at, value, count, counts):
    """Write up to 33 bits at bit `at` of zeros; returns the bit behind them."""
    if at + count > 8 * out.size or value >> count:
        counts[BAD] = 1
        return at
    left = count
    while left > 0:
        room = 8 - (at & 7)
        bits = min(room, left)
        out[at >> 3] |= (value >> left - bits & ((1 << bits) - 1)) << room - bits
        at += bits
        left -= bits
    return at


@kernel
def signed(value, bits):
    """Return a number of two's complement."""
    return value - (value >> bits - 1 << bits)


@kernel
def fold(value):
    """Return 0, 1, 2, 3 ... for 0, -1, 1, -2 ..."""
    return value << 1 ^ value >> 63


@kernel
def unfold(value):
    """Return what fold was given."""
    return value >> 1 ^ -(value & 1)


@kernel
def push(columns, counts, which, value):
    """Append a number to a column."""
    if counts[which] < columns[which].size:
        columns[which][counts[which]] = value
    counts[which] += 1


@kernel
def pull(columns, counts, which, most):
    """Return the next number of a column, of at most `most`."""
    value = np.int64(0)
    if counts[which] < columns[which].size:
        value = columns[which][counts[which]]
        counts[which] += 1
    else:
        counts[BAD] = 1
    if value > most:
        counts[BAD] = 1
        value = np.int64(0)
    return value


@kernel
def expected_parameter(residuals, start, end):
    """Return the parameter of Rice's code that fits the mean of some residuals."""
    total = 0
    for i in range(start, end):
        total += fold(residuals[i])
    parameter = 0
    while (end - start) << parameter + 1 < total and parameter < 30:
        parameter += 1
    return parameter


@kernel
def put_number(out, at, number, counts):
    """Write a frame's number as UTF-8 does, in up to 7 bytes; returns the bit behind it."""
    if number < 0x80:
        return put(out, at, number, 8, counts)
    more = 1
    while number >> 6 * more + (6 - more):
        more += 1
    at = put(out, at, (0xFF80 >> more & 0xFF) | number >> 6 * more, 8, counts)
    for i in range(more - 1, -1, -1):
        at = put(out, at, 0x80 | (number >> 6 * i & 0x3F), 8, counts)
    return at


@kernel
def block_size(code, given):
    """Return the samples of a block by its code; 0 for one that does not exist."""
    if code in (SIZE_BYTE, SIZE_WORD):
        return given + 1
    if code == 1:
        return np.int64(192)
    return np.int64(576) << code - 2 if 2 <= code <= 5 else np.int64(256) << code - 8 if code >= 8 else np.int64(0)


@kernel
def put_header(out, at, codes, size, rate, number, counts):
    """Write a frame's header; codes: 17 bits, whether blocks vary in size and the two bytes of codes."""
    start = at >> 3
    at = put(out, at, SYNC << 2 | codes >> 16, 16, counts)
    at = put(out, at, codes & 0xFFFF, 16, counts)
    at = put_number(out, at, number, counts)
    code, rate_code = codes >> 12 & 15, codes >> 8 & 15
    if code in (SIZE_BYTE, SIZE_WORD):
        at = put(out, at, size, 8 if code == SIZE_BYTE else 16, counts)
    if RATE_BYTE <= rate_code < NO_RATE:
        at = put(out, at, rate, 8 if rate_code == RATE_BYTE else 16, counts)
    return put(out, at, crc_8(out, start, at >> 3), 8, counts)


@kernel
def read_residuals(data, at, limit, order, residuals, columns, counts):
    """Read the residuals behind the first `order`; returns the bit behind them."""
    method, partition_order = get(data, at, 2), get(data, at + 2, 4)
    at += 6
    push(columns, counts, PARTITIONS, partition_order << 1 | method)
    each = residuals.size >> partition_order
    if method > 1 or each << partition_order != residuals.size or each < order:
        counts[BAD] = 1
        return at
    bits = 5 if method else 4
    for partition in range(1 << partition_order):
        start, end = max(order, partition * each), (partition + 1) * each
        parameter = get(data, at, bits)
        at += bits
        if parameter == (1 << bits) - 1:
            raw = get(data, at, 5)
            at += 5
            if at + raw * (end - start) > limit:
                counts[BAD] = 1
                return at
            for i in range(start, end):
                residuals[i] = signed(get(data, at, raw), raw) if raw else 0
                at += raw
            push(columns, counts, PARAMETERS, np.int64(0))
            push(columns, counts, PARAMETERS, raw)
            continue
        for i in range(start, end):
            high = 0
            while get(data, at, 1) == 0:
                high += 1
                at += 1
                if at >= limit:
                    counts[BAD] = 1
                    return at
            residuals[i] = unfold(high << parameter | get(data, at + 1, parameter))
            at += 1 + parameter
        if at > limit:
            counts[BAD] = 1
            return at
        push(columns, counts, PARAMETERS, 1 + fold(parameter - expected_parameter(residuals, start, end)))
    return at


@kernel
def write_residuals(out, at, order, residuals, columns, counts):
    """Write the residuals behind the first `order`; returns the bit behind them."""
    how = pull(columns, counts, PARTITIONS, 31)
    method, partition_order = how & 1, how >> 1
    each = residuals.size >> partition_order
    if each << partition_order != residuals.size or each < order:
        counts[BAD] = 1
        return at
    at = put(out, at, method << 4 | partition_order, 6, counts)
    bits = 5 if method else 4
    for partition in range(1 << partition_order):
        if counts[BAD]:
            return at
        start, end = max(order, partition * each), (partition + 1) * each
        above = pull(columns, counts, PARAMETERS, 128)
        if above == 0:
            raw = pull(columns, counts, PARAMETERS, 31)
            at = put(out, at, ((1 << bits) - 1) << 5 | raw, bits + 5, counts)
            for i in range(start, end):
                if residuals[i] != (signed(residuals[i] & ((1 << raw) - 1), raw) if raw else 0):
                    counts[BAD] = 1
                at = put(out, at, residuals[i] & ((1 << raw) - 1), raw, counts)
            continue
        parameter = expected_parameter(residuals, start, end) + unfold(above - 1)
        if not 0 <= parameter < (1 << bits) - 1:
            counts[BAD] = 1
            return at
        at = put(out, at, parameter, bits, counts)
        for i in range(start, end):
            folded = fold(residuals[i])
            at += folded >> parameter  # zeros
            at = put(out, at, 1 << parameter | (folded & ((1 << parameter) - 1)), parameter + 1, counts)
    return at


@kernel
def read_subframe(data, at, limit, depth, values, residuals, weights, columns, counts):
    """Read a channel of a block into values, int64; returns the bit behind it."""
    kind, wasted = get(data, at + 1, 6), np.int64(0)
    counts[BAD] |= get(data, at, 1)
    at += 8
    if get(data, at - 1, 1):
        wasted = np.int64(1)
        while get(data, at, 1) == 0 and wasted < depth:
            wasted += 1
            at += 1
        at += 1
    push(columns, counts, TYPES, wasted << 6 | kind)
    bits, size = depth - wasted, values.size
    order = kind - LPC + 1 if kind >= LPC else kind - FIXED
    known = kind >= LPC or FIXED <= kind <= FIXED + LARGEST_FIXED or kind <= VERBATIM
    read = 1 if kind == CONSTANT else size if kind == VERBATIM else order
    if bits < 1 or not known or read > size or at + read * bits > limit:
        counts[BAD] = 1
        return at
    for i in range(read):
        values[i] = signed(get(data, at, bits) if bits <= 32 else get(data, at, 1) << 32 | get(data, at + 1, 32), bits)
        at += bits
    if kind == CONSTANT:
        for i in range(1, size):
            values[i] = values[0]
    shift = np.int64(0)
    if kind >= FIXED:
        if kind >= LPC:
            precision, shift = get(data, at, 4) + 1, signed(get(data, at + 4, 5), 5)
            at += 9
            push(columns, counts, PRECISIONS, precision << 5 | shift)
            if precision > 15 or shift < 0:
                counts[BAD] = 1
                return at
            for i in range(order):
                weights[i] = signed(get(data, at, precision), precision)
                at += precision
                push(columns, counts, COEFFICIENTS, fold(weights[i]))
        else:
            for i in range(order):
                weights[i] = FIXED_WEIGHTS[order, i]
        at = read_residuals(data, at, limit, order, residuals, columns, counts)
        if counts[BAD]:
            return at
        most = np.int64(1) << bits - 1
        for i in range(order, size):
            total = np.int64(0)
            for k in range(order):
                total += weights[k] * values[i - 1 - k]
            values[i] = residuals[i] + (total >> shift)
            if not -most <= values[i] < most:
                counts[BAD] = 1
                return at
    for i in range(size):
        values[i] <<= wasted
    return at


@kernel
def write_subframe(out, at, depth, values, residuals, weights, columns, counts):
    """Write a channel of a block; returns the bit behind it."""
    how = pull(columns, counts, TYPES, np.int64(1 << 12))
    kind, wasted = how & 63, how >> 6
    at = put(out, at, kind << 1 | (wasted > 0), 8, counts)
    if wasted:
        at = put(out, at, np.int64(1), wasted, counts)
    bits, size = depth - wasted, values.size
    order = kind - LPC + 1 if kind >= LPC else kind - FIXED
    known = kind >= LPC or FIXED <= kind <= FIXED + LARGEST_FIXED or kind <= VERBATIM
    stated = 1 if kind == CONSTANT else size if kind == VERBATIM else order
    if bits < 1 or not known or stated > size:
        counts[BAD] = 1
        return at
    for i in range(size):
        values[i] >>= wasted
    for i in range(stated):
        at = put(out, at, values[i] & ((1 << bits) - 1), bits, counts)
    if kind < FIXED:
        return at
    shift = np.int64(0)
    if kind >= LPC:
        how = pull(columns, counts, PRECISIONS, 511)
        precision, shift = how >> 5, how & 31
        if not 1 <= precision <= 15 or shift > 15:
            counts[BAD] = 1
            return at
        at = put(out, at, (precision - 1) << 5 | shift, 9, counts)
        for i in range(order):
            weights[i] = unfold(pull(columns, counts, COEFFICIENTS, (1 << precision) - 1))
            at = put(out, at, weights[i] & ((1 << precision) - 1), precision, counts)
    else:
        for i in range(order):
            weights[i] = FIXED_WEIGHTS[order, i]
    for i in range(order, size):
        total = np.int64(0)
        for k in range(order):
            total += weights[k] * values[i - 1 - k]
        residuals[i] = values[i] - (total >> shift)
    return write_residuals(out, at, order, residuals, columns, counts)


@kernel
def is_side(assignment, channel):
    """Return whether a channel is the difference of both, which takes a bit more."""
    return (assignment in (LEFT_SIDE, MID_SIDE) and channel == 1) or (assignment == SIDE_RIGHT and channel == 0)


@kernel
def join(values, i, assignment):
    """Turn two coded channels at a place into left and right."""
    one, other = values[0, i], values[1, i]
    if assignment == LEFT_SIDE:
        values[1, i] = one - other
    elif assignment == SIDE_RIGHT:
        values[0, i] = one + other
    else:
        middle = one << 1 | (other & 1)
        values[0, i], values[1, i] = middle + other >> 1, middle - other >> 1


@kernel
def split(values, i, assignment):
    """Turn left and right at a place into two coded channels."""
    left, right = values[0, i], values[1, i]
    if assignment == SIDE_RIGHT:
        values[0, i] = left - right
    else:
        values[1, i] = left - right
    if assignment == MID_SIDE:
        values[0, i] = left + right >> 1


@kernel
def read_frames(data, size, depth, samples, columns, counts, place):
    """Read frames until one is damaged, the data ends, or there is no room, which counts[FULL] says.

    Args:
        data: uint8, the frames and 16 zeros.
        size: bytes without the zeros.
        depth: bits a sample.
        samples: int32, (most, channels), gets the samples.
        columns: 8 arrays of int32, get what the encoder chose.
        counts: int64, (10,), zeros; gets how many numbers stand in each.
        place: what the last call returned, which had less room; zeros before the first.

    Returns:
        The bytes that were read, the frames and the samples of a channel.
    """
    channels = samples.shape[1]
    start, frame, done = place
    counts[FULL] = 0
    values = np.zeros((channels, LARGEST_BLOCK), np.int64)
    residuals, weights = np.zeros(LARGEST_BLOCK, np.int64), np.zeros(LARGEST_ORDER, np.int64)
    header, before = np.zeros(HEADER_SIZE, np.uint8), np.zeros(COLUMNS, np.int64)
    while start + HEADER_SIZE <= size + SPARE:
        before[:] = counts[:COLUMNS]
        codes = get(data, 8 * start + 15, 17)
        code, rate_code, assignment, depth_code = codes >> 12 & 15, codes >> 8 & 15, codes >> 4 & 15, codes >> 1 & 7
        number = done if codes >> 16 else frame
        header[:] = 0
        at = 8 * start + 32 + put_number(header, np.int64(0), number, counts)  # it must be the expected one
        given, rate = np.int64(0), np.int64(0)
        if code in (SIZE_BYTE, SIZE_WORD):
            given = get(data, at, 8 if code == SIZE_BYTE else 16)
            at += 8 if code == SIZE_BYTE else 16
            push(columns, counts, SIZES, given)
        if RATE_BYTE <= rate_code < NO_RATE:
            rate = get(data, at, 8 if rate_code == RATE_BYTE else 16)
            push(columns, counts, RATES, rate)
        push(columns, counts, CODES, codes)
        header[:] = 0
        at = put_header(header, np.int64(0), codes, given, rate, number, counts)
        count = block_size(code, given)
        good = start + (at >> 3) < size and count > 0
        good = good and (depth_code == 0 or DEPTHS[depth_code] == depth)
        good = good and channels == (assignment + 1 if assignment <= INDEPENDENT else 2) and assignment <= MID_SIDE
        for i in range(at >> 3):
            good = good and header[i] == data[start + i]
        at += 8 * start
        for channel in range(channels if good else 0):
            bits = depth + is_side(assignment, channel)
            part = values[channel, :count]
            at = read_subframe(data, at, 8 * size, bits, part, residuals[:count], weights, columns, counts)
            if counts[BAD]:
                break
        end = (at + 7) >> 3
        good = good and not counts[BAD] and end + 2 <= size and get(data, at, 8 * end - at) == 0
        good = good and get(data, 8 * end, 16) == crc_16(data, start, end)
        full = 0 if count <= samples.shape[0] - done else FULL_SAMPLES
        for which in range(COLUMNS):
            full = full if counts[which] <= columns[which].size else FULL_COLUMNS
        if not good or full:
            counts[FULL] = full if good else 0
            counts[:COLUMNS], counts[BAD] = before, 0
            break
        for i in range(count):
            if assignment > INDEPENDENT:
                join(values, i, assignment)
            for channel in range(channels):
                samples[done + i, channel] = values[channel, i]
        start, frame, done = end + 2, frame + 1, done + count
    return start, frame, done


@kernel
def write_frames(samples, frames, depth, columns, counts, out):
    """Write frames.

    Args:
        samples: int32, (samples, channels).
        frames: their number.
        depth: bits a sample.
        columns: 8 arrays of int32, as read_frames gives them.
        counts: int64, (9,), zeros; gets how many numbers were used, and whether something did not fit.
        out: uint8, zeros, gets the frames.

    Returns:
        The bytes that were written and the samples of a channel.
    """
    channels, at, done = samples.shape[1], np.int64(0), 0
    values = np.zeros((channels, LARGEST_BLOCK), np.int64)
    residuals, weights = np.zeros(LARGEST_BLOCK, np.int64), np.zeros(LARGEST_ORDER, np.int64)
    for frame in range(frames):
        start, given, rate = at >> 3, np.int64(0), np.int64(0)
        codes = pull(columns, counts, CODES, 0x1FFFF)
        code, rate_code, assignment = codes >> 12 & 15, codes >> 8 & 15, codes >> 4 & 15
        if code in (SIZE_BYTE, SIZE_WORD):
            given = pull(columns, counts, SIZES, 0xFFFF)
        if RATE_BYTE <= rate_code < NO_RATE:
            rate = pull(columns, counts, RATES, 0xFFFF)
        count = block_size(code, given)
        fits = channels == (assignment + 1 if assignment <= INDEPENDENT else 2) and assignment <= MID_SIDE
        if counts[BAD] or not fits or not 0 < count <= samples.shape[0] - done:
            counts[BAD] = 1
            return at >> 3, done
        at = put_header(out, at, codes, given, rate, done if codes >> 16 else frame, counts)
        for i in range(count):
            for channel in range(channels):
                values[channel, i] = samples[done + i, channel]
            if assignment > INDEPENDENT:
                split(values, i, assignment)
        for channel in range(channels):
            bits = depth + is_side(assignment, channel)
            part = values[channel, :count]
            at = write_subframe(out, at, bits, part, residuals[:count], weights, columns, counts)
            if counts[BAD]:
                return at >> 3, done
        at = (at + 7) & ~7
        at = put(out, at, crc_16(out, start, at >> 3), 16, counts)
        done += count
    return at >> 3, done
