# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""Residuals of FLAC's subframes: what a predictor leaves of samples, in Rice's code (RFC 9639 section 9.2.7), compiled.

The residuals of a subframe lie in partitions, each with a parameter of its own. Encoders mostly choose the parameter
that fits the mean, so that the column of parameters has what the chosen one is above that.
"""

from __future__ import annotations

import numpy as np

from lmzip.coders.compiled import compiled
from lmzip.formats.flac.bits import fold, get, put, signed, unfold
from lmzip.formats.flac.choices import BAD, PARAMETERS, PARTITIONS, pull, push

kernel = compiled()

RAW = 0  # in the column of parameters: residuals without Rice's code; the bits of each are the next number


@kernel
def expected_parameter(residuals, start, end):
    """Return the parameter of Rice's code that fits the mean of residuals[start:end]."""
    total = 0
    for i in range(start, end):
        total += fold(residuals[i])
    parameter = 0
    while (end - start) << parameter + 1 < total and parameter < 30:
        parameter += 1
    return parameter


@kernel
def read_residuals(data, at, limit, order, residuals, choices):
    """Read the residuals of a subframe and push its choices. Twin: write_residuals.

    Args:
        data: uint8, the frames and some zeros.
        at: the first bit.
        limit: the bits of the data.
        order: samples that the predictor starts from, which have no residuals.
        residuals: int64, (samples,), gets the residuals from `order` on.
        choices: Choices; BAD is set where these are no residuals.

    Returns:
        The bit behind the residuals.
    """
    counts = choices.counts
    method, partition_order = get(data, at, 2), get(data, at + 2, 4)
    at += 6
    push(choices, PARTITIONS, partition_order << 1 | method)
    each = residuals.size >> partition_order
    if method > 1 or each << partition_order != residuals.size or each < order:
        counts[BAD] = 1
        return at
    bits = 5 if method else 4
    for partition in range(1 << partition_order):
        start, end = max(order, partition * each), (partition + 1) * each
        parameter = get(data, at, bits)
        at += bits
        if parameter == (1 << bits) - 1:
            raw = get(data, at, 5)
            at += 5
            if at + raw * (end - start) > limit:
                counts[BAD] = 1
                return at
            for i in range(start, end):
                residuals[i] = signed(get(data, at, raw), raw) if raw else 0
                at += raw
            push(choices, PARAMETERS, np.int64(RAW))
            push(choices, PARAMETERS, raw)
            continue
        for i in range(start, end):
            high = 0
            while get(data, at, 1) == 0:
                high += 1
                at += 1
                if at >= limit:
                    counts[BAD] = 1
                    return at
            residuals[i] = unfold(high << parameter | get(data, at + 1, parameter))
            at += 1 + parameter
        if at > limit:
            counts[BAD] = 1
            return at
        push(choices, PARAMETERS, 1 + fold(parameter - expected_parameter(residuals, start, end)))
    return at


@kernel
def write_residuals(out, at, order, residuals, choices):
    """Pull the choices of a subframe and write its residuals from `order` on; returns the bit behind them.

    BAD is set where the choices do not fit. Twin: read_residuals.
    """
    counts = choices.counts
    how = pull(choices, PARTITIONS, 31)
    method, partition_order = how & 1, how >> 1
    each = residuals.size >> partition_order
    if each << partition_order != residuals.size or each < order:
        counts[BAD] = 1
        return at
    at = put(out, at, method << 4 | partition_order, 6, counts)
    bits = 5 if method else 4
    for partition in range(1 << partition_order):
        if counts[BAD]:
            return at
        start, end = max(order, partition * each), (partition + 1) * each
        above = pull(choices, PARAMETERS, 128)
        if above == RAW:
            raw = pull(choices, PARAMETERS, 31)
            at = put(out, at, ((1 << bits) - 1) << 5 | raw, bits + 5, counts)
            for i in range(start, end):
                if residuals[i] != (signed(residuals[i] & ((1 << raw) - 1), raw) if raw else 0):
                    counts[BAD] = 1
                at = put(out, at, residuals[i] & ((1 << raw) - 1), raw, counts)
            continue
        parameter = expected_parameter(residuals, start, end) + unfold(above - 1)
        if not 0 <= parameter < (1 << bits) - 1:
            counts[BAD] = 1
            return at
        at = put(out, at, parameter, bits, counts)
        for i in range(start, end):
            folded = fold(residuals[i])
            at += folded >> parameter  # zeros
            at = put(out, at, 1 << parameter | (folded & ((1 << parameter) - 1)), parameter + 1, counts)
    return at
