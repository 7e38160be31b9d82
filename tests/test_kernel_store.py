"""Compiled kernels between processes: kept, found, not trusted blindly, and done without."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lmzip.coders import compiled, kernel_store
from lmzip.coders.kernel_store import KernelStore

STATE = "0123456789abcdef"


def store_in(root: Path, state: str = STATE) -> KernelStore:
    store = KernelStore(root, state)
    store.write("exact", "kernel", b"code")
    return store


def test_what_is_kept_is_found(tmp_path: Path) -> None:
    store = KernelStore(tmp_path / "new" / "cache", STATE)
    assert not store.holds("exact") and store.read("exact", "kernel") is None
    store.write("exact", "kernel", b"code")
    again = KernelStore(tmp_path / "new" / "cache", STATE)
    assert again.holds("exact") and not again.holds("image") and again.read("exact", "kernel") == b"code"
    assert not KernelStore(tmp_path / "new" / "cache", STATE[::-1]).holds("exact")
    assert store.trouble is None and again.trouble is None


def test_only_the_user_can_write_there(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        store_in(tmp_path / "cache")
    finally:
        os.umask(before)
    for folder in (tmp_path / "cache", tmp_path / "cache" / STATE, tmp_path / "cache" / STATE / "exact"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o720, 0o702])
def test_a_folder_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    store_in(tmp_path)
    (tmp_path / STATE).chmod(mode)
    store = store_in(tmp_path)
    assert store.read("exact", "kernel") is None and not store.holds("exact")
    assert store.trouble is not None and "others may write there" in store.trouble


def test_the_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store_in(tmp_path)
    owner = (tmp_path / STATE).stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    monkeypatch.setattr(os, "lstat", _owned_by(owner + 2))
    store = KernelStore(tmp_path, STATE)
    assert store.read("exact", "kernel") is None
    assert store.trouble is not None and "it belongs to somebody else" in store.trouble
    monkeypatch.setattr(os, "lstat", _owned_by(0))  # who may do anything anyway, and prepares containers
    assert KernelStore(tmp_path, STATE).read("exact", "kernel") == b"code"


def _owned_by(user: int):  # type: ignore[no-untyped-def]
    def lstat(path: Path) -> os.stat_result:
        values = list(os.stat(path, follow_symlinks=False))
        values[stat.ST_UID] = user
        return os.stat_result(values)

    return lstat


def test_a_link_is_refused(tmp_path: Path) -> None:
    store_in(tmp_path / "other")
    (tmp_path / STATE).symlink_to(tmp_path / "other" / STATE)
    store = KernelStore(tmp_path, STATE)
    assert store.read("exact", "kernel") is None and store.trouble is not None and "not a folder" in store.trouble


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-1], lambda data: data[:-1] + b"x"])
def test_a_damaged_file_is_not_used(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    store = store_in(tmp_path)
    path = tmp_path / STATE / "exact" / "kernel"
    path.write_bytes(damage(path.read_bytes()))
    assert store.read("exact", "kernel") is None
    store.write("exact", "kernel", b"code")
    assert store.read("exact", "kernel") == b"code"


def test_a_full_disk_is_trouble_and_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_in(tmp_path)

    def full(path: Path, data: bytes) -> int:
        with open(path, "wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    store.write("exact", "other", b"code")
    assert store.trouble is not None and "No space left on device" in store.trouble
    monkeypatch.undo()
    assert store.read("exact", "kernel") == b"code" and store.read("exact", "other") is None
    assert [path.name for path in (tmp_path / STATE / "exact").iterdir()] == ["kernel"]


def test_folders_of_old_states_are_removed(tmp_path: Path) -> None:
    states = [f"{number:016x}" for number in range(kernel_store.KEPT + 4)]
    for age, state in enumerate(states):
        store_in(tmp_path, state)
        last = time.time() - age * kernel_store.UNUSED
        os.utime(tmp_path / state, (last, last))
    (tmp_path / "something else").mkdir()
    in_use = KernelStore(tmp_path, states[-1])  # so it is the one that was used last
    store_in(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"something else", STATE, states[-1], *states[: kernel_store.KEPT - 1]}
    shutil.rmtree(tmp_path / states[-1])
    assert in_use.read("exact", "kernel") is None
    in_use.write("exact", "kernel", b"code")
    assert in_use.read("exact", "kernel") == b"code" and in_use.trouble is None


def test_recent_folders_are_not_removed(tmp_path: Path) -> None:
    states = [f"{number:016x}" for number in range(kernel_store.KEPT + 4)]
    for state in states:
        store_in(tmp_path, state)
    assert {path.name for path in tmp_path.iterdir()} == set(states)


def test_compiling_and_trouble_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    (tmp_path / "file").touch()
    for root in (tmp_path / "good", tmp_path / "file" / "cache"):
        store = KernelStore(root, STATE)
        monkeypatch.setattr(compiled, "_store", lambda store=store: store)
        compiled.announce("exact", said.append)
        store.write("exact", "kernel", b"code")
        compiled.announce("exact", said.append)
        compiled.tell_trouble(said.append)
        compiled.announce("exact", None)
    assert said[:3] == [compiled.COMPILING] * 2 + [store.trouble] and said[3:] == [compiled.COMPILING]
    assert store.trouble is not None and "Not a directory" in store.trouble


def test_no_kernel_has_a_closure() -> None:
    number = 1

    def inner() -> int:
        return number

    with pytest.raises(ValueError, match="inner: a kernel with a closure"):
        compiled.compiled()(inner)


def test_without_a_home_nothing_is_written_where_the_process_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = store_in(Path("~/.cache/lmzip"))
    assert store.trouble is not None and "there is no home" in store.trouble and not list(tmp_path.iterdir())


# In processes.

PROGRAM = """
import lmzip
said = []
data = b"Without a home there is no cache. " * 8
packed = lmzip.compress(data, 3, kind="bytes", notify=said.append)
assert lmzip.decompress(packed, notify=said.append) == data
print(*said, sep="\\n")
"""


def said_by(program: str, environment: dict[str, str], **options: object) -> list[str]:
    words = [sys.executable, "-c", program]
    variables = {**os.environ, **environment}
    done = subprocess.run(words, env=variables, capture_output=True, text=True, timeout=500, **options)  # type: ignore[call-overload]
    assert (done.returncode, done.stderr) == (0, "")
    return [line for line in done.stdout.split("\n") if line]


def test_without_a_cache_it_works_and_says_so_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()  # no folder can be made in it, not even by root
    said = said_by(PROGRAM, {"XDG_CACHE_HOME": str(tmp_path / "file"), "NUMBA_CACHE_DIR": ""})
    assert said[0] == compiled.COMPILING and sum("cannot be kept" in line for line in said) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# One kernel, which takes a second to compile; it returns 3.
KERNEL = """
import numpy as np
from lmzip.coders import compiled
from lmzip.formats.png.filters import _predict
said = []
compiled.announce("png", said.append)
assert _predict(1, np.full((1, 2), 3, np.uint8), 0, 1, 1) == 3
compiled.tell_trouble(said.append)
print(*said, sep="\\n")
"""


def test_a_full_disk_fails_nothing_and_a_cache_serves_other_processes(tmp_path: Path) -> None:
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    full = "from pathlib import Path\ndef fail(path, data):\n    raise OSError(28, 'full')\nPath.write_bytes = fail\n"
    said = said_by(full + KERNEL, cache)
    assert said[0] == compiled.COMPILING and len(said) == 2 and "cannot be kept" in said[1] and "(full)" in said[1]
    assert said_by(KERNEL, cache) == [compiled.COMPILING]
    nothing_compiles = "import numba.core.compiler as c\nc.compile_extra = c.Compiler = None\n"
    assert said_by(nothing_compiles + KERNEL, cache) == []
