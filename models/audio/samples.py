# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""Sample after sample: predicted, coded, learnt. The encoder and the decoder run the same kernel."""

from __future__ import annotations

from lmzip.models.audio.decisions import code_sample
from lmzip.models.audio.filters import filter_learn, filter_predict
from lmzip.models.audio.least_squares import accumulate, predict_linear, solve
from lmzip.models.audio.numbers import CDF_STEPS, FINAL_DISCOUNTS, FINAL_REGULAR, REGULAR, REGULAR_MIN, SCALE_MIN
from lmzip.models.audio.state import BY_BESIDE, BY_LAST, BY_LEVEL, BY_RATIO, FIRST_SOLVER, GRADES, LEVELS, PAST, ROOM
from lmzip.models.mixing.jit import i64, inline, kernel


@kernel
def code(setup, state, moment, tables, values, start, waste, coding):
    """Encode values (frames, channels) int64, or decode them where there is a reader.

    start: the first frame's number in the block. waste: (channels,) the lowest bits that are 0 in all values.
    Return whether the code is possible.
    """
    for row in range(len(values)):
        for c in range(values.shape[1]):
            _predict(setup, state, moment, tables, c, row, start + row)
            spread = _choose_contexts(setup, state, moment, c)
            used = setup.used[setup.first_used[c] : setup.first_used[c + 1]]
            value, possible = code_sample(
                state, moment, tables, c, setup.lowest[c], setup.highest[c], used, waste[c], values[row, c], spread,
                coding,
            )  # fmt: skip
            if not possible:
                return False
            values[row, c] = value
            _learn(setup, state, moment, tables, c, row, start + row, float(value))
    return True


@inline
def _taps(setup, state, c, j):
    """Return the weights and the history of a filter."""
    first, past, taps = setup.first_tap[j], setup.first_past[j], setup.taps[j]
    return state.filters[c, first : first + taps], state.histories[c, past : past + taps + ROOM]


@kernel
def _predict(setup, state, moment, tables, c, row, t):
    """Predict sample t of a channel, in this row of the piece: center, mean, inverse, and what the learning needs."""
    solvers, filters, center, steps = len(setup.own), len(setup.taps), moment.center, moment.steps
    low, high = float(setup.lowest[c]) * setup.unit, float(setup.highest[c]) * setup.unit
    at, other = PAST + row, setup.partner[c]
    other_end = at + 1 if other < c else at  # what is known of the partner
    for s in range(solvers):
        own, beside, features = setup.own[s], setup.beside[s], moment.features[s]
        for i in range(own):
            features[i] = state.signal[c, at - own + i]
        for i in range(beside):
            features[own + i] = state.signal[other, other_end - beside + i]
        n = own + beside
        prediction = predict_linear(state.weights[c, s, :n], features[:n])
        center[FIRST_SOLVER + s] = min(max(prediction, low), high)
    # Steps are what each prediction lacks of the cascade's, which two more solvers weigh.
    cascade = 0.0
    for j in range(filters):
        if setup.behind[j] >= 0:
            cascade = center[FIRST_SOLVER + setup.behind[j]]
        weights, history = _taps(setup, state, c, j)
        moment.outcome[j] = filter_predict(weights, history, t)
        cascade += moment.outcome[j]
        if j < filters - 1:
            steps[solvers + j] = cascade
    cascade = min(max(cascade, low), high)
    for s in range(solvers):
        steps[s] = center[FIRST_SOLVER + s]
    for i in range(len(steps)):
        steps[i] -= cascade
    moment.cascade[0] = cascade
    for f in range(FIRST_SOLVER):
        center[f] = min(max(cascade + predict_linear(state.final_weights[c, f], steps), low), high)
    for e in range(len(center)):
        center[e] /= setup.unit
    for k in range(len(moment.mean)):
        moment.mean[k] = center[tables.expert[k]]
        moment.inverse[k] = float(CDF_STEPS) / state.scale[c, k]


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


@inline
def _choose_contexts(setup, state, moment, c):
    """Choose the sets of weights and the counters; return the mean absolute error that is expected, in samples."""
    fast, slow, other = state.scale[c, 0], state.scale[c, 1], setup.partner[c]
    spread = 0.5 * (fast + slow)
    level, ratio = _level(slow * 4.0), _grade(fast / slow)
    last = _grade(state.recent[c, 0] / spread) * GRADES + _grade(state.recent[c, 1] / spread)
    beside = _grade(state.recent[other, 0] / state.scale[other, 1]) * GRADES + ratio
    rows, places = moment.rows, moment.places
    rows[0], rows[1], rows[2], rows[3] = BY_LEVEL + (level >> 1), BY_RATIO + ratio, BY_LAST + last, BY_BESIDE + beside
    places[0], places[1], places[2] = level * GRADES + ratio, last, beside
    return spread


@inline
def _regular(setup, discount):
    """Return what keeps a solver's weights small: as much as some noise would in the samples that it remembers."""
    return max(REGULAR * (1.0 - discount) * setup.unit * setup.unit, REGULAR_MIN)


@kernel
def _learn(setup, state, moment, tables, c, row, t, value):
    """Learn the value of sample t of a channel, in this row of the piece."""
    scaled = value * setup.unit
    state.signal[c, PAST + row] = scaled
    for k in range(len(moment.mean)):
        error = abs(value - moment.mean[k])
        state.scale[c, k] = max(state.scale[c, k] + (error - state.scale[c, k]) * tables.rate[k], SCALE_MIN)
    state.recent[c, 1] = state.recent[c, 0]
    state.recent[c, 0] = abs(value - moment.center[0])
    for s in range(len(setup.own)):
        n = setup.own[s] + setup.beside[s]
        sums = state.sums[c, s, :n, : (n + 8) // 8 * 8]
        accumulate(sums, moment.features[s, :n], scaled, setup.discount[s])
        if (t + 3 * s) % setup.every[s] == 0:
            solve(sums, moment.scratch, state.weights[c, s, :n], _regular(setup, setup.discount[s]))
    lacking = scaled - moment.cascade[0]
    for f in range(FIRST_SOLVER):
        accumulate(state.final_sums[c, f], moment.steps, lacking, FINAL_DISCOUNTS[f])
        regular = FINAL_REGULAR * _regular(setup, FINAL_DISCOUNTS[f])
        solve(state.final_sums[c, f], moment.scratch, state.final_weights[c, f], regular)
    left = 0.0
    for j in range(len(setup.taps)):
        if setup.behind[j] >= 0:
            left = scaled - moment.center[FIRST_SOLVER + setup.behind[j]] * setup.unit
        weights, history = _taps(setup, state, c, j)
        error = left - moment.outcome[j]
        state.power[c, j] = filter_learn(weights, history, state.power[c, j], t, left, error, setup.pace[j])
        left = error
