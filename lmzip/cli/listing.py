"""`lmzip list`: what files hold, read from their record headers, and where their models are; nothing is decoded."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from typing import IO, Any

import click

from lmzip import container
from lmzip.cli import paths
from lmzip.cli.terminal import printable, ratio_text, report_failure, size_text, table, worst
from lmzip.coders import CODER_IDS
from lmzip.container import short
from lmzip.errors import CorruptError, LMZError, ModelError
from lmzip.models import registry
from lmzip.models.identity import ModelIdentity
from lmzip.models.networks.profile import is_portable
from lmzip.models.user_store import Stored

_HEAD = 512  # more than a frame header, a record header or the parameters of a model block take


@dataclasses.dataclass(frozen=True)
class ListedBlock:
    """Where a block stands and how it was coded; model, symbols, windows, coder: of model blocks."""

    offset: int
    size: int
    start: int
    content_size: int
    method: str
    model: str | None = None
    symbols: int | None = None
    windows: int | None = None
    coder: str | None = None


@dataclasses.dataclass(frozen=True)
class ListedFrame:
    """Where a frame stands, what its header and its index say, and its blocks.

    level, sha256: None for a frame of one block, which has neither.
    """

    offset: int
    size: int
    content_size: int
    level: int | None
    block_size: int
    sha256: str | None
    models: tuple[ModelIdentity, ...]
    blocks: tuple[ListedBlock, ...]


def read_frames(file: IO[bytes]) -> Iterator[ListedFrame]:
    """Read a seekable file from record header to record header; each frame has at least its index.

    Raises LMZError as errors.py says; payloads of blocks are not looked at.
    """
    offset = start = 0
    end = file.seek(0, os.SEEK_END)
    while True:
        try:
            frame = _read_frame(file, offset, start)
        except LMZError as error:
            if offset == 0:
                raise
            raise CorruptError(f"after the frame that ends at byte {offset:,}: {error}") from error
        yield frame
        offset += frame.size
        start += frame.content_size
        if offset == end:
            return


def _read_short(file: IO[bytes], offset: int, start: int) -> ListedFrame:
    head, head_size = short.parse_head(_read_at(file, offset, container.MAX_DEFINITION_SIZE + _HEAD))
    size = head_size + head.payload_size + head.check_size
    container.take(_read_at(file, offset + size - 1, 1), 0, 1, "frame of one block")
    models = () if head.model is None else (head.model,)
    block = ListedBlock(offset, size, start, head.raw_size, container.DATA_TYPES[head.type])
    if head.type in (*container.LOCKSTEP_TYPES, container.SAMPLES):
        payload = _read_at(file, offset + head_size, _HEAD)
        block = _with_plan(block, head.type, payload, None if head.model is None else head.model.id)
    blocks = (block,) if head.raw_size else ()
    return ListedFrame(offset, size, head.raw_size, None, head.raw_size, None, models, blocks)


def _read_frame(file: IO[bytes], frame_offset: int, frame_start: int) -> ListedFrame:
    if container.parse_layout(_read_at(file, frame_offset, _HEAD)) == container.SHORT:
        return _read_short(file, frame_offset, frame_start)
    header, header_size = container.parse_header(_read_at(file, frame_offset, _HEAD))
    offset, start = frame_offset + header_size, frame_start
    models: list[ModelIdentity] = []
    blocks: list[ListedBlock] = []
    records: list[tuple[int, int]] = []
    while True:
        head = _read_at(file, offset, _HEAD)
        record, payload_start = container.parse_record_header(head, 0, header.block_size)
        size = payload_start + record.payload_size
        if record.type == container.INDEX:
            break
        if record.type == container.MODEL_DEFINITION:
            payload, _ = container.parse_payload(_read_at(file, offset, size), payload_start, record)
            models.append(container.parse_model_definition(payload))
        elif record.is_data:
            method = container.DATA_TYPES[record.type]
            block = ListedBlock(offset, size, start, record.raw_size, method)
            if record.type in (*container.LOCKSTEP_TYPES, container.SAMPLES):
                needs_model = record.type in container.MODEL_TYPES and models
                block = _with_plan(block, record.type, head[payload_start:], models[-1].id if needs_model else None)
            blocks.append(block)
            start += record.raw_size
        records.append((size, record.raw_size))
        offset += size
    payload, _ = container.parse_payload(_read_at(file, offset, size), payload_start, record)
    index = container.parse_index(payload)
    footer_size, footer_end = container.parse_footer(_read_at(file, offset + size, container.FOOTER_SIZE))
    if (index.header_size, index.records, footer_size) != (header_size, tuple(records), size):
        raise CorruptError("index: it does not describe the blocks before it")
    end = offset + size + footer_end
    return ListedFrame(
        frame_offset, end - frame_offset, start - frame_start, header.level, header.block_size, index.sha256.hex(),
        tuple(models), tuple(blocks),
    )  # fmt: skip


def _with_plan(block: ListedBlock, type_: int, payload: bytes, model: str | None) -> ListedBlock:
    if type_ == container.SAMPLES:
        number, windows, _ = container.parse_media_settings(type_, payload)
        coder = {number: name for name, number in CODER_IDS.items()}.get(number, str(number))
        return dataclasses.replace(block, model=model, windows=windows[0] if windows else None, coder=coder)
    plan, _ = container.parse_lockstep_head(type_, payload, block.content_size)
    names = container.DATA_TYPES if type_ == container.RANK else {number: name for name, number in CODER_IDS.items()}
    coder = names.get(plan.coder, str(plan.coder))
    return dataclasses.replace(block, model=model, symbols=plan.symbols, windows=plan.windows, coder=coder)


def _read_at(file: IO[bytes], offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def describe(name: str) -> tuple[int, list[ListedFrame]]:
    """Return the size of a file and its frames; `-` is standard input, where that can seek."""
    with paths.open_source(name, any_kind=False) as source:
        if not source.file.seekable():
            raise paths.MisuseError("is a pipe; to list what it brings, store it in a file first")
        return source.file.seek(0, os.SEEK_END), list(read_frames(source.file))


def as_json(name: str, size: int, frames: list[ListedFrame]) -> dict[str, Any]:
    """Return the object that `lmzip list --json` prints for a file.

    file, compressed_size, content_size, ratio (compressed to content size; null for empty content),
    error (null), exit_code (0), and frames: a list of
        offset, size, content_size, level, block_size, sha256 (of the content), models, blocks; level and sha256 are
        null in a frame of one block, which has neither.
    models: a list of id, sha256, profile, folder (where it lies here; null where it does not, or is damaged).
    blocks: a list of
        offset, size (in the file), start, content_size (in the content of all frames),
        method (`stored`, `zstd`, `lzma`, `model`, `ensemble`, `adaptive`, `rank`, `image`, `audio`, `samples`), and,
        null where a method has none: model (its id), symbols, windows, coder (`range`, `rans`; of `rank`: `zstd`,
        `lzma`).
    Where the file cannot be listed: file, error (a message), exit_code. Keys may be added, none will go.
    """
    content = sum(frame.content_size for frame in frames)
    listed = [dataclasses.asdict(frame) for frame in frames]
    for frame in listed:
        for model in frame["models"]:
            model["folder"] = folder_of(ModelIdentity(**model))
            model["sha256"] = model["sha256"].hex()
    return {
        "file": name, "compressed_size": size, "content_size": content, "ratio": size / content if content else None,
        "frames": listed, "error": None, "exit_code": 0,
    }  # fmt: skip


def folder_of(model: ModelIdentity) -> str | None:
    """Return where a model lies, in the package or in the store; None where it does not, or is not whole."""
    try:
        found = registry.find_model(model)
    except ModelError:
        return None
    return None if found is None else str(found.folder if isinstance(found, Stored) else found)


def _say_where(model: ModelIdentity) -> str:
    """Return a line that says where a model is, or how to get it."""
    try:
        found = registry.find_model(model)
        place = str(registry.missing_model(model) if found is None else folder_of(model))
    except ModelError as error:
        place = str(error)
    return printable(f"    model {model.id}, sha256 {model.sha256.hex()[:16]}...: {place}")


def as_row(name: str, size: int, frames: list[ListedFrame]) -> list[object]:
    """Return the line of the table for a file."""
    content = sum(frame.content_size for frame in frames)
    needing = {container.DATA_TYPES[type_] for type_ in container.MODEL_TYPES}
    models = dict.fromkeys(b.model or "?" for frame in frames for b in frame.blocks if b.method in needing)
    named = {model.id: model for frame in frames for model in frame.models}
    shown = [f"{model}{_remark(named.get(model))}" for model in models]
    levels = dict.fromkeys("-" if frame.level is None else str(frame.level) for frame in frames)
    return [
        len(frames), sum(len(frame.blocks) for frame in frames), size_text(size), size_text(content),
        ratio_text(size, content), ",".join(shown) or "-", ",".join(levels), name,
    ]  # fmt: skip


def _remark(model: ModelIdentity | None) -> str:
    if model is None or not is_portable(model.profile):
        return "" if model is None else " (not portable)"
    return "" if folder_of(model) else " (not here)"


def block_table(frames: list[ListedFrame]) -> str:
    """Return the table of all blocks."""
    rows: list[list[object]] = [["frame", "offset", "size", "start", "content", "ratio", "windows", "method"]]
    for i, frame in enumerate(frames):
        rows += [
            [
                i, f"{b.offset:,}", f"{b.size:,}", f"{b.start:,}", f"{b.content_size:,}",
                ratio_text(b.size, b.content_size), b.windows or "-",
                f"{b.method} ({', '.join(filter(None, (b.model, b.coder)))})" if b.coder else b.method,
            ]
            for b in frame.blocks
        ]  # fmt: skip
    return table(rows, "    ")


def list_files(names: tuple[str, ...], *, json_lines: bool, verbose: bool, quiet: bool) -> int:
    """Print the list; return the exit code."""
    rows: list[list[object]] = [["frames", "blocks", "compressed", "content", "ratio", "model", "level", "file"]]
    listed, codes = [], [0]
    for name in names or (paths.STANDARD,):
        try:
            size, frames = describe(name)
        except Exception as error:
            code, message = report_failure(error, name, quiet)
            codes.append(code)
            if json_lines:
                click.echo(json.dumps({"file": name, "error": message, "exit_code": code}))
            continue
        if json_lines:
            click.echo(json.dumps(as_json(name, size, frames)))
        rows.append(as_row(name, size, frames))
        listed.append((name, frames))
    if listed and not json_lines:
        click.echo(table(rows))
        for name, frames in listed if verbose else []:
            click.echo(f"\n{printable(name)}\n{block_table(frames)}")
            for model in dict.fromkeys(model for frame in frames for model in frame.models):
                click.echo(_say_where(model))
    return worst(codes)


@click.command("list", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("files", nargs=-1, type=str)
@click.option("--json", "json_lines", is_flag=True, help="Print one JSON object for each file, a line each.")
@click.option("-v", "--verbose", is_flag=True, help="Show every block.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing of skipped files.")
def list_command(files: tuple[str, ...], json_lines: bool, verbose: bool, quiet: bool) -> int:
    """Show what compressed FILES hold; neither a model nor the data is read."""
    return list_files(files, json_lines=json_lines, verbose=verbose, quiet=quiet)
