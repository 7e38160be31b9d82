"""What the picture model keeps while it codes one picture.

`make_model` makes a `PictureModel`, which the kernels get as a whole or in parts: the last rows of samples, what each
part has learnt of the picture so far, and the state of the sample at hand.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from lmzip.models.image import tables
from lmzip.models.mixing import logistic
from lmzip.models.mixing.apm import STEPS
from lmzip.models.mixing.coding import Coding
from lmzip.models.mixing.least_squares import columns_of

PAD = 4  # samples beside a row
ROWS = 4  # rows kept, the one at hand among them
BLOCK, MOST_BLOCKS = 8, 4096  # columns of a block at least; blocks of all channels
SOLVED = 3  # least squares, each with inputs of its own
NEIGHBOURS = 32  # inputs of one at most
COLUMNS = columns_of(NEIGHBOURS)
# The predictions of a sample: first those of the least squares, then simple ones of the samples on the left (W), above
# (N), and so on, and of the same places in the channels coded before; then their mean, weighted by their merit, and
# what the network makes of that (the mean itself where there is none).
MEDIAN, ACROSS, AVERAGE, MEDIAN_ACROSS, MEAN, REFINED = range(SOLVED, SOLVED + 6)
PREDICTIONS = SOLVED + 6
EXPERTS = 9  # distributions
FEATURES, FIRST, SECOND = 64, 32, 16  # of the network: inputs at most, units of its hidden layers
LEVELS = 80  # of local error
NODES = 128  # kinds of decisions, see decisions.py
COUNTERS = 20  # contexts of adaptive counters
# The sets of the mixer's weights. A decision takes one row of each, chosen by its node, by the level of errors nearby,
# by the residuals nearby, by the parity of row and column, and by the differences of the neighbours. Decisions about
# whole pixels choose their rows by other things.
BY_NODE, BY_LEVEL, BY_RESIDUALS, BY_PARITY, BY_DIFFERENCES = range(5)
SETS = 5
MIXER_ROWS = 4096
INPUTS = 64  # of the mixer: EXPERTS, a constant, two for each counter, and zeros
APMS = 2  # adaptive probability maps


class RowHistory(NamedTuple):
    """The last rows; row y is at y % ROWS or y & 1, and column x at PAD + x."""

    samples: NDArray[np.int32]  # (ROWS, channels, width + 2 PAD)
    errors: NDArray[np.int32]  # (2, channels, PREDICTIONS, width + 2 PAD): sizes of errors, in units of 2^-4
    residuals: NDArray[np.int32]  # (2, channels, width + 2 PAD): signed, of the final prediction, whole samples
    colours: NDArray[np.uint32]  # (ROWS, width + 2 PAD): hashes of whole pixels


class LeastSquares(NamedTuple):
    """The predictors by least squares; the first learns from all that came before, the others by blocks of columns."""

    places: NDArray[np.int64]  # (channels, SOLVED, NEIGHBOURS, 3) of the inputs: channel, rows up, columns right
    counts: NDArray[np.int64]  # (channels, SOLVED) of inputs
    keeps: NDArray[np.float64]  # (SOLVED,): what the first keeps of older samples, the others of rows further up
    every: NDArray[np.int64]  # (SOLVED,) samples from one solution to the next
    sums: NDArray[np.float64]  # (channels, phases, NEIGHBOURS, COLUMNS) of the first
    row_sums: NDArray[np.float64]  # (channels, SOLVED - 1, NEIGHBOURS, COLUMNS): this row's part of the block at hand
    # (channels, SOLVED - 1, blocks + 2, NEIGHBOURS, COLUMNS): blocks of the rows above, an empty one on both sides
    block_sums: NDArray[np.float64]
    weights: NDArray[np.int32]  # (channels, SOLVED, phases, NEIGHBOURS)


class ErrorStatistics(NamedTuple):
    """How far predictions were off."""

    scales: NDArray[np.int32]  # (channels, PREDICTIONS, LEVELS): mean size of errors, in units of 2^-12
    bias: NDArray[np.int32]  # (channels, 1024, 2): sum of errors in units of 2^-4, count


class Networks(NamedTuple):
    """The weights of the picture network, for each channel of a picture; none: no network. See network.py."""

    places: NDArray[np.int64]  # (channels, FEATURES, 3) of its inputs: channel, rows up, columns right
    counts: NDArray[np.int64]  # (channels,) places
    first: NDArray[np.int32]  # (channels, FIRST, FEATURES)
    first_bias: NDArray[np.int32]  # (channels, FIRST)
    second: NDArray[np.int32]  # (channels, SECOND, FIRST)
    second_bias: NDArray[np.int32]  # (channels, SECOND)
    last: NDArray[np.int32]  # (channels, SECOND)
    last_bias: NDArray[np.int32]  # (channels, 1)
    squeeze: NDArray[np.int32]  # (2 * network.REACH + 1,)


class Decider(NamedTuple):
    """All that one binary decision needs."""

    sample: np.void  # see SAMPLE
    tables: np.void  # fixed tables, see make_tables
    counters: NDArray[np.uint32]  # (2^b,): probability << 10 | times seen
    mixer: NDArray[np.int32]  # (SETS, MIXER_ROWS, INPUTS)
    final_mixer: NDArray[np.int32]  # (8 * NODES, SETS)
    apms: NDArray[np.int32]  # flat, see mixing/apm.py
    coding: Coding


class RowSettings(NamedTuple):
    """How rows are coded."""

    top: int  # largest sample
    phases: int  # 4: least squares learn even and odd rows and columns apart; 1: together
    mode: int  # NATURAL or DIRECT
    block_width: int  # columns of a block of the least squares


class PictureModel(NamedTuple):
    """All that the kernels read and write. Its sample and tables are those of the decider."""

    settings: RowSettings
    sample: np.void
    tables: np.void
    history: RowHistory
    least_squares: LeastSquares
    statistics: ErrorStatistics
    networks: Networks
    seen: NDArray[np.int64]  # (2^b,): where the same pixels stood around, as pixels from the first
    decider: Decider


# The state of the sample and the decision at hand. It is a record, since kernels pass a record on as one pointer, and a
# tuple array by array.
SAMPLE = np.dtype(
    [
        # Predictions.
        ("inputs", np.int32, (SOLVED, NEIGHBOURS)),  # of least squares, less the sample on the left
        ("values", np.float64, (COLUMNS,)),  # the same with the target, as mixing/least_squares.py takes them
        ("work", np.float64, (NEIGHBOURS, COLUMNS)),
        ("solution", np.float64, (NEIGHBOURS,)),
        ("predictions", np.int32, (PREDICTIONS,)),  # in units of 2^-4
        ("signs", np.int64),  # which of six neighbours are above the mean prediction, as bits
        ("bias_place", np.int64),  # in ErrorStatistics.bias
        ("features", np.int32, (FEATURES,)),  # inputs of the network, and its hidden units
        ("feature_scale", np.int64),  # in units of 2^-4
        ("first_units", np.int32, (FIRST,)),
        ("second_units", np.int32, (SECOND,)),
        # Distributions of the experts.
        ("centre", np.int32, (EXPERTS,)),  # in units of 2^-4
        ("inverse", np.float64, (EXPERTS,)),  # 1 / scale, times tables.STEPS / 2^4
        ("low", np.float64, (EXPERTS,)),  # share below the range at hand, below its end, and below where it is split
        ("high", np.float64, (EXPERTS,)),
        ("middle", np.float64, (EXPERTS,)),
        # The decision.
        ("channel", np.int64),  # 7 for the seventh and all behind it, and for decisions about whole pixels
        ("rate", np.int64),  # at which the mixer learns
        ("contexts", np.uint32, (COUNTERS,)),  # hashes of the sample's contexts
        ("slots", np.int64, (COUNTERS,)),  # counters of the decision
        ("mixed", np.int32, (INPUTS,)),  # inputs of the mixer
        ("weight_rows", np.int64, (SETS,)),  # row of each set of weights
        ("outputs", np.int32, (SETS,)),  # logit of each set
        ("apm_steps", np.int64, (APMS + 1,)),  # as learn_apms takes them
        # Whole pixels that repeat.
        ("match", np.int64),  # the pixel, counted from the first, that stands where this one does in a match; -1: none
        ("match_length", np.int64),  # pixels that the match has foretold
        ("run", np.int64),  # pixels that were as the one on their left
        ("pattern", np.int64),  # which pixels around are equal, as bits
    ],
    align=True,
)


def block_width(width: int, channels: int) -> int:
    """Return the columns of a block: few, but all blocks have at most MOST_BLOCKS, so 75 MB."""
    return max(BLOCK, -(-width * channels // MOST_BLOCKS))


def make_model(
    shape: tuple[int, int, int], settings: RowSettings, inputs: tuple[NDArray[np.int64], NDArray[np.int64]],
    keeps: NDArray[np.float64], every: NDArray[np.int64], networks: Networks, coding: Coding,
) -> PictureModel:  # fmt: skip
    """Return a model that has seen nothing of a picture (height, width, channels).

    inputs: places and counts, as `LeastSquares` has them.
    """
    height, width, channels = shape
    bits = min(max((height * width * channels).bit_length() + 2, 14), 22)
    sample, fixed = cast(np.void, np.zeros(1, SAMPLE)[0]), make_tables()
    sample["match"] = -1
    return PictureModel(
        settings=settings,
        sample=sample,
        tables=fixed,
        history=_make_history(width, channels),
        least_squares=_make_least_squares(width, channels, settings, inputs, keeps, every),
        statistics=_make_statistics(channels),
        networks=networks,
        seen=np.full(1 << max(bits - 4, 10), -1, np.int64),
        decider=_make_decider(sample, fixed, bits, coding),
    )


def _make_history(width: int, channels: int) -> RowHistory:
    wide = width + 2 * PAD
    return RowHistory(
        samples=np.zeros((ROWS, channels, wide), np.int32),
        errors=np.zeros((2, channels, PREDICTIONS, wide), np.int32),
        residuals=np.zeros((2, channels, wide), np.int32),
        colours=np.zeros((ROWS, wide), np.uint32),
    )


def _make_least_squares(
    width: int, channels: int, settings: RowSettings, inputs: tuple[NDArray[np.int64], NDArray[np.int64]],
    keeps: NDArray[np.float64], every: NDArray[np.int64],
) -> LeastSquares:  # fmt: skip
    blocks = -(-width // settings.block_width)
    return LeastSquares(
        *inputs, keeps, every,
        sums=np.zeros((channels, settings.phases, NEIGHBOURS, COLUMNS)),
        row_sums=np.zeros((channels, SOLVED - 1, NEIGHBOURS, COLUMNS)),
        block_sums=np.zeros((channels, SOLVED - 1, blocks + 2, NEIGHBOURS, COLUMNS)),
        weights=np.zeros((channels, SOLVED, settings.phases, NEIGHBOURS), np.int32),
    )  # fmt: skip


def _make_statistics(channels: int) -> ErrorStatistics:
    levels = np.arange(LEVELS, dtype=np.int64)
    quarter = np.array([1000, 1189, 1414, 1682])  # 1000 times 2^(i / 4)
    scales = np.minimum((4 << (levels // 4)) * quarter[levels % 4] * 256 // 1000, 1 << 28)
    return ErrorStatistics(
        scales=np.broadcast_to(scales, (channels, PREDICTIONS, LEVELS)).astype(np.int32, "C"),
        bias=np.zeros((channels, 1024, 2), np.int32),
    )


def _make_decider(sample: np.void, fixed: np.void, bits: int, coding: Coding) -> Decider:
    mixer = np.zeros((SETS, MIXER_ROWS, INPUTS), np.int32)
    mixer[:, :, :EXPERTS] = 7000
    mixer[:, :, EXPERTS + 1 : EXPERTS + 1 + COUNTERS] = 3000
    support = logistic.squash_table()[np.arange(STEPS) * (2 * logistic.LOGIT_MAX) // (STEPS - 1)]
    return Decider(
        sample=sample,
        tables=fixed,
        counters=np.full(1 << bits, 1 << 31, np.uint32),
        mixer=mixer,
        final_mixer=np.full((8 * NODES, SETS), 65536 // SETS, np.int32),
        apms=np.append(np.tile(support, NODES * 64 * APMS), support[-1]).astype(np.int32),
        coding=coding,
    )


def make_tables() -> np.void:
    """Return the fixed tables: a record, as the state of a sample is."""
    parts: dict[str, NDArray[Any]] = {
        "stretch": logistic.stretch_table(),
        "squash": logistic.squash_table(),
        "counter_rates": logistic.counter_rates(),
        "distribution": tables.distribution(),
        "logs": tables.logs(),
    }
    record = np.zeros(1, np.dtype([(name, part.dtype, part.shape) for name, part in parts.items()], align=True))[0]
    for name, part in parts.items():
        record[name] = part
    return cast(np.void, record)
