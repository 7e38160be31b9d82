"""`lmzip models import`: a language model made exact, into the store or a folder."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmzip.cli.model_facts import CALIBRATION
from lmzip.cli.paths import MisuseError
from lmzip.cli.terminal import Exit, Steps, printable, report_failure, size_text
from lmzip.errors import ModelError
from lmzip.models import store, storing, user_store

if TYPE_CHECKING:  # it takes torch
    from lmzip.models.importing.importer import Report


@dataclasses.dataclass(frozen=True)
class Request:
    """What the options of an import ask for."""

    source: str
    output: Path | None
    calibration: Path | None
    context: int | None
    model_id: str | None
    alias: str | None

    @property
    def stated_source(self) -> str:
        """The source as it can be read from any folder."""
        return str(Path(self.source).resolve()) if Path(self.source).exists() else self.source

    def command(self, source: str) -> str:
        """Return the command that imports the same model again from a source."""
        words = ["lmzip", "models", "import", source]
        for option, value in (
            ("--calibration", None if self.calibration is None else self.calibration.resolve()),
            ("--context", self.context), ("--id", self.model_id),
        ):  # fmt: skip
            words += [] if value is None else [option, str(value)]
        return shlex.join(words)


@click.command("import")
@click.argument("source", metavar="SOURCE[@REVISION]")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FOLDER", help="Make this folder of it [in the store]."
)
@click.option("--alias", metavar="NAME", help="A short name for the model in the store, for -m NAME.")
@click.option(
    "--calibration", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
    help="Text to tune and measure with [prose and documentation].",
)  # fmt: skip
@click.option(
    "--context", type=click.IntRange(2), metavar="N", help="Symbols that a window remembers [1024; RWKV: all]."
)
@click.option("--id", "model_id", metavar="ID", help="Name that files record [the hub's, or the family and a hash].")
@click.option("-v", "--verbose", is_flag=True, help="Say what is tried, and more of the result.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def import_command(verbose: bool, as_json: bool, **options: Any) -> int:
    """Make an exact model of a language model.

    SOURCE is a GGUF file, a folder with a config.json and safetensors, a name on the Hugging Face hub, or an installed
    package or a wheel that holds a GGUF. Llama, Mistral, Qwen2, Qwen3, Gemma 3, GPT-2 and RWKV-4. The model goes into
    the user's store, where `-m NAME` finds it, and decompression without -m. Prints how many bits per byte the exact
    model takes for the calibration text, and the float model it was made from.
    """
    request = Request(**options)
    if request.alias is not None and request.output is not None:
        raise MisuseError("--alias goes with the store, not with -o: a folder is named with -m FOLDER")
    try:
        with Steps(request.source) as progress:
            report, folder, notes = _import(request, progress, verbose)
    except (ValueError, ImportError, ModelError) as error:
        return report_failure(ModelError(str(error)), request.source, False)[0]
    except (OSError, MemoryError) as error:
        return report_failure(error, request.source, False)[0]
    name, was_there = notes
    if as_json:
        values = {**dataclasses.asdict(report), "folder": str(folder), "loss": report.loss}
        click.echo(json.dumps({**values, "size": store.size(folder), "name": name}))
        return Exit.FINE
    parent = "float not measured (that takes transformers)" if report.parent is None else f"float {report.parent:.4f}"
    loss = "" if report.loss is None else f", {report.loss:+.2%}"
    there = "was in" if was_there else "in"
    click.echo(printable(
        f"{report.id}: bits/byte {parent}, exact {report.exact:.4f}{loss}; {size_text(store.size(folder))} {there} "
        f"{folder}; to use it: lmzip compress -m {shlex.quote(name)} FILE"
    ))  # fmt: skip
    if verbose:
        click.echo(
            f"{report.parameters:,} weights, {report.symbols:,} symbols, context {report.reach}, wide activations in "
            f"{report.wide} of {report.products} products, sha256 {report.sha256}"
        )
    return Exit.FINE


def _import(request: Request, progress: Steps, verbose: bool) -> tuple[Report, Path, tuple[str, bool]]:
    """Import; return the report, the folder, the model's name for -m, and whether it was in the store before."""
    from lmzip.models.importing.find import find_source
    from lmzip.models.importing.importer import Listener, import_model

    class Shown(Listener):
        """What a person sees of an import."""

        def say(self, message: str) -> None:
            progress.say(message)

        def step(self, share: float, what: str) -> None:
            progress.step(share, what)

        def detail(self, message: str) -> None:
            if verbose:
                progress.say(message)

    def make(out: Path) -> Report:
        return import_model(found, out, text, context=request.context, model_id=request.model_id, listener=Shown())

    text = (request.calibration or CALIBRATION).read_bytes()
    if request.output is not None:
        progress.step(0, "looking for the source")
        found = find_source(request.source)
        return make(request.output), request.output, (str(request.output), False)
    storing.check_names(request.model_id, request.alias, request.stated_source)
    with storing.adding() as folder:  # before anything is fetched: the store may be one that cannot be written
        progress.step(0, "looking for the source")
        found = find_source(request.source)
        report = make(folder / "model")
        source = found.name or request.stated_source
        record = user_store.Record(report.id, report.sha256, source, request.command(source), request.alias)
        stored, is_new = storing.add(folder / "model", record)
    return report, stored.folder, (user_store.shortest_name(stored), not is_new)
