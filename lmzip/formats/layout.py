"""What every format offers: how the content of a file is cut into blocks, and how each is deconstructed."""

from __future__ import annotations

from typing import Protocol

from lmzip.formats.side_data import Deconstructed


class Layout(Protocol):
    """How the content of one file is cut into blocks. Each format's `detect_...` returns one."""

    @property
    def kind(self) -> str:
        """Return "image" or "audio"."""

    @property
    def whole(self) -> bool:
        """Return whether the file can only be deconstructed as a whole, as one block."""

    def block_end(self, start: int, most: int) -> int:
        """Return the offset at which the block that begins at offset `start` ends, at most `start + most`."""

    def deconstruct(self, data: bytes, start: int) -> Deconstructed | None:
        """Deconstruct content[start : start + len(data)].

        Returns None where the piece holds too few samples, or where it would not come back byte for byte; every
        implementation reconstructs its result and compares it. Never raises.
        """


class WholeFile:
    """What the layouts have in common whose file is one block or none."""

    @property
    def whole(self) -> bool:
        """Return True."""
        return True

    def block_end(self, start: int, most: int) -> int:
        """Return the end of a full block."""
        return start + most
