"""Arrays of pixels to decisions and back: first made simpler where that is possible, then coded row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from lmzip.coders.bits import BitReader
from lmzip.models.image import colour_lattice
from lmzip.models.image.coder import Coder, Pixels
from lmzip.models.image.network import COLOUR, GREY, LUMA
from lmzip.models.image.samples import DIRECT, NATURAL
from lmzip.models.image.settings import ImagePlan, check_plan
from lmzip.models.mixing.coding import DecisionEncoder

Progress = Callable[[int], None]
Part = tuple[tuple[int, int, int], int, int, int, int]  # shape, depth, phases, mode, kind of network


def encode_pixels(
    pixels: Pixels, depth: int, plan: ImagePlan, encoder: DecisionEncoder, progress: Progress | None = None
) -> None:
    """Hand the decisions of pixels (height, width, channels) to an encoder; progress is told the pixels done.

    pixels: uint8, or uint16 where depth > 8. Raises ValueError where the plan does not fit them. Twin: decode_pixels.
    """
    check_plan(plan, pixels.shape, depth)
    if pixels.dtype != _dtype(depth) or pixels.max() >> depth:
        raise ValueError(f"pixels of {pixels.dtype} do not fit {depth} bits")
    pictures = _take_apart(pixels, plan)
    for picture, part in zip(pictures, _parts(pixels.shape, depth, plan), strict=True):
        shape, coder = part[0], Coder(*part, plan.effort)
        for y in range(shape[0]):
            for bits, probabilities in coder.row(picture, y):
                encoder.encode_bits(bits, probabilities)
            if progress and shape[0] == pixels.shape[0]:
                progress((y + 1) * shape[1])


def decode_pixels(
    shape: tuple[int, int, int], depth: int, plan: ImagePlan, reader: BitReader, progress: Progress | None = None
) -> Pixels:
    """Return pixels (height, width, channels) from the decisions of a reader. Twin: encode_pixels.

    Raises CoderError where the code is impossible, ValueError where the plan does not fit.
    """
    check_plan(plan, shape, depth)
    pictures: list[Pixels] = []
    for part in _parts(shape, depth, plan):
        size = part[0]
        picture, coder = np.zeros(size, np.uint16), Coder(*part, plan.effort, reader)
        for y in range(size[0]):
            for _ in coder.row(picture, y):
                pass
            if progress and size[0] == shape[0]:
                progress((y + 1) * size[1])
        pictures.append(picture.astype(_dtype(part[1]), copy=False))
    return _put_together(pictures, plan)


def _dtype(depth: int) -> type[np.uint8] | type[np.uint16]:
    return np.uint8 if depth <= 8 else np.uint16


def _parts(shape: tuple[int, int, int], depth: int, plan: ImagePlan) -> Iterator[Part]:
    """Yield the pictures that are coded one after the other."""
    height, width, channels = shape
    phases = 4 if plan.phases else 1
    if plan.colours:
        yield (1, plan.colours, channels), depth, 1, NATURAL, 0
        yield (height, width, 1), max((plan.colours - 1).bit_length(), 1), phases, plan.mode, 0
        return
    kind = GREY if channels == 1 else LUMA if plan.lattice else COLOUR
    yield shape, depth, phases, plan.mode, kind * plan.network
    if plan.corrected:
        yield shape, depth, 1, DIRECT, 0


def _take_apart(pixels: Pixels, plan: ImagePlan) -> list[Pixels]:
    """Return the pictures that are coded in place of pixels, copies, all uint16. Twin: _put_together."""
    if plan.colours:
        listed, numbers = list_colours(pixels)
        if len(listed) != plan.colours:
            raise ValueError(f"{len(listed)} colours, not {plan.colours}")
        return [listed[None].astype(np.uint16), numbers.astype(np.uint16)]
    if plan.lattice:
        planes, exact = colour_lattice.to_planes(pixels, plan.lattice)
        if not plan.corrected and exact < pixels.size // 3:
            raise ValueError("pixels beside the lattice need corrections")
        cut = [planes[:, :, :3], planes[:, :, 3:]]
        return [part.astype(np.uint16, "C") for part in cut[: 1 + plan.corrected]]
    picture = np.array(pixels, np.uint16, order="C")
    if plan.order:
        picture[:, :, :2] = pixels[:, :, 1::-1]
    return [picture]


def _put_together(pictures: list[Pixels], plan: ImagePlan) -> Pixels:
    """Return the pixels of pictures. Twin: _take_apart."""
    picture = pictures[-1]
    if plan.colours:
        return pictures[0][0][np.minimum(picture[:, :, 0], plan.colours - 1)]
    if plan.lattice:
        return colour_lattice.to_pixels(np.concatenate(pictures, axis=2), plan.lattice)
    if plan.order:
        picture[:, :, :2] = picture[:, :, 1::-1].copy()
    return picture


def list_colours(pixels: Pixels) -> tuple[Pixels, Pixels]:
    """Return the colours (n, channels) that occur, dark ones first, and pixels as their numbers (height, width, 1)."""
    flat = pixels.reshape(-1, pixels.shape[2])
    listed, numbers = np.unique(flat, axis=0, return_inverse=True)
    order = np.argsort(listed.sum(axis=1, dtype=np.int64), kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return listed[order], rank[numbers.reshape(-1)].astype(np.uint8).reshape(*pixels.shape[:2], 1)
