"""What the import refuses, what it says then, and the commands around it."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from command import Call, names
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from language_models import PROSE, make_model
from safetensors.torch import load_file, save_file

import lmzip
from lmzip.errors import ModelError
from lmzip.models import hardware
from lmzip.models.exact.weights import Weights
from lmzip.models.importing.families import read_config
from lmzip.models.importing.find import find_source
from lmzip.models.importing.folder import FolderSource
from lmzip.models.importing.importer import import_model
from lmzip.models.registry import load_model

TEXT = PROSE[:2000].encode()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("source") / "float", "qwen2", 3)


@pytest.fixture(scope="module")
def exact(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "exact"
    import_model(FolderSource(trained), folder, TEXT)
    return folder


@pytest.fixture
def source(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "float"))


@pytest.fixture
def made(exact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exact, tmp_path / "exact"))


def config(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        values = load_file(folder / "model.safetensors")
        change(values)
        save_file(values, folder / "model.safetensors")

    return apply


def sharded(folder: Path) -> None:
    shutil.move(folder / "model.safetensors", folder / "model-00001-of-00002.safetensors")
    parts = {
        "model.norm.weight": "model-00001-of-00002.safetensors",
        "lm_head.weight": "model-00002-of-00002.safetensors",
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))


def pickled(folder: Path) -> None:
    shutil.move(folder / "model.safetensors", folder / "pytorch_model.bin")


def write(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


NORM = "model.layers.1.input_layernorm.weight"

DAMAGES: list[tuple[Callable[[Path], None], str]] = [
    (lambda folder: (folder / "config.json").unlink(), r"config\.json is missing"),
    (write("config.json", b"{"), r"config\.json is damaged"),
    (write("config.json", b"[]"), r"config\.json is not a JSON object"),
    (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json is missing; transformers makes it"),
    (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors is missing"),
    (lambda folder: os.truncate(folder / "model.safetensors", 90_000), "model.safetensors is damaged or only in part"),
    (pickled, "pickle only, which can run any code"),
    (sharded, r"1 of 2 weight files are missing: model-00002-of-00002\.safetensors"),
    (write("model.safetensors.index.json", b'{"weight_map": {"a": "../a"}}'), "outside of its folder"),
    (write("model.safetensors.index.json", b"{}"), r"index\.json is damaged"),
    (tensors(lambda values: values.pop(NORM)), f"the weights lack {NORM}"),
    (tensors(lambda values: values.pop("model.embed_tokens.weight")), "lack model.embed_tokens.weight"),
    (tensors(lambda values: values[NORM].fill_(float("nan"))), f"{NORM} holds numbers that are not finite"),
    (tensors(lambda values: values[NORM].fill_(5000.0)), "cannot be rounded: .* has a gain beyond 1024"),
    (tensors(lambda values: values.update({NORM: torch.ones(7)})), "layers.1.attention_norm is missing or not 64"),
    (config(model_type="mamba"), "'mamba' is not one of those that are evaluated exactly: llama, mistral, qwen2"),
    (config(hidden_act="relu"), "the activation 'relu' is not one of silu"),
    (config(quantization_config={"bits": 4}), "quantised already"),
    (config(rope_parameters={"rope_type": "yarn", "factor": 4.0}), "scaled by 'yarn' are not supported"),
    (config(partial_rotary_factor=0.5), "partial_rotary_factor"),
    (config(use_sliding_window=True, layer_types=["full_attention", "sliding_attention"]), "with and without a"),
    (config(num_attention_heads="4"), r"config\.json: "),
    (config(vocab_size=100), "the tokenizer has the id .*, the network 100 of them"),
    (config(bos_token_id=99_999), "the beginning of a text has the id 99999"),
    (write("tokenizer.json", b'{"model": {"type": "WordPiece"}}'), "type WordPiece cannot be mapped to bytes"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_sources_that_cannot_be_imported(
    damage: Callable[[Path], None], message: str, source: Path, tmp_path: Path
) -> None:
    damage(source)
    with pytest.raises(ValueError, match=message):
        import_model(FolderSource(source), tmp_path / "exact", TEXT)
    assert names(tmp_path) == ["float"]


RWKV_169M = {
    "architectures": ["RwkvForCausalLM"], "attention_hidden_size": 768, "bos_token_id": 0, "context_length": 1024,
    "eos_token_id": 0, "hidden_size": 768, "intermediate_size": 3072, "layer_norm_epsilon": 1e-05, "model_type": "rwkv",
    "num_hidden_layers": 12, "rescale_every": 6, "tie_word_embeddings": False, "vocab_size": 50277,
}  # fmt: skip


def test_the_shape_of_a_public_recurrent_model() -> None:
    network, _ = read_config(RWKV_169M)
    matrices = {**network.table_shapes(), **network.matrix_shapes()}
    vectors = {**Weights.gain_lengths(network), **{f"{n}.bias": k for n, k in Weights.bias_lengths(network).items()}}
    marks = 2 * network.hidden_size
    assert sum(a * b for a, b in matrices.values()) + sum(vectors.values()) - marks == 169_342_464
    assert (network.context, network.kind) == (0, "recurrent")
    short = {
        key: value for key, value in RWKV_169M.items() if key not in ("attention_hidden_size", "intermediate_size")
    }
    assert read_config(short)[0] == network
    assert read_config(RWKV_169M, 200)[0] == dataclasses.replace(network, context=200, reread=50)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention_hidden_size": 512}, "attention_hidden_size"),
        ({"layer_norm_epsilon": 1e-3}, "layer_norm_epsilon must be 1e-5 in all norms, not 0.001"),
        ({"intermediate_size": 1 << 20}, "intermediate_size must be 1 to 262144"),
        ({"model_type": "rwkv5"}, "'rwkv5' is not one of those that are evaluated exactly: .*gpt2, gemma3_text, rwkv$"),
        ({"num_hidden_layers": None}, r"config\.json: "),
    ],
)
def test_recurrent_models_that_do_not_fit(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_config(RWKV_169M | changes)


def test_an_import_overwrites_nothing(source: Path, made: Path) -> None:
    with pytest.raises(ValueError, match="exists already"):
        import_model(FolderSource(source), made, TEXT)


def test_too_little_memory(source: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(made)
    packed = lmzip.compress(TEXT, model=model, method="ensemble")
    monkeypatch.setattr(hardware, "available_memory", lambda: 10_000)
    with pytest.raises(MemoryError, match=r"importing this model needs .* GiB of memory"):
        import_model(FolderSource(source), tmp_path / "other", TEXT)
    with pytest.raises(ModelError, match=r"the model qwen2-.* needs .* of memory"):
        load_model(made, threads=1)
    with pytest.raises(MemoryError, match=r"what 1 windows of the model qwen2-\S+ remember needs"):
        lmzip.decompress(packed, model=model)


def test_a_model_that_remembers_much_gets_few_windows(made: Path) -> None:
    model = load_model(made)
    assert model.most_windows == (1 << 30) // model.engine.config.window_bytes(1)
    text = PROSE[:6000].encode()
    many = lmzip.blocks.text._windows_for(model.encode(text), text, model, lmzip.options.Options(level=4))
    model.most_windows = 1
    few = lmzip.blocks.text._windows_for(model.encode(text), text, model, lmzip.options.Options(level=4))
    model.most_windows = 1000
    assert (many, few) == (2, 1)


# The wrong model, or none.


def test_models_that_cannot_be_loaded(source: Path, made: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=rf"`lmzip models import {source}` makes it exact"):
        load_model(source)
    with pytest.raises(ModelError, match="on the Hugging Face hub: `lmzip models import owner/name` gets it"):
        load_model("owner/name")
    os.truncate(made / "weights.safetensors", 20_000)
    with pytest.raises(ModelError, match="the model cannot be read: weights: "):
        load_model(made)


def test_files_need_their_model(made: Path, source: Path, tmp_path: Path) -> None:
    import_model(FolderSource(source, "owner/name@0123456789ab"), tmp_path / "hub", TEXT)
    model = load_model(tmp_path / "hub")
    packed = lmzip.compress(TEXT, model=model, method="ensemble")
    assert lmzip.decompress(packed, model=model) == TEXT
    with pytest.raises(ModelError, match=r"co/owner/name: `lmzip models import owner/name@0123456789ab` gets it"):
        lmzip.decompress(packed)
    with pytest.raises(ModelError, match="but the one at hand is qwen2-"):
        lmzip.decompress(packed, model=load_model(made))


# The hub.


@pytest.fixture
def hub(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Have a hub with one model, cached in a snapshot of its commit."""
    snapshot = tmp_path / "snapshots" / ("c" * 40)
    state: dict[str, Any] = {"files": source, "got": []}

    def download(name: str, file: str, revision: str | None) -> str:
        if "error" in state:
            raise state["error"]
        if not (source / file).is_file():
            raise EntryNotFoundError(file)
        state["got"].append((name, file, revision))
        snapshot.mkdir(parents=True, exist_ok=True)
        return str(shutil.copyfile(source / file, snapshot / file))

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return state


def test_a_model_from_the_hub(hub: dict[str, Any]) -> None:
    found = find_source("owner/name@main")
    assert found.id == "owner/name@cccccccccccc"
    commit = "c" * 40
    assert hub["got"] == [("owner/name", "config.json", "main"), ("owner/name", "tokenizer.json", commit),
                          ("owner/name", "model.safetensors", commit)]  # fmt: skip


def test_a_model_in_parts_from_the_hub(hub: dict[str, Any], source: Path) -> None:
    sharded(source)
    shutil.copyfile(source / "model-00001-of-00002.safetensors", source / "model-00002-of-00002.safetensors")
    assert len(find_source("owner/name").files) == 2
    (source / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ValueError, match="a file is not on the hub"):
        find_source("owner/name")


def test_where_the_hub_does_not_help(hub: dict[str, Any], source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("no-such-folder", "./owner/name", "a/b/c", "/owner/name", "owner/"):
        with pytest.raises(ValueError, match="no such file, folder or installed package, and not a name"):
            find_source(text)
    pickled(source)
    with pytest.raises(ValueError, match=r"a file is not on the hub \(tokenizer.json and safetensors are needed\)"):
        find_source("owner/name")
    for error, message in (
        (LocalEntryNotFoundError("offline"), "not all of it is in the cache, and the hub cannot be reached"),
        (ConnectionError("no route"), "owner/name: no route"),
    ):
        hub["error"] = error
        with pytest.raises(ValueError, match=message):
            find_source("owner/name")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"pip install 'lmzip-codec\[import\]'"):
        find_source("owner/name")


# The command.


def test_the_command(call: Call, source: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(TEXT)
    outcome = call(
        "models", "import", "float", "-o", "model", "--calibration", "text", "--context", "32", "--id", "mine"
    )
    assert outcome.code == 0, outcome.err
    (line,) = outcome.out.decode().splitlines()
    assert line.startswith("mine: bits/byte float ") and ", exact " in line and "KiB in model; to use it: " in line
    assert outcome.err == ""
    assert sorted(names(tmp_path / "model")) == ["README.md", "config.json", "tokenizer.json", "weights.safetensors"]
    assert call("models", "verify", "model").code == 0
    (tmp_path / "book").write_bytes(TEXT)
    assert call("compress", "--method", "ensemble", "-m", "model", "book").code == 0
    assert call("decompress", "-c", "book.lmzip").code == 4
    assert call("decompress", "-m", "model", "-c", "book.lmzip").out == TEXT


def test_the_command_without_transformers(call: Call, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    outcome = call("models", "import", str(source), "-o", "model")
    assert outcome.code == 0 and "float not measured (that takes transformers)" in outcome.out.decode()


def test_the_command_names_what_is_wrong(call: Call, source: Path) -> None:
    config(model_type="mamba")(source)
    outcome = call("models", "import", "float")
    assert (outcome.code, outcome.out) == (4, b"")
    assert outcome.err.startswith("lmzip: float: the architecture 'mamba' is not one of")
