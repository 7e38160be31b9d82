"""What the commands do to files: from a source through a compressor or decompressor to a sink."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import click

from lmzip.cli import paths
from lmzip.cli.paths import STANDARD, MisuseError, Sink, Source
from lmzip.cli.terminal import Exit, Progress, compressed_text, report_failure, say, size_text, worst
from lmzip.compressor import LMZCompressor
from lmzip.decompressor import LMZDecompressor
from lmzip.errors import CorruptError, LMZError, TruncatedError
from lmzip.models import registry
from lmzip.models.protocols import Model
from lmzip.options import DEFAULT_LEVEL, Options
from lmzip.recover import decode_parts, describe, find_parts, missing_size
from lmzip.stream import get_frame_info

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
    suffix: str | None = None
    recover: bool = False

    def __post_init__(self) -> None:
        if self.output is not None and self.stdout:
            raise MisuseError("-o does not go with -c, which writes to standard output")
        if self.output is not None and len(self.files) > 1 and not self.into_folder:
            raise MisuseError(
                f"-o {self.output} names the output of one file; for several name a folder, with / behind"
            )
        if self.suffix is not None and (not self.suffix or os.sep in self.suffix):
            raise MisuseError(f"-S {self.suffix!r}: a suffix is what names end in, such as {paths.SUFFIX}")
        if self.remove and (self.stdout or self.output == STANDARD or STANDARD in (self.files or (STANDARD,))):
            raise MisuseError("--rm needs files: a pipe cannot tell that all of it was stored")
        if self.remove and self.recover:
            raise MisuseError("--rm does not go with --recover: a damaged file may be all that is left of its content")
        if self.remove and self.no_verify:
            raise MisuseError("--rm removes only what was verified; it does not go with --no-verify")
        if self.model is not None and not self.options.wants_model:
            raise MisuseError(f"-m does not go with -{self.options.level} --method {self.method}: no model is used")
        if self.kind in ("image", "audio") and self.method not in ("auto", "lm"):
            raise MisuseError(f"--kind {self.kind} does not go with --method {self.method}, which codes bytes")

    @property
    def into_folder(self) -> bool:
        """Whether the output is a folder, in which every file gets its usual name."""
        if self.output in (None, STANDARD):
            return False
        return self.output.endswith(os.sep) or os.path.isdir(self.output)

    @property
    def options(self) -> Options:
        """How to code blocks."""
        return Options(self.level or DEFAULT_LEVEL, self.coder, not self.no_verify, self.method, self.kind)

    def loading(self, notify: Callable[[str], None]) -> dict[str, Any]:
        """Return how to load a model: arguments of registry.load_model. notify: told what takes long."""
        return {"threads": self.threads or None, "backend": self.backend, "notify": None if self.quiet else notify}


@dataclasses.dataclass(frozen=True)
class Job:
    """A command's work on one of its files.

    command: compress, decompress or test. place: which of several files it is. written: outputs of the same run,
    which no other of its files may replace.
    """

    command: str
    name: str
    request: Request
    place: str
    written: set[str]

    @property
    def to_stdout(self) -> bool:
        """Whether data goes to standard output."""
        request = self.request
        return self.command != "test" and (request.stdout or (request.output or self.name) == STANDARD)

    @property
    def wants_line(self) -> bool:
        """Whether to print a line of the result; in a pipe and for a test only if asked for."""
        return not self.request.quiet and (self.request.verbose or not (self.to_stdout or self.command == "test"))

    def progress(self, source: Source, sink: Sink, total: int | None) -> Progress:
        """Return the bar: none beside data on standard output, unless asked for, since its reader may print too."""
        request = self.request
        shown = not request.quiet and not sink.is_terminal and (request.verbose or not self.to_stdout)
        return Progress(source.name, total, shown, self.place)


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
    if request.recover and command != "decompress":
        raise MisuseError("--recover goes with decompress, or with -d")
    names, written = request.files or (STANDARD,), set[str]()
    places = [f"{i} of {len(names)}: " if len(names) > 1 else "" for i in range(1, len(names) + 1)]
    jobs = [Job(command, name, request, place, written) for name, place in zip(names, places, strict=True)]
    return worst([_do(job).exit_code for job in jobs])


def _do(job: Job) -> Result:
    result, started = Result(job.command, job.name), time.monotonic()
    try:
        _transfer(job, result)
    except Exception as error:
        result.exit_code, result.error = report_failure(error, job.name, job.request.quiet)
    result.seconds = round(time.monotonic() - started, 3)
    if job.request.json:
        click.echo(json.dumps(dataclasses.asdict(result)), err=job.to_stdout)
    elif result.error is None and job.wants_line:
        say(_line(result, job.request.verbose))
    return result


def _transfer(job: Job, result: Result) -> None:
    request, is_test = job.request, job.command == "test"
    if request.remove and not is_test:
        paths.refuse_removal(job.name, request.force)
    any_kind = job.to_stdout or request.output is not None or is_test
    with paths.open_source(job.name, any_kind=any_kind) as source:
        with _sink(job, source) as sink:
            if not (is_test or job.to_stdout):
                result.output = sink.name
            lost = ""
            try:
                if job.command == "compress":
                    compress_stream(source, sink, job)
                elif request.recover:
                    lost = recover_stream(source, sink, job)
                else:
                    decompress_stream(source, sink, job)
                sink.commit(source.status)
                job.written.add(os.path.realpath(sink.name))
                if lost:
                    raise CorruptError(lost)
            finally:
                sizes = source.done, sink.written
                result.content_size, result.compressed_size = sizes if job.command == "compress" else sizes[::-1]
        if request.remove and not is_test:
            paths.remove_source(source)


def _sink(job: Job, source: Source) -> Sink:
    if job.command == "test":
        return paths.Nowhere()
    request = job.request
    if job.to_stdout:
        sink = Sink(1, "standard output")
        if job.command == "compress" and sink.is_terminal and not request.force:
            raise MisuseError("compressed data is not written to a terminal; use -o FILE, or -f; see lmzip --help")
        return sink
    target = _target(job)
    if os.path.realpath(target) in job.written:
        raise MisuseError(f"{target} was made of another file a moment ago")
    return paths.open_sink(target, source, request.force)


def _target(job: Job) -> str:
    """Return the name of the output."""
    request = job.request
    if request.output is not None and not request.into_folder:
        return request.output
    if job.name == STANDARD:
        raise MisuseError(f"standard input has no name that its output could get in {request.output}; name a file")
    suffix = request.suffix or paths.SUFFIX
    if job.command == "compress":
        name = paths.compressed_name(job.name, suffix, request.force)
    else:
        name = paths.decompressed_name(job.name, suffix)
    return name if request.output is None else paths.name_in_folder(request.output, name)


@contextlib.contextmanager
def _coding() -> Iterator[None]:
    """Say of an OSError without a name what it is about: input and output name themselves."""
    try:
        yield
    except OSError as error:
        name = error.filename or "a file of lmzip's own, such as its compiled kernels"
        raise OSError(error.errno, error.strerror or str(error), name) from error


def compress_stream(source: Source, sink: Sink, job: Job) -> None:
    """Compress what is left of a source into one frame, a block at a time."""
    request, options = job.request, job.request.options
    piece = source.read(PIECE)
    # Some files, those in /proc for instance, say that they are empty and are not.
    size = len(piece) if len(piece) < PIECE else source.size or None
    with job.progress(source, sink, size) as progress, _coding():
        progress.wait("loading the model" if options.wants_model else "looking at the data")
        loading = request.loading(progress.say)
        model = _given_model(job, progress)
        if model is not None and model.kind != "bytes" and options.method != "lm":
            raise MisuseError(f"-m {request.model} is a model of the kind {model.kind}; it goes with --method lm")
        if options.method == "fallback":
            progress.wait("lzma and zstd")
        compressor = LMZCompressor(
            options.level, model=model, method=options.method, coder=options.coder, verify=options.verify,
            kind=options.kind, content_size=size, progress=progress.tick, **loading,
        )  # fmt: skip
        while piece:
            sink.write(compressor.compress(piece))
            progress.ratio(sink.written, compressor.done)
            piece = source.read(PIECE)
            if size is not None and (source.done > size or (not piece and source.done < size)):
                raise LMZError(f"changed while it was read: it had {size:,} bytes, then {source.done:,}")
        sink.write(compressor.flush())


def decompress_stream(source: Source, sink: Sink, job: Job) -> None:
    """Decompress all frames of a source, a block at a time."""
    if source.name == STANDARD and os.isatty(0):
        raise MisuseError("compressed data is not read from a terminal; see lmzip --help")
    request = job.request
    with job.progress(source, sink, None) as progress, _coding():
        loading = request.loading(progress.say)
        given = _given_model(job, progress)
        rest, frames = source.read(PIECE), 0
        while rest or not frames:
            try:
                info = get_frame_info(rest)
            except LMZError as error:
                if not frames:
                    raise
                place = f"after the frame that ends at byte {source.done - len(rest):,}"
                raise CorruptError(f"{place}: {error}{_what_is_whole(source, progress)}") from error
            progress.begin_frame(info.content_size)
            progress.wait("loading the model" if info.model is not None else "decoding the first block")
            left = None if request.max_output is None else request.max_output - sink.written
            decompressor = LMZDecompressor(model=given, max_output=left, progress=progress.tick, **loading)
            place = f"in the frame that begins at byte {source.done - len(rest):,}, " if frames else ""
            try:
                rest = _decompress_frame(decompressor, rest, source, sink, progress)
            except (CorruptError, TruncatedError) as error:
                raise type(error)(f"{place}{error}{_what_is_whole(source, progress)}") from error
            frames += 1


def _given_model(job: Job, progress: Progress) -> Model | None:
    """Return the model of -m, loaded."""
    if job.request.model is None:
        return None
    progress.wait("loading the model")
    return registry.load_model(job.request.model, **job.request.loading(progress.say))


def _what_is_whole(source: Source, progress: Progress) -> str:
    """Return what to add to the message about a damaged file: which blocks are whole, if any, and what can be done."""
    if source.name == STANDARD or source.size is None:
        return ""
    progress.wait("looking for blocks that are whole")
    parts = find_parts(source.file)
    if not any(part.what == "block" and not part.trouble for part in parts) or not any(p.trouble for p in parts):
        return ""
    return f"; {describe(parts)}; lmzip decompress --recover writes what is whole"


def recover_stream(source: Source, sink: Sink, job: Job) -> str:
    """Decompress the blocks that are whole; return what is missing, nothing if that is nothing."""
    if not source.file.seekable():
        raise MisuseError("is a pipe; to recover what it brings, store it in a file first")
    request, found = job.request, []
    with job.progress(source, sink, None) as progress, _coding():
        given = _given_model(job, progress)
        progress.wait("looking for blocks")
        loading = request.loading(progress.say)
        parts = decode_parts(source.file, find_parts(source.file), given, max_output=request.max_output, **loading)
        for part, content in parts:
            sink.write(content)
            found.append(part)
            source.done = part.offset + part.size
            progress.tick(sink.written)
    if not any(part.trouble for part in found):
        return ""
    if not sink.written:
        raise CorruptError(f"nothing can be recovered: {describe(found)}")
    missing = missing_size(found)
    amount = "how many are missing is not known" if missing is None else f"{missing:,} are missing"
    return f"{sink.written:,} bytes were recovered, {amount}: {describe(found)}"


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
