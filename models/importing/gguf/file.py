"""The layout of a GGUF file: metadata and tensors, read straight from the mapped bytes.

The package `gguf` knows the types of tensors and turns them into floats. Its reader makes numpy arrays of every
string, which takes eight seconds where there are 262,144 tokens, and does not say what is wrong with a file that is
damaged. So the layout is read here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmzip.models.extras import require

MAGIC = b"GGUF"
ALIGNMENT = 32  # of the tensors, where the metadata have no other
MOST = 1 << 20  # entries and tensors of a file
STRING, ARRAY = 8, 9
NUMBERS = {
    0: "<u1", 1: "<i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?", 10: "<u8", 11: "<i8", 12: "<f8",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Tensor:
    """Where a tensor lies in a file, and how: shape as numpy has it, type a number of GGML's."""

    shape: tuple[int, ...]
    type: int
    start: int
    size: int  # in bytes


class GGUFFile:
    """A GGUF file: `metadata` by key and `tensors` by name."""

    def __init__(self, data: mmap.mmap | bytes, name: str) -> None:
        """name: for messages. Raises ValueError where the file is damaged, ImportError without the package `gguf`."""
        require("gguf", extra="import")
        self.name, self._data, self._position = name, data, 0
        try:
            self._read()
        except UnicodeDecodeError as error:
            raise ValueError(f"{name} is damaged: a string near byte {self._position} is not UTF-8") from error

    def _read(self) -> None:
        """Read all that stands before the tensors."""
        if self._take(4) != MAGIC:
            raise ValueError(f"{self.name} is not a GGUF file")
        version = self._number(4)
        if version not in (2, 3):
            raise ValueError(
                f"{self.name} has the version {version} of GGUF, or numbers in the other byte order; versions 2 and 3 "
                "with the low byte first are read. Convert the model again"
            )
        tensors, entries = self._count("tensors"), self._count("entries of metadata")
        self.metadata = {self._string(): self._value() for _ in range(entries)}
        places = {self._string(): self._place() for _ in range(tensors)}
        alignment = self.metadata.get("general.alignment", ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise ValueError(f"{self.name} is damaged: tensors aligned at {alignment!r} bytes")
        first = -(-self._position // alignment) * alignment
        self.tensors = {name: self._tensor(name, first, *place) for name, place in places.items()}

    def _take(self, count: int) -> bytes:
        """Return the next bytes."""
        if count > len(self._data) - self._position:
            raise ValueError(
                f"{self.name} is not all here: it ends after {len(self._data):,} bytes, in the middle of its metadata. "
                "Get it again"
            )
        self._position += count
        return self._data[self._position - count : self._position]

    def _number(self, kind: int) -> Any:
        """Return the next number of a kind, see NUMBERS."""
        dtype = np.dtype(NUMBERS[kind])
        value = np.frombuffer(self._take(dtype.itemsize), dtype)[0]
        # The shortest number that is rounded to this float32: 1e-5, not 9.999999747378752e-06.
        return float(str(value)) if dtype == np.float32 else value.item()

    def _count(self, what: str) -> int:
        count: int = self._number(10)
        if count > MOST:
            raise ValueError(f"{self.name} is damaged: {count} {what}")
        return count

    def _string(self) -> str:
        return self._take(self._number(10)).decode("utf-8")

    def _value(self) -> Any:
        """Return the next value of the metadata: a number, a string, or a list of them."""
        kind = self._number(4)
        if kind == STRING:
            return self._string()
        if kind == ARRAY:
            kind, count = self._number(4), self._number(10)
            if kind == STRING:
                return [self._string() for _ in range(count)]
            if kind in NUMBERS:
                dtype = np.dtype(NUMBERS[kind])
                return np.frombuffer(self._take(count * dtype.itemsize), dtype).tolist()
        elif kind in NUMBERS:
            return self._number(kind)
        raise ValueError(f"{self.name} is damaged: a value of the type {kind} near byte {self._position}")

    def _place(self) -> tuple[tuple[int, ...], int, int]:
        """Return shape, type and offset of the next tensor."""
        dimensions = self._number(4)
        if dimensions > 4:
            raise ValueError(f"{self.name} is damaged: a tensor with {dimensions} dimensions")
        shape = tuple(self._number(10) for _ in range(dimensions))
        return shape[::-1], self._number(4), self._number(10)

    def _tensor(self, name: str, first: int, shape: tuple[int, ...], kind: int, offset: int) -> Tensor:
        """Check a tensor's type and place. first: where the tensors begin."""
        from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

        if kind not in set(GGMLQuantizationType):
            raise ValueError(f"the tensor {name} has the type {kind}, which the installed package gguf does not know")
        per_block, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
        if not shape or shape[-1] % per_block:
            raise ValueError(f"{self.name} is damaged: the tensor {name} has the shape {shape}")
        size = math.prod(shape) // per_block * block_bytes
        if first + offset + size > len(self._data):
            raise ValueError(
                f"{self.name} is not all here: it ends after {len(self._data):,} bytes, but the tensor {name} ends at "
                f"{first + offset + size:,}. Get it again"
            )
        return Tensor(shape, kind, first + offset, size)

    def sha256(self) -> bytes:
        """Return the hash of the whole file."""
        return hashlib.sha256(self._data).digest()

    def read(self, name: str) -> NDArray[np.float32]:
        """Return a tensor in float32; ValueError where the package `gguf` cannot turn its type into floats."""
        from gguf import quants
        from gguf.constants import GGMLQuantizationType

        tensor = self.tensors[name]
        kind = GGMLQuantizationType(tensor.type)
        stored = np.frombuffer(self._data, np.uint8, tensor.size, tensor.start).reshape(*tensor.shape[:-1], -1)
        try:
            with np.errstate(all="ignore"):  # numbers that are not finite are looked for later
                value = quants.dequantize(stored, kind)
        except NotImplementedError as error:
            raise ValueError(f"the tensor {name} has the type {kind.name}, which is not read") from error
        return np.asarray(value, np.float32).reshape(tensor.shape)
