# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""Linear prediction by weights that are solved for again every few samples.

The sums of products are discounted, so that the recent past counts more. float64 throughout, but every operation is
elementwise: rows of a matrix are scaled and added in an order that the algorithm fixes, and nothing is summed up
otherwise than in integers. So every machine computes the same bits.
"""

from __future__ import annotations

from lmzip.models.mixing.jit import i64, inline, kernel

WEIGHT_MAX = 1024.0
FRACTION = 1048576.0  # of products in a sum


@inline
def predict_linear(weights, features):
    """Return the sum of weights times features; each product is cut to a multiple of 1 / FRACTION."""
    total = i64(0)
    for i in range(len(features)):
        # Below 2**49, since features are below 2**19: an integer, and sums do not overflow.
        total += i64(weights[i] * features[i] * FRACTION)
    return float(total) * (1.0 / FRACTION)


@kernel
def accumulate(sums, features, target, discount):
    """Discount the sums (n, width) and add the products of the features (n,) with each other, and with the target.

    Column n has the products with the target; columns behind it stay 0.
    """
    n, gain = len(features), 1.0 - discount
    for i in range(n):
        row, factor = sums[i], gain * features[i]
        for j in range(n):
            row[j] = row[j] * discount + factor * features[j]
        row[n] = row[n] * discount + factor * target


@kernel
def solve(sums, scratch, weights, regular):
    """Solve (sums + regular * 1) weights = products with the target, by elimination without pivoting.

    The matrix is positive definite, so that pivots stay above `regular` but for rounding. Whatever
    happens, weights are finite and bounded.
    """
    n, width = len(weights), sums.shape[1]
    for i in range(n):
        for j in range(width):
            scratch[i, j] = sums[i, j]
        scratch[i, i] += regular
    for k in range(n):
        pivot = scratch[k]
        inverse = 1.0 / max(pivot[k], regular * 0.5)
        for i in range(k + 1, n):
            row, factor = scratch[i], pivot[i] * inverse
            for j in range(i & -8, width):  # what lies left of column i is not used
                row[j] -= factor * pivot[j]
    for k in range(n - 1, -1, -1):
        weight = scratch[k, n] / max(scratch[k, k], regular * 0.5)
        if not abs(weight) <= WEIGHT_MAX:
            weight = 0.0
        weights[k] = weight
        for i in range(k):
            scratch[i, n] -= scratch[i, k] * weight
