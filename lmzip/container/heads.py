"""What the payloads of blocks begin with, up to their code (FORMAT.md sections 3 and 9)."""

from __future__ import annotations

import dataclasses

from lmzip.container.constants import (
    ADAPTIVE,
    DATA_TYPES,
    DECISION_TYPES,
    MAX_MASK,
    MAX_ROW_LENGTH,
    MAX_SETTINGS,
    MAX_SIDE_DATA,
    MAX_WINDOWS,
    SIDE_DATA_TYPES,
)
from lmzip.container.fields import take
from lmzip.errors import CorruptError, LimitError, UnsupportedError
from lmzip.models.text.context_subset import ALL, LEAN, NONE, ContextSubset
from lmzip.varint import create_varint, parse_varint

# How a block says which contexts and sets of weights it uses: a number of these, or _MASKS and the masks themselves.
_NAMED_SUBSETS = (LEAN, ALL)
_MASKS = 2


@dataclasses.dataclass(frozen=True)
class LockstepHead:
    """What the payload of a block of LOCKSTEP_TYPES begins with.

    symbols, windows: how many symbols the block has, and into how many windows they are cut.
    coder: the id of the coder; in a block of type RANK what packs the ranks, ZSTD or LZMA.
    file_start: whether the block begins where the file begins.
    row_length: bytes of the rows that the data consists of, 0 for none.
    subset: the contexts and the sets of weights that the ensemble uses.
    binarisation: of a byte in a block of type ADAPTIVE, FLAT or TEXT of models/text/binarisation.py.
    """

    symbols: int
    windows: int
    coder: int
    file_start: bool
    row_length: int = 0
    subset: ContextSubset = NONE
    binarisation: int = 0


@dataclasses.dataclass(frozen=True)
class MediaHead:
    """What the payload of a block of MEDIA_TYPES begins with.

    coder: its id. settings: how the model codes the array; of a block of SAMPLES the number of windows.
    side_data: the payload of a block of the type side_data_type, which decodes to side_data_size bytes.
    """

    coder: int
    settings: tuple[int, ...]
    side_data_size: int
    side_data_type: int
    side_data: bytes


def create_lockstep_head(type_: int, head: LockstepHead) -> bytes:
    """Return the payload of a block of LOCKSTEP_TYPES up to its code."""
    named = _NAMED_SUBSETS.index(head.subset) if head.subset in _NAMED_SUBSETS else _MASKS
    flags = head.file_start | head.coder << 1 | (head.windows != 1) << 3
    fields = [head.symbols] + [head.windows] * (head.windows != 1)
    if type_ in DECISION_TYPES:
        flags |= (head.row_length != 0) << 4 | named << 5
        fields += [head.row_length] * (head.row_length != 0) + list(head.subset) * (named == _MASKS)
    if type_ == ADAPTIVE:
        flags |= head.binarisation << 7
    return bytes([flags]) + b"".join(create_varint(field) for field in fields)


def parse_lockstep_head(type_: int, payload: bytes, raw_size: int) -> tuple[LockstepHead, int]:
    """Read the payload up to its code; every symbol stands for at least one byte of raw_size."""
    what = f"{DATA_TYPES[type_]} payload"
    flags = take(payload, 0, 1, what)[0]
    known = 0xFF if type_ == ADAPTIVE else 0x7F if type_ in DECISION_TYPES else 0x0F
    if flags & ~known:
        raise UnsupportedError(f"{what}: flags {flags:#04x} are of a newer lmzip")
    symbols, offset = parse_varint(payload, 1, raw_size, f"{what}: symbols")
    windows, row_length, subset = 1, 0, NONE
    if flags & 0x08:
        windows, offset = parse_varint(payload, offset, min(symbols, MAX_WINDOWS), f"{what}: windows")
    if symbols == 0 or windows == 0:
        raise CorruptError(f"{what}: {symbols} symbols in {windows} windows")
    if flags & 0x10:
        row_length, offset = parse_varint(payload, offset, MAX_ROW_LENGTH, f"{what}: row length")
        if row_length < 2:
            raise CorruptError(f"{what}: a row length of {row_length}")
    if type_ in DECISION_TYPES:
        named = flags >> 5 & 3
        if named > _MASKS:
            raise UnsupportedError(f"{what}: flags {flags:#04x} are of a newer lmzip")
        if named == _MASKS:
            contexts, offset = parse_varint(payload, offset, MAX_MASK, f"{what}: contexts")
            sets, offset = parse_varint(payload, offset, MAX_MASK, f"{what}: sets")
            subset = ContextSubset(contexts, sets)
        else:
            subset = _NAMED_SUBSETS[named]
    return LockstepHead(symbols, windows, flags >> 1 & 3, bool(flags & 1), row_length, subset, flags >> 7), offset


def create_media_head(head: MediaHead) -> bytes:
    """Return the payload of a block of MEDIA_TYPES up to its code."""
    settings = b"".join(create_varint(field) for field in head.settings)
    side_data = create_varint(head.side_data_size) + bytes([head.side_data_type])
    side_data += create_varint(len(head.side_data)) + head.side_data
    return bytes([head.coder, len(head.settings)]) + settings + side_data


def parse_media_head(type_: int, payload: bytes, raw_size: int) -> tuple[MediaHead, int]:
    """Read the payload up to its code."""
    what = f"{DATA_TYPES[type_]} payload"
    coder, settings, offset = parse_media_settings(type_, payload)
    decoded_size, offset = parse_varint(payload, offset, raw_size + MAX_SIDE_DATA, f"{what}: side data")
    side_data_type = take(payload, offset, 1, what)[0]
    if side_data_type not in SIDE_DATA_TYPES:
        raise CorruptError(f"{what}: side data of type {side_data_type:#04x}")
    size, offset = parse_varint(payload, offset + 1, len(payload), f"{what}: side data")
    side_data = take(payload, offset, size, what)
    return MediaHead(coder, settings, decoded_size, side_data_type, side_data), offset + size


def parse_media_settings(type_: int, payload: bytes) -> tuple[int, tuple[int, ...], int]:
    """Read what a payload of MEDIA_TYPES begins with: the coder and the settings. Also return the offset after them."""
    what = f"{DATA_TYPES[type_]} payload"
    coder, count = take(payload, 0, 2, what)
    if count > MAX_SETTINGS:
        raise LimitError(f"{what}: settings of {count} fields, more than this version allows")
    offset, settings = 2, []
    for _ in range(count):
        field, offset = parse_varint(payload, offset, MAX_MASK, f"{what}: settings")
        settings.append(field)
    return coder, tuple(settings), offset
