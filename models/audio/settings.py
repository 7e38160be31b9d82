"""What a decoder must know of a sound beyond its shape and depth (SoundSettings), and how an encoder chooses it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class SoundSettings(NamedTuple):
    """How a sound is coded: small integers, which are written into the block.

    Attributes:
        strength: index into STRENGTHS.
    """

    strength: int


class LeastSquares(NamedTuple):
    """A linear prediction whose weights are solved for, see mixing/least_squares.py."""

    own: int  # features: samples of the channel itself
    beside: int  # and of its partner; a single channel has as many more of its own
    discount: float  # of the past, with each sample
    every: int  # samples between solutions


class Filter(NamedTuple):
    """A filter of the cascade."""

    taps: int
    pace: float
    behind: int = -1  # the least squares that a cascade begins behind; -1: it goes on with what the last filter leaves


class Strength(NamedTuple):
    """What predicts. A sample's prediction is found from that of the last filter."""

    least_squares: tuple[LeastSquares, ...]
    filters: tuple[Filter, ...]


_SHORT = (Filter(32, 0.08), Filter(16, 0.08))
_LONG = (Filter(1024, 0.05, 0), Filter(512, 0.05), Filter(256, 0.06), Filter(64, 0.08), Filter(16, 0.12))
_LONGER = (*_LONG[:3], Filter(128, 0.06), Filter(64, 0.08), Filter(32, 0.1), Filter(16, 0.12))
_BESIDE = (Filter(256, 0.06, 1), Filter(64, 0.08), Filter(16, 0.12))
_LONG_MEMORY = (LeastSquares(48, 0, 0.9998, 16), LeastSquares(24, 8, 0.9995, 16))
STRENGTHS = (
    Strength((LeastSquares(16, 8, 0.998, 16),), (Filter(16, 0.08, 0),)),
    Strength(
        (LeastSquares(16, 8, 0.9995, 16), LeastSquares(8, 8, 0.99, 16)),
        (Filter(256, 0.06, 0), *_SHORT),
    ),
    Strength(
        (*_LONG_MEMORY, LeastSquares(20, 12, 0.998, 8), LeastSquares(16, 8, 0.99, 8), LeastSquares(8, 8, 0.96, 8)),
        _LONG + _BESIDE,
    ),
    Strength(
        (
            LeastSquares(48, 0, 0.9998, 4), LeastSquares(24, 8, 0.9995, 4), LeastSquares(20, 12, 0.998, 4),
            LeastSquares(16, 8, 0.994, 2), LeastSquares(16, 8, 0.98, 2), LeastSquares(8, 4, 0.95, 1),
            LeastSquares(32, 32, 0.9999, 8),
        ),
        _LONGER + _BESIDE,
    ),
    Strength((*_LONG_MEMORY, LeastSquares(20, 12, 0.998, 16)), _LONG + _BESIDE),
)  # fmt: skip
MOST_FEATURES = 64  # of one of the least squares
_OF_EFFORT = (0, 0, 0, 1, 1, 2, 2, 2, 3, 3)
_COARSE, _OF_EFFORT_COARSE = 8, (0, 0, 0, 1, 1, 4, 4, 4, 3, 3)  # so few bits have no use for more least squares


def choose_settings(samples: NDArray[np.int32], depth: int, effort: int) -> SoundSettings:
    """Choose how to code samples (frames, channels) of `depth` bits with an effort of 1 to 9.

    Raises ValueError for another effort.
    """
    if not 1 <= effort <= 9:
        raise ValueError(f"effort is {effort}, but must be 1 to 9")
    return SoundSettings((_OF_EFFORT_COARSE if depth <= _COARSE else _OF_EFFORT)[effort])


def check_settings(settings: SoundSettings, shape: tuple[int, int], depth: int) -> None:
    """Raise ValueError where no encoder makes such settings for samples of such a shape and depth."""
    if not 0 <= settings.strength < len(STRENGTHS):
        raise ValueError(f"strength of the sound model is {settings.strength}, but must be below {len(STRENGTHS)}")
    if not 1 <= depth <= 32:
        raise ValueError(f"samples have {depth} bits, but must have 1 to 32")
    if len(shape) != 2 or shape[0] < 0 or shape[1] < 1:
        raise ValueError(f"samples have the shape {shape}, but must have (frames, channels)")
