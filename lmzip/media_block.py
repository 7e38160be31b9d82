"""Blocks of pixels or samples: a piece of a file that was taken apart, and back.

`kinds/` takes apart and puts together; `lmzip.models.image` and `lmzip.models.audio` code the arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from lmzip import container, kinds
from lmzip.coders import CODER_IDS, CODERS, CoderError
from lmzip.container import MediaHead
from lmzip.errors import CorruptError, LMZError, UnsupportedError
from lmzip.kinds import Taken
from lmzip.options import Options, Progress

TYPES = {"image": container.IMAGE, "audio": container.AUDIO}
# A compressed file decodes to at most so many bits of samples a byte: deflate's 1,032 bytes; `kinds.flac` keeps below.
_MOST_BITS = 8 * 1032


class _ArrayModel(NamedTuple):
    """What codes a kind of array."""

    plan: Any  # a named tuple
    choose_plan: Callable[[Taken, int], tuple[int, ...]]
    check_plan: Callable[..., None]
    encode: Callable[..., None]
    decode: Callable[..., Any]


def encode_media(
    taken: Taken, raw_size: int, rest: tuple[int, bytes], options: Options, progress: Progress
) -> bytes | None:  # fmt: skip
    """Return the payload of a block of pixels or samples; None where the model does not take such shapes.

    raw_size: bytes of the piece. rest: taken.rest as a block, (record type, payload).
    """
    model = _model(taken.kind)
    coder = CODER_IDS[options.coder]
    encoder = CODERS[coder][0]()
    plan = model.choose_plan(taken, options.level)
    try:
        model.check_plan(plan, taken.samples.shape, taken.depth)
    except ValueError:
        return None
    model.encode(taken.samples, taken.depth, plan, encoder, _in_bytes(progress, taken.samples.shape, raw_size))
    head = MediaHead(coder, tuple(plan), len(taken.rest), *rest)
    return container.create_media_payload(head) + encoder.finish()


def decode_media(
    type_: int, payload: bytes, raw_size: int, what: str, decode_rest: Callable[[int, bytes, int], bytes],
    progress: Progress,
) -> bytes:  # fmt: skip
    """Return the piece of a file. decode_rest: gives the content of a block by its type, payload and size.

    Raises CorruptError and UnsupportedError; what: the block's name in them.
    """
    from lmzip.coders.bits import finish_bits, open_bits  # numba takes its time

    head, start = container.parse_media_payload(type_, payload, raw_size)
    if head.coder not in CODERS:
        raise UnsupportedError(f"{what}: coder {head.coder} is of a newer lmzip")
    rest = decode_rest(head.rest_type, head.rest, head.rest_size)
    try:
        found = kinds.shape_of(rest)
        count = math.prod(found.shape)
        if TYPES[found.kind] != type_ or count * found.depth > _MOST_BITS * raw_size:
            raise ValueError(f"{raw_size:,} bytes cannot be {found.kind} of the shape {found.shape}")
        model = _model(found.kind)
        if len(head.plan) != len(model.plan._fields):
            raise ValueError(f"a plan of {len(head.plan)} fields")
        plan = model.plan(*head.plan)
        model.check_plan(plan, found.shape, found.depth)
        reader = open_bits(head.coder, payload[start:])
        samples = model.decode(found.shape, found.depth, plan, reader, _in_bytes(progress, found.shape, raw_size))
        finish_bits(reader)
        return kinds.put_together(found.kind, samples, found.depth, rest)
    except (CoderError, ValueError) as error:
        raise CorruptError(f"{what}: {error}") from error


def _model(kind: str) -> _ArrayModel:
    """Return what codes a kind of array, once it has proved itself on this machine."""
    if kind == "image":
        from lmzip.models import image  # numba takes its time

        try:
            trusted = image.is_trusted()
        except (OSError, ValueError) as error:  # weights of the package are missing or damaged
            raise LMZError(str(error)) from error
        model = _ArrayModel(
            image.ImagePlan, lambda taken, level: image.choose_plan(taken.samples, taken.depth, level, taken.palette),
            image.check_plan, image.encode_pixels, image.decode_pixels,
        )  # fmt: skip
    else:
        from lmzip.models import audio

        trusted = audio.is_trusted()
        model = _ArrayModel(
            audio.SoundPlan, lambda taken, level: audio.choose_plan(taken.samples, taken.depth, level),
            audio.check_plan, audio.encode_samples, audio.decode_samples,
        )  # fmt: skip
    if not trusted:
        raise LMZError(
            f"the model of {kind} does not compute exactly on this machine: its self-test gives other integers than "
            "everywhere else. Nothing was coded. Please report this with the output of `lmzip models info`"
        )
    return model


def _in_bytes(progress: Progress, shape: tuple[int, ...], size: int) -> Callable[[int], None]:
    """Return what reports how many pixels or frames are done as bytes of the piece."""
    count = math.prod(shape[:-1])
    return lambda done: progress(done * size / count)
