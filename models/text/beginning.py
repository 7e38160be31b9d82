"""Tables that small blocks begin with: made once, then copied page by page where a block writes.

The tables of a block have 58 MB whatever its size, and a short text writes to a hundredth of them.
"""

from __future__ import annotations

import functools
import math
import mmap
import os
import tempfile
import weakref
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lmzip.models.text.context_subset import ALL, ContextSubset, numbers
from lmzip.models.text.matches import forget_matches
from lmzip.models.text.prior import Prior
from lmzip.models.text.state import SLOTS, Decision, Tables, Windows, line_bits, make_tables

SMALL_SIZE = 1 << 16  # bytes of a block; larger ones write to most pages, so that mapping them only costs memory
LOG = 1 << 16  # entries, enough for 2 KiB of text; tables of a block that learnt more are not used again
MOST_FREE = 8  # tables that wait to be used again
_LEARNT = ("state_maps", "network_maps", "match_maps", "match_index", "weights", "final_weights", "apms")
_ALIGNMENT = 64  # bytes


def beginning_of(size: int, has_network: bool, subset: ContextSubset, prior: Prior | None) -> Beginning | None:
    """Return where a block of `size` bytes gets its tables from; None where that is large and makes its own."""
    return None if size > SMALL_SIZE else _beginning(has_network, subset, _Same(prior if subset == ALL else None))


def begin(size: int, has_network: bool, subset: ContextSubset, prior: Prior | None) -> Tables:
    """Return tables for a block of `size` bytes that have learnt nothing but the prior.

    The prior is left out where the subset is not ALL.
    """
    tables = make_tables(size, has_network, numbers(subset.contexts), numbers(subset.sets))
    if prior is not None and subset == ALL:
        prior.apply(tables)
    return tables


class Beginning:
    """The tables of one kind of small block, in a file without a name, of which copies are mapped.

    The operating system copies a page of them when it is first written to. That takes longer than to use it, so tables
    are used again: their block's log says what to put back.
    """

    def __init__(self, tables: Tables) -> None:
        """tables: as `begin` makes them."""
        self._offsets: dict[str, int] = {}
        self._shapes = {name: getattr(tables, name).shape for name in _LEARNT}
        self._file = _nameless_file()
        weakref.finalize(self, self._file.close)
        for name in _LEARNT:
            self._offsets[name] = self._file.seek(-self._file.tell() % _ALIGNMENT, os.SEEK_CUR)
            self._file.write(np.ascontiguousarray(getattr(tables, name)).data)
        self._file.flush()
        nothing = {name: np.zeros(0, getattr(tables, name).dtype) for name in (*_LEARNT, "slots")}
        self._fixed = tables._replace(**nothing)  # what no block writes to is shared by all
        self._first = self._fixed._replace(**self._map(mmap.ACCESS_READ))
        self._free: list[Tables] = []

    def take(self, size: int) -> Tables:
        """Return tables for a block of `size` bytes."""
        try:
            tables = self._free.pop()
        except IndexError:
            tables = self._fixed._replace(**self._map(mmap.ACCESS_COPY))
        slots = SLOTS << line_bits(size)
        return tables if len(tables.slots) == slots else tables._replace(slots=np.zeros(slots, np.uint32))

    def give_back(self, tables: Tables, windows: Windows, decision: Decision) -> None:
        """Take tables that `take` returned, to be used again; windows, decision: of the block that used them."""
        count = int(decision.logged[0])
        if count > len(decision.log) or len(self._free) >= MOST_FREE:
            return
        places, split = decision.log[:count], len(tables.apms)
        for name, at in (("apms", places[places < split]), ("network_maps", places[places >= split] - split)):
            getattr(tables, name)[at] = getattr(self._first, name)[at]
        for name in ("state_maps", "match_maps", "weights", "final_weights"):
            getattr(tables, name)[...] = getattr(self._first, name)
        forget_matches(windows.history, windows.size, tables.match_index)
        tables.slots[:] = 0
        self._free.append(tables)

    def _map(self, access: int) -> dict[str, NDArray[Any]]:
        memory = mmap.mmap(self._file.fileno(), 0, access=access)
        return {
            name: np.frombuffer(
                memory, getattr(self._fixed, name).dtype, math.prod(shape), self._offsets[name]
            ).reshape(shape)
            for name, shape in self._shapes.items()
        }


def _nameless_file() -> IO[bytes]:
    if hasattr(os, "memfd_create"):  # Linux; elsewhere a file in the folder for temporary files does
        return os.fdopen(os.memfd_create("lmzip", os.MFD_CLOEXEC), "w+b")
    return tempfile.TemporaryFile()


class _Same:
    """A prior as a key of a cache: equal to itself alone."""

    def __init__(self, prior: Prior | None) -> None:
        self.prior = prior

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.prior is self.prior

    def __hash__(self) -> int:
        return id(self.prior)


@functools.lru_cache(4)
def _beginning(has_network: bool, subset: ContextSubset, prior: _Same) -> Beginning:
    return Beginning(begin(1, has_network, subset, prior.prior))
