"""Draw size against speed from the committed results: `python benchmarks/plot.py` writes plot.svg beside this file.

The files are those that lmzip was measured on at every level of LEVELS. Compressors of peers.csv were measured without
times, so a line shows their size. The drawn numbers stand in the SVG's description too: a test compares them with the
results.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import NamedTuple

import click
from text import read_references, read_rows

HERE = Path(__file__).resolve().parent
FILES = ("canterbury/alice29.txt", "enwik6")
LEVELS = ("lmzip -1", "lmzip -6", "lmzip -9")
PEERS = ("gzip -9", "bzip2 -9", "xz -9e", "zstd -19", "brotli -11")
REFERENCES = ("ppmd -o10", "zpaq -m5", "paq8px -8")
SPEEDS = {1: "1 KB", 1e2: "100 KB", 1e4: "10 MB", 1e6: "1 GB"}  # ticks

# Of medium lightness: they can be read on white and on black.
TEXT, OURS, THEIRS = "#7a7f87", "#e0553d", "#3f8fd2"
# Where a name stands beside its point: offsets in points, and the end of the name that is there. Others stand above.
PLACES = {
    "lmzip -1": (7, -3, "left"), "lmzip -6": (7, -3, "left"), "lmzip -9": (0, -12, "center"),
    "xz -9e": (-7, -3, "right"), "bzip2 -9": (-7, -3, "right"), "brotli -11": (0, -12, "center"),
}  # fmt: skip


class Point(NamedTuple):
    """A compressor on all FILES: bits per byte, and thousands of bytes of content a second."""

    bits_per_byte: float
    encode: float
    decode: float


def points(results: Path) -> dict[str, Point]:
    """Return the point of each compressor. ValueError where one of FILES is not measured or did not come back."""
    found = {}
    rows = {(row["file"], row["compressor"]): row for row in read_rows(results) if row["verified"] == "true"}
    for name in (*LEVELS, *PEERS):
        missing = [file for file in FILES if (file, name) not in rows]
        if missing:
            raise ValueError(f"{results}: {name} was not measured on {', '.join(missing)}")
        chosen = [rows[file, name] for file in FILES]
        raw, size = (sum(int(row[key]) for row in chosen) for key in ("raw_bytes", "compressed_bytes"))
        encode, decode = (
            round(raw / 1000 / sum(float(row[f"{key}_seconds"]) for row in chosen), 1) for key in ("encode", "decode")
        )
        found[name] = Point(round(8 * size / raw, 3), encode, decode)
    return found


def references(peers: Path, raw: int) -> dict[str, float]:
    """Return the bits per byte of REFERENCES. raw: bytes of FILES."""
    sizes = read_references(peers)
    return {name: round(8 * sum(sizes[file][name] for file in FILES) / raw, 3) for name in REFERENCES}


def drawn(folder: Path = HERE) -> dict[str, dict[str, Point | float]]:
    """Return all numbers of the plot, from the results in a folder."""
    rows = read_rows(folder / "results.csv")
    raw = sum(int(row["raw_bytes"]) for row in rows if row["file"] in FILES and row["compressor"] == LEVELS[0])
    return {"points": {**points(folder / "results.csv")}, "lines": {**references(folder / "peers.csv", raw)}}


def draw(numbers: dict[str, dict[str, Point | float]], out: Path) -> None:
    """Write the plot as SVG: the same bytes for the same numbers and the same matplotlib."""
    import matplotlib

    matplotlib.use("svg")
    settings = {
        "svg.fonttype": "none", "svg.hashsalt": "lmzip", "font.family": "sans-serif", "font.size": 9,
        "text.color": TEXT, "axes.labelcolor": TEXT, "axes.edgecolor": TEXT, "xtick.color": TEXT, "ytick.color": TEXT,
    }  # fmt: skip
    with matplotlib.rc_context(settings):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        for axes, way in zip(figure.subplots(1, 2, sharey=True), ("encode", "decode"), strict=True):
            _draw_way(axes, way, numbers)
        figure.axes[0].set_ylabel("compressed size, bits per byte")
        metadata = {"Description": json.dumps(numbers), "Date": None, "Creator": None}
        svg = io.StringIO()
        figure.savefig(svg, format="svg", transparent=True, metadata=metadata)
    lines = (line.rstrip() for line in svg.getvalue().splitlines())
    out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _draw_way(axes, way: str, numbers: dict[str, dict[str, Point | float]]) -> None:  # type: ignore[no-untyped-def]
    """Draw size against the speed of encoding or decoding."""
    for name, bits in numbers["lines"].items():
        axes.axhline(bits, color=TEXT, linewidth=0.6, linestyle=":")
        axes.annotate(name, (1, bits), (-2, 2), xycoords=("axes fraction", "data"), textcoords="offset points",
                      ha="right", fontsize=7.5)  # fmt: skip
    ours = [numbers["points"][name] for name in LEVELS]
    axes.plot([getattr(p, way) for p in ours], [p.bits_per_byte for p in ours], color=OURS, linewidth=0.8)
    for name, point in numbers["points"].items():
        x, colour = getattr(point, way), OURS if name in LEVELS else THEIRS
        axes.plot([x], [point.bits_per_byte], "o", markersize=5, color=colour)
        *place, side = PLACES.get(name, (0, 5, "center"))
        axes.annotate(name, (x, point.bits_per_byte), place, textcoords="offset points", ha=side, color=colour)
    axes.set_xscale("log")
    axes.set_xticks(list(SPEEDS), list(SPEEDS.values()))
    axes.set_xlim(0.6, 1e5 if way == "encode" else 1e7)
    axes.minorticks_off()
    axes.set_ylim(1.2, 3.05)
    axes.set_xlabel(f"{way[:-1]}ing speed, content a second")
    axes.spines[["top", "right"]].set_visible(False)


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=HERE / "plot.svg",
              help="Default: plot.svg beside this program.")  # fmt: skip
def main(out: Path) -> None:
    """Draw the plot of the README from results.csv and peers.csv."""
    draw(drawn(), out)


if __name__ == "__main__":
    main()
