"""Imported networks against transformers in time, and by method in size.

`python benchmarks/imported.py [SHAPE ...] [--windows N ...]`:
Random weights in the shapes of public models: a step of many windows behind a context, as the decoder does it, and a
prefill, as the encoder does it. Tokens a second of lmzip with all processors and of transformers in float32 with
as many threads, one after the other in the same run; the median of some calls. Prints a table and one JSON line.

`python benchmarks/imported.py --methods [FAMILY ...] [--steps N]`:
small models of the families in `tests/language_models.py`, trained for some steps on a text and imported; bytes of the
rest of the text by `--method rank`, `model` and `ensemble`, decoded and compared. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import lzma
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import transformers

import lmzip
from lmzip.models.exact.arithmetic import WEIGHT_MAX
from lmzip.models.exact.backends import make_engine
from lmzip.models.exact.config import NetworkConfig
from lmzip.models.exact.weights import Matrix, Weights
from lmzip.models.hardware import processors
from lmzip.models.importing.families import read_config
from lmzip.models.importing.folder import FolderSource
from lmzip.models.importing.importer import import_model
from lmzip.models.networks.text import TextModel
from lmzip.models.registry import load_model

SHAPES: dict[str, transformers.PretrainedConfig] = {
    "SmolLM2-135M": transformers.LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, head_dim=64, max_position_embeddings=8192, tie_word_embeddings=True,
    ),
    "Qwen2.5-0.5B": transformers.Qwen2Config(
        vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
        num_key_value_heads=2, max_position_embeddings=32768, tie_word_embeddings=True,
    ),
    "tiny": transformers.LlamaConfig(
        vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=512, tie_word_embeddings=True,
    ),
}  # fmt: skip
STEPS = 64  # of a prefill
METHODS = ("rank", "model", "ensemble")
FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "gpt2", "rwkv")
HELD_BACK = 20_000  # characters of the text that no model sees before it codes them


class _Symbols:
    """Stands for the tokenizer, which no time is measured of."""

    def __init__(self, count: int) -> None:
        self.vocabulary = [b"x"] * count

    def __len__(self) -> int:
        return len(self.vocabulary)


def random_weights(config: NetworkConfig) -> Weights:
    """Draw weights whose values have the spread of a trained network's."""
    rng = np.random.default_rng(0)

    def matrix(rows: int, columns: int) -> Matrix:
        values = np.clip(rng.normal(0, WEIGHT_MAX / 4, (rows, columns)), -WEIGHT_MAX, WEIGHT_MAX)
        return Matrix(values.astype(np.int8), np.full(rows, 4 / WEIGHT_MAX / columns**0.5, np.float32))

    shapes = {**config.table_shapes(), **config.matrix_shapes()}
    gains = {name: np.ones(size, np.float32) for name, size in Weights.gain_lengths(config).items()}
    biases = {name: np.zeros(size, np.float32) for name, size in Weights.bias_lengths(config).items()}
    return Weights(config, {name: matrix(*shape) for name, shape in shapes.items()}, gains, biases)


def seconds(call: Callable[[], Any], repeats: int) -> float:
    """Return the median time of a call, the first not counted."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return median(times[1:])


def exact_rates(shape: transformers.PretrainedConfig, windows: int, depth: int, repeats: int) -> tuple[float, float]:
    """Return tokens a second of a step and of a prefill by lmzip, behind `depth` positions."""
    config, _ = read_config(shape.to_dict())
    _, engine = make_engine(random_weights(config))
    model = TextModel("random", _Symbols(config.vocab_size), engine, b"")  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    session = model.begin(windows, False, STEPS)

    def prefill() -> None:
        session.prefill(rng.integers(0, config.vocab_size, (windows, STEPS)).astype(np.int32))

    def step() -> None:
        session.predict()
        session.update(rng.integers(0, config.vocab_size, windows).astype(np.int32))

    for _ in range(depth // STEPS):
        prefill()
    step_rate = windows / seconds(step, repeats)
    return step_rate, windows * STEPS / seconds(prefill, max(1, repeats // 4))


@torch.no_grad()
def float_rates(shape: transformers.PretrainedConfig, windows: int, depth: int, repeats: int) -> tuple[float, float]:
    """Return tokens a second of a step and of a prefill by transformers in float32, behind `depth` positions."""
    model = transformers.AutoModelForCausalLM.from_config(shape, dtype=torch.float32).eval()
    cache = transformers.DynamicCache(config=shape)

    def call(steps: int) -> None:
        ids = torch.randint(shape.vocab_size, (windows, steps))
        model(ids, past_key_values=cache, use_cache=True)

    for _ in range(depth // STEPS):
        call(STEPS)
    step_rate = windows / seconds(lambda: call(1), repeats)
    return step_rate, windows * STEPS / seconds(lambda: call(STEPS), max(1, repeats // 4))


def sizes_by_method(family: str, steps: int, folder: Path) -> list[str]:
    """Return a row of the table: bits per byte of the float and of the exact model, and bytes of each of METHODS."""
    from language_models import PROSE, make_model

    source = make_model(folder / "float", family, steps, PROSE[:-HELD_BACK])
    data = PROSE[-HELD_BACK:].encode()
    report = import_model(FolderSource(source), folder / "exact", data)
    model, sizes = load_model(folder / "exact"), []
    for method in METHODS:
        packed = lmzip.compress(data, model=model, method=method)
        if lmzip.decompress(packed, model=model) != data:
            raise AssertionError(f"{family} by {method} does not come back")
        sizes.append(f"{len(packed):,}")
    return [family, f"{report.parent:.4f}", f"{report.exact:.4f}", f"{report.loss:+.2%}", *sizes]


def print_methods(families: list[str], steps: int) -> None:
    """Train, import, compress and print."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from language_models import PROSE

    data = PROSE[-HELD_BACK:].encode()
    print(f"{len(data):,} bytes; xz {len(lzma.compress(data, preset=9)):,}; {steps} steps")
    print("| family | float, bits/byte | exact | loss |" + "".join(f" `{method}` |" for method in METHODS))
    print("|---|" + "---:|" * (3 + len(METHODS)))
    for family in families:
        with tempfile.TemporaryDirectory() as folder:
            print("| " + " | ".join(sizes_by_method(family, steps, Path(folder))) + " |", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shapes", nargs="*", metavar="SHAPE", help="SmolLM2-135M and Qwen2.5-0.5B where none is named")
    parser.add_argument("--windows", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--depth", type=int, default=256, help="positions before what is timed")
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--methods", action="store_true", help="bytes by method instead of times; SHAPE is a family")
    parser.add_argument("--steps", type=int, default=200, help="steps of the training of these models")
    options = parser.parse_args(arguments)
    if options.methods:
        print_methods(options.shapes or list(FAMILIES), options.steps)
        return
    rows = []
    torch.set_num_threads(processors())
    print(f"{'shape':14}{'windows':>8}{'call':>9}{'lmzip':>12}{'float32':>12}{'times':>8}   (tokens/s)")
    for name in options.shapes or ["SmolLM2-135M", "Qwen2.5-0.5B"]:
        for windows in options.windows:
            exact = exact_rates(SHAPES[name], windows, options.depth, options.repeats)
            parent = float_rates(SHAPES[name], windows, options.depth, options.repeats)
            for what, ours, theirs in zip(("step", "prefill"), exact, parent, strict=True):
                print(f"{name:14}{windows:8}{what:>9}{ours:12.1f}{theirs:12.1f}{ours / theirs:8.2f}", flush=True)
                rows.append({"shape": name, "windows": windows, "call": what, "lmzip": ours, "float32": theirs})
    versions = {library.__name__: library.__version__ for library in (torch, transformers, np)}
    machine = {"machine": platform.machine(), "processors": torch.get_num_threads(), "depth": options.depth}
    print(json.dumps({**machine, **versions, "rates": rows}))


if __name__ == "__main__":
    main()
