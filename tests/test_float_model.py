"""Float networks: files by them come back where they were written, and are refused elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from command import Call
from language_models import byte_level

import lmzip
from lmzip import compressor, container, equal_info
from lmzip.blocks import lockstep, select, text
from lmzip.blocks.select import decode_payload
from lmzip.errors import LMZError, ModelError
from lmzip.models.identity import ModelIdentity
from lmzip.models.importing.float_model import FloatModel, frequencies_of, load_float_model
from lmzip.models.networks.profile import differences, is_portable
from lmzip.models.protocols import Model
from lmzip.models.registry import load_model, model_for
from lmzip.options import Options

TEXT = b"It was the best of times, it was the worst of times. \xff\x00" * 6


_SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "bos_token_id": 1, "eos_token_id": 2}
_NEOX = {**_SHAPE, "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 96}
FAMILIES = {
    "neox": lambda size: transformers.GPTNeoXForCausalLM(transformers.GPTNeoXConfig(vocab_size=size, **_NEOX)),
    "mamba": lambda size: transformers.MambaForCausalLM(transformers.MambaConfig(vocab_size=size, **_SHAPE)),
}  # neither is made exact; the second has no keys and values


def make(family: str, out: Path) -> Path:
    """Write a small model with random weights."""
    torch.manual_seed(1)
    tokenizer = byte_level()
    FAMILIES[family](tokenizer.get_vocab_size()).save_pretrained(out)
    tokenizer.save(str(out / "tokenizer.json"))
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("neox", tmp_path_factory.mktemp("neox"))


@pytest.fixture(scope="module")
def model(folder: Path) -> FloatModel:
    return load_float_model(folder, threads=1)


def coded(type_: int, data: bytes, model: Model, file_start: bool = True) -> bytes:
    """Code a block by the network, although random weights predict nothing."""
    payload = text.encode_in_lockstep(type_, data, model, file_start, Options(), lambda: None, lambda done: None)
    assert payload is not None
    return payload


@pytest.mark.parametrize("type_", [container.MODEL, container.ENSEMBLE, container.RANK])
def test_there_and_back(type_: int, model: FloatModel) -> None:
    assert len(model.encode(TEXT)) > model.context
    assert text._windows_for(model.encode(TEXT * 999), TEXT * 999, model, Options(4)) < lockstep.TWO_COHORTS
    assert decode_payload(type_, coded(type_, TEXT, model), len(TEXT), model) == TEXT


def test_a_network_without_keys_and_values(tmp_path: Path) -> None:
    model = load_float_model(make("mamba", tmp_path), threads=1)
    payload = coded(container.MODEL, TEXT[:100], model)
    assert decode_payload(container.MODEL, payload, 100, model) == TEXT[:100]


def test_the_decoder_asks_for_what_the_encoder_did(model: FloatModel) -> None:
    symbols = model.encode(TEXT * 2)[:240].reshape(2, 120)
    expected = model.begin(2, True, 120).prefill(symbols)
    session, found = model.begin(2, True), []
    for column in symbols.T:
        found.append(session.predict())
        session.update(column)
    assert (np.stack(found) == expected).all() and expected.shape == (120, 2, model.alphabet)
    assert (expected.sum(axis=2, dtype=np.int64) == 1 << 24).all() and expected.min() >= 1


def test_frequencies() -> None:
    logits = np.array([[0, 1, 2], [-1e30, 0, 1e30], [5, 5, 5]], np.float32)
    assert (frequencies_of(logits).sum(axis=1) == 1 << 24).all() and frequencies_of(logits)[1].tolist()[:2] == [1, 1]
    with pytest.raises(ValueError, match="not finite"):
        frequencies_of(np.array([[0, np.nan]], np.float32))


def test_another_environment_is_refused(model: FloatModel) -> None:
    assert not is_portable(model.profile) and is_portable("exact-1")
    there = json.loads(model.profile.partition(" ")[2])
    assert set(there) >= {"torch", "transformers", "device", "dtype", "threads", "processor"}
    other = "float-1 " + json.dumps(there | {"torch": "2.0.0", "threads": 64}, sort_keys=True)
    definition = ModelIdentity(model.id, model.sha256, other)
    with pytest.raises(ModelError, match=r"threads 64 there, 1 here; torch 2\.0\.0 there, "):
        model_for(definition, model)
    definition = ModelIdentity(model.id, model.sha256, model.profile)
    assert model_for(definition, model) is model
    assert "profile exact-1 there, float-1 here" in differences("exact-1", model.profile)
    assert "profile float-2 there" in differences("float-2 [1", model.profile)


def test_nothing_is_written_that_was_not_decoded(model: FloatModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> bytes:
        raise LMZError("decoded")

    monkeypatch.setattr(select, "decode_payload", fail)
    with pytest.raises(LMZError, match="did not decode to itself"):
        lmzip.compress(TEXT, model=model, verify=False, method="model")


def test_windows_of_equal_information_are_not_made(model: FloatModel) -> None:
    with pytest.raises(ValueError, match="float network"):
        equal_info.encode(TEXT, model=model)


def test_on_the_command_line(folder: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        compressor, "encode_block",
        lambda data, model, first, *rest: (container.MODEL, coded(container.MODEL, data, model, first)),
    )  # fmt: skip
    (tmp_path / "a").write_bytes(TEXT)
    assert call("compress", "-m", f"float:{folder}", "-T", "1", "--method", "model", "a").code == 0
    assert b"(not portable)" in call("list", "a.lmzip").out
    listed = json.loads(call("list", "--json", "a.lmzip").out)
    assert listed["frames"][0]["models"][0]["profile"].startswith("float-1 {")
    outcome = call("decompress", "a.lmzip", "-c")
    assert outcome.code == 4 and "float:gpt_neox-" in outcome.err
    assert call("decompress", "-m", f"float:{folder}", "-T", "1", "a.lmzip", "-c").out == TEXT
    outcome = call("decompress", "-m", f"float:{folder}", "-T", "2", "a.lmzip", "-c")
    assert outcome.code == 4 and "threads 1 there, 2 here" in outcome.err
    assert call("compress", "-m", f"float:{tmp_path}", "a", "-c").code == 4


def test_models_that_cannot_be_had(folder: Path, tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(ModelError, match=r"config\.json is missing"):
            load_model(f"float:{source}")
    with pytest.raises(ModelError, match="the backend cpu"):
        load_model(f"float:{folder}", backend="cpu")


def test_the_environment_that_files_will_need(call: Call, folder: Path, model: FloatModel, tmp_path: Path) -> None:
    found = json.loads(call("models", "info", f"float:{folder}", "--json").out)
    assert (found["id"], found["sha256"], found["portable"]) == (model.id, model.sha256.hex(), False)
    own = json.loads(model.profile.partition(" ")[2])
    assert {**found["environment"], "threads": 1} == {"profile": "float-1", **own}
    text = call("models", "info", f"float:{folder}").out.decode()
    assert "portable: no\n" in text and f"torch {torch.__version__}" in text
    outcome = call("models", "info", f"float:{tmp_path}")
    assert outcome.code == 4 and "config.json is missing" in outcome.err
