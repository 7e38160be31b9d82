"""What a decoder must know of a picture beyond its shape."""

from __future__ import annotations

from typing import NamedTuple

from lmzip.models.image import colour_lattice

_LARGEST = 1 << 28  # samples
_MOST_CHANNELS = 64
_WIDEST = 1 << 20  # samples of a row, of which some 150 bytes each are kept
MOST_COLOURS = 256  # that are listed


class ImagePlan(NamedTuple):
    """Small integers that say how a picture is coded."""

    lattice: int  # NONE, PHOTO_CD or JPEG: what its RGB was made of
    corrected: int  # 1: not every pixel is exactly on the lattice
    colours: int  # so many occur, which are listed, and pixels are their numbers; 0: not so, or samples are coded
    order: int  # of the first three channels: 0 as they are, 1 second, first, third
    phases: int  # 1: least squares learn even and odd rows and columns apart
    mode: int  # 0 natural, 1 direct: whole pixels repeat
    effort: int  # 1 to 9
    network: int  # 1: the trained network of such pictures refines predictions


def check_plan(plan: ImagePlan, shape: tuple[int, int, int], depth: int) -> None:
    """Raise ValueError for a plan, shape or depth that no encoder writes."""
    height, width, channels = shape
    if not (1 <= depth <= 16 and height > 0 and width > 0 and 1 <= channels <= _MOST_CHANNELS):
        raise ValueError(f"no picture has the shape {shape} and {depth} bits")
    if height * width * channels > _LARGEST:
        raise ValueError(f"a picture of more than {_LARGEST:,} samples")
    if width * channels > _WIDEST:
        raise ValueError(f"a row of more than {_WIDEST:,} samples")
    limits = (colour_lattice.KINDS - 1, 1, MOST_COLOURS, 1, 1, 1, 9, 1)
    if len(plan) != len(limits) or any(not 0 <= field <= limit for field, limit in zip(plan, limits, strict=True)):
        raise ValueError(f"not a plan: {tuple(plan)}")
    if plan.effort < 1 or (plan.order and channels < 3):
        raise ValueError(f"not a plan for {channels} channels: {tuple(plan)}")
    if plan.lattice and (channels != 3 or depth != 8 or plan.order):
        raise ValueError("a lattice is of three channels of 8 bits")
    if plan.colours and (plan.lattice or plan.order or plan.colours > height * width):
        raise ValueError(f"not a plan for listed colours: {tuple(plan)}")
    if plan.network and (plan.mode or plan.colours or channels not in (1, 3)):
        raise ValueError("a network for pictures that none was trained for")
    if plan.corrected and not plan.lattice:
        raise ValueError("corrections without a lattice")
