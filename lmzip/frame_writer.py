"""FrameWriter: blocks into one frame."""

from __future__ import annotations

import hashlib
from typing import Any

from lmzip import container
from lmzip.container import Header, Index, short
from lmzip.container.short import ShortHead
from lmzip.models.identity import ModelIdentity
from lmzip.models.protocols import Predictor


class FrameWriter:
    """Write one frame: its header with the first block, then block by block, then its end.

    The first block is held back until it is known whether it is the only one: such a frame has a layout of its own.

    header: what a frame of records begins with. content_size: bytes of content that were added.
    """

    def __init__(self, header: Header) -> None:
        self.header, self.content_size = header, 0
        self._header_size = 0  # until it was given out
        self._records: list[tuple[int, int]] = []
        self._index_size = container.index_size_bound([])
        self._sha256 = hashlib.sha256()
        self._defined = b""  # sha256 of the model that holds for the next block
        self._held = b""  # the first block, and what stands before it
        self._short = short.create_frame(ShortHead(container.STORED, 0, 0), b"", b"")  # the whole frame, if it ends now

    def add(self, type_: int, payload: bytes, data: bytes, model: Predictor | None) -> bytes | None:
        """Add a block of data: return what the frame goes on with; None where the index has no room for it.

        model: the one that the payload needs, if it needs one; it is defined before its first block.
        """
        records: list[tuple[bytes, int]] = []
        definition = None
        if type_ in container.MODEL_TYPES and model is not None:
            definition = ModelIdentity(model.id, model.sha256, model.profile)
        if definition is not None and definition.sha256 != self._defined:
            payload_of_it = container.create_model_definition(definition)
            records.append((container.create_record(container.MODEL_DEFINITION, payload_of_it), 0))
        records.append((container.create_record(type_, payload, data), len(data)))
        sizes = [(len(record), raw_size) for record, raw_size in records]
        index_size = container.index_size_bound(sizes, self._index_size)
        if self._records and index_size > container.MAX_INDEX_SIZE:
            return None
        if definition is not None:
            self._defined = definition.sha256
        is_first = not self._records
        self._records += sizes
        self._index_size = index_size
        self._sha256.update(data)
        self.content_size += len(data)
        out = self._begin() + b"".join(record for record, _ in records)
        if is_first:
            self._held = out
            self._short = short.create_frame(ShortHead(type_, len(data), len(payload), definition), payload, data)
            return b""
        return self.flush() + out

    def flush(self) -> bytes:
        """Return the block that is held back, if one is."""
        out = self._held
        if self._records:
            self._held = self._short = b""
        return out

    def end(self) -> bytes:
        """Return the end of the frame: all of it where it has no block or one that is held back."""
        if self._short:
            return self._short
        return container.create_end(Index(self._header_size, tuple(self._records), self._sha256.digest()))

    def mark(self) -> Any:
        """Return what `restore` needs to forget all that is added from now on."""
        return (
            len(self._records),
            self._header_size,
            self._index_size,
            self._sha256.copy(),
            self._defined,
            self._held,
            self._short,
            self.content_size,
        )

    def restore(self, mark: Any) -> None:
        """Go back to where `mark` was called."""
        count, self._header_size, self._index_size, self._sha256, self._defined, *others = mark
        self._held, self._short, self.content_size = others
        del self._records[count:]

    def _begin(self) -> bytes:
        if self._header_size:
            return b""
        header = container.create_header(self.header)
        self._header_size = len(header)
        return header
