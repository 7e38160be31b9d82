"""Ranks as bytes: what `lmzip.blocks.text` gives to lzma or zstd in a block of type RANK (FORMAT.md section 3.5)."""

from __future__ import annotations

import numpy as np

from lmzip.blocks.lockstep import Symbols
from lmzip.errors import CorruptError, LimitError, TruncatedError
from lmzip.varint import create_varints, parse_varints

_LARGEST = (1 << 21) - 1  # of three bytes


def pack_ranks(ranks: Symbols) -> bytes:
    """Return ranks, (n,) int32 of 0 to 2^21 - 1, as varints. Twin: unpack_ranks."""
    return create_varints(ranks)


def unpack_ranks(data: bytes, count: int, what: str) -> Symbols:
    """Return the ranks that pack_ranks packed, (count,) int32.

    Raises CorruptError where pack_ranks packs no such data; what: the name of the block.
    """
    try:
        ranks, end = parse_varints(data, 0, count, _LARGEST, f"{what}: ranks", np.int32)
    except (LimitError, TruncatedError) as error:  # no rank is so large, and none of the data is still to come
        raise CorruptError(str(error)) from error
    if end != len(data):
        raise CorruptError(f"{what}: {len(data) - end} bytes behind its {count} ranks")
    return ranks
