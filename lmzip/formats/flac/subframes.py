# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""Subframes of FLAC: one channel of a block (RFC 9639 section 9.2), compiled.

A subframe is a constant, verbatim samples, or a few samples from which a predictor starts and its residuals.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmzip.coders.compiled import compiled
from lmzip.formats.flac.bits import fold, get, put, signed, unfold
from lmzip.formats.flac.choices import BAD, COEFFICIENTS, PRECISIONS, TYPES, pull, push
from lmzip.formats.flac.residuals import read_residuals, write_residuals

kernel = compiled()

CONSTANT, VERBATIM, FIXED, LPC = 0, 1, 8, 32  # types; the order is added to FIXED, and the order less 1 to LPC
LARGEST_FIXED, LARGEST_ORDER = 4, 32
LARGEST_PRECISION = 15  # bits of a coefficient

# By order: the weights of the samples before, those of the nearest first.
FIXED_WEIGHTS = np.zeros((LARGEST_FIXED + 1, LARGEST_ORDER), np.int64)
for _order, _weights in enumerate(((), (1,), (2, -1), (3, -3, 1), (4, -6, 4, -1))):
    FIXED_WEIGHTS[_order, :_order] = _weights


class Channel(NamedTuple):
    """One channel of a block.

    Attributes:
        values: int64, (samples,), the samples, or their sums or differences with another channel.
        residuals: int64, (samples,), for the use of subframes.
        weights: int64, (LARGEST_ORDER,), for the use of subframes.
    """

    values: NDArray[np.int64]
    residuals: NDArray[np.int64]
    weights: NDArray[np.int64]


@kernel
def _order_of(type_):
    """Return the order of the predictor of a subframe with one."""
    return type_ - LPC + 1 if type_ >= LPC else type_ - FIXED


@kernel
def _stated(type_, size):
    """Return how many samples stand in a subframe as they are; more than `size` for a type that does not exist."""
    if type_ == CONSTANT:
        return np.int64(1)
    if type_ == VERBATIM:
        return np.int64(size)
    if type_ >= LPC or FIXED <= type_ <= FIXED + LARGEST_FIXED:
        return np.int64(_order_of(type_))
    return np.int64(size + 1)


@kernel
def read_subframe(data, at, limit, depth, channel, choices):
    """Read a subframe into channel.values and push its choices. Twin: write_subframe.

    Args:
        data: uint8, the frames and some zeros.
        at: the first bit.
        limit: the bits of the data.
        depth: bits a sample.
        channel: Channel.
        choices: Choices; BAD is set where this is no subframe.

    Returns:
        The bit behind the subframe.
    """
    values, residuals, weights, counts = channel.values, channel.residuals, channel.weights, choices.counts
    type_, wasted = get(data, at + 1, 6), np.int64(0)
    counts[BAD] |= get(data, at, 1)
    at += 8
    if get(data, at - 1, 1):
        wasted = np.int64(1)
        while get(data, at, 1) == 0 and wasted < depth:
            wasted += 1
            at += 1
        at += 1
    push(choices, TYPES, wasted << 6 | type_)
    bits, size = depth - wasted, values.size
    order, stated = _order_of(type_), _stated(type_, size)
    if bits < 1 or stated > size or at + stated * bits > limit:
        counts[BAD] = 1
        return at
    for i in range(stated):
        values[i] = signed(get(data, at, bits) if bits <= 32 else get(data, at, 1) << 32 | get(data, at + 1, 32), bits)
        at += bits
    if type_ == CONSTANT:
        for i in range(1, size):
            values[i] = values[0]
    shift = np.int64(0)
    if type_ >= FIXED:
        if type_ >= LPC:
            precision, shift = get(data, at, 4) + 1, signed(get(data, at + 4, 5), 5)
            at += 9
            push(choices, PRECISIONS, precision << 5 | shift)
            if precision > LARGEST_PRECISION or shift < 0:
                counts[BAD] = 1
                return at
            for i in range(order):
                weights[i] = signed(get(data, at, precision), precision)
                at += precision
                push(choices, COEFFICIENTS, fold(weights[i]))
        else:
            for i in range(order):
                weights[i] = FIXED_WEIGHTS[order, i]
        at = read_residuals(data, at, limit, order, residuals, choices)
        if counts[BAD]:
            return at
        most = np.int64(1) << bits - 1
        for i in range(order, size):
            total = np.int64(0)
            for k in range(order):
                total += weights[k] * values[i - 1 - k]
            values[i] = residuals[i] + (total >> shift)
            if not -most <= values[i] < most:
                counts[BAD] = 1
                return at
    for i in range(size):
        values[i] <<= wasted
    return at


@kernel
def write_subframe(out, at, depth, channel, choices):
    """Pull the choices of a subframe and write it; returns the bit behind it. channel.values is overwritten.

    BAD is set where the choices do not fit. Twin: read_subframe.
    """
    values, residuals, weights, counts = channel.values, channel.residuals, channel.weights, choices.counts
    how = pull(choices, TYPES, np.int64(1 << 12))
    type_, wasted = how & 63, how >> 6
    at = put(out, at, type_ << 1 | (wasted > 0), 8, counts)
    if wasted:
        at = put(out, at, np.int64(1), wasted, counts)
    bits, size = depth - wasted, values.size
    order, stated = _order_of(type_), _stated(type_, size)
    if bits < 1 or stated > size:
        counts[BAD] = 1
        return at
    for i in range(size):
        values[i] >>= wasted
    for i in range(stated):
        at = put(out, at, values[i] & ((1 << bits) - 1), bits, counts)
    if type_ < FIXED:
        return at
    shift = np.int64(0)
    if type_ >= LPC:
        how = pull(choices, PRECISIONS, 511)
        precision, shift = how >> 5, how & 31
        if not 1 <= precision <= LARGEST_PRECISION or shift > 15:
            counts[BAD] = 1
            return at
        at = put(out, at, (precision - 1) << 5 | shift, 9, counts)
        for i in range(order):
            weights[i] = unfold(pull(choices, COEFFICIENTS, (1 << precision) - 1))
            at = put(out, at, weights[i] & ((1 << precision) - 1), precision, counts)
    else:
        for i in range(order):
            weights[i] = FIXED_WEIGHTS[order, i]
    for i in range(order, size):
        total = np.int64(0)
        for k in range(order):
            total += weights[k] * values[i - 1 - k]
        residuals[i] = values[i] - (total >> shift)
    return write_residuals(out, at, order, residuals, choices)
