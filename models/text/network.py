# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""The network's say: its frequencies of symbols turned into the probability of a decision."""

from __future__ import annotations

from lmzip.models.mixing.apm import STEPS, interpolated, step_of
from lmzip.models.mixing.jit import i32, i64, inline, u32
from lmzip.models.mixing.logistic import LOGIT_MAX
from lmzip.models.mixing.mixer import squash
from lmzip.models.text.contexts import CONFIDENCE, LIKELIEST, RUNNER_UP
from lmzip.models.text.state import (
    FIRST_REFINED,
    NETWORK_LOGIT,
    NETWORK_MAPS,
    NETWORK_NODES,
    NETWORK_PROBABILITY,
    PIECE,
)

# Sums of the network's frequencies, slots of a decision's mass: of the symbols before the node's range, of those in
# the range, of those in the part of the range that a 0 leads to.
BELOW, HERE, LEFT = 0, 1, 2


@inline
def weigh(decision, frequencies):
    """Sum up the network's frequencies (alphabet,) of the next symbol, piece by piece, and see what it expects."""
    total = i32(0)
    for piece in range(len(decision.sums)):
        decision.sums[piece] = total
        part, largest = frequencies[piece * PIECE : (piece + 1) * PIECE], u32(0)
        for i in range(len(part)):  # from 0, so that it is compiled to vectors
            total = i32(total + i32(part[i]))
            largest = max(largest, part[i])
        decision.peaks[piece] = largest
    decision.mass[BELOW], decision.mass[HERE] = 0, total
    if len(decision.sums):
        likeliest = _likeliest(decision.peaks, frequencies)
        frequency, piece = frequencies[likeliest], likeliest // PIECE
        frequencies[likeliest] = 0  # for now
        decision.peaks[piece] = _largest(frequencies[piece * PIECE : (piece + 1) * PIECE])
        decision.expects[LIKELIEST], decision.expects[RUNNER_UP] = likeliest, _likeliest(decision.peaks, frequencies)
        decision.expects[CONFIDENCE] = min(i64(frequency >> u32(20)), 15)
        frequencies[likeliest] = frequency


@inline
def _largest(values):
    """Return the largest of some frequencies."""
    largest = u32(0)
    for i in range(len(values)):
        largest = max(largest, values[i])
    return largest


@inline
def _likeliest(peaks, frequencies):
    """Return the first of the symbols with the largest frequency; peaks: the largest of every piece."""
    largest, piece = _largest(peaks), i64(0)
    while peaks[piece] != largest:
        piece += 1
    symbol = piece * PIECE
    while frequencies[symbol] != largest:
        symbol += 1
    return symbol


@inline
def split(decision, frequencies, middle):
    """Split the mass of a node's range at a symbol."""
    total = decision.sums[middle // PIECE]
    part = frequencies[middle // PIECE * PIECE : middle]
    for i in range(len(part)):
        total = i32(total + i32(part[i]))
    decision.mass[LEFT] = total - decision.mass[BELOW]


@inline
def follow(mass, bit):
    """Go on with the part of the mass that a bit says."""
    if bit:
        mass[BELOW] += mass[LEFT]
        mass[HERE] -= mass[LEFT]
    else:
        mass[HERE] = mass[LEFT]


@inline
def _ln(table, value):
    """Return ln(value) in units of 1/4096, value >= 1."""
    up, down = 0, 0
    while value >> down >= 2048:
        down += 1
    while value << up < 1024:
        up += 1
    return table[((value << up) >> down) - 1024] + (down - up) * table[1024]


@inline
def network_inputs(decision, tables, partial, depth, last):
    """Write the network's inputs; last: the last byte."""
    left = decision.mass[LEFT]
    logit = (_ln(tables.log, max(decision.mass[HERE] - left, 1)) - _ln(tables.log, max(left, 1))) >> 4
    logit = min(max(i32(logit), i32(-LOGIT_MAX)), i32(LOGIT_MAX))
    inputs, steps = decision.inputs, decision.network_steps
    inputs[NETWORK_LOGIT] = logit
    inputs[NETWORK_PROBABILITY] = (squash(tables.squash, logit) - 32768) >> 5
    step, part = step_of(logit)
    steps[0] = (partial + (256 if depth else 0)) * STEPS + step
    steps[1] = (NETWORK_NODES + last * 256 + partial) * STEPS + step
    steps[NETWORK_MAPS] = part
    for k in range(NETWORK_MAPS):
        refined = interpolated(tables.network_maps, steps[k], part)
        inputs[FIRST_REFINED + k] = tables.stretch[i64(refined) >> 4]
