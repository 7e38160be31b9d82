# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# mypy: disable-error-code="arg-type, assignment, call-arg, operator"
"""One binary decision of a sound: is the sample in the upper part of an interval that is split?

Distributions around the predictions say how likely that is, adaptive counters what came of it in such contexts, and a
gated mixer weighs them. `binarise.py` says which intervals are split, and where.
"""

from __future__ import annotations

from lmzip.models.audio.numbers import CDF_REACH, CDF_STEPS, COUNTER_LIMIT, FINAL_MIXER_RATE, MIXER_RATE
from lmzip.models.audio.state import CONTEXTS, FINAL_LOGIT, SETS
from lmzip.models.mixing.jit import i32, i64, inline
from lmzip.models.mixing.mixer import dot, squash, train

LOW, HIGH, SPLIT = 0, 1, 2  # rows of SampleState.below: the ends of the interval, and where it is split
_LAST = float(2 * CDF_REACH * CDF_STEPS)
_FLOOR = 1e-9  # probability that every interval has at least: so no quotient is 0 / 0


@inline
def distribute(model, row, value):
    """Write the probabilities of less than a value, by every distribution, to a row of SampleState.below."""
    sample, tables = model.sample, model.tables
    for k in range(len(sample.mean)):
        z = (value - sample.mean[k]) * sample.inverse[k] + 0.5 * _LAST
        z = min(max(z, 0.0), _LAST)
        at = i64(z)
        low, high = tables.cdf[tables.shape[k], at], tables.cdf[tables.shape[k], at + 1]
        sample.below[row, k] = low + (high - low) * (z - float(at))


@inline
def share_above(below, k, above, under):
    """Return the share of the upper part in a distribution's probability of the interval.

    above, under: the share of the values in the upper and in the lower part that occur at all.
    """
    upper = (below[HIGH, k] - below[SPLIT, k] + _FLOOR) * above
    lower = (below[SPLIT, k] - below[LOW, k] + _FLOOR) * under
    return min(max(upper / (upper + lower), 0.0), 0.9999)


@inline
def predict_bit(model, c, node, above, under):
    """Return the probability, of 65536, that the sample of channel c lies in the upper part; see `share_above`.

    node: the kind of the decision.
    """
    channels, sample, tables = model.channels, model.sample, model.tables
    inputs, n = sample.inputs, len(sample.mean)
    for k in range(n):
        inputs[k] = tables.stretch[i64(share_above(sample.below, k, above, under) * 4096.0)]
    for i in range(CONTEXTS):
        inputs[n + i] = tables.stretch[channels.counters[c, i, sample.places[i], node] >> 12]
    inputs[n + CONTEXTS] = 256
    for s in range(SETS):
        sample.outputs[s] = dot(inputs, channels.mixer[c, sample.weight_rows[s], node])
    logit = dot(sample.outputs[:], channels.final_mixer[c, node])
    sample.outputs[FINAL_LOGIT] = logit
    return i32(squash(tables.squash, logit))


@inline
def learn_bit(model, c, node, bit):
    """Move weights and counters towards the outcome of a decision."""
    channels, sample, tables = model.channels, model.sample, model.tables
    target = i32(bit << 16)
    for s in range(SETS):
        error = target - i32(squash(tables.squash, sample.outputs[s]))
        train(sample.inputs, channels.mixer[c, sample.weight_rows[s], node], error, MIXER_RATE)
    error = target - i32(squash(tables.squash, sample.outputs[FINAL_LOGIT]))
    sample.outputs[FINAL_LOGIT] = 0  # its weight stays 0
    train(sample.outputs, channels.final_mixer[c, node], error, FINAL_MIXER_RATE)
    for i in range(CONTEXTS):
        counter = channels.counters[c, i, sample.places[i], node]
        probability, times = counter >> 8, counter & 255
        probability += ((target - probability) * tables.counter_rates[times]) >> 16
        probability = min(max(probability, 32), 65535 - 32)
        channels.counters[c, i, sample.places[i], node] = probability << 8 | min(times + 1, COUNTER_LIMIT)
