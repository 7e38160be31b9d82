"""`lmzip report`: measure lmzip and its peers on files, and print what was found."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import tqdm

from lmzip.cli.terminal import Exit, printable, say
from lmzip.errors import ModelError
from lmzip.measure import baselines, media_peers
from lmzip.measure.baselines import Compressor, ModelInfo, Report, Result, quotient
from lmzip.models.extras import EXTRAS, has, remedy
from lmzip.models.protocols import Model
from lmzip.options import DEFAULT_LEVEL, LEVELS

PLOT_SUFFIXES = (".png", ".svg", ".pdf")
_HEADER = ("compressor", "size", "bits/byte", "ratio", "encode", "time / xz", "decode", "time / xz")
_KEYS = ("compressor", "raw_bytes", "error", "compressed_bytes", "bits_per_byte", "ratio", "encode", "decode")
# Columns of which the best is marked, and what is the smaller the better there.
_MARKED: dict[int, Callable[[Result], float]] = {
    1: lambda result: result.compressed_bytes,
    4: lambda result: result.encode.seconds,
    6: lambda result: result.decode.seconds,
}


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as one object for `json`.

    report: version of this schema, 1.
    environment: see baselines.environment; `environment.model` is null with --no-lmzip, else of the highest level
        {id, sha256, profile, bytes, load_seconds}.
    skipped: names of compressors that are not installed.
    files: [{path, raw_bytes, error, results}]; error: null, or why the file was not measured.
    results, totals: [{compressor, raw_bytes, error, compressed_bytes, bits_per_byte, ratio, encode,
        decode}]; error: null, or what went wrong, and then all after it are null.
    totals have two keys more, null except for lmzip: with_model_bytes, the size with the model
        counted once, and break_even_bytes, see Report.break_even (null too where xz is smaller).
    encode, decode: {seconds, cpu_seconds, bytes_per_second, times_xz, cpu_times_xz}: clock time,
        time on all processors together, and both divided by those of `xz -9e` in the same run
        (null without xz). Encoding by lmzip is without the verification that `lmzip compress` adds.
    exit_code: of the command.
    """
    totals = []
    for entry, total in zip(_entries(report.totals), report.totals, strict=True):
        whole = report.with_model(total)
        extra = {"with_model_bytes": whole and whole.compressed_bytes, "break_even_bytes": report.break_even(total)}
        totals.append(entry | extra)
    files = [
        {"path": f.path, "raw_bytes": f.raw_bytes, "error": f.error, "results": _entries(f.results)}
        for f in report.files
    ]
    return {
        "report": 1,
        "environment": baselines.environment(report.model),
        "skipped": list(report.skipped),
        "files": files,
        "totals": totals,
        "exit_code": int(_exit_code(report)),
    }


def _exit_code(report: Report) -> Exit:
    return Exit.FAILED if report.errors else Exit.FINE


def _entries(results: Sequence[Result]) -> list[dict[str, Any]]:
    xz = baselines.by_xz(results)
    entries = []
    for result in results:
        entry: dict[str, Any] = dict.fromkeys(_KEYS)
        entry |= {"compressor": result.compressor, "raw_bytes": result.raw_bytes, "error": result.error}
        entries.append(entry)
        if result.error is not None:
            continue
        for name in ("compressed_bytes", "bits_per_byte", "ratio"):
            entry[name] = getattr(result, name)
        for name in ("encode", "decode"):
            timing, unit = getattr(result, name), getattr(xz, name) if xz else None
            entry[name] = {
                "seconds": timing.seconds,
                "cpu_seconds": timing.cpu_seconds,
                "bytes_per_second": result.raw_bytes / timing.seconds,
                "times_xz": quotient(timing.seconds, unit and unit.seconds),
                "cpu_times_xz": quotient(timing.cpu_seconds, unit and unit.cpu_seconds),
            }
    return entries


@dataclasses.dataclass(frozen=True)
class Table:
    """Cells with a heading; best: (row, column) of those to mark."""

    title: str
    rows: list[list[str]]
    best: set[tuple[int, int]]


def tables(report: Report) -> list[Table]:
    """Return a table for every file that was read, and one of the totals."""
    shown = [
        _table(f"{printable(file.path)}: {file.raw_bytes:,} bytes", file.results)
        for file in report.files
        if file.results
    ]
    read = sum(bool(file.results) for file in report.files)
    if read > 1 or (read and report.model):
        totals = report.totals
        rows = [row for total in totals for row in (total, report.with_model(total)) if row is not None]
        title = f"total of {read} file{'s' * (read > 1)}: {totals[0].raw_bytes:,} bytes"
        shown.append(_table(title, rows))
    return shown


def notes(report: Report) -> list[str]:
    """Return what a reader of the tables must know."""
    model, lines = report.model, []
    if model is not None:
        lines.append(
            f"Model {model.id}: {model.bytes:,} bytes, sha256 {model.sha256[:16]}..., counted once in `+ model`. "
            "lmzip's encoding times are without the verification that `lmzip compress` adds (one decoding)."
        )
        for total in report.totals:
            size = report.break_even(total)
            if size is not None:
                lines.append(
                    f"From {format_size(size)} of such files on, {total.compressor} and its model together are "
                    f"smaller than {baselines.XZ}."
                )
    return lines


def _table(title: str, results: Sequence[Result]) -> Table:
    """Lay out results; the smallest size and the shortest times are the best."""
    xz = baselines.by_xz(results)
    rows, best = [], set()
    for result in results:
        if result.error is not None:
            rows.append([result.compressor, "FAILED", *[""] * (len(_HEADER) - 2)])
            continue
        row = [result.compressor, f"{result.compressed_bytes:,}", f"{result.bits_per_byte:.3f}", f"{result.ratio:.2f}"]
        for name in ("encode", "decode"):
            seconds = getattr(result, name).seconds
            times = quotient(seconds, getattr(xz, name).seconds if xz else None)
            row += [format_speed(result.raw_bytes / seconds), "-" if times is None else format_times(times)]
        if result.compressor.endswith("+ model"):
            row[4:] = [""] * 4
        rows.append(row)
    for column, value in _MARKED.items():
        shown = {i: value(result) for i, result in enumerate(results) if not result.error and rows[i][column]}
        best |= {(i, column) for i in shown if shown[i] == min(shown.values())}
    return Table(title, rows, best)


def format_speed(bytes_per_second: float) -> str:
    """Return a speed in MB/s or KB/s (powers of ten)."""
    value, unit = (bytes_per_second / 1e6, "MB/s") if bytes_per_second >= 1e6 else (bytes_per_second / 1e3, "KB/s")
    return f"{value:,.1f} {unit}" if value < 100 else f"{value:,.0f} {unit}"


def format_times(times: float) -> str:
    """Return a multiple with about three digits."""
    return f"{times:,.{0 if times >= 100 else 1 if times >= 10 else 2 if times >= 0.1 else 3}f}"


def format_size(size: float) -> str:
    """Return a size in MB or KB (powers of ten)."""
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.1f} KB"


def plain(report: Report) -> str:
    """Return the report in columns; `*` marks the best."""
    lines = []
    for table in tables(report):
        cells = [list(_HEADER)]
        cells += [
            [text + "*" * ((i, j) in table.best) for j, text in enumerate(row)] for i, row in enumerate(table.rows)
        ]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines.append(table.title)
        for row in cells:
            padded = [text.rjust(width) for text, width in zip(row, widths, strict=True)]
            padded[0] = row[0].ljust(widths[0])
            lines.append("  " + "  ".join(padded).rstrip())
        lines.append("")
    return "\n".join([*lines, *notes(report)])


def markdown(report: Report) -> str:
    """Return the report as Markdown; the best are bold."""
    lines = []
    for table in tables(report):
        lines += [f"**{table.title}**", "", f"| {' | '.join(_HEADER)} |", "|---" + "|---:" * (len(_HEADER) - 1) + "|"]
        for i, row in enumerate(table.rows):
            lines.append(f"| {' | '.join(f'**{c}**' if (i, j) in table.best else c for j, c in enumerate(row))} |")
        lines.append("")
    return "\n".join([*lines, *notes(report)])


def _print_rich(report: Report) -> None:
    """Print the report through rich, which is installed."""
    import rich.box
    import rich.console
    import rich.table
    import rich.text

    console = rich.console.Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    for table in tables(report):
        shown = rich.table.Table(title=rich.text.Text(table.title), title_justify="left", box=rich.box.SIMPLE_HEAD)
        for j, name in enumerate(_HEADER):
            shown.add_column(name, justify="right" if j else "left", no_wrap=True)
        for i, row in enumerate(table.rows):
            texts = [(text + "*", "bold green") if (i, j) in table.best else (text, "") for j, text in enumerate(row)]
            shown.add_row(*[rich.text.Text(text, style) for text, style in texts])
        console.print(shown)
    for line in notes(report):
        console.print(rich.text.Text(line))


def draw(report: Report, path: Path) -> None:
    """Draw decoding speed against bits per byte over all files, a point for each compressor."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    points: list[tuple[float, float]] = []
    for total in (total for total in report.totals if not total.error):
        x, y = point = (total.bits_per_byte, total.raw_bytes / total.decode.seconds / 1e6)
        axes.scatter(x, y, color="tab:red" if total.compressor.startswith("lmzip ") else "tab:blue")
        # The names of points that lie together stand one below the other.
        near = sum(abs(x / a - 1) < 0.05 and 0.3 < y / b < 3 for a, b in points)
        axes.annotate(total.compressor, point, xytext=(6, 5 - 13 * near), textcoords="offset points")
        points.append(point)
    axes.set_yscale("log")
    axes.set_xlabel("bits per byte (model not counted)")
    axes.set_ylabel("decoding speed in MB/s")
    axes.margins(x=0.15, y=0.1)
    axes.grid(visible=True, which="both", alpha=0.3)
    read = [file for file in report.files if file.results]
    axes.set_title(f"{len(read)} file{'s' * (len(read) != 1)}, {sum(file.raw_bytes for file in read):,} bytes")
    figure.savefig(path)


def _csv(report: Report) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, baselines.COLUMNS, lineterminator="\n")
    writer.writeheader()
    for file in report.files:
        xz = baselines.by_xz(file.results)
        writer.writerows(baselines.csv_row(printable(file.path), result, xz) for result in file.results)
    return buffer.getvalue()


def _print(report: Report, form: str | None) -> None:
    if form == "json":
        click.echo(json.dumps(as_json(report), indent=2))
    elif form == "csv":
        click.echo(_csv(report), nl=False)
    elif form == "markdown":
        click.echo(markdown(report))
    elif not has("rich"):
        click.echo(plain(report))
    else:
        _print_rich(report)


def _choose(
    lmzips: Sequence[tuple[int, Model | None]], peers: str | None, more: Sequence[Compressor]
) -> list[Compressor]:
    """Return the compressors that were asked for; click.UsageError where there is none of that name."""
    chosen = [baselines.lmzip_compressor(level, model) for level, model in lmzips]
    try:
        names = [name.strip() for name in (peers or "").split(",") if name.strip()]
        return chosen + ([*baselines.PEERS, *more] if peers is None else baselines.peers_named(names, more))
    except ValueError as error:
        raise click.UsageError(f"--peers: {error}") from error


def _check_plot(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuse before the work what could not be drawn after it."""
    if path is None:
        return None
    if not has("matplotlib"):
        raise click.UsageError(f"--plot needs matplotlib, which is not installed: {remedy(EXTRAS['matplotlib'])}")
    if path.suffix.lower() not in PLOT_SUFFIXES:
        raise click.BadParameter(f"{path}: the name must end in {', '.join(PLOT_SUFFIXES)}")
    if not path.absolute().parent.is_dir():
        raise click.BadParameter(f"{path}: there is no such folder")
    return path


def level_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add -1 to -9, any number of them, as level_1 to level_9."""
    for level in reversed(LEVELS):
        text = f"-1 to -9: lmzip's level, several if you like [-{DEFAULT_LEVEL}]."
        command = click.option(f"-{level}", f"level_{level}", is_flag=True, hidden=level > 1, help=text)(command)
    return command


@click.command("report", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False))
@level_options
@click.option("-m", "--model", "source", metavar="NAME", help="A model of `lmzip models list`, or a folder.")
@click.option("-T", "--threads", type=click.IntRange(0), default=0, metavar="N", help="Threads of lmzip; 0 is all [0].")
@click.option("--backend", type=click.Choice(["cpu", "torch", "cuda"]), help="What computes for lmzip.")
@click.option(
    "--json", "form", flag_value="json", help="One JSON object; `as_json` in lmzip/cli/report.py describes it."
)
@click.option("--csv", "form", flag_value="csv", help="A row for each file and compressor.")
@click.option("--markdown", "form", flag_value="markdown", help="Tables in Markdown.")
@click.option("--plot", metavar="FILE.png", type=click.Path(path_type=Path), callback=_check_plot,
              help="Draw decoding speed against size as well.")  # fmt: skip
@click.option("--peers", metavar="NAMES", help="Comma-separated, such as gzip,xz,zstd-22. Default: all that are there.")
@click.option("--no-lmzip", is_flag=True, help="Measure the peers only.")
@click.pass_context
def report_command(
    context: click.Context, /, files: tuple[Path, ...], source: str | None, threads: int, backend: str | None,
    form: str | None, plot: Path | None, peers: str | None, no_lmzip: bool, **flags: bool,
) -> None:  # fmt: skip
    """Compare lmzip with other compressors on FILES: sizes, speeds, and every result decoded again.

    Times are also given as multiples of those of `xz -9e` in the same run, which says more than
    seconds on a machine that does other work. xz and all other peers use one thread. Where all FILES are
    pictures, or all are sounds, so are some of the peers; they give back the pixels or samples only.
    """
    levels = [level for level in LEVELS if flags[f"level_{level}"]] or [DEFAULT_LEVEL]
    levels = [] if no_lmzip else levels
    more = media_peers.peers_for(files)
    _choose([(level, None) for level in levels], peers, more)  # errors before a model is loaded
    lmzips: list[tuple[int, Model | None]] = []
    info = None
    try:
        for level in levels:
            model, info = baselines.open_model(
                source or LEVELS[level].model, threads=threads or None, backend=backend,
                notify=lambda message: say(f"lmzip: {message}"),
            )  # fmt: skip
            lmzips.append((level, model))
    except ModelError as error:
        say(f"lmzip: {error} (--no-lmzip measures the other compressors)")
        context.exit(Exit.MODEL)
    chosen = _choose(lmzips, peers, more)
    skipped = tuple(compressor.name for compressor in chosen if compressor.missing)
    compressors = [compressor for compressor in chosen if not compressor.missing]
    for compressor in chosen:
        if compressor.missing and compressor.programs:
            say(f"lmzip: {compressor.name}: skipped, {' or '.join(compressor.programs)} is not installed")
        elif compressor.module is not None and compressor.missing:
            install = remedy(EXTRAS[compressor.module])
            say(f"lmzip: {compressor.name}: skipped, its package is not installed: {install}")
    if not compressors:
        raise click.UsageError("nothing to measure: no lmzip and no peers")
    report = _run(files, compressors, info, skipped)
    for line in report.errors:
        say(f"lmzip: {line}")
    _print(report, form)
    if plot is not None and not any(file.results for file in report.files):
        say(f"lmzip: {plot}: not drawn, since nothing was measured")
    elif plot is not None:
        draw(report, plot)
    context.exit(_exit_code(report))


def _run(
    files: Sequence[Path], compressors: Sequence[Compressor], info: ModelInfo | None, skipped: tuple[str, ...]
) -> Report:
    """Measure with a progress bar on stderr if that is a terminal."""
    runs = len(files) * len(compressors)
    with tqdm.tqdm(total=runs, desc="warming up", unit="run", leave=False, disable=None, file=sys.stderr) as bar:
        for compressor in compressors:
            baselines.warm_up(compressor)

        def progress(text: str, done: int) -> None:
            bar.set_description(text, refresh=False)
            bar.update(done - bar.n)
            bar.refresh()

        return Report(baselines.measure_files(files, compressors, progress), info, skipped)
