"""What the commands do to files: from a source through a compressor or decompressor to a sink."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from typing import Any

import click

from lmzip import library, paths
from lmzip.compressor import LMZCompressor
from lmzip.decompressor import LMZDecompressor
from lmzip.errors import CorruptError, LMZError
from lmzip.options import DEFAULT_LEVEL, Options
from lmzip.paths import STANDARD, MisuseError, Sink, Source
from lmzip.stream import get_frame_info
from lmzip.terminal import Exit, Progress, compressed_text, report_failure, say, size_text, worst

PIECE = 1 << 18  # bytes read at a time; no less than get_frame_info asks for


@dataclasses.dataclass(frozen=True)
class Request:
    """What the options of a command ask for; threads 0: all."""

    files: tuple[str, ...] = ()
    stdout: bool = False
    output: str | None = None
    remove: bool = False
    force: bool = False
    quiet: bool = False
    verbose: bool = False
    json: bool = False
    model: str | None = None
    threads: int = 0
    backend: str | None = None
    level: int | None = None
    coder: str = "range"
    no_verify: bool = False
    method: str = "auto"
    kind: str = "auto"
    max_output: int | None = None

    def __post_init__(self) -> None:
        if self.output is not None and (self.stdout or len(self.files) > 1):
            raise MisuseError("-o names the output of one file; it goes neither with -c nor with several files")
        if self.remove and (self.stdout or self.output == STANDARD or STANDARD in (self.files or (STANDARD,))):
            raise MisuseError("--rm needs files: a pipe cannot tell that all of it was stored")
        if self.remove and self.no_verify:
            raise MisuseError("--rm removes only what was verified; it does not go with --no-verify")
        if self.model is not None and not self.options.wants_model:
            raise MisuseError(f"-m does not go with -{self.options.level} --method {self.method}: no model is used")
        if self.kind in ("image", "audio") and self.method not in ("auto", "lm"):
            raise MisuseError(f"--kind {self.kind} does not go with --method {self.method}, which codes bytes")

    @property
    def options(self) -> Options:
        """How to code blocks."""
        return Options(self.level or DEFAULT_LEVEL, self.coder, not self.no_verify, self.method, self.kind)

    @property
    def loading(self) -> dict[str, Any]:
        """How to load a model: arguments of library.load_model; tells when that takes long."""
        notify = None if self.quiet else lambda message: say(f"lmzip: {message}")
        return {"threads": self.threads or None, "backend": self.backend, "notify": notify}


@dataclasses.dataclass
class Result:
    """What became of a file: the object that --json prints, a line for each file.

    command: compress, decompress or test. output: null for standard output, and where there is
    none. content_size, compressed_size: bytes read and written, also where an error came then.
    seconds: with those that loading the model took. error: null or a message. exit_code: of this
    file. Keys may be added, none will go.
    The lines go to standard output, or to standard error where data goes to the former.
    """

    command: str
    file: str
    output: str | None = None
    content_size: int = 0
    compressed_size: int = 0
    seconds: float = 0.0
    error: str | None = None
    exit_code: int = Exit.FINE


def run(command: str, request: Request) -> int:
    """Do `compress`, `decompress` or `test` with every file; return the gravest exit code."""
    return worst([_do(command, name, request).exit_code for name in request.files or (STANDARD,)])


def _do(command: str, name: str, request: Request) -> Result:
    result, started = Result(command, name), time.monotonic()
    to_stdout = command != "test" and (request.stdout or (request.output or name) == STANDARD)
    try:
        _transfer(command, name, request, to_stdout, result)
    except Exception as error:
        result.exit_code, result.error = report_failure(error, name, request.quiet)
    result.seconds = round(time.monotonic() - started, 3)
    if request.json:
        click.echo(json.dumps(dataclasses.asdict(result)), err=to_stdout)
    elif result.error is None and _wants_line(command, request, to_stdout):
        say(_line(result, request.verbose))
    return result


def _transfer(command: str, name: str, request: Request, to_stdout: bool, result: Result) -> None:
    if request.remove and command != "test":
        paths.refuse_removal(name, request.force)
    with paths.open_source(name, any_kind=to_stdout or request.output is not None or command == "test") as source:
        with _sink(command, source, request, to_stdout) as sink:
            if command != "test" and not to_stdout:
                result.output = sink.name
            try:
                if command == "compress":
                    compress_stream(source, sink, request)
                else:
                    decompress_stream(source, sink, request)
                sink.commit(source.status)
            finally:
                sizes = source.done, sink.written
                result.content_size, result.compressed_size = sizes if command == "compress" else sizes[::-1]
        if request.remove and command != "test":
            paths.remove_source(source)


def _sink(command: str, source: Source, request: Request, to_stdout: bool) -> Sink:
    if command == "test":
        return paths.Nowhere()
    if to_stdout:
        sink = Sink(1, "standard output")
        if command == "compress" and sink.is_terminal and not request.force:
            raise MisuseError("compressed data is not written to a terminal; use -o FILE, or -f; see lmzip --help")
        return sink
    target = request.output
    if target is None and command == "compress":
        target = paths.compressed_name(source.name, request.force)
    elif target is None:
        target = paths.decompressed_name(source.name)
    return paths.open_sink(target, source, request.force)


def compress_stream(source: Source, sink: Sink, request: Request) -> None:
    """Compress what is left of a source into one frame, a block at a time."""
    options = request.options
    model = None if request.model is None else library.load_model(request.model, **request.loading)
    if model is not None and model.kind != "bytes" and options.method != "lm":
        raise MisuseError(f"-m {request.model} is a model of the kind {model.kind}; it goes with --method lm")
    piece = source.read(PIECE)
    # Some files, those in /proc for instance, say that they are empty and are not.
    size = len(piece) if len(piece) < PIECE else source.size or None
    shown = not (request.quiet or sink.is_terminal)
    with Progress(source.name, size, shown) as progress:
        compressor = LMZCompressor(
            options.level, model=model, method=options.method, coder=options.coder, verify=options.verify,
            kind=options.kind, content_size=size, progress=progress.tick, **request.loading,
        )  # fmt: skip
        while piece:
            sink.write(compressor.compress(piece))
            progress.ratio(sink.written, compressor.done)
            piece = source.read(PIECE)
            if size is not None and (source.done > size or (not piece and source.done < size)):
                raise LMZError(f"changed while it was read: it had {size:,} bytes, then {source.done:,}")
        sink.write(compressor.flush())


def decompress_stream(source: Source, sink: Sink, request: Request) -> None:
    """Decompress all frames of a source, a block at a time."""
    if source.name == STANDARD and os.isatty(0):
        raise MisuseError("compressed data is not read from a terminal; see lmzip --help")
    given = None if request.model is None else library.load_model(request.model, **request.loading)
    rest, frames = source.read(PIECE), 0
    shown = not (request.quiet or sink.is_terminal)
    with Progress(source.name, None, shown) as progress:
        while rest or not frames:
            try:
                info = get_frame_info(rest)
            except LMZError as error:
                if not frames:
                    raise
                place = f"after the frame that ends at byte {source.done - len(rest):,}"
                raise CorruptError(f"{place}: {error}") from error
            progress.begin_frame(info.content_size)
            left = None if request.max_output is None else request.max_output - sink.written
            decompressor = LMZDecompressor(model=given, max_output=left, progress=progress.tick, **request.loading)
            rest = _decompress_frame(decompressor, rest, source, sink, progress)
            frames += 1


def _decompress_frame(
    decompressor: LMZDecompressor, rest: bytes, source: Source, sink: Sink, progress: Progress
) -> bytes:
    """Decompress a frame that begins with `rest`; return what was read after it, up to a whole piece."""
    while True:
        sink.write(decompressor.decompress(rest))
        progress.ratio(source.done, sink.written)
        if decompressor.eof:
            rest = decompressor.unused_data
            return rest + source.read(max(0, PIECE - len(rest)))
        rest = source.read(PIECE)
        if not rest:
            decompressor.finish()


def _wants_line(command: str, request: Request, to_stdout: bool) -> bool:
    """A line for each file; in a pipe and for a test only if asked for."""
    if request.quiet:
        return False
    return request.verbose or not (to_stdout or command == "test")


def _line(result: Result, verbose: bool) -> str:
    sizes = f"{size_text(result.compressed_size)} -> {size_text(result.content_size)}"
    if result.command == "compress":
        text = compressed_text(result.content_size, result.compressed_size)
    else:
        text = f"ok ({sizes})" if result.command == "test" else sizes
    if verbose:
        speed = size_text(result.content_size / max(result.seconds, 1e-3))
        text += f", {result.seconds:.1f} s, {speed}/s"
    return f"{'standard input' if result.file == STANDARD else result.file}: {text}"
