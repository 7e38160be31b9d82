"""What the sound model keeps: of every channel, of the sample that is being coded, and the fixed tables."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmzip.models.audio import numbers
from lmzip.models.audio.channel_header import Facts
from lmzip.models.audio.settings import MOST_FEATURES, Strength
from lmzip.models.mixing.least_squares import columns_of
from lmzip.models.mixing.logistic import counter_rates, squash_table, stretch_table

PAST = MOST_FEATURES  # zeros before the first sample
PIECE = 512  # frames that are coded with one call and waste the same bits: format
ROOM = 4096  # samples that a filter's history takes beyond its length before it is moved back
FIRST_SOLVER = 2  # expert; the final predictions stand before
NODES = 96  # decisions that are told apart
SETS = 4  # of weights, and where each begins
LEVELS, GRADES = 32, 8
BY_LEVEL, BY_RATIO, BY_LAST, BY_BESIDE, ROWS = 0, 16, 24, 88, 152
CONTEXTS, PLACES = 3, 256  # of counters
_FINAL_INPUTS = 16
FINAL_LOGIT = 15  # of Moment.outputs


class Setup(NamedTuple):
    """What is known before the first sample."""

    partner: NDArray[np.int64]  # (channels,) the channel whose samples help
    lowest: NDArray[np.int64]  # (channels,)
    highest: NDArray[np.int64]  # (channels,)
    used: NDArray[np.int32]  # how many values below occur: of the channels one after the other
    first_used: NDArray[np.int64]  # (channels + 1,) where a channel's begin; none: all values may occur
    unit: float  # of scaled samples
    own: NDArray[np.int64]  # (solvers,)
    beside: NDArray[np.int64]  # (solvers,)
    discount: NDArray[np.float64]  # (solvers,)
    every: NDArray[np.int64]  # (solvers,)
    taps: NDArray[np.int64]  # (filters,)
    pace: NDArray[np.float64]  # (filters,)
    behind: NDArray[np.int64]  # (filters,) the solver that a cascade begins behind; -1: it goes on
    first_tap: NDArray[np.int64]  # (filters,)
    first_past: NDArray[np.int64]  # (filters,)


class Channels(NamedTuple):
    """What is learnt, per channel."""

    signal: NDArray[np.float64]  # (channels, PAST + PIECE) scaled samples of a piece and of what stood before it
    sums: NDArray[np.float64]  # (channels, solvers, features, columns) see mixing/least_squares.py
    weights: NDArray[np.float64]  # (channels, solvers, features)
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


class Moment(NamedTuple):
    """What is known of the sample that is being coded."""

    features: NDArray[np.float64]  # (solvers, columns) of accumulate: features, target
    steps: NDArray[np.float64]  # (columns,) what the solvers and filters change in the cascade's prediction; target
    cascade: NDArray[np.float64]  # (1,) the cascade's prediction, scaled
    outcome: NDArray[np.float64]  # (filters,) the filters' predictions
    scratch: NDArray[np.float64]  # (features, columns)
    center: NDArray[np.float64]  # (experts,) predictions, in samples
    mean: NDArray[np.float64]  # (distributions,) in samples
    inverse: NDArray[np.float64]  # (distributions,) CDF_STEPS / scale
    below: NDArray[np.float64]  # (3, distributions) probabilities of less than the ends and the middle of an interval
    inputs: NDArray[np.int32]  # (inputs,)
    outputs: NDArray[np.int32]  # (16,) logits of the sets; the last is that of the final mixer
    rows: NDArray[np.int64]  # (SETS,) of weights
    places: NDArray[np.int64]  # (CONTEXTS,) of counters


class Tables(NamedTuple):
    """Fixed tables."""

    expert: NDArray[np.int64]  # (distributions,)
    rate: NDArray[np.float64]  # (distributions,) of the running mean of errors
    shape: NDArray[np.int64]  # (distributions,) row of cdf
    cdf: NDArray[np.float64]
    squash: NDArray[np.int32]
    stretch: NDArray[np.int16]
    share: NDArray[np.int32]


def make_setup(facts: Facts, strength: Strength) -> Setup:
    """Return what is known before the first sample."""
    own, beside, discount, every = (np.array(column) for column in zip(*strength.solvers, strict=True))
    if len(facts.partner) == 1:
        own, beside = own + beside, np.zeros_like(beside)
    taps, pace, behind = (np.array(column) for column in zip(*strength.filters, strict=True))
    largest = max(abs(int(facts.lowest.min())), abs(int(facts.highest.max())))
    return Setup(
        facts.partner, facts.lowest, facts.highest,
        np.concatenate(facts.used), np.cumsum([0, *(len(used) for used in facts.used)]),
        math.ldexp(1.0, numbers.SCALED_BITS - largest.bit_length()), own, beside, discount, every, taps, pace, behind,
        np.cumsum(taps) - taps, np.cumsum(taps + ROOM) - taps - ROOM,
    )  # fmt: skip


def make_state(setup: Setup) -> tuple[Channels, Moment, Tables]:
    """Return the state before the first frame."""
    channels, solvers, filters = len(setup.partner), len(setup.own), len(setup.taps)
    features, steps, experts = int((setup.own + setup.beside).max()), solvers + filters - 1, FIRST_SOLVER + solvers
    n = 2 * experts
    inputs = -(-(n + CONTEXTS + 1) // 16) * 16
    first_scale = numbers.FIRST_SCALE / setup.unit
    state = Channels(
        signal=np.zeros((channels, PAST + PIECE)),
        sums=np.zeros((channels, solvers, features, columns_of(features))),
        weights=np.zeros((channels, solvers, features)),
        final_sums=np.zeros((channels, 2, steps, columns_of(steps))),
        final_weights=np.zeros((channels, 2, steps)),
        filters=np.zeros((channels, int(setup.taps.sum())), np.float32),
        histories=np.zeros((channels, int((setup.taps + ROOM).sum())), np.float32),
        power=np.zeros((channels, filters)),
        scale=np.full((channels, n), first_scale),
        recent=np.full((channels, 2), first_scale),
        mixer=np.zeros((channels, ROWS, NODES, inputs), np.int32),
        final_mixer=np.zeros((channels, NODES, _FINAL_INPUTS), np.int32),
        counters=np.full((channels, CONTEXTS, PLACES, NODES), 32768 << 8, np.int32),
    )
    state.mixer[..., :n] = numbers.FIRST_WEIGHT // n
    state.mixer[..., n : n + CONTEXTS] = numbers.COUNTER_WEIGHT
    state.final_mixer[..., :SETS] = 65536 // SETS
    moment = Moment(
        features=np.zeros((solvers, columns_of(features))),
        steps=np.zeros(columns_of(steps)),
        cascade=np.zeros(1),
        outcome=np.zeros(filters),
        scratch=np.zeros((max(features, steps), columns_of(max(features, steps)))),
        center=np.zeros(experts),
        mean=np.zeros(n),
        inverse=np.zeros(n),
        below=np.zeros((3, n)),
        inputs=np.zeros(inputs, np.int32),
        outputs=np.zeros(_FINAL_INPUTS, np.int32),
        rows=np.zeros(SETS, np.int64),
        places=np.zeros(CONTEXTS, np.int64),
    )
    tables = Tables(
        expert=np.repeat(np.arange(experts), 2),
        rate=np.tile([numbers.FAST, numbers.SLOW], experts),
        shape=np.tile([numbers.LOGISTIC, numbers.LAPLACE], experts),
        cdf=numbers.distribution_functions(),
        squash=squash_table(),
        stretch=stretch_table(),
        share=counter_rates(),
    )
    return state, moment, tables
