"""Models in folders: what `lmzip models import` and `training/export.py` write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from lmzip.models.exact import arithmetic
from lmzip.models.exact.backends import make_engine
from lmzip.models.exact.config import NetworkConfig
from lmzip.models.exact.weights import Weights
from lmzip.models.hardware import require_memory
from lmzip.models.networks.imported_tokenizer import ImportedTokenizer
from lmzip.models.networks.residuals import SampleModel
from lmzip.models.networks.text import TextModel
from lmzip.models.networks.tokenizer import Tokenizer
from lmzip.models.store import PRIOR, fingerprint, kind_of
from lmzip.models.text.prior import load_prior


def load_folder(
    folder: str | Path,
    threads: int | None = None,
    backend: str | None = None,
    notify: Callable[[str], None] | None = None,
) -> TextModel | SampleModel:
    """Load a model from a folder of store.FILES, and store.PRIOR where there is one.

    backend, notify: see lmzip.models.exact.backends.make_engine.
    Raises FileNotFoundError where a file is missing, ValueError where one is malformed, MemoryError where there
    is too little for it, and RuntimeError where this machine cannot evaluate the network exactly.
    """
    folder = Path(folder)
    sha256 = fingerprint(folder)
    try:
        description = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        model_id, profile = description["id"], description["profile"]
        config = NetworkConfig.from_dict(description["network"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{folder / 'config.json'}: {error}") from error
    if profile != arithmetic.PROFILE:
        raise ValueError(f"{folder}: profile {profile}; this version evaluates {arithmetic.PROFILE}")
    size = (folder / "weights.safetensors").stat().st_size
    require_memory(2 * size, f"the model {model_id}", "A smaller model needs less.")
    text = (folder / "tokenizer.json").read_text(encoding="utf-8")
    kind = kind_of(text)
    weights = Weights.load(folder / "weights.safetensors", config)
    name, engine = make_engine(weights, backend, notify)
    threads = threads if name == "cpu" else 1  # torch has threads of its own
    if kind != "bytes":
        return SampleModel(kind, model_id, engine, sha256, threads, name)
    prior = load_prior(folder / PRIOR) if (folder / PRIOR).exists() else None
    return TextModel(model_id, _make_tokenizer(text), engine, sha256, threads, name, prior)


def _make_tokenizer(text: str) -> Tokenizer:
    return ImportedTokenizer.from_json(text) if text.startswith('{"lmzip"') else Tokenizer.from_json(text)
