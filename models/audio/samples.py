"""Sample after sample: predicted, coded, learnt."""

from __future__ import annotations

import numpy as np

from lmzip.models.audio.decisions import code_sample
from lmzip.models.audio.filters import INPUT_MAX, filter_learn, filter_predict
from lmzip.models.audio.least_squares import accumulate, predict_linear, solve
from lmzip.models.audio.numbers import CDF_STEPS
from lmzip.models.audio.state import NODES, PAST, ROOM
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
    solvers, stages = len(setup.own), len(setup.taps)
    n_m = solvers + stages - 1
    m = work.features_m
    for row in range(len(values)):
        t = start + row
        at = PAST + t
        first = t % ROOM
        for place in range(len(setup.order)):
            c = setup.order[place]
            low, high = float(setup.lowest[c]) * unit, float(setup.highest[c]) * unit
            other = setup.partner[c]
            other_at = at + setup.present[c]
            # Predictions
            for s in range(solvers):
                n = setup.own[s] + setup.beside[s]
                gather(work.features[s, :n], ch.signal[c], at, setup.own[s], ch.signal[other], other_at)
                p = predict_linear(ch.weights[c, s, :n], work.features[s, :n])
                work.center[2 + s] = min(max(p, low), high)
            q = work.center[2]
            for j in range(stages):
                p = filter_predict(ch.filters[c, setup.begin[j] : setup.begin[j] + setup.taps[j]],
                                   ch.histories[c, setup.hbegin[j] :], first)
                work.stage[j] = p
                m[solvers - 1 + j] = q
                q += p
            q = min(max(q, low), high)
            for j in range(stages):
                m[solvers - 1 + j] -= q
            for s in range(1, solvers):
                m[s - 1] = work.center[2 + s] - q
            pm = q + predict_linear(ch.weights_m[c], m)
            work.center[0], work.center[1] = min(max(pm, low), high), q
            # Distributions
            for e in range(2 + solvers):
                work.center[e] *= back
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
            for i in range(len(work.mean)):
                error = abs(float(value) - work.mean[i])
                s = ch.scale[c, i]
                s += (error - s) * (k[10] if i & 1 == 0 else k[11])
                ch.scale[c, i] = max(s, 0.02)
            ch.recent[c, 1] = ch.recent[c, 0]
            ch.recent[c, 0] = abs(float(value) - work.center[0])
            for s in range(solvers):
                n = setup.own[s] + setup.beside[s]
                accumulate(ch.sums[c, s, :n, : (n + 8) // 8 * 8], work.features[s, :n], x, setup.discount[s])
                if (t + 3 * s) % setup.every[s] == 0:
                    solve(ch.sums[c, s, :n, : (n + 8) // 8 * 8], work.scratch, ch.weights[c, s, :n], regular)
            accumulate(ch.sums_m[c], m, x - q, k[5])
            solve(ch.sums_m[c], work.scratch, ch.weights_m[c], max(k[6] * unit * unit, 0.001))
            e = x - work.center[2] * unit
            for j in range(stages):
                after = e - work.stage[j]
                weights = ch.filters[c, setup.begin[j] : setup.begin[j] + setup.taps[j]]
                stage_learn(weights, ch.histories[c, setup.hbegin[j] :], t, after, ch.power, c, j, setup.pace[j], e)
                e = after
    return count
