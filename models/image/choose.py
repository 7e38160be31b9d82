"""How an encoder finds the settings of a picture: it looks at it, and tries what may be good on a piece of it."""

from __future__ import annotations

import concurrent.futures
import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lmzip.models.image import colour_lattice
from lmzip.models.image.coder import Pixels
from lmzip.models.image.pixels import encode_pixels, list_colours
from lmzip.models.image.settings import DIRECT, MOST_COLOURS, NATURAL, ImageSettings
from lmzip.models.mixing.code_length import UNIT, decisions_cost

_SHARE = 0.9  # of pixels that a colour lattice must give exactly, clipped ones left out
_UNCLIPPED, _MANY = 0.1, 0.8  # shares of pixels that are not clipped: too few to judge, enough not to try a lattice
_SELDOM, _OFTEN = 0.02, 0.6  # shares of repeated pixels between which both modes are tried
_NO_NETWORK = 3  # the last effort without
_STRIPS, _ROWS, _COLUMNS = 4, 16, 256  # of the piece


class _Counter:
    """An encoder of decisions (DecisionEncoder) that only counts what a code would take."""

    def __init__(self) -> None:
        self.cost = 0  # in units of 1 / UNIT bits

    def encode_bits(self, bits: NDArray[np.uint8], probabilities: NDArray[np.uint16]) -> None:
        """Count decisions."""
        self.cost += decisions_cost(bits, probabilities)


def choose_settings(pixels: Pixels, depth: int, effort: int, palette: bool) -> ImageSettings:
    """Choose how to code pixels (height, width, channels), uint8 or uint16.

    effort: 1 to 9. palette: values are the numbers of colours, so that their differences mean little.
    """
    channels = pixels.shape[2]
    plain = on_lattice = ImageSettings(0, 0, 0, int(channels >= 3), 0, NATURAL, effort, 0)
    sure = False
    if channels == 3 and depth == 8:
        on_lattice, sure = _on_lattice(pixels, plain)
    repeats = _repeats(pixels)
    modes = [NATURAL] if repeats < _SELDOM else [DIRECT] if repeats > _OFTEN or palette else [NATURAL, DIRECT]
    if sure and repeats < _SELDOM:
        return on_lattice._replace(network=int(effort > _NO_NETWORK))
    candidates = [base._replace(mode=mode) for base in dict.fromkeys((plain, on_lattice)) for mode in modes]
    colours = 0 if palette else _count_colours(pixels)
    if colours:
        candidates += [ImageSettings(0, 0, colours, 0, 0, mode, effort, 0) for mode in modes]
    cost = functools.cache(functools.partial(_cost, pixels, depth))
    best = candidates[0] if len(candidates) == 1 else _cheapest(candidates, cost)
    if palette or best.mode != NATURAL or best.colours or channels not in (1, 3) or effort <= _NO_NETWORK:
        return best
    return _cheapest([best, best._replace(network=1)], cost)


def _cheapest(candidates: list[ImageSettings], cost: Callable[[ImageSettings], int]) -> ImageSettings:
    """Return the candidate with the lowest cost; two are tried at a time."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        costs = list(pool.map(cost, candidates))
    return candidates[costs.index(min(costs))]


def _on_lattice(pixels: Pixels, settings: ImageSettings) -> tuple[ImageSettings, bool]:
    """Return settings with the colour lattice that nearly all pixels are on, if there is one, and whether that is sure.

    A clipped colour is no evidence: many others off the lattice would have become the same.
    """
    flat = np.ascontiguousarray(pixels.reshape(1, -1, 3))
    sample = flat[:, :: max(1, flat.shape[1] // 4096)]
    whole = np.all((sample[0] > 0) & (sample[0] < 255), axis=1)
    share, sample = whole.mean(), sample[:, whole]
    if share < _UNCLIPPED:
        return settings, False
    if (sample.max(axis=2) == sample.min(axis=2)).mean() > 0.5:  # greys are on every lattice
        return settings, False
    for kind in (colour_lattice.PHOTO_CD, colour_lattice.JPEG):
        if colour_lattice.to_planes(sample, kind)[1] >= _SHARE * sample.shape[1]:
            corrected = colour_lattice.to_planes(flat, kind)[1] < flat.shape[1]
            return settings._replace(lattice=kind, corrected=int(corrected), order=0, phases=1), bool(share >= _MANY)
    return settings, False


def _repeats(pixels: Pixels) -> float:
    """Return the share of pixels that are as the one on the left or above."""
    same = np.zeros(pixels.shape[:2], bool)
    same[:, 1:] |= (pixels[:, 1:] == pixels[:, :-1]).all(axis=2)
    same[1:] |= (pixels[1:] == pixels[:-1]).all(axis=2)
    return float(same.mean())


def _count_colours(pixels: Pixels) -> int:
    """Return the number of colours, or 0 where there are too many, or too many for so few pixels, to list."""
    flat = pixels.reshape(-1, pixels.shape[2])
    for end in (4096, len(flat)):
        count = len(np.unique(flat[:end], axis=0))
        if count > MOST_COLOURS or 2 * count > end:
            return 0
    return count


def _cost(pixels: Pixels, depth: int, settings: ImageSettings) -> int:
    """Return what settings would take in units of 1 / UNIT bits, found by coding a piece."""
    height, width, channels = pixels.shape
    piece = _piece(pixels)
    counter, listing = _Counter(), 0
    if settings.colours:
        listed, numbers = list_colours(pixels)
        listing = len(listed) * channels * depth * UNIT * 7 // 10
        piece = _piece(numbers)
        depth, settings = max((settings.colours - 1).bit_length(), 1), settings._replace(colours=0)
    encode_pixels(piece, depth, settings, counter)
    return listing + counter.cost * height * width // (piece.shape[0] * piece.shape[1])


def _piece(pixels: Pixels) -> Pixels:
    """Return strips of pixels from all over, one below the other; the whole where it is small."""
    height, width = pixels.shape[:2]
    if height <= _STRIPS * _ROWS:
        left = max(width - _COLUMNS, 0) // 2
        return np.ascontiguousarray(pixels[:, left : left + _COLUMNS])
    strips = []
    for i in range(_STRIPS):
        top = (2 * i + 1) * height // (2 * _STRIPS) - _ROWS // 2
        left = max(width - _COLUMNS, 0) * (2 * (i * 5 % _STRIPS) + 1) // (2 * _STRIPS)
        strips.append(pixels[top : top + _ROWS, left : left + _COLUMNS])
    return np.concatenate(strips)
