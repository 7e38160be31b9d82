# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# mypy: disable-error-code="arg-type, assignment, call-arg, operator"
"""What a sample is expected to be, and what is learnt when it is known.

Least squares and simple predictors look at the neighbours (`predict_sample`); their mean, weighted by how far each was
off nearby, is refined by the network. Each prediction, with the errors that it had in places like this one, makes a
logistic distribution (`place_experts`).
"""

from __future__ import annotations

from lmzip.models.image.least_squares import add_row_sums, gather_blocks, predict, solve_rounded
from lmzip.models.image.network import network_inputs, refine
from lmzip.models.image.state import (
    ACROSS,
    AVERAGE,
    EXPERTS,
    LEVELS,
    MEAN,
    MEDIAN,
    MEDIAN_ACROSS,
    PAD,
    PREDICTIONS,
    REFINED,
    ROWS,
    SOLVED,
)
from lmzip.models.image.tables import STEPS
from lmzip.models.mixing.jit import i32, i64, inline, once
from lmzip.models.mixing.least_squares import accumulate, copy_sums

SPREAD = 256.0 * 1.386 * STEPS  # of a logistic distribution: its mean error is 2 ln 2 of its scale
ERROR_MAX = 1 << 20


@inline
def log_level(tables, v):
    """Return about 4 log2(1 + v / 4)."""
    return i64(tables.logs[v]) if v < 4096 else i64(tables.logs[min(v >> 8, 4095)]) + 32


@inline
def median_of(a, b, c):
    """Return the median of three."""
    return max(min(a, b), min(max(a, b), c))


@inline
def _nearby(recent, before, at):
    """Return 8 times the mean size of errors nearby; recent: those of this row, before: of the row above."""
    return (
        2 * i64(recent[at - 1]) + 2 * i64(before[at]) + i64(before[at - 1]) + i64(before[at + 1])
        + i64(recent[at - 2]) + i64(before[at + 2])
    )  # fmt: skip


@inline
def _level(tables, recent, before, at):
    """Return the level of errors nearby, 0 .. LEVELS - 1."""
    return min(log_level(tables, _nearby(recent, before, at) >> 3), LEVELS - 1)


@once
def predict_sample(model, y, x, c, phase):
    """Write the predictions of a sample; return the level of the last one's errors nearby."""
    history, sample, tables = model.history, model.sample, model.tables
    rows = history.samples
    here, north, north2 = rows[y % ROWS], rows[(y - 1) % ROWS], rows[(y - 2) % ROWS]
    at = PAD + x
    w, n, nw, ne = i64(here[c, at - 1]), i64(north[c, at]), i64(north[c, at - 1]), i64(north[c, at + 1])
    ww, nn = i64(here[c, at - 2]), i64(north2[c, at])
    p = sample.predictions
    for s in range(SOLVED):
        value = (w << 4) + _predict_by_neighbours(model, s, y, at, c, phase if s == 0 else 0)
        p[s] = min(max(value, -(1 << 20)), 1 << 21)
    p[MEDIAN] = 16 * median_of(w, n, w + n - nw)
    p[AVERAGE] = 8 * (w + n) + 4 * (ne - nw)
    if c > 0:
        other = c - 1
        o, ow = i64(here[other, at]), i64(here[other, at - 1])
        on = i64(north[other, at])
        p[ACROSS] = 16 * o + 8 * (w - ow + n - on)
        o, ow = i64(here[0, at]), i64(here[0, at - 1])
        on, onw = i64(north[0, at]), i64(north[0, at - 1])
        p[MEDIAN_ACROSS] = 16 * (o + median_of(w - ow, n - on, w - ow + n - on - nw + onw))
    else:
        p[ACROSS] = 16 * (w + ne - n)
        p[MEDIAN_ACROSS] = 8 * (2 * w - ww + 2 * n - nn)
    # Their mean, weighted by the inverse cubes of their errors nearby.
    recent, before = history.errors[y & 1, c], history.errors[(y - 1) & 1, c]
    total, mass = i64(0), i64(0)
    for k in range(MEAN):
        e = min(_nearby(recent[k], before[k], at), ERROR_MAX)
        weight = (i64(1) << 44) // (e * e * e // 64 + 256) + 1
        total += weight * p[k]
        mass += weight
    mean = total // mass
    error = _nearby(recent[MEAN], before[MEAN], at)
    level = min(log_level(tables, error >> 3), LEVELS - 1)
    signs = i64(0)
    mean_value = mean >> 4
    for v in (w, n, nw, ne, ww, nn):
        signs = signs * 2 + (v > mean_value)
    sample.signs = signs
    sample.bias_place = signs * 16 + min(level >> 2, 15)
    bias = model.statistics.bias[c, sample.bias_place]
    mean += i64(bias[0]) // (i64(bias[1]) + 8)
    p[MEAN] = p[REFINED] = mean
    if len(model.networks.counts):
        network_inputs(model.networks, rows, sample, y, x, c, error, level)
        refine(model.networks, sample, c)
        level = _level(tables, recent[REFINED], before[REFINED], at)
    return level


@once
def _predict_by_neighbours(model, s, y, at, c, phase):
    """Write the inputs of one of the least squares; return its prediction less the sample on the left."""
    linear, rows, inputs = model.least_squares, model.history.samples, model.sample.inputs[s]
    count, here = linear.counts[c, s], rows[y % ROWS]
    for i in range(count):
        channel, up, right = linear.places[c, s, i, 0], linear.places[c, s, i, 1], linear.places[c, s, i, 2]
        inputs[i] = rows[(y - up) % ROWS, channel, at + right] - here[channel, at - 1]
    return predict(inputs, linear.weights[c, s, phase], count)


@once
def place_experts(model, y, x, c):
    """Set the experts' distributions: three widths around the final prediction, and one for each other prediction."""
    sample, history = model.sample, model.history
    recent, before = history.errors[y & 1, c], history.errors[(y - 1) & 1, c]
    for e in range(EXPERTS):
        k = REFINED if e < 3 else e - 3 if e < EXPERTS - 1 else MEAN
        level = _level(model.tables, recent[k], before[k], PAD + x)
        scale = float(model.statistics.scales[c, k, level] + 24)
        spread = SPREAD * 0.5 if e == 1 else SPREAD * 2.0 if e == 0 else SPREAD
        sample.centre[e] = sample.predictions[k]
        sample.inverse[e] = spread / scale


@once
def learn_sample(model, y, x, c, phase, value):
    """Learn the value of a sample that was predicted."""
    history, sample, statistics = model.history, model.sample, model.statistics
    here = history.samples[y % ROWS]
    at = PAD + x
    here[c, at] = value
    recent, before = history.errors[y & 1, c], history.errors[(y - 1) & 1, c]
    for k in range(PREDICTIONS):
        size = min(abs(16 * value - i64(sample.predictions[k])), ERROR_MAX)
        level = _level(model.tables, recent[k], before[k], at)
        statistics.scales[c, k, level] += ((size << 8) - statistics.scales[c, k, level]) >> 5
    for k in range(PREDICTIONS):
        recent[k, at] = min(abs(16 * value - i64(sample.predictions[k])), ERROR_MAX)
    error = 16 * value - i64(sample.predictions[REFINED])
    history.residuals[y & 1, c, at] = (error + 8) >> 4
    bias = statistics.bias[c, sample.bias_place]
    bias[0] += i32(16 * value - i64(sample.predictions[MEAN]))
    bias[1] += 1
    if bias[1] >= 64:
        bias[0] //= 2
        bias[1] //= 2
    _learn_least_squares(model, y, x, c, phase, value - i64(here[c, at - 1]))


@once
def _learn_least_squares(model, y, x, c, phase, target):
    """Add a sample to the sums of the least squares, and solve those whose turn it is."""
    linear, sample = model.least_squares, model.sample
    block = x // model.settings.block_width + 1
    for s in range(SOLVED):
        count = linear.counts[c, s]
        which = phase if s == 0 else 0
        sums = linear.sums[c, which] if s == 0 else linear.row_sums[c, s - 1]
        for i in range(count):
            sample.values[i] = float(sample.inputs[s, i])
        sample.values[count] = float(target)
        accumulate(sums, sample.values, count, linear.keeps[s] if s == 0 else 1.0, 1.0)
        if (x + y) % linear.every[s] == 0 or (y == 0 and x < 64):
            if s == 0:
                copy_sums(sums, sample.work, count)
            else:
                gather_blocks(sums, linear.block_sums[c, s - 1], block, sample.work, count)
            solve_rounded(sample.work, linear.weights[c, s, which], sample.solution, count)


@once
def close_block(model, block):
    """Let the rows below know what this row brought to a block; those begin at 1."""
    linear = model.least_squares
    for c in range(linear.row_sums.shape[0]):
        for s in range(1, SOLVED):
            row_sums, block_sums = linear.row_sums[c, s - 1], linear.block_sums[c, s - 1, block]
            add_row_sums(row_sums, block_sums, linear.counts[c, s], linear.keeps[s])
