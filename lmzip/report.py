"""`lmzip report`: measure lmzip and its peers on files, and print what was found."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import json
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import tqdm

from lmzip import baselines
from lmzip.baselines import Compressor, ModelInfo, Result, quotient
from lmzip.codec import DEFAULT_LEVEL, LEVELS
from lmzip.errors import ModelError

EXIT_BAD, EXIT_MODEL = 1, 4
INSTALL = "pip install 'lmzip[report]'"
PLOT_SUFFIXES = (".png", ".svg", ".pdf")
_HEADER = ("compressor", "size", "bits/byte", "ratio", "encode", "time / xz", "decode", "time / xz")


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
        return [baselines.summed(results) for results in by_name.values()]

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
        xz = baselines.by_xz(self.totals)
        if self.model is None or xz is None or self.with_model(total) is None:
            return None
        saved = xz.compressed_bytes - total.compressed_bytes
        return -(-self.model.bytes * total.raw_bytes // saved) if saved > 0 else None


def measure_files(
    paths: Iterable[Path], compressors: Sequence[Compressor], progress: Callable[[str], None]
) -> tuple[FileReport, ...]:
    """Measure every compressor on every file; progress is told what comes next."""
    files = []
    for path in paths:
        try:
            data = _read(path)
        except (OSError, ValueError) as error:
            message = error.strerror if isinstance(error, OSError) else None
            files.append(FileReport(str(path), 0, error=message or str(error)))
            for _ in compressors:
                progress(path.name)
            continue
        results = []
        for compressor in compressors:
            progress(f"{path.name}: {compressor.name}")
            results.append(baselines.measure(compressor, data))
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


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as one object for `json`.

    report: version of this schema, 1.
    environment: see baselines.environment; `environment.model` is null with --no-lmzip, else
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
        "exit_code": EXIT_BAD if report.errors else 0,
    }


def _entries(results: Sequence[Result]) -> list[dict[str, Any]]:
    xz = baselines.by_xz(results)
    entries = []
    for result in results:
        good = result.error is None
        entry: dict[str, Any] = {"compressor": result.compressor, "raw_bytes": result.raw_bytes, "error": result.error}
        for name in ("compressed_bytes", "bits_per_byte", "ratio"):
            entry[name] = getattr(result, name) if good else None
        for name in ("encode", "decode"):
            timing, unit = getattr(result, name), getattr(xz, name) if xz else None
            entry[name] = good and {
                "seconds": timing.seconds,
                "cpu_seconds": timing.cpu_seconds,
                "bytes_per_second": quotient(result.raw_bytes, timing.seconds),
                "times_xz": quotient(timing.seconds, unit and unit.seconds),
                "cpu_times_xz": quotient(timing.cpu_seconds, unit and unit.cpu_seconds),
            } or None
        entries.append(entry)
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
        _table(f"{file.path}: {file.raw_bytes:,} bytes", file.results) for file in report.files if file.results
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
                lines.append(f"{total.compressor} and its model are smaller than {baselines.XZ} from {size:,} bytes on.")
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
    good = [i for i, result in enumerate(results) if not result.error]
    for column, key in ((1, "compressed_bytes"), (4, "encode"), (6, "decode")):
        values = {i: getattr(results[i], key) for i in good}
        smallest = min((getattr(value, "seconds", value) for value in values.values()), default=None)
        best |= {(i, column) for i, value in values.items() if getattr(value, "seconds", value) == smallest}
    return Table(title, rows, {(i, column) for i, column in best if rows[i][column]})


def format_speed(bytes_per_second: float) -> str:
    """Return a speed in MB/s or KB/s (powers of ten)."""
    value, unit = (bytes_per_second / 1e6, "MB/s") if bytes_per_second >= 1e6 else (bytes_per_second / 1e3, "KB/s")
    return f"{value:,.1f} {unit}" if value < 100 else f"{value:,.0f} {unit}"


def format_times(times: float) -> str:
    """Return a multiple with three digits."""
    return f"{times:,.{0 if times >= 100 else 1 if times >= 10 else 2}f}"


def plain(report: Report) -> str:
    """Return the report in columns; `*` marks the best."""
    lines = []
    for table in tables(report):
        cells = [list(_HEADER)]
        cells += [[text + "*" * ((i, j) in table.best) for j, text in enumerate(row)] for i, row in enumerate(table.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines.append(table.title)
        for row in cells:
            padded = [row[0].ljust(widths[0])] + [text.rjust(width) for text, width in zip(row, widths, strict=True)][1:]
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


def plot(report: Report, path: Path) -> None:
    """Draw decoding speed against bits per byte over all files, a point for each compressor."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for total in (total for total in report.totals if not total.error):
        point = (total.bits_per_byte, total.raw_bytes / total.decode.seconds / 1e6)
        axes.scatter(*point, color="tab:red" if total.compressor.startswith("lmzip ") else "tab:blue")
        axes.annotate(total.compressor, point, xytext=(5, 5), textcoords="offset points")
    axes.set_yscale("log")
    axes.set_xlabel("bits per byte (model not counted)")
    axes.set_ylabel("decoding speed in MB/s")
    axes.margins(x=0.15, y=0.1)
    axes.grid(visible=True, which="both", alpha=0.3)
    read = [file for file in report.files if file.results]
    axes.set_title(f"{len(read)} file{'s' * (len(read) != 1)}, {sum(file.raw_bytes for file in read):,} bytes")
    figure.savefig(path)
