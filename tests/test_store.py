"""The user's store of models: where it is, what models in it are called, and what happens to them."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from command import LMZIP, Call, names

import lmzip
from lmzip.cli import model_facts
from lmzip.cli.terminal import size_text
from lmzip.errors import ModelError
from lmzip.models import identity, registry, storing, user_store
from lmzip.models.store import fingerprint
from lmzip.models.user_store import RECORD, Record, Stored

TEXT = b"abaacaaadaa" * 20
HUB = "owner/name@0123456789ab"
Make = Callable[..., Stored]


@pytest.fixture
def make(tiny_model: Path, own_store: Path) -> Make:
    """Return a function that adds the tiny model to an empty store under an id, with a sha256 of its own."""

    def add(model_id: str, alias: str | None = None, *, source: str = "somewhere", spaces: int = 0) -> Stored:
        with storing.adding() as folder:
            model = Path(shutil.copytree(tiny_model, folder / "model"))
            config = json.loads((model / "config.json").read_text()) | {"id": model_id}
            (model / "config.json").write_text(json.dumps(config) + " " * spaces)
            record = Record(model_id, fingerprint(model).hex(), source, f"lmzip models import {source}", alias)
            return storing.add(model, record)[0]

    return add


def packed_with(entry: Stored) -> bytes:
    return lmzip.compress(TEXT, model=lmzip.load_model(entry.sha256), method="ensemble")


def again(call: Callable[[], object]) -> object:
    """Call something as another process would, which has loaded nothing yet."""
    before = dict(registry._loaded)
    registry._loaded.clear()
    try:
        return call()
    finally:
        registry._loaded.update(before)


# Where it is.


@pytest.mark.parametrize(
    ("variables", "platform", "place"),
    [
        ({"LMZIP_MODELS": "/store", "XDG_DATA_HOME": "/data"}, "linux", "/store"),
        ({"LMZIP_MODELS": "~/store"}, "linux", "/home/me/store"),
        ({"XDG_DATA_HOME": "/data"}, "linux", "/data/lmzip/models"),
        ({"XDG_DATA_HOME": "relative", "LMZIP_MODELS": ""}, "linux", "/home/me/.local/share/lmzip/models"),
        ({}, "darwin", "/home/me/Library/Application Support/lmzip/models"),
        ({"LOCALAPPDATA": "/local"}, "win32", "/local/lmzip/models"),
    ],
)
def test_where_the_store_is(
    variables: dict[str, str], platform: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LMZIP_MODELS", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert user_store.place() == Path(place)


def test_a_relative_place_is_one_of_the_current_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LMZIP_MODELS", "models")
    assert user_store.place() == tmp_path / "models"


def test_without_a_home(monkeypatch: pytest.MonkeyPatch, call: Call, tmp_path: Path) -> None:
    monkeypatch.delenv("LMZIP_MODELS")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as where nobody knows of a home
    assert user_store.place() is None and user_store.entries() == []
    assert call("models", "list").code == 0
    outcome = call("models", "remove", "x")
    assert outcome.code == 4 and "no home folder for the store of models; name a folder for it in LMZIP" in outcome.err
    with pytest.raises(ModelError, match="no home folder"), storing.adding():
        pass
    assert names(tmp_path) == []


def test_the_tests_do_not_touch_the_home() -> None:
    root = user_store.place()
    assert root is not None and Path.home() not in root.parents


# What models are called.


def test_names(make: Make, own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    entry = make(HUB, "short")
    for name in (HUB, "short", "owner/name", "name", "name@0123456789ab", entry.sha256, entry.sha256[:8], entry.folder):
        model = lmzip.load_model(name)
        assert (model.id, model.sha256.hex()) == (HUB, entry.sha256)
        assert registry.locate(name) == (entry.folder, entry)
    assert names(own_store) == [f"owner--name@0123456789ab-{entry.sha256[:12]}"]
    for name in ("nam", "owner", entry.sha256[:7], "owner/name@", ""):
        with pytest.raises(ModelError, match="no model there"):
            lmzip.load_model(name)
    assert lmzip.load_model(identity.SHIPPED[identity.SMALL].sha256[:8]).id == identity.SMALL


def test_an_error_about_a_name_says_what_there_is(make: Make) -> None:
    make(HUB)
    with pytest.raises(ModelError, match=r"Give a folder, or one of: text-11, text-12, pixels-1, sound-1, name$"):
        lmzip.load_model("nome")
    with pytest.raises(ModelError, match="`lmzip models import owner/other` gets it"):
        lmzip.load_model("owner/other")


def test_several_models_of_a_name(make: Make) -> None:
    one, two = make(HUB), make(HUB, spaces=1)
    for name in (HUB, "name"):
        with pytest.raises(ModelError, match="2 models of the store have this name") as caught:
            lmzip.load_model(name)
        for entry in (one, two):
            said = f"{HUB} (sha256 {entry.sha256[:12]}, from somewhere, folder {entry.folder.name})"
            assert said in str(caught.value)
        assert "Name one by digits of its sha256, such as " in str(caught.value)
    assert lmzip.load_model(two.sha256[:12]).sha256.hex() == two.sha256
    assert user_store.shortest_name(one) == one.sha256[:12]
    make("other/name")
    with pytest.raises(ModelError, match="3 models"):
        lmzip.load_model("name")
    assert lmzip.load_model("other/name").id == "other/name"


def test_the_hash_in_an_id_may_be_left_out(make: Make) -> None:
    entry = make("qwen2-0123456789ab")
    assert lmzip.load_model("qwen2").id == entry.id and user_store.shortest_name(entry) == "qwen2"


def test_copies_of_a_model_are_one_model(make: Make, own_store: Path) -> None:
    entry = make(HUB)
    shutil.copytree(entry.folder, own_store / "a copy")
    for name in (HUB, "name", entry.sha256[:8]):
        assert lmzip.load_model(name).sha256.hex() == entry.sha256
    assert user_store.find("a copy") != user_store.find(entry.folder.name)


def test_a_whole_id_comes_before_parts_of_others(make: Make) -> None:
    make("owner/name")
    assert lmzip.load_model("name").id == "owner/name"
    make("name")
    assert lmzip.load_model("name").id == "name"
    make("third", "owner/name".partition("/")[0])
    assert lmzip.load_model("owner").id == "third"


def test_a_folder_and_a_model_of_one_name(
    make: Make, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    entry = make(HUB)
    (tmp_path / "name").mkdir()  # no model's
    assert lmzip.load_model("name").id == HUB
    assert user_store.shortest_name(entry) == "owner/name"
    shutil.copytree(tiny_model, tmp_path / "name", dirs_exist_ok=True)
    with pytest.raises(
        ModelError, match=r"both a folder here and .* Name the folder \./name, or the model by"
    ) as caught:
        lmzip.load_model("name")
    assert entry.sha256[:12] in str(caught.value)
    assert lmzip.load_model("./name").id == "tiny" and lmzip.load_model(Path("name")).id == "tiny"
    assert lmzip.load_model(str(tmp_path / "name")).id == "tiny"


def test_folders_have_readable_names_that_every_system_takes(make: Make, own_store: Path) -> None:
    ids = ["../up", "a\x1b[2Jb", "org/name@main", ".hidden", "x" * 300, "über", "/"]
    letters = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@+-")
    for model_id in ids:
        assert lmzip.load_model(make(model_id).sha256).id == model_id
    assert {entry.id for entry in user_store.entries()} == set(ids)
    for name in names(own_store):
        assert len(name) < 100 and not name.startswith(".") and set(name) <= letters


@pytest.mark.parametrize(
    ("model_id", "alias", "message"),
    [
        ("text-12", None, "text-12 is the id of a model that ships; choose another with --id"),
        ("a\nb", None, "printable"),
        ("x" * 201, None, "1 to 200"),
        (None, "text-11", "text-11 is the id of a model that ships; choose another alias"),
        (None, "a/b", "an alias has letters, digits"),
        (None, ".a", "an alias has letters, digits"),
        (None, "", "an alias has letters, digits"),
        (None, "deadbeef", "would name a sha256"),
        (None, "taken", r"taken is the name of another model in the store, owner/name.* `lmzip models remove owner--n"),
    ],
)
def test_names_that_a_new_model_must_not_have(
    model_id: str | None, alias: str | None, message: str, make: Make
) -> None:
    make(HUB, "taken")
    with pytest.raises(ModelError, match=message):
        storing.check_names(model_id, alias, "elsewhere")
    storing.check_names("mine", "free", "elsewhere")
    storing.check_names(None, "taken", "somewhere")


def test_an_alias_moves_to_the_newer_import_of_a_source(make: Make) -> None:
    make(HUB, "short")
    newer = make(HUB, "short", spaces=1)
    assert lmzip.load_model("short").sha256.hex() == newer.sha256
    assert [entry.alias for entry in user_store.entries()].count("short") == 1


# Files find their model.


def test_files_find_their_model(make: Make, tmp_path: Path, call: Call) -> None:
    packed = packed_with(make(HUB))
    assert lmzip.decompress(packed) == again(lambda: lmzip.decompress(packed)) == TEXT
    decompressor = lmzip.LMZDecompressor()
    assert decompressor.decompress(packed) == TEXT
    path = tmp_path / "f.lmzip"
    path.write_bytes(packed)
    with lmzip.open(path) as file:
        file.seek(3)
        assert file.read() == TEXT[3:]
    assert call("decompress", "-c", "f.lmzip").out == TEXT
    assert call("test", "f.lmzip").code == 0
    assert call("decompress", "--recover", "-c", "f.lmzip").out == TEXT


def test_a_frame_of_records_finds_its_model(make: Make, tmp_path: Path, call: Call) -> None:
    compressor = lmzip.LMZCompressor(model=lmzip.load_model(make(HUB).sha256), method="ensemble")
    packed = compressor.compress(TEXT, lmzip.FLUSH_BLOCK) + compressor.compress(TEXT) + compressor.flush()
    (tmp_path / "f.lmzip").write_bytes(packed)
    with lmzip.open(tmp_path / "f.lmzip") as file:
        file.seek(len(TEXT) + 3)
        assert file.read() == TEXT[3:]
    assert call("decompress", "--recover", "-c", "f.lmzip").out == TEXT * 2


def test_the_command_compresses_by_name(make: Make, tmp_path: Path, call: Call) -> None:
    make(HUB, "short")
    (tmp_path / "f").write_bytes(TEXT)
    for name in ("short", "name", HUB):
        assert call("compress", "-f", "--method", "ensemble", "-m", name, "f").code == 0
        assert call("decompress", "-c", "f.lmzip").out == TEXT
    outcome = call("list", "--json", "f.lmzip")
    (model,) = json.loads(outcome.out)["frames"][0]["models"]
    assert model["id"] == HUB and Path(model["folder"]).parent == user_store.place()
    assert HUB in call("list", "f.lmzip").out.decode() and "not here" not in call("list", "f.lmzip").out.decode()
    assert model["folder"] in call("list", "-v", "f.lmzip").out.decode()


def test_a_missing_model_says_how_to_get_it(make: Make, tmp_path: Path, call: Call) -> None:
    entry = make(HUB)
    packed = packed_with(entry)
    (tmp_path / "f.lmzip").write_bytes(packed)
    storing.remove(entry)
    registry._loaded.clear()
    outcome = call("decompress", "-c", "f.lmzip")
    assert (outcome.code, outcome.out) == (4, b"")
    assert f"the file needs the model {HUB} (sha256 {entry.sha256[:16]}...), which does not ship" in outcome.err
    assert str(user_store.place()) in outcome.err
    assert f"It comes from https://huggingface.co/owner/name: `lmzip models import {HUB}` gets it" in outcome.err
    with pytest.raises(ModelError) as caught:
        lmzip.decompress(packed)
    assert (caught.value.model_id, caught.value.expected, caught.value.found) == (HUB, entry.sha256, None)
    assert f"{HUB} (not here)" in call("list", "f.lmzip").out.decode()
    assert f"`lmzip models import {HUB}` gets it" in call("list", "-v", "f.lmzip").out.decode()


@pytest.mark.parametrize("model_id", ["qwen2-0123456789ab", "a/b; rm -rf", "--output=x/y", "a/b/c"])
def test_no_command_is_made_of_an_id_that_is_no_name_of_the_hub(model_id: str) -> None:
    error = registry.missing_model(identity.ModelIdentity(model_id, bytes(32), identity.PROFILE))
    assert "`lmzip models import SOURCE` makes it of the files or the name that it was imported" in str(error)
    assert "huggingface" not in str(error)


def test_another_model_of_the_id_that_is_missing(make: Make) -> None:
    first = make(HUB)
    packed = packed_with(first)
    storing.remove(first)
    other = make(HUB, spaces=1)
    with pytest.raises(ModelError, match="which has another of this id, with another sha256: owner/name@") as caught:
        again(lambda: lmzip.decompress(packed))
    assert caught.value.found == other.sha256 and other.sha256[:12] in str(caught.value)


def test_a_model_that_is_given_wins(make: Make) -> None:
    entry, other = make(HUB), make("other")
    packed = packed_with(entry)
    with pytest.raises(ModelError, match="but the one at hand is other"):
        lmzip.decompress(packed, model=lmzip.load_model("other"))
    assert other.sha256 != entry.sha256


def test_a_model_that_was_copied_into_the_store(make: Make, tiny_model: Path, own_store: Path, call: Call) -> None:
    own_store.mkdir()
    shutil.copytree(tiny_model, own_store / "a copy")
    packed = lmzip.compress(TEXT, model=lmzip.load_model("tiny"), method="ensemble")
    assert again(lambda: lmzip.decompress(packed)) == TEXT
    sha256 = fingerprint(tiny_model).hex()
    assert lmzip.load_model(sha256[:8]).id == lmzip.load_model("a copy").id == "tiny"
    (model,) = [m for m in json.loads(call("models", "list", "--json").out) if m["id"] == "tiny"]
    assert (model["sha256"], model["source"], model["alias"]) == (sha256, None, None)
    assert "copied into the store" in call("models", "list").out.decode()
    assert call("models", "verify", "tiny").code == 0


# Damage.


def damage(entry: Stored) -> None:
    path = entry.folder / "config.json"
    path.write_text(path.read_text() + " ")


DAMAGES: list[tuple[Callable[[Stored], object], str]] = [
    (damage, "is damaged, or was changed after its import"),
    (lambda entry: os.truncate(entry.folder / "weights.safetensors", 100), "is damaged, or was changed"),
    (lambda entry: (entry.folder / "weights.safetensors").unlink(), r"weights\.safetensors is missing"),
    (lambda entry: (entry.folder / "config.json").write_text("{"), "is damaged, or was changed"),
]


@pytest.mark.parametrize(("spoil", "message"), DAMAGES)
def test_a_damaged_model_decodes_nothing(
    spoil: Callable[[Stored], object], message: str, make: Make, tmp_path: Path, call: Call
) -> None:
    entry = make(HUB, "short")
    packed = packed_with(entry)
    (tmp_path / "f.lmzip").write_bytes(packed)
    (tmp_path / "f").write_bytes(TEXT)
    registry._loaded.clear()
    spoil(entry)
    outcome = call("decompress", "-o", "out", "f.lmzip")
    assert (outcome.code, outcome.out) == (4, b"") and "`lmzip models verify`" in outcome.err
    for name in (HUB, "short", entry.sha256[:8]):
        with pytest.raises(ModelError, match=message):
            lmzip.load_model(name)
    assert call("compress", "-m", "short", "-o", "out", "f").code == 4
    assert names(tmp_path) == ["f", "f.lmzip"]
    outcome = call("models", "verify", "short")
    assert outcome.code == 1 and "damaged" in outcome.err
    assert call("models", "verify").code == 1
    assert call("models", "info", "short").code == 4
    call("models", "list")


def test_a_damaged_model_is_repaired_by_importing_it_again(make: Make, own_store: Path, call: Call) -> None:
    entry = make(HUB, "short")
    for spoil, _ in DAMAGES:
        spoil(entry)
        assert call("models", "verify", "short").code == 1
        assert make(HUB).folder == entry.folder
        assert call("models", "verify", "short").code == 0
        assert names(own_store) == [entry.folder.name]


def test_a_record_that_is_damaged_is_one_that_was_not_written(make: Make, call: Call) -> None:
    entry = make(HUB)
    values = json.loads((entry.folder / RECORD).read_text())
    broken = ["", "{", "[]", "{}", "null", json.dumps({**values, "sha256": 3}), json.dumps({**values, "sha256": "xy"}),
              json.dumps({**values, "alias": 3}), json.dumps({**values, "source": None})]  # fmt: skip
    for text in broken:
        (entry.folder / RECORD).write_text(text)
        (found,) = user_store.entries()
        assert (found.id, found.sha256, found.record, found.trouble) == (HUB, entry.sha256, None, "")
    (entry.folder / RECORD).write_text(json.dumps({**values, "a key of a newer version": 1}))
    assert user_store.entries() == [entry]
    assert call("models", "list").code == 0


def test_foreign_and_half_removed_things_are_passed_over(make: Make, own_store: Path, call: Call) -> None:
    entry = make(HUB)
    (own_store / "notes.txt").write_text("mine")
    (own_store / "folder").mkdir()
    (own_store / "folder" / "file").write_text("mine")
    (own_store / ".git").mkdir()
    (own_store / "nowhere").symlink_to(own_store / "nothing")
    half = own_store / "half"
    shutil.copytree(entry.folder, half)
    (half / RECORD).unlink()
    (half / "config.json").unlink()
    outcome = call("models", "list", "--json")
    assert [model["id"] for model in json.loads(outcome.out)][-1] == HUB and outcome.code == 4
    assert "half: the model half in the store is damaged: config.json is missing. " in outcome.err
    assert "`lmzip models remove half` removes it" in outcome.err
    packed = packed_with(entry)
    assert again(lambda: lmzip.decompress(packed)) == TEXT
    assert call("models", "remove", "folder").code == 4 and (own_store / "folder" / "file").exists()
    assert call("models", "remove", "half").code == 0 and not half.exists()
    assert call("models", "list").code == 0


def test_a_store_that_cannot_be_read(make: Make, own_store: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = packed_with(make(HUB))
    file = own_store.parent / "file"
    file.write_text("no folder")
    monkeypatch.setenv("LMZIP_MODELS", str(file))
    registry._loaded.clear()
    with pytest.raises(ModelError, match=rf"needs the model {HUB} .* {file}: the store of models cannot be re"):
        lmzip.decompress(packed)
    assert lmzip.load_model(identity.SMALL).id == identity.SMALL
    outcome = call("models", "list")
    assert outcome.code == 4 and b"text-12" in outcome.out and "LMZIP_MODELS names another" in outcome.err
    with pytest.raises(OSError, match=r"cannot be changed: .* name another folder in LMZIP_MODELS"), storing.adding():
        pass


# Whole or not at all.


def test_what_is_not_added_leaves_nothing(make: Make, own_store: Path) -> None:
    class Interrupted(BaseException):
        pass

    for error in (Interrupted, KeyboardInterrupt, OSError, MemoryError):
        with pytest.raises(error), storing.adding() as folder:
            (folder / "model").mkdir()
            assert user_store.entries() == []
            raise error
        assert names(own_store) == []


def test_a_full_disk(make: Make, own_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("_write_record", "_sync"):
        with monkeypatch.context() as patch:
            patch.setattr(storing, name, full)
            with pytest.raises(OSError, match="cannot be changed: No space left on device; make room") as caught:
                make(HUB)
            assert caught.value.errno == errno.ENOSPC and str(own_store) in str(caught.value)
        assert names(own_store) == []
    with pytest.raises(OSError, match=r"store of models in .* cannot be changed: No space"), storing.adding() as folder:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder / "model" / "weights.safetensors"))
    with pytest.raises(FileNotFoundError), storing.adding():  # of something else
        Path(own_store / "other").read_bytes()


def test_a_store_that_cannot_be_written(
    make: Make, own_store: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = make(HUB)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "rename", refuse)
    outcome = call("models", "remove", HUB)
    assert outcome.code == 1 and f"the store of models in {own_store} cannot be changed: Permission" in outcome.err
    assert entry.folder.exists()
    packed = packed_with(entry)
    assert again(lambda: lmzip.decompress(packed)) == TEXT  # which writes nothing there
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(PermissionError, match="give yourself the right to write there"), storing.adding():
        pass


def test_imports_at_once(make: Make, own_store: Path) -> None:
    made: list[Stored] = []
    threads = [threading.Thread(target=lambda i=i: made.append(make(HUB, spaces=i % 2))) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8 and len(names(own_store)) == 2
    for entry in user_store.entries():
        assert fingerprint(entry.folder).hex() == entry.sha256


def test_the_same_model_again(make: Make) -> None:
    make(HUB, "short", source="first")
    entry = make(HUB, source="second")
    assert entry.record is not None and (entry.alias, entry.record.source) == ("short", "second")
    assert user_store.entries() == [entry]


def test_leftovers_of_killed_processes_are_removed(own_store: Path) -> None:
    script = (
        "import os, signal\nfrom lmzip.models import storing\n"
        "with storing.adding() as folder:\n    (folder / 'model').mkdir(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=False)
    (left,) = own_store.iterdir()
    with storing.adding():
        assert left.exists()  # it is young: another process may just have made it
    with storing.adding() as working:
        for folder in (left, working):
            os.utime(folder, (0, 0))
        storing.remove_leftovers(own_store)
        assert not left.exists() and working.exists()


def test_removing_is_renaming_first(make: Make, own_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = make(HUB)
    monkeypatch.setattr(shutil, "rmtree", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        storing.remove(entry)
    monkeypatch.undo()
    assert not entry.folder.exists() and all(path.name.startswith(".lmzip-") for path in own_store.iterdir())


def test_a_linked_model_is_unlinked(make: Make, tiny_model: Path, own_store: Path, call: Call) -> None:
    own_store.mkdir()
    (own_store / "linked").symlink_to(tiny_model)
    assert lmzip.load_model("linked").id == "tiny"
    assert call("models", "remove", "tiny").code == 0
    assert names(own_store) == [] and (tiny_model / "config.json").exists()


def test_the_record_is_no_part_of_the_sha256(make: Make, tiny_model: Path) -> None:
    entry = make("tiny")
    config = (entry.folder / "config.json").read_bytes()
    (entry.folder / "config.json").write_bytes((tiny_model / "config.json").read_bytes())
    assert fingerprint(entry.folder) == fingerprint(tiny_model)
    (entry.folder / "config.json").write_bytes(config)
    assert set(names(entry.folder)) == {*names(tiny_model), RECORD}


# The commands.


def test_list_and_info(make: Make, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = make(HUB, "short")
    listed = json.loads(call("models", "list", "--json").out)
    (model,) = [model for model in listed if model["id"] == HUB]
    assert model.keys() == listed[0].keys()
    assert (model["alias"], model["kind"], model["sha256"]) == ("short", "bytes", entry.sha256)
    assert (model["source"], model["command"]) == ("somewhere", "lmzip models import somewhere --alias short")
    assert model["imported"].startswith("20") and not model["default"]
    row = call("models", "list").out.decode().splitlines()[-1].split()
    assert row[:3] == [HUB, "short", "bytes"] and row[-2:] == [entry.sha256[:12], "somewhere"]
    text = call("models", "info", "short").out.decode()
    for line in (f"id: {HUB}", "alias: short", f"sha256: {entry.sha256}", "source: somewhere", "symbols: 256",
                 "layers: 1", "context: 8 symbols", f"command: {model['command']}"):  # fmt: skip
        assert line in text.splitlines()
    assert "versions" not in text and "versions: " in call("models", "info").out.decode()
    info = json.loads(call("models", "info", "--json", "short").out)
    assert (info["symbols"], info["layers"], info["context"], info["backend"]) == (256, 1, 8, "cpu")
    assert "source: shipped" in call("models", "info", identity.SMALL).out.decode().splitlines()
    monkeypatch.setattr(model_facts, "LEAST", 1500)
    monkeypatch.setattr(model_facts, "SECONDS", 0)
    assert "speed: encoding " in call("models", "info", "--speed", "short").out.decode()
    speed = json.loads(call("models", "info", "--speed", "--json", "short").out)["speed"]
    assert speed["content_size"] == 1500 and speed["encode_seconds"] > 0 < speed["decode_seconds"]
    assert call("models", "info", "--speed", identity.PIXELS).code == 4


def test_remove(make: Make, own_store: Path, call: Call) -> None:
    entry, other = make(HUB, "short"), make("other")
    size = sum(path.stat().st_size for path in entry.folder.iterdir())
    outcome = call("models", "remove", "short")
    assert outcome.code == 0 and names(own_store) == [other.folder.name]
    said = f"removed, {size_text(size)} freed; `lmzip models import somewhere --alias short` gets it again"
    assert outcome.err == f"{HUB}: {said}\n"
    outcome = call("models", "remove", "short", "text-12", other.folder.name)
    assert outcome.code == 4 and names(own_store) == []
    assert f"short: no model of the store {own_store} has this name; it has {other.folder.name}" in outcome.err
    assert "text-12: this model ships with lmzip and is not removed" in outcome.err
    assert "it is empty" in call("models", "remove", "x").err
    assert call("models", "remove").code == 2


def test_verify(make: Make, call: Call) -> None:
    entry, other = make(HUB), make("other")
    outcome = call("models", "verify")
    lines = outcome.out.decode().splitlines()
    assert outcome.code == 0 and f"{HUB}: sha256 {entry.sha256}, as it was imported" in lines
    assert [line.partition(":")[0] for line in lines][:4] == list(identity.SHIPPED) and "cpu: ok" in lines
    damage(entry)
    outcome = call("models", "verify", HUB, "other")
    assert outcome.code == 1 and "`lmzip models import somewhere` makes this one anew" in outcome.err
    assert f"other: sha256 {other.sha256}" in outcome.out.decode()
    (line,) = call("models", "verify", "--json", "other").out.splitlines()
    assert json.loads(line)["ok"] is True and json.loads(line)["id"] == "other"
    assert call("models", "verify", "nobody").code == 4


def test_a_process_finds_the_store(make: Make, tmp_path: Path) -> None:
    make(HUB, "short")
    (tmp_path / "f").write_bytes(TEXT)
    for words in (["compress", "--method", "ensemble", "-m", "short", "f"], ["decompress", "-f", "f.lmzip"]):
        subprocess.run([*LMZIP, *words], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "f").read_bytes() == TEXT


def test_what_is_recorded() -> None:
    record = Record("id", hashlib.sha256().hexdigest(), "source", "command")
    assert set(dataclasses.asdict(record)) == {"id", "sha256", "source", "command", "alias", "imported"}
    assert record.imported.endswith("+00:00")
