"""Compressors in one shape, lmzip among them, and measuring them: one loop serves all."""

from __future__ import annotations

import bz2
import dataclasses
import datetime
import gzip
import lzma
import platform
import shutil
import stat
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from lmzip import __version__, stream
from lmzip.models import registry
from lmzip.models.extras import has, version
from lmzip.models.hardware import processors
from lmzip.models.protocols import Model

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

XZ = "xz -9e"  # what all times are compared with

# A call this short says little, so fast compressors are called again.
_ENOUGH_SECONDS = 0.1
_MOST_CALLS = 20

_WARM_UP = (
    b"It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a "
    b"wife. However little known the feelings or views of such a man may be on his first entering a neighbourhood, "
    b"this truth is so well fixed in the minds of the surrounding families, that he is considered as the rightful "
    b"property of some one or other of their daughters.\n"
)

COLUMNS = (
    "file", "raw_bytes", "compressor", "compressed_bytes", "bits_per_byte", "encode_seconds", "decode_seconds",
    "encode_times_xz", "decode_times_xz", "verified",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Compressor:
    """How to encode and decode.

    Attributes:
        name: as on a command line.
        encode: data to code.
        decode: code to what `content` gives for the data.
        module: import name of a package that it needs and may lack.
        programs: those that it needs and may lack.
        content: what must come back; where it is not the data itself, the table says so.
    """

    name: str
    encode: Callable[[bytes], bytes]
    decode: Callable[[bytes], bytes]
    module: str | None = None
    programs: tuple[str, ...] = ()
    content: Callable[[bytes], bytes] | None = None

    @property
    def is_lmzip(self) -> bool:
        """Whether it is lmzip, whose size does not count the model."""
        return self.name.startswith("lmzip ")

    @property
    def missing(self) -> bool:
        """Whether its package or one of its programs is not installed."""
        without = self.module is not None and not has(self.module)
        return without or any(shutil.which(program) is None for program in self.programs)


@dataclasses.dataclass(frozen=True)
class Timing:
    """How long a call took: by the clock, and on all processors together."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def __add__(self, other: Timing) -> Timing:
        return Timing(self.seconds + other.seconds, self.cpu_seconds + other.cpu_seconds)


@dataclasses.dataclass(frozen=True)
class Result:
    """One compressor on one file, or on the sum of several; no number counts where `error` is set."""

    compressor: str
    raw_bytes: int
    compressed_bytes: int = 0
    encode: Timing = Timing()
    decode: Timing = Timing()
    error: str | None = None

    @property
    def bits_per_byte(self) -> float:
        """Compressed bits for a byte of input."""
        return 8 * self.compressed_bytes / self.raw_bytes

    @property
    def ratio(self) -> float:
        """Raw size by compressed size."""
        return self.raw_bytes / self.compressed_bytes


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """A model as reports name it. bytes: of its files on disk; load_seconds: reading and checking it."""

    id: str
    sha256: str
    profile: str
    bytes: int
    load_seconds: float


def _encode_zstd(data: bytes, level: int) -> bytes:
    parameter = zstd.CompressionParameter
    options: dict[int, int] = {
        parameter.compression_level: level,
        parameter.checksum_flag: 1,
        parameter.content_size_flag: 1,
    }
    return zstd.compress(data, options=options)


def _encode_brotli(data: bytes) -> bytes:
    import brotli

    return bytes(brotli.compress(data, quality=11, lgwin=24))


def _decode_brotli(data: bytes) -> bytes:
    import brotli

    return bytes(brotli.decompress(data))


# With the settings of the tools of these names: zstd writes a checksum, xz a CRC64, gzip no file name.
PEERS = (
    Compressor("gzip -9", lambda data: gzip.compress(data, 9, mtime=0), gzip.decompress),
    Compressor("bzip2 -9", lambda data: bz2.compress(data, 9), bz2.decompress),
    Compressor(XZ, lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME), lzma.decompress),
    Compressor("zstd -19", lambda data: _encode_zstd(data, 19), zstd.decompress),
    Compressor("zstd -22", lambda data: _encode_zstd(data, 22), zstd.decompress),
    Compressor("brotli -11", _encode_brotli, _decode_brotli, "brotli"),
)


def peers_named(names: Iterable[str], more: Sequence[Compressor] = ()) -> list[Compressor]:
    """Return the peers, or those of more, by program (`zstd`: all of it) or in full (`zstd-22`); else ValueError."""
    peers = (*PEERS, *more)
    found: list[Compressor] = []
    for name in names:
        matches = [peer for peer in peers if name in (peer.name.split()[0], peer.name.replace(" ", ""), peer.name)]
        if not matches:
            known = ", ".join(peer.name.replace(" ", "") for peer in peers)
            raise ValueError(f"no peer {name!r}; there are {known}")
        found += [peer for peer in matches if peer not in found]
    return found


def open_model(source: str | Path | None = None, **options: Any) -> tuple[Model, ModelInfo]:
    """Load a model and describe it. Options and errors as for lmzip.load_model."""
    from lmzip.models import store

    start = time.perf_counter()
    model = registry.load_model(source, kind="bytes", **options)
    seconds = time.perf_counter() - start
    folder, _ = registry.locate(registry.DEFAULT_MODEL if source is None else source)
    return model, ModelInfo(model.id, model.sha256.hex(), model.profile, store.size(folder), seconds)


def lmzip_compressor(level: int, model: Model | None = None, method: str = "auto") -> Compressor:
    """Return lmzip at a level. It does not verify while encoding: whoever measures decodes anyway."""
    return Compressor(
        f"lmzip -{level}" + (f" --method {method}" if method != "auto" else ""),
        lambda data: stream.compress(data, level, model=model, method=method, verify=False),
        lambda data: stream.decompress(data, model=model),
    )


def warm_up(compressor: Compressor) -> None:
    """Run once what happens once: imports, compiling, filling caches. Errors are left to `measure`."""
    try:
        compressor.decode(compressor.encode(_WARM_UP))
    except Exception:
        return


def measure(compressor: Compressor, data: bytes) -> Result:
    """Encode, decode and compare data, which must not be empty; trouble of any kind becomes `error`."""
    result = Result(compressor.name, len(data))
    try:
        code, encode = _timed(compressor.encode, data)
        decoded, decode = _timed(compressor.decode, code)
        wanted = compressor.content(data) if compressor.content else data
    except Exception as error:
        return dataclasses.replace(result, error=f"{type(error).__name__}: {error}")
    if decoded != wanted:
        what = "pixels or samples" if compressor.content else "bytes"
        return dataclasses.replace(result, error=f"decoded to other {what} than it was given")
    return dataclasses.replace(result, compressed_bytes=len(code), encode=encode, decode=decode)


def _timed(function: Callable[[bytes], bytes], data: bytes) -> tuple[bytes, Timing]:
    """Call function, again while that is fast; return what it returned and the shortest time."""
    best, total, calls = Timing(float("inf")), 0.0, 0
    while calls == 0 or (total < _ENOUGH_SECONDS and calls < _MOST_CALLS):
        start, cpu_start = time.perf_counter(), time.process_time()
        result = function(data)
        timing = Timing(time.perf_counter() - start, time.process_time() - cpu_start)
        best = min(best, timing, key=lambda timing: timing.seconds)
        total, calls = total + timing.seconds, calls + 1
    return result, Timing(max(best.seconds, 1e-9), best.cpu_seconds)  # clocks may be coarse


def summed(results: Iterable[Result]) -> Result:
    """Add up results of one compressor, at least one; an error in one is an error of the sum."""
    results = list(results)
    errors = sum(result.error is not None for result in results)
    total = Result(results[0].compressor, sum(result.raw_bytes for result in results))
    if errors:
        return dataclasses.replace(total, error=f"failed on {errors} of {len(results)} files")
    return dataclasses.replace(
        total,
        compressed_bytes=sum(result.compressed_bytes for result in results),
        encode=sum((result.encode for result in results), Timing()),
        decode=sum((result.decode for result in results), Timing()),
    )


def by_xz(results: Iterable[Result]) -> Result | None:
    """Return the result to compare the others' times with, if it is there and good."""
    return next((result for result in results if result.compressor == XZ and result.error is None), None)


def quotient(value: float, unit: float | None) -> float | None:
    """Return value / unit, or None where that says nothing."""
    return value / unit if unit else None


@dataclasses.dataclass(frozen=True)
class FileReport:
    """What came out for one file: results, or the error that kept it from being read."""

    path: str
    raw_bytes: int
    results: tuple[Result, ...] = ()
    error: str | None = None


@dataclasses.dataclass(frozen=True)
class Report:
    """Everything that was measured. skipped: compressors that are not installed."""

    files: tuple[FileReport, ...]
    model: ModelInfo | None
    skipped: tuple[str, ...] = ()

    @property
    def totals(self) -> list[Result]:
        """The sum over the files that could be read, for each compressor."""
        by_name: dict[str, list[Result]] = {}
        for result in (result for file in self.files for result in file.results):
            by_name.setdefault(result.compressor, []).append(result)
        return [summed(results) for results in by_name.values()]

    @property
    def errors(self) -> list[str]:
        """One line for each thing that went wrong."""
        lines = [f"{file.path}: {file.error}" for file in self.files if file.error]
        return lines + [f"{f.path}: {r.compressor}: {r.error}" for f in self.files for r in f.results if r.error]

    def with_model(self, total: Result) -> Result | None:
        """Return a total with the model counted once, or None for compressors without one."""
        if self.model is None or total.error or not total.compressor.startswith("lmzip "):
            return None
        size = total.compressed_bytes + self.model.bytes
        return dataclasses.replace(total, compressor=f"{total.compressor} + model", compressed_bytes=size)

    def break_even(self, total: Result) -> int | None:
        """Return how many bytes of such files it takes until lmzip and its model are smaller than xz."""
        xz = by_xz(self.totals)
        if self.model is None or xz is None or self.with_model(total) is None:
            return None
        saved = xz.compressed_bytes - total.compressed_bytes
        return -(-self.model.bytes * total.raw_bytes // saved) if saved > 0 else None


def measure_files(
    paths: Sequence[Path], compressors: Sequence[Compressor], progress: Callable[[str, int], None]
) -> tuple[FileReport, ...]:
    """Measure every compressor on every file; progress: what comes next, and how many runs are done."""
    files = []
    for i, path in enumerate(paths):
        try:
            data = _read(path)
        except (OSError, ValueError) as error:
            files.append(FileReport(str(path), 0, error=getattr(error, "strerror", None) or str(error)))
            continue
        results = []
        for j, compressor in enumerate(compressors):
            progress(f"{path.name}: {compressor.name}", i * len(compressors) + j)
            results.append(measure(compressor, data))
        files.append(FileReport(str(path), len(data), tuple(results)))
    return tuple(files)


def _read(path: Path) -> bytes:
    """Return the content of a file; ValueError where there is nothing to measure."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise ValueError("is a directory; name the files in it")
    if not stat.S_ISREG(mode):
        raise ValueError("is not a regular file")
    data = path.read_bytes()
    if not data:
        raise ValueError("is empty, so there is nothing to measure")
    return data


def csv_row(file: str, result: Result, xz: Result | None) -> dict[str, str]:
    """Return a row of COLUMNS; numbers of a failed result are empty."""
    row = dict.fromkeys(COLUMNS, "")
    row |= {"file": file, "raw_bytes": str(result.raw_bytes), "compressor": result.compressor, "verified": "false"}
    if result.error is not None:
        return row
    row |= {"compressed_bytes": str(result.compressed_bytes), "bits_per_byte": f"{result.bits_per_byte:.4f}"}
    for name in ("encode", "decode"):
        seconds = getattr(result, name).seconds
        times = quotient(seconds, getattr(xz, name).seconds if xz else None)
        row |= {f"{name}_seconds": f"{seconds:.4g}", f"{name}_times_xz": "" if times is None else f"{times:.4g}"}
    return row | {"verified": "true"}


def environment(model: ModelInfo | None) -> dict[str, Any]:
    """Return what numbers depend on; no host name and no path."""
    packages = ("numpy", "numba", "torch", "constriction")
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "cpu": _cpu_model(),
        "cores": processors(),
        "lmzip": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
        "zstd": zstd.zstd_version,
        "brotli": version("brotli") if has("brotli") else None,
        "model": None if model is None else dataclasses.asdict(model),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
