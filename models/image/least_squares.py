# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""What the least squares of pictures have besides `lmzip.models.mixing.least_squares`: integer weights, sums by place.

Some predictors learn from the whole row so far and those above, the recent past more than the rest. Others learn from
what lies around a sample: sums of blocks of columns, in which rows further up count less.
"""

from __future__ import annotations

import numpy as np

from lmzip.models.mixing.jit import i64, inline, kernel
from lmzip.models.mixing.least_squares import solve, span_of

RIDGE = 8.0  # added to the diagonal, in squares of sample values; no pivot is below
WEIGHT_BITS = 16  # weights are integers in units of 2^-16
WEIGHT_MAX = float(1 << 20)  # in these units; larger ones become 0
PRECISION = 4  # predictions are in units of 2^-4


@inline
def predict(inputs, weights, n):
    """Return the weighted sum of n integer inputs, in units of 2^-PRECISION."""
    total = i64(0)
    for i in range(n):
        total += i64(inputs[i]) * i64(weights[i])
    return total >> (WEIGHT_BITS - PRECISION)


@kernel
def solve_rounded(work, weights, solution, n):
    """Set the n integer weights to the least squares of the sums in `work` (n, columns).

    The sums and solution (n,) are overwritten. Weights that are too large become 0.
    """
    solve(work, solution, n, RIDGE, RIDGE, np.inf)
    for k in range(n):
        scaled = solution[k] * float(1 << WEIGHT_BITS)
        weights[k] = int(scaled) if -WEIGHT_MAX < scaled < WEIGHT_MAX else 0


@kernel
def add_row_sums(row_sums, block_sums, n, keep):
    """Add what a row brought to a block of columns, all (n, columns), and begin anew with the next block.

    keep: what the sums of the rows above are multiplied by.
    """
    for i in range(n):
        first, count = span_of(i, n)
        old, new = block_sums[i, first:], row_sums[i, first:]
        for j in range(count):
            old[j] = old[j] * keep + new[j]
            new[j] = 0.0


@kernel
def gather_blocks(row_sums, block_sums, b, work, n):
    """Write the sums around block b: of its part of this row, of itself, twice, and of the blocks beside it."""
    for i in range(n):
        first, count = span_of(i, n)
        row, out = row_sums[i, first:], work[i, first:]
        left, here, right = block_sums[b - 1, i, first:], block_sums[b, i, first:], block_sums[b + 1, i, first:]
        for j in range(count):
            out[j] = row[j] + left[j] + here[j] * 2.0 + right[j]
