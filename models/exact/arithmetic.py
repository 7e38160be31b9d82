"""The numbers of the profile `exact-1`: bounds, constants and the rules that keep them exact.

Every sum is a sum of integers, so its order does not matter. Every float operation is one IEEE
operation on single elements: + - * /, square root, rounding, comparison. exp is a polynomial of
such operations; cos and sin are made with Python's integers (`rope.py`). Changing any number in this
file makes another profile and needs another name in MODELS.md.
"""

from __future__ import annotations

import numpy as np

PROFILE = "exact-1"

# int8 kernels without VNNI take the activations as unsigned (x + 128) and add two products in
# 16 bits, saturating: 2 * 63 * 255 = 32130 stays below 32768, 2 * 127 * 255 would not.
WEIGHT_MAX = 63
ACTIVATION_MAX = 127

# A row whose largest value is this small counts as zero: 127 / m stays finite.
SMALLEST = np.float32(2.0**-64)

# Activations of matrices that 8 bits would cost too much have up to 15: two int8 products, 128 times the
# high part plus the low one. The sum must fit 32 bits.
WIDE_MAX = 128 * ACTIVATION_MAX


def wide_max(depth: int, right_max: int = WEIGHT_MAX) -> int:
    """Return the largest activation of a wide product of `depth` with factors up to `right_max`."""
    return min(WIDE_MAX, ((1 << 31) - 1) // (right_max * depth))


NORM_MAX = 32767  # row maximum of the integers whose squares a norm adds up

FREQUENCY_BITS = 24
FREQUENCY_TOTAL = 1 << FREQUENCY_BITS

# 2**-f for 0 <= f < 1 is ((((C4 f + C3) f + C2) f + C1) f + 1), relative error under 5e-6
# (least squares at Chebyshev nodes, coefficients rounded to 24 bits after the point).
LOG2_E = np.float32(24204406 / 2**24)
EXP2_C1 = np.float32(-11627876 / 2**24)
EXP2_C2 = np.float32(4018658 / 2**24)
EXP2_C3 = np.float32(-895044 / 2**24)
EXP2_C4 = np.float32(115699 / 2**24)
ATTENTION_ONE = np.float32(1 << 14)  # times ACTIVATION_MAX times ATTENTION_KEYS stays under 2**31
ATTENTION_KEYS = 1024
OUTPUT_ONE = np.float32(1 << 24)
NO_EXPONENT = np.float32(-(2.0**100))  # of sums of nothing: less than all others, and finite
EXP2_LAST = np.float32(31)  # largest shift; exp(-x) is 0 long before

WINDOW_LIMIT = 1 << 13  # keys a query may see: their weights' sum stays under 2**31

# gelu_tanh(x) = x * sigmoid(x * (GELU_1 + GELU_3 * x * x)): 2 * sqrt(2 / pi), and that times 0.044715.
GELU_1 = np.float32(13386282 / 2**23)
GELU_3 = np.float32(9577081 / 2**27)
