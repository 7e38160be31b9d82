"""`lmzip models`: which models there are, what they are, and whether they compute exactly here."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from lmzip import library
from lmzip.errors import ModelError
from lmzip.terminal import Exit, report_failure, say, size_text, table

LIBRARIES = ("torch", "numba", "numpy", "constriction", "tokenizers")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
model_argument = click.argument("model", default=library.DEFAULT_MODEL)


@click.group("models", context_settings={"help_option_names": ["-h", "--help"]})
def models_command() -> None:
    """List, describe and check models. MODEL is a folder or the id of one that ships."""


def folder_of(source: str) -> Path:
    """Return the folder of a model, whole or not."""
    return library.shipped_folder(source) if source in library.SHIPPED else Path(source)


def describe_folder(source: str) -> dict[str, Any]:
    """Return id, folder, size in bytes and sha256 of a model; raises ModelError where a file is missing.

    id is the source's name for a shipped model, and what config.json says for others.
    """
    from lmzip.models.text import FILES, fingerprint

    folder = folder_of(source)
    try:
        contents = {name: (folder / name).read_bytes() for name in FILES}
        model_id = json.loads(contents["config.json"])["id"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder}: no model that can be read: {error}") from error
    size = sum(map(len, contents.values()))
    return {"id": model_id, "folder": str(folder), "size": size, "sha256": fingerprint(contents).hex()}


def describe_model(source: str, threads: int | None) -> dict[str, Any]:
    """Return all that `lmzip models info --json` prints.

    id, folder, size, sha256, profile, alphabet, network (the keys of config.json), parameters,
    backend, threads, products (name: whether it is exact here), python, machine, versions.
    Keys may be added, none will go.
    """
    from lmzip.models.exact.products import PRODUCTS, is_exact

    model = library.load_model(source, threads=threads, notify=lambda message: say(f"lmzip: {message}"))
    config = model.engine.config
    shapes = [(config.vocab_size + 2, config.hidden_size), *config.matrix_shapes().values()]
    return {
        **describe_folder(source), "profile": model.profile, "alphabet": model.alphabet,
        "network": json.loads(config.to_json()), "parameters": sum(rows * columns for rows, columns in shapes),
        "backend": model.backend, "threads": model.threads,
        "products": {name: is_exact(product) for name, product in PRODUCTS.items()},
        "python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}",
        "versions": {name: metadata.version(name) for name in ("lmzip", *LIBRARIES)},
    }  # fmt: skip


@models_command.command("list")
@json_option
def list_models(as_json: bool) -> int:
    """List the models that ship."""
    found = []
    for model_id in library.SHIPPED:
        try:
            found.append({**describe_folder(model_id), "default": model_id == library.DEFAULT_MODEL})
        except ModelError as error:
            report_failure(error, model_id, False)
    if as_json:
        click.echo(json.dumps(found))
    else:
        rows = [[m["id"], size_text(m["size"]), m["sha256"], "default" if m["default"] else ""] for m in found]
        click.echo(table([["id", "size", "sha256", ""], *rows]))
    return Exit.FINE if len(found) == len(library.SHIPPED) else Exit.MODEL


@models_command.command("info")
@model_argument
@click.option("-T", "--threads", type=click.IntRange(0), default=0, metavar="N", help="Threads; 0 is all [0].")
@json_option
def show_model(model: str, threads: int, as_json: bool) -> int:
    """Describe MODEL and what it runs on: for bug reports."""
    try:
        description = describe_model(model, threads or None)
    except ModelError as error:
        return report_failure(error, model, False)[0]
    if as_json:
        click.echo(json.dumps(description))
        return Exit.FINE
    for key, value in description.items():
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        click.echo(f"{key}: {text}")
    return Exit.FINE


@models_command.command("verify")
@model_argument
@json_option
def verify_model(model: str, as_json: bool) -> int:
    """Read MODEL's files again and run the self-test of every backend."""
    from lmzip.models.exact.backends import BACKENDS, is_trusted

    try:
        description = describe_folder(model)
        library.load_model(model, notify=lambda message: say(f"lmzip: {message}"))
    except ModelError as error:
        return report_failure(error, model, False)[0]
    backends = {name: is_trusted(name) for name in BACKENDS if name != "cuda" or _has_cuda()}
    expected = model if model in library.SHIPPED else description["id"]
    ok = all(backends.values()) and description["id"] == expected
    if as_json:
        click.echo(json.dumps({**description, "backends": backends, "ok": ok}))
    else:
        click.echo(f"{description['id']}: sha256 {description['sha256']}")
        for name, good in backends.items():
            click.echo(f"{name}: {'ok' if good else 'its self-test gives other integers than it must'}")
    return Exit.FINE if ok else Exit.MODEL


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()
