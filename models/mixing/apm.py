# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""Adaptive probability maps: what came of a prediction in such a place, interpolated between support points.

A map has STEPS support points for each place, evenly over the logits. Maps are flat arrays of
probabilities of 65536, with one entry more at the end.
"""

from __future__ import annotations

from lmzip.models.mixing.jit import i64, inline
from lmzip.models.mixing.logistic import LOGIT_MAX

STEPS = 33


@inline
def step_of(logit):
    """Return the support point below a logit, and how far the logit is from it to the next.

    The latter is in units of 1 / (2 * LOGIT_MAX).
    """
    scaled = i64(logit + LOGIT_MAX) * (STEPS - 1)
    step = scaled // (2 * LOGIT_MAX)
    return step, scaled - step * (2 * LOGIT_MAX)


@inline
def interpolated(maps, step, part):
    """Return the probability between a support point and the next."""
    return (i64(maps[step]) * (2 * LOGIT_MAX - part) + i64(maps[step + 1]) * part) // (2 * LOGIT_MAX)


@inline
def learn_maps(maps, steps, bit):
    """Move the nearer support point of every map; steps: the support points, then the part."""
    nearer = 1 if steps[-1] > LOGIT_MAX else 0
    for k in range(len(steps) - 1):
        at = steps[k] + nearer
        maps[at] += ((bit * 65535) - maps[at]) >> 6


@inline
def note_maps(log, logged, steps, base):
    """Note in a log which entries learn_maps moves, each plus `base`; logged[0] counts also what has no room."""
    nearer = 1 if steps[-1] > LOGIT_MAX else 0
    for k in range(len(steps) - 1):
        if logged[0] < len(log):
            log[logged[0]] = base + steps[k] + nearer
        logged[0] += 1
