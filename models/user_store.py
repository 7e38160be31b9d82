"""The user's store of models: a folder that holds a folder for each model. It has no other index.

What the store knows of a model besides its files lies beside them, in RECORD, which is no part of the model's sha256.
A model's folder that was copied into the store needs no RECORD. storing.py changes the store. Needs nothing that is
slow to import.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmzip.errors import ModelError
from lmzip.models import store
from lmzip.models.identity import SHIPPED

PLACE = "LMZIP_MODELS"  # the environment variable that says where the store is
RECORD = "import.json"
SHORTEST = 8  # digits of a sha256 that name a model
SHOWN = 12  # digits that are shown, and that stand in the name of a folder

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(@[\w.-]+)?", re.ASCII)  # OWNER/NAME, OWNER/NAME@REVISION
_HASH = re.compile(r"-[0-9a-f]{12}$")  # at the end of the id of a model that has no other name
DIGITS = re.compile(f"[0-9a-f]{{{SHORTEST},64}}")


@dataclasses.dataclass(frozen=True)
class Record:
    """What is noted of a model at its import.

    source: what it was imported from. command: what imports it again, but for the alias. imported: when, in UTC, as
    ISO 8601 has it.
    """

    id: str
    sha256: str
    source: str
    command: str
    alias: str | None = None
    imported: str = dataclasses.field(
        default_factory=lambda: datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    )


@dataclasses.dataclass(frozen=True)
class Stored:
    """A model in the store, whole or not.

    record: None where none was written, or it cannot be read. trouble: why the files are no model, "" where they may
    be one: they are not compared with the sha256 here.
    """

    folder: Path
    id: str
    record: Record | None
    trouble: str = ""

    @property
    def alias(self) -> str | None:
        """The name that the user gave it."""
        return None if self.record is None else self.record.alias

    @property
    def command(self) -> str | None:
        """What imports the model again; None where that was not recorded."""
        if self.record is None or self.alias is None:
            return None if self.record is None else self.record.command
        return f"{self.record.command} --alias {self.alias}"

    @property
    def sha256(self) -> str:
        """The sha256 that was recorded at the import; without a record that of the files, "" where one is missing."""
        if self.record is not None:
            return self.record.sha256
        if self.trouble:
            return ""
        try:
            return store.fingerprint(self.folder).hex()
        except OSError as error:
            raise ModelError(f"{self.folder}: the model cannot be read: {error.strerror}") from error

    @property
    def parts_of_id(self) -> set[str]:
        """What stands for the id where no other model's has it too: without owner, and without revision or hash."""
        name = _HASH.sub("", self.id.partition("@")[0])
        return {name, self.id.rpartition("/")[2], name.rpartition("/")[2]} - {""}

    def check(self, sha256: str) -> None:
        """Raise ModelError unless the sha256 of the files, which was just computed, is the recorded one."""
        if self.record is not None and self.record.sha256 != sha256:
            raise ModelError(
                f"{self.folder}: the model {self.id} is damaged, or was changed after its import: its sha256 is "
                f"{sha256[:SHOWN]}..., and {self.record.sha256[:SHOWN]}... was recorded. `lmzip models verify` tells "
                f"which models are; `{self.command}` makes this one anew",
                self.id, self.record.sha256, sha256,
            )  # fmt: skip


def place() -> Path | None:
    """Return where the user's store is, which need not be there; None where nobody knows of a home."""
    chosen, data = os.environ.get(PLACE), os.environ.get("XDG_DATA_HOME")
    if chosen:
        return Path(os.path.abspath(os.path.expanduser(chosen)))
    if data and os.path.isabs(data):  # a relative one is to be ignored
        return Path(data, "lmzip", "models")
    home = os.path.expanduser("~")
    if not os.path.isabs(home):
        return None
    if sys.platform == "darwin":
        return Path(home, "Library", "Application Support", "lmzip", "models")
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path(home, "AppData", "Local"), "lmzip", "models")
    return Path(home, ".local", "share", "lmzip", "models")


def required_place() -> Path:
    """Return where the user's store is; ModelError where there can be none."""
    root = place()
    if root is None:
        raise ModelError(f"there is no home folder for the store of models; name a folder for it in {PLACE}")
    return root


# Reading


def entries() -> list[Stored]:
    """Return the models of the store in the order of their folders' names; what else lies there is passed over.

    Raises ModelError where the store cannot be read.
    """
    root = place()
    if root is None:
        return []
    try:
        folders = sorted(path for path in root.iterdir() if not path.name.startswith("."))
        found = [read_entry(folder) for folder in folders]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ModelError(
            f"{root}: the store of models cannot be read: {error.strerror}; {PLACE} names another"
        ) from error
    return [entry for entry in found if entry is not None]


def read_entry(folder: Path) -> Stored | None:
    """Return what a folder of the store holds; None where it is nothing of lmzip's."""
    try:
        if not any((folder / name).is_file() for name in (RECORD, *store.FILES)):
            return None
    except OSError as error:  # a folder of somebody else's
        return Stored(folder, folder.name, None, f"it cannot be read: {error.strerror}")
    record, trouble = None, ""
    with contextlib.suppress(OSError, ValueError, TypeError):
        record = _parse(json.loads((folder / RECORD).read_bytes()))
    missing = [name for name in store.FILES if not (folder / name).is_file()]
    model_id = folder.name if record is None else record.id
    if missing:
        trouble = f"{missing[0]} is missing"
    elif record is None:
        try:
            model_id = str(json.loads((folder / "config.json").read_bytes())["id"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            trouble = f"config.json cannot be read: {error}"
    return Stored(folder, model_id, record, trouble)


def _parse(values: dict[str, Any]) -> Record:
    record = Record(**{field.name: values[field.name] for field in dataclasses.fields(Record) if field.name in values})
    if not all(isinstance(text, str) for text in dataclasses.astuple(dataclasses.replace(record, alias=""))):
        raise ValueError("a field of the record is no text")
    if not isinstance(record.alias, str | None) or not re.fullmatch(r"[0-9a-f]{64}", record.sha256):
        raise ValueError("a field of the record is malformed")
    return record


def at(folder: Path) -> Stored | None:
    """Return the model that a folder of the store holds; None where it is no folder of the store's."""
    if os.path.abspath(folder.parent) != os.path.abspath(place() or os.sep):
        return None
    return read_entry(folder)


def find(name: str, *, must_be_whole: bool = True) -> Stored | None:
    """Return the model that a name means: its id, alias, folder, a part of its id, or digits of its sha256.

    Raises ModelError where it means several, or one that is not whole but must be.
    """
    rules: list[Callable[[Stored], bool]] = [
        lambda entry: name in (entry.id, entry.alias, entry.folder.name),
        lambda entry: name in entry.parts_of_id,
    ]
    if DIGITS.fullmatch(name):
        rules.append(lambda entry: entry.sha256.startswith(name))
    found, known = list[Stored](), entries()
    for rule in rules:
        found = found or [entry for entry in known if rule(entry)]
    if len(found) > 1:  # copies of one model are one
        found = list({entry.sha256 or entry.folder.name: entry for entry in reversed(found)}.values())[::-1]
    if len(found) > 1:
        raise ModelError(
            f"{name}: {len(found)} models of the store have this name: {described(found)}. Name one by digits of its "
            f"sha256, such as {found[0].sha256[:SHOWN] or found[0].folder.name}"
        )
    return whole(found[0]) if found and must_be_whole else next(iter(found), None)


def find_sha256(sha256: str) -> Stored | None:
    """Return the model that has, or should have, a sha256; None where there is none.

    Raises ModelError where it is not whole.
    """
    known = entries()
    for entry in sorted(known, key=lambda entry: entry.record is None):  # those without a record have to be read
        if entry.sha256 == sha256:
            return whole(entry)
    return None


def of_id(model_id: str) -> list[Stored]:
    """Return the whole models that have an id."""
    return [entry for entry in entries() if entry.id == model_id and not entry.trouble]


def whole(entry: Stored) -> Stored:
    """Return the entry; ModelError where its files are no model."""
    if entry.trouble:
        again = "" if entry.command is None else f", and `{entry.command}` makes it anew"
        raise ModelError(
            f"{entry.folder}: the model {entry.id} in the store is damaged: {entry.trouble}. "
            f"`lmzip models remove {entry.folder.name}` removes it{again}. `lmzip models verify` looks at all of them",
            entry.id,
        )  # fmt: skip
    return entry


def described(found: list[Stored]) -> str:
    """Name models so that they can be told apart."""
    return "; ".join(
        f"{entry.id} (sha256 {entry.sha256[:SHOWN] or 'unknown'}, "
        f"{'' if entry.record is None else f'from {entry.record.source}, '}folder {entry.folder.name})"
        for entry in found
    )  # fmt: skip


def shortest_name(entry: Stored) -> str:
    """Return the shortest name that means a model of the store and no other."""
    for name in sorted(filter(None, {entry.alias, entry.id, *entry.parts_of_id}), key=lambda name: (len(name), name)):
        with contextlib.suppress(ModelError):
            other = find(name)
            if name not in SHIPPED and other is not None and other.folder == entry.folder and not os.path.isdir(name):
                return name
    return entry.sha256[:SHOWN]
