"""What the sound model keeps between samples: of every channel, and the fixed tables."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmzip.models.audio import numbers
from lmzip.models.ensemble.numbers import squash_table, stretch_table

PAST = 64  # zeros before the first sample
ROOM = 4096  # samples that a filter's history takes beyond its length before it is moved back
NODES = 96
SETS = 4
CONTEXTS = 3


class Channels(NamedTuple):
    """Per channel."""

    signal: NDArray[np.float64]  # (channels, PAST + frames) samples times unit
    sums: NDArray[np.float64]  # (channels, solvers, n, width)
    weights: NDArray[np.float64]  # (channels, solvers, n)
    sums_m: NDArray[np.float64]
    weights_m: NDArray[np.float64]
    filters: NDArray[np.float32]  # (channels, taps of all stages)
    histories: NDArray[np.float32]  # (channels, taps + ROOM of all stages)
    power: NDArray[np.float64]  # (channels, STAGES) mean squares of the histories
    scale: NDArray[np.float64]  # (channels, DISTRIBUTIONS) mean absolute errors in samples
    recent: NDArray[np.float64]  # (channels, 4): last errors' magnitudes
    mixer: NDArray[np.int32]  # (channels, rows, INPUTS)
    final: NDArray[np.int32]  # (channels, NODES, 16)
    counters: NDArray[np.int32]  # (channels, CONTEXTS * 256 * NODES) probability << 8 | times


class Work(NamedTuple):
    """Room for one sample."""

    features: NDArray[np.float64]
    features_m: NDArray[np.float64]
    scratch: NDArray[np.float64]
    stage: NDArray[np.float64]
    center: NDArray[np.float64]  # (EXPERTS,) predictions in samples
    mean: NDArray[np.float64]  # (DISTRIBUTIONS,)
    inverse: NDArray[np.float64]  # (DISTRIBUTIONS,)
    below: NDArray[np.float64]  # (3, DISTRIBUTIONS) distribution functions at the ends and in the middle
    inputs: NDArray[np.int32]  # (INPUTS,)
    outputs: NDArray[np.int32]  # (16,)
    rows: NDArray[np.int64]  # (SETS,)
    places: NDArray[np.int64]  # (CONTEXTS,)
    knobs: NDArray[np.float64]


class Tables(NamedTuple):
    """Fixed tables."""

    cdf: NDArray[np.float64]
    shape: NDArray[np.int64]  # (DISTRIBUTIONS,) row of cdf
    squash: NDArray[np.int32]
    stretch: NDArray[np.int16]
    share: NDArray[np.int32]


class Setup(NamedTuple):
    """What is known before the first sample."""

    order: NDArray[np.int64]  # (channels,) in which they are coded
    partner: NDArray[np.int64]  # (channels,)
    present: NDArray[np.int64]  # (channels,) 1 where the partner is coded before
    lowest: NDArray[np.int64]
    highest: NDArray[np.int64]
    unit: float
    own: NDArray[np.int64]
    beside: NDArray[np.int64]
    discount: NDArray[np.float64]
    every: NDArray[np.int64]
    taps: NDArray[np.int64]
    begin: NDArray[np.int64]
    hbegin: NDArray[np.int64]
    pace: NDArray[np.float64]


ROWS = (16 + 16 + 64 + 64) * NODES


def width(n: int) -> int:
    """Return the columns of a matrix of n features and the target: a multiple of 8."""
    return (n + 8) // 8 * 8


def make(order, partner, present, lowest, highest, frames, solvers, stages, unit, knobs):
    """Return the state before the first sample.

    solvers: (own, beside, discount, every); stages: (taps, pace)
    """
    channels = len(order)
    own, beside, discount, every = (np.array(v) for v in zip(*solvers))
    if channels == 1:
        own, beside = own + beside, 0 * own
    taps, pace = (np.array(v) for v in zip(*stages))
    begin = np.cumsum(taps) - taps
    hbegin = np.cumsum(taps + ROOM) - taps - ROOM
    setup = Setup(order, partner, present, lowest, highest, unit, own, beside, discount.astype(float), every, taps, begin, hbegin, pace.astype(float))
    n_m = len(own) + len(taps) - 1
    n = int((own + beside).max())
    experts = 2 + len(own)
    distributions = 2 * experts
    inputs = -(-(distributions + CONTEXTS + 1) // 16) * 16
    weights = np.zeros((channels, ROWS, inputs), np.int32)
    weights[:, :, :distributions] = int(65536 * knobs[20] / distributions)
    weights[:, :, distributions:distributions + CONTEXTS] = int(65536 * knobs[21])
    final = np.zeros((channels, NODES, 16), np.int32)
    final[:, :, :SETS] = 65536 // SETS
    ch = Channels(
        np.zeros((channels, PAST + frames)),
        np.zeros((channels, len(own), n, width(n))), np.zeros((channels, len(own), n)),
        np.zeros((channels, n_m, width(n_m))), np.zeros((channels, n_m)),
        np.zeros((channels, taps.sum()), np.float32), np.zeros((channels, (taps + ROOM).sum()), np.float32),
        np.zeros((channels, len(taps))),
        np.full((channels, distributions), knobs[22] / unit), np.full((channels, 4), knobs[22] / unit),
        weights, final, np.full((channels, CONTEXTS * 256 * NODES), 32768 << 8, np.int32),
    )
    work = Work(
        np.zeros((len(own), n)), np.zeros(n_m), np.zeros((n, width(n))), np.zeros(len(taps)),
        np.zeros(experts), np.zeros(distributions), np.zeros(distributions), np.zeros((3, distributions)),
        np.zeros(inputs, np.int32), np.zeros(16, np.int32), np.zeros(SETS, np.int64), np.zeros(CONTEXTS, np.int64), knobs,
    )
    tables = Tables(numbers.distribution_tables(), np.array([1, 0] * experts), squash_table(), stretch_table(),
                    (65536 // (np.arange(256) + 1.5)).astype(np.int32))
    return ch, work, tables, setup


KNOBS = np.zeros(64)
KNOBS[[2,5,6,10,11,20,21,22,23,24,25]]=[1,0.998,1, 1/16,1/128, 1.2,0.05,100, 200,16,120]
