"""One block to one record and back: the smallest of what the methods make of it."""

from __future__ import annotations

import dataclasses

from lmzip import container
from lmzip.blocks.fallback import decode_fallback, encode_fallback, fallback_beside, looks_random
from lmzip.blocks.media import TYPES, decode_media, encode_media
from lmzip.blocks.text import decode_in_lockstep, encode_in_lockstep, network_helps
from lmzip.errors import CorruptError, LMZError
from lmzip.formats import Deconstructed
from lmzip.models.networks.profile import is_portable
from lmzip.models.protocols import Model, Predictor, SampleModel
from lmzip.options import Options, Progress

# How side data is coded. For a header the ensemble would not pay for its loading.
_SIDE_DATA = Options(3, verify=False, kind="bytes")
SHORT_SIZE = 1 << 11  # bytes
_HEADER, _LARGEST_HEADER = dataclasses.replace(_SIDE_DATA, method="fallback"), 256


def encode_block(
    data: bytes, model: Model | None, file_start: bool, options: Options, progress: Progress | None = None
) -> tuple[int, bytes]:
    """Return (record type, payload): the smallest there is. data must not be empty.

    model: None for none. file_start: the block is the first of its file.
    progress: with options.verify, bytes that are coded and not yet compared count half.
    Raises LMZError where a block does not decode to itself again (options.verify, and always by a float network).
    """
    if model is not None and not is_portable(model.profile):
        options = dataclasses.replace(options, verify=True)
    report = progress or _unheard
    type_, payload = container.STORED, data
    if not looks_random(data):
        for candidate in _candidates(data, model, file_start, options, _half(report, 0) if options.verify else report):
            type_, payload = min((type_, payload), candidate, key=lambda pair: len(pair[1]))
    if options.verify:
        verify(type_, payload, data, model, _half(report, len(data)))
    return type_, payload


def encode_media_block(
    data: bytes, deconstructed: Deconstructed, whole: bool, options: Options, model: SampleModel | None = None,
    progress: Progress | None = None,
) -> tuple[int, bytes] | None:  # fmt: skip
    """Return (record type, payload) of a piece of a file that was deconstructed into samples and side data.

    whole: the file is compressed, so that its bytes are worth no other try than lzma's and zstd's; otherwise None is
    returned where these are as good. model: a network of such symbols that is to do it; None for the model that
    learns the array while it reads. progress, errors: as for encode_block.
    """
    report = progress or _unheard
    with fallback_beside(data) as fallback:
        how = _SIDE_DATA if len(deconstructed.side_data) > _LARGEST_HEADER else _HEADER
        side_data = deconstructed.side_data
        coded = encode_block(side_data, None, False, how) if side_data else (container.STORED, b"")
        type_ = TYPES[deconstructed.kind] if model is None else container.SAMPLES
        pass_ = _half(report, 0) if options.verify else report
        payload = encode_media(deconstructed, len(data), coded, options, model, pass_)
        if payload is None or len(payload) >= len(fallback.result()[1]):
            if not whole:
                return None
            type_, payload = min((container.STORED, data), fallback.result(), key=lambda pair: len(pair[1]))
    if options.verify:
        verify(type_, payload, data, model, _half(report, len(data)))
    return type_, payload


def _candidates(
    data: bytes, model: Model | None, file_start: bool, options: Options, progress: Progress
) -> list[tuple[int, bytes]]:
    """Return (record type, payload) of what may be smallest.

    lzma and zstd work beside the ensemble, which stops when it knows that it has lost.
    """
    type_ = lockstep_type(data, model, options)
    if type_ is None:
        return [encode_fallback(data)]
    with fallback_beside(data) as fallback:

        def limit() -> int | None:
            return len(fallback.result()[1]) if fallback.done() else None

        coded = encode_in_lockstep(type_, data, model, file_start, options, limit, progress)
        candidates = [fallback.result()] + ([] if coded is None else [(type_, coded)])
        if type_ == container.ENSEMBLE and wants_adaptive(
            data, min(len(payload) for _, payload in candidates), options
        ):
            adaptive = encode_in_lockstep(container.ADAPTIVE, data, None, file_start, options, limit, progress)
            candidates += [] if adaptive is None else [(container.ADAPTIVE, adaptive)]
        return candidates


def lockstep_type(data: bytes, model: Model | None, options: Options) -> int | None:
    """Return the type of lockstep block to try, None for none.

    A sample of longer data tells whether a network helps; short data is given to it.
    """
    method = options.settings.method if options.method == "auto" else options.method
    if method == "fallback":
        return None
    if model is None or method == "adaptive":
        return container.ADAPTIVE
    if options.method == "auto" and len(data) > SHORT_SIZE and not network_helps(data, model):
        return container.ADAPTIVE
    types = {"model": container.MODEL, "lm": container.MODEL, "rank": container.RANK}
    return types.get(method, container.ENSEMBLE)


def wants_adaptive(data: bytes, smallest: int, options: Options) -> bool:
    """Whether short data is worth a try without the network too: where with it, it takes more than half of its size."""
    return options.method == "auto" and len(data) <= SHORT_SIZE and 2 * smallest > len(data)


def _half(progress: Progress, before: int) -> Progress:
    """Return what reports one of two passes over a block; before: bytes of the pass that came first."""
    return lambda done: progress((before + done) / 2)


def _unheard(done: float) -> None:
    """Nobody asked."""


def verify(type_: int, payload: bytes, data: bytes, model: Predictor | None, progress: Progress | None = None) -> None:
    """Decode a block again; raise LMZError unless it gives data."""
    cause: LMZError | None = None
    try:
        if decode_payload(type_, payload, len(data), model, progress) == data:
            return
    except LMZError as error:
        cause = error
    raise failed_verification(len(data)) from cause


def failed_verification(size: int) -> LMZError:
    """Return the error for a block of `size` bytes that does not decode to itself again."""
    return LMZError(
        f"a block of {size:,} bytes did not decode to itself again; nothing of it was written. "
        "Please report this, with the file if you can, and the output of `lmzip models info`"
    )


def decode_payload(
    type_: int, payload: bytes, raw_size: int, model: Predictor | None, progress: Progress | None = None
) -> bytes:
    """Decode the payload of a block; the caller compares the checksum.

    Raises CorruptError where the payload cannot be right, whatever it decodes to.
    """
    what, report = f"{container.DATA_TYPES[type_]} block", progress or _unheard
    if type_ == container.STORED:
        data = payload
    elif type_ in (container.ZSTD, container.LZMA):
        data = decode_fallback(type_, payload, raw_size, what)
    elif type_ in container.MODEL_TYPES and model is None:
        raise CorruptError(f"{what}: no model definition came before it")
    elif type_ in container.MEDIA_TYPES:
        data = decode_media(type_, payload, raw_size, what, _decode_side_data, model, report)
    else:
        data = decode_in_lockstep(type_, payload, raw_size, model, what, report)
    if len(data) != raw_size:
        raise CorruptError(f"{what}: {len(data)} bytes where {raw_size} were declared")
    return data


def _decode_side_data(type_: int, payload: bytes, raw_size: int) -> bytes:
    """Decode side data."""
    return decode_payload(type_, payload, raw_size, None)
