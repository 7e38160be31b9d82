# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""What an encoder of FLAC chose: eight columns of numbers, one for each sort, compiled.

Every bit of a frame follows from the samples and these numbers. Reading frames appends numbers to the columns, and
writing frames takes them in the same order. The columns are the side data of a file (FORMAT.md section 10.9).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmzip.coders.compiled import compiled

kernel = compiled()

# The columns: of a frame the codes of its header, and its block size and its sample rate where the codes do not say
# them; of a subframe its type and wasted bits, the method and the order of its partitions, the precision and the shift
# of its predictor, and the coefficients; of a partition how much its parameter is above the expected one.
CODES, SIZES, RATES, TYPES, PARTITIONS, PRECISIONS, COEFFICIENTS, PARAMETERS = range(8)
COLUMNS = 8
# Slots of the counts behind those of the columns: whether something does not fit; what has no room for the next frame.
BAD, FULL = COLUMNS, COLUMNS + 1
COUNTS = COLUMNS + 2
FULL_SAMPLES, FULL_COLUMNS = 1, 2  # values of FULL


class Choices(NamedTuple):
    """The columns.

    Attributes:
        columns: COLUMNS arrays of int32.
        counts: int64, (COUNTS,), zeros at first: how many numbers of each column were appended or taken, BAD and FULL.
    """

    columns: tuple[NDArray[np.int32], ...]
    counts: NDArray[np.int64]


@kernel
def push(choices, which, value):
    """Append a number to a column; where the column has no room, only count it."""
    columns, counts = choices.columns, choices.counts
    if counts[which] < columns[which].size:
        columns[which][counts[which]] = value
    counts[which] += 1


@kernel
def pull(choices, which, most):
    """Return the next number of a column. Where there is none, or it is more than `most`: 0, and BAD is set."""
    columns, counts = choices.columns, choices.counts
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
