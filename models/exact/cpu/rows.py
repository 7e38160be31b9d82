# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""What the kernels of the CPU engine share: rounding, norms and activations of rows.

The float operations in these kernels are single IEEE operations on single elements, in the order written;
sums are integer sums. Fused and reordered arithmetic stays off: of LLVM's fast-math flags only
those are on that promise it no NaN and no meaning of -0, which lets it vectorise maxima. There is no NaN,
as the limits of `config.py` and `weights.py` let nothing overflow.
Integer sums are cast back to int32 at each step because numba would widen them to 64 bits.
Kernels let go of the GIL so that threads can share a batch. The same arithmetic in plain torch
stands in `torch/rows.py`; the self-test compares the two bit by bit.
"""

from __future__ import annotations

import numpy as np

from lmzip.coders.compiled import compiled
from lmzip.models.exact.arithmetic import (
    ACTIVATION_MAX,
    EXP2_C1,
    EXP2_C2,
    EXP2_C3,
    EXP2_C4,
    EXP2_LAST,
    LOG2_E,
    NORM_MAX,
    OUTPUT_ONE,
    SMALLEST,
)
from lmzip.models.exact.cpu.panels import LANES

f32, f64, i8, i16, i32, i64, u32 = np.float32, np.float64, np.int8, np.int16, np.int32, np.int64, np.uint32
_fast = {"nnan", "nsz"}
kernel = compiled(fastmath=_fast)
inline = compiled(fastmath=_fast, inline="always")

ZERO, ONE = f32(0), f32(1)
MINUS_INFINITY = f32(-np.inf)
QUANT = f32(ACTIVATION_MAX)
NORM = f32(NORM_MAX)
UNIT = ONE / OUTPUT_ONE


@inline
def exp_integer(x, one):
    """Return the integer nearest under one * exp(-x) for x >= 0, x float32; one: a power of two."""
    t = min(x * LOG2_E, EXP2_LAST)
    whole = np.floor(t)
    f = t - whole
    p = EXP2_C4 * f
    p = p + EXP2_C3
    p = p * f
    p = p + EXP2_C2
    p = p * f
    p = p + EXP2_C1
    p = p * f
    p = p + ONE
    return i32(p * one) >> i32(whole)


@inline
def exponential(x):
    """Return exp(-x) for x >= 0, x float32, in steps of 2**-24."""
    return f32(exp_integer(x, OUTPUT_ONE)) * UNIT


@kernel
def largest_of(x):
    """Return the largest |x_i|, order-free; 0 where it is so tiny that its reciprocal may overflow."""
    m = ZERO
    for i in range(len(x)):
        m = max(m, abs(x[i]))
    return m if m > SMALLEST else ZERO


@kernel
def root_mean_square(x, eps):
    """Return sqrt(mean(x**2) + eps) in float64, from squares added up as integers."""
    m = largest_of(x)
    if m == ZERO:
        return np.sqrt(f64(eps))
    k = NORM / m
    total = i64(0)
    for i in range(len(x)):
        t = i32(np.rint(x[i] * k))
        total += i64(i32(t * t))
    unit = f64(m) / f64(NORM_MAX)
    mean = f64(total) / f64(len(x))
    mean = mean * unit
    mean = mean * unit
    return np.sqrt(mean + f64(eps))


@kernel
def quantise(x, most, q):
    """Round x to q, integers with the largest at `most` float32; return the scale, float32."""
    m = largest_of(x)
    k = most / m if m > ZERO else ZERO
    for i in range(len(x)):
        q[i] = i32(np.rint(x[i] * k))
    return m / most


@kernel
def centre(x, eps, h):
    """Write (x - mean) / sqrt(variance + eps) to h float32; mean and variance from sums of integers."""
    m, n = largest_of(x), i64(len(x))
    k = NORM / m if m > ZERO else ZERO
    total, squares = i64(0), i64(0)
    for i in range(len(x)):
        t = i32(np.rint(x[i] * k))
        total += i64(t)
        squares += i64(i32(t * t))
    unit = f64(m) / f64(NORM_MAX)
    mean = f32(f64(total) / f64(n) * unit)
    variance = f64(n * squares - total * total) / f64(n * n)
    variance = variance * unit
    variance = variance * unit
    inverse = f32(f64(1) / np.sqrt(variance + f64(eps)))
    for i in range(len(x)):
        h[i] = (x[i] - mean) * inverse


@kernel
def layer_norm(x, norm, h):
    """Write the layer norm of a row x to h float32. norm: a Norm with a bias."""
    gain, bias, eps = norm.gain, norm.bias, norm.eps
    centre(x, eps, h)
    for i in range(len(h)):
        h[i] = h[i] * gain[i] + bias[i]


@kernel
def norm_quantise(x, norm, most, q, scale):
    """Normalise the rows of x (rows, hidden), into q, integers up to `most`, and scale.

    norm: a Norm. Without a bias the rows are divided by their root mean square.
    """
    gain, bias, eps = norm.gain, norm.bias, norm.eps
    h = np.empty(x.shape[1], f32)
    for r in range(x.shape[0]):
        if len(bias):
            layer_norm(x[r], norm, h)
            scale[r] = quantise(h, most, q[r])
        else:
            for i in range(len(h)):
                h[i] = x[r, i] * gain[i]
            scale[r] = f32(f64(quantise(h, most, q[r])) / root_mean_square(x[r], eps))


@inline
def values_of(y, scale, projection, f):
    """Write the floats that a row y of a product with a projection stands for to f (outputs,) float32."""
    for i in range(len(f)):
        f[i] = f32(y[i]) * (scale * projection.scale[i])
    for i in range(len(projection.bias)):
        f[i] = f[i] + projection.bias[i]


@kernel
def add_product(x, y, scale, projection, first, end):
    """Add some columns of a product y (rows, at least hidden) with a projection to the residual x (rows, hidden)."""
    bias = projection.bias
    for r in range(x.shape[0]):
        for i in range(first, min(end, x.shape[1])):
            value = f32(y[r, i]) * (scale[r] * projection.scale[i])
            if len(bias):
                value = value + bias[i]
            x[r, i] = x[r, i] + value


@inline
def left_factor(rows, panels):
    """Return zeros for the left factor of a product with panels: (rows, depth) int16."""
    depth = 4 * (panels.shape[1] - 1) if panels.shape[2] == 4 * LANES else 2 * panels.shape[1]
    return np.zeros((rows, depth), i16)


@inline
def space_for(rows, panels):
    """Return space for a product with panels: (rows, columns) int32."""
    return np.empty((rows, LANES * panels.shape[0]), i32)
