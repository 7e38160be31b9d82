"""Blocks of pixels or samples: what is left of a piece of a file that was taken apart, and back.

`kinds/` takes apart and puts together; `lmzip.models.image` and `lmzip.models.audio` code the arrays.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from lmzip import container, kinds
from lmzip.coders import CODER_IDS, CODERS, CoderError
from lmzip.container import MediaHead
from lmzip.errors import CorruptError, LMZError, UnsupportedError
from lmzip.kinds import Taken
from lmzip.options import Options, Progress

TYPES = {"image": container.IMAGE, "audio": container.AUDIO}
# A compressed picture decodes to at most so many bits of samples for each byte of the file: deflate's 1,032 bytes.
_MOST_BITS = 8 * 1032


def encode_media(taken: Taken, raw_size: int, rest: tuple[int, bytes], options: Options, progress: Progress) -> bytes:
    """Return the payload of a block of pixels or samples.

    raw_size: bytes of the piece. rest: taken.rest as a block, (record type, payload).
    """
    models = _models(taken.kind)
    encoder = CODERS[CODER_IDS[options.coder]][0]()
    plan = models.choose_plan(taken.samples, taken.depth, options.level, taken.palette)
    models.encode(taken.samples, taken.depth, plan, encoder, _in_bytes(progress, taken.samples.size, raw_size))
    head = MediaHead(CODER_IDS[options.coder], tuple(plan), len(taken.rest), *rest)
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
        if TYPES[found.kind] != type_ or found.size * found.depth > _MOST_BITS * raw_size:
            raise ValueError(f"{found} does not come of {raw_size:,} bytes")
        models = _models(found.kind)
        plan = models.make_plan(head.plan)
        models.check_plan(plan, found.shape, found.depth)
        reader = open_bits(head.coder, payload[start:])
        samples = models.decode(found.shape, found.depth, plan, reader, _in_bytes(progress, found.size, raw_size))
        finish_bits(reader)
        return kinds.put_together(found.kind, samples, found.depth, rest)
    except (CoderError, ValueError) as error:
        raise CorruptError(f"{what}: {error}") from error


def _models(kind: str) -> Any:
    """Return the package that codes a kind of array, once it has proved itself on this machine."""
    package: Any = importlib.import_module(f"lmzip.models.{kind}")  # numba takes its time
    if not package.is_trusted():
        raise LMZError(
            f"the model of {kind} does not compute exactly on this machine: its self-test gives other integers than "
            "everywhere else. Nothing was coded. Please report this with the output of `lmzip models info`"
        )
    return package


def _in_bytes(progress: Progress, items: int, size: int) -> Callable[[int], None]:
    """Return what reports items of an array as bytes of the piece."""
    return lambda done: progress(done * size / items)
