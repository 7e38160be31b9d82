"""The command line: what it writes, says and returns. Processes where it matters, `main` itself where not."""

from __future__ import annotations

import json
import os
import pty
import random
import signal
import stat
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from mocks import MockModel, bigram, markov_text

import lmzip
from lmzip import jobs, library, paths, terminal
from lmzip.cli import commands, main

LMZIP = [sys.executable, "-m", "lmzip.cli"]
TEXT = markov_text(3000, seed=1)
MODEL = bigram(TEXT)
SHORT = TEXT[:400]  # for the model: a mock takes its time
NOISE = random.Random(1).randbytes(5000)


class Outcome(NamedTuple):
    code: int
    out: bytes
    err: str


Call = Callable[..., Outcome]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Call:
    """Call main in tmp_path."""
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> Outcome:
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as caught:
            main(args)
        out, err = capfdbinary.readouterr()
        return Outcome(int(caught.value.code or 0), out, err.decode())

    return run


@pytest.fixture
def mock_model(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """Have every model be the mock; return the list of calls for one: (source, threads, backend)."""
    asked: list[tuple[object, ...]] = []

    def load(
        source: str | None, *, threads: int | None, backend: str | None, notify: Callable[[str], None] | None
    ) -> MockModel:
        asked.append((source, threads, backend))
        if notify is not None:
            notify("compiling for this machine")
        return MODEL

    monkeypatch.setattr(library, "load_model", load)
    return asked


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_bytes(TEXT)
    return path


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt.lmz"
    path.write_bytes(lmzip.compress(TEXT, use_model=False))
    return path


def process(*args: str, cwd: Path, **options: object) -> subprocess.CompletedProcess[bytes]:
    options = {"input": b"", "capture_output": True, **options}
    return subprocess.run([*LMZIP, *args], cwd=cwd, **options)  # type: ignore[call-overload, no-any-return]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Files and names


def test_round_trip_keeps_mode_time_and_source(call: Call, text: Path, tmp_path: Path) -> None:
    text.chmod(0o640)
    os.utime(text, ns=(1, 1_500_000_000_987_654_321))
    assert call("compress", "--no-model", "book.txt").code == 0
    assert names(tmp_path) == ["book.txt", "book.txt.lmz"]
    text.rename(tmp_path / "first")
    assert call("decompress", "book.txt.lmz").code == 0
    assert text.read_bytes() == TEXT
    for path in (text, tmp_path / "book.txt.lmz"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert path.stat().st_mtime_ns == 1_500_000_000_987_654_321


@pytest.mark.parametrize("content", [b"", b"x", NOISE, bytes(70_000)], ids=["empty", "one", "noise", "zeros"])
def test_any_content(call: Call, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f").write_bytes(content)
    assert call("--no-model", "f").code == 0
    assert lmzip.get_frame_info((tmp_path / "f.lmz").read_bytes()).content_size == len(content)
    assert call("-d", "f.lmz", "-o", "g").code == 0
    assert (tmp_path / "g").read_bytes() == content


def test_file_that_says_it_is_empty_and_is_not(call: Call) -> None:
    assert os.stat("/proc/self/status").st_size == 0
    outcome = call("--no-model", "-c", "/proc/self/status")
    assert outcome.code == 0 and b"VmPeak" in lmzip.decompress(outcome.out)


@pytest.mark.parametrize("change", ["longer", "shorter"])
def test_file_that_changes_meanwhile(
    call: Call, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    read = paths.Source.read

    def read_and_change(source: paths.Source, size: int) -> bytes:
        data = read(source, size)
        if change == "longer":
            text.write_bytes(TEXT + b"more")
        else:
            os.truncate(text, 2000)
        return data

    monkeypatch.setattr(jobs, "PIECE", 1024)
    monkeypatch.setattr(paths.Source, "read", read_and_change)
    if change == "shorter":  # so that what was read ahead does not hide it
        monkeypatch.setattr("builtins.open", lambda *args, **options: _open(*args, **{**options, "buffering": 0}))
    outcome = call("--no-model", "--rm", "book.txt")
    assert outcome.code == 1 and "changed while it was read: it had 3,000 bytes, then" in outcome.err
    assert names(tmp_path) == ["book.txt"]


_open = open


def test_existing_target(call: Call, text: Path, packed: Path) -> None:
    packed.write_bytes(b"something else")
    outcome = call("--no-model", "book.txt")
    assert outcome == (3, b"", "lmzip: book.txt: book.txt.lmz exists; -f overwrites it\n")
    assert packed.read_bytes() == b"something else"
    assert call("--no-model", "-f", "book.txt").code == 0
    assert lmzip.decompress(packed.read_bytes()) == TEXT
    text.write_bytes(b"old")
    assert call("-d", "book.txt.lmz").code == 3 and text.read_bytes() == b"old"
    assert call("-df", "book.txt.lmz").code == 0 and text.read_bytes() == TEXT


def test_remove(call: Call, text: Path, tmp_path: Path) -> None:
    assert call("--no-model", "--rm", "book.txt").code == 0 and names(tmp_path) == ["book.txt.lmz"]
    assert call("-d", "--rm", "book.txt.lmz").code == 0 and names(tmp_path) == ["book.txt"]
    assert call("--no-model", "--rm", "-k", "book.txt").code == 0  # the last one counts
    assert names(tmp_path) == ["book.txt", "book.txt.lmz"]
    assert call("--no-model", "--rm", "book.txt").code == 3 and text.exists()
    (tmp_path / "bad.lmz").write_bytes(lmzip.compress(TEXT, use_model=False)[:-1])
    assert call("-d", "--rm", "bad.lmz").code == 1
    assert names(tmp_path) == ["bad.lmz", "book.txt", "book.txt.lmz"]


def test_remove_after_the_output_is_safe(call: Call, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []

    def watched(name: str) -> Callable[..., object]:
        step = getattr(os, name)

        def do(*args: object, **options: object) -> object:
            steps.append(name)
            return step(*args, **options)

        return do

    for name in ("fsync", "link", "unlink"):
        monkeypatch.setattr(os, name, watched(name))
    assert call("--no-model", "--rm", "book.txt").code == 0
    # The file, its name and its folder; only then the source. The last unlinking is the temporary name's.
    assert [step for step in steps if step != "unlink"] == ["fsync", "link", "fsync", "fsync"]
    assert steps.index("unlink") > 2 and not text.exists()


def test_remove_of_a_link(call: Call, text: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("book.txt")
    assert call("--no-model", "link").code == 0  # links are followed
    outcome = call("--no-model", "--rm", "link")
    assert outcome.code == 3 and "is a symbolic link" in outcome.err and (tmp_path / "link").is_symlink()
    assert call("--no-model", "--rm", "-f", "link").code == 0
    assert names(tmp_path) == ["book.txt", "link.lmz"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-c", "-o", "x", "book.txt"], "-o names the output of one file"),
        (["-o", "x", "book.txt", "book.txt"], "-o names the output of one file"),
        (["--rm", "-c", "book.txt"], "--rm needs files"),
        (["--rm", "-o", "-", "book.txt"], "--rm needs files"),
        (["--rm", "-"], "--rm needs files"),
        (["--rm"], "--rm needs files"),
        (["--rm", "--no-verify", "book.txt"], "--rm removes only what was verified"),
        (["-m", "x", "--no-model", "book.txt"], "-m does not go with --no-model"),
        (["--nonsense", "book.txt"], "No such option"),
        (["decompress", "-9", "book.txt"], "No such option"),
        (["-T", "-1", "book.txt"], "Invalid value"),
        (["-d", "book.txt"], "book.txt: does not end in .lmz; name the output with -o FILE, or use -c"),
        (["-o", ".", "book.txt"], ". is a folder"),
        (["-f", "-o", "book.txt", "book.txt"], "book.txt is the input itself"),
    ],
)
def test_misuse(call: Call, text: Path, tmp_path: Path, words: list[str], message: str) -> None:
    code, out, err = call(*words)
    assert (code, out) == (2, b"") and message in err and names(tmp_path) == ["book.txt"]


def test_what_is_skipped(call: Call, packed: Path, tmp_path: Path) -> None:
    assert call("--no-model", ".").code == 3
    outcome = call("--no-model", "book.txt.lmz")
    assert outcome.code == 3 and "already has the suffix .lmz" in outcome.err
    os.mkfifo(tmp_path / "fifo")
    assert call("--no-model", "fifo").code == 3
    assert names(tmp_path) == ["book.txt.lmz", "fifo"]
    assert call("--no-model", "-f", "book.txt.lmz").code == 0
    assert lmzip.decompress((tmp_path / "book.txt.lmz.lmz").read_bytes()) == packed.read_bytes()


def test_several_files_with_bad_ones(call: Call, text: Path, packed: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.lmz").write_bytes(packed.read_bytes()[:-20])
    (tmp_path / "other.lmz").write_bytes(packed.read_bytes())
    outcome = call("decompress", "book.txt.lmz", "broken.lmz", "missing.lmz", "other.lmz")
    assert outcome.code == 1
    assert [line.split(":")[1] for line in outcome.err.splitlines()[:3]] == [
        " book.txt.lmz",
        " broken.lmz",
        " missing.lmz",
    ]
    assert (tmp_path / "other").read_bytes() == TEXT and "broken" not in names(tmp_path)
    assert call("-d", "book.txt.lmz", "other.lmz").code == 3


def test_worst_of_the_codes() -> None:
    assert [terminal.worst(codes) for codes in ([0, 3], [3, 2, 0], [2, 4, 3], [0, 4, 1, 2])] == [3, 2, 4, 1]


def test_streams_of_several_files(call: Call, text: Path, packed: Path) -> None:
    outcome = call("--no-model", "-c", "book.txt", "book.txt")
    assert outcome.code == 0 and outcome.err == "" and lmzip.decompress(outcome.out) == TEXT * 2
    assert call("-dc", "book.txt.lmz", "book.txt.lmz").out == TEXT * 2


def test_control_characters_do_not_reach_the_terminal(call: Call, tmp_path: Path) -> None:
    (tmp_path / "a\x1b[31m\n\udce4").write_bytes(TEXT)
    outcome = call("--no-model", "a\x1b[31m\n\udce4")
    assert outcome.code == 0 and outcome.err.startswith("a?[31m??: ")


# Data that is not right


def _flipped(data: bytes) -> bytes:
    return data[:40] + bytes([data[40] ^ 1]) + data[41:]


@pytest.mark.parametrize(
    ("damage", "code", "message"),
    [
        (lambda data: data[:-1], 1, "too early"),
        (lambda data: data[:100], 1, "too early"),
        (lambda data: data[:5], 1, "too early"),
        (lambda data: b"", 1, "too early"),
        (_flipped, 1, "damaged"),
        (lambda data: TEXT, 1, "not an lmzip file"),
        (lambda data: data[:4] + b"\x02" + data[5:], 1, "format version 2"),
        (lambda data: data + b"junk", 1, "after the frame that ends at byte"),
        (lambda data: data + data[:3], 1, "after the frame that ends at byte"),
        (lambda data: lmzip.compress(SHORT, model=MODEL), 4, "needs the model mock-bigram"),
    ],
    ids=["truncated", "half", "header", "empty", "flipped", "other", "newer", "garbage", "short garbage", "model"],
)
def test_bad_data(
    call: Call, packed: Path, tmp_path: Path, damage: Callable[[bytes], bytes], code: int, message: str
) -> None:
    packed.write_bytes(damage(packed.read_bytes()))
    for words in (["-d"], ["test"], ["decompress", "-f", "-o", "out"]):
        outcome = call(*words, "book.txt.lmz")
        assert outcome.code == code and outcome.out == b""
        assert outcome.err.startswith("lmzip: book.txt.lmz: ") and message in outcome.err
        assert outcome.err.count("\n") == 1
    assert names(tmp_path) == ["book.txt.lmz"]


def test_output_is_bounded(call: Call, packed: Path, tmp_path: Path) -> None:
    packed.write_bytes(packed.read_bytes() * 2)
    assert call("-d", "--max-output", "5999", "book.txt.lmz").code == 1 and names(tmp_path) == ["book.txt.lmz"]
    assert call("-d", "--max-output", "6000", "book.txt.lmz").code == 0
    assert (tmp_path / "book.txt").read_bytes() == TEXT * 2


def test_frames_longer_than_a_piece(call: Call, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PIECE", 256)
    packed.write_bytes(packed.read_bytes() * 3 + lmzip.compress(b"", use_model=False))
    assert call("-d", "book.txt.lmz").code == 0
    assert (tmp_path / "book.txt").read_bytes() == TEXT * 3


# Models


def test_model_options(call: Call, text: Path, tmp_path: Path, mock_model: list[tuple[object, ...]]) -> None:
    text.write_bytes(SHORT)
    assert call("-m", "somewhere", "-T", "3", "--backend", "torch", "--coder", "rans", "-9", "book.txt").code == 0
    assert call("-f", "-T0", "book.txt").code == 0
    assert mock_model == [("somewhere", 3, "torch"), (None, None, None)]
    assert call("-dc", "-m", "somewhere", "book.txt.lmz").out == SHORT
    assert call("-dc", "book.txt.lmz").code == 4
    outcome = call("-m", "somewhere", "-f", "book.txt")
    assert outcome.err.startswith("lmzip: compiling for this machine\nbook.txt: ")
    assert call("-q", "-m", "somewhere", "-f", "book.txt").err == ""


def test_missing_model(call: Call, text: Path, tmp_path: Path) -> None:
    outcome = call("-m", "./nowhere", "book.txt")
    assert outcome.code == 4 and "nowhere: no model there" in outcome.err and names(tmp_path) == ["book.txt"]


def test_real_model(call: Call, tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "f").write_bytes(b"abaacaaadaa" * 3 + os.urandom(2) + b"a" * 50)
    before = (tmp_path / "f").read_bytes()
    assert call("-m", str(tiny_model), "f").code == 0
    (line,) = call("list", "--json", "f.lmz").out.splitlines()
    assert json.loads(line)["frames"][0]["blocks"][0]["model"] == "tiny"
    assert call("-dc", "-T", "1", "-m", str(tiny_model), "f.lmz").out == before
    assert call("-d", "-f", "-m", str(tiny_model), "f.lmz").code == 0 and (tmp_path / "f").read_bytes() == before
    changed = tmp_path / "changed"
    changed.mkdir()
    for path in tiny_model.iterdir():
        (changed / path.name).write_bytes(path.read_bytes())
    (changed / "config.json").write_text((tiny_model / "config.json").read_text() + " ")
    outcome = call("-t", "-m", "changed", "f.lmz")
    assert outcome.code == 4 and "needs the model tiny with sha256" in outcome.err


def test_models_list(call: Call) -> None:
    (model,) = json.loads(call("models", "list", "--json").out)
    assert model["id"] == library.DEFAULT_MODEL and model["default"] and len(model["sha256"]) == 64
    table = call("models", "list").out.decode()
    assert model["sha256"] in table and "MiB" in table


def test_models_info_and_verify(call: Call, tiny_model: Path, tmp_path: Path) -> None:
    info = json.loads(call("models", "info", "--json", str(tiny_model)).out)
    sha256 = library.load_model(tiny_model).sha256.hex()
    assert (info["id"], info["sha256"], info["backend"]) == ("tiny", sha256, "cpu")
    assert info["network"]["hidden_size"] == 16 and info["parameters"] == 258 * 16 + 16 * 16 * 7 + 256 * 16
    assert info["products"]["float64"] is True and info["backends"]["cpu"] is True
    assert {"torch", "numba", "numpy", "lmzip"} <= info["versions"].keys()
    assert f"sha256: {sha256}\n" in call("models", "info", str(tiny_model)).out.decode()
    outcome = call("models", "verify", str(tiny_model))
    assert outcome.code == 0 and outcome.out.decode().startswith(f"tiny: sha256 {sha256}\ncpu: ok\ntorch: ok\n")
    for command in ("info", "verify"):
        assert call("models", command, str(tmp_path)).code == 4


def test_models_where_nothing_computes_exactly(call: Call, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library.load_model(tiny_model)
    monkeypatch.setattr("lmzip.models.exact.backends.is_trusted", lambda backend: backend == "torch")
    outcome = call("models", "verify", "--json", str(tiny_model))
    result = json.loads(outcome.out)
    assert outcome.code == 4 and result["backends"]["cpu"] is False and result["ok"] is False
    assert "cpu: its self-test gives other integers" in call("models", "verify", str(tiny_model)).out.decode()
    monkeypatch.setattr("lmzip.models.exact.backends.is_trusted", lambda backend: False)
    info = json.loads(call("models", "info", "--json", str(tiny_model)).out)
    assert info["backend"] is None and info["backends"]["cpu"] is False


# What is said


def test_result_lines(call: Call, text: Path, packed: Path, tmp_path: Path) -> None:
    size = packed.stat().st_size
    packed.unlink()
    sizes = f"2.93 KiB -> {terminal.size_text(size)}"
    line = f"book.txt: {size / 30:.1f} % ({sizes}, {size * 8 / 3000:.2f} bits/byte)"
    assert call("--no-model", "book.txt") == (0, b"", line + "\n")
    assert call("--no-model", "-fv", "book.txt").err.startswith(line + ", 0.")
    assert call("-df", "book.txt.lmz").err == f"book.txt.lmz: {terminal.size_text(size)} -> 2.93 KiB\n"
    assert call("-t", "book.txt.lmz").err == ""
    assert call("test", "-v", "book.txt.lmz").err.startswith(
        f"book.txt.lmz: ok ({terminal.size_text(size)} -> 2.93 KiB)"
    )
    assert call("-dc", "book.txt.lmz").err == "" and call("-dcv", "book.txt.lmz").err != ""
    (tmp_path / "empty").touch()
    assert "0 B -> " in call("--no-model", "empty").err


def test_quiet(call: Call, text: Path, packed: Path) -> None:
    assert call("--no-model", "-q", "book.txt") == (3, b"", "")
    assert call("--no-model", "-qf", "book.txt") == (0, b"", "")
    assert call("list", "-q", ".") == (3, b"", "")
    assert "No such file" in call("--no-model", "-q", "missing").err


def test_json_results(call: Call, text: Path, tmp_path: Path) -> None:
    keys = {"command", "file", "output", "content_size", "compressed_size", "seconds", "error", "exit_code"}
    outcome = call("--no-model", "--json", "book.txt", "missing")
    good, bad = map(json.loads, outcome.out.splitlines())
    size = (tmp_path / "book.txt.lmz").stat().st_size
    assert good.keys() == bad.keys() == keys and outcome.code == 1
    assert (good["command"], good["file"], good["output"]) == ("compress", "book.txt", "book.txt.lmz")
    assert (good["content_size"], good["compressed_size"], good["error"], good["exit_code"]) == (3000, size, None, 0)
    assert (bad["error"], bad["exit_code"]) == ("No such file or directory", 1)
    assert outcome.err == "lmzip: missing: No such file or directory\n"
    tested = json.loads(call("test", "--json", "book.txt.lmz").out)
    assert (tested["command"], tested["output"], tested["content_size"]) == ("test", None, 3000)
    outcome = call("-dc", "--json", "book.txt.lmz")  # standard output is the data's
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


# The list


def test_list(call: Call, tmp_path: Path) -> None:
    frames = [lmzip.compress(SHORT, model=MODEL, coder="rans")]
    frames += [lmzip.compress(data, 3, use_model=False) for data in (NOISE, b"")]
    (tmp_path / "f.lmz").write_bytes(b"".join(frames))
    outcome = call("list", "--json", "f.lmz")
    found = json.loads(outcome.out)
    assert outcome.code == 0 and found["error"] is None and found["exit_code"] == 0
    assert (found["file"], found["compressed_size"], found["content_size"]) == ("f.lmz", sum(map(len, frames)), 5400)
    assert found["ratio"] == found["compressed_size"] / 5400
    first, second, third = found["frames"]
    assert (first["offset"], first["size"], first["level"]) == (0, len(frames[0]), 6)
    assert first["models"] == [{"id": "mock-bigram", "sha256": MODEL.sha256.hex(), "profile": "mock"}]
    (block,) = first["blocks"]
    assert (block["method"], block["model"], block["coder"], block["symbols"]) == ("model", "mock-bigram", "rans", 400)
    (block,) = second["blocks"]
    assert (block["method"], block["model"], block["start"], block["content_size"]) == ("stored", None, 400, 5000)
    data = (tmp_path / "f.lmz").read_bytes()[block["offset"] : block["offset"] + block["size"]]
    assert data.endswith(NOISE)
    assert (second["level"], third["content_size"], third["blocks"]) == (3, 0, [])

    head, row = call("-l", "f.lmz").out.decode().splitlines()
    assert head.split() == ["frames", "blocks", "compressed", "content", "ratio", "model", "level", "file"]
    assert row.split()[:2] == ["3", "2"] and row.split()[-3:] == ["mock-bigram", "6,3", "f.lmz"]
    verbose = call("list", "-v", "f.lmz").out.decode()
    assert "model (mock-bigram, rans)" in verbose and f"{block['offset']:,}" in verbose and "stored" in verbose


def test_list_of_bad_files(call: Call, packed: Path, tmp_path: Path) -> None:
    data = packed.read_bytes()
    for name, content in {"cut": data[:-1], "half": data[:100], "junk": data + b"junk", "empty": b""}.items():
        (tmp_path / name).write_bytes(content)
    outcome = call("list", "--json", "cut", "half", "junk", "empty", "book.txt.lmz", "missing")
    found = [json.loads(line) for line in outcome.out.splitlines()]
    assert outcome.code == 1 and [entry["exit_code"] for entry in found] == [1, 1, 1, 1, 0, 1]
    assert "after the frame that ends at byte" in found[2]["error"]
    assert len(outcome.err.splitlines()) == 5
    assert "book.txt.lmz" in call("list", "cut", "book.txt.lmz").out.decode()


def test_list_compares_the_index(call: Call, packed: Path) -> None:
    one, two = lmzip.compress(TEXT, use_model=False), lmzip.compress(NOISE, use_model=False)
    # The block of one and the index of the other; every check value by itself is right.
    start = one.index(b"\x20", len(one) - 64)
    packed.write_bytes(one[:start] + two[two.index(b"\x20", len(two) - 64) :])
    assert call("list", "book.txt.lmz").code == 1


# Processes


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["-t", "book.txt.lmz"], 0), (["-t", "book.txt"], 1), (["--rm"], 2), (["-d", "book.txt.lmz"], 3),
        (["-t", "book.txt.lmz", "other.lmz"], 4),
    ],
)  # fmt: skip
def test_exit_codes(text: Path, packed: Path, tmp_path: Path, words: list[str], code: int) -> None:
    (tmp_path / "other.lmz").write_bytes(lmzip.compress(SHORT, model=MODEL))
    done = process(*words, cwd=tmp_path)
    assert done.returncode == code and done.stdout == b"" and bool(done.stderr) == bool(code)


def test_pipes(tmp_path: Path) -> None:
    done = process("--no-model", cwd=tmp_path, input=TEXT)
    assert done.returncode == 0 and done.stderr == b"" and lmzip.decompress(done.stdout) == TEXT
    done = process("decompress", "-", cwd=tmp_path, input=done.stdout)
    assert (done.returncode, done.stdout, done.stderr) == (0, TEXT, b"")


def test_files_as_standard_input_and_output(tmp_path: Path, text: Path) -> None:
    with open(text, "rb") as source, open(tmp_path / "out", "wb") as sink:
        process("--no-model", cwd=tmp_path, input=None, stdin=source, stdout=sink, stderr=None, capture_output=False)
    assert lmzip.decompress((tmp_path / "out").read_bytes()) == TEXT
    with open(tmp_path / "out", "rb") as source:
        done = process("list", "--json", cwd=tmp_path, input=None, stdin=source)
    assert json.loads(done.stdout)["content_size"] == 3000


def test_tar(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "folder" / "inner" / "file").write_bytes(TEXT)
    program = f"{' '.join(LMZIP)} --no-model"
    subprocess.run(["tar", "-I", program, "-cf", "folder.tar.lmz", "folder"], cwd=tmp_path, check=True)
    assert lmzip.decompress((tmp_path / "folder.tar.lmz").read_bytes())[257:262] == b"ustar"
    (tmp_path / "folder" / "inner" / "file").unlink()
    done = subprocess.run(
        ["tar", "-I", program, "-xf", "folder.tar.lmz"], cwd=tmp_path, check=True, capture_output=True
    )
    assert (tmp_path / "folder" / "inner" / "file").read_bytes() == TEXT and done.stderr == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    # Shells start background processes with SIGINT ignored, which the child would inherit.
    code = (
        f"import signal; signal.signal({int(number)}, signal.SIG_DFL)\n"
        "from lmzip.cli import main; main(['--no-model', '-1', '-o', 'out.lmz'])"
    )
    words = [sys.executable, "-c", code]
    child = subprocess.Popen(words, cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdin is not None and child.stderr is not None
    with child, child.stdin:
        child.stdin.write(bytes(1 << 20) + b"more")  # a block, which is written, and the pipe stays open
        child.stdin.flush()
        deadline = time.monotonic() + 60
        while not any(path.stat().st_size > 30 for path in tmp_path.iterdir()):
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        child.send_signal(number)
        assert child.wait(60) == 128 + number
        assert child.stderr.read() == b""
    assert names(tmp_path) == []


def test_ignored_signals_stay_ignored(call: Call, packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(jobs, "decompress_stream", lambda *_: seen.append(signal.getsignal(signal.SIGHUP)))
    for handler in (signal.SIG_IGN, signal.SIG_DFL):
        before = signal.signal(signal.SIGHUP, handler)
        try:
            assert call("-t", "book.txt.lmz").code == 0
            assert signal.getsignal(signal.SIGHUP) == handler
        finally:
            signal.signal(signal.SIGHUP, before)
    assert seen[0] == signal.SIG_IGN and callable(seen[1])


def test_full_disk(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(NOISE)
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "from lmzip.cli import main; main(['--no-model', 'noise'])"
    )
    done = subprocess.run([sys.executable, "-c", limited], cwd=tmp_path, capture_output=True)
    assert done.returncode == 1 and done.stderr == b"lmzip: noise: noise.lmz: File too large\n"
    assert names(tmp_path) == ["noise"]
    with open("/dev/full", "wb") as full:
        outputs = {"capture_output": False, "stdout": full, "stderr": subprocess.PIPE}
        done = process("--no-model", "-c", "noise", cwd=tmp_path, **outputs)
    assert (done.returncode, done.stderr) == (1, b"lmzip: noise: standard output: No space left on device\n")


@pytest.mark.parametrize("words", [["-dc", "zeros.lmz"], ["list", "-v", "many.lmz"]])
def test_broken_pipe_is_quiet(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "zeros.lmz").write_bytes(lmzip.compress(bytes(1 << 20), 1, use_model=False))
    (tmp_path / "many.lmz").write_bytes(lmzip.compress(b"x", use_model=False) * 2000)
    child = subprocess.Popen([*LMZIP, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None and child.stderr is not None
    with child:
        child.stdout.close()
        assert child.stderr.read() == b"" and child.wait(60) == 1


@pytest.fixture
def terminal_pair() -> Iterator[tuple[int, int]]:
    reader, writer = pty.openpty()
    os.set_blocking(reader, False)
    termios.tcsetwinsize(writer, (25, 80))
    yield reader, writer
    os.close(reader)
    os.close(writer)


def _seen(reader: int) -> bytes:
    seen = b""
    try:
        while data := os.read(reader, 4096):
            seen += data
    except BlockingIOError:
        return seen
    return seen


def test_terminal(tmp_path: Path, text: Path, packed: Path, terminal_pair: tuple[int, int]) -> None:
    reader, writer = terminal_pair

    def on_terminal(*words: str, **options: object) -> tuple[int, bytes]:
        done = process(*words, cwd=tmp_path, **{"capture_output": False, "stderr": writer, **options})
        return done.returncode, _seen(reader)

    code, seen = on_terminal("--no-model", "-c", "book.txt", stdout=writer)
    assert code == 2 and b"compressed data is not written to a terminal" in seen and b"\xb1LMZ" not in seen
    code, seen = on_terminal("--no-model", "-cf", "book.txt", stdout=writer)
    assert code == 0 and b"\xb1LMZ" in seen and b"%|" not in seen
    code, seen = on_terminal("-d", input=None, stdin=writer)
    assert code == 2 and b"compressed data is not read from a terminal" in seen
    code, seen = on_terminal("--no-model", "-f", "book.txt")
    assert code == 0 and b"book.txt:   0%|" in seen and b" bits/byte)" in seen.splitlines()[-1]
    code, seen = on_terminal("--no-model", "-fq", "book.txt")
    assert (code, seen) == (0, b"")


def test_torch_is_not_imported_for_nothing(tmp_path: Path, packed: Path) -> None:
    code = """if True:
        import sys
        from lmzip.cli import main
        codes = []
        for words in ["--help"], ["--version"], ["list", "-v", "book.txt.lmz"], ["-l", "--json", "book.txt.lmz"]:
            try:
                main(words)
            except SystemExit as end:
                codes.append(end.code)
        heavy = {"torch", "numba", "tokenizers", "tqdm", "matplotlib"} & set(sys.modules)
        sys.exit(f"codes {codes}, imported {heavy}")
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True)
    assert done.stderr == b"codes [0, 0, 0, 0], imported set()\n"


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
