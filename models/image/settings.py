"""What a decoder must know of a picture beyond its shape."""

from __future__ import annotations

from typing import NamedTuple

from lmzip.models.image import colour_lattice

_LARGEST = 1 << 28  # samples
_MOST_CHANNELS = 64
_WIDEST = 1 << 20  # samples of a row, of which some 150 bytes each are kept
MOST_COLOURS = 256  # that are listed


NATURAL, DIRECT = 0, 1  # modes


class ImageSettings(NamedTuple):
    """Small integers that say how a picture is coded; they are written into the block."""

    lattice: int  # NONE, PHOTO_CD or JPEG: the colour lattice (the RGB values that a YCC picture can reach) it is on
    corrected: int  # 1: not every pixel is exactly on the colour lattice
    colours: int  # so many occur, which are listed, and pixels are their numbers; 0: not so, or samples are coded
    order: int  # of the first three channels: 0 as they are, 1 second, first, third
    phases: int  # 1: least squares learn even and odd rows and columns apart
    mode: int  # NATURAL; DIRECT: whole pixels repeat, samples are coded bit by bit
    effort: int  # 1 to 9
    network: int  # 1: the trained network of such pictures refines predictions


def check_settings(settings: ImageSettings, shape: tuple[int, int, int], depth: int) -> None:
    """Raise ValueError for settings, a shape or a depth that no encoder writes."""
    height, width, channels = shape
    if not (1 <= depth <= 16 and height > 0 and width > 0 and 1 <= channels <= _MOST_CHANNELS):
        raise ValueError(f"no picture has the shape {shape} and {depth} bits")
    if height * width * channels > _LARGEST:
        raise ValueError(f"a picture of more than {_LARGEST:,} samples")
    if width * channels > _WIDEST:
        raise ValueError(f"a row of more than {_WIDEST:,} samples")
    limits = (colour_lattice.KINDS - 1, 1, MOST_COLOURS, 1, 1, 1, 9, 1)
    if len(settings) != len(limits) or any(
        not 0 <= field <= limit for field, limit in zip(settings, limits, strict=True)
    ):
        raise ValueError(f"no settings of a picture: {tuple(settings)}")
    if settings.effort < 1 or (settings.order and channels < 3):
        raise ValueError(f"no settings for {channels} channels: {tuple(settings)}")
    if settings.lattice and (channels != 3 or depth != 8 or settings.order):
        raise ValueError("a colour lattice is of three channels of 8 bits")
    if settings.colours and (settings.lattice or settings.order or settings.colours > height * width):
        raise ValueError(f"no settings for listed colours: {tuple(settings)}")
    if settings.network and (settings.mode or settings.colours or channels not in (1, 3)):
        raise ValueError("a network for pictures that none was trained for")
    if settings.corrected and not settings.lattice:
        raise ValueError("corrections without a colour lattice")
