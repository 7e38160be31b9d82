"""The parts of the exact engines: the right function, products, weights and configurations."""

from __future__ import annotations

import dataclasses
import json
import math
import platform
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import SMALL, assert_frequencies, evaluate, make_ids, make_weights
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from lmzip.models.exact import backends
from lmzip.models.exact.arithmetic import ACTIVATION_MAX, FREQUENCY_TOTAL, GELU_1, GELU_3, OUTPUT_ONE, WEIGHT_MAX
from lmzip.models.exact.config import LARGEST, NetworkConfig
from lmzip.models.exact.cpu import kernels
from lmzip.models.exact.cpu.engine import CPUEngine
from lmzip.models.exact.cpu.panels import pack, pack_bytes, padded, product, weight_product
from lmzip.models.exact.cpu.rows import exp_integer, left_factor
from lmzip.models.exact.cpu.team import make_team
from lmzip.models.exact.engine import reference_network
from lmzip.models.exact.ngrams import rows_of
from lmzip.models.exact.rope import rope_between
from lmzip.models.exact.torch import products
from lmzip.models.exact.torch import rows as torch_rows
from lmzip.models.exact.torch.products import PRODUCTS, best_product, is_exact
from lmzip.models.exact.weights import (
    BIAS_LIMIT,
    GAIN_LIMIT,
    MIX_LIMIT,
    NIBBLE_MAX,
    POST_NORM_LIMIT,
    SCALE_LIMIT,
    Matrix,
    Weights,
)
from lmzip.models.training import network as training

# The right function.


def softmax_bits(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log2 of the softmax of the last axis."""
    logits = logits - logits.max(axis=-1, keepdims=True)
    return (logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))) / np.log(2)


@pytest.mark.parametrize(("qk_norm", "tied"), [(True, True), (False, False)])
def test_agrees_with_the_float_network(qk_norm: bool, tied: bool) -> None:
    config = dataclasses.replace(SMALL, qk_norm=qk_norm, tie_word_embeddings=tied)
    torch.manual_seed(0)
    network = training.Network(config)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
            else:
                parameter.normal_(std=parameter.shape[1] ** -0.5)
            if name == "ngrams.weight":
                parameter.copy_(training.rounded(parameter, NIBBLE_MAX))  # 4 bits would cost more than all the rest
        ids = make_ids(config, 8, 40)
        expected = softmax_bits(network(torch.from_numpy(ids).long()).double().numpy())
    tensors = {name: parameter.detach().numpy() for name, parameter in network.named_parameters()}

    def divergence(config: NetworkConfig) -> float:
        rows = evaluate(CPUEngine(Weights.from_float(config, tensors)), ids, 8).transpose(1, 0, 2)
        return float((2**expected * (expected - np.log2(rows / FREQUENCY_TOTAL))).sum(axis=-1).mean())

    right = divergence(config)
    wrong = [
        divergence(dataclasses.replace(config, sliding_window=9)),
        divergence(dataclasses.replace(config, rope_theta=500.0)),
    ]
    assert right < 0.005
    assert min(wrong) > 10 * right


@given(
    seed=st.integers(0, 2**32 - 1),
    alphabet=st.sampled_from([1, 2, 3, 61, 256, 4099, 40_000]),
    exponent=st.integers(-40, 20),
    spread=st.integers(0, 20),
)
@settings(max_examples=60, deadline=None)
def test_frequencies(seed: int, alphabet: int, exponent: int, spread: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.integers(-(1 << spread), (1 << spread) + 1, (3, alphabet)).astype(np.int32)
    scale = np.ldexp(rng.uniform(0.5, 1, 3), exponent).astype(np.float32)
    weight_scale = np.ones(alphabet, np.float32)
    rows = np.empty((3, alphabet), np.uint32)
    kernels.frequencies(y, scale, weight_scale, rows)
    assert_frequencies(rows)
    z = y.astype(np.float32) * scale[:, None]
    assert np.array_equal(torch_rows.frequencies(torch.from_numpy(z)).numpy(), rows)
    wide = z.astype(np.float64)
    likely = np.exp2(softmax_bits(wide)) * (FREQUENCY_TOTAL - alphabet) + 1
    others = np.arange(alphabet) != z.argmax(axis=1)[:, None]  # the first maximum also takes what is left
    assert (np.abs(rows - likely)[others] <= 2 + 2e-5 * likely[others]).all()
    assert (rows.argmax(axis=1) == z.argmax(axis=1)).all()


def test_exp_integer() -> None:
    x = np.concatenate((np.linspace(0, 25, 5000), [np.inf, 3e38, 1e-45])).astype(np.float32)
    values = np.array([exp_integer(v, OUTPUT_ONE) for v in x])
    expected = np.exp(-x.astype(np.float64)) * float(OUTPUT_ONE)
    assert (np.abs(values - expected) <= 1 + 6e-6 * expected).all()
    assert values[0] == values[-1] == OUTPUT_ONE
    assert np.array_equal(torch_rows.exp_integer(torch.from_numpy(x), float(OUTPUT_ONE)).numpy(), values)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_torch_operations_round_once(device: str) -> None:
    x = np.exp(np.random.default_rng(0).uniform(-30, 30, 200_000))
    assert np.array_equal(
        torch_rows.square_root(torch.from_numpy(x).to(device)).cpu().numpy(), [math.sqrt(v) for v in x]
    )
    x32 = x.astype(np.float32)
    there = torch.from_numpy(x32).to(device)
    assert np.array_equal(torch_rows.ratio(127.0, there).cpu().numpy(), np.float32(127) / x32)
    assert np.array_equal((there / torch_rows.constant(127.0, there)).cpu().numpy(), x32 / np.float32(127))


@pytest.mark.parametrize(
    ("head_dim", "theta", "start", "stop"),
    [(16, 10000.0, 0, 300), (64, 1e6, 69_000, 70_000), (2, 1.0, 2**24, 2**24 + 1)],
)
def test_rope(head_dim: int, theta: float, start: int, stop: int) -> None:
    cos, sin = rope_between(head_dim, theta, (), start, stop)
    angles = np.arange(start, stop)[:, None] * theta ** (-np.arange(0, head_dim, 2) / head_dim)
    assert cos.dtype == sin.dtype == np.float32
    assert cos.shape == sin.shape == angles.shape
    np.testing.assert_allclose(cos, np.cos(angles), rtol=0, atol=1e-7)
    np.testing.assert_allclose(sin, np.sin(angles), rtol=0, atol=1e-7)
    for position in (start, (start + stop) // 2, stop - 1):
        for whole, row in zip((cos, sin), rope_between(head_dim, theta, (), position, position + 1), strict=True):
            assert np.array_equal(row, whole[position - start : position - start + 1])


@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_a_long_window_takes_no_more_memory(backend: str) -> None:
    engine = backends.BACKENDS[backend](reference_network())
    state = engine.start(2, 300)
    engine.read(state, np.zeros((2, 300), np.int32))
    tracemalloc.start()
    try:
        for state.position in (10_000, 10_000_000):
            engine.read(state, np.zeros((2, 300), np.int32))
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


# Products.


def test_products_are_exact_here() -> None:
    exact = {name for name, product in PRODUCTS.items() if is_exact(product)}
    x86 = platform.machine() in ("x86_64", "AMD64") and torch.backends.mkldnn.is_available()
    assert exact >= (set(PRODUCTS) if x86 else {"float32", "float64"})


class Saturating(products.FloatProduct):
    """Adds pairs of x + 128 in 16 bits, as AVX2 does; twice the weights are too much for it."""

    def multiply(self, x: torch.Tensor, prepared: Any) -> torch.Tensor:
        weight = 2 * prepared[0].t()
        pairs = ((x.double()[:, None] + 128) * weight).unflatten(2, (-1, 2)).sum(dim=3)
        return (pairs.clamp(-(1 << 15), (1 << 15) - 1).sum(dim=2) - 128 * weight.sum(dim=1)) / 2


class Missing(products.FloatProduct):
    def prepare(self, weight: torch.Tensor) -> Any:
        raise NotImplementedError("no kernel for this device")


@pytest.mark.parametrize(
    "product",
    [
        Saturating(torch.float64, 1 << 20),
        Missing(torch.float64, 1 << 20),
        products.FloatProduct(torch.bfloat16, 64),
    ],
    ids=["saturating", "missing", "bfloat16"],
)
def test_other_products_are_refused(product: products.Product) -> None:
    assert not is_exact(product)


@pytest.mark.parametrize("name", PRODUCTS)
def test_deep_products(name: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.choice([-127, -126, 126, 127], (20, 5000)).astype(np.int8)
    weight = rng.choice([-63, -62, 62, 63], (24, 5000)).astype(np.int8)
    x[0], weight[0] = 127, 63
    product = PRODUCTS[name]
    result = product.multiply(torch.from_numpy(x), product.prepare(torch.from_numpy(weight)))
    assert np.array_equal(result.numpy(), x.astype(np.int64) @ weight.T.astype(np.int64))


def test_best_product(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_exact(PRODUCTS[best_product()])
    monkeypatch.setattr(products, "_is_exact_here", lambda name, device: name == "float64")
    assert best_product() == "float64"
    monkeypatch.setattr(products, "_is_exact_here", lambda name, device: False)
    with pytest.raises(RuntimeError, match="no exact matrix product on cpu"):
        best_product()


@pytest.mark.parametrize(("rows", "depth", "columns"), [(1, 256, 4096), (4, 64, 256), (7, 37, 51), (62, 768, 33)])
def test_products_in_panels(rows: int, depth: int, columns: int) -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-128, 128, (columns, depth)).astype(np.int8)
    weight[0] = -128
    panels = pack(weight)
    x = np.zeros((rows, 2 * panels.shape[1]), np.int16)
    x[:, :depth] = rng.integers(-(1 << 14), (1 << 14) + 1, (rows, depth))
    x[0, :depth] = -(1 << 14)
    y = np.full((rows, padded(columns)), -1, np.int32)
    product(x, panels, y)
    assert np.array_equal(y[:, :columns], x[:, :depth].astype(np.int64) @ weight.T.astype(np.int64))
    assert (y[:, columns:] == 0).all()


@pytest.mark.parametrize(("rows", "depth", "columns"), [(1, 256, 4096), (4, 64, 256), (7, 37, 51), (62, 768, 33)])
@pytest.mark.parametrize("make", [pack, pack_bytes])
def test_products_with_weights(make: Callable[..., Any], rows: int, depth: int, columns: int) -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-63, 64, (columns, depth)).astype(np.int8)
    weight[0], weight[-1] = 63, -63
    panels = make(weight)
    x = np.zeros((rows, left_factor(1, panels).shape[1]), np.int16)
    x[:, :depth] = rng.integers(-127, 128, (rows, depth))
    x[0, :depth], x[-1, :depth] = -127, 127
    y = np.full((rows, padded(columns)), -1, np.int32)
    for member in make_team(3):  # which share the columns; nobody meets here
        weight_product(x, panels, y, member)
    assert np.array_equal(y[:, :columns], x[:, :depth].astype(np.int64) @ weight.T.astype(np.int64))
    assert (y[:, columns:] == 0).all()


# Weights and configurations.


def spoil(name: str, **changes: Any) -> Callable[[Weights], None]:
    return lambda w: w.matrices.update({name: dataclasses.replace(w.matrices[name], **changes)})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda w: w.matrices.pop("head"), "head is missing"),
        (lambda w: w.gains.pop("layers.1.k_norm"), "layers.1.k_norm is missing"),
        (spoil("layers.0.out", values=np.zeros((64, 65), np.int8)), "layers.0.out is missing or not of shape"),
        (spoil("layers.0.out", scale=np.ones(65, np.float32)), "layers.0.out is missing or not of shape"),
        (spoil("layers.0.out", values=np.zeros((64, 64), np.int16)), "not int8"),
        (spoil("layers.0.out", scale=np.ones(64)), "not int8 with float32"),
        (spoil("layers.0.out", values=np.full((64, 64), -64, np.int8)), "beyond 63"),
        (spoil("layers.0.out", values=np.full((64, 64), -128, np.int8)), "beyond 63"),
        (spoil("layers.0.out", scale=np.full(64, -1, np.float32)), "scale"),
        (spoil("layers.0.out", scale=np.full(64, np.nan, np.float32)), "scale"),
        (spoil("layers.0.out", scale=np.full(64, np.inf, np.float32)), "scale"),
        (lambda w: w.gains.update(norm=np.full(64, np.nan, np.float32)), "norm has a gain beyond"),
        (lambda w: w.gains.update(norm=np.ones(64)), "norm is missing or not 64 float32"),
        (lambda w: w.gains.update(norm=np.ones(63, np.float32)), "norm is missing or not 64 float32"),
    ],
)
def test_bad_weights_are_named(damage: Callable[[Weights], object], message: str) -> None:
    weights = make_weights(SMALL, 0)
    damage(weights)
    with pytest.raises(ValueError, match=message):
        Weights(SMALL, weights.matrices, weights.gains)


@pytest.mark.parametrize("tied", [True, False])
def test_weights_come_back_from_a_file(tied: bool, tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, tie_word_embeddings=tied)
    weights = make_weights(config, 3)
    weights.save(tmp_path / "weights.safetensors")
    loaded = Weights.load(tmp_path / "weights.safetensors", config)
    assert loaded.matrices.keys() == weights.matrices.keys()
    assert all(np.array_equal(m.values, loaded.matrices[n].values) for n, m in weights.matrices.items())
    assert all(np.array_equal(m.scale, loaded.matrices[n].scale) for n, m in weights.matrices.items())
    assert loaded.gains.keys() == weights.gains.keys()
    assert all(np.array_equal(gain, loaded.gains[n]) for n, gain in weights.gains.items())
    ids = make_ids(config, 1, 5)
    assert np.array_equal(evaluate(CPUEngine(loaded), ids, 5), evaluate(CPUEngine(weights), ids, 5))


def test_damaged_weight_files(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    make_weights(SMALL, 0).save(path)
    with pytest.raises(ValueError, match="embedding is missing or not of shape"):
        Weights.load(path, dataclasses.replace(SMALL, vocab_size=60))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"weights\.safetensors"):
        Weights.load(path, SMALL)


def test_a_matrix_is_rounded_to_seven_bits() -> None:
    weight = np.random.default_rng(0).normal(size=(50, 40)).astype(np.float32)
    weight[7] = 0
    matrix = Matrix.rounded(weight)
    assert (np.abs(matrix.values).max(axis=1) == np.where(np.arange(50) == 7, 0, 63)).all()
    assert (np.abs(matrix.values * matrix.scale[:, None] - weight) <= 0.5001 * matrix.scale[:, None]).all()


def test_half_a_byte_a_value(tmp_path: Path) -> None:
    weights = make_weights(SMALL, 0)
    weights.save(tmp_path / "weights")
    stored = load_file(tmp_path / "weights")["ngrams.nibbles"]
    assert stored.shape == (32, 32) and stored.dtype == np.uint8
    again = Weights.load(tmp_path / "weights", SMALL).matrix("ngrams")
    assert np.array_equal(again.values, weights.matrix("ngrams").values)
    assert set(np.unique(again.values)) == {*range(-7, 8)}
    wide = weights.matrices | {"ngrams": Matrix.rounded(np.ones((32, 64), np.float32))}
    with pytest.raises(ValueError, match="ngrams has values beyond 7"):
        Weights(SMALL, wide, weights.gains)
    save_file({**load_file(tmp_path / "weights"), "ngrams.nibbles": stored.astype(np.int8)}, tmp_path / "weights")
    with pytest.raises(ValueError, match="not a matrix of bytes"):
        Weights.load(tmp_path / "weights", SMALL)


def test_ngrams_depend_on_two_symbols_before() -> None:
    ids = np.random.default_rng(0).integers(0, 4096, (2, 12))
    pairs, triples = rows_of(ids, 1 << 16)
    assert pairs.shape == triples.shape == (2, 10)
    assert [int(rows[0, 0]) for rows in rows_of(np.array([[7, 8, 9]]), 1 << 16)] == [18347, 14903]  # FORMAT.md
    for back, changed in enumerate(((True, True), (True, True), (False, True), (False, False))):
        other = ids.copy()
        other[0, 8 - back] += 1
        other_pairs, other_triples = rows_of(other, 1 << 16)
        assert (pairs[0, 6] != other_pairs[0, 6], triples[0, 6] != other_triples[0, 6]) == changed
    torch_rows = rows_of(torch.from_numpy(ids), 1 << 16)
    assert np.array_equal(torch_rows[0], pairs) and np.array_equal(torch_rows[1], triples)


def test_no_network_within_the_limits_overflows() -> None:
    """Bounds of all that the layers compute, by the largest sizes, scales, gains, biases and shares of mixtures."""
    hidden, inner, layers = (LARGEST[name] for name in ("hidden_size", "intermediate_size", "num_hidden_layers"))
    assert max(hidden, inner) * WEIGHT_MAX * ACTIVATION_MAX < 1 << 31

    def product(depth: int, largest: float) -> float:
        return WEIGHT_MAX * SCALE_LIMIT * depth * largest * 1.01 + BIAS_LIMIT  # a hundredth for all rounding

    normal = math.sqrt(hidden) * GAIN_LIMIT + BIAS_LIMIT
    embedded = 4 * WEIGHT_MAX * SCALE_LIMIT
    up = product(hidden, normal)
    gelu = (float(GELU_3) * up * up + float(GELU_1)) * up
    residual = embedded + layers * (product(inner, up * up) + product(inner, up))
    normed = embedded + layers * 2 * math.sqrt(hidden) * POST_NORM_LIMIT
    mixed = product(hidden, normal * (2 * MIX_LIMIT + 1))  # of a recurrent network, whose norms subtract the mean first
    recurrent = embedded + layers * (product(inner, mixed * mixed) + product(inner, mixed))
    state = mixed * (1 << 26)  # a value for each byte of the longest block, none of them faded
    assert max(gelu, residual * GAIN_LIMIT, normed * GAIN_LIMIT, recurrent, state) < float(np.finfo(np.float32).max)


@pytest.mark.parametrize("name", LARGEST)
def test_larger_networks_are_refused(name: str) -> None:
    assert getattr(dataclasses.replace(SMALL, **{name: LARGEST[name]}), name) == LARGEST[name]
    with pytest.raises(ValueError, match=f"{name} must be 1 to {LARGEST[name]}"):
        dataclasses.replace(SMALL, **{name: LARGEST[name] + 1})
    with pytest.raises(ValueError, match="heads of 262144 values"):
        dataclasses.replace(SMALL, num_attention_heads=SMALL.num_key_value_heads << 14)


def test_configurations() -> None:
    for count in (-1, 3, 1 << 25):
        with pytest.raises(ValueError, match="ngram_rows must be 0 or a power of 2"):
            dataclasses.replace(SMALL, ngram_rows=count)
    assert NetworkConfig.from_dict(json.loads(SMALL.to_json())) == SMALL
    with pytest.raises(TypeError, match="mixture"):
        NetworkConfig.from_dict({**dataclasses.asdict(SMALL), "mixture": 8})
    with pytest.raises(ValueError, match="multiple of num_key_value_heads"):
        dataclasses.replace(SMALL, num_key_value_heads=3)
    with pytest.raises(ValueError, match="head_dim must be even"):
        dataclasses.replace(SMALL, head_dim=15)
    assert (SMALL.file_start, SMALL.cut_start) == (61, 62)
