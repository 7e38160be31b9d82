# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""What fixed predictors leave of pixels and samples, and back: compiled.

Pixels are predicted by the median of left, above and left + above - corner (MED of JPEG-LS), samples of sound by the
line through the last two. Where there are several channels, those that are like another one are predicted relative to
it: in pictures of three channels and more the first and the third to the second, in sound all others to the first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmzip.coders.compiled import compiled

kernel = compiled()


@kernel
def _predict(relative, y, x, c, is_sound):
    """Return the prediction of relative[y, x, c], of which those on the left and above are known."""
    if is_sound:
        if x == 0:
            return np.int64(0)
        if x == 1:
            return relative[y, 0, c]
        return 2 * relative[y, x - 1, c] - relative[y, x - 2, c]
    if y == 0:
        return relative[y, x - 1, c] if x else np.int64(0)
    above = relative[y - 1, x, c]
    if x == 0:
        return above
    left, corner = relative[y, x - 1, c], relative[y - 1, x - 1, c]
    if corner >= max(left, above):
        return min(left, above)
    if corner <= min(left, above):
        return max(left, above)
    return left + above - corner


@kernel
def _to_differences(planes, order, references, mask, is_sound, relative, left):
    half = (mask + 1) >> 1
    for y in range(planes.shape[0]):
        for x in range(planes.shape[1]):
            for i in range(len(order)):
                c, r = order[i], references[i]
                relative[y, x, c] = planes[y, x, c] - (planes[y, x, r] if r >= 0 else 0)
                left[y, x, i] = ((relative[y, x, c] - _predict(relative, y, x, c, is_sound) + half) & mask) - half


@kernel
def _from_differences(left, order, references, low, mask, is_sound, relative, planes):
    for y in range(planes.shape[0]):
        for x in range(planes.shape[1]):
            for i in range(len(order)):
                c, r = order[i], references[i]
                reference = planes[y, x, r] if r >= 0 else 0
                value = _predict(relative, y, x, c, is_sound) + reference + left[y, x, i]
                planes[y, x, c] = ((value - low) & mask) + low
                relative[y, x, c] = planes[y, x, c] - reference


def _order(channels: int, is_sound: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the channels in the order of their coding, and which one each is relative to, -1 for none."""
    if is_sound or channels < 3:
        return np.arange(channels), np.array([-1] + [0 if is_sound else -1] * (channels - 1))
    return np.array([1, 0, 2, *range(3, channels)]), np.array([-1, 1, 1] + [-1] * (channels - 3))


def differences(planes: NDArray[Any], depth: int, is_sound: bool) -> NDArray[Any]:
    """Return what the predictions leave of planes (rows, width, channels), in the order of their coding.

    depth: bits of a sample. Differences wrap around to -2^(depth - 1) to 2^(depth - 1) - 1.
    """
    left, relative = np.empty_like(planes), np.empty_like(planes)
    _to_differences(planes, *_order(planes.shape[2], is_sound), (1 << depth) - 1, is_sound, relative, left)
    return left


def add_up(left: NDArray[Any], depth: int, is_sound: bool) -> NDArray[Any]:
    """Return the planes that `differences` was given; samples of sound are signed."""
    low = -(1 << depth - 1) if is_sound else 0
    planes, relative = np.empty_like(left), np.empty_like(left)
    _from_differences(left, *_order(left.shape[2], is_sound), low, (1 << depth) - 1, is_sound, relative, planes)
    return planes
