# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""Headers of FLAC's frames (RFC 9639 section 9.1), compiled.

The codes of a header are kept as one number of 17 bits: whether blocks vary in size, then the two bytes behind the sync
code. The number of the frame or of its first sample, and the CRC, are those that must be there.
"""

from __future__ import annotations

import numpy as np

from lmzip.coders.compiled import compiled
from lmzip.formats.flac.bits import crc_8, get, put
from lmzip.formats.flac.choices import CODES, RATES, SIZES, pull, push

kernel = compiled()

SYNC = 0x3FFE
SIZE_BYTE, SIZE_WORD = 6, 7  # codes of block sizes that stand behind the number, in 8 or 16 bits (section 9.1.1)
# Codes of sample rates (section 9.1.2): those from RATE_BYTE to NO_RATE - 1 stand there too; NO_RATE does not exist.
RATE_BYTE, NO_RATE = 12, 15
# Codes of channel assignments (section 9.1.3): up to 7 the number of channels less 1.
INDEPENDENT, LEFT_SIDE, SIDE_RIGHT, MID_SIDE = 7, 8, 9, 10
DEPTHS = np.array([0, 8, 12, 0, 16, 20, 24, 32], np.int64)  # bits a sample by their codes; 0: that of the file
HEADER_SIZE = 16  # bytes, at most


@kernel
def split_codes(codes):
    """Return the codes of block size, sample rate, channel assignment and bits a sample."""
    return codes >> 12 & 15, codes >> 8 & 15, codes >> 4 & 15, codes >> 1 & 7


@kernel
def has_channels(assignment, channels):
    """Return whether a channel assignment exists and is one of so many channels."""
    return channels == (assignment + 1 if assignment <= INDEPENDENT else 2) and assignment <= MID_SIDE


@kernel
def block_size(code, given):
    """Return the samples a channel of a block by its code; 0 for a code that does not exist."""
    if code in (SIZE_BYTE, SIZE_WORD):
        return given + 1
    if code == 1:
        return np.int64(192)
    return np.int64(576) << code - 2 if 2 <= code <= 5 else np.int64(256) << code - 8 if code >= 8 else np.int64(0)


@kernel
def put_number(out, at, number, counts):
    """Write a number as UTF-8 writes a character, in up to 7 bytes (section 9.1.5); returns the bit behind it."""
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
def put_header(out, at, codes, size, rate, number, counts):
    """Write a header; returns the bit behind it. size, rate: the fields behind the number, where there are such."""
    start = at >> 3
    code, rate_code, _, _ = split_codes(codes)
    at = put(out, at, SYNC << 2 | codes >> 16, 16, counts)
    at = put(out, at, codes & 0xFFFF, 16, counts)
    at = put_number(out, at, number, counts)
    if code in (SIZE_BYTE, SIZE_WORD):
        at = put(out, at, size, 8 if code == SIZE_BYTE else 16, counts)
    if RATE_BYTE <= rate_code < NO_RATE:
        at = put(out, at, rate, 8 if rate_code == RATE_BYTE else 16, counts)
    return put(out, at, crc_8(out, start, at >> 3), 8, counts)


@kernel
def read_header(data, start, frame, done, header, choices):
    """Read the header of a frame and push its choices. Twin: write_header.

    Args:
        data: uint8, with HEADER_SIZE bytes from `start` on.
        start: the byte where the frame begins.
        frame: the number of the frame.
        done: the number of its first sample.
        header: uint8, (HEADER_SIZE,), for the use of this function.
        choices: Choices.

    Returns:
        The bytes of the header, its codes, and the samples a channel of the block; 0 of them where it is no header.
    """
    codes = get(data, 8 * start + 15, 17)
    code, rate_code, _, _ = split_codes(codes)
    number = done if codes >> 16 else frame
    header[:] = 0
    at = 8 * start + 32 + put_number(header, np.int64(0), number, choices.counts)
    size, rate = np.int64(0), np.int64(0)
    if code in (SIZE_BYTE, SIZE_WORD):
        size = get(data, at, 8 if code == SIZE_BYTE else 16)
        at += 8 if code == SIZE_BYTE else 16
        push(choices, SIZES, size)
    if RATE_BYTE <= rate_code < NO_RATE:
        rate = get(data, at, 8 if rate_code == RATE_BYTE else 16)
        push(choices, RATES, rate)
    push(choices, CODES, codes)
    header[:] = 0
    length = put_header(header, np.int64(0), codes, size, rate, number, choices.counts) >> 3
    count = block_size(code, size)
    for i in range(length):
        if header[i] != data[start + i]:
            count = np.int64(0)
    return length, codes, count


@kernel
def write_header(out, at, frame, done, channels, left, choices):
    """Pull the choices of a header and write it. Twin: read_header.

    Args:
        out: uint8, zeros.
        at: the bit where it begins.
        frame: the number of the frame.
        done: the number of its first sample.
        channels: those that the frame must have.
        left: the most samples a channel that the block may have.
        choices: Choices.

    Returns:
        The bit behind the header, the code of the channel assignment, and the samples a channel of the block; 0 of them
        where the choices do not fit.
    """
    codes, size, rate = pull(choices, CODES, 0x1FFFF), np.int64(0), np.int64(0)
    code, rate_code, assignment, _ = split_codes(codes)
    if code in (SIZE_BYTE, SIZE_WORD):
        size = pull(choices, SIZES, 0xFFFF)
    if RATE_BYTE <= rate_code < NO_RATE:
        rate = pull(choices, RATES, 0xFFFF)
    count = block_size(code, size)
    if not has_channels(assignment, channels) or count > left:
        return at, assignment, np.int64(0)
    number = done if codes >> 16 else frame
    return put_header(out, at, codes, size, rate, number, choices.counts), assignment, count
