"""What the sound model keeps between samples: of every channel, and the fixed tables."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmzip.models.audio import numbers
from lmzip.models.ensemble.numbers import squash_table, stretch_table

PAST = 64  # zeros before the first sample
STAGES = 3  # filters of the cascade
ROOM = 4096  # samples that a filter's history takes beyond its length before it is moved back
EXPERTS = 4  # predictions that a sample's distribution is made of
RATES = 2  # scales of each
DISTRIBUTIONS = EXPERTS * RATES
INPUTS = 16
NODES = 96
SETS = 4
CONTEXTS = 3


class Channels(NamedTuple):
    """Per channel."""

    signal: NDArray[np.float64]  # (channels, PAST + frames) samples times unit
    sums_a: NDArray[np.float64]  # (channels, n, width)
    weights_a: NDArray[np.float64]  # (channels, n)
    sums_b: NDArray[np.float64]
    weights_b: NDArray[np.float64]
    sums_m: NDArray[np.float64]
    weights_m: NDArray[np.float64]
    filter_0: NDArray[np.float32]  # (channels, taps)
    history_0: NDArray[np.float32]  # (channels, taps + ROOM)
    filter_1: NDArray[np.float32]
    history_1: NDArray[np.float32]
    filter_2: NDArray[np.float32]
    history_2: NDArray[np.float32]
    power: NDArray[np.float64]  # (channels, STAGES) mean squares of the histories
    scale: NDArray[np.float64]  # (channels, DISTRIBUTIONS) mean absolute errors in samples
    recent: NDArray[np.float64]  # (channels, 4): last errors' magnitudes
    mixer: NDArray[np.int32]  # (channels, rows, INPUTS)
    final: NDArray[np.int32]  # (channels, NODES, 16)
    counters: NDArray[np.int32]  # (channels, CONTEXTS * 256 * NODES) probability << 8 | times


class Work(NamedTuple):
    """Room for one sample."""

    features_a: NDArray[np.float64]
    features_b: NDArray[np.float64]
    features_m: NDArray[np.float64]
    scratch_a: NDArray[np.float64]
    scratch_b: NDArray[np.float64]
    scratch_m: NDArray[np.float64]
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
    own_a: int
    own_b: int


ROWS = (16 + 16 + 64 + 64) * NODES


def width(n: int) -> int:
    """Return the columns of a matrix of n features and the target: a multiple of 8."""
    return (n + 8) // 8 * 8


def make(channels: int, frames: int, n_a: int, n_b: int, taps: tuple[int, int, int], unit: float, knobs):
    """Return the state before the first sample."""
    n_m = 4

    def matrix(n: int):
        return np.zeros((channels, n, width(n)))

    weights = np.zeros((channels, ROWS, INPUTS), np.int32)
    weights[:, :, :DISTRIBUTIONS] = int(65536 * knobs[20])
    weights[:, :, DISTRIBUTIONS:DISTRIBUTIONS + CONTEXTS] = int(65536 * knobs[21])
    final = np.zeros((channels, NODES, 16), np.int32)
    final[:, :, :SETS] = 65536 // SETS
    ch = Channels(
        np.zeros((channels, PAST + frames)),
        matrix(n_a), np.zeros((channels, n_a)), matrix(n_b), np.zeros((channels, n_b)), matrix(n_m), np.zeros((channels, n_m)),
        *[np.zeros((channels, n + extra), np.float32) for n in taps for extra in (0, ROOM)],
        np.zeros((channels, STAGES)),
        np.full((channels, DISTRIBUTIONS), knobs[22] / unit), np.full((channels, 4), knobs[22] / unit),
        weights, final, np.full((channels, CONTEXTS * 256 * NODES), 32768 << 8, np.int32),
    )
    if True:
        ch.weights_a[:, 0] = 0
    work = Work(
        np.zeros(n_a), np.zeros(n_b), np.zeros(n_m), matrix(n_a)[0], matrix(n_b)[0], matrix(n_m)[0],
        np.zeros(EXPERTS), np.zeros(DISTRIBUTIONS), np.zeros(DISTRIBUTIONS), np.zeros((3, DISTRIBUTIONS)),
        np.zeros(INPUTS, np.int32), np.zeros(16, np.int32), np.zeros(SETS, np.int64), np.zeros(CONTEXTS, np.int64), knobs,
    )
    tables = Tables(numbers.distribution_tables(), np.array([1, 0, 1, 0, 1, 0, 1, 0]), squash_table(), stretch_table(),
                    (65536 // (np.arange(256) + 1.5)).astype(np.int32))
    return ch, work, tables


KNOBS = np.zeros(64)
KNOBS[[0,1,2,3,4,5,6,7,8,9,10,11,20,21,22,23,24,25]]=[0.9995,0.998,1,8,8,0.998,1, 0.005,0.005,0.005, 1/16,1/128, 0.15,0.0,100, 150,16,120]
