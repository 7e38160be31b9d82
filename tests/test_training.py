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
from lmzip.models.networks.tokenizer import Tokenizer
from lmzip.models.training import average, export, pack, pieces, score, train
from lmzip.models.training import network as training_network
from lmzip.models.training.checkpoint import load_weights
from lmzip.models.training.muon import Muon
from lmzip.models.training.network import Layer, Matrix, Network, window_mask, windowed_attention
from lmzip.models.training.tokens import Tokens, symbol_sizes, weights_of
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


def test_runs_are_scored_on_what_was_held_back(made: Path, tmp_path: Path) -> None:
    run(train.main, made / "tokens", tmp_path / "random", "--steps", 1, "--layers", 2, *SIZE)
    output = run(score.main, made / "tokens", made / "run", tmp_path / "random", "--length", 48, "--device", "cpu")
    trained, random = (float(line.split(" english ")[1]) for line in output.splitlines())
    assert trained == pytest.approx(bits_per_byte(made / "run"), abs=0.01)  # more crops than after training
    assert trained < random - 0.1
    run(pack.main, made / "texts", tmp_path / "tokens", "--vocabulary", 280, "--sample", 1)
    result = CliRunner().invoke(score.main, [str(tmp_path / "tokens"), str(made / "run")])
    assert result.exit_code == 1 and "a network of 300 symbols, not 280" in result.output
    result = CliRunner().invoke(score.main, [str(made / "tokens"), str(made / "model")])
    assert result.exit_code == 1 and "no run of training; there is no checkpoint.pt" in result.output


def test_every_batch_has_the_shares_of_its_domains(tmp_path: Path) -> None:
    config = small_config(300)
    domains = list(pack.WEIGHTS)
    for i, domain in enumerate(domains):
        np.save(tmp_path / f"{domain}-000.npy", np.full(2000, i, np.uint16))
    tokens = Tokens(tmp_path, config, 0)
    seen = np.zeros((50, len(domains)))
    for row in seen:
        row[:] = np.bincount(tokens.batch(40, 8)[1][:, -1].numpy(), minlength=len(domains))
    expected = np.array([pack.WEIGHTS[d] for d in domains]) * 40 / sum(pack.WEIGHTS.values())
    assert abs(seen - expected).max() < 1 and abs(seen.mean(axis=0) - expected).max() < 0.2


def small_config(vocabulary: int) -> NetworkConfig:
    return NetworkConfig(
        vocab_size=vocabulary, hidden_size=64, intermediate_size=96, num_hidden_layers=1, num_attention_heads=1,
        num_key_value_heads=1, head_dim=64, sliding_window=8,
    )  # fmt: skip


def test_crops_are_what_was_packed(tmp_path: Path) -> None:
    config = small_config(60_000)
    code = np.arange(40_000, 40_400).astype(np.uint16)  # beyond int16
    for name, tokens in (("code-000", code[:200]), ("code-001", code[200:]), ("english-000", np.arange(5))):
        np.save(tmp_path / f"{name}.npy", tokens.astype(np.uint16))
    tokens = Tokens(tmp_path, config, 0, {"code": 1.0, "english": 1.0})
    ids, targets = (t.numpy() for t in tokens.batch(64, 20))
    assert (ids[:, 0] == config.cut_start).all() and (ids[:, 1:] == targets[:, :-1]).all()
    for row in targets:
        inside = row[row != config.file_start]
        assert (np.diff(inside) == 1).sum() >= len(inside) - 2  # one joint of two pieces
        assert len(inside) == 20 or inside[-1] == 3  # a text of five, of which the last is held back
    assert len({row[0] for row in targets}) > 30
    held_back = tokens.validation("code", 4, 20)[1].numpy()
    assert held_back.shape == (1, 20)
    assert held_back[0, :4].tolist() == [40_199, config.file_start, 40_399, config.file_start]


def test_targets_that_repeat_their_crop_count_less() -> None:
    ids = torch.from_numpy(np.random.default_rng(0).integers(60_000, 60_004, (3, 40)))
    ids, targets = ids[:, :-1], ids[:, 1:]
    expected = []
    for row in zip(ids.tolist(), targets.tolist(), strict=True):
        pairs = list(zip(*row, strict=True))
        triples = list(zip([-1, *row[0]], pairs, strict=False))
        expected.append([
            0.25 if triples[i] in triples[:i] else 0.5 if pairs[i] in pairs[:i] else 1.0 for i in range(len(pairs))
        ])  # fmt: skip
    weights = weights_of(ids, targets, 0.5)
    assert weights.tolist() == expected and {0.25, 0.5, 1.0} <= set(expected[0])


@torch.no_grad()
def test_a_weighted_loss_is_that_of_the_targets_with_weights() -> None:
    torch.manual_seed(0)
    network, ids = Network(small_config(300)), torch.randint(300, (2, 12))
    targets = ids.roll(-1, 1)
    targets[0, 5] = 300  # a mark
    alike = network.loss(ids, targets, weights=torch.full((2, 12), 0.5))
    torch.testing.assert_close(alike, network.loss(ids, targets))
    chosen = torch.arange(24).view(2, 12) % 3 == 2  # and so is the mark
    some = network.loss(ids, targets, weights=chosen.float())
    torch.testing.assert_close(some, network.loss(ids, torch.where(chosen, targets, 300)))
    assert abs(some - alike) > 0.01


def test_crops_begin_where_a_file_begins(tmp_path: Path) -> None:
    config = small_config(300)
    packed = np.tile(np.arange(50), 40).astype(np.uint16)
    packed[::50] = config.file_start
    np.save(tmp_path / "english-000.npy", packed)
    ids = np.concatenate([Tokens(tmp_path, config, seed).batch(50, 20)[0].numpy() for seed in range(20)])
    begins = ids[:, 0] == config.file_start
    assert ((ids[:, 1] == 1) == begins).all()
    assert 0.02 < begins.mean() < 0.12  # 5 %, and one in fifty of the others
    assert (ids[~begins, 0] == config.cut_start).all()


def test_shares_can_be_given(made: Path, tmp_path: Path) -> None:
    shares = train.shares_of(["english=0.4", "code=0"])
    assert (shares["english"], shares["code"], shares["docs"]) == (0.4, 0, pack.WEIGHTS["docs"])
    run(train.main, made / "tokens", tmp_path / "run", "--share", "english=2", "--steps", 1, "--layers", 1, *SIZE)
    for change, what in (("english", "not DOMAIN=SHARE"), ("greek=1", "is one of"), ("code=-1", "at least 0")):
        result = CliRunner().invoke(train.main, [str(made / "tokens"), str(tmp_path / "none"), "--share", change])
        assert result.exit_code == 1 and what in result.output


def test_muon_is_that_of_torch() -> None:
    torch.manual_seed(0)
    begin = [torch.randn(shape) for shape in ((6, 4), (6, 4), (4, 6), (5, 5), (4, 6))]
    ours, theirs = ([torch.nn.Parameter(matrix.clone()) for matrix in begin] for _ in range(2))
    options = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.01}
    optimizers = Muon(ours, **options), torch.optim.Muon(theirs, **options)
    for _ in range(4):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn(one.shape)
            other.grad = one.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for one, other, first in zip(ours, theirs, begin, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-4)  # bfloat16 products in another order
        assert (one - first).abs().max() > 0.03


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_attention_sees_the_same_window() -> None:
    torch.manual_seed(0)
    config = dataclasses.replace(small_config(300), num_attention_heads=2, hidden_size=128, sliding_window=40)
    network = Network(config)
    torch.nn.init.normal_(network.layers[0].out.weight, std=0.1)  # type: ignore[union-attr, arg-type]
    ids = torch.randint(0, 300, (2, 128))
    with torch.no_grad():
        expected = network(ids)
        torch.testing.assert_close(network(ids, window_mask(40, 128, "cpu")), expected, rtol=1e-4, atol=1e-5)
        assert (network(ids, window_mask(39, 128, "cpu")) - expected).abs().max() > 1e-3


@pytest.mark.gpu
def test_compiled_attention_on_a_gpu_has_the_same_gradients() -> None:
    torch.manual_seed(0)
    config = dataclasses.replace(small_config(300), num_attention_heads=2, hidden_size=128, sliding_window=40)
    network = Network(config).cuda()
    torch.nn.init.normal_(network.layers[0].out.weight, std=0.1)  # type: ignore[union-attr, arg-type]
    ids = torch.randint(0, 300, (2, 128), device="cuda")
    network.loss(ids, ids).backward()  # type: ignore[no-untyped-call]
    expected = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    network.zero_grad()
    torch.compile(network.loss)(ids, ids, window_mask(40, 128, "cuda")).backward()
    for parameter, gradient in zip(network.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=0.02, atol=1e-4)


def test_a_quantised_network_sees_rounded_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = Network(dataclasses.replace(small_config(300), ngram_rows=64))
    torch.nn.init.normal_(network.ngrams.weight)
    ids = torch.randint(0, 300, (2, 30))
    monkeypatch.setattr(Matrix, "quantised", True)
    with torch.no_grad():
        seen = network(ids)
        network.ngrams.weight.copy_(training_network.rounded(network.ngrams.weight, 7))
        network.embedding.weight.copy_(training_network.rounded(network.embedding.weight, 63))
        torch.testing.assert_close(network(ids), seen)


def test_weights_are_averaged(made: Path, tmp_path: Path) -> None:
    go_on = [made / "tokens", tmp_path, "--init", made / "run", "--layers", 2, "--average-from", 0.5, *SIZE]
    run(train.main, *go_on, "--steps", 4)
    averaged = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert averaged["averaged"] == 2
    run(train.main, *go_on, "--steps", 5)
    last = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    taken = load_weights(tmp_path)[1]
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
    first, other, mean = (load_weights(folder)[1] for folder in (made / "run", tmp_path / "other", tmp_path / "mean"))
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


def test_weights_travel_in_pieces(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 50_000)
    run(pieces.main, "split", made / "run", tmp_path / "pieces")
    files = sorted((tmp_path / "pieces").glob("weights-*.bin"))
    assert len(files) > 2 and max(path.stat().st_size for path in files) == 50_000
    run(pieces.main, "join", tmp_path / "pieces", tmp_path / "joined")
    (config, first), (other_config, joined) = (load_weights(folder) for folder in (made / "run", tmp_path / "joined"))
    assert config == other_config and first.keys() == joined.keys()
    table = first.pop("ngrams.weight")
    torch.testing.assert_close(joined.pop("ngrams.weight"), training_network.rounded(table, 7))
    torch.testing.assert_close(joined, first, rtol=1e-3, atol=1e-6)
    run(export.main, tmp_path / "joined", made / "tokens", tmp_path / "model", "joined")

    files[1].unlink()
    result = CliRunner().invoke(pieces.main, ["join", str(tmp_path / "pieces"), str(tmp_path / "none")])
    assert result.exit_code == 1 and "not all pieces" in result.output and not (tmp_path / "none").exists()


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
