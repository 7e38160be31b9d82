"""One block to one record and back.

A block is coded by the network, by the ensemble, with the network or without, as ranks, by lzma,
by zstd, or stored. `lockstep.py` has the loops.
"""

from __future__ import annotations

import dataclasses
import functools
import lzma
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from lmzip import container, lockstep
from lmzip.coders import CODER_IDS, CODERS, FREQUENCY_TOTAL, CoderError, pack_ranks, unpack_ranks
from lmzip.container import LockstepPlan
from lmzip.errors import CorruptError, LMZError, UnsupportedError
from lmzip.models.base import Model
from lmzip.models.ensemble.numbers import HISTORY_LIMIT
from lmzip.models.ensemble.parts import ALL, LEAN, Parts
from lmzip.models.ensemble.records import find_record
from lmzip.models.ensemble.tree import Tree, make_tree
from lmzip.models.profile import is_portable

if TYPE_CHECKING:
    from lmzip.models.ensemble.ensemble import Ensemble

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

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

_SAMPLE = 1 << 11  # bytes; what a block is like is judged by pieces of this size

# Called with the number of bytes of a block that are done, now and then, never with fewer than before.
Progress = Callable[[float], None]


METHODS = ("auto", "ensemble", "adaptive", "model", "rank", "general")


_RANK_PACKERS = (container.ZSTD, container.LZMA)


@dataclasses.dataclass(frozen=True)
class Level:
    """How a block is cut: ceil(size / window_size) windows, but at most max_windows.

    Longer windows predict better; more windows decode faster, as long as there are threads for them: eight
    keep two busy. Without a network there is nothing to share.
    """

    block_size: int
    window_size: int
    max_windows: int
    method: str = "ensemble"
    parts: Parts = ALL

    def windows(self, size: int) -> int:
        """Return the number of windows for a block of `size` bytes: of nothing else."""
        return max(1, min(-(-size // self.window_size), self.max_windows))


LEVELS = {
    1: Level(1 << 20, 1 << 20, 1, "adaptive", LEAN),
    2: Level(1 << 22, 1 << 22, 1, "adaptive", LEAN),
    3: Level(1 << 22, 1 << 22, 1, "adaptive", ALL),
    4: Level(1 << 21, 4096, 64, "ensemble", LEAN),
    5: Level(1 << 22, 8192, 32, "ensemble", ALL),
    6: Level(1 << 22, 16384, 16, "ensemble", ALL),
    7: Level(1 << 22, 65536, 8, "ensemble", ALL),
    8: Level(1 << 23, 1 << 18, 4, "ensemble", ALL),
    9: Level(1 << 24, 1 << 24, 1, "ensemble", ALL),
}
DEFAULT_LEVEL = 6


@dataclasses.dataclass(frozen=True)
class Options:
    """How to code blocks.

    method: `ensemble`, `adaptive` (the ensemble without a network), `model` (the network alone),
    `rank` (ranks of the network's predictions, packed by lzma or zstd), `general` (lzma and zstd
    alone), or `auto`: as the level says, but without the network where it does not know such data.
    verify: decode every block again before it is given out.
    """

    level: int = DEFAULT_LEVEL
    coder: str = "range"
    verify: bool = True
    method: str = "auto"

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"level must be 1 to 9, not {self.level!r}")
        if self.coder not in CODER_IDS:
            raise ValueError(f"coder must be one of {', '.join(CODER_IDS)}, not {self.coder!r}")
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, not {self.method!r}")

    @property
    def plan(self) -> Level:
        """The window plan of the level."""
        return LEVELS[self.level]

    @property
    def wants_model(self) -> bool:
        """Whether a model may be used."""
        return (self.plan.method if self.method == "auto" else self.method) in ("ensemble", "model", "rank")


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
    type_, payload = container.STORED, data
    if not _looks_random(data):
        type_, payload = min((type_, payload), _encode_general(data), key=lambda candidate: len(candidate[1]))
        lockstep_type = _lockstep_type(data, model, options)
        if lockstep_type is not None:
            report = _half(progress, 0) if options.verify else progress
            coded = _encode_in_lockstep(lockstep_type, data, model, file_start, options, len(payload), report)
            if coded is not None and len(coded) < len(payload):
                type_, payload = lockstep_type, coded
    if options.verify:
        _verify(type_, payload, data, model, _half(progress, len(data)))
    return type_, payload


def _looks_random(data: bytes) -> bool:
    """Whether samples of the data are as even as noise: compressed or encrypted already."""
    samples = [data[start : start + _SAMPLE] for start in np.linspace(0, max(len(data) - _SAMPLE, 0), 8).astype(int)]
    joined = b"".join(samples)
    return len(joined) >= 8 * _SAMPLE and len(zstd.compress(joined, 3)) >= len(joined)


def _lockstep_type(data: bytes, model: Model | None, options: Options) -> int | None:
    """Return the type of lockstep block to try, None for none."""
    method = options.plan.method if options.method == "auto" else options.method
    if method == "general":
        return None
    if model is None or method == "adaptive" or (options.method == "auto" and not _network_helps(data, model)):
        return container.ADAPTIVE
    return {"model": container.MODEL, "rank": container.RANK}.get(method, container.ENSEMBLE)


def _network_helps(data: bytes, model: Model) -> bool:
    """Whether the network alone needs clearly fewer bits for samples of the data than their bytes' frequencies do."""
    size = min(len(data), _SAMPLE)
    starts = np.linspace(0, len(data) - size, 4 if len(data) > 8 * _SAMPLE else 1).astype(int)
    pieces = [data[start : start + size] for start in starts]
    cut = [model.encode(piece) for piece in pieces]
    steps = min(min(len(symbols) for symbols in cut), _SAMPLE // 4)
    table = np.stack([symbols[:steps] for symbols in cut])
    frequencies = model.begin(len(table), False, steps).prefill(table)
    chosen = np.take_along_axis(frequencies, table.T[:, :, None].astype(np.int64), axis=2)
    bits = -np.log2(chosen / FREQUENCY_TOTAL).sum() / model.tree.length[table].sum()
    counts = np.bincount(np.frombuffer(b"".join(pieces), np.uint8), minlength=256)
    shares = counts[counts > 0] / counts.sum()
    return bool(bits < 0.9 * -(shares * np.log2(shares)).sum())


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
    elif type_ == container.ADAPTIVE:
        data = _decode_in_lockstep(type_, payload, raw_size, None, what, progress)
    elif model is None:
        raise CorruptError(f"{what}: no model definition came before it")
    else:
        data = _decode_in_lockstep(type_, payload, raw_size, model, what, progress)
    if len(data) != raw_size:
        raise CorruptError(f"{what}: {len(data)} bytes where {raw_size} were declared")
    return data


def _encode_in_lockstep(
    type_: int, data: bytes, model: Model | None, file_start: bool, options: Options, limit: int,
    progress: Progress | None,
) -> bytes | None:  # fmt: skip
    """Return the payload of a block of a lockstep type; None where it would not stay under `limit` bytes."""
    model = None if type_ == container.ADAPTIVE else model
    symbols = np.frombuffer(data, np.uint8).astype(np.int32) if model is None else model.encode(data)
    record = find_record(data) if type_ in container.DECISION_TYPES else 0
    windows = _windows_for(symbols, data, model, options)
    parts = options.plan.parts if type_ in container.DECISION_TYPES else Parts(0, 0)
    plan = LockstepPlan(len(symbols), windows, CODER_IDS[options.coder], file_start, record, *parts)
    encoder = CODERS[plan.coder][0]()
    stride = lockstep.stride_of(windows, 1 if model is None else model.alphabet)

    def watch(done: int, size: int) -> None:
        if size >= limit:
            raise lockstep.TooLong
        if progress is not None:
            progress(done * len(data) / len(symbols))

    try:
        if type_ == container.RANK and model is not None:
            session = model.begin(windows, file_start, stride)
            ranks = lockstep.encode_ranks(session, symbols, windows, watch, stride)
            return _pack_ranks(ranks, plan)
        if type_ == container.MODEL and model is not None:
            session = model.begin(windows, file_start, stride)
            lockstep.encode_symbols(session, symbols, windows, encoder, watch, stride)
        else:
            network = None if model is None else model.begin(windows, file_start, stride, beside=1)
            ensemble = _ensemble(plan, len(data), model)
            lockstep.encode_decisions(ensemble, network, symbols, windows, encoder, watch, stride)
    except lockstep.TooLong:
        return None
    return container.create_lockstep_payload(type_, plan) + encoder.finish()


def _decode_in_lockstep(
    type_: int, payload: bytes, raw_size: int, model: Model | None, what: str, progress: Progress | None
) -> bytes:
    plan, start = container.parse_lockstep_payload(type_, payload, raw_size)
    if plan.coder not in (_RANK_PACKERS if type_ == container.RANK else CODERS):
        raise UnsupportedError(f"{what}: coder {plan.coder} is of a newer lmzip")
    parts = Parts(plan.contexts, plan.sets)
    if type_ in container.DECISION_TYPES and not parts.are_known():
        raise UnsupportedError(f"{what}: contexts {parts.contexts:#x}, sets {parts.sets:#x} are of a newer lmzip")

    def report(done: int) -> None:
        if progress is not None:
            progress(done * raw_size / plan.symbols)

    try:
        if type_ == container.RANK and model is not None:
            session = model.begin(plan.windows, plan.file_start)
            symbols = lockstep.decode_ranks(session, _unpack_ranks(payload, start, plan, what), plan.windows, report)
            return model.decode(symbols, raw_size)
        if type_ == container.MODEL and model is not None:
            decoder = CODERS[plan.coder][1](payload[start:])
            session = model.begin(plan.windows, plan.file_start)
            symbols = lockstep.decode_symbols(session, decoder, plan.symbols, plan.windows, report)
            decoder.finish()
        else:
            from lmzip.coders.bits import finish_bits, open_bits  # numba takes its time

            cohorts = lockstep.cohorts(plan.windows)
            sessions = [
                model.begin(len(part), plan.file_start and part.start == 0, beside=len(cohorts) - 1)
                for part in cohorts if model is not None
            ]  # fmt: skip
            reader = open_bits(plan.coder, payload[start:])
            ensemble = _ensemble(plan, raw_size, model)
            symbols = lockstep.decode_decisions(ensemble, sessions, reader, plan.symbols, plan.windows, report)
            finish_bits(reader)
        if model is None:
            return symbols.astype(np.uint8).tobytes()
        return model.decode(symbols, raw_size)
    except (CoderError, ValueError) as error:
        raise CorruptError(f"{what}: {error}") from error


def _pack_ranks(ranks: lockstep.Symbols, plan: LockstepPlan) -> bytes:
    """Return the payload of a block of ranks."""
    packed = pack_ranks(ranks)
    packer, code = _encode_general(packed)
    head = container.create_lockstep_payload(container.RANK, dataclasses.replace(plan, coder=packer))
    return head + container.create_varint(len(packed)) + code


def _unpack_ranks(payload: bytes, start: int, plan: LockstepPlan, what: str) -> lockstep.Symbols:
    """Return the ranks that a payload has from `start` on."""
    size, start = container.parse_varint(payload, start, 3 * plan.symbols, f"{what}: size of the ranks")
    unpack = _decode_zstd if plan.coder == container.ZSTD else _decode_lzma
    return unpack_ranks(unpack(payload[start:], size, what), plan.symbols)


def _ensemble(plan: LockstepPlan, size: int, model: Model | None) -> Ensemble:
    """Return the ensemble of a block of `size` bytes."""
    from lmzip.models.ensemble.ensemble import Ensemble, is_trusted  # numba takes its time

    if not is_trusted():
        raise LMZError(
            "the ensemble does not compute exactly on this machine: its self-test gives other integers than everywhere "
            "else. Nothing was coded. Please report this with the output of `lmzip models info`"
        )
    parts = Parts(plan.contexts, plan.sets)
    if model is None:
        return Ensemble(_byte_tree(), plan.windows, size, plan.record, False, parts)
    return Ensemble(model.tree, plan.windows, size, plan.record, True, parts, model.prior)


@functools.cache
def _byte_tree() -> Tree:
    """Return the tree of blocks without a network, whose symbols are bytes."""
    return make_tree([bytes([byte]) for byte in range(256)])


def _windows_for(symbols: lockstep.Symbols, data: bytes, model: Model | None, options: Options) -> int:
    """Return the number of windows: the level's, or fewer where the model wants that or one would be much longer."""
    windows = min(options.plan.windows(len(data)), len(symbols))
    if model is None:
        return windows
    windows = min(windows, model.most_windows)
    if not is_portable(model.profile):
        windows = min(windows, lockstep.TWO_COHORTS - 1)  # so that the decoder too asks for all of them at once
    while windows > 1:
        longest = model.tree.length[lockstep.cut(symbols, windows)].sum(axis=1).max()
        if windows * longest <= HISTORY_LIMIT * len(data):
            break
        windows //= 2
    return windows


def _encode_general(data: bytes) -> tuple[int, bytes]:
    """Return (record type, payload) of the smaller of zstd and lzma."""
    packed = [(container.ZSTD, zstd.compress(data, options=_ZSTD_OPTIONS)), (container.LZMA, _encode_lzma(data))]
    return min(packed, key=lambda candidate: len(candidate[1]))


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
