# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# mypy: disable-error-code="arg-type, assignment, call-arg, operator"
"""The contexts of a sample: what its adaptive counters are told apart by, and which weights the mixer takes.

In natural mode they say how smooth and how noisy the surroundings are. In direct mode, for drawings and screenshots,
they are the exact colours around. The names of neighbours are points of the compass: W is the sample on the left, N the
one above, NW above left, and so on.
"""

from __future__ import annotations

from lmzip.models.image.predictions import log_level
from lmzip.models.image.state import (
    BY_DIFFERENCES,
    BY_LEVEL,
    BY_PARITY,
    BY_RESIDUALS,
    COUNTERS,
    PAD,
    REFINED,
    ROWS,
)
from lmzip.models.mixing.jit import combine, i64, inline, once, u32

_NATURAL, _DIRECT = 0, 200  # what the hashes of a mode's contexts begin with


@inline
def coarse(tables, v):
    """Return a signed number of steps, -10 .. 10, that grow with the difference."""
    size = min(log_level(tables, min(4 * abs(v), 4095)) // 4 + (1 if v else 0), 10)
    return size if v >= 0 else -size


@once
def set_natural_contexts(model, y, x, c, level, centre):
    """Hash the contexts of a sample's counters, and choose the mixer's weights; level: see `predict_sample`."""
    history, sample, tables = model.history, model.sample, model.tables
    here, north = history.samples[y % ROWS], history.samples[(y - 1) % ROWS]
    at = PAD + x
    w, n, nw, ne = i64(here[c, at - 1]), i64(north[c, at]), i64(north[c, at - 1]), i64(north[c, at + 1])
    ww = i64(here[c, at - 2])
    from_w, from_n = coarse(tables, w - centre), coarse(tables, n - centre)
    from_ne, from_nw = coarse(tables, ne - centre), coarse(tables, nw - centre)
    # Residuals: on the left, above, and of the two channels coded before.
    recent, before = history.residuals[y & 1], history.residuals[(y - 1) & 1]
    rw, rn = coarse(tables, i64(recent[c, at - 1])), coarse(tables, i64(before[c, at]))
    rnw, rne = coarse(tables, i64(before[c, at - 1])), coarse(tables, i64(before[c, at + 1]))
    r1 = coarse(tables, i64(recent[c - 1, at])) if c > 0 else i64(0)
    r2 = coarse(tables, i64(recent[c - 2, at])) if c > 1 else i64(0)
    p, h = sample.predictions, sample.contexts
    p0, p1, p2 = i64(p[0]), i64(p[1]), i64(p[2])  # of the least squares
    fraction = i64(p[REFINED]) & 15
    parity = (y & 1) * 2 + (x & 1)
    known = left = above = u32(0)  # what is known of this pixel; the whole pixels on the left and above
    for i in range(c):
        known = combine(known, here[i, at])
    for i in range(history.samples.shape[1]):
        left = combine(left, here[i, at - 1])
        above = combine(above, north[i, at])
    h[0] = combine(level, fraction >> 2)  # noise, and where between two values the prediction is
    h[1] = combine(combine(rw, rn), level >> 2)  # residuals beside and above
    h[2] = combine(combine(from_w, from_n), level >> 3)  # W and N around the prediction
    h[3] = combine(combine(r1, r2), level >> 2)  # residuals of other channels
    h[4] = combine(sample.signs, level >> 2)  # which neighbours are above the prediction
    h[5] = combine(fraction, level >> 2)
    h[6] = combine(centre, level >> 3)  # the value itself
    h[7] = combine(combine(from_w, from_n), combine(from_ne, from_nw))  # four neighbours around the prediction
    h[8] = combine(combine(coarse(tables, (p0 - p1) >> 2), coarse(tables, (p0 - p2) >> 2)), level >> 3)  # who disagrees
    h[9] = combine(combine(w - centre, n - centre), level >> 3)  # W and N exactly
    if c > 0:  # how the channel before changed
        h[10] = combine(combine(i64(here[c - 1, at]) - here[c - 1, at - 1], w - centre), r1)
    else:  # the slopes
        h[10] = combine(combine(w - nw, ne - n), w - centre)
    h[11] = combine(combine(combine(parity, r1), rw), level >> 3)  # parity of row and column
    h[12] = combine(combine(known, centre), level >> 3)  # this pixel's other channels
    h[13] = combine(combine(known, left), centre)  # and the pixel on the left
    h[14] = combine(combine(w, n), centre)  # exact values
    h[15] = combine(combine(combine(ww - w, nw - w), ne - n), combine(w - centre, n - centre))  # exact slopes
    h[16] = combine(combine(known, w), centre)
    h[17] = combine(combine(known, above), centre)  # and the pixel above
    h[18] = combine(combine(rw, rn), combine(rnw, rne))  # four residuals
    h[19] = combine(combine((p0 >> 1) - 8 * centre, (p1 >> 1) - 8 * centre), level >> 3)  # two predictions, in eighths
    for i in range(COUNTERS):
        h[i] = combine(combine(h[i], c), _NATURAL + i)
    channel, rows = min(c, 7), sample.weight_rows
    sample.channel = c
    rows[BY_LEVEL] = channel * 64 + min(level, 63)
    rows[BY_RESIDUALS] = channel * 512 + (r1 + 10) * 21 + rw + 10
    rows[BY_PARITY] = channel * 64 + parity * 16 + min(level >> 2, 15)
    rows[BY_DIFFERENCES] = channel * 512 + (from_w + 10) * 21 + from_n + 10


@once
def set_direct_contexts(model, y, x, c, level, centre):
    """Hash the contexts of a sample that is coded bit by bit, and choose the mixer's weights."""
    history, sample = model.history, model.sample
    here, north = history.samples[y % ROWS], history.samples[(y - 1) % ROWS]
    at = PAD + x
    w, n, nw, ww = i64(here[c, at - 1]), i64(north[c, at]), i64(north[c, at - 1]), i64(here[c, at - 2])
    colours, above, above2 = history.colours[y % ROWS], history.colours[(y - 1) % ROWS], history.colours[(y - 2) % ROWS]
    colour_w, colour_ww = colours[at - 1], colours[at - 2]
    colour_n, colour_nw, colour_ne, colour_nn = above[at], above[at - 1], above[at + 1], above2[at]
    known, same_w, same_n = u32(0), i64(1), i64(1)  # this pixel's other channels; are they as those of W, of N?
    for i in range(c):
        known = combine(known, here[i, at])
        same_w &= i64(here[i, at] == here[i, at - 1])
        same_n &= i64(here[i, at] == north[i, at])
    same = 1 + same_w + 2 * same_n
    change = i64(here[c - 1, at]) - i64(here[c - 1, at - 1]) if c > 0 else i64(0)  # of the channel before, from W
    h = sample.contexts
    h[0] = combine(combine(w, n), known)
    h[1] = combine(combine(combine(colour_w, colour_n), combine(colour_nw, colour_ne)), known)
    h[2] = known
    h[3] = combine(colour_w, known)
    h[4] = combine(colour_n, known)
    h[5] = combine(combine(sample.pattern, known), w)  # which pixels around are equal
    h[6] = combine(w + n - nw, same)  # the plane through three neighbours
    h[7] = combine(centre, combine(level >> 2, same))  # the prediction
    h[8] = combine(combine(colour_w, colour_ww), known)
    h[9] = combine(combine(colour_n, colour_ne), known)
    h[10] = combine(combine(w + change, same), n - w)
    h[11] = combine(same, c)
    h[12] = combine(combine(colour_w, colour_n), known)
    h[13] = combine(combine(w, centre), combine(level >> 3, same))
    h[14] = combine(combine(colour_w, colour_nw), known)
    h[15] = combine(combine(sample.pattern, same), n)
    h[16] = combine(colour_ne, known)
    h[17] = combine(combine(colour_w, colour_ne), known)
    h[18] = combine(colour_nn, known)
    h[19] = combine(combine(w, n), combine(nw, ww))
    for i in range(COUNTERS):
        h[i] = combine(combine(h[i], c), _DIRECT + i)
    channel, rows = min(c, 7), sample.weight_rows
    sample.channel = c
    rows[BY_LEVEL] = channel * 64 + min(level, 63)
    rows[BY_RESIDUALS] = 2560 + channel * 64 + same * 16 + min(sample.match_length, 3)
    rows[BY_PARITY] = channel * 64 + same * 16 + min(level >> 2, 15)
    rows[BY_DIFFERENCES] = channel * 512 + (sample.pattern >> 5) * 4 + same - 1
