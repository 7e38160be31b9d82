# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""Least squares that go on with every sample: weights of a linear prediction that fit the samples so far.

With inputs x and target t of each sample, the weights w solve (S + ridge * 1) w = s. S holds the sums of products of
inputs with each other, s those of inputs with the target. Sums of older samples are multiplied by a factor of at most 1
again and again, so that the recent past counts more. `accumulate` adds a sample; now and then a model copies the sums
(`copy_sums`) and solves the copy (`solve`).

A matrix (inputs, columns) holds S on and above its diagonal and s in the column behind the last input. It has as many
columns as `columns_of` says, so that kernels go over whole groups of LANES elements; what lies left of the diagonal or
behind s is not used.

All is float64, and every machine computes the same bits: each step is one IEEE operation on one element, and elements
are never summed up in an order that a compiler may choose.
"""

from __future__ import annotations

from lmzip.models.mixing.jit import inline, kernel

LANES = 4  # elements of a row that are computed together


def columns_of(inputs: int) -> int:
    """Return the columns of a matrix of so many inputs: theirs, one for the target, and up to a multiple of LANES."""
    return (inputs + LANES) // LANES * LANES


@inline
def span_of(i, n):
    """Return where the part of row i that is used begins, and how long it is, in whole LANES.

    Loops go over slices from there on: numba tests every index of a loop that does not begin at 0 for being negative.
    """
    first = i // LANES * LANES
    return first, (n + LANES) // LANES * LANES - first


@kernel
def accumulate(sums, sample, n, keep, gain):
    """Add a sample to the sums (n, columns).

    sample: (columns,) n inputs, the target, anything finite. keep: what older sums are multiplied by. gain: what the
    products of this sample are multiplied by.
    """
    for i in range(n):
        first, count = span_of(i, n)
        row, values, factor = sums[i, first:], sample[first:], gain * sample[i]
        for j in range(count):
            row[j] = row[j] * keep + factor * values[j]


@kernel
def copy_sums(sums, work, n):
    """Copy the sums (n, columns) to where they are solved."""
    for i in range(n):
        first, count = span_of(i, n)
        row, out = sums[i, first:], work[i, first:]
        for j in range(count):
            out[j] = row[j]


@kernel
def solve(work, weights, n, ridge, floor, limit):
    """Set the n weights to the solution; the sums in `work` (n, columns) are overwritten.

    Gaussian elimination without pivoting: S + ridge * 1 is positive definite, so no pivot is below `ridge` but for
    rounding. A smaller pivot than `floor` becomes `floor`, a weight that is not within -limit .. limit becomes 0.
    """
    for k in range(n):
        work[k, k] = work[k, k] + ridge
    for k in range(n):
        inverse = 1.0 / max(work[k, k], floor)
        for i in range(k + 1, n):
            first, count = span_of(i, n)
            row, top, factor = work[i, first:], work[k, first:], work[k, i] * inverse
            for j in range(count):
                row[j] = row[j] - factor * top[j]
    for k in range(n - 1, -1, -1):
        weight = work[k, n] / max(work[k, k], floor)
        if not abs(weight) <= limit:  # or not a number
            weight = 0.0
        weights[k] = weight
        for i in range(k):
            work[i, n] = work[i, n] - work[i, k] * weight
