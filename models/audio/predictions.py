# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""What a sample is expected to be, and what is learnt when it is known.

Least squares of different memory predict it from the last samples of the channel and of its partner. Long adaptive
filters (`filters.py`) predict what a least squares leaves, one after the other: that is the cascade. Two more least
squares weigh all of these; theirs are the final predictions.
"""

from __future__ import annotations

from lmzip.models.audio.filters import filter_learn, filter_predict
from lmzip.models.audio.numbers import (
    CDF_STEPS,
    FINAL_DISCOUNTS,
    FINAL_RIDGE,
    PRODUCT_UNIT,
    RIDGE,
    RIDGE_MIN,
    SCALE_MIN,
    WEIGHT_LIMIT,
)
from lmzip.models.audio.state import FINALS, PAST, ROOM
from lmzip.models.mixing.jit import i64, inline, kernel, once
from lmzip.models.mixing.least_squares import accumulate, copy_sums, solve


@inline
def predict_linear(weights, features):
    """Return the sum of weights times features; each product is cut to a multiple of 1 / PRODUCT_UNIT."""
    total = i64(0)
    for i in range(len(features)):
        # Below 2**49, since features are below 2**19: an integer, and sums do not overflow.
        total += i64(weights[i] * features[i] * PRODUCT_UNIT)
    return float(total) * (1.0 / PRODUCT_UNIT)


@inline
def _taps(setup, channels, c, j):
    """Return the weights and the history of a filter."""
    first, past, taps = setup.first_tap[j], setup.first_past[j], setup.taps[j]
    return channels.filters[c, first : first + taps], channels.histories[c, past : past + taps + ROOM]


@once
def predict_sample(model, c, row, t):
    """Predict sample t of a channel, in this row of the piece: center, mean, inverse, and what the learning needs."""
    setup, channels, sample, tables = model.setup, model.channels, model.sample, model.tables
    solved, filters, center, steps = len(setup.own), len(setup.taps), sample.center, sample.steps
    low, high = float(setup.lowest[c]) * setup.unit, float(setup.highest[c]) * setup.unit
    at, other = PAST + row, setup.partner[c]
    other_end = at + 1 if other < c else at  # what is known of the partner
    for s in range(solved):
        own, beside, features = setup.own[s], setup.beside[s], sample.features[s]
        past, past_beside = channels.signal[c, at - own :], channels.signal[other, other_end - beside :]
        for i in range(own):
            features[i] = past[i]
        for i in range(beside):
            features[own + i] = past_beside[i]
        n = own + beside
        prediction = predict_linear(channels.weights[c, s, :n], features[:n])
        center[FINALS + s] = min(max(prediction, low), high)
    # Steps are what each prediction lacks of the cascade's; the final least squares weigh them.
    cascade = 0.0
    for j in range(filters):
        if setup.behind[j] >= 0:
            cascade = center[FINALS + setup.behind[j]]
        weights, history = _taps(setup, channels, c, j)
        sample.outcome[j] = filter_predict(weights, history, t)
        cascade += sample.outcome[j]
        if j < filters - 1:
            steps[solved + j] = cascade
    cascade = min(max(cascade, low), high)
    for s in range(solved):
        steps[s] = center[FINALS + s]
    n = channels.final_weights.shape[2]
    for i in range(n):
        steps[i] -= cascade
    sample.cascade[0] = cascade
    for f in range(FINALS):
        center[f] = min(max(cascade + predict_linear(channels.final_weights[c, f], steps[:n]), low), high)
    for e in range(len(center)):
        center[e] /= setup.unit
    for k in range(len(sample.mean)):
        sample.mean[k] = center[tables.expert[k]]
        sample.inverse[k] = float(CDF_STEPS) / channels.scale[c, k]


@inline
def _ridge(setup, discount):
    """Return what keeps weights small: as much as some noise would in the samples that least squares remember."""
    return max(RIDGE * (1.0 - discount) * setup.unit * setup.unit, RIDGE_MIN)


@kernel
def _solve(sums, work, weights, n, ridge):
    """Set the n weights to the least squares of the sums, which stay as they are."""
    copy_sums(sums, work, n)
    solve(work, weights, n, ridge, 0.5 * ridge, WEIGHT_LIMIT)


@once
def learn_sample(model, c, row, t, value):
    """Learn the value, a float, of sample t of a channel, in this row of the piece."""
    setup, channels, sample = model.setup, model.channels, model.sample
    scaled = value * setup.unit
    channels.signal[c, PAST + row] = scaled
    for k in range(len(sample.mean)):
        error, scale = abs(value - sample.mean[k]), channels.scale[c, k]
        channels.scale[c, k] = max(scale + (error - scale) * model.tables.rate[k], SCALE_MIN)
    channels.recent[c, 1] = channels.recent[c, 0]
    channels.recent[c, 0] = abs(value - sample.center[0])
    for s in range(len(setup.own)):
        n = setup.own[s] + setup.beside[s]
        discount, sums = setup.discount[s], channels.sums[c, s]
        sample.features[s, n] = scaled
        accumulate(sums, sample.features[s], n, discount, 1.0 - discount)
        if (t + 3 * s) % setup.every[s] == 0:
            _solve(sums, sample.work, channels.weights[c, s], n, _ridge(setup, discount))
    n = channels.final_weights.shape[2]
    sample.steps[n] = scaled - sample.cascade[0]
    for f in range(FINALS):
        discount = FINAL_DISCOUNTS[f]
        accumulate(channels.final_sums[c, f], sample.steps, n, discount, 1.0 - discount)
        ridge = FINAL_RIDGE * _ridge(setup, discount)
        _solve(channels.final_sums[c, f], sample.work, channels.final_weights[c, f], n, ridge)
    left = 0.0
    for j in range(len(setup.taps)):
        if setup.behind[j] >= 0:
            left = scaled - sample.center[FINALS + setup.behind[j]] * setup.unit
        weights, history = _taps(setup, channels, c, j)
        error = left - sample.outcome[j]
        channels.power[c, j] = filter_learn(weights, history, channels.power[c, j], t, left, error, setup.pace[j])
        left = error
