"""`lmzip equal-info`: files to tokens of equal information and back, and how many bytes a token holds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, cast

import click

from lmzip import equal_info
from lmzip.cli import paths
from lmzip.cli.main import joined
from lmzip.cli.terminal import Exit, Progress, report_failure, say, size_text, table, worst
from lmzip.equal_info.token_file import create_token_file, parse_token_file
from lmzip.errors import CorruptError, LMZError
from lmzip.models import registry
from lmzip.models.protocols import Model

SUFFIX = ".safetensors"
# Bytes of text in a token of 8 bits, for windows of so many bits: Lester et al. 2024, table 2, on C4.
PAPER = {16: 2.66, 24: 3.15, 32: 3.49, 64: 4.16, 128: 4.61}

file_options = joined(
    click.option("-o", "--output", metavar="FILE", help=f"Write to FILE [with or without {SUFFIX}]."),
    click.option("-f", "--force", is_flag=True, help="Overwrite."),
)
model_options = joined(
    click.option("-m", "--model", "source", metavar="NAME", help="A model of `lmzip models list`, or a folder."),
    click.option("-T", "--threads", type=click.IntRange(0), default=0, metavar="N", help="Threads; 0 is all [0]."),
    click.option("--backend", type=click.Choice(["cpu", "torch", "cuda"]), help="What computes; same bytes by all."),
    click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
)


optimal_option = click.option("--optimal", is_flag=True, help="Look for the fewest windows; takes many times as long.")


@click.group("equal-info", context_settings={"help_option_names": ["-h", "--help"]})
def equal_info_command() -> None:
    """Cut text into tokens of equal information, to train other models on.

    Every window of --bits bits decodes alone, and costs for it: files get smaller by lmzip compress.
    """


@equal_info_command.command("encode")
@click.argument("file", type=click.Path(path_type=str))
@click.option("--bits", type=click.Choice([str(n) for n in equal_info.WINDOW_BITS]), default="16",
              help="Bits of a window [16].")  # fmt: skip
@click.option("--token-bits", type=click.Choice([str(n) for n in equal_info.TOKEN_BITS]), default="8",
              help="Bits of a token [8].")  # fmt: skip
@optimal_option
@joined(file_options, model_options)
def encode(
    file: str, bits: str, token_bits: str, optimal: bool, output: str | None, force: bool, source: str | None,
    **loading: Any,
) -> int:  # fmt: skip
    """Write the tokens of FILE to FILE.safetensors, as the tensor `tokens`."""

    def convert(data: bytes, tick: Callable[[int], None]) -> tuple[bytes, str]:
        model = _load(source, **loading)
        tokens = equal_info.encode(
            data, int(bits), int(token_bits), model, optimal=optimal, progress=lambda done: tick(done // 2)
        )
        windows = len(equal_info.windows_of(tokens, int(bits)))
        decoded = equal_info.decode(
            tokens, int(bits), model, progress=lambda done: tick(len(data) * (windows + done) // (2 * windows))
        )
        if decoded != data:
            raise LMZError("the tokens did not decode to the file again; nothing was written. Please report this")
        held = len(data) / max(len(tokens), 1)
        return create_token_file(tokens, int(bits), model, data), f"{len(tokens):,} tokens of {held:.2f} bytes"

    if output is None and file == paths.STANDARD:
        raise paths.MisuseError("name the output of standard input with -o FILE")
    return _transfer(file, output or file + SUFFIX, force, loading["quiet"], convert)


@equal_info_command.command("decode")
@click.argument("file", type=click.Path(path_type=str))
@joined(file_options, model_options)
def decode(file: str, output: str | None, force: bool, source: str | None, **loading: Any) -> int:
    """Write what the tokens of FILE.safetensors were made of to FILE."""

    def convert(data: bytes, tick: Callable[[int], None]) -> tuple[bytes, str]:
        found = parse_token_file(data)
        given = None if source is None else _load(source, **loading)
        model = registry.model_for(found.model, given, **_loading(**loading))
        if model.kind != "bytes":
            raise CorruptError(f"the tokens are said to be of {model.id}, a model of the kind {model.kind}")
        windows = len(equal_info.windows_of(found.tokens, found.bits))
        content = equal_info.decode(
            found.tokens, found.bits, cast(Model, model), progress=lambda done: tick(len(data) * done // windows)
        )
        found.check(content)
        return content, size_text(len(content))

    if output is None and not file.endswith(SUFFIX):
        raise paths.MisuseError(f"{file} does not end in {SUFFIX}; name the output with -o FILE")
    return _transfer(file, output or file.removesuffix(SUFFIX), force, loading["quiet"], convert)


@equal_info_command.command("report")
@click.argument("files", nargs=-1, required=True, type=str)
@click.option("--bytes", "limit", type=click.IntRange(1), metavar="N", help="Of each file only the first N bytes.")
@click.option("--bits", "widths", type=click.Choice([str(n) for n in equal_info.WINDOW_BITS]), multiple=True,
              help="Bits of a window, several if you like [all].")  # fmt: skip
@optimal_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each file, a line each.")
@joined(model_options)
def report(
    files: tuple[str, ...], limit: int | None, widths: tuple[str, ...], optimal: bool, as_json: bool,
    source: str | None, **loading: Any,
) -> int:  # fmt: skip
    """Print how many bytes of FILES a token of 8 bits holds; everything is decoded again and compared.

    The JSON object: file, error, and rows of bits, content_size, tokens, bytes_per_token, paper (on other text, by
    another model), encode_seconds, decode_seconds, verified.
    """
    codes, chosen = [Exit.FINE], [int(bits) for bits in widths] or list(PAPER)
    for name in files:
        rows: list[dict[str, Any]] = []
        error = None
        try:
            model = _load(source, **loading)
            with paths.open_source(name, any_kind=True) as opened:
                data = opened.file.read(-1 if limit is None else limit)
            with Progress(name, len(chosen), not loading["quiet"]) as progress:
                for bits in chosen:
                    rows.append(measure(data, bits, model, optimal))
                    progress.tick(len(rows))
        except Exception as failure:
            code, error = report_failure(failure, name, loading["quiet"])
            codes.append(code)
        codes += [Exit.FINE if all(row["verified"] for row in rows) else Exit.FAILED]
        if as_json:
            click.echo(json.dumps({"file": name, "error": error, "rows": rows}))
        elif error is None:
            cells = [[row["bits"], f"{row['tokens']:,}", f"{row['bytes_per_token']:.2f}", f"{row['paper']:.2f}",
                      "yes" if row["verified"] else "NO"] for row in rows]  # fmt: skip
            click.echo(f"{name}: {len(data):,} bytes, model {model.id}")
            click.echo(table([["bits", "tokens", "bytes/token", "paper's", "decoded"], *cells]))
    return worst(codes)


def measure(data: bytes, bits: int, model: Model, optimal: bool) -> dict[str, Any]:
    """Return a row of the report's JSON."""
    started = time.monotonic()
    tokens = equal_info.encode(data, bits, 8, model, optimal=optimal)
    encoded = time.monotonic()
    verified = equal_info.decode(tokens, bits, model) == data
    return {
        "bits": bits, "content_size": len(data), "tokens": len(tokens),
        "bytes_per_token": len(data) / max(len(tokens), 1), "paper": PAPER[bits],
        "encode_seconds": round(encoded - started, 3), "decode_seconds": round(time.monotonic() - encoded, 3),
        "verified": verified,
    }  # fmt: skip


def _loading(threads: int, backend: str | None, quiet: bool) -> dict[str, Any]:
    notify = None if quiet else lambda message: say(f"lmzip: {message}")
    return {"threads": threads or None, "backend": backend, "notify": notify}


def _load(source: str | None, **loading: Any) -> Model:
    return registry.load_model(source, kind="bytes", **_loading(**loading))


def _transfer(
    name: str, target: str, force: bool, quiet: bool,
    convert: Callable[[bytes, Callable[[int], None]], tuple[bytes, str]],
) -> int:  # fmt: skip
    """Convert a whole file to another; return the exit code."""
    try:
        with paths.open_source(name, any_kind=True) as source, paths.open_sink(target, source, force) as sink:
            data = source.file.read()
            with Progress(name, len(data), not quiet) as progress:
                content, text = convert(data, progress.tick)
            sink.write(content)
            sink.commit(source.status)
    except Exception as error:
        return report_failure(error, name, quiet)[0]
    if not quiet:
        say(f"{name}: {text}")
    return Exit.FINE
