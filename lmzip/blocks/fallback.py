"""What lzma and zstd make of bytes, and back."""

from __future__ import annotations

import concurrent.futures
import contextlib
import lzma
import sys
import threading
from collections.abc import Callable, Iterator

from lmzip import container
from lmzip.errors import CorruptError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# The dictionary size is format: the decoder must have as much. How lzma looks at its input (bits of
# the literal before, of the position for literals, of the position) stands in the LZMA2 chunks, so
# the encoder is free: the default and the three that helped it most on small text and binary files.
_DICTIONARY = 1 << 24  # bytes
_LZMA_FILTER = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": _DICTIONARY}
_LZMA_VIEWS = [{"lc": lc, "lp": lp, "pb": pb} for lc, lp, pb in ((3, 0, 2), (1, 0, 0), (2, 0, 0), (0, 1, 2))]
_LZMA_SAMPLE = 1 << 16  # bytes of a block that all of them are tried on

_ZSTD_OPTIONS: dict[int, int] = {
    zstd.CompressionParameter.compression_level: 19,
    zstd.CompressionParameter.content_size_flag: 0,  # the record has it
}
_PIECE = 1 << 16  # bytes that are compressed at a time: some 50 ms
_SAMPLE = 1 << 11  # bytes; what looks random is judged by eight of them


def looks_random(data: bytes) -> bool:
    """Whether samples of the data are as even as noise: compressed or encrypted already."""
    joined = b"".join(spread(data, _SAMPLE, 8))
    return len(joined) >= 8 * _SAMPLE and len(zstd.compress(joined, 3)) >= len(joined)


def spread(data: bytes, size: int, count: int) -> list[bytes]:
    """Return `count` pieces of data of `size` bytes, from its first byte to its last; all of it where it is shorter."""
    last = max(len(data) - size, 0)
    return [data[start : start + size] for start in (i * last // max(count - 1, 1) for i in range(count))]


class Stopped(Exception):
    """Nobody waits for the result any more."""


@contextlib.contextmanager
def fallback_beside(data: bytes) -> Iterator[concurrent.futures.Future[tuple[int, bytes]]]:
    """Run encode_fallback in another thread; an exception, such as an interrupt, stops it within a piece."""
    stop = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(1) as background:
        try:
            yield background.submit(encode_fallback, data, stop.is_set)
        except BaseException:
            stop.set()
            raise


def encode_fallback(data: bytes, stopped: Callable[[], bool] = lambda: False) -> tuple[int, bytes]:
    """Return (record type, payload) of the smaller of zstd and lzma; raises Stopped soon after that is asked for."""
    zstandard = zstd.ZstdCompressor(options=_ZSTD_OPTIONS)
    zstandard.set_pledged_input_size(len(data))
    packed = [(container.ZSTD, _in_pieces(zstandard, data, stopped)), (container.LZMA, encode_lzma(data, stopped))]
    return min(packed, key=lambda candidate: len(candidate[1]))


def _in_pieces(
    compressor: lzma.LZMACompressor | zstd.ZstdCompressor, data: bytes, stopped: Callable[[], bool]
) -> bytes:
    """Return what a compressor makes of data, piece by piece, so that signals and `stopped` are heard."""
    out = []
    for start in range(0, len(data), _PIECE):
        if stopped():
            raise Stopped
        out.append(compressor.compress(data[start : start + _PIECE]))
    return b"".join(out) + compressor.flush()


def encode_lzma(data: bytes, stopped: Callable[[], bool] = lambda: False) -> bytes:
    """Return the smaller of what lzma's default makes and what does best on a sample from the middle."""

    def encode(piece: bytes, view: int) -> bytes:
        size = min(max(len(piece), 4096), _DICTIONARY)  # more than the data would only take memory
        filters = [_LZMA_FILTER | _LZMA_VIEWS[view] | {"dict_size": size}]
        return _in_pieces(lzma.LZMACompressor(lzma.FORMAT_RAW, filters=filters), piece, stopped)

    start = max(0, (len(data) - _LZMA_SAMPLE) // 2)
    samples = [encode(data[start : start + _LZMA_SAMPLE], view) for view in range(len(_LZMA_VIEWS))]
    best = min(range(len(samples)), key=lambda view: len(samples[view]))
    return min((encode(data, view) for view in {0, best}), key=len)


def decode_fallback(type_: int, payload: bytes, raw_size: int, what: str) -> bytes:
    """Return what encode_fallback was given. Raises CorruptError unless the payload is just that."""
    decompressor: zstd.ZstdDecompressor | lzma.LZMADecompressor
    if type_ == container.ZSTD:
        decompressor, name = zstd.ZstdDecompressor(), "zstd frame"
    else:
        decompressor, name = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[_LZMA_FILTER]), "lzma2 stream"
    try:
        data = decompressor.decompress(payload, raw_size + 1)
    except (zstd.ZstdError, lzma.LZMAError) as error:
        raise CorruptError(f"{what}: {error}") from error
    if not decompressor.eof or decompressor.unused_data:
        raise CorruptError(f"{what}: not exactly one {name} of {raw_size} bytes")
    return data
