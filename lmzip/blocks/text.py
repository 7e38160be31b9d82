"""Blocks of symbols in lockstep: what a network and the ensemble make of a block, and back.

`lockstep.py` has the loops.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import numpy as np

from lmzip import container
from lmzip.blocks import lockstep
from lmzip.blocks.fallback import decode_fallback, encode_fallback, spread
from lmzip.blocks.ranks import pack_ranks, unpack_ranks
from lmzip.coders import CODER_IDS, CODERS, CoderError
from lmzip.container import LockstepHead
from lmzip.errors import CorruptError, LMZError, UnsupportedError
from lmzip.models.exact.arithmetic import FREQUENCY_BITS
from lmzip.models.mixing.code_length import UNIT, log2_integer
from lmzip.models.networks.profile import is_portable
from lmzip.models.protocols import Model, Predictor
from lmzip.models.text.binarisation import FLAT, choose_binarisation
from lmzip.models.text.context_subset import NONE
from lmzip.models.text.numbers import HISTORY_LIMIT
from lmzip.models.text.row_length import find_row_length
from lmzip.models.text.tree import Tree, make_tree
from lmzip.options import Options, Progress
from lmzip.varint import create_varint, parse_varint

if TYPE_CHECKING:
    from lmzip.models.text.ensemble import Ensemble

_SAMPLE = 1 << 11  # bytes; whether the network helps is judged by pieces of this size
_RANK_PACKERS = (container.ZSTD, container.LZMA)


def network_helps(data: bytes, model: Model) -> bool:
    """Whether the network alone needs clearly fewer bits for samples of the data than their bytes' frequencies do."""
    pieces = spread(data, _SAMPLE, 4 if len(data) > 8 * _SAMPLE else 1)
    cut = [model.encode(piece) for piece in pieces]
    steps = min(min(len(symbols) for symbols in cut), _SAMPLE // 4)
    table = np.stack([symbols[:steps] for symbols in cut])
    frequencies = model.begin(len(table), False, steps).prefill(table)
    chosen = np.take_along_axis(frequencies, table.T[:, :, None].astype(np.int64), axis=2)
    needed = FREQUENCY_BITS * UNIT * table.size - int(log2_integer(chosen).sum())
    counts = np.bincount(np.frombuffer(b"".join(pieces), np.uint8), minlength=256)
    counts, total = counts[counts > 0], int(counts.sum())
    entropy = int(log2_integer(np.array([total]))[0]) * total - int((counts * log2_integer(counts)).sum())
    return 10 * needed * total < 9 * entropy * int(model.tree.length[table].sum())


def encode_in_lockstep(
    type_: int, data: bytes, model: Model | None, file_start: bool, options: Options,
    limit: Callable[[], int | None], progress: Progress,
) -> bytes | None:  # fmt: skip
    """Return the payload of a block of a lockstep type.

    limit: asked now and then for the bytes that it must stay under, None while that is not known; None is
    returned as soon as it cannot.
    """
    model = None if type_ == container.ADAPTIVE else model
    symbols = np.frombuffer(data, np.uint8).astype(np.int32) if model is None else model.encode(data)
    head = head_for(type_, data, symbols, model, file_start, options)
    windows, encoder = head.windows, CODERS[head.coder][0]()
    stride = lockstep.stride_of(windows, 1 if model is None else model.alphabet)

    def watch(done: int, size: int) -> None:
        most = limit()
        if most is not None and _at_least(size) >= most:
            raise lockstep.TooLong
        progress(done * len(data) / len(symbols))

    try:
        if type_ == container.RANK and model is not None:
            session = model.begin(windows, file_start, stride)
            ranks = lockstep.encode_ranks(session, symbols, windows, watch, stride)
            return _pack_ranks(ranks, head)
        if type_ == container.MODEL and model is not None:
            session = model.begin(windows, file_start, stride)
            lockstep.encode_symbols(session, symbols, windows, encoder, watch, stride)
        else:
            network = None if model is None else model.begin(windows, file_start, stride, beside=1)
            ensemble = ensemble_for(head, len(data), model)
            lockstep.encode_decisions(ensemble, network, symbols, windows, encoder, watch, stride)
            ensemble.release()
    except lockstep.TooLong:
        return None
    return container.create_lockstep_head(type_, head) + encoder.finish()


def head_for(
    type_: int, data: bytes, symbols: lockstep.Symbols, model: Model | None, file_start: bool, options: Options
) -> LockstepHead:
    """Return how the symbols of a block are to stand in its code; model: the one that they are of, None for bytes."""
    row_length, subset = (
        (find_row_length(data), options.settings.subset) if type_ in container.DECISION_TYPES else (0, NONE)
    )
    windows = _windows_for(symbols, data, model, options)
    binarisation = choose_binarisation(data) if type_ == container.ADAPTIVE else FLAT
    return LockstepHead(len(symbols), windows, CODER_IDS[options.coder], file_start, row_length, subset, binarisation)


def decode_in_lockstep(
    type_: int, payload: bytes, raw_size: int, predictor: Predictor | None, what: str, progress: Progress
) -> bytes:
    """Return the raw_size bytes of a block of a lockstep type; what: its name in errors.

    Raises CorruptError and UnsupportedError.
    """
    model = None if type_ == container.ADAPTIVE else cast("Model", predictor)
    if model is not None and model.kind != "bytes":
        raise CorruptError(f"{what}: its model {model.id} is one of the kind {model.kind}")
    head, start = container.parse_lockstep_head(type_, payload, raw_size)
    if head.coder not in (_RANK_PACKERS if type_ == container.RANK else CODERS):
        raise UnsupportedError(f"{what}: coder {head.coder} is of a newer lmzip")
    if type_ in container.DECISION_TYPES and not head.subset.is_known():
        contexts, sets = head.subset
        raise UnsupportedError(f"{what}: contexts {contexts:#x}, sets {sets:#x} are of a newer lmzip")

    def report(done: int) -> None:
        progress(done * raw_size / head.symbols)

    try:
        if type_ == container.RANK and model is not None:
            session = model.begin(head.windows, head.file_start)
            symbols = lockstep.decode_ranks(session, _unpack_ranks(payload, start, head, what), head.windows, report)
            return model.decode(symbols, raw_size)
        if type_ == container.MODEL and model is not None:
            decoder = CODERS[head.coder][1](payload[start:])
            session = model.begin(head.windows, head.file_start)
            symbols = lockstep.decode_symbols(session, decoder, head.symbols, head.windows, report)
            decoder.finish()
        else:
            from lmzip.coders.bits import finish_bits, open_bits  # numba takes its time

            cohorts = lockstep.cohorts(head.windows, model is not None and model.is_large)
            sessions = [
                model.begin(len(part), head.file_start and part.start == 0, beside=len(cohorts) - 1)
                for part in cohorts if model is not None
            ]  # fmt: skip
            reader = open_bits(head.coder, payload[start:])
            ensemble = ensemble_for(head, raw_size, model)
            symbols = lockstep.decode_decisions(ensemble, sessions, reader, head.symbols, head.windows, report)
            finish_bits(reader)
            ensemble.release()
        if model is None:
            return symbols.astype(np.uint8).tobytes()
        return model.decode(symbols, raw_size)
    except (CoderError, ValueError) as error:
        raise CorruptError(f"{what}: {error}") from error


def _at_least(size: int) -> int:
    """Return what a payload takes at least, from what its coder says that the code so far takes at most.

    What a limit ends must have lost: whether there is a limit yet is a matter of threads, the result is not. The
    bound of rANS is 1 % and a few words above the code, that of the range coder at most one word.
    """
    return size - size // 64 - 64


def _pack_ranks(ranks: lockstep.Symbols, head: LockstepHead) -> bytes:
    """Return the payload of a block of ranks."""
    packed = pack_ranks(ranks)
    packer, code = encode_fallback(packed)
    payload = container.create_lockstep_head(container.RANK, dataclasses.replace(head, coder=packer))
    return payload + create_varint(len(packed)) + code


def _unpack_ranks(payload: bytes, start: int, head: LockstepHead, what: str) -> lockstep.Symbols:
    """Return the ranks that a payload has from `start` on."""
    size, start = parse_varint(payload, start, 3 * head.symbols, f"{what}: size of the ranks")
    return unpack_ranks(decode_fallback(head.coder, payload[start:], size, what), head.symbols, what)


def ensemble_for(head: LockstepHead, size: int, model: Model | None) -> Ensemble:
    """Return the ensemble of a block of `size` bytes."""
    from lmzip.models.text.ensemble import Ensemble, is_trusted  # numba takes its time

    if not is_trusted():
        raise LMZError(
            "the ensemble does not compute exactly on this machine: its self-test gives other integers than everywhere "
            "else. Nothing was coded. Please report this with the output of `lmzip models info`"
        )
    if model is None:
        return Ensemble(_byte_tree(head.binarisation), head.windows, size, head.row_length, False, head.subset)
    return Ensemble(model.tree, head.windows, size, head.row_length, True, head.subset, model.prior)


@functools.cache
def _byte_tree(binarisation: int) -> Tree:
    """Return the tree of blocks without a network, whose symbols are bytes."""
    return make_tree([bytes([byte]) for byte in range(256)], binarisation)


def _windows_for(symbols: lockstep.Symbols, data: bytes, model: Model | None, options: Options) -> int:
    """Return the number of windows: the level's, or fewer where the model wants that or one would be much longer.

    Windows keep the threads of a network busy. Without one they would only part what belongs together: programs take
    up to 7 % fewer bytes in one.
    """
    if model is None:
        return 1
    windows = min(options.settings.windows(len(data), model.is_large), len(symbols), model.most_windows)
    if not is_portable(model.profile):
        windows = min(windows, lockstep.TWO_COHORTS - 1)  # so that the decoder too asks for all of them at once
    while windows > 1:
        longest = model.tree.length[lockstep.cut(symbols, windows)].sum(axis=1).max()
        if windows * longest <= HISTORY_LIMIT * len(data):
            break
        windows //= 2
    return windows
