"""Changes of the user's store of models: each happens whole or not at all, whatever comes between.

A model is made in a folder of its own inside the store, whose name begins with a dot, and renamed when it is whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from lmzip.errors import ModelError
from lmzip.models import store
from lmzip.models.identity import SHIPPED
from lmzip.models.user_store import (
    DIGITS,
    PLACE,
    RECORD,
    SHORTEST,
    SHOWN,
    Record,
    Stored,
    described,
    entries,
    read_entry,
    required_place,
)

LONGEST_ID = 200  # characters of an id that is chosen
_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_UNFINISHED = f".lmzip-{socket.gethostname()}-"  # of this computer: no other can tell whether its process is alive
_LOCK = "lock"
_REMEDIES = (
    ((errno.ENOSPC, errno.EDQUOT), "make room there"),
    ((errno.EACCES, errno.EPERM, errno.EROFS), "give yourself the right to write there"),
)
_GRACE = 60  # seconds: a folder that was just made may not be locked yet


def check_names(model_id: str | None, alias: str | None, source: str) -> None:
    """Raise ModelError where a model that is imported from a source must not have these names."""
    if model_id in SHIPPED:
        raise ModelError(f"{model_id} is the id of a model that ships; choose another with --id")
    if model_id is not None and not (model_id.isprintable() and 0 < len(model_id) <= LONGEST_ID):
        raise ModelError(f"--id: an id has 1 to {LONGEST_ID} printable characters")
    if alias is None:
        return
    if alias in SHIPPED:
        raise ModelError(f"{alias} is the id of a model that ships; choose another alias")
    if not _ALIAS.fullmatch(alias) or DIGITS.fullmatch(alias):
        raise ModelError(
            f"{alias}: an alias has letters, digits, '.', '_' and '-', begins with a letter or a digit, has at most "
            f"64 characters, and is no {SHORTEST} or more hexadecimal digits, which would name a sha256"
        )
    for entry in entries():
        same = entry.record is not None and entry.record.source.partition("@")[0] == source.partition("@")[0]
        if alias in (entry.alias, entry.id) and not same:
            raise ModelError(
                f"{alias} is the name of another model in the store, {described([entry])}; choose another alias, or "
                f"remove that model with `lmzip models remove {entry.folder.name}`"
            )


@contextlib.contextmanager
def adding() -> Iterator[Path]:
    """Yield a new folder inside the store; it is removed in the end, with what is left in it.

    Raises OSError where the store cannot be written, by the caller either, ModelError where there is no place for one.
    """
    root = required_place()
    with told(root):
        root.mkdir(parents=True, exist_ok=True)
        remove_leftovers(root)
        folder = root / f"{_UNFINISHED}{secrets.token_hex(6)}"
        folder.mkdir(mode=0o700)
    try:
        with told(root):
            descriptor = os.open(folder / _LOCK, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            _lock(descriptor)
            yield folder
        finally:
            os.close(descriptor)
    except OSError as error:
        if str(folder) not in str(error.filename):
            raise
        with told(root):
            raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def add(folder: Path, record: Record) -> tuple[Stored, bool]:
    """Move a whole model from a folder of `adding` to where it belongs; return it and whether it is new there.

    The same model that is there already stays, with the new record. A damaged one makes room.
    """
    root = folder.parent.parent
    target = root / f"{_readable(record.id)}-{record.sha256[:SHOWN]}"
    with told(root):
        _write_record(folder, record)
        _sync(folder)
        while True:
            try:
                os.rename(folder, target)
            except OSError:
                if not os.path.lexists(target):
                    raise
            else:
                _sync_names(root)
                _take_alias(target, record.alias)
                return Stored(target, record.id, record), True
            there = read_entry(target)
            if there is not None and record.alias is None:
                record = dataclasses.replace(record, alias=there.alias)
                _write_record(folder, record)
            if there is not None and not there.trouble and store.fingerprint(target).hex() == record.sha256:
                _write_record(target, record)
                _take_alias(target, record.alias)
                return Stored(target, record.id, record), False
            with contextlib.suppress(FileNotFoundError):  # another import may have been faster
                os.rename(target, folder.parent / f"old-{secrets.token_hex(4)}")


def remove(entry: Stored) -> int:
    """Remove a model; return the bytes that its folder had. OSError where it cannot be."""
    root = entry.folder.parent
    with told(root):
        if entry.folder.is_symlink():
            entry.folder.unlink()
            return 0
        size = sum(path.lstat().st_size for path in entry.folder.rglob("*") if not path.is_dir())
        doomed = root / f"{_UNFINISHED}{secrets.token_hex(6)}"
        os.rename(entry.folder, doomed)  # so that it is there or not, whatever comes between
        with contextlib.suppress(FileNotFoundError):  # another process may clean up too
            shutil.rmtree(doomed)
        return size


def remove_leftovers(root: Path) -> None:
    """Remove what processes of this computer that were killed have left in the store."""
    for folder in root.glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime < _GRACE:
                continue
            descriptor = os.open(folder / _LOCK, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                if _lock(descriptor):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)


@contextlib.contextmanager
def told(root: Path) -> Iterator[None]:
    """Say of an OSError that it is about the store, and what helps."""
    try:
        yield
    except OSError as error:
        text = f"the store of models in {root} cannot be changed: {error.strerror or error}; "
        text += next((f"{remedy}, or " for numbers, remedy in _REMEDIES if error.errno in numbers), "")
        raise OSError(error.errno, f"{text}name another folder in {PLACE}") from error


def _take_alias(folder: Path, alias: str | None) -> None:
    """Take an alias from the other models that have it: those that were imported from the same source before."""
    for entry in entries():
        if alias is not None and entry.alias == alias and entry.folder != folder and entry.record is not None:
            _write_record(entry.folder, dataclasses.replace(entry.record, alias=None))


def _readable(model_id: str) -> str:
    """Return what of an id can stand in the name of a folder on every system."""
    name = re.sub(r"[^A-Za-z0-9._@+-]+", "_", model_id.replace("/", "--"))
    return name.lstrip("._-")[:80] or "model"


def _write_record(folder: Path, record: Record) -> None:
    unfinished = folder / f".{RECORD}-{secrets.token_hex(4)}"
    try:
        unfinished.write_text(json.dumps(dataclasses.asdict(record), indent=1) + "\n", encoding="utf-8")
        os.replace(unfinished, folder / RECORD)
    finally:
        unfinished.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Have the files of a folder on the disk before the folder gets its name."""
    for path in folder.iterdir():
        descriptor = os.open(path, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sync_names(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every system has it, nor every file system
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock a file until it is closed, or its process ends: return whether nobody else has."""
    try:
        import fcntl  # which not every system has

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):  # it is locked, or its file system cannot
        return False
    return True
