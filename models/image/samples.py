# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# mypy: disable-error-code="arg-type, assignment, call-arg, operator"
"""Rows of samples: each is predicted from its neighbours, spelled, and learnt."""

from __future__ import annotations

from lmzip.models.image.binarise import spell, spell_directly
from lmzip.models.image.decisions import (
    BIAS_PLACE,
    BLOCK_WIDTH,
    CHANNEL,
    PLACE_A,
    PLACE_B,
    PLACE_C,
    PLACE_D,
    RATE,
    SIGNS,
)
from lmzip.models.image.least_squares import close, copy, gather, learn, predict, solve
from lmzip.models.image.network import network_inputs, refine
from lmzip.models.image.repeats import code_repeat, learn_repeat, set_direct_contexts
from lmzip.models.image.state import COUNTERS, EXPERTS, LAST, MEAN, PAD, PREDICTIONS, ROWS, SQUARES
from lmzip.models.image.tables import STEPS
from lmzip.models.mixing.jit import combine, i32, i64, inline, kernel, once, u32

NATURAL, DIRECT = 0, 1  # modes
RATE_LAST, RATE_FIRST, RATE_FALL = 70, 300, 8192
SPREAD = 256.0 * 1.386 * STEPS  # of a logistic distribution: its mean error is 2 ln 2 of its scale


@inline
def log_level(fixed, v):
    """Return about 4 log2(1 + v / 4)."""
    return i64(fixed.logs[v]) if v < 4096 else i64(fixed.logs[min(v >> 8, 4095)]) + 32


@inline
def coarse(fixed, v):
    """Return a signed number of steps, -10 .. 10, that grow with the difference."""
    size = min(i64(fixed.logs[min(4 * abs(v), 4095)]) // 4 + (1 if v else 0), 10)
    return size if v >= 0 else -size


@inline
def middle_of(a, b, c):
    """Return the median of three."""
    return max(min(a, b), min(max(a, b), c))


@once
def guess(plane, learnt, networks, cursor, fixed, y, x, c, phase):
    """Write the predictions of a sample; return the level of the last one's errors nearby."""
    here, north, north2 = plane.rows[y % ROWS], plane.rows[(y - 1) % ROWS], plane.rows[(y - 2) % ROWS]
    at = PAD + x
    w, n, nw, ne = i64(here[c, at - 1]), i64(north[c, at]), i64(north[c, at - 1]), i64(north[c, at + 1])
    ww, nn = i64(here[c, at - 2]), i64(north2[c, at])
    p = cursor.predictions
    for s in range(SQUARES):
        count = plane.counts[c, s]
        inputs = cursor.inputs[s]
        for i in range(count):
            channel, up, right = plane.places[c, s, i, 0], plane.places[c, s, i, 1], plane.places[c, s, i, 2]
            inputs[i] = plane.rows[(y - up) % ROWS, channel, at + right] - here[channel, at - 1]
        which = phase if s == 0 else 0
        value = (w << 4) + predict(inputs, learnt.weights[c, s, which], count)
        p[s] = min(max(value, -(1 << 20)), 1 << 21)
    p[3] = 16 * middle_of(w, n, w + n - nw)
    p[5] = 8 * (w + n) + 4 * (ne - nw)
    if c > 0:
        b, a = c - 1, 0
        r, rw, rn, rnw = i64(here[b, at]), i64(here[b, at - 1]), i64(north[b, at]), i64(north[b, at - 1])
        p[4] = 16 * r + 8 * (w - rw + n - rn)
        r, rw, rn, rnw = i64(here[a, at]), i64(here[a, at - 1]), i64(north[a, at]), i64(north[a, at - 1])
        p[6] = 16 * (r + middle_of(w - rw, n - rn, w - rw + n - rn - nw + rnw))
    else:
        p[4] = 16 * (w + ne - n)
        p[6] = 8 * (2 * w - ww + 2 * n - nn)
    # Their mean, weighted by their errors nearby.
    recent, before = plane.errors[y & 1, c], plane.errors[(y - 1) & 1, c]
    total, mass = i64(0), i64(0)
    for k in range(MEAN):
        e = min(_nearby(recent[k], before[k], at), 1 << 20)
        weight = (i64(1) << 44) // (e * e * e // 64 + 256) + 1
        total += weight * p[k]
        mass += weight
    mean = total // mass
    error = _nearby(recent[MEAN], before[MEAN], at)
    level = min(log_level(fixed, error >> 3), 79)
    signs = i64(0)
    mean_value = mean >> 4
    for v in (w, n, nw, ne, ww, nn):
        signs = signs * 2 + (v > mean_value)
    cursor.facts[SIGNS] = signs
    cursor.facts[BIAS_PLACE] = signs * 16 + min(level >> 2, 15)
    bias = learnt.bias[c, cursor.facts[BIAS_PLACE]]
    mean += i64(bias[0]) // (i64(bias[1]) + 8)
    p[MEAN] = p[LAST] = mean
    if len(networks.counts):
        network_inputs(plane, networks, cursor, y, x, c, error, level)
        refine(networks, cursor, c)
        level = min(log_level(fixed, _nearby(recent[LAST], before[LAST], at) >> 3), 79)
    return level


@inline
def _nearby(recent, before, at):
    """Return 8 times the mean size of errors nearby."""
    return (
        2 * i64(recent[at - 1]) + 2 * i64(before[at]) + i64(before[at - 1]) + i64(before[at + 1])
        + i64(recent[at - 2]) + i64(before[at + 2])
    )  # fmt: skip


@once
def place_experts(plane, learnt, cursor, fixed, y, x, c):
    """Set the experts' distributions."""
    recent, before = plane.errors[y & 1, c], plane.errors[(y - 1) & 1, c]
    at = PAD + x
    for e in range(EXPERTS):
        k = LAST if e < 3 else e - 3 if e < EXPERTS - 1 else MEAN
        level = min(log_level(fixed, _nearby(recent[k], before[k], at) >> 3), 79)
        scale = float(learnt.scales[c, k, level] + 24)
        spread = SPREAD * 0.5 if e == 1 else SPREAD * 2.0 if e == 0 else SPREAD
        cursor.centre[e] = cursor.predictions[k]
        cursor.inverse[e] = spread / scale


@once
def set_contexts(plane, cursor, fixed, y, x, c, level, centre):
    """Hash the contexts of a sample's counters, and choose the mixer's weights."""
    here, north = plane.rows[y % ROWS], plane.rows[(y - 1) % ROWS]
    at = PAD + x
    w, n, nw, ne = i64(here[c, at - 1]), i64(north[c, at]), i64(north[c, at - 1]), i64(north[c, at + 1])
    recent, before = plane.residuals[y & 1], plane.residuals[(y - 1) & 1]
    rw, rn = coarse(fixed, i64(recent[c, at - 1])), coarse(fixed, i64(before[c, at]))
    r1 = coarse(fixed, i64(recent[c - 1, at])) if c > 0 else i64(0)
    r2 = coarse(fixed, i64(recent[c - 2, at])) if c > 1 else i64(0)
    p, h = cursor.predictions, cursor.contexts
    fraction = i64(p[LAST]) & 15
    phase = (y & 1) * 2 + (x & 1)
    h[0] = combine(level, fraction >> 2)
    h[1] = combine(combine(rw, rn), level >> 2)
    h[2] = combine(combine(coarse(fixed, w - centre), coarse(fixed, n - centre)), level >> 3)
    h[3] = combine(combine(r1, r2), level >> 2)
    h[4] = combine(cursor.facts[SIGNS], level >> 2)
    h[5] = combine(fraction, level >> 2)
    h[6] = combine(centre, level >> 3)
    h[7] = combine(
        combine(coarse(fixed, w - centre), coarse(fixed, n - centre)),
        combine(coarse(fixed, ne - centre), coarse(fixed, nw - centre)),
    )
    h[8] = combine(combine(coarse(fixed, (i64(p[0]) - p[1]) >> 2), coarse(fixed, (i64(p[0]) - p[2]) >> 2)), level >> 3)
    h[9] = combine(combine(w - centre, n - centre), level >> 3)
    if c > 0:
        h[10] = combine(combine(i64(here[c - 1, at]) - here[c - 1, at - 1], w - centre), r1)
    else:
        h[10] = combine(combine(w - nw, ne - n), w - centre)
    h[11] = combine(combine(combine(phase, r1), rw), level >> 3)
    known = colour = u32(0)
    for i in range(c):
        known = combine(known, here[i, at])
    for i in range(plane.rows.shape[1]):
        colour = combine(colour, here[i, at - 1])
    h[12] = combine(combine(known, centre), level >> 3)
    h[13] = combine(combine(known, colour), centre)
    h[14] = combine(combine(w, n), centre)
    h[15] = combine(combine(combine(i64(here[c, at - 2]) - w, nw - w), ne - n), combine(w - centre, n - centre))
    h[16] = combine(combine(known, w), centre)
    colour = u32(0)
    for i in range(plane.rows.shape[1]):
        colour = combine(colour, north[i, at])
    h[17] = combine(combine(known, colour), centre)
    h[18] = combine(
        combine(rw, rn), combine(coarse(fixed, i64(before[c, at - 1])), coarse(fixed, i64(before[c, at + 1])))
    )
    h[19] = combine(combine((i64(p[0]) >> 1) - 8 * centre, (i64(p[1]) >> 1) - 8 * centre), level >> 3)
    for i in range(COUNTERS):
        h[i] = combine(combine(h[i], c), i)
    facts = cursor.facts
    channel = min(c, 7)
    facts[CHANNEL] = c
    facts[PLACE_A] = channel * 64 + min(level, 63)
    facts[PLACE_B] = channel * 512 + (r1 + 10) * 21 + rw + 10
    facts[PLACE_C] = channel * 64 + phase * 16 + min(level >> 2, 15)
    facts[PLACE_D] = channel * 512 + (coarse(fixed, w - centre) + 10) * 21 + coarse(fixed, n - centre) + 10


@once
def remember(plane, learnt, cursor, fixed, y, x, c, phase, value, keeps, every):
    """Learn a sample."""
    here = plane.rows[y % ROWS]
    at = PAD + x
    here[c, at] = value
    recent, before = plane.errors[y & 1, c], plane.errors[(y - 1) & 1, c]
    for k in range(PREDICTIONS):
        size = min(abs(16 * value - i64(cursor.predictions[k])), 1 << 20)
        place = min(log_level(fixed, _nearby(recent[k], before[k], at) >> 3), 79)
        learnt.scales[c, k, place] += ((size << 8) - learnt.scales[c, k, place]) >> 5
    for k in range(PREDICTIONS):
        recent[k, at] = min(abs(16 * value - i64(cursor.predictions[k])), 1 << 20)
    error = 16 * value - i64(cursor.predictions[LAST])
    plane.residuals[y & 1, c, at] = (error + 8) >> 4
    bias = learnt.bias[c, cursor.facts[BIAS_PLACE]]
    bias[0] += i32(16 * value - i64(cursor.predictions[MEAN]))
    bias[1] += 1
    if bias[1] >= 64:
        bias[0] //= 2
        bias[1] //= 2
    target = value - i64(here[c, at - 1])
    b = x // cursor.facts[BLOCK_WIDTH] + 1
    for s in range(SQUARES):
        count = plane.counts[c, s]
        which = phase if s == 0 else 0
        sums = learnt.covariance[c, which] if s == 0 else learnt.parts[c, s - 1]
        learn(cursor.inputs[s], cursor.values, target, sums, count, keeps[s] if s == 0 else 1.0)
        if (x + y) % every[s] == 0 or (y == 0 and x < 64):
            if s == 0:
                copy(sums, cursor.work, count)
            else:
                gather(sums, learnt.blocks[c, s - 1], b, cursor.work, count)
            solve(cursor.work, learnt.weights[c, s, which], cursor.solution, count)


@once
def close_block(plane, learnt, b, keeps):
    """Let the rows below know what this row brought to a block."""
    for c in range(learnt.parts.shape[0]):
        for s in range(1, SQUARES):
            close(learnt.parts[c, s - 1], learnt.blocks[c, s - 1, b], plane.counts[c, s], keeps[s])


@kernel
def code_row(
    plane, learnt, networks, cursor, fixed, image, y, first, last, top, phases, mode, keeps, every, coding,
):  # fmt: skip
    """Code pixels first .. last - 1 of a row of an image (height, width, channels), which a decoder writes.

    Return 0, or -1 where the code is impossible.
    """
    _, width, channels = image.shape
    if first == 0:
        begin_row(plane, y, width, channels)
    for x in range(first, last):
        done = y * width + x
        cursor.facts[RATE] = RATE_LAST + (RATE_FIRST - RATE_LAST) * RATE_FALL // (RATE_FALL + done)
        phase = ((y & 1) * 2 + (x & 1)) if phases == 4 else 0
        if y == 0:
            extend_up(plane, x, channels)
        repeated = i64(0)
        if mode == DIRECT:
            repeated = code_repeat(plane, learnt, cursor, fixed, image, y, x, coding)
            if repeated < 0:
                return -1
        for c in range(channels):
            value = i64(image[y, x, c])
            if repeated == 0:
                level = guess(plane, learnt, networks, cursor, fixed, y, x, c, phase)
            if repeated == 0:
                value = _code_sample(plane, learnt, cursor, fixed, y, x, c, value, level, top, mode, coding)
                if value < 0:
                    return -1
                image[y, x, c] = value
                remember(plane, learnt, cursor, fixed, y, x, c, phase, value, keeps, every)
            else:
                _repeat_sample(plane, y, x, c, value)
        if mode == DIRECT:
            learn_repeat(plane, learnt, cursor, image, y, x)
        if (x + 1) % cursor.facts[BLOCK_WIDTH] == 0 or x + 1 == width:
            close_block(plane, learnt, x // cursor.facts[BLOCK_WIDTH] + 1, keeps)
    if last == width:
        end_row(plane, y, width, channels)
    return 0


@once
def begin_row(plane, y, width, channels):
    """Fill what lies beside a row."""
    here = plane.rows[y % ROWS]
    for c in range(channels):
        for x in range(PAD):
            here[c, x] = plane.rows[(y - 1) % ROWS, c, PAD] if y else 0
            here[c, PAD + width + x] = 0
    for x in range(PAD):
        plane.colours[y % ROWS, x] = plane.colours[(y - 1) % ROWS, PAD]


@once
def end_row(plane, y, width, channels):
    """Fill what lies behind a row."""
    here, colours = plane.rows[y % ROWS], plane.colours[y % ROWS]
    for x in range(PAD):
        for c in range(channels):
            here[c, PAD + width + x] = here[c, PAD + width - 1]
        colours[PAD + width + x] = colours[PAD + width - 1]


@once
def extend_up(plane, x, channels):
    """Let the rows above the first one be like the pixel on the left."""
    for up in range(1, ROWS):
        for right in range(PAD):
            for c in range(channels):
                plane.rows[-up % ROWS, c, PAD + x + right] = plane.rows[0, c, PAD + x - 1]
            plane.colours[-up % ROWS, PAD + x + right] = plane.colours[0, PAD + x - 1]


@once
def _code_sample(plane, learnt, cursor, fixed, y, x, c, value, level, top, mode, coding):
    """Code a sample that is predicted: return its value, or -1 where the code is impossible."""
    place_experts(plane, learnt, cursor, fixed, y, x, c)
    centre = min(max((i64(cursor.predictions[LAST]) + 8) >> 4, 0), top)
    if mode == DIRECT:
        set_direct_contexts(plane, cursor, y, x, c, level, centre)
        return spell_directly(cursor, learnt, fixed, value, top, coding)
    set_contexts(plane, cursor, fixed, y, x, c, level, centre)
    scale = i64(learnt.scales[c, LAST, level])
    k = i64(0)
    while k < 12 and scale >= 9000 << k:
        k += 1
    return spell(cursor, learnt, fixed, value, centre, k, scale < 6000, top, coding)


@once
def _repeat_sample(plane, y, x, c, value):
    """Remember a sample that a repeat gave."""
    plane.rows[y % ROWS, c, PAD + x] = value
    for k in range(PREDICTIONS):
        plane.errors[y & 1, c, k, PAD + x] = 0
    plane.residuals[y & 1, c, PAD + x] = 0
