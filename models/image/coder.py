"""Pictures to decisions and back, row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lmzip.coders import CoderError
from lmzip.coders.bits import NO_BITS, BitReader
from lmzip.models.image import lattice, state
from lmzip.models.image.decisions import LIMIT, MATCH
from lmzip.models.image.plan import ImagePlan, check_plan
from lmzip.models.image.samples import DIRECT, code_row
from lmzip.models.image.spelling import MOST_DECISIONS

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
Progress = Callable[[int], None]

_NEAR = [(1, 0), (1, -1), (1, 1), (0, -2), (2, 0), (2, 1), (2, -1), (1, -2), (1, 2), (0, -3), (3, 0)]  # up, right
_CODED = [(0, 0), (1, 0), (1, -1), (1, 1), (0, -2), (2, 0)]  # of channels coded before
_LATER = [(1, 0), (1, -1), (1, 1)]  # of channels coded after
_COUNTS = ((11, 6, 3), (5, 4, 0), (7, 4, 1))  # how many of these each of the least squares has
_KEEPS = (0.9985, 0.99, 0.9997)  # what they keep of older samples
_EVERY = (4, 2, 8)  # samples, after which they are solved


class BitEncoder(Protocol):
    """What decisions are handed to."""

    def encode_bits(self, bits: NDArray[np.uint8], probabilities: NDArray[np.uint16]) -> None:
        """Code decisions, where 1 has `probabilities` / 65536."""


class Coder:
    """Codes the rows of one picture, from the top."""

    def __init__(self, shape: tuple[int, int, int], depth: int, phases: int, mode: int) -> None:
        """phases: 1 or 4. mode: NATURAL or DIRECT."""
        height, width, channels = shape
        self._top, self._phases, self._mode = (1 << depth) - 1, phases, mode
        self._plane = state.make_plane(width, channels, *_neighbours(channels))
        bits = min(max((height * width * channels).bit_length() + 2, 14), 22)
        self._learnt = state.make_learnt(channels, phases, bits, depth)
        self._cursor, self._fixed = state.make_cursor(), state.make_fixed()
        self._cursor.facts[LIMIT], self._cursor.facts[MATCH] = 250, -1
        most = width * channels * MOST_DECISIONS
        self._bits, self._probabilities = np.empty(most, np.uint8), np.empty(most, np.uint16)
        self._keeps, self._every = np.array(_KEEPS), np.array(_EVERY, np.int64)

    def row(
        self, image: Pixels, y: int, reader: BitReader = NO_BITS
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
        """Code a row of an image (height, width, channels), written where there is a reader: return decisions and probabilities."""
        count = code_row(
            self._plane, self._learnt, self._cursor, self._fixed, image, y, self._top, self._phases, self._mode, self._keeps,
            self._every, self._bits, self._probabilities, reader,
        )  # fmt: skip
        if count < 0:
            raise CoderError("coded data does not fit the probabilities")
        return self._bits[:count], self._probabilities[:count]


def _neighbours(channels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the inputs of least squares: places (channels, SQUARES, NEIGHBOURS, 3) and their numbers."""
    places = np.zeros((channels, state.SQUARES, state.NEIGHBOURS, 3), np.int64)
    counts = np.zeros((channels, state.SQUARES), np.int64)
    for c in range(channels):
        for s, (near, coded, later) in enumerate(_COUNTS):
            chosen = [(c, *place) for place in _NEAR[:near]]
            for other in range(max(0, c - 2), c):
                chosen += [(other, *place) for place in _CODED[:coded]]
            for other in range(c + 1, min(channels, c + 3)):
                chosen += [(other, *place) for place in _LATER[:later]]
            places[c, s, : len(chosen)], counts[c, s] = chosen, len(chosen)
    return places, counts


def encode_pixels(
    pixels: Pixels, depth: int, plan: ImagePlan, encoder: BitEncoder, progress: Progress | None = None
) -> None:
    """Hand the decisions of pixels (height, width, channels) to an encoder; progress is told the pixels done.

    Raises ValueError where the plan does not fit the pixels. Twin: decode_pixels.
    """
    check_plan(plan, pixels.shape, depth)
    if pixels.max() >> depth:
        raise ValueError(f"values do not fit into {depth} bits")
    for planes, phases, mode in _parts(_to_planes(pixels, plan), plan):
        coder = Coder(planes.shape, depth, phases, mode)
        for y in range(len(planes)):
            encoder.encode_bits(*coder.row(planes, y))
            if progress:
                progress((y + 1) * pixels.shape[1])


def decode_pixels(
    shape: tuple[int, int, int], depth: int, plan: ImagePlan, reader: BitReader, progress: Progress | None = None
) -> Pixels:
    """Return pixels (height, width, channels) from the decisions of a reader. Twin: encode_pixels.

    Raises CoderError where the code is impossible, ValueError where the plan does not fit.
    """
    check_plan(plan, shape, depth)
    channels = 6 if plan.corrected else shape[2]
    planes = np.zeros((shape[0], shape[1], channels), np.uint8 if depth <= 8 else np.uint16)
    parts = _parts(planes, plan)
    for part, phases, mode in parts:
        coder = Coder(part.shape, depth, phases, mode)
        for y in range(len(part)):
            coder.row(part, y, reader)
            if progress:
                progress((y + 1) * shape[1])
    planes = np.concatenate([part for part, _, _ in parts], axis=2)
    return _to_pixels(planes, plan)


def _parts(planes: Pixels, plan: ImagePlan) -> list[tuple[Pixels, int, int]]:
    """Cut planes into pictures that are coded one after the other, with the phases and the mode of each."""
    main = np.ascontiguousarray(planes[:, :, :3] if plan.lattice else planes), 4 if plan.phases else 1, plan.mode
    if plan.corrected:
        return [main, (np.ascontiguousarray(planes[:, :, 3:]), 1, DIRECT)]
    return [main]


def _to_planes(pixels: Pixels, plan: ImagePlan) -> Pixels:
    """Return what is coded in place of pixels, a copy. Twin: _to_pixels."""
    if plan.lattice:
        planes, _ = lattice.to_planes(pixels, plan.lattice)
        return planes if plan.corrected else np.ascontiguousarray(planes[:, :, :3])
    planes = np.array(pixels, order="C")
    if plan.order:
        planes[:, :, :2] = pixels[:, :, 1::-1]
    return planes


def _to_pixels(planes: Pixels, plan: ImagePlan) -> Pixels:
    """Return pixels of what was coded. Twin: _to_planes."""
    if plan.lattice:
        return lattice.to_pixels(planes, plan.lattice)
    if plan.order:
        planes[:, :, :2] = planes[:, :, 1::-1].copy()
    return planes
