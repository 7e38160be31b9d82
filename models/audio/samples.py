"""Sample after sample: predicted, coded, learnt."""

from __future__ import annotations

import numpy as np

from lmzip.models.audio.decisions import code_sample
from lmzip.models.audio.filters import INPUT_MAX, filter_learn, filter_predict
from lmzip.models.audio.least_squares import accumulate, predict_linear, solve
from lmzip.models.audio.numbers import CDF_STEPS
from lmzip.models.audio.state import DISTRIBUTIONS, EXPERTS, NODES, PAST, ROOM
from lmzip.models.ensemble.jit import i64, inline, kernel

f32 = np.float32


@inline
def gather(features, signal, at, own, partner_signal, partner_at):
    """Copy the last samples of a channel and of its partner."""
    for i in range(own):
        features[i] = signal[at - own + i]
    rest = len(features) - own
    for i in range(rest):
        features[own + i] = partner_signal[partner_at - rest + i]


@inline
def remember(history, taps, t, value):
    """Append a value to a history; return nothing. The window of sample t begins at t % ROOM."""
    at = t % ROOM
    history[taps + at] = value
    if at == ROOM - 1:
        for i in range(taps):
            history[i] = history[ROOM + i]


@inline
def stage(weights, history, first):
    """Predict by a filter."""
    return filter_predict(weights, history, first)


@inline
def stage_learn(weights, history, t, error, power, c, k, mu, value):
    """Learn a filter's sample: error of its prediction; value: the input."""
    taps = len(weights)
    first = t % ROOM
    filter_learn(weights, history, first, mu * error / (power[c, k] * float(taps) + 1.0))
    v = min(max(value, -INPUT_MAX), INPUT_MAX)
    power[c, k] += (v * v - power[c, k]) * 0.005
    remember(history, taps, t, f32(v))


@inline
def level(x):
    """Return the integer part of twice the binary logarithm of x >= 1, 0 .. 63, by comparisons."""
    n = i64(0)
    while x >= 2.0 and n < 62:
        x *= 0.5
        n += 2
    return n + 1 if x >= 1.4142135623730951 else n


@inline
def grade(x):
    """Return the class 0 .. 7 of a ratio."""
    if x < 1.0:
        if x < 0.5:
            return i64(0) if x < 0.25 else i64(1)
        return i64(2) if x < 0.75 else i64(3)
    if x < 2.0:
        return i64(4) if x < 1.4 else i64(5)
    return i64(6) if x < 4.0 else i64(7)


@kernel
def code(ch, work, tables, setup, values, start, bits, probabilities, reader):
    """Code frames start .. of values (frames, channels) int64; return the number of decisions, -1: impossible."""
    count = i64(0)
    k = work.knobs
    unit, back = setup.unit, 1.0 / setup.unit
    regular = max(k[2] * unit * unit, 0.001)
    every_a, every_b = i64(k[3]), i64(k[4])
    t0, t1, t2 = ch.filter_0.shape[1], ch.filter_1.shape[1], ch.filter_2.shape[1]
    for row in range(len(values)):
        t = start + row
        at = PAST + t
        first = t % ROOM
        for place in range(len(setup.order)):
            c = setup.order[place]
            low, high = float(setup.lowest[c]), float(setup.highest[c])
            other = setup.partner[c]
            other_at = at + setup.present[c]
            # Predictions
            gather(work.features_a, ch.signal[c], at, setup.own_a, ch.signal[other], other_at)
            gather(work.features_b, ch.signal[c], at, setup.own_b, ch.signal[other], other_at)
            pa = predict_linear(ch.weights_a[c], work.features_a)
            pb = predict_linear(ch.weights_b[c], work.features_b)
            pa = min(max(pa, low * unit), high * unit)
            pb = min(max(pb, low * unit), high * unit)
            p0 = filter_predict(ch.filter_0[c], ch.history_0[c], first)
            p1 = filter_predict(ch.filter_1[c], ch.history_1[c], first)
            p2 = filter_predict(ch.filter_2[c], ch.history_2[c], first)
            q0 = pa + p0
            q1 = q0 + p1
            q2 = min(max(q1 + p2, low * unit), high * unit)
            m = work.features_m
            m[0], m[1], m[2], m[3] = pa - q2, q0 - q2, q1 - q2, pb - q2
            pm = q2 + predict_linear(ch.weights_m[c], m)
            pm = min(max(pm, low * unit), high * unit)
            work.center[0], work.center[1], work.center[2], work.center[3] = pm * back, q2 * back, pa * back, pb * back
            # Distributions
            for e in range(EXPERTS):
                for r in range(2):
                    i = 2 * e + r
                    work.mean[i] = work.center[e]
                    work.inverse[i] = float(CDF_STEPS) / ch.scale[c, i]
            fast, slow = ch.scale[c, 0], ch.scale[c, 1]
            spread = 0.5 * (fast + slow)
            l = min(level(slow * 4.0), 31)
            ratio = grade(fast / slow)
            last = grade(ch.recent[c, 0] / spread)
            last2 = grade(ch.recent[c, 1] / spread)
            beside = grade(ch.recent[other, 0] / max(ch.scale[other, 1], 0.01))
            work.rows[0] = (l >> 1) * NODES
            work.rows[1] = (16 + ratio) * NODES
            work.rows[2] = (32 + last * 8 + last2) * NODES
            work.rows[3] = (96 + beside * 8 + ratio) * NODES
            work.places[0] = l * 8 + ratio
            work.places[1] = last * 8 + last2
            work.places[2] = beside * 8 + ratio
            value, count = code_sample(
                ch, c, work, tables, setup.lowest[c], setup.highest[c], values[row, c], spread, reader,
                bits, probabilities, count,
            )
            if count < 0:
                return count
            values[row, c] = value
            # Learn
            x = float(value) * unit
            ch.signal[c, at] = x
            for i in range(DISTRIBUTIONS):
                error = abs(float(value) - work.mean[i])
                s = ch.scale[c, i]
                s += (error - s) * (k[10] if i & 1 == 0 else k[11])
                ch.scale[c, i] = max(s, 0.02)
            ch.recent[c, 1] = ch.recent[c, 0]
            ch.recent[c, 0] = abs(float(value) - work.center[0])
            accumulate(ch.sums_a[c], work.features_a, x, k[0])
            accumulate(ch.sums_b[c], work.features_b, x, k[1])
            accumulate(ch.sums_m[c], m, x - q2, k[5])
            if t % every_a == 0:
                solve(ch.sums_a[c], work.scratch_a, ch.weights_a[c], regular)
            if t % every_b == 0:
                solve(ch.sums_b[c], work.scratch_b, ch.weights_b[c], regular)
            solve(ch.sums_m[c], work.scratch_m, ch.weights_m[c], max(k[6] * unit * unit, 0.001))
            e0 = x - pa
            e1 = e0 - p0
            e2 = e1 - p1
            stage_learn(ch.filter_0[c], ch.history_0[c], t, e1, ch.power, c, 0, k[7], e0)
            stage_learn(ch.filter_1[c], ch.history_1[c], t, e2, ch.power, c, 1, k[8], e1)
            stage_learn(ch.filter_2[c], ch.history_2[c], t, e2 - p2, ch.power, c, 2, k[9], e2)
    return count
