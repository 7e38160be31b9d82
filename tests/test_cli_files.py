"""The command line on files: names, what is kept and removed, data that is not right."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import MODEL, NOISE, SHORT, TEXT, Call, names

import lmzip
from lmzip.cli import files, paths, terminal

# Files and names


def test_round_trip_keeps_mode_time_and_source(call: Call, text: Path, tmp_path: Path) -> None:
    text.chmod(0o640)
    os.utime(text, ns=(1, 1_500_000_000_987_654_321))
    assert call("compress", "--method", "fallback", "book.txt").code == 0
    assert names(tmp_path) == ["book.txt", "book.txt.lmzip"]
    text.rename(tmp_path / "first")
    assert call("decompress", "book.txt.lmzip").code == 0
    assert text.read_bytes() == TEXT
    for path in (text, tmp_path / "book.txt.lmzip"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert path.stat().st_mtime_ns == 1_500_000_000_987_654_321


@pytest.mark.parametrize("content", [b"", b"x", NOISE, bytes(70_000)], ids=["empty", "one", "noise", "zeros"])
def test_any_content(call: Call, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f").write_bytes(content)
    assert call("--method", "fallback", "f").code == 0
    assert lmzip.get_frame_info((tmp_path / "f.lmzip").read_bytes()).content_size == len(content)
    assert call("-d", "f.lmzip", "-o", "g").code == 0
    assert (tmp_path / "g").read_bytes() == content


def test_file_that_says_it_is_empty_and_is_not(call: Call) -> None:
    assert os.stat("/proc/self/status").st_size == 0
    outcome = call("--method", "fallback", "-c", "/proc/self/status")
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

    monkeypatch.setattr(files, "PIECE", 1024)
    monkeypatch.setattr(paths.Source, "read", read_and_change)
    if change == "shorter":  # so that what was read ahead does not hide it
        monkeypatch.setattr("builtins.open", lambda *args, **options: _open(*args, **{**options, "buffering": 0}))
    outcome = call("--method", "fallback", "--rm", "book.txt")
    assert outcome.code == 1 and "changed while it was read: it had 3,000 bytes, then" in outcome.err
    assert names(tmp_path) == ["book.txt"]


_open = open


def test_existing_target(call: Call, text: Path, packed: Path) -> None:
    packed.write_bytes(b"something else")
    outcome = call("--method", "fallback", "book.txt")
    assert outcome == (3, b"", "lmzip: book.txt: book.txt.lmzip exists; -f overwrites it\n")
    assert packed.read_bytes() == b"something else"
    assert call("--method", "fallback", "-f", "book.txt").code == 0
    assert lmzip.decompress(packed.read_bytes()) == TEXT
    text.write_bytes(b"old")
    assert call("-d", "book.txt.lmzip").code == 3 and text.read_bytes() == b"old"
    assert call("-df", "book.txt.lmzip").code == 0 and text.read_bytes() == TEXT


def test_remove(call: Call, text: Path, tmp_path: Path) -> None:
    assert call("--method", "fallback", "--rm", "book.txt").code == 0 and names(tmp_path) == ["book.txt.lmzip"]
    assert call("-d", "--rm", "book.txt.lmzip").code == 0 and names(tmp_path) == ["book.txt"]
    assert call("--method", "fallback", "--rm", "-k", "book.txt").code == 0  # the last one counts
    assert names(tmp_path) == ["book.txt", "book.txt.lmzip"]
    assert call("--method", "fallback", "--rm", "book.txt").code == 3 and text.exists()
    (tmp_path / "bad.lmzip").write_bytes(lmzip.compress(TEXT, method="fallback")[:-1])
    assert call("-d", "--rm", "bad.lmzip").code == 1
    assert names(tmp_path) == ["bad.lmzip", "book.txt", "book.txt.lmzip"]


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
    assert call("--method", "fallback", "--rm", "book.txt").code == 0
    # The file, its name and its folder; only then the source. The last unlinking is the temporary name's.
    assert [step for step in steps if step != "unlink"] == ["fsync", "link", "fsync", "fsync"]
    assert steps.index("unlink") > 2 and not text.exists()


def test_remove_of_a_link(call: Call, text: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("book.txt")
    assert call("--method", "fallback", "link").code == 0  # links are followed
    outcome = call("--method", "fallback", "--rm", "link")
    assert outcome.code == 3 and "is a symbolic link" in outcome.err and (tmp_path / "link").is_symlink()
    assert call("--method", "fallback", "--rm", "-f", "link").code == 0
    assert names(tmp_path) == ["book.txt", "link.lmzip"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-c", "-o", "x", "book.txt"], "-o does not go with -c"),
        (["-o", "x", "book.txt", "book.txt"], "-o x names the output of one file; for several name a folder"),
        (["-S", "", "book.txt"], "a suffix is what names end in"),
        (["-S", "a/b", "book.txt"], "a suffix is what names end in"),
        (["-o", "."], "standard input has no name that its output could get in ."),
        (["--level", "10", "book.txt"], "Invalid value for '--level'"),
        (["--rm", "-c", "book.txt"], "--rm needs files"),
        (["--rm", "-o", "-", "book.txt"], "--rm needs files"),
        (["--rm", "-"], "--rm needs files"),
        (["--rm"], "--rm needs files"),
        (["--rm", "--no-verify", "book.txt"], "--rm removes only what was verified"),
        (["-m", "x", "--method", "fallback", "book.txt"], "-m does not go with -6 --method fallback"),
        (["--nonsense", "book.txt"], "No such option"),
        (["decompress", "-9", "book.txt"], "No such option"),
        (["-T", "-1", "book.txt"], "Invalid value"),
        (["-d", "book.txt"], "book.txt: does not end in .lmzip; name the output with -o FILE, or use -c"),
        (["-S", ".z", "-d", "book.txt"], "book.txt: does not end in .z; name the output"),
        (["-f", "-o", "book.txt", "book.txt"], "book.txt is the input itself"),
    ],
)
def test_misuse(call: Call, text: Path, tmp_path: Path, words: list[str], message: str) -> None:
    code, out, err = call(*words)
    assert (code, out) == (2, b"") and message in err and names(tmp_path) == ["book.txt"]


def test_what_is_skipped(call: Call, packed: Path, tmp_path: Path) -> None:
    assert call("--method", "fallback", ".").code == 3
    outcome = call("--method", "fallback", "book.txt.lmzip")
    assert outcome.code == 3 and "already has the suffix .lmzip" in outcome.err
    os.mkfifo(tmp_path / "fifo")
    assert call("--method", "fallback", "fifo").code == 3
    assert names(tmp_path) == ["book.txt.lmzip", "fifo"]
    assert call("--method", "fallback", "-f", "book.txt.lmzip").code == 0
    assert lmzip.decompress((tmp_path / "book.txt.lmzip.lmzip").read_bytes()) == packed.read_bytes()


def test_several_files_with_bad_ones(call: Call, text: Path, packed: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.lmzip").write_bytes(packed.read_bytes()[:-20])
    (tmp_path / "other.lmzip").write_bytes(packed.read_bytes())
    outcome = call("decompress", "book.txt.lmzip", "broken.lmzip", "missing.lmzip", "other.lmzip")
    assert outcome.code == 1
    assert [line.split(":")[1] for line in outcome.err.splitlines()[:3]] == [
        " book.txt.lmzip",
        " broken.lmzip",
        " missing.lmzip",
    ]
    assert (tmp_path / "other").read_bytes() == TEXT and "broken" not in names(tmp_path)
    assert call("-d", "book.txt.lmzip", "other.lmzip").code == 3


def test_output_into_a_folder(call: Call, text: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "other").write_bytes(NOISE)
    assert call("--method", "fallback", "-o", "new/inner/", "book.txt", "sub/other").code == 0
    assert names(tmp_path / "new" / "inner") == ["book.txt.lmzip", "other.lmzip"]
    assert call("-d", "-o", "sub", "new/inner/book.txt.lmzip").code == 0
    assert (tmp_path / "sub" / "book.txt").read_bytes() == TEXT
    assert call("-d", "-o", "sub", "new/inner/other.lmzip").code == 3
    assert names(tmp_path) == ["book.txt", "new", "sub"]


def test_outputs_of_one_name_do_not_replace_each_other(call: Call, text: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "book.txt").write_bytes(NOISE)
    outcome = call("--method", "fallback", "-f", "--rm", "-o", "out/", "book.txt", "sub/book.txt")
    assert outcome.code == 2 and "lmzip: sub/book.txt: out/book.txt.lmzip was made of another file" in outcome.err
    assert lmzip.decompress((tmp_path / "out" / "book.txt.lmzip").read_bytes()) == TEXT
    assert (tmp_path / "sub" / "book.txt").exists() and not text.exists()


def test_suffix(call: Call, text: Path, tmp_path: Path) -> None:
    assert call("--method", "fallback", "-S", ".z", "book.txt").code == 0
    assert names(tmp_path) == ["book.txt", "book.txt.z"]
    assert call("--method", "fallback", "-S", ".z", "book.txt.z").code == 3
    text.unlink()
    assert call("-d", "book.txt.z").code == 2 and call("decompress", "-S", ".z", "book.txt.z").code == 0
    assert text.read_bytes() == TEXT


@pytest.fixture
def levels(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The levels of the compressors that jobs make."""
    made: list[int] = []

    def make(level: int, **options: Any) -> lmzip.LMZCompressor:
        made.append(level)
        return lmzip.LMZCompressor(level, **options)

    monkeypatch.setattr(files, "LMZCompressor", make)
    return made


@pytest.mark.parametrize(
    ("words", "level"),
    [
        ("", 6), ("--fast", 1), ("--best", 9), ("--level 4", 4), ("--level=4 -2", 2), ("-2 --level 4", 4),
        ("--fast --best", 9), ("-9 --fast", 1),
    ],
)  # fmt: skip
def test_levels(call: Call, text: Path, levels: list[int], words: str, level: int) -> None:
    assert call("compress", "--method", "fallback", "-c", *words.split(), "book.txt").code == 0 and levels == [level]


def test_file_that_cannot_be_read_does_not_end_the_others(
    call: Call, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_bytes(TEXT)
    monkeypatch.setattr(os, "access", lambda *_, **__: False)  # whoever runs the tests may be allowed to
    monkeypatch.setattr("builtins.open", lambda name, *args, **options: _open_but_secret(name, *args, **options))
    for command in ([], ["compress"]):
        outcome = call(*command, "--method", "fallback", "-f", "secret", "book.txt")
        assert outcome.code == 1 and outcome.err.startswith("lmzip: secret: Permission denied\nbook.txt: ")
        assert names(tmp_path) == ["book.txt", "book.txt.lmzip", "secret"]
    assert call("list", "secret", "book.txt.lmzip").err == "lmzip: secret: Permission denied\n"


def _open_but_secret(name: object, *args: object, **options: object) -> object:
    if name == "secret":
        raise PermissionError(errno.EACCES, "Permission denied", name)
    return _open(name, *args, **options)  # type: ignore[call-overload]


@pytest.mark.parametrize("name", ["/somewhere/cache", None])
def test_trouble_of_other_files_is_not_the_inputs(
    call: Call, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    def compress(*_: object) -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device", name)

    monkeypatch.setattr(lmzip.LMZCompressor, "compress", compress)
    outcome = call("--method", "fallback", "book.txt")
    where = name or "a file of lmzip's own, such as its compiled kernels"
    assert outcome == (1, b"", f"lmzip: book.txt: {where}: No space left on device\n")


# Options in the environment


@pytest.mark.parametrize(
    ("defaults", "words", "level"),
    [
        ("--best", "", 9), ("-1 -q", "-2", 2), ("--level '4'", "--fast", 1), ("-m nowhere -7", "", 7),
        ("--rm --max-output 7 -8", "", 8), ("-S .z -3", "", 3),
    ],
)  # fmt: skip
def test_defaults(
    call: Call, text: Path, tmp_path: Path, levels: list[int], monkeypatch: pytest.MonkeyPatch, defaults: str,
    words: str, level: int,
) -> None:  # fmt: skip
    monkeypatch.setenv("LMZIP_OPTS", defaults)  # what does not go with the command line is left out
    for command in ([], ["compress"]):
        outcome = call(*command, "--method", "fallback", "-c", *words.split(), "book.txt")
        assert (outcome.code, outcome.err) == (0, "") and lmzip.decompress(outcome.out) == TEXT
    assert levels == [level, level] and names(tmp_path) == ["book.txt"]


def test_defaults_for_files(call: Call, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMZIP_OPTS", "--rm -q -o 'a folder/' -9")
    assert call("--method", "fallback", "book.txt") == (0, b"", "")
    assert names(tmp_path) == ["a folder"]
    assert call("decompress", "-k", "a folder/book.txt.lmzip", "-o", "x") == (0, b"", "")
    assert names(tmp_path) == ["a folder", "x"] and names(tmp_path / "a folder") == ["book.txt.lmzip"]


@pytest.mark.parametrize(
    ("defaults", "message"),
    [
        ("--nonsense", "No such option"), ("-T many", "Invalid value for '-T'"), ("'", "No closing quotation"),
        ("book.txt", "no file, no -d"), ("-d", "no file, no -d"), ("--rm --no-verify", "--rm removes only"),
    ],
)  # fmt: skip
def test_defaults_that_cannot_be(
    call: Call, text: Path, packed: Path, monkeypatch: pytest.MonkeyPatch, defaults: str, message: str
) -> None:
    monkeypatch.setenv("LMZIP_OPTS", defaults)
    for words in (["-c", "book.txt"], ["test", "book.txt.lmzip"]):
        code, out, err = call(*words)
        assert (code, out) == (2, b"") and err.startswith("lmzip: LMZIP_OPTS: ") and message in err
    assert call("list", "book.txt.lmzip").code == 0  # which takes none of them


def test_worst_of_the_codes() -> None:
    assert [terminal.worst(codes) for codes in ([0, 3], [3, 2, 0], [2, 4, 3], [0, 4, 1, 2])] == [3, 2, 4, 1]


def test_streams_of_several_files(call: Call, text: Path, packed: Path) -> None:
    outcome = call("--method", "fallback", "-c", "book.txt", "book.txt")
    assert outcome.code == 0 and outcome.err == "" and lmzip.decompress(outcome.out) == TEXT * 2
    assert call("-dc", "book.txt.lmzip", "book.txt.lmzip").out == TEXT * 2


def test_control_characters_do_not_reach_the_terminal(call: Call, tmp_path: Path) -> None:
    (tmp_path / "a\x1b[31m\n\udce4").write_bytes(TEXT)
    outcome = call("--method", "fallback", "a\x1b[31m\n\udce4")
    assert outcome.code == 0 and outcome.err.startswith("a?[31m??: ")


# Data that is not right


def _flipped(data: bytes) -> bytes:
    """A frame of two blocks with a damaged one."""
    compressor = lmzip.LMZCompressor(method="fallback")
    data = compressor.compress(data, compressor.FLUSH_BLOCK) + compressor.compress(data) + compressor.flush()
    return data[:100] + bytes([data[100] ^ 1]) + data[101:]


@pytest.mark.parametrize(
    ("damage", "code", "message"),
    [
        (lambda data: data[:-1], 1, "too early"),
        (lambda data: data[:100], 1, "too early"),
        (lambda data: data[:5], 1, "too early"),
        (lambda data: b"", 1, "too early"),
        (_flipped, 1, "damaged"),
        (lambda data: TEXT, 1, "not an lmzip file"),
        (lambda data: data[:3] + b"\x09" + data[4:], 1, "layout 9"),
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
        outcome = call(*words, "book.txt.lmzip")
        assert outcome.code == code and outcome.out == b""
        assert outcome.err.startswith("lmzip: book.txt.lmzip: ") and message in outcome.err
        assert outcome.err.count("\n") == 1
    assert names(tmp_path) == ["book.txt.lmzip"]


def test_output_is_bounded(call: Call, packed: Path, tmp_path: Path) -> None:
    packed.write_bytes(packed.read_bytes() * 2)
    assert call("-d", "--max-output", "5999", "book.txt.lmzip").code == 1 and names(tmp_path) == ["book.txt.lmzip"]
    assert call("-d", "--max-output", "6000", "book.txt.lmzip").code == 0
    assert (tmp_path / "book.txt").read_bytes() == TEXT * 2


def test_frames_longer_than_a_piece(call: Call, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PIECE", 256)
    packed.write_bytes(packed.read_bytes() * 3 + lmzip.compress(b"", method="fallback"))
    assert call("-d", "book.txt.lmzip").code == 0
    assert (tmp_path / "book.txt").read_bytes() == TEXT * 3
