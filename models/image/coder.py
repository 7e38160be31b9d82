"""The rows of one picture to decisions and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmzip.coders import CoderError
from lmzip.coders.bits import NO_BITS, BitReader
from lmzip.models.image import state
from lmzip.models.image.binarise import MOST_DECISIONS
from lmzip.models.image.decisions import BLOCK_WIDTH, LIMIT, MATCH
from lmzip.models.image.network import load_networks
from lmzip.models.image.samples import code_row
from lmzip.models.mixing.coding import IMPOSSIBLE, Decisions, make_coding, take_decisions

Pixels = NDArray[Any]  # of uint8 or uint16

_NEAR = [(1, 0), (1, -1), (1, 1), (0, -2), (2, 0), (2, 1), (2, -1), (1, -2), (1, 2), (0, -3), (3, 0)]  # up, right
_CODED = [(0, 0), (1, 0), (1, -1), (1, 1), (0, -2), (2, 0), (0, -3), (2, 1)]  # of channels coded before
_LATER = [(1, 0), (1, -1), (1, 1)]  # of channels coded after
_KEEPS = (0.9985, 0.6, 0.95)  # what least squares keep: the first of older samples, the others of rows further up
_NONE = (0, 0, 0)
# By effort: how many of these neighbours each of the least squares has, and after how many samples they are solved.
_FAST = ((_NONE, (5, 4, 0), _NONE), (8, 8, 8))
_USUAL = (((11, 8, 3), (7, 4, 1), (11, 6, 3)), (6, 3, 6))
_SLOW = (_USUAL[0], (1, 1, 1))

_PIECE = 1 << 14  # samples that are coded in one call
Numbers = tuple[tuple[int, int, int], ...]  # for each of the least squares: of _NEAR, of _CODED, of _LATER


class Coder:
    """Codes the rows of one picture, from the top."""

    def __init__(
        self, shape: tuple[int, int, int], depth: int, phases: int, mode: int, network: int, effort: int,
        reader: BitReader = NO_BITS,
    ) -> None:  # fmt: skip
        """phases: 1 or 4. mode: NATURAL or DIRECT. network: its kind, or 0. effort: 1 to 9. reader: of a decoder."""
        height, width, channels = shape
        self._top, self._phases, self._mode = (1 << depth) - 1, phases, mode
        counts, every = _FAST if effort <= 3 else _USUAL if effort < 9 else _SLOW
        self.plane = state.make_plane(width, channels, *_neighbours(channels, counts))
        bits = min(max((height * width * channels).bit_length() + 2, 14), 22)
        self.learnt = state.make_learnt(width, channels, phases, bits)
        self.networks = load_networks(network)
        self.cursor, self.fixed = state.make_cursor(), state.make_fixed()
        self.cursor["facts"][[LIMIT, MATCH, BLOCK_WIDTH]] = 250, -1, state.block_width(width, channels)
        self._pixels = max(_PIECE // channels, 1)
        most = min(self._pixels, width) * channels * MOST_DECISIONS
        self._coding = make_coding(most, reader)
        self.keeps, self.every = np.array(_KEEPS), np.array(every, np.int64)

    def row(self, image: NDArray[np.uint16], y: int) -> Iterator[Decisions]:
        """Code a row of an image (height, width, channels), which is written where the coder has a reader.

        Images of all depths are uint16: the kernels are compiled for one type. Yields bits and probabilities of
        pieces of the row; they are overwritten by the next piece.
        """
        width = image.shape[1]
        for first in range(0, width, self._pixels):
            possible = code_row(
                self.plane, self.learnt, self.networks, self.cursor, self.fixed, image, y, first,
                min(first + self._pixels, width), self._top, self._phases, self._mode, self.keeps, self.every,
                self._coding,
            )  # fmt: skip
            if possible < 0:
                raise CoderError(IMPOSSIBLE)
            yield take_decisions(self._coding)


def _neighbours(channels: int, numbers: Numbers) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the inputs of least squares: places (channels, SQUARES, NEIGHBOURS, 3) and their numbers."""
    places = np.zeros((channels, state.SQUARES, state.NEIGHBOURS, 3), np.int64)
    counts = np.zeros((channels, state.SQUARES), np.int64)
    for c in range(channels):
        for s, (near, coded, later) in enumerate(numbers):
            chosen = [(c, *place) for place in _NEAR[:near]]
            for other in range(max(0, c - 2), c):
                chosen += [(other, *place) for place in _CODED[:coded]]
            for other in range(c + 1, min(channels, c + 3)):
                chosen += [(other, *place) for place in _LATER[:later]]
            chosen = chosen[: state.NEIGHBOURS]
            counts[c, s] = len(chosen)
            places[c, s, : len(chosen)] = np.array(chosen, np.int64).reshape(-1, 3)
    return places, counts
