"""`lmzip models`: which models there are, what they are, and whether they compute exactly here."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import click

from lmzip.cli.model_facts import (
    describe_float_model,
    describe_folder,
    describe_model,
    describe_stored,
    measure_speed,
    network_facts,
    self_tests,
)
from lmzip.cli.model_import import import_command
from lmzip.cli.terminal import Exit, Steps, printable, report_failure, say, size_text, table, worst
from lmzip.errors import ModelError
from lmzip.models import identity, registry, storing, user_store
from lmzip.models.user_store import SHOWN

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
NAMED = ("id", "alias", "kind", "folder", "size", "sha256", "source", "command", "imported", "parameters", "symbols",
         "layers", "context")  # fmt: skip
RECORDED = ("alias", "source", "command", "imported")


@click.group("models", context_settings={"help_option_names": ["-h", "--help"]})
def models_command() -> None:
    """List, describe, check, import and remove models.

    NAME is an id, which may lack owner, revision and hash, an alias, 8 or more digits of a sha256, or a folder. The
    store is ~/.local/share/lmzip/models on Linux, or the folder in LMZIP_MODELS.
    """


models_command.add_command(import_command)


@models_command.command("list")
@json_option
def list_models(as_json: bool) -> int:
    """List the models that ship and those of the store."""
    found, codes = [], [Exit.FINE]
    for model_id in identity.SHIPPED:
        try:
            found.append({**describe_folder(model_id), "default": model_id == registry.DEFAULT_MODEL})
        except ModelError as error:
            codes.append(report_failure(error, model_id, False)[0])
    try:
        for entry in user_store.entries():
            try:
                found.append({**describe_stored(user_store.whole(entry)), "default": False})
            except ModelError as error:
                codes.append(report_failure(error, entry.id, False)[0])
    except ModelError as error:
        codes.append(report_failure(error, "the store", False)[0])
    if as_json:
        click.echo(json.dumps(found))
    else:
        head = ["id", "alias", "kind", "size", "sha256", "source"]
        click.echo(table([head, *(_row(model) for model in found)]))
    return worst(codes)


def _row(model: dict[str, Any]) -> list[str]:
    source = model["source"] or "copied into the store"
    return [
        model["id"], model["alias"] or "-", model["kind"], size_text(model["size"]), model["sha256"][:SHOWN],
        f"{source}, the default" if model["default"] else source,
    ]  # fmt: skip


@models_command.command("info")
@click.argument("name", required=False)
@click.option("--speed", is_flag=True, help="Measure how fast it encodes and decodes here; takes some seconds.")
@json_option
def show_model(name: str | None, speed: bool, as_json: bool) -> int:
    """Describe a model; without NAME the default one and what it runs on: for bug reports.

    NAME may be float:FOLDER: then this says on which machines its files can be decoded.
    """
    source = name or registry.DEFAULT_MODEL
    is_float = source.startswith(registry.FLOAT)
    try:
        if is_float:
            description = describe_float_model(source)
        elif as_json or name is None:
            description = describe_model(source)
        else:
            facts = network_facts(describe_folder(source))
            description = {key: facts[key] for key in NAMED}
        if speed:
            with Steps(source) as steps:
                description["speed"] = dataclasses.asdict(measure_speed(source, steps.wait))
    except ModelError as error:
        return report_failure(error, source, False)[0]
    if as_json:
        click.echo(json.dumps(description))
        return Exit.FINE
    if speed:
        description["speed"] = _speed_text(description["speed"])
    if "context" in description and not is_float:
        reach = description["context"]
        description["context"] = "all before it" if reach is None else f"{reach:,} symbols"
    for key, value in description.items():
        if value is None and key in RECORDED:
            continue
        text = ", ".join(f"{k} {_said(v)}" for k, v in value.items()) if isinstance(value, dict) else _said(value)
        click.echo(printable(f"{key}: {text}"))
    return Exit.FINE


def _speed_text(speed: dict[str, Any]) -> str:
    size = speed["content_size"]
    encoding, decoding = (size_text(size / max(speed[key], 1e-9)) for key in ("encode_seconds", "decode_seconds"))
    measured = f"{size_text(size)} of text, level 6, threads: {speed['threads']}"
    return f"encoding {encoding}/s, decoding {decoding}/s ({measured})"


@models_command.command("verify")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@json_option
def verify_models(names: tuple[str, ...], as_json: bool) -> int:
    """Read the files of models again, compare their sha256, and run the self-test of every backend.

    Without NAME: all models that ship and all of the store. The exit code is 1 where a model is not what was imported.
    """
    codes: list[int] = [Exit.FINE]
    verified = []
    for name in names or _all_names(codes):
        try:
            verified.append(_verify(name))
        except ModelError as error:
            code, _ = report_failure(error, name, False)
            codes.append(code if error.model_id is None else Exit.FAILED)
    backends = self_tests()
    ok = all(backends.values())
    for description in verified:
        if as_json:
            click.echo(json.dumps({**description, "backends": backends, "ok": ok}))
        else:
            same = ", as it was imported" if description["imported"] else ""
            click.echo(printable(f"{description['id']}: sha256 {description['sha256']}{same}"))
    for name, exact in backends.items() if not as_json else ():
        click.echo(f"{name}: {'ok' if exact else 'its self-test gives other integers than everywhere else'}")
    return worst([*codes, Exit.FINE if ok else Exit.MODEL])


def _all_names(codes: list[int]) -> list[str]:
    """Return names of all models; add the exit code of a store that cannot be read to codes."""
    try:
        return [*identity.SHIPPED, *(str(entry.folder) for entry in user_store.entries())]
    except ModelError as error:
        codes.append(report_failure(error, "the store", False)[0])
        return list(identity.SHIPPED)


def _verify(name: str) -> dict[str, Any]:
    """Return the description of a model whose files are whole; ModelError, with the id if it is known, otherwise."""
    description = describe_folder(name)
    if not description["imported"]:
        registry.load_model(name)  # which compares the sha256 of one that ships
    return description


@models_command.command("remove")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def remove_models(names: tuple[str, ...]) -> int:
    """Remove models from the store. Files that were compressed with one need it again to be decompressed."""
    codes: list[int] = [Exit.FINE]
    for name in names:
        try:
            entry = _removable(name)
            size = storing.remove(entry)
        except (ModelError, OSError) as error:
            codes.append(report_failure(error, name, False)[0])
        else:
            again = "" if entry.command is None else f"; `{entry.command}` gets it again"
            say(f"{entry.id}: removed, {size_text(size)} freed{again}")
    return worst(codes)


def _removable(name: str) -> user_store.Stored:
    """Return the one model of the store that a name means, whole or not; ModelError where there is none."""
    if name in identity.SHIPPED:
        raise ModelError("this model ships with lmzip and is not removed")
    user_store.required_place()
    found = user_store.find(name, must_be_whole=False) or user_store.at(Path(name))
    if found is None:
        names = [entry.folder.name for entry in user_store.entries()]
        there = f"it has {', '.join(names)}" if names else "it is empty"
        raise ModelError(f"no model of the store {user_store.place()} has this name; {there}")
    return found


def _said(value: object) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else "none" if value is None else str(value)
