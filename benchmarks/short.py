"""Measure short texts, such as messages and records: their sizes, and how long many of them take. See README.md here.

Every text is compressed alone, decompressed again and compared. Writes short.csv beside this file.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import brotli
import click

import lmzip

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

OUT = Path(__file__).resolve().parent / "short.csv"
SIZES = (100, 200, 500, 1000)
Coder = tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]
PEERS: dict[str, Coder] = {
    "gzip -9": (lambda data: gzip.compress(data, 9), gzip.decompress),
    "bzip2 -9": (bz2.compress, bz2.decompress),
    "zstd -19": (lambda data: zstd.compress(data, 19), zstd.decompress),
    "brotli -11": (lambda data: brotli.compress(data, quality=11), brotli.decompress),
}


def pieces(texts: list[bytes], size: int, count: int) -> list[bytes]:
    """Return `count` pieces of a size that begin behind white space, drawn from the texts in turn."""
    rng = random.Random(size)
    found = []
    for i in range(count):
        text = texts[i % len(texts)]
        starts = [at + 1 for at in range(rng.randrange(len(text) - 2 * size), len(text) - size) if text[at] in b" \n"]
        found.append(text[starts[0] : starts[0] + size])
    return found


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--count", default=200, help="Texts of each size [200].")
def main(files: tuple[Path, ...], count: int) -> None:
    """Measure pieces of FILES."""
    texts, model = [path.read_bytes() for path in files], lmzip.load_model()
    lmzip.compress_many([texts[0][:100]], model=model)  # compiles
    rows = []
    for size in SIZES:
        inputs = pieces(texts, size, count)
        packed = {name: [encode(data) for data in inputs] for name, (encode, _) in PEERS.items()}
        for name, (_, decode) in PEERS.items():
            assert [decode(data) for data in packed[name]] == inputs
        packed["lmzip -6"] = [lmzip.compress(data, model=model) for data in inputs]
        assert [lmzip.decompress(data, model=model) for data in packed["lmzip -6"]] == inputs
        rows += [
            {"bytes": size, "texts": count, "compressor": name, "mean": f"{sum(map(len, found)) / count:.1f}",
             "largest": max(map(len, found))}
            for name, found in packed.items()
        ]  # fmt: skip
    with OUT.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        click.echo("  ".join(str(value) for value in row.values()))
    inputs = pieces(texts, 100, 1000)
    for verify in (True, False):
        begun = time.perf_counter()
        frames = lmzip.compress_many(inputs, model=model, verify=verify)
        many = time.perf_counter() - begun
        begun = time.perf_counter()
        assert frames[:100] == [lmzip.compress(data, model=model, verify=verify) for data in inputs[:100]]
        one = 10 * (time.perf_counter() - begun)
        click.echo(f"1,000 texts of 100 bytes, verify={verify}: {many:.1f} s at once, {one:.1f} s one by one")


if __name__ == "__main__":
    main()
