# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""The gated mixer: several sets of weights, each chosen by a context, and a mixer of their outputs.

Weights are int32 in units of 1/65536, inputs and outputs logits in units of 1/256. After Mattoon
and Mahoney's PAQ8: the gradient of the code length with respect to a weight is input times error.
"""

from __future__ import annotations

from lmzip.models.mixing.jit import i32, inline
from lmzip.models.mixing.logistic import LOGIT_MAX

WEIGHT_MAX = (1 << 19) - 1  # 8; times LOGIT_MAX stays under 2**31


@inline
def squash(table, logit):
    """Return the probability, 1 .. 65535, of a logit."""
    return table[min(max(logit, -LOGIT_MAX), LOGIT_MAX) + LOGIT_MAX]


@inline
def dot(inputs, weights):
    """Return the weighted sum of inputs, a logit."""
    total = i32(0)
    for i in range(len(inputs)):
        total = i32(total + (i32(inputs[i] * weights[i]) >> i32(10)))
    return i32(min(max(total >> i32(6), i32(-LOGIT_MAX)), i32(LOGIT_MAX)))


@inline
def train(inputs, weights, error, rate):
    """Move weights against the error: (bit << 16) - probability."""
    e = i32((i32(error) * i32(rate)) >> i32(10))
    for i in range(len(inputs)):
        step = i32(i32(inputs[i] * e) + i32(1 << 13)) >> i32(14)
        weights[i] = min(max(i32(weights[i] + step), i32(-WEIGHT_MAX)), i32(WEIGHT_MAX))
