"""Which models there are, and getting the one that is needed."""

from __future__ import annotations

import importlib.resources
import threading
from collections.abc import Callable
from pathlib import Path
from typing import cast

from lmzip.errors import ModelError
from lmzip.models.identity import BASE, SHIPPED, ModelIdentity
from lmzip.models.networks.profile import differences, is_portable
from lmzip.models.protocols import Model, Predictor
from lmzip.models.store import FILES
from lmzip.models.threads import after_fork

DEFAULT_MODEL = BASE
FLOAT = "float:"  # before the folder of a Hugging Face model that transformers is to evaluate


_lock = threading.Lock()
_loaded: dict[tuple[str, int | None, str | None], Model] = {}


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


def load_model(
    source: str | Path | None = None,
    *,
    kind: str | None = None,
    threads: int | None = None,
    backend: str | None = None,
    notify: Callable[[str], None] | None = None,
) -> Model:
    """Load a model, or return it if it was loaded before with the same arguments.

    source: the id of a model that ships, the folder of another, or None for the default level's; `float:FOLDER` for a
    Hugging Face model as transformers evaluates it, by which files are only for the same machine and versions.
    kind: what its symbols must be of, such as `bytes`; None: anything.
    threads: CPU threads it may use; None: all that the process may. backend: `cpu`, `torch` or
    `cuda`; None: the fastest that proves itself on the CPU. Neither ever changes a byte.
    notify: called with a message before something that takes long, such as compiling.
    Raises ModelError where there is no such model, it is of another kind or cannot be read.
    """
    source = DEFAULT_MODEL if source is None else source
    shipped = SHIPPED.get(str(source))
    folder = shipped_folder(str(source)) if shipped else Path(str(source).removeprefix(FLOAT))
    with _lock:
        key = (str(source), threads, backend)
        if key not in _loaded:
            load = _load_float if str(source).startswith(FLOAT) else _load
            model = load(folder, threads, backend, notify)
            if shipped and model.sha256.hex() != shipped.sha256:
                raise ModelError(
                    f"{folder}: the installed model {source} is damaged: its sha256 is not the published one; "
                    "install lmzip again", str(source), shipped.sha256, model.sha256.hex(),
                )  # fmt: skip
            _loaded[key] = model
        model = _loaded[key]
    if kind not in (None, model.kind):
        raise ModelError(f"{source}: a model of the kind {model.kind}, where one of {kind} is needed")
    return model


def _load(folder: Path, threads: int | None, backend: str | None, notify: Callable[[str], None] | None) -> Model:
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"{folder}: no model there ({missing[0]} is missing). {_remedy(folder)}")
    try:
        from lmzip.models.networks.load import load_folder  # numba takes its time to import

        return cast(Model, load_folder(folder, threads, backend, notify))
    except (ValueError, OSError, RuntimeError, MemoryError, ImportError) as error:
        raise ModelError(f"{folder}: the model cannot be read: {error}") from error


def _load_float(folder: Path, threads: int | None, backend: str | None, notify: Callable[[str], None] | None) -> Model:
    try:
        from lmzip.models.importing.float_model import load_float_model  # so does torch

        return load_float_model(folder, threads, backend)
    except (ValueError, OSError, RuntimeError, MemoryError, ImportError) as error:
        raise ModelError(f"{folder}: the model cannot be read: {error}") from error


def _remedy(folder: Path) -> str:
    """Return what helps where a folder holds no model of lmzip's."""
    if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
        return f"It looks like one of Hugging Face's: make it exact with `lmzip models import {folder} -o FOLDER`"
    if str(folder).count("/") == 1 and not folder.is_absolute():
        return f"If it is a name on the Hugging Face hub: `lmzip models import {folder} -o FOLDER`, then -m FOLDER"
    return f"Give a folder, or one of: {', '.join(SHIPPED)}"


def model_for(
    definition: ModelIdentity,
    given: Predictor | None,
    *,
    threads: int | None = None,
    backend: str | None = None,
    notify: Callable[[str], None] | None = None,
) -> Predictor:
    """Return the model that a file was written with: the given one or one that ships.

    threads, backend, notify: for loading one that ships, see load_model.
    Raises ModelError unless its sha256 is the recorded one, and for a float network the environment too.
    """
    expected = definition.sha256.hex()
    if given is None:
        if definition.id not in SHIPPED:
            name, _, revision = definition.id.partition("@")
            made = f"; `lmzip models import {definition.id} -o FOLDER` makes it" if "/" in name and revision else ""
            raise ModelError(
                f"the file needs the model {definition.id} (sha256 {expected[:16]}...), which does not ship with "
                f"this version; give its folder with -m (in Python: model=load_model(FOLDER)){made}",
                definition.id, expected,
            )  # fmt: skip
        given = load_model(definition.id, threads=threads, backend=backend, notify=notify)
    if given.sha256 != definition.sha256:
        found = given.sha256.hex()
        raise ModelError(
            f"the file needs the model {definition.id} with sha256 {expected[:16]}..., "
            f"but the one at hand is {given.id} with sha256 {found[:16]}...; give the right one with -m",
            definition.id, expected, found,
        )  # fmt: skip
    if not is_portable(definition.profile) and given.profile != definition.profile:
        raise ModelError(
            f"the file was written by the float network {definition.id}, which gives the same bits only where it was "
            f"written: {differences(definition.profile, given.profile)}", definition.id, expected, expected,
        )  # fmt: skip
    return given
