"""`lmzip models import`: what it says, and what it leaves in the store or not."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from command import LMZIP, Call, names
from language_models import PROSE, make_model

import lmzip
from lmzip.cli import terminal
from lmzip.models import registry, user_store
from lmzip.models.exact.weights import Weights
from lmzip.models.importing import importer
from lmzip.models.importing.find import find_source
from lmzip.models.importing.folder import FolderSource
from lmzip.models.importing.importer import Listener, import_model

TEXT = PROSE[:2000].encode()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("source") / "float", "qwen2", 3)


@pytest.fixture
def source(trained: Path, tmp_path: Path, own_store: Path) -> Path:
    """The folder `float` of a model, beside `text` to calibrate with, and an empty store."""
    (tmp_path / "text").write_bytes(TEXT)
    return Path(shutil.copytree(trained, tmp_path / "float"))


IMPORT = ("models", "import", "float", "--calibration", "text")


def test_a_model_goes_into_the_store(call: Call, source: Path, own_store: Path, tmp_path: Path) -> None:
    outcome = call(*IMPORT, "--alias", "mine")
    assert (outcome.code, outcome.err) == (0, "")
    (entry,) = user_store.entries()
    said, _, use = outcome.out.decode().partition(f" in {entry.folder}; ")
    assert re.fullmatch(r"qwen2-\S+: bits/byte float \d\.\d+, exact \d\.\d+, [+-]\d\.\d\d%; \S+ KiB", said)
    assert use == "to use it: lmzip compress -m mine FILE\n"
    assert entry.record is not None and entry.alias == "mine" and entry.record.source == str(source)
    assert entry.command == f"lmzip models import {source} --calibration {tmp_path / 'text'} --alias mine"
    assert set(names(entry.folder)) == {"README.md", "config.json", "tokenizer.json", "weights.safetensors",
                                        user_store.RECORD}  # fmt: skip
    assert names(tmp_path) == ["float", "text"] and names(own_store) == [entry.folder.name]
    assert entry.folder.stat().st_mode & 0o777 == 0o755
    (tmp_path / "book").write_bytes(TEXT)
    assert call("compress", "--method", "ensemble", "-m", "mine", "book").code == 0
    assert call("decompress", "-c", "book.lmzip").out == TEXT
    assert call("models", "verify", "mine").code == 0


def test_the_same_import_again(call: Call, source: Path, own_store: Path) -> None:
    first = json.loads(call(*IMPORT, "--alias", "mine", "--json").out)
    assert abs(first["loss"]) < 0.01 and first["name"] == "mine" and Path(first["folder"]).parent == own_store
    outcome = call(*IMPORT)
    assert (
        outcome.code == 0 and f"KiB was in {first['folder']}; to use it: lmzip compress -m mine" in outcome.out.decode()
    )
    assert call(*IMPORT, "--context", "32").code == 0
    assert len(user_store.entries()) == 2
    outcome = call("compress", "-m", first["id"], "text")
    assert outcome.code == 4 and "2 models of the store have this name" in outcome.err


def test_an_alias_that_is_taken_is_refused_before_the_work(call: Call, source: Path, tmp_path: Path) -> None:
    assert call(*IMPORT, "--alias", "mine").code == 0
    shutil.copytree(source, tmp_path / "other")
    outcome = call("models", "import", "other", "--alias", "mine")
    assert outcome.code == 4 and "mine is the name of another model in the store" in outcome.err
    assert call("models", "import", "float", "--id", "text-12").code == 4
    assert call("models", "import", "float", "--alias", "x", "-o", "folder").code == 2
    assert len(user_store.entries()) == 1 and "folder" not in names(tmp_path)


def test_trials_are_told_on_demand(call: Call, source: Path) -> None:
    outcome = call(*IMPORT, "-v")
    assert "lmzip: trying 8-bit activations in " in outcome.err
    assert "wide activations in " in outcome.out.decode() and "sha256 " in outcome.out.decode()


class Bar:
    """Stands for tqdm."""

    def __init__(self, **looks: Any) -> None:
        self.n, self.texts, self.lines, self.looks = 0.0, [], [], looks  # type: ignore[var-annotated]
        BARS.append(self)

    def update(self, amount: float) -> None:
        assert amount >= 0
        self.n += amount

    def set_postfix_str(self, text: str, refresh: bool) -> None:
        if text not in self.texts:
            self.texts.append(text)

    def write(self, line: str, file: object) -> None:
        self.lines.append(line)

    def refresh(self) -> None:
        pass

    def close(self) -> None:
        pass


BARS: list[Bar] = []


def test_one_line_on_a_terminal(call: Call, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tqdm.tqdm", Bar)
    monkeypatch.setattr(terminal.sys.stderr, "isatty", lambda: True, raising=False)
    BARS.clear()
    assert call(*IMPORT).code == 0
    (bar,) = BARS
    assert bar.texts == [
        "looking for the source", "reading the source", "rounding the weights",
        "choosing the precision of the products", "measuring the exact network", "measuring the float network",
        "writing the model",
    ]  # fmt: skip
    assert 0.9 < bar.n <= 1 and bar.lines == [] and "{remaining} left" in bar.looks["bar_format"]


def test_the_work_that_is_done_never_shrinks(source: Path, tmp_path: Path) -> None:
    shares = []

    class Notes(Listener):
        def step(self, share: float, what: str) -> None:
            shares.append(share)

    import_model(FolderSource(source), tmp_path / "exact", TEXT, listener=Notes())
    assert shares == sorted(shares) and shares[0] == 0 and 0.9 < shares[-1] < 1 and len(set(shares)) > 6


# What goes wrong.


def test_a_full_disk(
    call: Call, source: Path, own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Weights, "save", full)
        outcome = call(*IMPORT)
        assert (outcome.code, outcome.out) == (1, b"")
        assert (
            f"the store of models in {own_store} cannot be changed: No space left on device; make room" in outcome.err
        )
        assert call(*IMPORT, "-o", "out/model").err == f"lmzip: float: {Path('out')}: No space left on device\n"
    assert names(own_store) == [] and names(tmp_path / "out") == []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 0, 10))  # type: ignore[attr-defined]
    monkeypatch.setattr(importer, "round_weights", None)  # nothing of the work was done
    outcome = call(*IMPORT)
    assert outcome.code == 1 and "MiB of the disk, and 0.0 MiB are free; make room" in outcome.err
    assert names(own_store) == []


def test_a_file_that_may_not_become_as_large(source: Path, own_store: Path, tmp_path: Path) -> None:
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    command = [*LMZIP, *IMPORT]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, preexec_fn=limit, check=False)
    assert done.returncode == 1 and "cannot be changed: File too large" in done.stderr, done.stderr
    assert names(own_store) == []


def test_an_interrupt_leaves_nothing(source: Path, own_store: Path, tmp_path: Path) -> None:
    program = (
        "import os, sys, time\nfrom lmzip.cli.main import main\nfrom lmzip.models.importing import importer\n"
        "def choose(*arguments):\n    open('reached', 'w').close(); time.sleep(600)\n"
        "importer.choose_wide = choose\nmain(sys.argv[1:])\n"
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        process = subprocess.Popen([sys.executable, "-c", program, *IMPORT], cwd=tmp_path, stderr=subprocess.PIPE)
        while not (tmp_path / "reached").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        assert len(names(own_store)) == 1
        process.send_signal(number)
        assert process.wait() == 128 + number and names(own_store) == []
        (tmp_path / "reached").unlink()
        process.communicate()


def test_a_place_that_can_be_no_store(
    call: Call, source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LMZIP_MODELS", str(tmp_path / "text"))
    outcome = call(*IMPORT)
    assert outcome.code == 1 and "the store of models in " in outcome.err and "LMZIP_MODELS" in outcome.err
    monkeypatch.setattr(user_store, "place", lambda: None)
    outcome = call(*IMPORT)
    assert outcome.code == 4 and "there is no home folder for the store of models" in outcome.err
    assert call(*IMPORT, "-o", "model").code == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_is_read_only(call: Call, source: Path, own_store: Path) -> None:
    own_store.mkdir(mode=0o500)
    outcome = call(*IMPORT)
    assert outcome.code == 1 and "cannot be changed: Permission denied" in outcome.err


# Names of the hub.


def test_digits_of_a_commit_are_completed(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit, got = "0123456789ab" + "c" * 28, []
    snapshot = tmp_path / "cache" / "models--owner--name" / "snapshots" / commit

    class Commit:
        def __init__(self, commit_id: str) -> None:
            self.commit_id = commit_id

    def download(name: str, file: str, revision: str | None) -> str:
        got.append(revision)
        snapshot.mkdir(parents=True, exist_ok=True)
        return str(shutil.copyfile(source / file, snapshot / file))

    listed: Callable[[str], list[Commit]] = lambda name: [Commit("f" * 40), Commit(commit)]  # noqa: E731
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(huggingface_hub, "list_repo_commits", listed)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    assert find_source("owner/name@0123456789ab").name == "owner/name@0123456789ab"
    monkeypatch.setattr(huggingface_hub, "list_repo_commits", None)  # the cache has it
    assert find_source("owner/name@0123456").name == "owner/name@0123456789ab"
    assert set(got) == {commit}
    monkeypatch.setattr(huggingface_hub, "list_repo_commits", listed)
    with pytest.raises(ValueError, match="0 commits of owner/name begin with abcdef0"):
        find_source("owner/name@abcdef0")


def test_the_command_of_an_error_gets_the_model(
    call: Call, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "lmzip.models.importing.find.find_source", lambda text: FolderSource(source, "owner/name@0123456789ab")
    )
    assert call("models", "import", "owner/name").code == 0
    assert call("compress", "--method", "ensemble", "-m", "name", "text").code == 0
    outcome = call("models", "remove", "name")
    assert "`lmzip models import owner/name@0123456789ab` gets it again" in outcome.err
    registry._loaded.clear()
    (command,) = re.findall(r"`(lmzip models import [^`]*)`", call("decompress", "-c", "text.lmzip").err)
    assert command == "lmzip models import owner/name@0123456789ab"
    assert call(*command.split()[1:]).code == 0
    assert call("decompress", "-c", "text.lmzip").out == TEXT
    assert lmzip.load_model("owner/name").id == "owner/name@0123456789ab"
