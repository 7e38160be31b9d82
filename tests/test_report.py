from __future__ import annotations

import csv
import io
import json
import lzma
import os
import random
import sys
from pathlib import Path
from typing import Any

import mocks
import pytest
from click.testing import CliRunner, Result

from lmzip.cli.report import Table, as_json, format_speed, format_times, notes, report_command, tables
from lmzip.errors import ModelError
from lmzip.measure import baselines
from lmzip.measure.baselines import COLUMNS, PEERS, Compressor, FileReport, ModelInfo, Report, Timing
from lmzip.models import registry

NAMES = ["lmzip -6", "gzip -9", "bzip2 -9", "xz -9e", "zstd -19", "zstd -22", "brotli -11"]
WORDS = ("the", "of", "and", "model", "window", "block", "symbol", "coder", "byte", "frame", "level", "text", "file")
BROKEN = Compressor("broken -1", lambda data: data, lambda data: data[:-1] + b"?")


def text(seed: int, words: int = 400) -> bytes:
    return " ".join(random.Random(seed).choices(WORDS, k=words)).encode()


MODEL = mocks.bigram(text(0, 4000))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Time every call once, and let the default model be a tiny one of 300 bytes."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "weights.safetensors"):
        (folder / name).write_bytes(bytes(100))
    monkeypatch.setattr(baselines, "_ENOUGH_SECONDS", 0.0)
    monkeypatch.setattr(registry, "shipped_folder", lambda model_id: folder)
    monkeypatch.setattr(registry, "load_model", lambda source=None, **options: MODEL)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    for i in (1, 2):
        (tmp_path / f"{i}.txt").write_bytes(text(i))
    return [str(tmp_path / "1.txt"), str(tmp_path / "2.txt")]


def invoke(*args: str) -> Result:
    return CliRunner().invoke(report_command, list(args))


def break_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "PEERS", (*PEERS, BROKEN))


# compressors


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_peer_returns_what_it_was_given(peer: Compressor) -> None:
    result = baselines.measure(peer, text(1))
    assert result.error is None
    assert result.compressed_bytes == len(peer.encode(text(1))) < result.raw_bytes == len(text(1))
    assert result.encode.seconds > 0 < result.decode.seconds


def test_peers_write_what_the_tools_write() -> None:
    by_name = {peer.name: peer.encode(text(1)) for peer in PEERS}
    assert by_name["xz -9e"] == lzma.compress(text(1), preset=9 | lzma.PRESET_EXTREME)
    for name in ("zstd -19", "zstd -22"):
        descriptor = by_name[name][4]  # RFC 8878, 3.1.1.1.1: frame content size flag, single segment, checksum
        assert descriptor & 0b100, "no checksum"
        assert descriptor >> 6 or descriptor & 0b100000, "no content size"
    assert by_name["gzip -9"][3:8] == bytes(5), "gzip has a name or a time"


@pytest.mark.parametrize("method", ["fallback", "adaptive", "ensemble", "model"])
def test_lmzip_is_measured_like_a_peer(method: str) -> None:
    compressor = baselines.lmzip_compressor(3, MODEL, method)
    result = baselines.measure(compressor, text(1))
    assert (result.compressor, result.error) == (f"lmzip -3 --method {method}", None)
    assert 0 < result.compressed_bytes < len(text(1))
    assert result.bits_per_byte == pytest.approx(8 / result.ratio)


def test_a_peer_that_decodes_wrongly_has_no_numbers() -> None:
    result = baselines.measure(BROKEN, text(1))
    assert result.error == "decoded to other bytes than it was given"
    assert result.compressed_bytes == 0


def test_a_peer_that_raises_is_an_error_and_not_a_crash() -> None:
    result = baselines.measure(Compressor("x", lambda data: data, lzma.decompress), text(1))
    assert result.error is not None
    assert result.error.startswith("LZMAError: ")


def test_fast_calls_are_repeated_and_the_shortest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 5.0, 10.0, 12.0, 20.0, 23.0, 100.0, 109.0])
    monkeypatch.setattr(baselines, "_ENOUGH_SECONDS", 9.0)
    monkeypatch.setattr("lmzip.measure.baselines.time.perf_counter", lambda: next(clock))
    result = baselines.measure(Compressor("x", lambda data: data, lambda data: data), b"data")
    # Encoding took 5, 2 and 3 seconds, which is enough together; decoding 9.
    assert (result.encode.seconds, result.decode.seconds) == (2.0, 9.0)


def test_peers_are_named_by_program_or_in_full() -> None:
    assert [peer.name for peer in baselines.peers_named(["zstd", "gzip-9", "zstd-22"])] == [
        "zstd -19", "zstd -22", "gzip -9",
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"no peer 'rar'; there are gzip-9, bzip2-9"):
        baselines.peers_named(["gzip", "rar"])


# the report


def result(name: str, size: int, encode: float = 1.0, decode: float = 1.0, raw: int = 1000) -> baselines.Result:
    return baselines.Result(name, raw, size, Timing(encode, encode), Timing(decode, decode))


def report_of(*results: baselines.Result, model_bytes: int = 500) -> Report:
    files = (FileReport("a", 1000, results), FileReport("b", 1000, results), FileReport("c", 0, error="is empty"))
    return Report(files, ModelInfo("m", "00", "p", model_bytes, 0.1))


def test_totals_count_the_model_once() -> None:
    report = report_of(result("lmzip -6", 200), result("xz -9e", 300, encode=0.5))
    ours, xz = as_json(report)["totals"]
    assert (ours["raw_bytes"], ours["compressed_bytes"], ours["with_model_bytes"]) == (2000, 400, 900)
    # 100 bytes are saved in 1000, so 500 bytes of model take 5000.
    assert ours["break_even_bytes"] == 5000
    assert (ours["encode"]["seconds"], ours["encode"]["times_xz"], ours["decode"]["times_xz"]) == (2.0, 2.0, 1.0)
    assert (xz["compressed_bytes"], xz["with_model_bytes"], xz["break_even_bytes"]) == (600, None, None)


def test_notes_say_when_the_model_has_paid_for_itself() -> None:
    lines = notes(report_of(result("lmzip -6", 200), result("xz -9e", 300)))
    assert lines[1:] == ["From 5.0 KB of such files on, lmzip -6 and its model together are smaller than xz -9e."]


def test_there_is_no_break_even_where_xz_is_smaller_or_absent() -> None:
    larger = as_json(report_of(result("lmzip -6", 300), result("xz -9e", 300)))
    alone = as_json(report_of(result("lmzip -6", 300)))
    assert [report["totals"][0]["break_even_bytes"] for report in (larger, alone)] == [None, None]
    assert alone["totals"][0]["encode"]["times_xz"] is None


def test_a_failure_on_one_file_leaves_no_total() -> None:
    bad = baselines.Result("gzip -9", 1000, error="wrong")
    report = Report((FileReport("a", 1000, (result("gzip -9", 10),)), FileReport("b", 1000, (bad,))), None)
    (total,) = as_json(report)["totals"]
    assert total["error"] == "failed on 1 of 2 files"
    assert total["compressed_bytes"] is None


def test_the_smallest_and_the_fastest_are_marked() -> None:
    report = report_of(result("lmzip -6", 200, 3.0, 3.0), result("gzip -9", 400, 1.0, 2.0), result("xz -9e", 300, 2.0))
    first, second, total = tables(report)
    assert first.best == second.best == {(0, 1), (1, 4), (2, 6)}
    assert [row[0] for row in total.rows] == ["lmzip -6", "lmzip -6 + model", "gzip -9", "xz -9e"]
    assert total.rows[1][:4] == ["lmzip -6 + model", "900", "3.600", "2.22"]
    assert total.best == {(0, 1), (2, 4), (3, 6)}


def test_a_failed_row_is_never_the_best() -> None:
    bad = baselines.Result("bad -1", 1000, error="wrong")
    table = tables(Report((FileReport("a", 1000, (bad, result("gzip -9", 900))),), None))[0]
    assert isinstance(table, Table)
    assert table.rows[0][:2] == ["bad -1", "FAILED"]
    assert table.best == {(1, 1), (1, 4), (1, 6)}


@pytest.mark.parametrize(
    ("value", "shown"), [(123.0, "0.1 KB/s"), (54_321.0, "54.3 KB/s"), (3.2e6, "3.2 MB/s"), (4.5e8, "450 MB/s")]
)
def test_speeds(value: float, shown: str) -> None:
    assert format_speed(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(0.0123, "0.012"), (0.5, "0.50"), (12.34, "12.3"), (4321.0, "4,321")])
def test_times(value: float, shown: str) -> None:
    assert format_times(value) == shown


# the command


def test_json(files: list[str]) -> None:
    run = invoke("--json", *files)
    assert run.exit_code == 0, run.stderr
    assert run.stderr == ""
    report = json.loads(run.stdout)
    assert list(report) == ["report", "environment", "skipped", "files", "totals", "exit_code"]
    assert (report["report"], report["skipped"], report["exit_code"]) == (1, [], 0)
    model = report["environment"]["model"]
    assert (model["id"], model["sha256"], model["bytes"]) == ("mock-bigram", MODEL.sha256.hex(), 300)
    assert [file["path"] for file in report["files"]] == files
    keys = ["compressor", "raw_bytes", "error", "compressed_bytes", "bits_per_byte", "ratio", "encode", "decode"]
    for file in report["files"]:
        assert list(file) == ["path", "raw_bytes", "error", "results"]
        assert [entry["compressor"] for entry in file["results"]] == NAMES
        for entry in file["results"]:
            assert list(entry) == keys
            assert list(entry["decode"]) == ["seconds", "cpu_seconds", "bytes_per_second", "times_xz", "cpu_times_xz"]
        assert file["results"][3]["encode"]["times_xz"] == 1.0
    for i, total in enumerate(report["totals"]):
        assert list(total) == [*keys, "with_model_bytes", "break_even_bytes"]
        assert total["compressed_bytes"] == sum(file["results"][i]["compressed_bytes"] for file in report["files"])
    assert report["totals"][0]["with_model_bytes"] == report["totals"][0]["compressed_bytes"] + 300


def test_environment_names_no_host_and_no_path(files: list[str]) -> None:
    environment = json.dumps(json.loads(invoke("--json", "--peers", "gzip", *files).stdout)["environment"])
    assert {"cpu", "cores", "lmzip", "python", "torch", "numba", "date"} <= set(json.loads(environment))
    assert str(Path(files[0]).parent) not in environment
    assert sys.prefix not in environment


def test_csv(files: list[str]) -> None:
    run = invoke("--csv", *files)
    assert run.exit_code == 0, run.stderr
    rows = list(csv.DictReader(io.StringIO(run.stdout)))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["file"], row["compressor"]) for row in rows] == [(file, name) for file in files for name in NAMES]
    for row in rows:
        assert row["verified"] == "true"
        bits = 8 * int(row["compressed_bytes"]) / int(row["raw_bytes"])
        assert float(row["bits_per_byte"]) == pytest.approx(bits, abs=1e-4)
    assert [row["encode_times_xz"] for row in rows if row["compressor"] == "xz -9e"] == ["1", "1"]


def test_markdown(files: list[str]) -> None:
    run = invoke("--markdown", "--peers", "gzip,xz", *files)
    assert run.exit_code == 0, run.stderr
    lines = run.stdout.splitlines()
    assert lines[0] == f"**{files[0]}: {len(text(1)):,} bytes**"
    assert lines[2].startswith("| compressor | size |")
    assert [line.count("|") for line in lines[2:7]] == [9] * 5
    assert "| lmzip -6 + model |" in run.stdout
    sizes = [line.split("|")[2].strip() for line in lines[4:7]]
    assert sum(size.startswith("**") for size in sizes) == 1
    smallest = min(sizes, key=lambda size: int(size.strip("*").replace(",", "")))
    assert smallest.startswith("**")


@pytest.mark.parametrize("rich", [True, False])
def test_tables_for_people(files: list[str], rich: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not rich:
        monkeypatch.setitem(sys.modules, "rich", None)
    run = invoke(*files)
    assert run.exit_code == 0, run.stderr
    size = f"{len(lzma.compress(text(1), preset=9 | lzma.PRESET_EXTREME)):,}"
    for expected in (*NAMES, "lmzip -6 + model", size, "total of 2 files", "*", "Model mock-bigram: 300 bytes"):
        assert expected in run.stdout
    assert ("─" in run.stdout) is rich


def test_several_levels(files: list[str]) -> None:
    run = invoke("-9", "-1", "--json", "--peers", "", files[0])
    results = json.loads(run.stdout)["files"][0]["results"]
    assert [entry["compressor"] for entry in results] == ["lmzip -1", "lmzip -9"]


def test_a_broken_peer_is_an_error_row_and_exit_1(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    break_peer(monkeypatch)
    run = invoke("--json", *files)
    assert run.exit_code == 1
    report = json.loads(run.stdout)
    assert report["exit_code"] == 1
    *good, bad = report["files"][0]["results"]
    assert [entry["error"] for entry in good] == [None] * 7
    assert (bad["error"], bad["compressed_bytes"], bad["encode"]) == (
        "decoded to other bytes than it was given", None, None,
    )  # fmt: skip
    assert f"lmzip: {files[1]}: broken -1: decoded to other bytes" in run.stderr


def test_a_broken_peer_in_csv_and_tables(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    break_peer(monkeypatch)
    run = invoke("--csv", "--no-lmzip", files[0])
    assert run.exit_code == 1
    row = list(csv.DictReader(io.StringIO(run.stdout)))[-1]
    assert (row["compressor"], row["compressed_bytes"], row["verified"]) == ("broken -1", "", "false")
    assert "FAILED" in invoke("--no-lmzip", files[0]).stdout


def test_missing_brotli_is_skipped_with_a_word(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "brotli", None)
    run = invoke("--json", files[0])
    assert run.exit_code == 0
    assert run.stderr == "lmzip: brotli -11: skipped, its package is not installed: pip install 'lmzip-codec[report]'\n"
    report = json.loads(run.stdout)
    assert report["skipped"] == ["brotli -11"]
    assert [entry["compressor"] for entry in report["files"][0]["results"]] == NAMES[:-1]
    assert report["environment"]["brotli"] is None


def test_bad_files_are_named_and_the_others_measured(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "secret").write_bytes(b"secret")
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "secret":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    bad = [str(tmp_path / name) for name in ("empty", "model", "absent", "secret")]
    run = invoke("--json", "--peers", "xz", "--no-lmzip", *bad, files[1])
    assert run.exit_code == 1
    assert run.stderr.splitlines() == [
        f"lmzip: {bad[0]}: is empty, so there is nothing to measure",
        f"lmzip: {bad[1]}: is a directory; name the files in it",
        f"lmzip: {bad[2]}: No such file or directory",
        f"lmzip: {bad[3]}: Permission denied",
    ]
    report = json.loads(run.stdout)
    assert [bool(file["error"]) for file in report["files"]] == [True] * 4 + [False]
    assert report["totals"][0]["raw_bytes"] == len(text(2))


def test_only_bad_files(tmp_path: Path) -> None:
    run = invoke("--no-lmzip", str(tmp_path / "absent"), "--plot", str(tmp_path / "x.png"))
    assert run.exit_code == 1
    assert run.stdout.strip() == ""
    assert run.stderr.splitlines() == [
        f"lmzip: {tmp_path / 'absent'}: No such file or directory",
        f"lmzip: {tmp_path / 'x.png'}: not drawn, since nothing was measured",
    ]
    assert not (tmp_path / "x.png").exists()


def test_plot_writes_a_png(files: list[str], tmp_path: Path) -> None:
    run = invoke("--csv", "--plot", str(tmp_path / "x.png"), *files)
    assert run.exit_code == 0, run.output
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert run.stdout.startswith("file,raw_bytes,")


def test_plot_is_refused_before_the_work(files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_work(*args: Any) -> None:
        raise AssertionError("measured")

    monkeypatch.setattr(baselines, "measure_files", no_work)
    for name, message in (("x.txt", "must end in .png"), ("no/x.png", "no such folder")):
        run = invoke("--plot", str(tmp_path / name), files[0])
        assert run.exit_code == 2
        assert message in " ".join(run.stderr.split())
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    run = invoke("--plot", str(tmp_path / "x.png"), files[0])
    assert run.exit_code == 2
    assert "pip install 'lmzip-codec[report]'" in run.stderr


def test_wrong_use(files: list[str]) -> None:
    for args in (["--peers", "rar", files[0]], ["--no-lmzip", "--peers", "", files[0]], []):
        assert invoke(*args).exit_code == 2


def test_missing_model(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: str, **options: Any) -> None:
        raise ModelError(f"{source}: no model there")

    monkeypatch.setattr(registry, "load_model", fail)
    run = invoke("-m", "nowhere", files[0])
    assert (run.exit_code, run.stdout) == (4, "")
    assert run.stderr.startswith("lmzip: nowhere: no model there (--no-lmzip")
    assert invoke("--no-lmzip", "--peers", "gzip", files[0]).exit_code == 0
