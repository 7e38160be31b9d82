"""Rows in exact arithmetic by plain torch operations, for any device: rounding, norms, activations, frequencies.

The functions stand beside those of `rows.py` and `kernels.py` and give the same integers:

- Every float operation is a torch operation of its own, so that no compiler can contract two.
- Sums run over integers only; a float64 product of integers is exact below 2**53.
- A divisor or a dividend is always a tensor: torch turns `x / 127.0` (on CUDA) and `127.0 / x`
  into products with a reciprocal, which round twice. Other Python numbers here are float32 values.
- Nothing waits for the device but the copy of the result at the end. (`torch.where` would: it
  copies a Python number to the device. `masked_fill` does not.)
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lmzip.models.exact import arithmetic
from lmzip.models.exact.arithmetic import FREQUENCY_TOTAL

LOG2_E, EXP2_LAST = float(arithmetic.LOG2_E), float(arithmetic.EXP2_LAST)
C1, C2 = float(arithmetic.EXP2_C1), float(arithmetic.EXP2_C2)
C3, C4 = float(arithmetic.EXP2_C3), float(arithmetic.EXP2_C4)
OUTPUT_ONE = float(arithmetic.OUTPUT_ONE)
QUANT, NORM = float(arithmetic.ACTIVATION_MAX), float(arithmetic.NORM_MAX)
SMALLEST = float(arithmetic.SMALLEST)
GELU_1, GELU_3 = float(arithmetic.GELU_1), float(arithmetic.GELU_3)


def constant(value: float, like: Tensor) -> Tensor:
    """Return a number as a tensor of the same shape, dtype and device, to divide with."""
    return torch.full_like(like, value)


def ratio(value: float, x: Tensor) -> Tensor:
    """Return value / x, and 0 where x is 0."""
    return (constant(value, x) / x).masked_fill(x == 0, 0.0)


def exp_integer(x: Tensor, one: float) -> Tensor:
    """Return the integers nearest under one * exp(-x) for x >= 0, float32 to int32; one: a power of two."""
    t = torch.clamp(x * LOG2_E, max=EXP2_LAST)
    whole = torch.floor(t)
    f = t - whole
    p = f * C4 + C3
    p = p * f + C2
    p = p * f + C1
    p = p * f + 1.0
    return torch.bitwise_right_shift((p * one).int(), whole.int())


def exponential(x: Tensor) -> Tensor:
    """Return exp(-x) for x >= 0 in steps of 2**-24."""
    return exp_integer(x, OUTPUT_ONE).float() * (1 / OUTPUT_ONE)


def sigmoid(x: Tensor) -> Tensor:
    """Return 1 / (1 + exp(-x))."""
    e = exponential(x.abs())
    return e.masked_fill(x > 0, 1.0) / (e + 1.0)


def largest(x: Tensor) -> Tensor:
    """Return the largest |x_i| of every row (..., 1), 0 where it is tiny."""
    m = x.abs().amax(dim=-1, keepdim=True)
    return m.masked_fill(m <= SMALLEST, 0.0)


def square_root(x: Tensor) -> Tensor:
    """Return the IEEE square root of float64; torch's own on the CPU (MKL) can miss the last bit."""
    return torch.from_numpy(np.sqrt(x.numpy())) if x.device.type == "cpu" else torch.sqrt(x)


def root_mean_square(x: Tensor, eps: float) -> Tensor:
    """Return sqrt(mean(x**2) + eps) of every row (..., 1) in float64, from squares added up as integers."""
    m = largest(x)
    t = torch.round(x * ratio(NORM, m)).long()
    total = (t * t).sum(dim=-1, keepdim=True).double()
    unit = m.double() / constant(NORM, total)
    mean = total / constant(x.shape[-1], total)
    mean = mean * unit
    mean = mean * unit
    return square_root(mean + eps)


def norm_row(f: Tensor, gain: Tensor, eps: float) -> Tensor:
    """Divide every row, such as a head (..., head_dim), by its root mean square, times gain."""
    rms = root_mean_square(f, eps)
    return f * (constant(1.0, rms) / rms).float() * gain


def quantise(x: Tensor, most: float = QUANT) -> tuple[Tensor, Tensor]:
    """Round every row to integers with the largest at `most`; return them and the scales (..., 1).

    They are int8, or int32 where most is more than 127.
    """
    m = largest(x)
    dtype = torch.int8 if most <= QUANT else torch.int32
    return torch.round(x * ratio(most, m)).to(dtype), m / constant(most, m)


def embed(ids: Tensor, table: Tensor, scale: Tensor) -> Tensor:
    """Return the embeddings (..., hidden) of ids (...)."""
    return table[ids].float() * scale[ids][..., None]


def centre(x: Tensor, eps: float) -> Tensor:
    """Return (x - mean) / sqrt(variance + eps) of every row; mean and variance from sums of integers."""
    m, n = largest(x), x.shape[-1]
    t = torch.round(x * ratio(NORM, m)).long()
    total, squares = t.sum(dim=-1, keepdim=True), (t * t).sum(dim=-1, keepdim=True)
    unit = m.double() / constant(NORM, m.double())
    mean = total.double() / constant(n, unit)
    mean = (mean * unit).float()
    variance = (n * squares - total * total).double() / constant(n * n, unit)
    variance = variance * unit
    variance = variance * unit
    deviation = square_root(variance + eps)
    return (x - mean) * (constant(1.0, deviation) / deviation).float()


def layer_norm(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Return the layer norm of every row."""
    return centre(x, eps) * gain + bias


def norm_quantise(
    x: Tensor, gain: Tensor, bias: Tensor | None, eps: float, most: float = QUANT
) -> tuple[Tensor, Tensor]:
    """Normalise the rows of x; integers up to `most` and scales. Without a bias by their root mean square."""
    if bias is not None:
        return quantise(layer_norm(x, gain, bias, eps), most)
    q, scale = quantise(x * gain, most)
    return q, (scale.double() / root_mean_square(x, eps)).float()


def activate(f: Tensor, gelu: bool, gated: bool, most: float = QUANT) -> tuple[Tensor, Tensor]:
    """Apply the activation to f, or to its first half (..., inner), times the second, if gated; integers and scales."""
    g, up = f.chunk(2, dim=-1) if gated else (f, f)
    v = ((g * g) * GELU_3 + GELU_1) * g if gelu else g
    e = exponential(v.abs())
    a = torch.where(v > 0, g, g * e) / (e + 1.0)
    return quantise(a * up if gated else a, most)


def frequencies(z: Tensor) -> Tensor:
    """Turn logits z (..., alphabet) into frequencies >= 1, int32, that add up to FREQUENCY_TOTAL.

    The part that rounding leaves over goes to the first of the most likely symbols.
    """
    alphabet = z.shape[-1]
    room = FREQUENCY_TOTAL - alphabet
    z_largest = z.amax(dim=-1, keepdim=True)
    weights = exp_integer(z_largest - z, OUTPUT_ONE)
    total = weights.sum(dim=-1, keepdim=True).double()  # from int64
    share = constant(room, total) / total
    share = share * (1 - 2.0**-40)
    c = (weights.double() * share).int()
    left = room - c.sum(dim=-1, keepdim=True)
    index = torch.arange(alphabet, device=z.device)
    best = index.masked_fill(z != z_largest, alphabet).amin(dim=-1, keepdim=True)
    return c + 1 + left.int().masked_fill(index != best, 0)
