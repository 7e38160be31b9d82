"""What the command line says: models, lines, JSON, progress, the list, help."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import pytest
from command import MODEL, NOISE, SHORT, TEXT, Call, names

import lmzip
from lmzip.cli import files, terminal
from lmzip.cli.main import commands
from lmzip.coders import IMPLEMENTATION
from lmzip.models import identity, registry
from lmzip.models.extras import has
from lmzip.options import BASE, SMALL

# Models


def test_model_options(call: Call, text: Path, tmp_path: Path, mock_model: list[tuple[object, ...]]) -> None:
    text.write_bytes(SHORT)
    assert call("-m", "somewhere", "-T", "3", "--backend", "torch", "--coder", "rans", "-9", "book.txt").code == 0
    assert call("-f", "-T0", "book.txt").code == 0
    assert call("-f", "-4", "book.txt").code == 0
    assert mock_model == [("somewhere", 3, "torch"), (BASE, None, None), (SMALL, None, None)]
    assert call("-dc", "-m", "somewhere", "book.txt.lmzip").out == SHORT
    assert call("-dc", "book.txt.lmzip").code == 4
    outcome = call("-m", "somewhere", "-f", "book.txt")
    assert outcome.err.startswith("lmzip: compiling for this machine\nbook.txt: ")
    assert call("-q", "-m", "somewhere", "-f", "book.txt").err == ""


def test_missing_model(call: Call, text: Path, tmp_path: Path) -> None:
    outcome = call("-m", "./nowhere", "book.txt")
    assert outcome.code == 4 and "nowhere: no model there" in outcome.err and names(tmp_path) == ["book.txt"]


def test_real_model(call: Call, tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "f").write_bytes(b"abaacaaadaa" * 3 + os.urandom(2) + b"a" * 50)
    before = (tmp_path / "f").read_bytes()
    assert call("-m", str(tiny_model), "--method", "ensemble", "f").code == 0
    (line,) = call("list", "--json", "f.lmzip").out.splitlines()
    assert json.loads(line)["frames"][0]["blocks"][0]["model"] == "tiny"
    assert call("-dc", "-T", "1", "-m", str(tiny_model), "f.lmzip").out == before
    assert call("-d", "-f", "-m", str(tiny_model), "f.lmzip").code == 0 and (tmp_path / "f").read_bytes() == before
    changed = tmp_path / "changed"
    changed.mkdir()
    for path in tiny_model.iterdir():
        (changed / path.name).write_bytes(path.read_bytes())
    (changed / "config.json").write_text((tiny_model / "config.json").read_text() + " ")
    outcome = call("-t", "-m", "changed", "f.lmzip")
    assert outcome.code == 4 and "needs the model tiny with sha256" in outcome.err


def test_models_list(call: Call) -> None:
    models = json.loads(call("models", "list", "--json").out)
    assert {model["id"]: model["sha256"] for model in models} == {i: s.sha256 for i, s in identity.SHIPPED.items()}
    assert [model["id"] for model in models if model["default"]] == [registry.DEFAULT_MODEL]
    assert {model["source"] for model in models} == {"shipped"}
    table = call("models", "list").out.decode()
    assert all(model["sha256"][:12] in table for model in models) and "MiB" in table and "the default" in table


def test_models_info_and_verify(call: Call, tiny_model: Path, tmp_path: Path) -> None:
    info = json.loads(call("models", "info", "--json", str(tiny_model)).out)
    sha256 = registry.load_model(tiny_model).sha256.hex()
    assert (info["id"], info["sha256"], info["backend"]) == ("tiny", sha256, "cpu")
    assert info["network"]["hidden_size"] == 16 and info["parameters"] == 258 * 16 + 16 * 16 * 7 + 256 * 16
    others = {"torch"} if has("torch") else set()
    assert others <= info["backends"].keys() and all(info["backends"].values())
    assert info["products"] == {} if not others else info["products"]["float64"] is True
    assert {"torch", "numba", "numpy", "lmzip"} <= info["versions"].keys()
    assert info["coder"] == IMPLEMENTATION
    assert f"sha256: {sha256}\n" in call("models", "info", str(tiny_model)).out.decode()
    outcome = call("models", "verify", str(tiny_model))
    assert outcome.code == 0 and outcome.out.decode().startswith(f"tiny: sha256 {sha256}\ncpu: ok\n")
    for command in ("info", "verify"):
        assert call("models", command, str(tmp_path)).code == 4


def test_models_where_nothing_computes_exactly(call: Call, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.load_model(tiny_model)
    monkeypatch.setattr("lmzip.models.exact.backends.is_trusted", lambda backend, kind: backend == "torch")
    outcome = call("models", "verify", "--json", str(tiny_model))
    result = json.loads(outcome.out)
    assert outcome.code == 4 and result["backends"]["cpu"] is False and result["ok"] is False
    assert "cpu: its self-test gives other integers" in call("models", "verify", str(tiny_model)).out.decode()
    monkeypatch.setattr("lmzip.models.exact.backends.is_trusted", lambda backend, kind: False)
    info = json.loads(call("models", "info", "--json", str(tiny_model)).out)
    assert info["backend"] is None and info["backends"]["cpu"] is False


# What is said


def test_result_lines(call: Call, text: Path, packed: Path, tmp_path: Path) -> None:
    size = packed.stat().st_size
    packed.unlink()
    sizes = f"2.93 KiB -> {terminal.size_text(size)}"
    line = f"book.txt: {size / 30:.1f} % ({sizes}, {size * 8 / 3000:.2f} bits/byte)"
    assert call("--method", "fallback", "book.txt") == (0, b"", line + "\n")
    assert call("--method", "fallback", "-fv", "book.txt").err.startswith(line + ", 0.")
    assert call("-df", "book.txt.lmzip").err == f"book.txt.lmzip: {terminal.size_text(size)} -> 2.93 KiB\n"
    assert call("-t", "book.txt.lmzip").err == ""
    assert call("test", "-v", "book.txt.lmzip").err.startswith(
        f"book.txt.lmzip: ok ({terminal.size_text(size)} -> 2.93 KiB)"
    )
    assert call("-dc", "book.txt.lmzip").err == "" and call("-dcv", "book.txt.lmzip").err != ""
    (tmp_path / "empty").touch()
    assert "0 B -> " in call("--method", "fallback", "empty").err


@pytest.mark.filterwarnings("default")
def test_warnings_are_lines(call: Call, packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = warnings.showwarning
    monkeypatch.setattr(files, "decompress_stream", lambda *_: warnings.warn("something is slow", stacklevel=1))
    assert call("-t", "book.txt.lmzip") == (0, b"", "lmzip: something is slow\n")
    assert warnings.showwarning is before


def test_quiet(call: Call, text: Path, packed: Path) -> None:
    assert call("--method", "fallback", "-q", "book.txt") == (3, b"", "")
    assert call("--method", "fallback", "-qf", "book.txt") == (0, b"", "")
    assert call("list", "-q", ".") == (3, b"", "")
    assert "No such file" in call("--method", "fallback", "-q", "missing").err


def test_json_results(call: Call, text: Path, tmp_path: Path) -> None:
    keys = {"command", "file", "output", "content_size", "compressed_size", "seconds", "error", "exit_code"}
    outcome = call("--method", "fallback", "--json", "book.txt", "missing")
    good, bad = map(json.loads, outcome.out.splitlines())
    size = (tmp_path / "book.txt.lmzip").stat().st_size
    assert good.keys() == bad.keys() == keys and outcome.code == 1
    assert (good["command"], good["file"], good["output"]) == ("compress", "book.txt", "book.txt.lmzip")
    assert (good["content_size"], good["compressed_size"], good["error"], good["exit_code"]) == (3000, size, None, 0)
    assert (bad["error"], bad["exit_code"]) == ("No such file or directory", 1)
    assert outcome.err == "lmzip: missing: No such file or directory\n"
    tested = json.loads(call("test", "--json", "book.txt.lmzip").out)
    assert (tested["command"], tested["output"], tested["content_size"]) == ("test", None, 3000)
    outcome = call("-dc", "--json", "book.txt.lmzip")  # standard output is the data's
    assert outcome.out == TEXT and json.loads(outcome.err)["compressed_size"] == size


def test_sizes() -> None:
    cases = {0: "0 B", 812: "812 B", 999: "999 B", 1000: "0.98 KiB", 1024: "1.00 KiB", 26_100: "25.5 KiB",
             106_496: "104 KiB", 1023 << 10: "1.00 MiB", 3 << 40: "3.00 TiB", 5000 << 40: "5000 TiB"}  # fmt: skip
    assert {size: terminal.size_text(size) for size in cases} == cases


def test_table_is_aligned() -> None:
    assert terminal.table([["a", "bb", "c"], [100, 2, "long name"]]) == "  a  bb  c\n100   2  long name"


class Bar:
    """Stands for tqdm."""

    def __init__(self, total: int | None) -> None:
        self.n, self.total, self.seen = 0, total, []  # type: ignore[var-annotated]

    def update(self, amount: int) -> None:
        self.n += amount
        self.seen.append(self.n)

    def set_postfix_str(self, text: str, refresh: bool) -> None:
        self.text = text

    def close(self) -> None:
        pass


def test_progress_over_frames() -> None:
    with terminal.Progress("f", None, False) as progress:
        progress._bar = bar = Bar(None)
        for size, ticks in ((10, (5, 10)), (None, (3,)), (4, (4,))):
            progress.begin_frame(size)
            for done in ticks:
                progress.tick(done)
        assert bar.seen == [5, 10, 13, 17] and bar.total == 17


def test_progress_says_what_it_waits_for() -> None:
    with terminal.Progress("f", None, False) as progress:
        progress._bar = bar = Bar(None)
        progress.wait("loading the model")
        progress.tick(0)
        assert bar.text == "loading the model"
        progress.tick(5)
        assert bar.text == ""
        progress.ratio(1, 4)
        progress.wait("lzma")
        assert bar.text == "25.0 %, lzma"


def test_long_names_are_shortened() -> None:
    assert terminal.shortened("book.txt") == "book.txt"
    short = terminal.shortened("the beginning" + "-" * 100 + "and the end.txt")
    assert len(short) == 30 and short.startswith("the beg") and "..." in short and short.endswith("end.txt")


# The list


def of_records(data: bytes, level: int, **options: Any) -> bytes:
    """Return a frame of records, which one of more than one block would be."""
    compressor = lmzip.LMZCompressor(level, **options)
    return compressor.compress(data, lmzip.FLUSH_BLOCK) + compressor.flush()


def test_list(call: Call, tmp_path: Path) -> None:
    frames = [of_records(SHORT, 6, model=MODEL, coder="rans"), of_records(NOISE, 3, method="fallback")]
    frames += [lmzip.compress(b""), lmzip.compress(SHORT, 3, method="fallback")]
    (tmp_path / "f.lmzip").write_bytes(b"".join(frames))
    outcome = call("list", "--json", "f.lmzip")
    found = json.loads(outcome.out)
    assert outcome.code == 0 and found["error"] is None and found["exit_code"] == 0
    assert (found["file"], found["compressed_size"], found["content_size"]) == ("f.lmzip", sum(map(len, frames)), 5800)
    assert found["ratio"] == found["compressed_size"] / 5800
    first, second, third, fourth = found["frames"]
    assert (first["offset"], first["size"], first["level"]) == (0, len(frames[0]), 6)
    named = {"id": "mock-bigram", "sha256": MODEL.sha256.hex(), "profile": "mock", "folder": None}
    assert first["models"] == [named]
    (block,) = first["blocks"]
    assert (block["method"], block["model"], block["coder"], block["symbols"]) == (
        "ensemble",
        "mock-bigram",
        "rans",
        400,
    )
    (block,) = second["blocks"]
    assert (block["method"], block["model"], block["start"], block["content_size"]) == ("stored", None, 400, 5000)
    data = (tmp_path / "f.lmzip").read_bytes()[block["offset"] : block["offset"] + block["size"]]
    assert data.endswith(NOISE)
    offset = block["offset"]
    assert (second["level"], third["content_size"], third["blocks"]) == (3, 0, [])
    (block,) = fourth["blocks"]
    assert (fourth["level"], fourth["sha256"], fourth["size"]) == (None, None, len(frames[3]))
    assert (block["start"], block["content_size"], block["size"]) == (5400, 400, len(frames[3]))

    head, row = call("-l", "f.lmzip").out.decode().splitlines()
    assert head.split() == ["frames", "blocks", "compressed", "content", "ratio", "model", "level", "file"]
    assert row.split()[:2] == ["4", "3"] and row.split("  ")[-3:] == ["mock-bigram (not here)", "6,3,-", "f.lmzip"]
    verbose = call("list", "-v", "f.lmzip").out.decode()
    assert "ensemble (mock-bigram, rans)" in verbose and f"{offset:,}" in verbose and "stored" in verbose
    assert f"model mock-bigram, sha256 {MODEL.sha256.hex()[:16]}...: the file needs the model mock-bigram" in verbose


def test_list_of_bad_files(call: Call, packed: Path, tmp_path: Path) -> None:
    data = packed.read_bytes()
    for name, content in {"cut": data[:-1], "half": data[:100], "junk": data + b"junk", "empty": b""}.items():
        (tmp_path / name).write_bytes(content)
    outcome = call("list", "--json", "cut", "half", "junk", "empty", "book.txt.lmzip", "missing")
    found = [json.loads(line) for line in outcome.out.splitlines()]
    assert outcome.code == 1 and [entry["exit_code"] for entry in found] == [1, 1, 1, 1, 0, 1]
    assert "after the frame that ends at byte" in found[2]["error"]
    assert len(outcome.err.splitlines()) == 5
    assert "book.txt.lmzip" in call("list", "cut", "book.txt.lmzip").out.decode()


def test_list_compares_the_index(call: Call, packed: Path) -> None:
    one, two = of_records(TEXT, 6, method="fallback"), of_records(NOISE, 6, method="fallback")
    # The block of one and the index of the other; every check value by itself is right.
    start = one.index(b"\x20", len(one) - 64)
    packed.write_bytes(one[:start] + two[two.index(b"\x20", len(two) - 64) :])
    assert call("list", "book.txt.lmzip").code == 1


# Help


@pytest.mark.parametrize("words", [["compress"], ["decompress"], ["test"], ["list"], ["report"], ["models"], ["-d"]])
def test_help(call: Call, words: list[str]) -> None:
    code, out, err = call(*words, "-h")
    assert code == 0 and err == "" and out.startswith(b"Usage: lmzip ")


def test_main_help_names_every_command(call: Call) -> None:
    out = call("--help").out.decode()
    for name in commands.list_commands(None):  # type: ignore[arg-type]
        assert f"\n  {name} " in out
    assert "130 interrupted" in out
    assert call("-V").out.decode() == f"lmzip {lmzip.__version__}\n"
