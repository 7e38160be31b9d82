# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""Adaptive probability maps (APM, also SSE): what came of such predictions in such a place. After PAQ's APM.

A model refines a prediction by what was learnt of predictions like it. An APM has STEPS support points for each place,
evenly over the logits from -LOGIT_MAX to LOGIT_MAX; between two of them it is interpolated. APMs are flat arrays of
probabilities, of 65536, with one entry more at the end. `steps` holds the support point of each APM, and last the part
(see `step_of`).
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
def interpolated(apms, step, part):
    """Return the probability between a support point and the next."""
    return (i64(apms[step]) * (2 * LOGIT_MAX - part) + i64(apms[step + 1]) * part) // (2 * LOGIT_MAX)


@inline
def learn_apms(apms, steps, bit):
    """Move the nearer support point of every APM towards a bit."""
    nearer = 1 if steps[-1] > LOGIT_MAX else 0
    for k in range(len(steps) - 1):
        at = steps[k] + nearer
        apms[at] += ((bit * 65535) - apms[at]) >> 6


@inline
def note_apms(log, logged, steps, base):
    """Note in a log which entries `learn_apms` moves, each plus `base`; logged[0] counts also what has no room."""
    nearer = 1 if steps[-1] > LOGIT_MAX else 0
    for k in range(len(steps) - 1):
        if logged[0] < len(log):
            log[logged[0]] = base + steps[k] + nearer
        logged[0] += 1
