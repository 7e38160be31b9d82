"""Print what changed in size from one results file to another."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import click

Sizes = dict[tuple[str, str], int | None]  # (compressor, file) to bytes; None where it did not come back


def read_sizes(path: Path) -> Sizes:
    """Return the sizes in a results file of `text.py`. ValueError for another CSV."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if not {"file", "compressor", "compressed_bytes", "verified"} <= set(reader.fieldnames or ()):
            raise ValueError(f"{path}: not a results file")
        return {
            (row["compressor"], row["file"]): int(row["compressed_bytes"]) if row["verified"] == "true" else None
            for row in reader
        }


def compare(old: Sizes, new: Sizes) -> list[str]:
    """Return lines: files that changed, and the total over the files in both, by compressor."""
    lines = []
    for compressor in sorted({name for name, _ in {**old, **new}}):
        before = {file: size for (name, file), size in old.items() if name == compressor}
        after = {file: size for (name, file), size in new.items() if name == compressor}
        pairs = [(file, b, a) for file in sorted(before.keys() & after.keys())
                 if (b := before[file]) is not None and (a := after[file]) is not None]  # fmt: skip
        lines.append(f"{compressor}:")
        lines += [_line(file, b, a) for file, b, a in pairs if a != b]
        lines += [f"  {file}: FAILED" for file, size in sorted(after.items()) if size is None]
        for word, files in (("gone", before.keys() - after.keys()), ("added", after.keys() - before.keys())):
            if files:
                shown = ", ".join(sorted(files)[:5]) + ", ..." * (len(files) > 5)
                lines.append(f"  {len(files)} {word}: {shown}")
        total = f"total of {len(pairs)} files in both"
        lines.append(_line(total, sum(b for _, b, _ in pairs), sum(a for _, _, a in pairs)))
    return lines


def _line(label: str, before: int, after: int) -> str:
    percent = f"{100 * (after - before) / before:+.2f} %" if before else "-"
    return f"  {label:60} {before:>12,} -> {after:>12,} {after - before:>+12,} {percent:>10}"


@click.command()
@click.argument("old", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("new", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(old: Path, new: Path) -> None:
    """Print the differences in size between two results files; exit with 1 where NEW has a failure."""
    try:
        before, after = read_sizes(old), read_sizes(new)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo("\n".join(compare(before, after)))
    sys.exit(int(None in after.values()))


if __name__ == "__main__":
    main()
