"""Making a text model from texts: pack, train, go on, export, grow."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from mocks import markov_text

import lmzip
from lmzip.models.exact.config import NetworkConfig
from lmzip.models.tokenizer import Tokenizer
from lmzip.models.training import average, export, pack, train
from lmzip.models.training.muon import Muon
from lmzip.models.training.network import Layer, Matrix, Network, window_mask, windowed_attention
from lmzip.models.training.tokens import Tokens, symbol_sizes
from lmzip.models.training.train import Trainer, grown_heads, grown_layers

# Of torch, about bfloat16 beside float32 gains, which is what autocast means.
pytestmark = pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")

TEXT = markov_text(40_000)
SIZE = [
    "--hidden", "64", "--ngrams", "64", "--crops", "2", "--length", "48", "--threads", "1", "--no-compile",
    "--device", "cpu",
]  # fmt: skip


def run(command: click.Command, *arguments: object) -> str:
    result = CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tokens, a run of a network of two layers, and the model made of it."""
    base = tmp_path_factory.mktemp("training")
    (base / "texts" / "english").mkdir(parents=True)
    half = len(TEXT) // 2
    (base / "texts" / "english" / "a.txt").write_bytes(TEXT[:half] + b"\0" + TEXT[half:])
    run(pack.main, base / "texts", base / "tokens", "--vocabulary", 300, "--sample", 1)
    run(train.main, base / "tokens", base / "run", "--steps", 12, "--layers", 2, *SIZE)
    run(export.main, base / "run", base / "tokens", base / "model", "tiny")
    return base


def test_nothing_to_learn_from(made: Path, tmp_path: Path) -> None:
    for command, what in ((pack.main, "no texts there"), (train.main, "no packed tokens")):
        result = CliRunner().invoke(command, [str(made / "model"), str(tmp_path)])
        assert result.exit_code == 1 and what in result.output


def bits_per_byte(folder: Path) -> float:
    return float(json.loads((folder / "training.json").read_text())["bits_per_byte"]["english"])


def test_a_run_learns_and_goes_on(made: Path, tmp_path: Path) -> None:
    for name in ("checkpoint.pt", "training.json"):
        (tmp_path / name).write_bytes((made / "run" / name).read_bytes())
    output = run(train.main, made / "tokens", tmp_path, "--steps", 30, "--layers", 2, *SIZE)
    assert json.loads(output.splitlines()[-1])["steps"] == 30
    assert bits_per_byte(tmp_path) < bits_per_byte(made / "run") < 8


def test_every_batch_has_the_shares_of_its_domains(tmp_path: Path) -> None:
    config = NetworkConfig(
        vocab_size=300, hidden_size=64, intermediate_size=96, num_hidden_layers=1, num_attention_heads=1,
        num_key_value_heads=1, head_dim=64, sliding_window=8,
    )  # fmt: skip
    domains = list(pack.WEIGHTS)
    for i, domain in enumerate(domains):
        np.save(tmp_path / f"{domain}-000.npy", np.full(2000, i, np.uint16))
    tokens = Tokens(tmp_path, config, 0)
    seen = np.zeros((50, len(domains)))
    for row in seen:
        row[:] = np.bincount(tokens.batch(40, 8)[1][:, -1].numpy(), minlength=len(domains))
    expected = np.array([pack.WEIGHTS[d] for d in domains]) * 40 / sum(pack.WEIGHTS.values())
    assert abs(seen - expected).max() < 1 and abs(seen.mean(axis=0) - expected).max() < 0.2


def test_weights_are_averaged(made: Path, tmp_path: Path) -> None:
    go_on = [made / "tokens", tmp_path, "--init", made / "run", "--layers", 2, "--average-from", 0.5, *SIZE]
    run(train.main, *go_on, "--steps", 4)
    averaged = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert averaged["averaged"] == 2
    run(train.main, *go_on, "--steps", 5)
    last = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    taken = train.load_weights(tmp_path / "checkpoint.pt")[1]
    assert last["averaged"] == 3
    for name, weights in last["network"].items():
        expected = (2 * averaged["mean"][name] + weights) / 3
        torch.testing.assert_close(last["mean"][name], expected)
        assert torch.equal(taken[name], last["mean"][name])
    assert not torch.equal(taken["norm.weight"], last["network"]["norm.weight"])


def test_the_mean_of_runs(made: Path, tmp_path: Path) -> None:
    common = ["--layers", 2, *SIZE]
    run(train.main, made / "tokens", tmp_path / "other", "--init", made / "run", "--steps", 3, *common)
    run(average.main, tmp_path / "mean", made / "run", f"{tmp_path / 'other'}=3")
    first, other, mean = (
        train.load_weights(folder / "checkpoint.pt")[1]
        for folder in (made / "run", tmp_path / "other", tmp_path / "mean")
    )
    for name in first:
        torch.testing.assert_close(mean[name], 0.25 * first[name] + 0.75 * other[name])
    assert not torch.equal(first["norm.weight"], other["norm.weight"])
    run(train.main, made / "tokens", tmp_path / "begun", "--init", tmp_path / "mean", "--steps", 1, *common)
    run(export.main, tmp_path / "mean", made / "tokens", tmp_path / "model", "mean")

    run(train.main, made / "tokens", tmp_path / "thin", "--steps", 1, "--layers", 1, *SIZE)
    for runs, what in (
        ([made / "run", tmp_path / "thin"], "not such a network"),
        ([f"{made / 'run'}=x"], "not a number"),
        ([f"{made / 'run'}=0"], "add up to nothing"),
        ([made / "model"], "no run of training"),
    ):
        result = CliRunner().invoke(average.main, [str(tmp_path / "none"), *map(str, runs)])
        assert result.exit_code != 0 and what in result.output and not (tmp_path / "none").exists()
    arguments = [made / "tokens", tmp_path / "grown", "--init", tmp_path / "thin", "--steps", 1, *common]
    result = CliRunner().invoke(train.main, [str(a) for a in arguments])
    assert result.exit_code == 1 and "a run of another network" in result.output


def test_the_model_compresses(made: Path) -> None:
    model = lmzip.load_model(made / "model")
    packed = lmzip.compress(TEXT[:3000], model=model)
    assert model.id == "tiny" and lmzip.decompress(packed, model=model) == TEXT[:3000]


def begun(made: Path, out: Path, layers: int) -> Network:
    """Return a network that begins with the weights of the model."""
    description = json.loads((made / "model" / "config.json").read_text())["network"]
    config = NetworkConfig.from_dict({**description, "num_hidden_layers": layers})
    tokens = Tokens(made / "tokens", config, 0)
    sizes = symbol_sizes(made / "tokens" / "tokenizer.json")
    trainer = Trainer(Network(config), tokens, sizes, out, "cpu", "muon", 1.0)
    trainer.begin_from(made / "model")
    return trainer.network


@pytest.mark.parametrize("layers", [3, 4])
def test_a_grown_network_begins_as_the_smaller_one(made: Path, tmp_path: Path, layers: int) -> None:
    small, grown = begun(made, tmp_path, 2), begun(made, tmp_path, layers)
    ids = torch.arange(40).reshape(2, 20) * 7 % 300
    logits = small(ids)
    assert torch.equal(grown(ids), logits) and logits.std() > 0.01
    grown.loss(ids, ids).backward()  # type: ignore[no-untyped-call]
    added = [layer for layer in grown.layers if not layer.down.weight.any()]  # type: ignore[union-attr, operator]
    assert len(added) == layers - 2 and all(layer.down.weight.grad.any() for layer in added)  # type: ignore


@pytest.mark.parametrize("window", [5, 64, 100])
@pytest.mark.parametrize("time", [30, 64, 150])
def test_attention_is_that_of_torch(window: int, time: int) -> None:
    torch.manual_seed(time)
    q, k, v = (torch.randn(2, heads, time, 16) for heads in (4, 2, 2))
    at = torch.arange(time)
    seen = (at <= at[:, None]) & (at > at[:, None] - window)
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, seen, enable_gqa=True)
    torch.testing.assert_close(windowed_attention(q, k, v, window), expected, rtol=1e-4, atol=1e-5)


def test_choices_of_an_experiment(made: Path, tmp_path: Path) -> None:
    texts = made / "texts"
    run(pack.main, texts, tmp_path, "--vocabulary", 300, "--sample", 1, "--split", ".{1,3}", "--dropout", 0.5)
    vocabulary = Tokenizer.from_file(tmp_path / "tokenizer.json").vocabulary
    assert len(vocabulary) == 300 and max(map(len, vocabulary)) == 3
    choices = [
        "--untied", "--optimizer", "adamw", "--window", "16", "--quantise-from", "0.5", "--steps", "4", "--layers", "1",
    ]  # fmt: skip
    run(train.main, tmp_path, tmp_path / "run", *choices, *SIZE)
    run(export.main, tmp_path / "run", tmp_path, tmp_path / "model", "other")
    config = lmzip.load_model(tmp_path / "model").engine.config  # type: ignore[attr-defined]
    assert (config.tie_word_embeddings, config.sliding_window) == (False, 16)


def test_which_layers_grow() -> None:
    assert grown_layers(4, 4) == [(i, False) for i in range(4)]
    assert grown_layers(4, 6) == [(0, False), (1, False), (1, True), (2, False), (2, True), (3, False)]
    assert [i for i, is_copy in grown_layers(4, 8) if is_copy] == [0, 1, 2, 3]
    for old, new in ((4, 3), (4, 9)):
        with pytest.raises(click.ClickException, match="4 layers can grow to 4 to 8"):
            grown_layers(old, new)


def test_grown_heads_begin_as_the_fewer_ones() -> None:
    torch.manual_seed(0)
    old = NetworkConfig(
        vocab_size=300, hidden_size=64, intermediate_size=96, num_hidden_layers=1, num_attention_heads=12,
        num_key_value_heads=1, head_dim=16, sliding_window=8, qk_norm=True,
    )  # fmt: skip
    few = Layer(old)
    torch.nn.init.normal_(few.out.weight)
    x, cos, sin = torch.randn(2, 20, 64), torch.randn(20, 8), torch.randn(20, 8)
    for kv in (1, 2, 4):
        new = dataclasses.replace(old, num_key_value_heads=kv)
        many = Layer(new)
        grown = grown_heads(few.qkv.weight.detach().numpy(), old, new)
        many.load_state_dict({**few.state_dict(), "qkv.weight": torch.from_numpy(grown)})
        torch.testing.assert_close(many(x, cos, sin), few(x, cos, sin))
    for kv in (2, 6):
        with pytest.raises(click.ClickException, match=f"4 heads of keys and values cannot become {kv}"):
            grown_heads(grown, new, dataclasses.replace(old, num_key_value_heads=kv))
