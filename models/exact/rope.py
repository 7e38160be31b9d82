"""Rotary position embedding: cos and sin of every position, the same on every machine.

They are made with Python's integers, a page of positions at a time; a few pages are kept, so that a window
may have any length.
"""

from __future__ import annotations

import functools
from decimal import Context, Decimal

import numpy as np
from numpy.typing import NDArray

# How the frequencies are scaled: ("linear", factor) or ("llama3", factor, low_freq_factor, high_freq_factor,
# original_max_position_embeddings); empty for not at all.
Scaling = tuple[str | float, ...]
Rope = tuple[NDArray[np.float32], NDArray[np.float32]]  # cos and sin, (positions, head_dim / 2) each
Ropes = tuple[Rope, Rope]  # of usual layers and of local ones
Turn = tuple[int, int]  # cos and sin of an angle, over _ONE

PAGE = 256
_KEPT = 64  # pages
_BITS = 160  # fraction bits of the integers
_ONE = 1 << _BITS
_TWO_PI = Decimal("6.2831853071795864769252867665590057683943387987502")

NO_ROPE: Rope = (np.empty((0, 0), np.float32), np.empty((0, 0), np.float32))


def rope_between(head_dim: int, theta: float, scaling: Scaling, start: int, stop: int) -> Rope:
    """Return cos and sin of position * theta**(-2i / head_dim) for positions start to stop - 1.

    float32 (stop - start, head_dim / 2) each, not to be written to; the frequencies are scaled as `scaling` says.
    """
    first = start // PAGE
    pages = [_page(head_dim, theta, scaling, page) for page in range(first, (stop - 1) // PAGE + 1)]
    cos, sin = pages[0] if len(pages) == 1 else (np.concatenate(parts) for parts in zip(*pages, strict=True))
    here = slice(start - first * PAGE, stop - first * PAGE)
    return cos[here], sin[here]


@functools.lru_cache(_KEPT)
def _page(head_dim: int, theta: float, scaling: Scaling, page: int) -> Rope:
    """Return the tables of the positions from page * PAGE on.

    Exact values for the position in the page and for its beginning are joined by the addition theorem in float64,
    element by element.
    """
    turns, (low_cos, low_sin) = _within_page(head_dim, theta, scaling)
    high_cos, high_sin = _floats([[_power(turn, page)] for turn in turns])
    cos = high_cos * low_cos - high_sin * low_sin
    sin = high_sin * low_cos + high_cos * low_sin
    return cos.astype(np.float32), sin.astype(np.float32)


@functools.cache
def _within_page(head_dim: int, theta: float, scaling: Scaling) -> tuple[list[Turn], list[NDArray[np.float64]]]:
    """Return how far each frequency turns in a page, and cos and sin of the positions of page 0."""
    context = Context(prec=60)  # ln and exp of decimal are correctly rounded on every platform
    log_theta = context.ln(Decimal(theta))
    powers = []
    for i in range(0, head_dim, 2):
        frequency = context.exp(context.divide(context.multiply(log_theta, Decimal(-i)), Decimal(head_dim)))
        frequency = _scaled(frequency, scaling, context)
        turn = _cos_sin(int(context.multiply(frequency, Decimal(_ONE))))
        powers.append([(_ONE, 0)])
        for _ in range(PAGE):
            powers[-1].append(_multiply(powers[-1][-1], turn))
    return [turns[PAGE] for turns in powers], _floats([turns[:PAGE] for turns in powers])


def _floats(turns: list[list[Turn]]) -> list[NDArray[np.float64]]:
    """Return cos and sin of turns[i][position], (positions, frequencies) each."""
    parts = np.array([[[c / _ONE, s / _ONE] for c, s in row] for row in turns])
    return list(parts.transpose(2, 1, 0))


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


def _cos_sin(x: int) -> Turn:
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


def _multiply(a: Turn, b: Turn) -> Turn:
    """Multiply two unit complex numbers: the addition theorem."""
    return (a[0] * b[0] - a[1] * b[1]) >> _BITS, (a[1] * b[0] + a[0] * b[1]) >> _BITS


def _power(turn: Turn, exponent: int) -> Turn:
    power = (_ONE, 0)
    while exponent:
        if exponent & 1:
            power = _multiply(power, turn)
        turn, exponent = _multiply(turn, turn), exponent >> 1
    return power
