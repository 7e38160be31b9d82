# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""The contexts of a sample: the mixer's weights and the counters are chosen by how far predictions were off lately."""

from __future__ import annotations

from lmzip.models.audio.state import BY_BESIDE, BY_LAST, BY_LEVEL, BY_RATIO, GRADES, LEVELS
from lmzip.models.mixing.jit import i64, inline, once


@inline
def _level(x):
    """Return twice the binary logarithm of x, cut to an integer 0 .. LEVELS - 1."""
    level = i64(0)
    while x >= 2.0 and level < LEVELS - 2:
        x *= 0.5
        level += 2
    return min(level + 1, LEVELS - 1) if x >= 1.4142135623730951 else level


@inline
def _grade(x):
    """Return the class 0 .. GRADES - 1 of a ratio."""
    if x < 1.0:
        if x < 0.5:
            return i64(0) if x < 0.25 else i64(1)
        return i64(2) if x < 0.75 else i64(3)
    if x < 2.0:
        return i64(4) if x < 1.4 else i64(5)
    return i64(6) if x < 4.0 else i64(7)


@once
def choose_contexts(model, c):
    """Choose the rows of weights and the counters; return the mean absolute error that is expected, in samples."""
    channels, sample, other = model.channels, model.sample, model.setup.partner[c]
    fast, slow = channels.scale[c, 0], channels.scale[c, 1]
    spread = 0.5 * (fast + slow)
    level, ratio = _level(slow * 4.0), _grade(fast / slow)
    last = _grade(channels.recent[c, 0] / spread) * GRADES + _grade(channels.recent[c, 1] / spread)
    beside = _grade(channels.recent[other, 0] / channels.scale[other, 1]) * GRADES + ratio
    rows, places = sample.weight_rows, sample.places
    rows[0], rows[1], rows[2], rows[3] = BY_LEVEL + (level >> 1), BY_RATIO + ratio, BY_LAST + last, BY_BESIDE + beside
    places[0], places[1], places[2] = level * GRADES + ratio, last, beside
    return spread
