"""What the sound model keeps while it codes one block of a sound.

`make_model` makes a `SoundModel`, which the kernels get: what is known before the first sample, what is learnt of every
channel, the state of the sample at hand, and fixed tables.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmzip.models.audio import numbers
from lmzip.models.audio.channel_header import ChannelHeader
from lmzip.models.audio.settings import MOST_FEATURES, Strength
from lmzip.models.mixing.least_squares import columns_of
from lmzip.models.mixing.logistic import counter_rates, squash_table, stretch_table

PAST = MOST_FEATURES  # zeros before the first sample
PIECE = 512  # frames that are coded by one call of the kernel, with the same wasted bits: format
ROOM = 4096  # samples that a filter's history takes beyond its length before it is moved back
FINALS = 2  # final predictions; the experts are these, then the least squares
NODES = 96  # decisions that are told apart
SETS = 4  # of weights, and where each begins
LEVELS, GRADES = 32, 8
BY_LEVEL, BY_RATIO, BY_LAST, BY_BESIDE, ROWS = 0, 16, 24, 88, 152
CONTEXTS, PLACES = 3, 256  # of counters
_FINAL_INPUTS = 16
FINAL_LOGIT = 15  # of SampleState.outputs


class Setup(NamedTuple):
    """What is known before the first sample: the header of the channels, and what predicts, as a Strength says."""

    partner: NDArray[np.int64]  # (channels,) the channel whose samples help
    lowest: NDArray[np.int64]  # (channels,)
    highest: NDArray[np.int64]  # (channels,)
    used: NDArray[np.int32]  # how many values below occur: of the channels one after the other
    first_used: NDArray[np.int64]  # (channels + 1,) where a channel's begin; none: all values may occur
    unit: float  # of scaled samples
    own: NDArray[np.int64]  # (least squares,)
    beside: NDArray[np.int64]  # (least squares,)
    discount: NDArray[np.float64]  # (least squares,)
    every: NDArray[np.int64]  # (least squares,)
    taps: NDArray[np.int64]  # (filters,)
    pace: NDArray[np.float64]  # (filters,)
    behind: NDArray[np.int64]  # (filters,) the least squares that a cascade begins behind; -1: it goes on
    first_tap: NDArray[np.int64]  # (filters,)
    first_past: NDArray[np.int64]  # (filters,)


class ChannelState(NamedTuple):
    """What is learnt of every channel."""

    signal: NDArray[np.float64]  # (channels, PAST + PIECE) scaled samples of a piece and of what stood before it
    sums: NDArray[np.float64]  # (channels, least squares, features, columns) see mixing/least_squares.py
    weights: NDArray[np.float64]  # (channels, least squares, features)
    final_sums: NDArray[np.float64]  # (channels, 2, steps, columns) of the final predictions
    final_weights: NDArray[np.float64]  # (channels, 2, steps)
    filters: NDArray[np.float32]  # (channels, taps of all filters)
    histories: NDArray[np.float32]  # (channels, taps + ROOM of all filters)
    power: NDArray[np.float64]  # (channels, filters) mean squares of the histories
    scale: NDArray[np.float64]  # (channels, distributions) mean absolute errors, in samples
    recent: NDArray[np.float64]  # (channels, 2) the last errors' sizes, in samples
    mixer: NDArray[np.int32]  # (channels, ROWS, NODES, inputs)
    final_mixer: NDArray[np.int32]  # (channels, NODES, 16)
    counters: NDArray[np.int32]  # (channels, CONTEXTS, PLACES, NODES) probability << 8 | times seen


class SampleState(NamedTuple):
    """The state of the sample at hand."""

    features: NDArray[np.float64]  # (least squares, columns) of accumulate: features, target
    steps: NDArray[np.float64]  # (columns,) what least squares and filters change in the cascade's prediction; target
    cascade: NDArray[np.float64]  # (1,) the cascade's prediction, scaled
    outcome: NDArray[np.float64]  # (filters,) the filters' predictions
    work: NDArray[np.float64]  # (features, columns)
    center: NDArray[np.float64]  # (experts,) predictions, in samples
    mean: NDArray[np.float64]  # (distributions,) in samples
    inverse: NDArray[np.float64]  # (distributions,) CDF_STEPS / scale
    below: NDArray[np.float64]  # (3, distributions) probabilities of less than the ends and the middle of an interval
    inputs: NDArray[np.int32]  # (inputs,)
    outputs: NDArray[np.int32]  # (16,) logits of the sets; the last is that of the final mixer
    weight_rows: NDArray[np.int64]  # (SETS,) of ChannelState.mixer
    places: NDArray[np.int64]  # (CONTEXTS,) of counters


class Tables(NamedTuple):
    """Fixed tables."""

    expert: NDArray[np.int64]  # (distributions,)
    rate: NDArray[np.float64]  # (distributions,) of the running mean of errors
    shape: NDArray[np.int64]  # (distributions,) row of cdf
    cdf: NDArray[np.float64]
    squash: NDArray[np.int32]
    stretch: NDArray[np.int16]
    counter_rates: NDArray[np.int32]


class SoundModel(NamedTuple):
    """All that the kernels read and write."""

    setup: Setup
    channels: ChannelState
    sample: SampleState
    tables: Tables


def make_model(header: ChannelHeader, strength: Strength) -> SoundModel:
    """Return a model that has heard nothing."""
    setup = _make_setup(header, strength)
    count, filters, features = len(setup.own), len(setup.taps), int((setup.own + setup.beside).max())
    steps, experts = count + filters - 1, FINALS + count
    distributions = 2 * experts
    inputs = -(-(distributions + CONTEXTS + 1) // 16) * 16
    return SoundModel(
        setup,
        _make_channels(setup, features, steps, distributions, inputs),
        _make_sample(count, filters, features, steps, experts, inputs),
        Tables(
            expert=np.repeat(np.arange(experts), 2),
            rate=np.tile([numbers.FAST, numbers.SLOW], experts),
            shape=np.tile([numbers.LOGISTIC, numbers.LAPLACE], experts),
            cdf=numbers.distribution_functions(),
            squash=squash_table(),
            stretch=stretch_table(),
            counter_rates=counter_rates(),
        ),
    )


def _make_setup(header: ChannelHeader, strength: Strength) -> Setup:
    own, beside, discount, every = (np.array(column) for column in zip(*strength.least_squares, strict=True))
    if len(header.partner) == 1:
        own, beside = own + beside, np.zeros_like(beside)
    taps, pace, behind = (np.array(column) for column in zip(*strength.filters, strict=True))
    largest = max(abs(int(header.lowest.min())), abs(int(header.highest.max())))
    return Setup(
        partner=header.partner,
        lowest=header.lowest,
        highest=header.highest,
        used=np.concatenate(header.used),
        first_used=np.cumsum([0, *(len(used) for used in header.used)]),
        unit=math.ldexp(1.0, numbers.SCALED_BITS - largest.bit_length()),
        own=own,
        beside=beside,
        discount=discount,
        every=every,
        taps=taps,
        pace=pace,
        behind=behind,
        first_tap=np.cumsum(taps) - taps,
        first_past=np.cumsum(taps + ROOM) - taps - ROOM,
    )


def _make_channels(setup: Setup, features: int, steps: int, distributions: int, inputs: int) -> ChannelState:
    channels, count = len(setup.partner), len(setup.own)
    first_scale = numbers.FIRST_SCALE / setup.unit
    state = ChannelState(
        signal=np.zeros((channels, PAST + PIECE)),
        sums=np.zeros((channels, count, features, columns_of(features))),
        weights=np.zeros((channels, count, features)),
        final_sums=np.zeros((channels, FINALS, steps, columns_of(steps))),
        final_weights=np.zeros((channels, FINALS, steps)),
        filters=np.zeros((channels, int(setup.taps.sum())), np.float32),
        histories=np.zeros((channels, int((setup.taps + ROOM).sum())), np.float32),
        power=np.zeros((channels, len(setup.taps))),
        scale=np.full((channels, distributions), first_scale),
        recent=np.full((channels, 2), first_scale),
        mixer=np.zeros((channels, ROWS, NODES, inputs), np.int32),
        final_mixer=np.zeros((channels, NODES, _FINAL_INPUTS), np.int32),
        counters=np.full((channels, CONTEXTS, PLACES, NODES), 32768 << 8, np.int32),
    )
    state.mixer[..., :distributions] = numbers.FIRST_WEIGHT // distributions
    state.mixer[..., distributions : distributions + CONTEXTS] = numbers.COUNTER_WEIGHT
    state.final_mixer[..., :SETS] = 65536 // SETS
    return state


def _make_sample(count: int, filters: int, features: int, steps: int, experts: int, inputs: int) -> SampleState:
    largest = max(features, steps)
    return SampleState(
        features=np.zeros((count, columns_of(features))),
        steps=np.zeros(columns_of(steps)),
        cascade=np.zeros(1),
        outcome=np.zeros(filters),
        work=np.zeros((largest, columns_of(largest))),
        center=np.zeros(experts),
        mean=np.zeros(2 * experts),
        inverse=np.zeros(2 * experts),
        below=np.zeros((3, 2 * experts)),
        inputs=np.zeros(inputs, np.int32),
        outputs=np.zeros(_FINAL_INPUTS, np.int32),
        weight_rows=np.zeros(SETS, np.int64),
        places=np.zeros(CONTEXTS, np.int64),
    )
