"""`lmzip models`: which models there are, what they are, and whether they compute exactly here."""

from __future__ import annotations

import dataclasses
import importlib.resources
import json
import platform
from pathlib import Path
from typing import Any

import click

import lmzip
from lmzip.cli.terminal import Exit, printable, report_failure, say, size_text, table
from lmzip.coders import IMPLEMENTATION
from lmzip.errors import ModelError
from lmzip.models import identity, registry, store
from lmzip.models.extras import has, version
from lmzip.models.hardware import processors
from lmzip.models.networks.profile import environment_of, is_portable

CALIBRATION = Path(str(importlib.resources.files("lmzip.models"))) / "importing" / "calibration.txt"
LIBRARIES = ("torch", "numba", "numpy", "constriction", "tokenizers")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
model_argument = click.argument("model", default=registry.DEFAULT_MODEL)


@click.group("models", context_settings={"help_option_names": ["-h", "--help"]})
def models_command() -> None:
    """List, describe, check and import models. MODEL is a folder or the id of one that ships."""


def folder_of(source: str) -> Path:
    """Return the folder of a model, whole or not."""
    return registry.shipped_folder(source) if source in identity.SHIPPED else Path(source)


def describe_folder(source: str) -> dict[str, Any]:
    """Return id, kind of data, folder, size in bytes and sha256 of a model; ModelError where it cannot be read."""
    folder = folder_of(source)
    try:
        model_id = json.loads((folder / "config.json").read_text(encoding="utf-8"))["id"]
        kind = store.kind_of((folder / "tokenizer.json").read_text(encoding="utf-8"))
        size, sha256 = store.size(folder), store.fingerprint(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"no model that can be read: {error}") from error
    return {"id": model_id, "kind": kind, "folder": str(folder), "size": size, "sha256": sha256.hex()}


def describe_model(source: str) -> dict[str, Any]:
    """Return what `lmzip models info --json` prints; the model is not loaded, so that this works where it cannot be.

    id, kind (`bytes`, `image`, `audio`), folder, size, sha256, profile, network (as in config.json), parameters
    (weights in matrices), backend (the one that is used, null where none is exact), backends and products (name:
    whether it is exact here), coder (who codes: `constriction`, or `lmzip` where that is not installed), threads,
    python, machine, versions (null where a library is not installed). Keys may be added, none will go.
    """
    from lmzip.models.exact.config import NetworkConfig

    description = describe_folder(source)
    try:
        config = json.loads((Path(description["folder"]) / "config.json").read_bytes())
        network, profile = NetworkConfig.from_dict(config["network"]), config["profile"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"config.json: {error}") from error
    shapes = [*network.table_shapes().values(), *network.matrix_shapes().values()]
    backends = self_tests()
    return {
        **description, "profile": profile, "network": config["network"],
        "parameters": sum(rows * columns for rows, columns in shapes),
        "backend": next((name for name in ("cpu", "torch") if backends.get(name)), None), "backends": backends,
        "products": _products(),
        "coder": IMPLEMENTATION, "threads": processors(),
        "python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}",
        "versions": {"lmzip": lmzip.__version__, **{name: version(name) for name in LIBRARIES}},
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


@models_command.command("list")
@json_option
def list_models(as_json: bool) -> int:
    """List the models that ship."""
    found = []
    for model_id in identity.SHIPPED:
        try:
            found.append({**describe_folder(model_id), "default": model_id == registry.DEFAULT_MODEL})
        except ModelError as error:
            report_failure(error, model_id, False)
    if as_json:
        click.echo(json.dumps(found))
    else:
        rows = [
            [m["id"], m["kind"], size_text(m["size"]), m["sha256"], "default" if m["default"] else ""] for m in found
        ]
        click.echo(table([["id", "kind", "size", "sha256", ""], *rows]))
    return Exit.FINE if len(found) == len(identity.SHIPPED) else Exit.MODEL


@models_command.command("info")
@model_argument
@json_option
def show_model(model: str, as_json: bool) -> int:
    """Describe MODEL and what it runs on: for bug reports.

    MODEL may be float:FOLDER: then this says on which machines its files can be decoded.
    """
    describe = describe_float_model if model.startswith(registry.FLOAT) else describe_model
    try:
        description = describe(model)
    except ModelError as error:
        return report_failure(error, model, False)[0]
    if as_json:
        click.echo(json.dumps(description))
        return Exit.FINE
    for key, value in description.items():
        text = ", ".join(f"{k} {_said(v)}" for k, v in value.items()) if isinstance(value, dict) else _said(value)
        click.echo(printable(f"{key}: {text}"))
    return Exit.FINE


@models_command.command("verify")
@model_argument
@json_option
def verify_model(model: str, as_json: bool) -> int:
    """Read MODEL's files again, load it, and run the self-test of every backend."""
    try:
        description, backends = describe_folder(model), self_tests()
        registry.load_model(model)
    except ModelError as error:
        return report_failure(error, model, False)[0]
    ok = all(backends.values())
    if as_json:
        click.echo(json.dumps({**description, "backends": backends, "ok": ok}))
        return Exit.FINE if ok else Exit.MODEL
    click.echo(printable(f"{description['id']}: sha256 {description['sha256']}"))
    for name, exact in backends.items():
        click.echo(f"{name}: {'ok' if exact else 'its self-test gives other integers than everywhere else'}")
    return Exit.FINE if ok else Exit.MODEL


@models_command.command("import")
@click.argument("source", metavar="SOURCE[@REVISION]")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FOLDER", help="The model's folder [NAME-exact]."
)
@click.option(
    "--calibration", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
    help="Text to tune and measure with [prose and documentation].",
)  # fmt: skip
@click.option(
    "--context", type=click.IntRange(2), metavar="N", help="Symbols that a window remembers [1024; RWKV: all]."
)
@click.option("--id", "model_id", metavar="ID", help="Name that files record [the hub's, or the family and a hash].")
@json_option
def import_command(
    source: str, output: Path | None, calibration: Path | None, context: int | None, model_id: str | None, as_json: bool
) -> int:
    """Make an exact model of a language model.

    SOURCE is a GGUF file, a folder with a config.json and safetensors, a name on the Hugging Face hub, or an installed
    package or a wheel that holds a GGUF. Llama, Mistral, Qwen2, Qwen3, Gemma 3, GPT-2 and RWKV-4. Prints how many bits
    per byte the exact model takes for the calibration text, and the float model it was made from.
    """
    from lmzip.models.importing.find import find_source
    from lmzip.models.importing.importer import import_model

    def notify(message: str) -> None:
        say(f"lmzip: {message}")

    try:
        found = find_source(source)
        text = (calibration or CALIBRATION).read_bytes()
        name = Path(source.partition("@")[0]).resolve().name
        out = output or Path(f"{name.removesuffix('.gguf').removesuffix('.whl')}-exact")
        report = import_model(found, out, text, context=context, model_id=model_id, notify=notify)
    except (ValueError, ImportError) as error:
        return report_failure(ModelError(str(error)), source, False)[0]
    except (OSError, MemoryError) as error:
        return report_failure(error, source, False)[0]
    if as_json:
        click.echo(json.dumps({**dataclasses.asdict(report), "folder": str(out), "loss": report.loss}))
        return Exit.FINE
    click.echo(printable(f"{report.id}: {out}, sha256 {report.sha256}"))
    click.echo(
        f"{report.parameters:,} weights, {report.symbols:,} symbols, context {report.reach}, wide activations in "
        f"{report.wide} of {report.products} products"
    )
    parent = "not measured (that takes transformers)" if report.parent is None else f"{report.parent:.4f}"
    loss = "" if report.loss is None else f", {report.loss:+.2%}"
    click.echo(f"bits/byte: float parent {parent}, exact {report.exact:.4f}{loss}")
    return Exit.FINE


def _said(value: object) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else "none" if value is None else str(value)
