"""What a decoder must know of a picture beyond its shape, and how an encoder finds it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmzip.models.image import lattice

_LARGEST = 1 << 28  # samples
_MOST_CHANNELS = 64
_SHARE = 0.9  # of pixels that a lattice must give exactly


class ImagePlan(NamedTuple):
    """Small integers that say how a picture is coded."""

    lattice: int  # NONE, PHOTO_CD or JPEG: what its RGB was made of
    corrected: int  # 1: not every pixel is exactly on the lattice
    order: int  # of the first three channels: 0 as they are, 1 second, first, third
    phases: int  # 1: least squares learn even and odd rows and columns apart
    mode: int  # 0 natural, 1 direct: whole pixels repeat
    effort: int  # 1 to 9


def choose_plan(pixels: NDArray[np.uint8] | NDArray[np.uint16], depth: int, effort: int, palette: bool) -> ImagePlan:
    """Choose how to code pixels (height, width, channels); effort: 1 to 9; palette: values are names of colours."""
    channels = pixels.shape[2]
    kind = corrected = phases = 0
    if channels == 3 and depth == 8 and not palette:
        flat = np.ascontiguousarray(pixels)
        for candidate in (lattice.PHOTO_CD, lattice.JPEG):
            sample = flat.reshape(-1, 3)[:: max(1, flat.size // 3 // 4096)]
            _, exact = lattice.to_planes(sample[None], candidate)
            if exact >= _SHARE * len(sample) and (sample.max(axis=1) != sample.min(axis=1)).mean() > 0.5:
                _, exact = lattice.to_planes(flat, candidate)
                kind, corrected = candidate, int(exact < flat.size // 3)
                phases = 1
                break
    order = int(channels >= 3 and not palette and kind == lattice.NONE)
    return ImagePlan(kind, corrected, order, phases, _repeats(pixels), effort)


def check_plan(plan: ImagePlan, shape: tuple[int, int, int], depth: int) -> None:
    """Raise ValueError for a plan, shape or depth that no encoder writes."""
    height, width, channels = shape
    if not (1 <= depth <= 16 and height > 0 and width > 0 and 1 <= channels <= _MOST_CHANNELS):
        raise ValueError(f"no picture has the shape {shape} and {depth} bits")
    if height * width * channels > _LARGEST:
        raise ValueError(f"a picture of more than {_LARGEST:,} samples")
    limits = (lattice.KINDS - 1, 1, 1, 1, 1, 9)
    if len(plan) != len(limits) or any(not 0 <= field <= limit for field, limit in zip(plan, limits, strict=True)):
        raise ValueError(f"not a plan: {tuple(plan)}")
    if plan.effort < 1 or (plan.order and channels < 3):
        raise ValueError(f"not a plan for {channels} channels: {tuple(plan)}")
    if plan.lattice and (channels != 3 or depth != 8 or plan.order):
        raise ValueError("a lattice is of three channels of 8 bits")
    if plan.corrected and not plan.lattice:
        raise ValueError("corrections without a lattice")


def _repeats(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> int:
    """Say whether whole pixels often repeat the one on their left or above."""
    same = np.zeros(pixels.shape[:2], bool)
    same[:, 1:] |= (pixels[:, 1:] == pixels[:, :-1]).all(axis=2)
    same[1:] |= (pixels[1:] == pixels[:-1]).all(axis=2)
    return int(same.mean() > 0.2)
