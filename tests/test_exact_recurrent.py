"""Recurrent networks: the same integers whatever the calls, batches and engines, and the recurrence that RWKV-4 has."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import LARGEST_GAIN, LARGEST_SCALE, RWKV, check_finite, evaluate, make_ids, make_weights
from transformers.models.rwkv.modeling_rwkv import rwkv_linear_attention_cpu

from lmzip.models.exact import arithmetic
from lmzip.models.exact.arithmetic import WEIGHT_MAX
from lmzip.models.exact.backends import make_engine, without_end
from lmzip.models.exact.config import NetworkConfig
from lmzip.models.exact.cpu import recurrence
from lmzip.models.exact.cpu.arguments import Recurrence
from lmzip.models.exact.cpu.engine import CPUEngine
from lmzip.models.exact.engine import RECURRENT_DIGEST, recurrent_networks, reference_digest
from lmzip.models.exact.torch import recurrence as torch_recurrence
from lmzip.models.exact.torch import rows as torch_rows
from lmzip.models.exact.torch.engine import TorchEngine
from lmzip.models.exact.torch.products import PRODUCTS, is_exact
from lmzip.models.exact.weights import BIAS_LIMIT, MIX_LIMIT, Weights
from lmzip.models.importing.importer import exponents

ALL = tuple(RWKV.product_names())


def make_recurrent(config: NetworkConfig, seed: int, **options: Any) -> Weights:
    """Draw weights whose states fade, each channel at a speed of its own."""
    weights = make_weights(config, seed, **options)
    for name, vector in weights.biases.items():
        if name.endswith(".decay"):
            vector[:] = -np.exp(np.linspace(-9, 3, len(vector)))
    return weights


def cpu(config: NetworkConfig, seed: int = 0) -> Any:
    return without_end(CPUEngine(make_recurrent(config, seed)))


def on_torch(config: NetworkConfig, seed: int = 0) -> Any:
    return without_end(TorchEngine(make_recurrent(config, seed), "cpu"))


# One set of integers.


def test_recurrent_digest() -> None:
    names = [name for name, product in PRODUCTS.items() if is_exact(product)]
    makers = [CPUEngine, *(lambda weights, name=name: TorchEngine(weights, "cpu", name) for name in names)]
    assert [reference_digest(*map(make, recurrent_networks())) for make in makers] == [RECURRENT_DIGEST] * len(makers)


CONFIGS: list[dict[str, Any]] = [
    {},
    {"wide": ALL},
    {"wide": ALL[1::2], "tie_word_embeddings": True},
    {"hidden_size": 37, "intermediate_size": 51, "head_dim": 40, "wide": ALL[::2]},
    {"hidden_size": 2200, "head_dim": 2200, "num_hidden_layers": 1, "wide": ALL[:3]},
    {"vocab_size": 2},
    {"context": 10, "reread": 0},
    {"context": 10, "reread": 4, "wide": ALL},
]


@pytest.mark.parametrize("changes", CONFIGS, ids=str)
def test_engines_agree_on_every_shape(changes: dict[str, Any]) -> None:
    config = dataclasses.replace(RWKV, **changes)
    ids = make_ids(config, 3, 45)
    rows = evaluate(cpu(config), ids, 7)
    assert np.array_equal(rows, evaluate(on_torch(config), ids, 5))
    assert np.array_equal(rows[:, 1:2], evaluate(cpu(config), ids[1:2], 1))


@pytest.mark.parametrize("make", [cpu, on_torch])
def test_chunks_and_batches_of_any_size(make: Any) -> None:
    engine, ids = make(RWKV), make_ids(RWKV, 64, 70)
    whole = evaluate(engine, ids, 70)  # more rows than are worked on together
    state = engine.start(7, 30)
    parts = [engine.forward(state, part) for part in np.split(ids[20:27], (1, 30, 33, 63), axis=1)]
    assert np.array_equal(np.concatenate(parts), whole[:, 20:27])
    assert np.array_equal(evaluate(engine, ids[-1:], 1), whole[:, -1:])


@given(
    seed=st.integers(0, 2**32 - 1),
    scales=st.tuples(st.integers(-149, 0), st.integers(-149, 0)).map(lambda pair: (min(pair), max(pair))),
    gain=st.sampled_from([0.0, 2.0**-126, 2.0**-40, 1.0, MIX_LIMIT]),
    wide=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_engines_agree_on_extreme_weights(seed: int, scales: tuple[int, int], gain: float, wide: bool) -> None:
    config = dataclasses.replace(RWKV, wide=ALL if wide else ())
    weights = make_weights(config, seed, scales, gain)
    ids = make_ids(config, 2, 20)
    assert np.array_equal(evaluate(CPUEngine(weights), ids, 10), evaluate(TorchEngine(weights, "cpu"), ids, 10))


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_weights_stay_finite(sign: int, monkeypatch: pytest.MonkeyPatch) -> None:
    check_finite(monkeypatch)
    weights = make_weights(dataclasses.replace(RWKV, wide=ALL), 0, (0, 0))
    for matrix in weights.matrices.values():
        matrix.values[1::2] = WEIGHT_MAX
        matrix.scale[:] = LARGEST_SCALE
    for name, gain in weights.gains.items():
        gain[:] = sign * MIX_LIMIT if name.endswith("_mix") else LARGEST_GAIN
    for bias in weights.biases.values():
        bias[:] = sign * BIAS_LIMIT
    ids = make_ids(RWKV, 2, 20)
    assert np.array_equal(evaluate(CPUEngine(weights), ids, 10), evaluate(TorchEngine(weights, "cpu"), ids, 10))


@pytest.mark.gpu
@pytest.mark.parametrize("batch", [1, 64])
def test_cuda_agrees_with_the_cpu(batch: int) -> None:
    for changes in CONFIGS:
        config = dataclasses.replace(RWKV, **changes)
        ids = make_ids(config, batch, 45)
        cuda = without_end(TorchEngine(make_recurrent(config, 0), "cuda"))
        assert np.array_equal(evaluate(cuda, ids, 1), evaluate(cpu(config), ids, 7))


# The state.


def test_what_a_window_remembers_has_one_size() -> None:
    assert RWKV.window_bytes(1) == RWKV.window_bytes(10_000)
    for engine in (CPUEngine(make_recurrent(RWKV, 0)), TorchEngine(make_recurrent(RWKV, 0), "cpu")):
        state = engine.start(3, 16)
        engine.read(state, make_ids(RWKV, 3, 16))
        arrays = [
            array for layer in state.layers for array in (vars(layer).values() if hasattr(layer, "__dict__") else layer)
        ]
        assert sum(array.nbytes for array in arrays) == 3 * RWKV.window_bytes(16)


def test_networks_without_an_end_are_never_read_again() -> None:
    assert type(make_engine(make_recurrent(RWKV, 0))[1]) is CPUEngine
    ids = make_ids(RWKV, 1, 3000)
    assert np.array_equal(evaluate(cpu(RWKV), ids, 500)[-1], evaluate(on_torch(RWKV), ids, 300)[-1])


def test_a_full_context_begins_with_an_empty_state() -> None:
    config = dataclasses.replace(RWKV, context=12, reread=3)
    ids = make_ids(config, 2, 40)
    whole = evaluate(cpu(config), ids, 7)
    for first in (9, 18, 27):  # twelve positions, three of which are read again
        part = ids[:, first : first + 12].copy()
        part[:, 0] = config.cut_start
        assert np.array_equal(evaluate(cpu(RWKV), part, 12)[3:], whole[first + 3 : first + 12])


def reference(keys: torch.Tensor, values: torch.Tensor, decay: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
    """Return what RWKV reads, in float64, (positions, channels); decay is that of the exponent, negative."""
    out, _ = rwkv_linear_attention_cpu(
        (-decay.double()).log(), first.double(), keys[None].double(), values[None].double()
    )
    return out[0]


@pytest.mark.parametrize("spread", [0.5, 3.0, 30.0])
def test_the_recurrence(spread: float) -> None:
    rng = np.random.default_rng(0)
    keys, values = (rng.normal(0, s, (600, 48)).astype(np.float32) for s in (spread, 1.0))
    decay = -np.exp(np.linspace(-9, 3, 48)).astype(np.float32)
    first = rng.normal(0, 2, 48).astype(np.float32)
    tensors = [torch.from_numpy(x) for x in (keys, values, decay, first)]
    expected = reference(*tensors)
    state = torch_recurrence.Recurrence.empty(1, 1, 48, "cpu")
    found = torch_recurrence.recur(state, tensors[0][None], tensors[1][None], tensors[2], tensors[3])[0]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    sums = np.zeros((3, 48), np.float32)
    sums[2] = arithmetic.NO_EXPONENT
    memory = Recurrence(sums[:1], sums[:1], *sums[:, None])
    for position, (key, value) in enumerate(zip(keys, values, strict=True)):
        read = np.full(48, 100, np.float32)  # a receptance of 1
        recurrence._recur(key, value, read, decay, first, memory, 0)
        assert np.array_equal(read, found[position].numpy())
    assert np.array_equal(sums, torch.cat((state.numerator, state.denominator, state.exponent)).numpy())


def test_sigmoid() -> None:
    x = np.concatenate((np.linspace(-30, 30, 1001), [-1e30, 1e30, 0.0])).astype(np.float32)
    found = torch_rows.sigmoid(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-np.clip(x.astype(np.float64), -700, 700))), atol=3e-6)
    assert np.array_equal([recurrence.sigmoid(value) for value in x], found)


def test_decays_of_all_kinds() -> None:
    logarithms = np.array([-200, -5, 0, 2.5, 9, 50, 3e38], np.float32)
    found = exponents(logarithms)
    np.testing.assert_allclose(found, -np.exp(np.minimum(logarithms.astype(np.float64), 10)), rtol=1e-7, atol=1e-45)
    assert found.dtype == np.float32 and (np.exp(found[-2:]) == 0).all()


# Configurations and weights.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mixer": "mamba"}, "mixer must be one of attention, rwkv4, not 'mamba'"),
        ({"mixer": "attention"}, "recurrent networks have the positions none, and no others have"),
        ({"positions": "rope"}, "recurrent networks have the positions none"),
        ({"norm": "rms"}, "recurrent networks have layer norms"),
        ({"biases": ("out",)}, "recurrent networks have layer norms, one head, and no biases"),
        ({"num_attention_heads": 2}, "one head"),
        ({"wide": ("layers.0.qkv",)}, "wide has a name twice or one that the network lacks"),
    ],
)
def test_configurations_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(RWKV, **changes)


@pytest.mark.parametrize(
    ("group", "name", "value", "message"),
    [
        ("gains", "layers.1.time_key_mix", np.full(64, 17, np.float32), "has a gain beyond 16"),
        ("gains", "embedding_norm", np.full(64, np.nan, np.float32), "embedding_norm has a gain beyond 1024"),
        ("biases", "layers.0.decay", np.full(64, -np.inf, np.float32), "layers.0.decay has a bias beyond"),
        ("biases", "layers.0.first", np.ones(63, np.float32), "layers.0.first is missing or not 64 float32"),
    ],
)
def test_bad_vectors_are_named(group: str, name: str, value: np.ndarray, message: str) -> None:
    weights = make_recurrent(RWKV, 0)
    getattr(weights, group)[name] = value
    with pytest.raises(ValueError, match=message):
        Weights(RWKV, weights.matrices, weights.gains, weights.biases)


def test_weights_come_back_from_a_file(tmp_path: Any) -> None:
    weights = make_recurrent(RWKV, 3)
    weights.save(tmp_path / "weights.safetensors")
    loaded = Weights.load(tmp_path / "weights.safetensors", NetworkConfig.from_dict(dataclasses.asdict(RWKV)))
    ids = make_ids(RWKV, 1, 9)
    assert np.array_equal(evaluate(CPUEngine(loaded), ids, 9), evaluate(CPUEngine(weights), ids, 9))
