# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""Tokens and symbols of deflate streams (RFC 1951 sections 3.2.3 to 3.2.7); everything else in this package uses them.

A **token** is an integer: the length of a match, 3 to 258, plus 512 times its distance; 1 is a literal. In a stream it
is a symbol for a literal or a length, and another one for the distance, both with extra bits.
"""

from __future__ import annotations

import numpy as np

from lmzip.coders.compiled import compiled

kernel = compiled()

LITERAL = 1
LENGTH_MASK, DISTANCE_SHIFT = 511, 9  # of a token
SHORTEST, LONGEST = 3, 258  # bytes of a match
FARTHEST = 1 << 15  # distance of a match

STORED, FIXED, DYNAMIC = range(3)  # types of blocks

# Symbols of the first code: bytes, the end of a block, lengths of matches. An array of both codes has the symbols of
# distances from FIRST_DISTANCE on.
END, FIRST_LENGTH, FIRST_DISTANCE = 256, 257, 288
LITERALS, DISTANCES = 286, 30  # symbols of the two codes that may occur
CODES = FIRST_DISTANCE + 32  # symbols of both
LONGEST_CODE = 15  # bits of a code word

# The small code is that of the code lengths of a block, written in ORDER. Its symbols are 0 to 15, a length; the length
# before 3 to 6 times; 3 to 10 zeros; 11 to 138 zeros.
CODE_LENGTHS, LONGEST_SMALL_CODE = 19, 7
REPEAT, ZEROS, MANY_ZEROS = 16, 17, 18
ORDER = np.array([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15], np.int64)

# By symbol, less FIRST_LENGTH or FIRST_DISTANCE: the extra bits, and the smallest length or distance.
LENGTH_EXTRA = np.array([0] * 8 + [n for n in range(1, 6) for _ in range(4)] + [0], np.int64)
LENGTH_BASE = np.append(3 + np.cumsum(np.append(0, 1 << LENGTH_EXTRA[:-2])), 258)
DISTANCE_EXTRA = np.array([0] * 4 + [n for n in range(1, 14) for _ in range(2)], np.int64)
DISTANCE_BASE = 1 + np.append(0, np.cumsum(1 << DISTANCE_EXTRA[:-1]))

FIXED_LENGTHS = np.array([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8 + [5] * 32, np.int64)  # of the fixed codes

LENGTH_SYMBOL = np.zeros(259, np.int64)  # by the length of a match; less FIRST_LENGTH
for _symbol, _base in enumerate(LENGTH_BASE):
    LENGTH_SYMBOL[_base:] = _symbol
DISTANCE_SYMBOL = np.zeros(512, np.int64)  # by distance - 1, or 256 + (distance - 1) / 128
for _symbol, _base in enumerate(DISTANCE_BASE):
    DISTANCE_SYMBOL[min(_base - 1, 256) : 256] = _symbol
    DISTANCE_SYMBOL[256 + (_base - 1) // 128 :] = _symbol


@kernel
def distance_symbol(distance):
    """Return the symbol of a distance, less FIRST_DISTANCE."""
    return DISTANCE_SYMBOL[distance - 1] if distance <= 256 else DISTANCE_SYMBOL[256 + ((distance - 1) >> 7)]
