"""The rules for files: sources, sinks, names."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

import pytest

from lmzip.cli import paths
from lmzip.cli.paths import MisuseError, NewFile, Nowhere, Sink, SkippedError, open_sink, open_source


@pytest.fixture
def source_file(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"some data")
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(target: Path, data: bytes, *, source: Path, force: bool = False) -> None:
    with open_source(str(source), any_kind=False) as opened, open_sink(str(target), opened, force) as sink:
        sink.write(data)
        sink.commit()


def test_source_counts_and_knows_its_size(source_file: Path) -> None:
    with open_source(str(source_file), any_kind=False) as source:
        assert source.size == 9
        assert source.read(4) == b"some" and source.done == 4
        assert source.read(100) == b" data" and source.read(100) == b"" and source.done == 9


def test_source_of_another_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the names of sockets are short
    with pytest.raises(SkippedError, match="is a folder; to pack one: tar -I lmzip"):
        open_source(".", any_kind=True)
    os.mkfifo("fifo")
    with pytest.raises(SkippedError, match="not a regular file; a pipe or device is read with -c or -o"):
        open_source("fifo", any_kind=False)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        with pytest.raises(SkippedError, match="not a regular file"):
            open_source("socket", any_kind=True)
    Path("broken").symlink_to("nowhere")
    for name in ("broken", "missing"):
        with pytest.raises(FileNotFoundError):
            open_source(name, any_kind=True)


def test_pipe_and_device_as_source(tmp_path: Path) -> None:
    with open_source("/dev/zero", any_kind=True) as source:
        assert source.size is None and source.read(5) == bytes(5)
    os.mkfifo(tmp_path / "fifo")
    writer = os.open(tmp_path / "fifo", os.O_RDWR)
    os.write(writer, b"abc")
    with open_source(str(tmp_path / "fifo"), any_kind=True) as source:
        os.close(writer)
        assert source.size is None and source.read(5) == b"abc"


def test_new_file_appears_when_committed(tmp_path: Path) -> None:
    target = tmp_path / "new"
    with NewFile(target, False) as sink:
        sink.write(b"first ")
        sink.write(b"second")
        (temporary,) = tmp_path.iterdir()
        assert not target.exists() and stat.S_IMODE(temporary.stat().st_mode) == 0o600
        sink.commit()
        assert target.exists()
    assert names(tmp_path) == ["new"] and target.read_bytes() == b"first second" and sink.written == 12


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_new_file_never_appears_after_an_error(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), NewFile(tmp_path / "new", True) as sink:
        sink.write(b"half")
        raise error
    assert names(tmp_path) == []


def test_leftovers_of_killed_processes_are_removed(tmp_path: Path) -> None:
    long_ago = (1, 1)
    kept = ["other.tmp", ".lmzip-another computer-1.tmp", paths._TEMPORARY + "new.tmp"]
    for name in [*kept, paths._TEMPORARY + "left.tmp"]:
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, None if name.endswith("new.tmp") else long_ago)
    with NewFile(tmp_path / "first", False) as first:
        (alive,) = set(names(tmp_path)) - set(kept)
        os.utime(tmp_path / alive, long_ago)
        paths.remove_leftovers.cache_clear()
        with NewFile(tmp_path / "second", False):
            assert alive in names(tmp_path)
        first.commit()
    assert names(tmp_path) == sorted(["first", *kept])


def test_new_file_without_commit_leaves_nothing(tmp_path: Path) -> None:
    with NewFile(tmp_path / "new", False) as sink:
        sink.write(b"data")
    assert names(tmp_path) == []


def test_mode_and_time_are_copied(tmp_path: Path, source_file: Path) -> None:
    source_file.chmod(0o4751)
    os.utime(source_file, ns=(3, 1_234_567_890_123_456_789))
    with NewFile(tmp_path / "new", False) as sink:
        sink.commit(source_file.stat())
    status = (tmp_path / "new").stat()
    assert stat.S_IMODE(status.st_mode) == 0o751  # what may run as its owner may not become another's
    assert status.st_mtime_ns == 1_234_567_890_123_456_789


def test_mode_without_a_source_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with NewFile(tmp_path / "new", False) as sink:
            sink.commit()
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_existing_target(tmp_path: Path, source_file: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    with pytest.raises(SkippedError, match="target exists; -f overwrites it"):
        write(target, b"new", source=source_file)
    assert target.read_bytes() == b"old"
    write(target, b"new", source=source_file, force=True)
    assert target.read_bytes() == b"new" and names(tmp_path) == ["source", "target"]


def test_target_that_came_meanwhile_stays(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with pytest.raises(SkippedError, match="exists"), NewFile(target, False) as sink:
        target.write_bytes(b"another's")
        sink.commit()
    assert target.read_bytes() == b"another's" and names(tmp_path) == ["target"]


def test_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", link)
    for name in ("a", "b"):
        with NewFile(tmp_path / name, False) as sink:
            sink.write(name.encode())
            sink.commit()
    assert names(tmp_path) == ["a", "b"] and (tmp_path / "b").read_bytes() == b"b"
    with pytest.raises(SkippedError), NewFile(tmp_path / "c", False) as sink:
        (tmp_path / "c").write_bytes(b"another's")
        sink.commit()
    assert (tmp_path / "c").read_bytes() == b"another's"


def test_links_as_targets(tmp_path: Path, source_file: Path) -> None:
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    with pytest.raises(SkippedError, match="exists"):  # although it leads nowhere
        write(link, b"new", source=source_file)
    target.write_bytes(b"old")
    write(link, b"new", source=source_file, force=True)
    assert link.is_symlink() and target.read_bytes() == b"new"


def test_targets_that_cannot_be(tmp_path: Path, source_file: Path) -> None:
    (tmp_path / "link").hardlink_to(source_file)
    for name in ("source", "link"):
        with pytest.raises(MisuseError, match="is the input itself"):
            write(tmp_path / name, b"", source=source_file, force=True)
    with pytest.raises(MisuseError, match="is a folder"):
        write(tmp_path, b"", source=source_file, force=True)
    with pytest.raises(FileNotFoundError) as caught:
        write(tmp_path / "missing" / "new", b"", source=source_file)
    assert caught.value.filename == str(tmp_path / "missing" / "new")  # not the temporary name
    assert source_file.read_bytes() == b"some data"


def test_device_as_target_is_written_to(source_file: Path) -> None:
    before = os.stat("/dev/null")
    write(Path("/dev/null"), b"data", source=source_file)
    write(Path("/dev/null"), b"data", source=source_file, force=True)
    assert os.path.samestat(os.stat("/dev/null"), before) and stat.S_ISCHR(before.st_mode)
    with pytest.raises(OSError, match="No space left") as caught:
        write(Path("/dev/full"), b"data", source=source_file)
    assert caught.value.filename == "/dev/full"


def test_sink_writes_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: whole(descriptor, data[:3]))
    with Sink(os.open(tmp_path / "new", os.O_WRONLY | os.O_CREAT), "new") as sink:
        sink.write(b"0123456789")
        assert not sink.is_terminal
    assert (tmp_path / "new").read_bytes() == b"0123456789" and sink.written == 10


def test_nowhere_counts() -> None:
    with Nowhere() as sink:
        sink.write(b"12345")
        sink.commit()
    assert sink.written == 5 and not sink.is_terminal


def test_names() -> None:
    assert paths.compressed_name("folder/a.txt") == "folder/a.txt.lmzip"
    assert paths.compressed_name("a.txt", "-z") == "a.txt-z" and paths.compressed_name("a.lmzip", ".z") == "a.lmzip.z"
    assert paths.compressed_name("a.lmzip", force=True) == "a.lmzip.lmzip"
    with pytest.raises(SkippedError, match=r"already has the suffix \.lmzip; -f"):
        paths.compressed_name("a.lmzip")
    assert paths.decompressed_name("folder/a.txt.lmzip") == "folder/a.txt"
    assert paths.decompressed_name("a.txt.z", ".z") == paths.decompressed_name("a.txt.lmzip", ".z") == "a.txt"
    for name in ("a.txt", ".lmzip", "folder/.lmzip", "a.LMZ"):
        with pytest.raises(MisuseError, match=r"does not end in \.lmzip; name the output with -o FILE, or use -c"):
            paths.decompressed_name(name)


def test_remove_source(source_file: Path) -> None:
    with open_source(str(source_file), any_kind=False) as source:
        source_file.write_bytes(b"some data, and more")
        with pytest.raises(SkippedError, match="changed while it was read, so --rm kept it"):
            paths.remove_source(source)
    assert source_file.exists()
    with open_source(str(source_file), any_kind=False) as source:
        source.read(100)
        paths.remove_source(source)
    assert not source_file.exists()


def test_links_are_not_removed(tmp_path: Path, source_file: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(source_file)
    with pytest.raises(SkippedError, match="is a symbolic link"):
        paths.refuse_removal(str(link), False)
    paths.refuse_removal(str(link), True)
    paths.refuse_removal(str(source_file), False)
