"""Which models there are, and getting the one that is needed."""

from __future__ import annotations

import importlib.resources
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import cast

from lmzip.errors import ModelError
from lmzip.models import user_store
from lmzip.models.identity import BASE, SHIPPED, ModelIdentity
from lmzip.models.networks.profile import differences, is_portable
from lmzip.models.protocols import Model, Predictor
from lmzip.models.store import FILES, fingerprint
from lmzip.models.threads import after_fork
from lmzip.models.user_store import DIGITS, HUB_NAME, Stored

DEFAULT_MODEL = BASE
FLOAT = "float:"  # before the folder of a Hugging Face model that transformers is to evaluate

_lock = threading.Lock()
_loaded: dict[tuple[str, int | None, str | None], Model] = {}  # by folder or, from the store, sha256


def _renew_lock() -> None:
    """Have a lock that no thread holds: one that was loading a model when the process was forked is not there."""
    global _lock
    _lock = threading.Lock()


after_fork(_renew_lock)


def shipped_folder(model_id: str) -> Path:
    """Return the folder of a model that ships with the package."""
    return Path(str(importlib.resources.files("lmzip.models"))) / "weights" / SHIPPED[model_id].folder


def announce(kernels: str, notify: Callable[[str], None] | None) -> None:
    """Tell that the kernels of a folder of `models/` will be compiled, if they will."""
    if notify is not None:
        from lmzip.coders.compiled import announce  # numba takes its time to import

        announce(kernels, notify)


def locate(source: str | Path) -> tuple[Path, Stored | None]:
    """Return the folder that a model's name means, whole or not, and what the store knows of it, if it is there.

    source: as for load_model, but for `float:`. A Path is a folder, as is a text that begins with `.`, `/` or `~`.
    Raises ModelError where the name means several models.
    """
    name = str(source)
    if name in SHIPPED:
        return shipped_folder(name), None
    folder = Path(os.path.expanduser(name))
    if isinstance(source, Path) or name.startswith((".", "~")) or folder.is_absolute() or not name:
        return folder, user_store.at(folder)
    is_model = all((folder / file).is_file() for file in FILES)
    stored = None
    try:
        stored = user_store.find(name)
    except ModelError:
        if not is_model:
            raise
    if stored is not None and is_model and not folder.samefile(stored.folder):
        raise ModelError(
            f"{name}: both a folder here and a model of the store have this name. Name the folder ./{name}, or the "
            f"model by digits of its sha256: {stored.sha256[: user_store.SHOWN]} ({user_store.described([stored])})"
        )
    if stored is None and not is_model and DIGITS.fullmatch(name):
        for model_id, shipped in SHIPPED.items():
            if shipped.sha256.startswith(name):
                return shipped_folder(model_id), None
    return (folder, None) if stored is None else (stored.folder, stored)


def load_model(
    source: str | Path | None = None,
    *,
    kind: str | None = None,
    threads: int | None = None,
    backend: str | None = None,
    notify: Callable[[str], None] | None = None,
) -> Model:
    """Load a model, or return it if it was loaded before with the same arguments.

    source: the id of a model that ships, or None for the default level's; of a model in the user's store the id, the
    alias, the id's last part, or 8 and more digits of the sha256; the folder of another; `float:FOLDER` for a Hugging
    Face model as transformers evaluates it, by which files are only for the same machine and versions.
    kind: what its symbols must be of, such as `bytes`; None: anything.
    threads: CPU threads it may use; None: all that the process may. backend: `cpu`, `torch` or
    `cuda`; None: the fastest that proves itself on the CPU. Neither ever changes a byte.
    notify: called with a message before something that takes long, such as compiling.
    Raises ModelError where there is no such model, or several, it is of another kind or cannot be read.
    """
    source = DEFAULT_MODEL if source is None else source
    if str(source).startswith(FLOAT):
        folder = Path(str(source).removeprefix(FLOAT))
        model = _once(str(source), threads, backend, lambda: _load_float(folder, threads, backend))
    else:
        folder, stored = locate(source)
        model = _load_at(folder, stored, threads, backend, notify)
        for model_id, shipped in SHIPPED.items():
            if folder == shipped_folder(model_id) and model.sha256.hex() != shipped.sha256:
                raise ModelError(
                    f"{folder}: the installed model {model_id} is damaged: its sha256 is not the published one; "
                    "install lmzip again", model_id, shipped.sha256, model.sha256.hex(),
                )  # fmt: skip
    if kind not in (None, model.kind):
        raise ModelError(f"{source}: a model of the kind {model.kind}, where one of {kind} is needed")
    return model


def _once(key: str, threads: int | None, backend: str | None, load: Callable[[], Model]) -> Model:
    """Return what was loaded before under a key, or load it."""
    with _lock:
        if (key, threads, backend) not in _loaded:
            _loaded[key, threads, backend] = load()
        return _loaded[key, threads, backend]


def _load_at(
    folder: Path, stored: Stored | None, threads: int | None, backend: str | None, notify: Callable[[str], None] | None
) -> Model:
    """Load the model of a folder. One in the store must have the sha256 that was recorded."""

    def load() -> Model:
        try:
            model = _load(folder, threads, backend, notify)
        except ModelError:
            if stored is not None and stored.record is not None:  # the cause may be that it was damaged
                stored.check(fingerprint(folder).hex())
            raise
        if stored is not None:
            stored.check(model.sha256.hex())
        return model

    return _once(os.path.abspath(folder) if stored is None else stored.sha256, threads, backend, load)


def _load(folder: Path, threads: int | None, backend: str | None, notify: Callable[[str], None] | None) -> Model:
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"{folder}: no model there ({missing[0]} is missing). {_remedy(folder)}")
    try:
        from lmzip.models.networks.load import load_folder  # numba takes its time to import

        return cast(Model, load_folder(folder, threads, backend, notify))
    except (ValueError, OSError, RuntimeError, MemoryError, ImportError) as error:
        raise ModelError(f"{folder}: the model cannot be read: {error}") from error


def _load_float(folder: Path, threads: int | None, backend: str | None) -> Model:
    try:
        from lmzip.models.importing.float_model import load_float_model  # so does torch

        return load_float_model(folder, threads, backend)
    except (ValueError, OSError, RuntimeError, MemoryError, ImportError) as error:
        raise ModelError(f"{folder}: the model cannot be read: {error}") from error


def _remedy(folder: Path) -> str:
    """Return what helps where a folder holds no model of lmzip's, and the store has none of that name."""
    if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
        return f"It looks like one of Hugging Face's: `lmzip models import {folder}` makes it exact"
    if HUB_NAME.fullmatch(str(folder)):
        return f"If it is a name on the Hugging Face hub: `lmzip models import {folder}` gets it"
    names = [*SHIPPED, *(user_store.shortest_name(entry) for entry in user_store.entries() if not entry.trouble)]
    return f"Give a folder, or one of: {', '.join(names)}"


def find_model(definition: ModelIdentity) -> Path | Stored | None:
    """Return where the model lies that a file was written with: in the package, or in the store; None if nowhere.

    Its files are not read. Raises ModelError where the one in the store is not whole, or the store cannot be read.
    """
    expected = definition.sha256.hex()
    shipped = SHIPPED.get(definition.id)
    if shipped is not None and shipped.sha256 == expected:
        return shipped_folder(definition.id)
    if not is_portable(definition.profile):
        return None
    try:
        return user_store.find_sha256(expected)
    except ModelError as error:
        raise ModelError(f"{_needed(definition)}. {error}", definition.id, expected) from error


def model_for(
    definition: ModelIdentity,
    given: Predictor | None,
    *,
    threads: int | None = None,
    backend: str | None = None,
    notify: Callable[[str], None] | None = None,
) -> Predictor:
    """Return the model that a file was written with: the given one, one that ships or one of the user's store.

    threads, backend, notify: for loading one that was not given, see load_model.
    Raises ModelError unless its sha256 is the recorded one, and for a float network the environment too.
    """
    expected = definition.sha256.hex()
    if given is None:
        given = _loaded.get((expected, threads, backend))
    if given is None:
        found = find_model(definition)
        if isinstance(found, Stored):
            given = _load_at(found.folder, found, threads, backend, notify)
        elif definition.id in SHIPPED:
            given = load_model(definition.id, threads=threads, backend=backend, notify=notify)
        else:
            raise missing_model(definition)
    if given.sha256 != definition.sha256:
        sha256 = given.sha256.hex()
        raise ModelError(
            f"the file needs the model {definition.id} with sha256 {expected[:16]}..., "
            f"but the one at hand is {given.id} with sha256 {sha256[:16]}...; give the right one with -m",
            definition.id, expected, sha256,
        )  # fmt: skip
    if not is_portable(definition.profile) and given.profile != definition.profile:
        raise ModelError(
            f"the file was written by the float network {definition.id}, which gives the same bits only where it was "
            f"written: {differences(definition.profile, given.profile)}", definition.id, expected, expected,
        )  # fmt: skip
    return given


def _needed(definition: ModelIdentity) -> str:
    return f"the file needs the model {definition.id} (sha256 {definition.sha256.hex()[:16]}...)"


def missing_model(definition: ModelIdentity) -> ModelError:
    """Return the error that the model of a file is not here: it says which one that is and how to get it."""
    name, found = definition.id, None
    if not is_portable(definition.profile):
        text = f"{_needed(definition)}, a float network: give its folder with -m float:FOLDER"
        return ModelError(text, name, definition.sha256.hex())
    place = user_store.place()
    text = f"{_needed(definition)}, which does not ship with this version and is not in the store of models"
    text += "" if place is None else f" {place}"
    others = user_store.of_id(name)
    if others:
        found = others[0].sha256
        text += f", which has another of this id, with another sha256: {user_store.described(others)}"
    hub, _, revision = name.partition("@")
    if HUB_NAME.fullmatch(name):
        newest = "" if revision else ", if it was the newest revision"
        text += f". It comes from https://huggingface.co/{hub}: `lmzip models import {name}` gets it{newest}"
    else:
        text += ". `lmzip models import SOURCE` makes it of the files or the name that it was imported from"
    text += ", with the options of that import. Or give its folder with -m (in Python: model=load_model(FOLDER))"
    return ModelError(text, name, definition.sha256.hex(), found)
