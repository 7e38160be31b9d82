"""What `lmzip models info` and `verify` tell of a model and of this machine."""

from __future__ import annotations

import dataclasses
import importlib.resources
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmzip
from lmzip.cli.terminal import say
from lmzip.coders import IMPLEMENTATION
from lmzip.errors import ModelError
from lmzip.models import identity, registry, store, user_store
from lmzip.models.extras import has, version
from lmzip.models.hardware import processors
from lmzip.models.networks.profile import environment_of, is_portable
from lmzip.models.user_store import Stored

CALIBRATION = Path(str(importlib.resources.files("lmzip.models"))) / "importing" / "calibration.txt"
LIBRARIES = ("torch", "numba", "numpy", "constriction", "tokenizers")
SECONDS = 3  # that measuring a speed should take at least
WARM_UP, LEAST, MOST = 1 << 10, 1 << 13, 1 << 20  # bytes: before time is taken, and the texts that it is taken of


def describe_folder(source: str) -> dict[str, Any]:
    """Return id, kind of data, folder, size in bytes and sha256 of a model, and what is recorded of it.

    ModelError where it cannot be read, or is not what was recorded.
    """
    folder, stored = registry.locate(source)
    if stored is not None:
        user_store.whole(stored)
    try:
        sha256 = store.fingerprint(folder).hex()
        if stored is not None:
            stored.check(sha256)
        model_id = json.loads((folder / "config.json").read_text(encoding="utf-8"))["id"]
        kind = store.kind_of((folder / "tokenizer.json").read_text(encoding="utf-8"))
        size = store.size(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"no model that can be read: {error}", None if stored is None else stored.id) from error
    description = {"id": model_id, "kind": kind, "folder": str(folder), "size": size, "sha256": sha256}
    return {**description, **recorded(stored), **({"source": "shipped"} if source in identity.SHIPPED else {})}


def describe_stored(stored: Stored) -> dict[str, Any]:
    """Return what `lmzip models list --json` prints of a model in the store; its weights are not read.

    As describe_folder, with the sha256 that was recorded.
    """
    try:
        kind = store.kind_of((stored.folder / "tokenizer.json").read_text(encoding="utf-8"))
        size = store.size(stored.folder)
    except (OSError, ValueError) as error:
        raise ModelError(f"no model that can be read: {error}", stored.id) from error
    return {
        "id": stored.id, "kind": kind, "folder": str(stored.folder), "size": size, "sha256": stored.sha256,
        **recorded(stored),
    }  # fmt: skip


def recorded(stored: Stored | None) -> dict[str, Any]:
    """Return alias, source, command and imported, as they were recorded; null where they were not."""
    record = None if stored is None else stored.record
    command = None if stored is None else stored.command
    return {
        "alias": getattr(record, "alias", None), "source": getattr(record, "source", None), "command": command,
        "imported": getattr(record, "imported", None),
    }  # fmt: skip


def describe_model(source: str) -> dict[str, Any]:
    """Return what `lmzip models info --json` prints; the model is not loaded, so that this works where it cannot be.

    id, kind (`bytes`, `image`, `audio`), folder, size, sha256.
    source (`shipped`, or what it was imported from into the store), alias, command, imported: null where not recorded.
    profile, network (as in config.json), parameters (weights in matrices), symbols (of the alphabet), layers, context
    (symbols that a prediction sees, null: all before it).
    backend (the one that is used, null where none is exact), backends and products (name: whether it is exact here),
    coder (who codes: `constriction`, or `lmzip` where that is not installed), threads, python, machine, versions (null
    where a library is not installed).
    With --speed: speed, an object with the fields of Speed. Keys may be added, none will go.
    """
    description = network_facts(describe_folder(source))
    backends = self_tests()
    return {
        **description,
        "backend": next((name for name in ("cpu", "torch") if backends.get(name)), None), "backends": backends,
        "products": _products(),
        "coder": IMPLEMENTATION, "threads": processors(),
        "python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}",
        "versions": {"lmzip": lmzip.__version__, **{name: version(name) for name in LIBRARIES}},
    }  # fmt: skip


def network_facts(description: dict[str, Any]) -> dict[str, Any]:
    """Return a description with what the model's config.json says of its network."""
    from lmzip.models.exact.config import NetworkConfig

    try:
        config = json.loads((Path(description["folder"]) / "config.json").read_bytes())
        network, profile = NetworkConfig.from_dict(config["network"]), config["profile"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"config.json: {error}") from error
    shapes = [*network.table_shapes().values(), *network.matrix_shapes().values()]
    return {
        **description, "profile": profile, "network": config["network"],
        "parameters": sum(rows * columns for rows, columns in shapes),
        "symbols": network.vocab_size, "layers": network.num_hidden_layers,
        "context": None if network.is_recurrent else network.context or network.sliding_window,
    }  # fmt: skip


def _products() -> dict[str, bool]:
    """Return for every product of torch's whether it is exact here; none without torch."""
    if not has("torch"):
        return {}
    from lmzip.models.exact.torch.products import PRODUCTS, is_exact

    return {name: is_exact(product) for name, product in PRODUCTS.items()}


def describe_float_model(source: str) -> dict[str, Any]:
    """Return what `lmzip models info --json` prints of float:FOLDER; the network is not loaded.

    id, folder, size, sha256, portable (whether other machines decode it: no), environment (what a machine must have
    in common with this one to decode what is written here; with the threads that lmzip takes by default).
    """
    from lmzip.models.importing.float_model import identify, make_profile
    from lmzip.models.importing.folder import FolderSource

    folder = Path(source.removeprefix(registry.FLOAT))
    try:
        found = FolderSource(folder)
        (model_id, sha256), profile = identify(found), make_profile(processors(), "cpu")
    except (ValueError, OSError, ImportError) as error:
        raise ModelError(f"{folder}: the model cannot be read: {error}") from error
    size = sum(path.stat().st_size for path in [folder / "config.json", folder / "tokenizer.json", *found.files])
    return {
        "id": model_id, "folder": str(folder), "size": size, "sha256": sha256.hex(),
        "portable": is_portable(profile), "environment": environment_of(profile),
    }  # fmt: skip


def self_tests() -> dict[str, bool]:
    """Return for every backend that this machine has whether it computes exactly."""
    from lmzip.coders.compiled import announce, tell_trouble
    from lmzip.models.exact.backends import TRIALS, is_trusted

    def notify(message: str) -> None:
        say(f"lmzip: {message}")

    announce("cpu", notify)
    found = {name: all(is_trusted(name, kind) for kind in TRIALS) for name in _backends()}
    tell_trouble(notify)
    return found


def _backends() -> list[str]:
    """Return the backends that can run here."""
    if not has("torch"):
        return ["cpu"]
    import torch

    return ["cpu", "torch", *["cuda"] * torch.cuda.is_available()]


@dataclasses.dataclass(frozen=True)
class Speed:
    """What coding a text with a model took here at the default level: bytes of the text, and seconds."""

    content_size: int
    encode_seconds: float
    decode_seconds: float
    threads: int


def measure_speed(source: str, tell: Callable[[str], None]) -> Speed:
    """Encode and decode as much text as takes some seconds; ModelError where the model is of another kind.

    tell: called with what is being done.
    """
    tell("loading the model")
    model = registry.load_model(source, kind="bytes", notify=lambda message: say(f"lmzip: {message}"))
    text, size = CALIBRATION.read_bytes(), WARM_UP
    while True:
        tell(f"coding {size:,} bytes")
        data = (text * (size // len(text) + 1))[:size]
        started = time.perf_counter()
        packed = lmzip.compress(data, model=model, method="ensemble", verify=False)
        encoded = time.perf_counter()
        if lmzip.decompress(packed, model=model) != data:
            raise ModelError(f"{model.id}: a text did not come back. Please report this")
        decoded = time.perf_counter()
        if size > WARM_UP and (decoded - started > SECONDS or size >= MOST):
            return Speed(size, encoded - started, decoded - encoded, processors())
        size = 2 * size if size > WARM_UP else LEAST
