"""From a float model to an exact model's folder: the same bytes on every import and machine.

Nothing that decides a byte depends on the order of float operations: weights are rounded one by one with the
largest of their row, and which products get wide activations is decided by code lengths in integers.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import tempfile
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmzip.models.exact import arithmetic
from lmzip.models.exact.backends import make_engine
from lmzip.models.exact.config import NetworkConfig
from lmzip.models.exact.weights import Matrix, Weights
from lmzip.models.hardware import require_memory
from lmzip.models.importing.compare import code_length, cut_windows, parent_bits
from lmzip.models.importing.families import Names, read_config
from lmzip.models.importing.source import Source, prefix_of
from lmzip.models.importing.vocabulary import Vocabulary, convert
from lmzip.models.mixing.code_length import UNIT
from lmzip.models.networks.imported_tokenizer import ImportedTokenizer
from lmzip.models.store import fingerprint

LENGTH = 512  # symbols of a window of the calibration
CHOICE_WINDOWS, REPORT_WINDOWS = 4, 8
FASTEST = np.float32(10)  # of the logarithms of decays: exp(-exp(10)) is 0
LOSS_SHARE = 1000  # one part in so many of the code length may go to 8-bit activations

# Shares of the work that are done when the weights are rounded, the wide products chosen, and both networks measured.
ROUNDED, WIDE_KNOWN, CHOSEN, MEASURED, COMPARED = 0.15, 0.25, 0.85, 0.9, 0.98


class Listener:
    """Hears how an import goes. This one takes no note."""

    def say(self, message: str) -> None:
        """Hear a message before something that takes long."""

    def step(self, share: float, what: str) -> None:
        """Hear that a share of the work is done, and what is being done."""

    def detail(self, message: str) -> None:
        """Hear what is tried."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What an import made.

    exact, parent: bits per byte of the calibration text, by the exact network and the float one (None: transformers is
    not installed); calibration_bytes: how much of it was coded; wide: products with wide activations, of `products`.
    """

    id: str
    sha256: str
    parameters: int
    symbols: int
    added: int
    context: int
    exact: float
    parent: float | None
    calibration_bytes: int
    wide: int
    products: int

    @property
    def loss(self) -> float | None:
        """Return how much longer the exact network's code is, as a share; None where the parent's is not known."""
        return None if self.parent is None else self.exact / self.parent - 1

    @property
    def reach(self) -> str:
        """Return how far back a window remembers, in words."""
        return f"{self.context} symbols" if self.context else "without end"


def import_model(
    source: Source, out: Path, calibration: bytes, *, context: int | None = None, model_id: str | None = None,
    listener: Listener | None = None,
) -> Report:  # fmt: skip
    """Make an exact model of a source and write its folder, which must not exist.

    calibration: text that decides which products get wide activations, and that the report is about. context:
    see read_config. Raises ValueError where the model cannot be made exact, MemoryError where there is too little
    memory for it, and OSError, about the folder that `out` is in, where it cannot be written.
    """
    listener = listener or Listener()
    listener.step(0, "reading the source")
    if out.exists():
        raise ValueError(f"{out} exists already")
    for note in source.notes:
        listener.say(note)
    config, names = read_config(source.config, context)
    vocabulary = convert(source.tokenizer)
    tokenizer = ImportedTokenizer(vocabulary.values)
    rows = config.vocab_size
    if max(vocabulary.ids) >= rows:
        raise ValueError(f"the tokenizer has the id {max(vocabulary.ids)}, the network {rows} of them")
    start = start_id(source.config, source.tokenizer, vocabulary)
    if not 0 <= start < rows:
        raise ValueError(f"the beginning of a text has the id {start}, the network {rows} of them")
    config = dataclasses.replace(config, vocab_size=len(tokenizer))
    size = sum(r * c for r, c in (*config.table_shapes().values(), *config.matrix_shapes().values()))
    # Twice in bytes, rounded and in panels, and the largest matrix in float32, as it is stored and as it is rounded.
    require_memory(2 * size + 8 * rows * config.hidden_size, "importing this model", "A smaller model needs less.")
    _require_room(out.parent, size)
    weights = round_weights(source, names, config, vocabulary, start, listener)

    symbols = tokenizer.encode(calibration)
    if not len(symbols):
        raise ValueError("the calibration text is empty")
    length = min(LENGTH, config.context or LENGTH)
    weights = choose_wide(weights, cut_windows(symbols, length, CHOICE_WINDOWS), listener)
    listener.step(CHOSEN, "measuring the exact network")
    windows = cut_windows(symbols, length, REPORT_WINDOWS)
    size_coded = sum(len(tokenizer.decode(window)) for window in windows)
    exact = code_length(make_engine(weights)[1], windows) / UNIT / size_coded
    listener.step(MEASURED, "measuring the float network")
    parent = parent_bits(source, np.array(vocabulary.ids)[windows], start)
    report = Report(
        model_id or source.id, "", size, len(tokenizer), vocabulary.added, config.context, exact,
        None if parent is None else parent / size_coded, size_coded, len(weights.config.wide),
        len(config.product_names()),
    )  # fmt: skip
    listener.step(COMPARED, "writing the model")
    return _write(out, report, weights, vocabulary, source)


def _require_room(folder: Path, size: int) -> None:
    """Raise OSError where a disk has no room for `size` bytes."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < size:
        text = f"the model takes {size / (1 << 20):,.1f} MiB of the disk, and {free / (1 << 20):,.1f} MiB are free"
        raise OSError(errno.ENOSPC, text, str(folder))


def start_id(config: dict[str, Any], tokenizer: dict[str, Any], vocabulary: Vocabulary) -> int:
    """Return the id whose row the marks have: beginning of text, end of text, or the first special one."""
    for key in ("bos_token_id", "eos_token_id"):
        value = config.get(key)
        value = value[0] if isinstance(value, list) and value else value
        if isinstance(value, int):
            return value
    special = [token["id"] for token in tokenizer.get("added_tokens") or []]
    return min(special, default=min(vocabulary.ids))


def round_weights(
    source: Source, names: Names, config: NetworkConfig, vocabulary: Vocabulary, start: int, listener: Listener
) -> Weights:
    """Round the float weights: rows of symbols in their order, then the two marks'.

    start: the id whose row both marks have.
    """
    prefix, ids = prefix_of(source, names), np.array(vocabulary.ids)

    def joined(layer: str, parts: tuple[str, ...], ending: str) -> NDArray[np.float32]:
        tensors = [source.tensor(f"{prefix}{layer}{part}.{ending}") for part in parts]
        if names.transposed and ending == "weight":
            tensors = [tensor.T for tensor in tensors]
        return np.ascontiguousarray(np.concatenate(tensors))

    matrices: dict[str, Matrix] = {}
    gains: dict[str, NDArray[np.float32]] = {}
    biases: dict[str, NDArray[np.float32]] = {}
    embedding = source.tensor(f"{prefix}{names.embedding}.weight")[np.concatenate((ids, [start, start]))]
    if "embedding" in names.factors:
        embedding *= np.float32(names.factors["embedding"])
    matrices["embedding"] = Matrix.rounded(embedding)
    if config.positions == "learned":
        matrices["positions"] = Matrix.rounded(source.tensor(f"{prefix}{names.positions}.weight")[: config.context])
    if not config.tie_word_embeddings:
        matrices["head"] = Matrix.rounded(source.tensor(f"{names.head}.weight")[ids])
    del embedding
    for i in range(config.num_hidden_layers):
        listener.step(ROUNDED * i / config.num_hidden_layers, "rounding the weights")
        layer = names.layer.format(i)
        for name, parts in names.matrices.items():
            matrices[f"layers.{i}.{name}"] = Matrix.rounded(joined(layer, parts, "weight"))
            if name in config.biases:
                biases[f"layers.{i}.{name}"] = joined(layer, parts, "bias")
        for name, part in names.vectors.items():
            vector = source.tensor(f"{prefix}{layer}{part}").reshape(-1)
            (gains if name.endswith("_mix") else biases)[f"layers.{i}.{name}"] = vector
        if config.is_recurrent:
            biases[f"layers.{i}.decay"] = exponents(biases[f"layers.{i}.decay"])
    for name in Weights.norm_lengths(config):
        kind = name.rpartition(".")[2]
        layer = names.layer.format(name.split(".")[1]) if name.startswith("layers.") else ""
        norm = (names.norms[kind],)
        gains[name] = joined(layer, norm, "weight")
        if names.added:
            gains[name] += np.float32(names.added)
        if kind in names.factors:
            gains[name] *= np.float32(names.factors[kind])
        if config.norm == "layer":
            biases[name] = joined(layer, norm, "bias")
    try:
        return Weights(config, matrices, gains, biases)
    except ValueError as error:
        raise ValueError(f"the network cannot be rounded: {error}") from error


def exponents(decay: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return -exp(decay), what a state's exponent changes by at every step; a state that fades faster is gone as well.

    decimal's exp is correctly rounded on every platform.
    """
    context = Context(prec=50)
    values = [float(context.exp(Decimal(value))) for value in np.minimum(decay, FASTEST).tolist()]
    return -np.array(values, np.float32)


def choose_wide(weights: Weights, windows: NDArray[np.int32], listener: Listener) -> Weights:
    """Return the weights with as few wide products as the code length of windows allows.

    All of them narrow must cost no more than one part in LOSS_SHARE over all of them wide; where they do, halves are
    tried, and halves of halves.
    """
    config = weights.config
    # Outliers are of a kind and in neighbouring layers, so these stand together.
    names = sorted(config.product_names(), key=lambda name: name.rpartition(".")[2])

    def wide(chosen: set[str]) -> Weights:
        ordered = tuple(name for name in config.product_names() if name in chosen)
        return dataclasses.replace(weights, config=dataclasses.replace(config, wide=ordered))

    def length(chosen: set[str]) -> int:
        return code_length(make_engine(wide(chosen), notify=listener.say)[1], windows)

    chosen = set(names)
    listener.step(ROUNDED, "choosing the precision of the products")
    most = length(chosen)
    most += most // LOSS_SHARE
    todo = [names]
    while todo:
        group = todo.pop()
        settled = len(names) - len(group) - sum(map(len, todo))
        share = WIDE_KNOWN + (CHOSEN - WIDE_KNOWN) * settled / len(names)
        listener.step(share, "choosing the precision of the products")
        listener.detail(f"trying 8-bit activations in {len(group)} of {len(names)} products")
        if length(chosen - set(group)) <= most:
            chosen -= set(group)
        elif len(group) > 1:
            middle = len(group) // 2
            todo += [group[middle:], group[:middle]]
    return wide(chosen)


def _write(out: Path, report: Report, weights: Weights, vocabulary: Vocabulary, source: Source) -> Report:
    """Write the folder under another name first, so that a whole one appears or none."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(out.parent)) from error
    try:
        network = json.loads(weights.config.to_json())
        description = {"id": report.id, "profile": arithmetic.PROFILE, "network": network}
        (folder / "config.json").write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
        text = json.dumps(vocabulary.values, sort_keys=True, separators=(",", ":"))
        (folder / "tokenizer.json").write_text(text, encoding="utf-8")
        weights.save(folder / "weights.safetensors")
        report = dataclasses.replace(report, sha256=fingerprint(folder).hex())
        (folder / "README.md").write_text(_card(report, source), encoding="utf-8")
        folder.chmod(0o755)
        os.replace(folder, out)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(out.parent)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return report


def _card(report: Report, source: Source) -> str:
    """Return the model card."""
    parent = "not measured" if report.parent is None else f"{report.parent:.4f}"
    loss = "" if report.loss is None else f" ({report.loss:+.2%})"
    bits = f"float parent {parent}, exact {report.exact:.4f}{loss}"
    return f"""# Model card: {report.id}

Made by `lmzip models import` from {source.origin}. The licence of that model holds for this one.

| | |
|---|---|
| sha256 | `{report.sha256}` |
| weights | {report.parameters:,}; 7-bit integers with a scale a row |
| symbols | {report.symbols:,}, {report.added} of them bytes that the original does not know |
| context | {report.reach} |
| wide activations | in {report.wide} of {report.products} products |
| bits per byte of the calibration text ({report.calibration_bytes:,} bytes) | {bits} |
"""
