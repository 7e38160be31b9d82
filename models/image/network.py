# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# mypy: disable-error-code="arg-type, assignment, call-arg, operator"
"""The picture network: a few trained weights that move the mean prediction of a sample, in integers.

The network sees the neighbours and what the predictors say, all relative to the mean prediction and to the size of
errors nearby: so it does not matter how bright, how deep or how noisy a picture is. Two hidden layers of rectified
units follow. Everything is in fixed point: inputs and hidden units in units of 2^-8, weights of 2^-12, and no sum
leaves 32 bits. `lmzip.models.training.pictures` trains the weights.
"""

from __future__ import annotations

import functools
import hashlib
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from lmzip.models.image.state import FEATURES, FIRST, MEAN, PAD, REFINED, ROWS, SECOND, Networks
from lmzip.models.mixing.jit import i32, i64, inline, kernel

WEIGHTS_SHA256 = "4300aae68b8710b7be3db1aff316bc3f1f4db8e699e5d209fc8a007196c75517"
UNIT_BITS, WEIGHT_BITS = 8, 12
UNIT_MAX = 8 << UNIT_BITS
WEIGHT_MAX = 4 << WEIGHT_BITS
REACH = 2047  # of a difference, in units of 2^-6 of the scale
GREY, COLOUR, LUMA = 1, 2, 3  # kinds: one channel; green, red, blue; luma and chroma

_OWN = [(0, -1), (0, -2), (0, -3)] + [(up, right) for up in (1, 2, 3) for right in range(-3, 4)]
_CODED = [(0, 0), (0, -2)] + [(up, right) for up in (1, 2) for right in range(-2, 3)]  # of channels coded before
_LATER = [(1, -1), (1, 0), (1, 1)]  # of channels coded after


def neighbours(channels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return places and counts, as `Networks` has them, of pictures with so many channels."""
    places = np.zeros((channels, FEATURES, 3), np.int64)
    counts = np.zeros(channels, np.int64)
    for c in range(channels):
        chosen = [(c, *place) for place in _OWN]
        chosen += [(other, *place) for other in range(c) for place in _CODED]
        chosen += [(other, *place) for other in range(c + 1, channels) for place in _LATER]
        counts[c] = len(chosen)
        places[c, : len(chosen)] = chosen
    return places, counts


@functools.cache
def squeeze_table() -> NDArray[np.int32]:
    """Return sqrt(1 + 2 |x|) - 1 with the sign of x = i / 64, i = -REACH .. REACH, in units of 2^-UNIT_BITS."""
    one = 1 << UNIT_BITS
    upper = [math.isqrt(one * one * (32 + i) // 32) - one for i in range(REACH + 1)]
    return np.array([-v for v in upper[:0:-1]] + upper, np.int32)


@functools.cache
def weights() -> dict[str, NDArray[np.int32]]:
    """Return the weights that ship, by kind, channel and name. ValueError where they are not those."""
    path = Path(__file__).parents[1] / "weights" / "photographs" / "networks.safetensors"
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != WEIGHTS_SHA256:
        raise ValueError(f"{path} is damaged: its sha256 is not the published one; install lmzip again")
    return load(data)


def no_networks(channels: int) -> Networks:
    """Return networks that leave the mean as it is."""
    shapes = ((FIRST, FEATURES), (FIRST,), (SECOND, FIRST), (SECOND,), (SECOND,), (1,))
    arrays = (np.zeros((channels, *shape), np.int32) for shape in shapes)
    return Networks(*neighbours(channels), *arrays, squeeze_table())


def load_networks(kind: int) -> Networks:
    """Return the networks of a kind of pictures; 0: none."""
    networks = no_networks({0: 0, GREY: 1}.get(kind, 3))
    for c in range(len(networks.counts)):
        for name in ("first", "first_bias", "second", "second_bias", "last", "last_bias"):
            stored = weights()[f"{kind}.{c}.{name}"]
            getattr(networks, name)[c, ..., : stored.shape[-1]] = stored
    return networks


@kernel
def network_inputs(networks, rows, sample, y, x, c, error, level):
    """Write the inputs of the network of a channel, and their scale, in units of 2^-4.

    rows: RowHistory.samples. error: 8 times the mean size of the mean prediction's errors nearby, in units of 2^-4.
    level: its logarithm.
    """
    inputs, p, squeeze = sample.features, sample.predictions, networks.squeeze
    base, at = i64(p[MEAN]), PAD + x
    scale = 12 + (error * 3 >> 4)
    inverse = (i64(1) << 20) // scale
    count = networks.counts[c]
    for i in range(count):
        channel, up, right = networks.places[c, i, 0], networks.places[c, i, 1], networks.places[c, i, 2]
        reference = base if channel == c else i64(rows[y % ROWS, channel, at - 1]) << 4
        difference = (i64(rows[(y - up) % ROWS, channel, at + right]) << 4) - reference
        inputs[i] = squeeze[min(max((difference * inverse) >> 14, -REACH), REACH) + REACH]
    for k in range(MEAN):
        difference = i64(p[k]) - base
        inputs[count + k] = squeeze[min(max((difference * inverse) >> 14, -REACH), REACH) + REACH]
    inputs[count + MEAN] = (level - 24) * 16
    sample.feature_scale = scale


@inline
def _weighted(inputs, weights):
    """Return the weighted sum of inputs."""
    total = i32(0)
    for i in range(len(inputs)):
        total = i32(total + i32(inputs[i] * weights[i]))
    return total


@inline
def _unit(total):
    """Return what a unit makes of its sum."""
    return min(max(total >> i32(WEIGHT_BITS), i32(0)), i32(UNIT_MAX))


@kernel
def refine(networks, sample, c):
    """Set the final prediction to what the network makes of the mean."""
    inputs, first, second = sample.features, sample.first_units, sample.second_units
    for j in range(FIRST):
        first[j] = _unit(i32(_weighted(inputs, networks.first[c, j]) + networks.first_bias[c, j]))
    for j in range(SECOND):
        second[j] = _unit(i32(_weighted(first, networks.second[c, j]) + networks.second_bias[c, j]))
    total = i64(i32(_weighted(second, networks.last[c]) + networks.last_bias[c, 0]))
    bits = UNIT_BITS + WEIGHT_BITS
    change = (total * sample.feature_scale + (1 << (bits - 1))) >> bits
    sample.predictions[REFINED] = sample.predictions[MEAN] + change
