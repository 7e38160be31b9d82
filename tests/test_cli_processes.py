"""The command line in processes: pipes, signals, a full disk, terminals."""

from __future__ import annotations

import json
import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import LMZIP, MODEL, NOISE, SHORT, TEXT, Call, names, process

import lmzip
from lmzip.cli import files


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["-t", "book.txt.lmzip"], 0), (["-t", "book.txt"], 1), (["--rm"], 2), (["-d", "book.txt.lmzip"], 3),
        (["-t", "book.txt.lmzip", "other.lmzip"], 4),
    ],
)  # fmt: skip
def test_exit_codes(text: Path, packed: Path, tmp_path: Path, words: list[str], code: int) -> None:
    (tmp_path / "other.lmzip").write_bytes(lmzip.compress(SHORT, model=MODEL))
    done = process(*words, cwd=tmp_path)
    assert done.returncode == code and done.stdout == b"" and bool(done.stderr) == bool(code)


def test_pipes(tmp_path: Path) -> None:
    done = process("--method", "fallback", cwd=tmp_path, input=TEXT)
    assert done.returncode == 0 and done.stderr == b"" and lmzip.decompress(done.stdout) == TEXT
    done = process("decompress", "-", cwd=tmp_path, input=done.stdout)
    assert (done.returncode, done.stdout, done.stderr) == (0, TEXT, b"")


def test_files_as_standard_input_and_output(tmp_path: Path, text: Path) -> None:
    with open(text, "rb") as source, open(tmp_path / "out", "wb") as sink:
        streams = {"stdin": source, "stdout": sink, "stderr": None}
        process("--method", "fallback", cwd=tmp_path, input=None, capture_output=False, **streams)
    assert lmzip.decompress((tmp_path / "out").read_bytes()) == TEXT
    with open(tmp_path / "out", "rb") as source:
        done = process("list", "--json", cwd=tmp_path, input=None, stdin=source)
    assert json.loads(done.stdout)["content_size"] == 3000


def test_tar(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "folder" / "inner" / "file").write_bytes(TEXT)
    program = f"{' '.join(LMZIP)} --method fallback"
    subprocess.run(["tar", "-I", program, "-cf", "folder.tar.lmzip", "folder"], cwd=tmp_path, check=True)
    assert lmzip.decompress((tmp_path / "folder.tar.lmzip").read_bytes())[257:262] == b"ustar"
    (tmp_path / "folder" / "inner" / "file").unlink()
    done = subprocess.run(
        ["tar", "-I", program, "-xf", "folder.tar.lmzip"], cwd=tmp_path, check=True, capture_output=True
    )
    assert (tmp_path / "folder" / "inner" / "file").read_bytes() == TEXT and done.stderr == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    # Shells start background processes with SIGINT ignored, which the child would inherit.
    code = (
        f"import signal; signal.signal({int(number)}, signal.SIG_DFL)\n"
        "from lmzip.cli.main import main; main(['--method', 'fallback', '-1', '-o', 'out.lmzip'])"
    )
    words = [sys.executable, "-c", code]
    child = subprocess.Popen(words, cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdin is not None and child.stderr is not None
    with child, child.stdin:
        child.stdin.write(bytes(2 << 20) + b"more")  # blocks, which are written, and the pipe stays open
        child.stdin.flush()
        deadline = time.monotonic() + 60
        while not any(path.stat().st_size > 30 for path in tmp_path.iterdir()):
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        child.send_signal(number)
        assert child.wait(60) == 128 + number
        assert child.stderr.read() == b""
    assert names(tmp_path) == []


def test_killed_process_leaves_a_file_that_the_next_one_removes(tmp_path: Path) -> None:
    words = [*LMZIP, "--method", "fallback", "-o", "out.lmzip"]
    with subprocess.Popen(words, cwd=tmp_path, stdin=subprocess.PIPE) as child:
        deadline = time.monotonic() + 60
        while not names(tmp_path):
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        child.kill()
    (left,) = tmp_path.iterdir()
    os.utime(left, (1, 1))
    assert process("--method", "fallback", "-o", "out.lmzip", cwd=tmp_path).returncode == 0
    assert names(tmp_path) == ["out.lmzip"]


def test_interrupt_while_it_starts_is_quiet(tmp_path: Path) -> None:
    code = """if True:
        import os, signal, sys
        class Interrupting:
            def find_spec(self, name, path, target=None):
                if name == "numpy":
                    os.kill(os.getpid(), signal.SIGINT)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # as a shell's foreground process
        sys.meta_path.insert(0, Interrupting())
        from lmzip_command import main
        main()
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_system_without_sighup(call: Call, packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(signal, "SIGHUP")
    assert call("-t", "book.txt.lmzip").code == 0


def test_ignored_signals_stay_ignored(call: Call, packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(files, "decompress_stream", lambda *_: seen.append(signal.getsignal(signal.SIGHUP)))
    for handler in (signal.SIG_IGN, signal.SIG_DFL):
        before = signal.signal(signal.SIGHUP, handler)
        try:
            assert call("-t", "book.txt.lmzip").code == 0
            assert signal.getsignal(signal.SIGHUP) == handler
        finally:
            signal.signal(signal.SIGHUP, before)
    assert seen[0] == signal.SIG_IGN and callable(seen[1])


def test_full_disk(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(NOISE)
    (tmp_path / "disk").mkdir()
    # A disk of three pages, two of which the source takes; it exists for these processes only.
    mount = "mount -t tmpfs -o size=12k none disk"
    compress = f"cd disk && cp ../noise . && {shlex.join(LMZIP)} --method fallback noise; code=$?; ls -A; exit $code"

    def alone(script: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["unshare", "--mount", "sh", "-c", script], cwd=tmp_path, capture_output=True)

    if shutil.which("unshare") is None or alone(mount).returncode:
        pytest.skip("no disk can be mounted here")
    done = alone(f"{mount} && {compress}")
    assert (done.returncode, done.stdout) == (1, b"noise\n")
    assert done.stderr == b"lmzip: noise: noise.lmzip: No space left on device\n"


def test_full_quota(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(NOISE)
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "from lmzip.cli.main import main; main(['--method', 'fallback', 'noise'])"
    )
    done = subprocess.run([sys.executable, "-c", limited], cwd=tmp_path, capture_output=True)
    assert done.returncode == 1 and done.stderr == b"lmzip: noise: noise.lmzip: File too large\n"
    assert names(tmp_path) == ["noise"]


def test_full_standard_output(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(NOISE)
    with open("/dev/full", "wb") as full:
        outputs = {"capture_output": False, "stdout": full, "stderr": subprocess.PIPE}
        done = process("--method", "fallback", "-c", "noise", cwd=tmp_path, **outputs)
    assert (done.returncode, done.stderr) == (1, b"lmzip: noise: standard output: No space left on device\n")


@pytest.mark.parametrize("words", [["-dc", "zeros.lmzip"], ["list", "-v", "many.lmzip"]])
def test_broken_pipe_is_quiet(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "zeros.lmzip").write_bytes(lmzip.compress(bytes(1 << 20), 1, method="fallback"))
    (tmp_path / "many.lmzip").write_bytes(lmzip.compress(b"x", method="fallback") * 2000)
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

    code, seen = on_terminal("--method", "fallback", "-c", "book.txt", stdout=writer)
    assert code == 2 and b"compressed data is not written to a terminal" in seen and b"\xb1LM" not in seen
    code, seen = on_terminal("--method", "fallback", "-cf", "book.txt", stdout=writer)
    assert code == 0 and b"\xb1LM" in seen and b"%|" not in seen
    code, seen = on_terminal("-d", input=None, stdin=writer)
    assert code == 2 and b"compressed data is not read from a terminal" in seen
    code, seen = on_terminal("--method", "fallback", "-f", "book.txt")
    assert code == 0 and b"book.txt:   0%|" in seen and b" bits/byte)" in seen.splitlines()[-1]
    code, seen = on_terminal("--method", "fallback", "-fq", "book.txt")
    assert (code, seen) == (0, b"")


def test_no_bar_beside_data_on_standard_output(packed: Path, tmp_path: Path, terminal_pair: tuple[int, int]) -> None:
    reader, writer = terminal_pair
    for words, bar in (["-dc"], False), (["-dcv"], True), (["-c", "--fast", "-f"], False):
        done = process(
            *words, "book.txt.lmzip", cwd=tmp_path, capture_output=False, stdout=subprocess.PIPE, stderr=writer
        )
        assert done.returncode == 0 and (b"book.txt.lmzip:" in _seen(reader)) == bar


def test_bar_counts_files(text: Path, tmp_path: Path, terminal_pair: tuple[int, int]) -> None:
    reader, writer = terminal_pair
    words = ["--method", "fallback", "-f", "book.txt", "missing", "book.txt"]
    assert process(*words, cwd=tmp_path, capture_output=False, stderr=writer).returncode == 1
    seen = _seen(reader)
    assert b"1 of 3: book.txt:   0%|" in seen and b"3 of 3: book.txt:   0%|" not in seen


def test_torch_is_not_imported_for_nothing(tmp_path: Path, packed: Path) -> None:
    code = """if True:
        import sys
        from lmzip.cli.main import main
        codes = []
        for words in ["--help"], ["--version"], ["list", "-v", "book.txt.lmzip"], ["-l", "--json", "book.txt.lmzip"]:
            try:
                main(words)
            except SystemExit as end:
                codes.append(end.code)
        heavy = {"torch", "numba", "tokenizers", "tqdm", "matplotlib"} & set(sys.modules)
        sys.exit(f"codes {codes}, imported {heavy}")
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True)
    assert done.stderr == b"codes [0, 0, 0, 0], imported set()\n"
