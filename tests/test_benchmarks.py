from __future__ import annotations

import csv
import html
import importlib.util
import json
import lzma
import random
import re
from pathlib import Path
from types import ModuleType

import mocks
import pytest
from click.testing import CliRunner, Result

from lmzip.measure import baselines
from lmzip.measure.baselines import Compressor, Timing
from lmzip.models import registry

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
MODEL = mocks.bigram(b"some text")


def text(seed: int) -> bytes:
    return " ".join(random.Random(seed).choices(["window", "block", "frame", "symbol"], k=300)).encode()


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    (folder / "calgary").mkdir(parents=True)
    for i, name in enumerate(["calgary/book1", "calgary/bib", "enwik6", "calgary/empty"]):
        (folder / name).write_bytes(text(i) if name != "calgary/empty" else b"")
    return folder


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Measure lmzip with a mock model and xz; return a list of what xz was given."""
    calls: list[bytes] = []
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "weights.safetensors"):
        (folder / name).write_bytes(bytes(100))

    def encode(data: bytes) -> bytes:
        calls.append(data)
        return lzma.compress(data)

    monkeypatch.setattr(baselines, "PEERS", (Compressor("xz -9e", encode, lzma.decompress),))
    monkeypatch.setattr(baselines, "warm_up", lambda compressor: None)
    monkeypatch.setattr(baselines, "_ENOUGH_SECONDS", 0.0)
    monkeypatch.setattr(registry, "shipped_folder", lambda model_id: folder)
    monkeypatch.setattr(registry, "load_model", lambda source=None, **options: MODEL)
    return calls


def benchmark(*args: object) -> Result:
    return CliRunner().invoke(script("text").main, [str(arg) for arg in args])


def test_benchmark_measures_what_is_not_there_yet(corpus: Path, tmp_path: Path, measured: list[bytes]) -> None:
    out = tmp_path / "out" / "results.csv"
    run = benchmark(corpus, "--out", out, "--only", "calgary/*")
    assert (run.exit_code, run.output) == (0, "")
    rows = rows_of(out)
    pairs = [(row["file"], row["compressor"]) for row in rows]
    assert pairs == [(f"calgary/{file}", name) for file in ("bib", "book1") for name in ("lmzip -6", "xz -9e")]
    assert json.loads((out.parent / "environment.json").read_text())["model"]["sha256"] == MODEL.sha256.hex()
    assert benchmark(corpus, "--out", out).exit_code == 0
    assert measured == [text(1), text(0), text(2)]
    assert len(rows_of(out)) == 6
    assert benchmark(corpus, "--out", out, "--fresh", "--only", "enwik6").exit_code == 0
    assert measured[3:] == [text(2)]
    assert len(rows_of(out)) == 6


def test_benchmark_measures_again_with_another_model(corpus: Path, tmp_path: Path, measured: list[bytes]) -> None:
    out = tmp_path / "other.csv"
    assert benchmark(corpus, "--out", out).exit_code == 0
    environment = tmp_path / "other.environment.json"
    environment.write_text(environment.read_text().replace(MODEL.sha256.hex(), "11" * 32))
    run = benchmark(corpus, "--out", out, "--only", "enwik6")
    assert run.stderr == f"{out}: 6 rows of another lmzip or model are dropped\n"
    assert [row["file"] for row in rows_of(out)] == ["enwik6"] * 2


def test_benchmark_limit_and_nothing_to_do(corpus: Path, tmp_path: Path, measured: list[bytes]) -> None:
    run = benchmark(corpus, "--out", tmp_path / "x.csv", "--limit-mb", "0.000001")
    assert run.exit_code == 1
    assert "no file to measure" in run.output
    assert benchmark().exit_code == 2
    assert measured == []


def test_benchmark_fails_where_something_does_not_come_back(
    corpus: Path, tmp_path: Path, measured: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Compressor("broken -1", lambda data: data, lambda data: data[:-1] + b"?")
    monkeypatch.setattr(baselines, "PEERS", (broken,))
    run = benchmark(corpus, "--out", tmp_path / "x.csv", "--only", "enwik6")
    assert run.exit_code == 1
    assert "enwik6: broken -1: decoded to other bytes" in run.output
    assert "1 rows did not come back" in run.output


def row(file: str, name: str, size: int, seconds: float = 1.0, raw: int = 1000) -> dict[str, str]:
    time = Timing(seconds, seconds)
    values = baselines.Result(name, raw, size, time, time)
    return baselines.csv_row(file, values, baselines.Result("xz -9e", raw, 1, Timing(1.0, 1.0), Timing(1.0, 1.0)))


def test_benchmark_summary() -> None:
    rows = [row("calgary/book1", "lmzip -6", 200, 2.0), row("calgary/book1", "xz -9e", 300)]
    rows += [row("calgary/bib", "lmzip -6", 400, 2.0), row("calgary/bib", "xz -9e", 350)]
    rows += [row("enwik6", "lmzip -6", 250, 2.0), row("enwik6", "xz -9e", 300)]
    references = {"enwik6": {"paq8px -8": 240, "bsc -e2": 1}, "absent": {"paq8px -8": 1}}
    lines = script("text").summary(rows, 1000, references).splitlines()
    assert "| ppmd -o10 (measured separately) | zpaq -m5 (measured separately) |" in lines[0]
    table = {cells[1]: cells[2:-1] for line in lines[2:] if (cells := [c.strip() for c in line.split("|")])[1:]}
    assert list(table) == [
        "calgary/book1", "enwik6", "*calgary/*, 2 files", "*all 3 files*", "*all, the model counted once*",
    ]  # fmt: skip
    assert table["calgary/book1"] == ["1,000", "**200** (1.600)", "-", "-", "300", *["-"] * 6]
    assert table["enwik6"] == ["1,000", "250 (2.000) △", "-", "-", "300", *["-"] * 5, "**240**"]
    assert table["*calgary/*, 2 files"][1] == "**600** (2.400)"
    assert table["*all, the model counted once*"][1] == "1,850 (4.933) ▲"
    assert lines[-2] == (
        "lmzip -6 over all files: encoding 0.5 KB/s, 2.00 times as long as xz -9e; "
        "decoding 0.5 KB/s, 2.00 times as long as xz -9e."
    )
    # 100 bytes saved in 3000.
    assert lines[-1].endswith("after 30.0 KB of such files.")


def test_benchmark_markdown_needs_no_corpus(tmp_path: Path) -> None:
    out = tmp_path / "results.csv"
    script("text").write_rows(out, [row("canterbury/xargs.1", "lmzip -6", 200)])
    run = benchmark("--out", out, "--markdown", "--reference")
    assert run.exit_code == 0
    assert "| canterbury/xargs.1 | 1,000 | **200** (1.600) |" in run.output
    out.write_text("a,b\n1,2\n")
    assert benchmark("--out", out, "--markdown").exit_code == 1


def test_reference_sizes_are_whole_and_sorted() -> None:
    with (BENCHMARKS / "peers.csv").open(newline="") as file:
        keys = [(line["file"], line["tool"]) for line in csv.DictReader(file)]
    assert keys == sorted(set(keys))
    sizes = script("text").read_references(BENCHMARKS / "peers.csv")
    assert sizes["canterbury/alice29.txt"]["paq8px -8"] == 33070
    assert {"ppmd -o10", "zpaq -m5"} <= set(sizes["enwik6"])


def test_compare(tmp_path: Path) -> None:
    write = script("text").write_rows
    write(tmp_path / "old.csv", [row("a", "lmzip -6", 200), row("b", "lmzip -6", 300), row("gone", "lmzip -6", 1)])
    write(tmp_path / "new.csv", [row("a", "lmzip -6", 200), row("b", "lmzip -6", 270), row("new", "lmzip -6", 1)])
    run = CliRunner().invoke(script("compare").main, [str(tmp_path / "old.csv"), str(tmp_path / "new.csv")])
    assert run.exit_code == 0
    assert [" ".join(line.split()) for line in run.output.splitlines()] == [
        "lmzip -6:",
        "b 300 -> 270 -30 -10.00 %",
        "1 gone: gone",
        "1 added: new",
        "total of 2 files in both 500 -> 470 -30 -6.00 %",
    ]


def test_compare_fails_where_a_file_does_not_come_back(tmp_path: Path) -> None:
    write = script("text").write_rows
    bad = baselines.csv_row("a", baselines.Result("lmzip -6", 1000, error="wrong"), None)
    write(tmp_path / "old.csv", [row("a", "lmzip -6", 200)])
    write(tmp_path / "new.csv", [bad])
    run = CliRunner().invoke(script("compare").main, [str(tmp_path / "old.csv"), str(tmp_path / "new.csv")])
    assert run.exit_code == 1
    assert "  a: FAILED" in run.output.splitlines()


def test_imported_shapes_are_timed_against_transformers(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers")  # of an extra
    script("imported").main(["tiny", "--windows", "1", "2", "--depth", "64", "--repeats", "1"])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [(row["windows"], row["call"]) for row in result["rates"]] == [
        (1, "step"), (1, "prefill"), (2, "step"), (2, "prefill"),
    ]  # fmt: skip
    assert all(row["lmzip"] > 0 and row["float32"] > 0 for row in result["rates"])


def test_the_plot_shows_the_committed_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")  # of an extra
    monkeypatch.syspath_prepend(BENCHMARKS)
    plot = script("plot")
    numbers = plot.drawn()
    plot.draw(numbers, tmp_path / "plot.svg")
    for path in (tmp_path / "plot.svg", BENCHMARKS / "plot.svg"):  # `make plot` writes the second
        drawn = re.search("<dc:description>(.*?)</dc:description>", path.read_text(encoding="utf-8"), re.DOTALL)
        assert drawn is not None
        assert json.loads(html.unescape(drawn[1])) == json.loads(json.dumps(numbers))
