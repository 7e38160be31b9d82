"""What the coder of a picture remembers: its last rows, what it has learnt, and the decision at hand."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from lmzip.models.image import tables
from lmzip.models.mixing import logistic
from lmzip.models.mixing.least_squares import columns_of

PAD = 4  # samples beside a row
ROWS = 4  # rows kept, the one at hand among them
BLOCK, MOST_BLOCKS = 8, 4096  # columns of a block at least; blocks of all channels
SQUARES = 3  # least squares, each with inputs of its own
NEIGHBOURS = 32  # inputs of least squares at most
COLUMNS = columns_of(NEIGHBOURS)  # of their sums
PREDICTIONS = 9  # squares, others, their mean by merit, and what the network makes of that
MEAN, LAST = PREDICTIONS - 2, PREDICTIONS - 1
EXPERTS = 9  # distributions
FEATURES, FIRST, SECOND = 64, 32, 16  # of the network: inputs at most, units of its hidden layers
LEVELS = 80  # of local error
NODES = 128
COUNTERS = 20  # contexts of adaptive counters
SETS = 5  # of the mixer's weights
INPUTS = 64
MAPS = 2


class Plane(NamedTuple):
    """One picture: its size, and fixed tables."""

    rows: NDArray[np.int32]  # (ROWS, channels, width + 2 PAD)
    errors: NDArray[np.int32]  # (2, channels, PREDICTIONS, width + 2 PAD): sizes of errors, in units of 2^-4
    residuals: NDArray[np.int32]  # (2, channels, width + 2 PAD): signed, of the final prediction, whole samples
    colours: NDArray[np.uint32]  # (ROWS, width + 2 PAD): hashes of whole pixels
    places: NDArray[np.int64]  # (channels, SQUARES, NEIGHBOURS, 3): channel, rows up, columns right
    counts: NDArray[np.int64]  # (channels, SQUARES) inputs


class Learnt(NamedTuple):
    """What is learnt of the picture."""

    # Of the first least squares, then of the others: of this row's part of the block at hand, and of the blocks of the
    # rows above, with an empty one on both sides.
    covariance: NDArray[np.float64]  # (channels, phases, NEIGHBOURS, COLUMNS)
    parts: NDArray[np.float64]  # (channels, SQUARES - 1, NEIGHBOURS, COLUMNS)
    blocks: NDArray[np.float64]  # (channels, SQUARES - 1, blocks + 2, NEIGHBOURS, COLUMNS)
    weights: NDArray[np.int32]  # (channels, SQUARES, phases, NEIGHBOURS)
    scales: NDArray[np.int32]  # (channels, PREDICTIONS, LEVELS): mean size of errors, in units of 2^-12
    bias: NDArray[np.int32]  # (channels, 1024, 2): sum of errors in units of 2^-4, count
    counters: NDArray[np.uint32]  # (2^b,): probability << 10 | times seen
    seen: NDArray[np.int64]  # (2^b,): where the same pixels stood around, as pixels from the first
    mixer: NDArray[np.int32]  # (SETS, rows, INPUTS)
    final: NDArray[np.int32]  # (8 * NODES, SETS)
    maps: NDArray[np.int32]  # adaptive maps, flat


# The sample and the decision at hand: a record, as kernels pass that on as one pointer, and a tuple array by array.
CURSOR = np.dtype(
    [
        ("inputs", np.int32, (SQUARES, NEIGHBOURS)),  # of least squares
        ("values", np.float64, (COLUMNS,)),
        ("work", np.float64, (NEIGHBOURS, COLUMNS)),
        ("solution", np.float64, (NEIGHBOURS,)),
        ("features", np.int32, (FEATURES,)),  # inputs of the network, and its hidden units
        ("first_units", np.int32, (FIRST,)),
        ("second_units", np.int32, (SECOND,)),
        ("predictions", np.int32, (PREDICTIONS,)),  # in units of 2^-4
        ("centre", np.int32, (EXPERTS,)),  # of distributions, in units of 2^-4
        ("inverse", np.float64, (EXPERTS,)),  # 1 / scale, times STEPS / 2^4
        ("low", np.float64, (EXPERTS,)),  # share of a distribution below the range at hand
        ("high", np.float64, (EXPERTS,)),
        ("middle", np.float64, (EXPERTS,)),
        ("contexts", np.uint32, (COUNTERS,)),  # hashes of the sample's contexts
        ("places", np.int64, (COUNTERS,)),  # counters of the decision
        ("mixed", np.int32, (INPUTS,)),  # inputs of the mixer
        ("rows", np.int64, (SETS,)),  # weights chosen
        ("outputs", np.int32, (SETS + 1,)),
        ("steps", np.int64, (MAPS + 1,)),
        ("facts", np.int64, (16,)),  # see decisions.py
    ],
    align=True,
)


def make_plane(width: int, channels: int, places: NDArray[np.int64], counts: NDArray[np.int64]) -> Plane:
    """Return a picture without rows."""
    wide = width + 2 * PAD
    return Plane(
        rows=np.zeros((ROWS, channels, wide), np.int32),
        errors=np.zeros((2, channels, PREDICTIONS, wide), np.int32),
        residuals=np.zeros((2, channels, wide), np.int32),
        colours=np.zeros((ROWS, wide), np.uint32),
        places=places,
        counts=counts,
    )


def block_width(width: int, channels: int) -> int:
    """Return the columns of a block: few, but all blocks have at most MOST_BLOCKS, so 70 MB."""
    return max(BLOCK, -(-width * channels // MOST_BLOCKS))


def make_learnt(width: int, channels: int, phases: int, bits: int) -> Learnt:
    """Return what is learnt of nothing."""
    square = (NEIGHBOURS, COLUMNS)
    blocks = -(-width // block_width(width, channels))
    weights = np.zeros((channels, SQUARES, phases, NEIGHBOURS), np.int32)
    levels = np.arange(LEVELS, dtype=np.int64)
    quarter = np.array([1000, 1189, 1414, 1682])
    scales = np.minimum((4 << (levels // 4)) * quarter[levels % 4] * 256 // 1000, 1 << 28)
    mixer = np.zeros((SETS, 4096, INPUTS), np.int32)
    mixer[:, :, :EXPERTS] = 7000
    mixer[:, :, EXPERTS + 1 : EXPERTS + 1 + COUNTERS] = 3000
    squash = logistic.squash_table()
    support = squash[np.arange(33) * (2 * logistic.LOGIT_MAX) // 32]
    return Learnt(
        covariance=np.zeros((channels, phases, *square)),
        parts=np.zeros((channels, SQUARES - 1, *square)),
        blocks=np.zeros((channels, SQUARES - 1, blocks + 2, *square)),
        weights=weights,
        scales=np.broadcast_to(scales, (channels, PREDICTIONS, LEVELS)).astype(np.int32, "C"),
        bias=np.zeros((channels, 1024, 2), np.int32),
        counters=np.full(1 << bits, 1 << 31, np.uint32),
        seen=np.full(1 << max(bits - 4, 10), -1, np.int64),
        mixer=mixer,
        final=np.full((8 * NODES, SETS), 65536 // SETS, np.int32),
        maps=np.append(np.tile(support, NODES * 64 * MAPS), support[-1]).astype(np.int32),
    )


def make_cursor() -> np.void:
    """Return a cursor at nothing."""
    return cast(np.void, np.zeros(1, CURSOR)[0])


def make_fixed() -> np.void:
    """Return the fixed tables: a record, as the cursor is."""
    parts: dict[str, NDArray[Any]] = {
        "stretch": logistic.stretch_table(),
        "squash": logistic.squash_table(),
        "distribution": tables.distribution(),
        "logs": tables.logs(),
        "counter_rates": logistic.counter_rates(),
    }
    record = np.zeros(1, np.dtype([(name, part.dtype, part.shape) for name, part in parts.items()], align=True))[0]
    for name, part in parts.items():
        record[name] = part
    return cast(np.void, record)
