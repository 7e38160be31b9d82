"""What several test files share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from command import MODEL, TEXT, Call, Outcome
from mocks import MockModel
from numpy.typing import NDArray

import lmzip
from lmzip.cli.main import main
from lmzip.models import registry
from lmzip.models.extras import EXTRAS, has

# Files of tests that need more than the core and the extra `test`, by what they need. Where that is not installed they
# are not collected, and the first lines of the report say so.
MORE = {
    "test_binarisation.py": ("torch",),
    "test_exact.py": ("torch",),
    "test_exact_imported.py": ("torch", "transformers"),
    "test_exact_parts.py": ("torch",),
    "test_exact_recurrent.py": ("torch", "transformers"),
    "test_float_model.py": ("torch", "transformers"),
    "test_import_command.py": ("torch", "transformers", "huggingface_hub"),
    "test_import_errors.py": ("torch", "transformers", "huggingface_hub"),
    "test_import_gguf.py": ("gguf", "torch", "transformers"),
    "test_import_gguf_tokenizers.py": ("gguf", "torch", "transformers"),
    "test_import_networks.py": ("torch", "transformers"),
    "test_import_tokenizers.py": ("torch", "transformers"),
    "test_picture_training.py": ("torch",),
    "test_prior.py": ("torch",),
    "test_report.py": ("brotli", "matplotlib", "rich"),
    "test_samples.py": ("torch",),
    "test_training.py": ("torch",),
}
MISSING = [package for package in EXTRAS if not has(package)]
collect_ignore = [file for file, needs in MORE.items() if set(needs) & set(MISSING)]


def pytest_report_header() -> list[str]:
    """Name the tests that are left out."""
    if not collect_ignore:
        return []
    return [f"not installed: {', '.join(MISSING)}", f"left out for that: {', '.join(collect_ignore)}"]


@pytest.fixture(scope="session", autouse=True)
def no_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have an empty store of models, here and in processes of tests: nothing looks into the user's."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("LMZIP_MODELS", str(tmp_path_factory.mktemp("home") / "models"))
        yield


@pytest.fixture
def own_store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the folder of an empty store of models, which is not there yet; what is loaded from it is forgotten."""
    folder = tmp_path_factory.mktemp("user") / "models"
    monkeypatch.setenv("LMZIP_MODELS", str(folder))
    before = dict(registry._loaded)
    yield folder
    registry._loaded.clear()
    registry._loaded.update(before)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model with the 256 bytes as tokens, one layer, and a strong liking for the letter a."""
    from lmzip.models.exact import arithmetic
    from lmzip.models.exact.config import NetworkConfig
    from lmzip.models.exact.weights import Weights
    from lmzip.models.networks import tokenizer

    folder = tmp_path_factory.mktemp("tiny")
    c = NetworkConfig(
        vocab_size=256, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1,
        num_key_value_heads=1, head_dim=16, sliding_window=8, tie_word_embeddings=False,
    )  # fmt: skip
    # The layer adds nothing and every input is the same, so the output is that of the head: its row for a.
    tensors: dict[str, NDArray[np.float32]] = {
        "embedding.weight": np.ones((c.vocab_size + 2, c.hidden_size), np.float32)
    }
    for name, shape in c.matrix_shapes().items():
        tensors[f"{name}.weight"] = np.zeros(shape, np.float32)
    for name, size in Weights.gain_lengths(c).items():
        tensors[f"{name}.weight"] = np.ones(size, np.float32)
    tensors["head.weight"][ord("a")] = 8 / c.hidden_size
    Weights.from_float(c, tensors).save(folder / "weights.safetensors")
    (folder / "tokenizer.json").write_text(tokenizer.train([], 256).to_json())
    description = {"id": "tiny", "profile": arithmetic.PROFILE, "network": json.loads(c.to_json())}
    (folder / "config.json").write_text(json.dumps(description))
    return folder


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Call:
    """Call main in tmp_path."""
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> Outcome:
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as caught:
            main(args)
        out, err = capfdbinary.readouterr()
        return Outcome(int(caught.value.code or 0), out, err.decode())

    return run


@pytest.fixture
def mock_model(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """Have every model be the mock; return the list of calls for one: (source, threads, backend)."""
    asked: list[tuple[object, ...]] = []

    def load(
        source: str | None = None, *, kind: str | None = None, threads: int | None, backend: str | None,
        notify: Callable[[str], None] | None,
    ) -> MockModel:  # fmt: skip
        asked.append((source, threads, backend))
        if notify is not None:
            notify("compiling for this machine")
        return MODEL

    monkeypatch.setattr(registry, "load_model", load)
    return asked


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_bytes(TEXT)
    return path


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt.lmzip"
    path.write_bytes(lmzip.compress(TEXT, method="fallback"))
    return path
