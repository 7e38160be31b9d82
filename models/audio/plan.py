"""What the decoder must know of a sound beyond its shape and depth, and how the encoder finds it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_STRENGTH = 3
MOST_CHANNELS = 32  # of which each has a state of its own; more are coded as one channel


class SoundPlan(NamedTuple):
    """Non-negative integers, written into the block."""

    strength: int  # how much work a sample is worth, 0 .. MOST_STRENGTH


class Strength(NamedTuple):
    """Sizes and paces that belong to a strength."""

    solvers: tuple[tuple[int, int, float, int], ...]
    stages: tuple[tuple[int, float], ...]


STRENGTHS = (
    Strength(((8, 8, 0.998, 16),), ((32, 0.005), (16, 0.005))),
    Strength(((16, 16, 0.9995, 8), (8, 8, 0.995, 8)), ((256, 0.01), (32, 0.01), (16, 0.01))),
    Strength(((24, 8, 0.9995, 8), (20, 12, 0.998, 8), (8, 8, 0.99, 8)), ((1024, 0.01), (256, 0.01), (32, 0.01), (16, 0.01))),
    Strength(((24, 8, 0.9995, 8), (20, 12, 0.998, 8), (8, 8, 0.99, 8)), ((1024, 0.01), (256, 0.01), (32, 0.01), (16, 0.01))),
)


def choose_plan(samples: NDArray[np.int32], depth: int, effort: int) -> SoundPlan:
    """Choose how to code samples (frames, channels) of `depth` bits with an effort of 1 to 9."""
    if not 1 <= effort <= 9:
        raise ValueError(f"effort is {effort}, but must be 1 to 9")
    return SoundPlan(0 if effort <= 2 else 1 if effort <= 4 else 2 if effort <= 7 else 3)


def check_plan(plan: SoundPlan, shape: tuple[int, int], depth: int) -> None:
    """Raise ValueError where no encoder makes such a plan."""
    if not 0 <= plan.strength <= MOST_STRENGTH:
        raise ValueError(f"strength of the sound model is {plan.strength}, but must be 0 to {MOST_STRENGTH}")
    if not 1 <= depth <= 32 or len(shape) != 2 or shape[0] < 0 or shape[1] < 1:
        raise ValueError(f"no sound has the shape {shape} and {depth} bits a sample")
