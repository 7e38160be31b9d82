# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""Least squares that learn as they go: a sample is predicted from its neighbours, weights fit what came before.

What came before is the row, the recent past more than the rest (`learn` with a `keep` below 1), or what lies around:
sums of blocks of columns, in which rows further up count less (`learn` with 1, `close`, `gather`).

Float steps here are exact on every machine: each is one IEEE operation on one element, in the order written; loops run
over the elements of rows or columns, and the prediction is a sum of integers. Inputs are at most 2^17 in size and the
covariances forget, so they stay finite. What elimination makes of nearly singular ones may not: such weights become 0.
"""

from __future__ import annotations

from lmzip.models.mixing.jit import i64, inline, kernel

RIDGE = 8.0  # added to the diagonal, in squares of sample values
WEIGHT_BITS = 16  # weights are integers in units of 2^-16
WEIGHT_MAX = float(1 << 20)
PRECISION = 4  # predictions are in units of 2^-4


@inline
def predict(inputs, weights, n):
    """Return the weighted sum of n integer inputs, in units of 2^-PRECISION."""
    total = i64(0)
    for i in range(n):
        total += i64(inputs[i]) * i64(weights[i])
    return total >> (WEIGHT_BITS - PRECISION)


@kernel
def learn(inputs, values, target, covariance, n, keep):
    """Add a sample to the covariances (n, n + 1), the last column of which is that with the target.

    values: (n + 1,) float64, overwritten. keep: what the older samples are multiplied by.
    """
    for i in range(n):
        values[i] = float(inputs[i])
    values[n] = float(target)
    for i in range(n):
        x = values[i]
        row = covariance[i]
        for j in range(i, n + 1):
            row[j] = row[j] * keep + x * values[j]


@kernel
def close(part, block, n, keep):
    """Add what a row brought to a block of columns, all (n, n + 1), and begin anew with the next block.

    keep: what the rows above are multiplied by.
    """
    for i in range(n):
        for j in range(i, n + 1):
            block[i, j] = block[i, j] * keep + part[i, j]
            part[i, j] = 0.0


@kernel
def copy(covariance, work, n):
    """Copy covariances to where they are solved."""
    for i in range(n):
        for j in range(i, n + 1):
            work[i, j] = covariance[i, j]


@kernel
def gather(part, blocks, b, work, n):
    """Write the covariances around block b: of its part of this row, of itself, twice, and of the blocks beside it."""
    for i in range(n):
        for j in range(i, n + 1):
            work[i, j] = part[i, j] + blocks[b - 1, i, j] + blocks[b, i, j] * 2.0 + blocks[b + 1, i, j]


@kernel
def solve(work, weights, solution, n):
    """Set the weights to the least squares of covariances: elimination in place, rows from the top, no pivoting."""
    for i in range(n):
        work[i, i] = work[i, i] + RIDGE
    for k in range(n):
        top = work[k]
        pivot = top[k] if top[k] > RIDGE else RIDGE
        top[k] = pivot
        for i in range(k + 1, n):
            factor = top[i] / pivot
            row = work[i]
            for j in range(i, n + 1):
                row[j] = row[j] - factor * top[j]
    for i in range(n):
        solution[i] = work[i, n]
    for k in range(n - 1, -1, -1):
        value = solution[k] / work[k, k]
        solution[k] = value
        for i in range(k):
            solution[i] = solution[i] - work[i, k] * value
    for k in range(n):
        scaled = solution[k] * float(1 << WEIGHT_BITS)
        weights[k] = int(scaled) if -WEIGHT_MAX < scaled < WEIGHT_MAX else 0
