"""Measure lmzip and lossless compressors of pictures and sound on every file of a folder. See README.md here."""

from __future__ import annotations

from pathlib import Path

import click
import text  # the loop and the files of results are the same

from lmzip import formats
from lmzip.errors import ModelError
from lmzip.measure import baselines, media_peers
from lmzip.options import DEFAULT_LEVEL

HERE = Path(__file__).resolve().parent


def totals(rows: list[text.Row]) -> str:
    """Return a table of the bytes of each compressor on all files that it brought back, by folder."""
    lines = ["| files | compressor | files brought back | raw bytes | bytes | share |", "|---|---|---:|---:|---:|---:|"]
    for folder in sorted({row["file"].rpartition("/")[0] for row in rows}):
        mine = [row for row in rows if row["file"].rpartition("/")[0] == folder]
        for name in sorted({row["compressor"] for row in mine}):
            good = [row for row in mine if row["compressor"] == name and row["verified"] == "true"]
            raw, size = (sum(int(row[key]) for row in good) for key in ("raw_bytes", "compressed_bytes"))
            share = f"{100 * size / raw:.2f} %" if raw else "-"
            lines.append(f"| {folder or '.'} | {name} | {len(good)} | {raw:,} | {size:,} | {share} |")
    return "\n".join([*lines, "", "(pixels), (samples): these came back, not the file with all it has besides."])


@click.command()
@click.argument("corpus", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=HERE / "media.csv",
              help="Default: media.csv beside this program.")  # fmt: skip
@click.option("--level", type=click.IntRange(1, 9), default=DEFAULT_LEVEL, show_default=True)
@click.option("-T", "--threads", type=click.IntRange(min=1), help="CPU threads for lmzip. Default: all.")
@click.option("--only", metavar="GLOB", help="Files whose name below CORPUS matches, such as 'image/*'.")
@click.option("--limit-mb", type=float, help="Leave out files larger than this many million bytes.")
@click.option("--lm", is_flag=True, help="Measure lmzip's method lm too, which is slow.")
@click.option("--fresh", is_flag=True, help="Measure also what was measured already.")
@click.option("--markdown", is_flag=True, help="Print a summary of the results, after measuring if CORPUS is given.")
def main(
    corpus: Path | None, out: Path, level: int, threads: int | None, only: str | None, limit_mb: float | None,
    lm: bool, fresh: bool, markdown: bool,
) -> None:  # fmt: skip
    """Measure lmzip, xz and compressors of pictures or sound on every such file below CORPUS, into a CSV.

    What is there already, of the same lmzip and the same model, is not measured again.
    """
    if corpus is None and not markdown:
        raise click.UsageError("give a CORPUS folder to measure, or --markdown to sum up what was measured")
    try:
        if corpus is not None:
            model, _ = baselines.open_model(threads=threads, notify=lambda line: click.echo(line, err=True))
            peers = [baselines.lmzip_compressor(level, model)]
            peers += [baselines.lmzip_compressor(level, method="lm")] if lm else []
            peers += [peer for peer in baselines.PEERS if peer.name == baselines.XZ]
            files = text.find_files(corpus, only, limit_mb)
            found = 0
            for kind in ("image", "audio"):
                mine = [(name, path) for name, path in files if _kind(path) == kind]
                found += len(mine)
                for peer in media_peers.PEERS[kind]:
                    if peer.missing:
                        click.echo(f"{peer.name}: skipped, it is not installed", err=True)
                compressors = [*peers, *(peer for peer in media_peers.PEERS[kind] if not peer.missing)]
                text.run(mine, compressors, out, baselines.environment(None), fresh)  # no text model is used
            if not found:
                raise ValueError(f"{corpus}: no picture and no sound to measure")
        rows = text.read_rows(out)
    except (ValueError, ModelError) as error:
        raise click.ClickException(str(error)) from error
    if markdown:
        click.echo(totals(rows))
    if failed := [row for row in rows if row["verified"] != "true"]:
        click.echo(f"{out}: {len(failed)} rows did not come back, or could not be taken", err=True)


def _kind(path: Path) -> str | None:
    with path.open("rb") as file:
        return media_peers.kind_of(file.read(formats.HEAD_SIZE))


if __name__ == "__main__":
    main()
