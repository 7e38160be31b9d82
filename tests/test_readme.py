"""The README's Python runs as it stands there, and its links lead somewhere."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmzip.models import identity, registry, store

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
NINE = ("alice29.txt", "lcet10.txt", "book1", "book2", "news", "enwik6", "progp", "cp.html", "fields.c")
OURS, THEIRS = "lmzip -6", "xz -9e"


def test_python_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, re.S)
    assert len(blocks) == 1
    exec(compile(blocks[0], "README.md", "exec"), {})
    assert (tmp_path / "notes.txt.lmzip").stat().st_size > 0


def test_links() -> None:
    targets = [t for t in re.findall(r"\]\(([^)]+)\)", README) if "://" not in t]
    assert len(targets) > 5
    assert [t for t in targets if not (ROOT / t).exists()] == []


def test_the_two_commands_come_first_and_name_files_that_exist() -> None:
    commands = re.findall(r"```sh\n(.*?)```", README, re.S)[:2]
    assert all(command.startswith("python3 -m venv .venv && ") for command in commands)
    assert (ROOT / commands[0].split()[-1]).is_file() and commands[1].split()[-1] == ".venv/bin/pytest"
    assert README.index(commands[1]) < 1200


def sums_of(file: str, names: tuple[str, ...] = ("",)) -> Iterator[str]:
    """Yield the bytes of the files of a benchmark whose names end, or whose folders' names begin, with one of names."""
    with (ROOT / "benchmarks" / file).open(newline="", encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["verified"] == "true"]
    chosen = [row for row in rows if row["file"].endswith(names) or row["file"].startswith(names)]
    for key, compressor in (("raw_bytes", OURS), ("compressed_bytes", OURS), ("compressed_bytes", THEIRS)):
        yield f"{sum(int(row[key]) for row in chosen if row['compressor'] == compressor):,}"


@pytest.mark.parametrize(
    ("label", "file", "names"),
    [
        ("alice29.txt, a novel", "results.csv", ("alice29.txt",)),
        ("nine texts and sources (1)", "results.csv", NINE),
        ("all 92 test files (2)", "results.csv", ("",)),
        ("obj2, a program", "results.csv", ("obj2",)),
        ("24 photographs, Kodak (PNG) (3)", "media.csv", ("image/kodak",)),
        ("5 screenshots (PNG)", "media.csv", ("image/screens",)),
        ("12 recordings (WAV)", "media.csv", ("audio",)),
    ],
)
def test_the_table_has_the_committed_sizes(label: str, file: str, names: tuple[str, ...]) -> None:
    row = next(line for line in README.splitlines() if line.startswith(f"| {label} |"))
    cells = [cell.strip(" *") for cell in row.split("|")[1:-1]]
    raw, ours, theirs = sums_of(file, names)
    assert (cells[1], cells[2], cells[4]) == (raw, theirs, ours)


def test_the_table_has_the_committed_size_of_short_texts() -> None:
    with (ROOT / "benchmarks" / "short.csv").open(newline="", encoding="utf-8") as lines:
        mean = {row["compressor"]: row["mean"] for row in csv.DictReader(lines) if row["bytes"] == "100"}
    assert f"| brotli -11: {mean['brotli -11']} | **{mean[OURS]}** |" in README


def test_sizes_of_models_are_those_of_their_folders() -> None:
    sizes = {name: store.size(registry.shipped_folder(name)) for name in identity.SHIPPED}
    small, base = (f"{sizes[name] / 1e6:.1f} MB" for name in (identity.SMALL, identity.BASE))
    assert set(re.findall(r"\d+\.\d MB", README)) == {small, base}
    assert f"The models take {sum(sizes.values()) / 1e6:.0f} MB" in README


def test_the_example_in_the_format_document_is_the_golden_file() -> None:
    text = (ROOT / "FORMAT.md").read_text(encoding="utf-8")
    example = re.search(r"good-empty.lmzip`\):\n\n```\n(.*?)```", text, re.S)
    assert example is not None
    hexes = [re.match(r"(?:[0-9A-F]{2} ?)*", line) for line in example[1].splitlines()]
    data = bytes.fromhex(" ".join(match[0] for match in hexes if match))
    assert data == (ROOT / "tests" / "golden" / "good-empty.lmzip").read_bytes()
