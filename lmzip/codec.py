"""One block to one record and back.

A block is coded by the model, by lzma, by zstd, or stored, whichever is smallest. The loops of
`encode_symbols` and `decode_symbols` mirror each other; reading them side by side is the way to
understand the format.
"""

from __future__ import annotations

import dataclasses
import lzma
import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lmzip import container
from lmzip.coders import CODER_IDS, CODERS, CoderError, Decoder, Encoder
from lmzip.errors import CorruptError, LMZError, UnsupportedError
from lmzip.models.base import Model, Session

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CALL_ROWS = 2048  # predictions that the encoder asks for at a time

# The dictionary size is format: the decoder must have as much. How lzma looks at its input (bits of
# the literal before, of the position for literals, of the position) stands in the LZMA2 chunks, so
# the encoder is free: the default and the three that helped it most on small text and binary files.
_LZMA_FILTER = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 24}
_LZMA_VIEWS = [{"lc": lc, "lp": lp, "pb": pb} for lc, lp, pb in ((3, 0, 2), (1, 0, 0), (2, 0, 0), (0, 1, 2))]
_LZMA_SAMPLE = 1 << 16  # bytes of a block that all of them are tried on

_ZSTD_OPTIONS: dict[int, int] = {
    zstd.CompressionParameter.compression_level: 19,
    zstd.CompressionParameter.content_size_flag: 0,  # the record has it
}

# Called with the number of bytes of a block that are done, now and then, never with fewer than before.
Progress = Callable[[float], None]


@dataclasses.dataclass(frozen=True)
class Level:
    """How a block is cut: ceil(size / window_size) windows, but at most max_windows.

    Longer windows predict better; more windows decode faster.
    """

    block_size: int
    window_size: int
    max_windows: int

    def windows(self, size: int) -> int:
        """Return the number of windows for a block of `size` bytes: of nothing else."""
        return max(1, min(-(-size // self.window_size), self.max_windows))


LEVELS = {
    1: Level(1 << 20, 2048, 512),
    2: Level(1 << 20, 3072, 512),
    3: Level(1 << 21, 4096, 512),
    4: Level(1 << 22, 6144, 256),
    5: Level(1 << 22, 8192, 256),
    6: Level(1 << 22, 12288, 128),
    7: Level(1 << 22, 24576, 96),
    8: Level(1 << 23, 49152, 64),
    9: Level(1 << 24, 131072, 32),
}
DEFAULT_LEVEL = 6


@dataclasses.dataclass(frozen=True)
class Options:
    """How to encode: everything here can be seen in the bytes, except `verify`."""

    level: int = DEFAULT_LEVEL
    coder: str = "range"
    verify: bool = True

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"level must be 1 to 9, not {self.level!r}")
        if self.coder not in CODER_IDS:
            raise ValueError(f"coder must be one of {', '.join(CODER_IDS)}, not {self.coder!r}")

    @property
    def plan(self) -> Level:
        """The window plan of the level."""
        return LEVELS[self.level]


def encode_block(
    data: bytes, model: Model | None, file_start: bool, options: Options, progress: Progress | None = None
) -> tuple[int, bytes]:
    """Return (record type, payload): the smallest there is. data must not be empty.

    model: None tries no model. file_start: the block is the first of its file.
    progress: with options.verify, bytes that are coded and not yet compared count half.
    Raises LMZError where a block does not decode to itself again (options.verify).
    """
    candidates = [
        (container.STORED, data),
        (container.ZSTD, zstd.compress(data, options=_ZSTD_OPTIONS)),
        (container.LZMA, _encode_lzma(data)),
    ]
    type_, payload = min(candidates, key=lambda candidate: len(candidate[1]))
    if model is not None:
        report = _half(progress, 0) if options.verify else progress
        coded = _encode_with_model(data, model, file_start, options, len(payload), report)
        if coded is not None and len(coded) < len(payload):
            type_, payload = container.MODEL, coded
    if options.verify:
        _verify(type_, payload, data, model, _half(progress, len(data)))
    return type_, payload


def _half(progress: Progress | None, before: int) -> Progress | None:
    """Return what reports one of two passes over a block; before: bytes of the pass that came first."""
    return None if progress is None else lambda done: progress((before + done) / 2)


def _verify(type_: int, payload: bytes, data: bytes, model: Model | None, progress: Progress | None) -> None:
    """Decode a block again; raise LMZError unless it gives data."""
    cause: LMZError | None = None
    try:
        if decode_payload(type_, payload, len(data), model, progress) == data:
            return
    except LMZError as error:
        cause = error
    raise LMZError(
        f"a block of {len(data):,} bytes did not decode to itself again; nothing of it was written. "
        "Please report this, with the file if you can, and the output of `lmzip models info`"
    ) from cause


def decode_payload(
    type_: int, payload: bytes, raw_size: int, model: Model | None, progress: Progress | None = None
) -> bytes:
    """Decode the payload of a block; the caller compares the checksum.

    Raises CorruptError where the payload cannot be right, whatever it decodes to.
    """
    what = f"{container.DATA_TYPES[type_]} block"
    if type_ == container.STORED:
        data = payload
    elif type_ == container.ZSTD:
        data = _decode_zstd(payload, raw_size, what)
    elif type_ == container.LZMA:
        data = _decode_lzma(payload, raw_size, what)
    elif model is None:
        raise CorruptError(f"{what}: no model definition came before it")
    else:
        data = _decode_with_model(payload, raw_size, model, what, progress)
    if len(data) != raw_size:
        raise CorruptError(f"{what}: {len(data)} bytes where {raw_size} were declared")
    return data


def encode_symbols(
    session: Session, symbols: NDArray[np.int32], windows: int, encoder: Encoder, limit: int,
    progress: Callable[[int], None],
) -> bytes | None:  # fmt: skip
    """Code a block's symbols; None as soon as the code will clearly not stay under `limit` bytes."""
    table, steps, last_windows = _in_windows(symbols, windows)
    stride = _stride(windows)
    for start in range(0, steps, stride):
        chunk = table[:, start : start + stride]
        predictions = session.prefill(chunk)
        for step, frequencies in enumerate(predictions, start):
            coded = windows if step < steps - 1 else last_windows
            encoder.encode_symbols(np.ascontiguousarray(table[:coded, step]), frequencies[:coded])
        done = min(steps, start + stride)
        if _hopeless(encoder.size, limit, done, steps, windows):
            return None
        progress(min(len(symbols), done * windows))
    return encoder.finish()


def decode_symbols(
    session: Session, decoder: Decoder, count: int, windows: int, progress: Callable[[int], None]
) -> NDArray[np.int32]:
    """Decode what encode_symbols coded. Raises CoderError where the code is impossible."""
    steps, last_windows = _steps(count, windows)
    table = np.zeros((steps, windows), np.int32)
    for step in range(steps):
        frequencies = session.predict()
        coded = windows if step < steps - 1 else last_windows
        table[step, :coded] = decoder.decode_symbols(frequencies[:coded])
        session.update(table[step])
        progress(min(count, (step + 1) * windows))
    decoder.finish()
    return _out_of_windows(table.T, count)


def _steps(count: int, windows: int) -> tuple[int, int]:
    """Return the steps of the longest window, and how many windows are that long."""
    steps = -(-count // windows)
    return steps, count - windows * (steps - 1)


def _in_windows(symbols: NDArray[np.int32], windows: int) -> tuple[NDArray[np.int32], int, int]:
    """Cut symbols into windows (windows, steps): the first last_windows full, the others one shorter."""
    steps, last_windows = _steps(len(symbols), windows)
    table = np.zeros((windows, steps), np.int32)
    full = last_windows * steps
    table[:last_windows] = symbols[:full].reshape(last_windows, steps)
    table[last_windows:, : steps - 1] = symbols[full:].reshape(windows - last_windows, steps - 1)
    return table, steps, last_windows


def _out_of_windows(table: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """Join the windows again."""
    windows, steps = table.shape
    _, last_windows = _steps(count, windows)
    return np.concatenate((table[:last_windows].reshape(-1), table[last_windows:, : steps - 1].reshape(-1)))


def _stride(windows: int) -> int:
    return max(1, min(CALL_ROWS // windows, 64))


def _hopeless(size: int, limit: int, done: int, steps: int, windows: int) -> bool:
    """Whether `size` bytes after `done` of `steps` steps will not end under limit.

    Windows begin without knowledge, so the first steps are the dearest; few symbols tell little.
    """
    if size >= limit:
        return True
    slack = 2.0 if done < 128 else 1.35 if done < 512 else 1.1 if done < 2048 else 1.03
    return done * windows >= 4096 and size * steps > slack * limit * done


def _encode_with_model(
    data: bytes, model: Model, file_start: bool, options: Options, limit: int, progress: Progress | None
) -> bytes | None:
    symbols = model.encode(data)
    windows = min(options.plan.windows(len(data)), len(symbols))
    session = model.begin(windows, file_start, _stride(windows))
    report = _in_bytes(progress, len(data) / len(symbols))
    coder = CODER_IDS[options.coder]
    code = encode_symbols(session, symbols, windows, CODERS[coder][0](), limit, report)
    if code is None:
        return None
    return container.create_model_payload(len(symbols), windows, coder, file_start, code)


def _decode_with_model(payload: bytes, raw_size: int, model: Model, what: str, progress: Progress | None) -> bytes:
    plan = container.parse_model_payload(payload, raw_size)
    if plan.coder not in CODERS:
        raise UnsupportedError(f"{what}: coder {plan.coder} is of a newer lmzip")
    session = model.begin(plan.windows, plan.file_start)
    report = _in_bytes(progress, raw_size / plan.symbols)
    try:
        decoder = CODERS[plan.coder][1](payload[plan.start :])
        symbols = decode_symbols(session, decoder, plan.symbols, plan.windows, report)
    except CoderError as error:
        raise CorruptError(f"{what}: {error}") from error
    try:
        return model.decode(symbols, raw_size)
    except ValueError as error:
        raise CorruptError(f"{what}: {error}") from error


def _in_bytes(progress: Progress | None, bytes_per_symbol: float) -> Callable[[int], None]:
    if progress is None:
        return lambda symbols: None
    return lambda symbols: progress(symbols * bytes_per_symbol)


def _decode_zstd(payload: bytes, raw_size: int, what: str) -> bytes:
    decompressor = zstd.ZstdDecompressor()
    try:
        data = decompressor.decompress(payload, raw_size + 1)
    except zstd.ZstdError as error:
        raise CorruptError(f"{what}: {error}") from error
    if not decompressor.eof or decompressor.unused_data:
        raise CorruptError(f"{what}: not exactly one zstd frame of {raw_size} bytes")
    return data


def _encode_lzma(data: bytes) -> bytes:
    """Return the smaller of what lzma's default makes and what does best on a sample from the middle."""

    def encode(piece: bytes, view: int) -> bytes:
        size = max(len(piece), 4096)  # more dictionary would only take memory
        return lzma.compress(piece, lzma.FORMAT_RAW, filters=[_LZMA_FILTER | _LZMA_VIEWS[view] | {"dict_size": size}])

    start = max(0, (len(data) - _LZMA_SAMPLE) // 2)
    samples = [encode(data[start : start + _LZMA_SAMPLE], view) for view in range(len(_LZMA_VIEWS))]
    best = min(range(len(samples)), key=lambda view: len(samples[view]))
    return min((encode(data, view) for view in {0, best}), key=len)


def _decode_lzma(payload: bytes, raw_size: int, what: str) -> bytes:
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[_LZMA_FILTER])
    try:
        data = decompressor.decompress(payload, raw_size + 1)
    except lzma.LZMAError as error:
        raise CorruptError(f"{what}: {error}") from error
    if not decompressor.eof or decompressor.unused_data:
        raise CorruptError(f"{what}: not exactly one lzma2 stream of {raw_size} bytes")
    return data
