"""Measure lmzip and its peers on every file of a folder, and sum up what came out. See README.md here."""

from __future__ import annotations

import csv
import fnmatch
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import tqdm

from lmzip.cli.report import format_size, format_speed, format_times
from lmzip.errors import ModelError
from lmzip.measure import baselines
from lmzip.measure.baselines import COLUMNS, XZ, Compressor
from lmzip.options import DEFAULT_LEVEL, LEVELS

HERE = Path(__file__).resolve().parent
NAMED = (
    "alice29.txt", "lcet10.txt", "plrabn12.txt", "book1", "book2", "news", "progp", "cp.html", "fields.c", "xargs.1",
    "enwik6", "world192.txt", "twitter.json", "kennedy.xls",
)  # fmt: skip
SHOWN = ("gzip -9", "bzip2 -9", XZ, "zstd -19", "zstd -22", "brotli -11")
SHOWN_REFERENCES = ("ppmd -o10", "zpaq -m5", "paq8px -8")

Row = dict[str, str]
Sizes = dict[str, int | None]  # by compressor; None where it was not measured on every file


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a results file; none where there is no file. ValueError for another CSV."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(f"{path}: the columns are not {', '.join(COLUMNS)}")
        return list(reader)


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows in their order, replacing the file at once so that an interrupt leaves it whole."""
    temporary = path.with_name(path.name + ".part")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: (row["file"], row["compressor"])))
    os.replace(temporary, path)


def environment_path(out: Path) -> Path:
    """Return where the environment of a results file stands."""
    return out.with_name("environment.json" if out.stem == "results" else f"{out.stem}.environment.json")


def find_files(folder: Path, only: str | None, limit: float | None) -> list[tuple[str, Path]]:
    """Return (name below folder, path) of the files to measure, sorted; empty ones are left out."""
    files = [(path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file()]
    if only is not None:
        files = [(name, path) for name, path in files if fnmatch.fnmatchcase(name, only)]
    return sorted((name, path) for name, path in files if 0 < path.stat().st_size <= (limit or float("inf")) * 1e6)


def rows_to_keep(out: Path, environment: dict[str, Any]) -> list[Row]:
    """Return the rows of out that the same version of lmzip made with the same model."""
    path = environment_path(out)
    if not path.exists():
        return []
    before = json.loads(path.read_text(encoding="utf-8"))
    made_by, making = ((e["lmzip"], (e["model"] or {}).get("sha256")) for e in (before, environment))
    return read_rows(out) if made_by == making else []


def is_done(name: str, size: int, compressors: Sequence[Compressor], rows: Sequence[Row]) -> bool:
    """Whether a file of this size was measured, and came back, with all compressors."""
    good = {row["compressor"] for row in rows
            if row["file"] == name and row["raw_bytes"] == str(size) and row["verified"] == "true"}  # fmt: skip
    return good >= {compressor.name for compressor in compressors}


def run(
    files: Sequence[tuple[str, Path]], compressors: Sequence[Compressor], out: Path, environment: dict[str, Any],
    fresh: bool,
) -> None:  # fmt: skip
    """Measure the files that are not yet in out; write out after each of them."""
    rows = rows_to_keep(out, environment)
    if dropped := len(read_rows(out)) - len(rows):
        click.echo(f"{out}: {dropped} rows of another lmzip or model are dropped", err=True)
    waiting = [(name, path) for name, path in files
               if fresh or not is_done(name, path.stat().st_size, compressors, rows)]  # fmt: skip
    if not waiting:
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    write_rows(out, rows)
    environment_path(out).write_text(json.dumps(environment, indent=2) + "\n", encoding="utf-8")
    names = {compressor.name for compressor in compressors}
    total = sum(path.stat().st_size for _, path in waiting)
    with tqdm.tqdm(total=total, unit="B", unit_scale=True, disable=None, file=sys.stderr) as bar:
        for compressor in compressors:
            baselines.warm_up(compressor)
        for name, path in waiting:
            data = path.read_bytes()
            results = []
            for compressor in compressors:
                bar.set_description(f"{path.name}: {compressor.name}")
                results.append(baselines.measure(compressor, data))
            xz = baselines.by_xz(results)
            rows = [row for row in rows if row["file"] != name or row["compressor"] not in names]
            rows += [baselines.csv_row(name, result, xz) for result in results]
            write_rows(out, rows)
            for result in results:
                if result.error:
                    click.echo(f"{name}: {result.compressor}: {result.error}", err=True)
            bar.update(len(data))


def read_references(path: Path) -> dict[str, dict[str, int]]:
    """Return file -> tool -> bytes of what was measured separately."""
    references: dict[str, dict[str, int]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            references.setdefault(row["file"], {})[row["tool"]] = int(row["bytes"])
    return references


def summary(rows: Sequence[Row], model_bytes: int | None, references: dict[str, dict[str, int]] | None = None) -> str:
    """Return the table for benchmarks/README.md: NAMED files, then totals by folder and of everything."""
    good = [row for row in rows if row["verified"] == "true"]
    sizes: dict[str, dict[str, int]] = {}
    raw = {row["file"]: int(row["raw_bytes"]) for row in good}
    for row in good:
        sizes.setdefault(row["file"], {})[row["compressor"]] = int(row["compressed_bytes"])
    ours = sorted({row["compressor"] for row in good if row["compressor"].startswith("lmzip ")})
    separate = SHOWN_REFERENCES if references is not None else ()
    for file, tools in (references or {}).items():
        if file in sizes:
            sizes[file] |= {tool: size for tool, size in tools.items() if tool in separate}

    columns = (*ours, *SHOWN, *separate)
    heads = [f"{name} (measured separately)" if name in separate else name for name in columns]
    lines = [f"| file | bytes | {' | '.join(heads)} |", "|---" + "|---:" * (1 + len(columns)) + "|"]
    named = [file for name in NAMED for file in raw if file.rsplit("/", 1)[-1] == name]
    folders = sorted({file.split("/", 1)[0] for file in raw if "/" in file})
    groups = [(file, [file]) for file in named]
    for folder in folders:
        members = [file for file in raw if file.startswith(f"{folder}/")]
        groups.append((f"*{folder}/*, {len(members)} files", members))
    groups.append((f"*all {len(raw)} files*", list(raw)))
    for label, members in groups:
        lines.append(_line(label, sum(raw[file] for file in members), _sum(sizes, members, columns), ours, separate))
    if model_bytes is not None and raw:
        totals = _sum(sizes, list(raw), columns)
        with_model = {k: v + model_bytes if v is not None and k in ours else v for k, v in totals.items()}
        lines.append(_line("*all, the model counted once*", sum(raw.values()), with_model, ours, separate))
    lines += ["", "Bold: the smallest. ▲: lmzip is not, a compressor of the same run is."]
    lines[-1] += " △: only one measured separately is." if separate else ""
    return "\n".join([*lines, *_facts(good, ours, model_bytes)])


def _sum(sizes: dict[str, dict[str, int]], files: Sequence[str], columns: Sequence[str]) -> Sizes:
    """Return the total of each compressor over files, None unless it has them all."""
    totals: Sizes = {}
    for name in columns:
        values = [sizes[file].get(name) for file in files]
        totals[name] = None if None in values else sum(value for value in values if value is not None)
    return totals


def _line(label: str, raw: int, sizes: Sizes, ours: Sequence[str], separate: Sequence[str]) -> str:
    """Return one row of the table."""
    smallest = min((size for size in sizes.values() if size is not None), default=0)
    peers = [size for name, size in sizes.items() if size is not None and name not in (*ours, *separate)]
    others = [size for name in separate if (size := sizes[name]) is not None]
    cells = []
    for name, size in sizes.items():
        if size is None:
            cells.append("-")
            continue
        cell = f"**{size:,}**" if size == smallest else f"{size:,}"
        if name in ours:
            mark = " ▲" if min(peers, default=size) < size else " △" if min(others, default=size) < size else ""
            cell += f" ({8 * size / raw:.3f}){mark}"
        cells.append(cell)
    return f"| {label} | {raw:,} | {' | '.join(cells)} |"


def _facts(rows: Sequence[Row], ours: Sequence[str], model_bytes: int | None) -> list[str]:
    """Return lines on speed and on the model, one of each for every level."""
    xz = {row["file"]: row for row in rows if row["compressor"] == XZ}
    lines = ["Beside lmzip's bytes: bits per byte."]
    for name in ours:
        both = [row for row in rows if row["compressor"] == name and row["file"] in xz and row["encode_times_xz"]]
        raw = sum(int(row["raw_bytes"]) for row in both)
        if not both:
            continue
        parts = []
        for key in ("encode", "decode"):
            seconds = sum(float(row[f"{key}_seconds"]) for row in both)
            # The time of xz in the run of each row, which need not be the run of xz's own row.
            unit = sum(float(row[f"{key}_seconds"]) / float(row[f"{key}_times_xz"]) for row in both)
            speed, times = format_speed(raw / seconds), format_times(seconds / unit)
            parts.append(f"{key[:-1]}ing {speed}, {times} times as long as {XZ}")
        lines.append(f"{name} over all files: {'; '.join(parts)}.")
        saved = sum(int(xz[row["file"]]["compressed_bytes"]) - int(row["compressed_bytes"]) for row in both)
        if model_bytes is not None and saved > 0:
            lines.append(
                f"The model ({format_size(model_bytes)}) has paid for itself, against {XZ}, "
                f"after {format_size(model_bytes * raw / saved)} of such files."
            )
    return lines


@click.command()
@click.argument("corpus", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=HERE / "results.csv",
              help="Default: results.csv beside this program.")  # fmt: skip
@click.option("--level", type=click.IntRange(1, 9), default=DEFAULT_LEVEL, show_default=True)
@click.option("-m", "--model", "source", help="Id or folder of lmzip's model.")
@click.option("-T", "--threads", type=click.IntRange(min=1), help="CPU threads for lmzip. Default: all.")
@click.option("--only", metavar="GLOB", help="Files whose name below CORPUS matches, such as 'calgary/*'.")
@click.option("--limit-mb", type=float, help="Leave out files larger than this many million bytes.")
@click.option("--fresh", is_flag=True, help="Measure also what was measured already.")
@click.option("--markdown", is_flag=True, help="Print a summary of the results, after measuring if CORPUS is given.")
@click.option("--reference", is_flag=True, help="With --markdown: add what peers.csv has of heavier compressors.")
def main(
    corpus: Path | None, out: Path, level: int, source: str | None, threads: int | None, only: str | None,
    limit_mb: float | None, fresh: bool, markdown: bool, reference: bool,
) -> None:  # fmt: skip
    """Measure lmzip and its peers on every file below CORPUS and write the results to a CSV.

    What is there already, of the same lmzip and the same model, is not measured again.
    """
    if corpus is None and not markdown:
        raise click.UsageError("give a CORPUS folder to measure, or --markdown to sum up what was measured")
    if reference and not markdown:
        raise click.UsageError("--reference goes with --markdown")
    try:
        if corpus is not None:
            model, info = baselines.open_model(
                source or LEVELS[level].model, threads=threads, notify=lambda text: click.echo(text, err=True)
            )
            compressors = [baselines.lmzip_compressor(level, model)]
            compressors += [peer for peer in baselines.PEERS if not peer.missing]
            files = find_files(corpus, only, limit_mb)
            if not files:
                raise ValueError(f"{corpus}: no file to measure")
            run(files, compressors, out, baselines.environment(info), fresh)
        rows = read_rows(out)
    except (ValueError, ModelError) as error:
        raise click.ClickException(str(error)) from error
    if markdown:
        path = environment_path(out)
        environment = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"model": None}
        references = read_references(HERE / "peers.csv") if reference else None
        click.echo(summary(rows, (environment["model"] or {}).get("bytes"), references))
    if failed := [row for row in rows if row["verified"] != "true"]:
        raise click.ClickException(f"{out}: {len(failed)} rows did not come back as they were")


if __name__ == "__main__":
    main()
