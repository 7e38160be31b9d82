"""Blocks of pixels or samples: a deconstructed piece of a file, and back.

`lmzip.formats` deconstructs and reconstructs files. `lmzip.models.image` and `lmzip.models.audio` code the arrays, or
a network whose symbols their samples are (`lmzip.models.networks.residuals`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from numpy.typing import NDArray

from lmzip import container, formats
from lmzip.blocks import lockstep
from lmzip.coders import CODER_IDS, CODERS, CoderError, Encoder
from lmzip.container import MediaHead
from lmzip.errors import CorruptError, LMZError, UnsupportedError
from lmzip.formats import Deconstructed, Shape
from lmzip.models.protocols import Predictor, SampleModel
from lmzip.options import Options, Progress

TYPES = {"image": container.IMAGE, "audio": container.AUDIO}
# A compressed file decodes to at most so many bits of samples a byte: deflate's 1,032 bytes; FLAC stays below.
_MOST_BITS = 8 * 1032
REPORT = "Please report this with the output of `lmzip models info`"


class _ArrayModel(NamedTuple):
    """What codes a kind of array."""

    settings: Any  # a named tuple
    choose_settings: Callable[[Deconstructed, int], tuple[int, ...]]
    check_settings: Callable[..., None]
    encode: Callable[..., None]
    decode: Callable[..., Any]
    is_trusted: Callable[[], bool]


def encode_media(
    deconstructed: Deconstructed, raw_size: int, side_data: tuple[int, bytes], options: Options,
    network: SampleModel | None, progress: Progress,
) -> bytes | None:  # fmt: skip
    """Return the payload of a block of pixels or samples; None where the model does not take such shapes.

    raw_size: bytes of the piece. side_data: deconstructed.side_data as a block, (record type, payload). network: a
    model whose symbols the samples are, None for the one that learns the array while it reads.
    """
    coder = CODER_IDS[options.coder]
    encoder = CODERS[coder][0]()
    if network is not None:
        settings: tuple[int, ...] = _encode_symbols(deconstructed, raw_size, options, network, encoder, progress)
    else:
        model = _model(deconstructed.kind)
        settings = model.choose_settings(deconstructed, options.level)
        try:
            model.check_settings(settings, deconstructed.samples.shape, deconstructed.depth)
        except ValueError:
            return None
        report = _in_bytes(progress, deconstructed.samples.shape, raw_size)
        model.encode(deconstructed.samples, deconstructed.depth, settings, encoder, report)
    head = MediaHead(coder, tuple(settings), len(deconstructed.side_data), *side_data)
    return container.create_media_head(head) + encoder.finish()


def decode_media(
    type_: int, payload: bytes, raw_size: int, what: str, decode_side_data: Callable[[int, bytes, int], bytes],
    network: Predictor | None, progress: Progress,
) -> bytes:  # fmt: skip
    """Return the piece of a file. decode_side_data: gives the content of a block by its type, payload and size.

    network: the model of a block of SAMPLES. Raises CorruptError and UnsupportedError; what: the block's name in them.
    """
    head, start = container.parse_media_head(type_, payload, raw_size)
    if head.coder not in CODERS:
        raise UnsupportedError(f"{what}: coder {head.coder} is of a newer lmzip")
    side_data = decode_side_data(head.side_data_type, head.side_data, head.side_data_size)
    try:
        found = formats.shape_of(side_data)
        count = math.prod(found.shape)
        if type_ not in (TYPES[found.kind], container.SAMPLES) or count * found.depth > _MOST_BITS * raw_size:
            raise ValueError(f"{raw_size:,} bytes cannot be {found.kind} of the shape {found.shape}")
        if type_ == container.SAMPLES:
            if network is None or network.kind != found.kind:
                raise ValueError(f"its model, {network.id if network else 'none'}, is not one of {found.kind}")
            samples = _decode_symbols(found, head, payload[start:], raw_size, cast(SampleModel, network), progress)
        else:
            samples = _decode_array(found, head, payload[start:], raw_size, progress)
        return formats.reconstruct(found.kind, samples, found.depth, side_data)
    except (CoderError, ValueError) as error:
        raise CorruptError(f"{what}: {error}") from error


def _decode_array(found: Shape, head: MediaHead, code: bytes, raw_size: int, progress: Progress) -> NDArray[Any]:
    """Return the array of a block of IMAGE or AUDIO; ValueError and CoderError where there is none."""
    from lmzip.coders.bits import finish_bits, open_bits  # numba takes its time

    model = _model(found.kind)
    if len(head.settings) != len(model.settings._fields):
        raise ValueError(f"settings of {len(head.settings)} fields")
    settings = model.settings(*head.settings)
    model.check_settings(settings, found.shape, found.depth)
    reader = open_bits(head.coder, code)
    report = _in_bytes(progress, found.shape, raw_size)
    samples: NDArray[Any] = model.decode(found.shape, found.depth, settings, reader, report)
    finish_bits(reader)
    return samples


def _encode_symbols(
    deconstructed: Deconstructed, raw_size: int, options: Options, network: SampleModel, encoder: Encoder,
    progress: Progress,
) -> tuple[int, ...]:  # fmt: skip
    """Code the samples as symbols of a network; return the settings. Twin: _decode_symbols."""
    symbols = network.encode(deconstructed.samples, deconstructed.depth)
    windows = min(options.settings.windows(len(symbols)), len(symbols), network.most_windows)
    stride = lockstep.stride_of(windows, network.alphabet)

    def watch(done: int, size: int) -> None:
        progress(done * raw_size / len(symbols))

    session = network.begin(windows, True, stride)
    lockstep.encode_symbols(session, symbols, windows, encoder, watch, stride)
    return (windows,)


def _decode_symbols(
    found: Shape, head: MediaHead, code: bytes, raw_size: int, network: SampleModel, progress: Progress
) -> NDArray[Any]:
    """Decode what _encode_symbols coded; ValueError and CoderError where that cannot be."""
    count = network.count_symbols(found.shape, found.depth)
    if len(head.settings) != 1 or not 1 <= head.settings[0] <= min(count, container.MAX_WINDOWS):
        raise ValueError(f"settings of {head.settings}")
    decoder = CODERS[head.coder][1](code)
    session = network.begin(head.settings[0], True)
    symbols = lockstep.decode_symbols(
        session, decoder, count, head.settings[0], lambda done: progress(done * raw_size / count)
    )
    decoder.finish()
    return network.decode(symbols, found.shape, found.depth)


@functools.cache
def distrust(kind: str) -> str | None:
    """Return why the model of a kind of array must not be used here; None once it has proved itself."""
    try:
        trusted = _array_model(kind).is_trusted()
    except (OSError, ValueError) as error:  # weights of the package are missing or damaged
        return str(error)
    if trusted:
        return None
    return (
        f"the model of {kind} does not compute exactly on this machine: its self-test gives other integers than "
        "everywhere else"
    )


def _model(kind: str) -> _ArrayModel:
    """Return what codes a kind of array; LMZError unless it has proved itself on this machine."""
    if problem := distrust(kind):
        raise LMZError(f"{problem}. Nothing was coded. {REPORT}")
    return _array_model(kind)


def _array_model(kind: str) -> _ArrayModel:
    """Return what codes a kind of array."""
    if kind == "image":
        from lmzip.models import image  # numba takes its time

        return _ArrayModel(
            image.ImageSettings, lambda d, level: image.choose_settings(d.samples, d.depth, level, d.palette),
            image.check_settings, image.encode_pixels, image.decode_pixels, image.is_trusted,
        )  # fmt: skip
    from lmzip.models import audio

    return _ArrayModel(
        audio.SoundSettings, lambda d, level: audio.choose_settings(d.samples, d.depth, level),
        audio.check_settings, audio.encode_samples, audio.decode_samples, audio.is_trusted,
    )  # fmt: skip


def _in_bytes(progress: Progress, shape: tuple[int, ...], size: int) -> Callable[[int], None]:
    """Return what reports how many pixels or frames are done as bytes of the piece."""
    count = math.prod(shape[:-1])
    return lambda done: progress(done * size / count)
