"""Pixels and samples as symbols of an exact network, as in LMCompress (Li et al. 2024).

A symbol is a byte of what a fixed predictor leaves of a sample, told apart by what kind of byte it is.
The symbols of a picture go down strips of STRIP pixels, so that the network sees some rows above its pixel.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmzip.models.exact.engine import Engine
from lmzip.models.networks.residual_symbols import add_up, differences
from lmzip.models.networks.session import NetworkModel

TAGS = 5  # kinds of bytes
ALPHABET = 256 * TAGS
STRIP = 32  # pixels


class SampleModel(NetworkModel):
    """A network of pixels or samples. See `lmzip.models.protocols.SampleModel`."""

    def __init__(
        self, kind: str, model_id: str, engine: Engine, sha256: bytes, threads: int | None = None, backend: str = "cpu"
    ) -> None:
        """kind: `image` or `audio`. threads, backend: see NetworkModel."""
        if engine.config.vocab_size != ALPHABET:
            raise ValueError(f"model {model_id}: {engine.config.vocab_size} outputs where samples have {ALPHABET}")
        super().__init__(model_id, engine, sha256, threads, backend)
        self.kind = kind

    def count_symbols(self, shape: tuple[int, ...], depth: int) -> int:
        """See SampleModel.count_symbols."""
        return math.prod(shape) * _bytes_of(depth)

    def encode(self, samples: NDArray[Any], depth: int) -> NDArray[np.int32]:
        """See SampleModel.encode."""
        return symbols_of(self.kind, samples, depth)

    def decode(self, symbols: NDArray[np.int32], shape: tuple[int, ...], depth: int) -> NDArray[Any]:
        """See SampleModel.decode."""
        return samples_of(self.kind, symbols, shape, depth)


def symbols_of(kind: str, samples: NDArray[Any], depth: int) -> NDArray[np.int32]:
    """Return the symbols of an array."""
    planes = samples.reshape(_planes(samples.shape)).astype(_integers_for(depth))
    left = differences(planes, depth, kind == "audio")
    left += _centre(depth)
    places = 8 * np.arange(_bytes_of(depth), dtype=left.dtype)[::-1]
    stacked = left[..., None] >> places
    stacked &= 255
    stacked += 256 * _tags(kind, left.shape[-1], len(places)).astype(left.dtype)
    strips = [strip.ravel() for strip in _strips(kind, stacked)]
    return np.concatenate(strips, dtype=np.int32, casting="same_kind")


def samples_of(kind: str, symbols: NDArray[np.int32], shape: tuple[int, ...], depth: int) -> NDArray[Any]:
    """Return the array (see `lmzip.formats`) of symbols; ValueError where there is none."""
    planes = _planes(shape)
    count = _bytes_of(depth)
    integers = _integers_for(depth)
    stacked = np.empty((*planes, count), integers)
    start = 0
    for strip in _strips(kind, stacked):
        strip[...] = symbols[start : start + strip.size].reshape(strip.shape)
        start += strip.size
    stacked -= 256 * _tags(kind, planes[-1], count).astype(integers)
    if stacked.min() < 0 or stacked.max() > 255:
        raise ValueError("a symbol stands where another kind of byte belongs")
    left = (stacked << 8 * np.arange(count, dtype=integers)[::-1]).sum(axis=-1, dtype=integers)
    most = 1 << 8 * count - 1
    left += most - _centre(depth)
    left %= 2 * most
    left -= most
    half = 1 << depth - 1
    if left.min() < -half or left.max() >= half:
        raise ValueError(f"a difference of samples has more than {depth} bits")
    found = add_up(left, depth, kind == "audio").reshape(shape)
    return found.astype(np.int32 if kind == "audio" else np.uint8 if depth <= 8 else np.uint16)


def _bytes_of(depth: int) -> int:
    return -(-depth // 8)


def _integers_for(depth: int) -> np.dtype[Any]:
    """Return integers that hold differences of samples, and twice them."""
    return np.dtype(np.int32 if depth <= 16 else np.int64)


def _centre(depth: int) -> int:
    """Return what is added to differences, so that small ones have the same high bytes."""
    return int.from_bytes(b"\x80" * _bytes_of(depth), "big")


def _planes(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return a shape as (rows, width, channels); a sound is one row."""
    return shape if len(shape) == 3 else (1, *shape)  # type: ignore[return-value]


def _tags(kind: str, channels: int, count: int) -> NDArray[np.int64]:
    """Return the kind of each byte of a pixel or frame, (channels, count): by its channel and place."""
    channel = np.minimum(np.arange(channels), 3 if kind == "image" else 1)[:, None]
    place = np.arange(count)
    if kind == "image":
        return np.where(place == 0, channel, 4)
    return np.where(place < 2, 2 * place + channel, 4)


def _strips(kind: str, stacked: NDArray[Any]) -> list[NDArray[Any]]:
    """Return views of (rows, width, ...), one after the other."""
    step = STRIP if kind == "image" else stacked.shape[1]
    return [stacked[:, start : start + step] for start in range(0, stacked.shape[1], step)]
