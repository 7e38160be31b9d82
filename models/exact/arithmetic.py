"""The numbers of the profile `exact-1`: bounds, constants and the rules that keep them exact.

Every sum is a sum of integers, so its order does not matter. Every float operation is one IEEE
operation on single elements: + - * /, square root, rounding, comparison. exp is a polynomial of
such operations; cos and sin are tables made with Python's integers. Changing any number in this
file makes another profile and needs another name in FORMAT.md.
"""

from __future__ import annotations

import functools
from decimal import Context, Decimal

import numpy as np
from numpy.typing import NDArray

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

_BITS = 96  # fraction bits of the integers that cos and sin are computed in
_ONE = 1 << _BITS
_TWO_PI = Decimal("6.2831853071795864769252867665590057683943387987502")


# How the frequencies of RoPE are scaled: ("linear", factor) or ("llama3", factor, low_freq_factor,
# high_freq_factor, original_max_position_embeddings).
Scaling = tuple[str | float, ...]


def rope_tables(
    head_dim: int, theta: float, positions: int, scaling: Scaling = ()
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return cos and sin of position * theta**(-2i / head_dim), float32 (positions, head_dim / 2).

    scaling: see Scaling; empty for none. Exact tables for the low and the high byte of the position are
    joined by the addition theorem in float64, element by element.
    """
    low_cos, low_sin, high_cos, high_sin = _rope_parts(head_dim, theta, -(-positions // 256), scaling)
    cos = high_cos[:, None] * low_cos - high_sin[:, None] * low_sin
    sin = high_sin[:, None] * low_cos + high_cos[:, None] * low_sin
    shape = (-1, head_dim // 2)
    return (
        np.ascontiguousarray(cos.reshape(shape)[:positions], np.float32),
        np.ascontiguousarray(sin.reshape(shape)[:positions], np.float32),
    )


@functools.cache
def _rope_parts(head_dim: int, theta: float, pages: int, scaling: Scaling) -> tuple[NDArray[np.float64], ...]:
    context = Context(prec=50)  # ln and exp of decimal are correctly rounded on every platform
    log_theta = context.ln(Decimal(theta))
    turns = []
    for i in range(0, head_dim, 2):
        frequency = context.exp(context.divide(context.multiply(log_theta, Decimal(-i)), Decimal(head_dim)))
        frequency = _scaled(frequency, scaling, context)
        turns.append(_cos_sin(int(context.multiply(frequency, Decimal(_ONE)))))
    low = [_powers(turn, 256) for turn in turns]
    high = [_powers(_multiply(powers[-1], turn), pages) for powers, turn in zip(low, turns, strict=True)]
    parts = [np.array([[c / _ONE, s / _ONE] for row in table for c, s in row]) for table in (low, high)]
    low_parts, high_parts = (p.reshape(head_dim // 2, -1, 2).transpose(2, 1, 0) for p in parts)
    return low_parts[0], low_parts[1], high_parts[0], high_parts[1]


def _scaled(frequency: Decimal, scaling: Scaling, context: Context) -> Decimal:
    """Return the frequency that RoPE uses instead: a slow one is divided by the factor."""
    if not scaling:
        return frequency
    factor, *others = (Decimal(value) for value in scaling[1:])
    slow = context.divide(frequency, factor)
    if scaling[0] == "linear":
        return slow
    low, high, positions = others
    turns = context.divide(context.multiply(frequency, positions), _TWO_PI)  # within the positions of the training
    share = context.divide(context.subtract(turns, low), context.subtract(high, low))
    share = min(max(share, Decimal(0)), Decimal(1))
    return context.add(context.multiply(context.subtract(Decimal(1), share), slow), context.multiply(share, frequency))


def _cos_sin(x: int) -> tuple[int, int]:
    """Return (cos x, sin x) for 0 <= x <= 1, as integers over _ONE, by their Taylor series."""
    cos = sin = 0
    term, n = _ONE, 0
    while term:
        sign = -1 if n & 2 else 1
        if n & 1:
            sin += sign * term
        else:
            cos += sign * term
        n += 1
        term = (term * x >> _BITS) // n
    return cos, sin


def _multiply(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    """Multiply two unit complex numbers: the addition theorem."""
    return (a[0] * b[0] - a[1] * b[1]) >> _BITS, (a[1] * b[0] + a[0] * b[1]) >> _BITS


def _powers(turn: tuple[int, int], count: int) -> list[tuple[int, int]]:
    powers = [(_ONE, 0)]
    while len(powers) < count:
        powers.append(_multiply(powers[-1], turn))
    return powers
