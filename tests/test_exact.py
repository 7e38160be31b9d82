"""The exact network: one set of integers, whatever the engine, product, batch, chunk, thread count or processor."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lmzip.models.exact import arithmetic, kernels, products, torch_engine
from lmzip.models.exact.arithmetic import FREQUENCY_TOTAL, OUTPUT_ONE
from lmzip.models.exact.config import NetworkConfig
from lmzip.models.exact.cpu_engine import CPUEngine
from lmzip.models.exact.engine import REFERENCE_DIGEST, Engine, reference_digest, reference_network
from lmzip.models.exact.products import FLOAT32_DEPTH, PRODUCTS, best_product, is_exact
from lmzip.models.exact.torch_engine import TorchEngine
from lmzip.models.exact.weights import Matrix, Weights
from lmzip.models.training import train

Frequencies = NDArray[np.uint32]

SMALL = NetworkConfig(
    vocab_size=61, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=16, sliding_window=8, qk_norm=True, tie_word_embeddings=False,
)  # fmt: skip
# Its head is large enough for the packed product.
WIDE = dataclasses.replace(SMALL, vocab_size=4099)
# The largest scales and gains for which no float of a network can leave float32's range.
LARGEST_SCALE, LARGEST_GAIN = 1.0, 1024.0


def make_weights(config: NetworkConfig, seed: int, scales: tuple[int, int] = (-10, -4), gain: float = 2.0) -> Weights:
    """Draw weights with rows of extremes and zeros among them; scales are powers of two with these exponents."""
    rng = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> Matrix:
        values = rng.integers(-63, 64, (rows, columns)).astype(np.int8)
        for value in (-63, 0, 63):
            values[rng.random(rows) < 0.05] = value
        return Matrix(values, np.ldexp(np.float32(1), rng.integers(*scales, rows, endpoint=True)).astype(np.float32))

    shapes = {"embedding": (config.vocab_size + 2, config.hidden_size), **config.matrix_shapes()}
    gains = {n: rng.uniform(-gain, gain, k).astype(np.float32) for n, k in Weights.gain_lengths(config).items()}
    return Weights(config, {n: matrix(*shape) for n, shape in shapes.items()}, gains)


def make_ids(config: NetworkConfig, batch: int, positions: int) -> NDArray[np.int32]:
    rng = np.random.default_rng(positions)
    return rng.integers(0, config.vocab_size + 2, (batch, positions)).astype(np.int32)


def evaluate(engine: Engine, ids: NDArray[np.int32], steps: int) -> Frequencies:
    """Read ids in calls of `steps` positions; every row of frequencies must be one."""
    state = engine.start(len(ids), steps)
    parts = [engine.forward(state, ids[:, i : i + steps]) for i in range(0, ids.shape[1], steps)]
    result = np.concatenate(parts)
    assert result.dtype == np.uint32
    assert result.shape == (ids.shape[1], len(ids), engine.config.vocab_size)
    assert_frequencies(result)
    return result


def assert_frequencies(rows: NDArray[np.uint32]) -> None:
    assert rows.min() >= 1
    assert (rows.sum(axis=-1, dtype=np.int64) == FREQUENCY_TOTAL).all()


@pytest.fixture(scope="module", params=["cpu", "torch"])
def engine(request: pytest.FixtureRequest) -> Engine:
    weights = make_weights(WIDE, 0)
    return CPUEngine(weights) if request.param == "cpu" else TorchEngine(weights, "cpu")


@pytest.fixture
def restore_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


# One set of integers.


@pytest.mark.parametrize("make", [CPUEngine, lambda w, p: TorchEngine(w, "cpu", p)], ids=["cpu", "torch"])
def test_reference_digest_with_every_exact_product(make: Callable[[Weights, str | None], Engine]) -> None:
    weights = reference_network()
    names = [None, *(name for name, product in PRODUCTS.items() if is_exact(product))]
    digests = {name: reference_digest(make(weights, name)) for name in names}
    assert digests == dict.fromkeys(names, REFERENCE_DIGEST)


@pytest.mark.parametrize("steps", [1, 3, 16])
def test_chunks_of_any_size(engine: Engine, steps: int) -> None:
    ids = make_ids(WIDE, 3, 30)
    assert np.array_equal(evaluate(engine, ids, steps), evaluate(engine, ids, 30))


def test_chunks_of_changing_size(engine: Engine) -> None:
    ids = make_ids(WIDE, 2, 40)
    state = engine.start(2, 16)
    parts = [engine.forward(state, part) for part in np.split(ids, (1, 17, 19, 35), axis=1)]
    assert np.array_equal(np.concatenate(parts), evaluate(engine, ids, 40))


def test_what_left_the_window_does_not_matter() -> None:
    config = dataclasses.replace(SMALL, num_hidden_layers=1)
    engine = CPUEngine(make_weights(config, 0, gain=0.5))
    ids = make_ids(config, 1, 12)
    other = ids.copy()
    other[0, 3] = (ids[0, 3] + 1) % config.vocab_size
    changed = (evaluate(engine, ids, 12) != evaluate(engine, other, 12)).any(axis=(1, 2))
    assert np.flatnonzero(changed).tolist() == list(range(3, 3 + config.sliding_window))


@pytest.mark.parametrize("rows", [[0], [63], range(7), range(5, 12)])
def test_batches_of_any_size(engine: Engine, rows: list[int]) -> None:
    ids = make_ids(WIDE, 64, 12)
    assert np.array_equal(evaluate(engine, ids[rows], 4), evaluate(engine, ids, 4)[:, rows])


def test_any_number_of_threads(engine: Engine, restore_threads: None) -> None:
    ids = make_ids(WIDE, 300, 4)
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        results.append(evaluate(engine, ids, 2))
    assert np.array_equal(*results)


CONFIGS: list[dict[str, Any]] = [
    {},
    {"tie_word_embeddings": True},
    {"qk_norm": False},
    {"num_key_value_heads": 1},
    {"num_key_value_heads": 4, "qk_norm": False},
    {"head_dim": 64, "hidden_size": 128},
    {"head_dim": 64, "num_attention_heads": 1, "num_key_value_heads": 1, "sliding_window": 1},
    {"head_dim": 6, "hidden_size": 37, "intermediate_size": 51},
    {"vocab_size": 2},
    {"vocab_size": 257, "tie_word_embeddings": True},
    {"vocab_size": 5003, "num_hidden_layers": 1},
    {"hidden_size": 2200, "num_hidden_layers": 1},
    {"rms_norm_eps": 1.0, "rope_theta": 1.0},
]


@pytest.mark.parametrize("changes", CONFIGS, ids=str)
def test_engines_agree_on_every_shape(changes: dict[str, Any]) -> None:
    config = dataclasses.replace(SMALL, **changes)
    weights = make_weights(config, 1)
    ids = make_ids(config, 3, 2 * config.sliding_window + 5)
    assert np.array_equal(evaluate(CPUEngine(weights), ids, 7), evaluate(TorchEngine(weights, "cpu"), ids, 5))


@given(
    seed=st.integers(0, 2**32 - 1),
    scales=st.tuples(st.integers(-149, 0), st.integers(-149, 0)).map(lambda pair: (min(pair), max(pair))),
    gain=st.sampled_from([0.0, 2.0**-126, 2.0**-40, 1.0, LARGEST_GAIN]),
    qk_norm=st.booleans(),
    tied=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_engines_agree_on_extreme_weights(
    seed: int, scales: tuple[int, int], gain: float, qk_norm: bool, tied: bool
) -> None:
    config = dataclasses.replace(SMALL, qk_norm=qk_norm, tie_word_embeddings=tied)
    weights = make_weights(config, seed, scales, gain)
    ids = make_ids(config, 2, 20)
    assert np.array_equal(evaluate(CPUEngine(weights), ids, 10), evaluate(TorchEngine(weights, "cpu"), ids, 10))


@pytest.mark.parametrize("qk_norm", [True, False])
def test_the_largest_weights_stay_finite(qk_norm: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def checked(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        assert x.isfinite().all()
        return quantise(x)

    quantise = torch_engine.quantise
    monkeypatch.setattr(torch_engine, "quantise", checked)
    weights = make_weights(dataclasses.replace(SMALL, qk_norm=qk_norm), 0, (0, 0))
    for matrix in weights.matrices.values():
        matrix.values[1::2] = 63
        matrix.scale[:] = LARGEST_SCALE
    for gain in weights.gains.values():
        gain[:] = LARGEST_GAIN
    ids = make_ids(SMALL, 2, 20)
    assert np.array_equal(evaluate(CPUEngine(weights), ids, 10), evaluate(TorchEngine(weights, "cpu"), ids, 10))


def test_an_all_zero_network_knows_nothing(engine: Engine) -> None:
    weights = make_weights(SMALL, 0)
    for matrix in weights.matrices.values():
        matrix.values[:] = 0
    blind = type(engine)(weights, "cpu") if isinstance(engine, TorchEngine) else CPUEngine(weights)
    each, left = divmod(FREQUENCY_TOTAL - 61, 61)
    rows = evaluate(blind, make_ids(SMALL, 2, 10), 5).reshape(-1, 61)
    assert (rows[:, 1:] == each + 1).all()
    assert (rows[:, 0] == each + 1 + left).all()


def test_engines_agree_far_into_a_window() -> None:
    weights = make_weights(dataclasses.replace(SMALL, num_hidden_layers=1), 0)
    ids = make_ids(SMALL, 1, 530)  # the table of rotations grows at 256 and 512
    assert np.array_equal(evaluate(CPUEngine(weights), ids, 53), evaluate(TorchEngine(weights, "cpu"), ids, 106))


def test_a_call_longer_than_announced_is_refused() -> None:
    engine = TorchEngine(make_weights(SMALL, 0), "cpu")
    with pytest.raises(ValueError, match="at most 4 positions, not 5"):
        engine.forward(engine.start(1, 4), make_ids(SMALL, 1, 5))


REPORT = """
from lmzip.models.exact.cpu_engine import CPUEngine
from lmzip.models.exact.engine import reference_digest, reference_network
from lmzip.models.exact.products import PRODUCTS, is_exact
from lmzip.models.exact.torch_engine import TorchEngine
weights = reference_network()
names = [name for name, product in PRODUCTS.items() if is_exact(product)]
print(*{reference_digest(e) for n in [None, *names] for e in (CPUEngine(weights, n), TorchEngine(weights, "cpu", n))})
"""


@pytest.mark.parametrize(
    "setting",
    [
        "ONEDNN_MAX_CPU_ISA=AVX2",
        "ONEDNN_MAX_CPU_ISA=SSE41",
        "ATEN_CPU_CAPABILITY=default",
        pytest.param("NUMBA_CPU_NAME=generic", marks=pytest.mark.slow),  # compiles everything again
    ],
)
def test_other_instruction_sets(setting: str, tmp_path: Path) -> None:
    name, _, value = setting.partition("=")
    environment = {**os.environ, name: value}
    if name.startswith("NUMBA"):
        environment["NUMBA_CACHE_DIR"] = str(tmp_path)
    result = subprocess.run([sys.executable, "-c", REPORT], env=environment, capture_output=True, text=True)
    assert (result.stdout.split(), result.returncode) == ([REFERENCE_DIGEST], 0), result.stderr


# The right function.


def softmax_bits(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log2 of the softmax of the last axis."""
    logits = logits - logits.max(axis=-1, keepdims=True)
    return (logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))) / np.log(2)


@pytest.mark.parametrize(("qk_norm", "tied"), [(True, True), (False, False)])
def test_agrees_with_the_float_network(qk_norm: bool, tied: bool) -> None:
    config = dataclasses.replace(SMALL, qk_norm=qk_norm, tie_word_embeddings=tied)
    torch.manual_seed(0)
    network = train.Network(config)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
            else:
                parameter.normal_(std=parameter.shape[1] ** -0.5)
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
    assert np.array_equal(torch_engine.frequencies(torch.from_numpy(z)).numpy(), rows)
    wide = z.astype(np.float64)
    likely = np.exp2(softmax_bits(wide)) * (FREQUENCY_TOTAL - alphabet) + 1
    others = np.arange(alphabet) != z.argmax(axis=1)[:, None]  # the first maximum also takes what is left
    assert (np.abs(rows - likely)[others] <= 2 + 2e-5 * likely[others]).all()
    assert (rows.argmax(axis=1) == z.argmax(axis=1)).all()


def test_exp_integer() -> None:
    x = np.concatenate((np.linspace(0, 25, 5000), [np.inf, 3e38, 1e-45])).astype(np.float32)
    values = np.array([kernels._exp_integer(v, OUTPUT_ONE) for v in x])
    expected = np.exp(-x.astype(np.float64)) * float(OUTPUT_ONE)
    assert (np.abs(values - expected) <= 1 + 6e-6 * expected).all()
    assert values[0] == values[-1] == OUTPUT_ONE
    assert np.array_equal(torch_engine.exp_integer(torch.from_numpy(x), float(OUTPUT_ONE)).numpy(), values)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_torch_operations_round_once(device: str) -> None:
    x = np.exp(np.random.default_rng(0).uniform(-30, 30, 200_000))
    assert np.array_equal(
        torch_engine.square_root(torch.from_numpy(x).to(device)).cpu().numpy(), [math.sqrt(v) for v in x]
    )
    x32 = x.astype(np.float32)
    there = torch.from_numpy(x32).to(device)
    assert np.array_equal(torch_engine.ratio(127.0, there).cpu().numpy(), np.float32(127) / x32)
    assert np.array_equal((there / torch_engine.constant(127.0, there)).cpu().numpy(), x32 / np.float32(127))


@pytest.mark.parametrize(("head_dim", "theta", "positions"), [(16, 10000.0, 300), (64, 1e6, 70_000), (2, 1.0, 257)])
def test_rope_tables(head_dim: int, theta: float, positions: int) -> None:
    cos, sin = arithmetic.rope_tables(head_dim, theta, positions)
    angles = np.arange(positions)[:, None] * theta ** (-np.arange(0, head_dim, 2) / head_dim)
    assert cos.dtype == sin.dtype == np.float32
    assert cos.shape == sin.shape == angles.shape
    np.testing.assert_allclose(cos, np.cos(angles), rtol=0, atol=1e-7)
    np.testing.assert_allclose(sin, np.sin(angles), rtol=0, atol=1e-7)
    short_cos, short_sin = arithmetic.rope_tables(head_dim, theta, 200)
    assert np.array_equal(short_cos, cos[:200])
    assert np.array_equal(short_sin, sin[:200])


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


@pytest.mark.parametrize("name", sorted(PRODUCTS.keys() - {"packed"}))
def test_deep_products(name: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.choice([-127, -126, 126, 127], (20, 5000)).astype(np.int8)
    weight = rng.choice([-63, -62, 62, 63], (24, 5000)).astype(np.int8)
    x[0], weight[0] = 127, 63
    product = PRODUCTS[name]
    result = product.multiply(torch.from_numpy(x), product.prepare(torch.from_numpy(weight)))
    assert np.array_equal(result.numpy(), x.astype(np.int64) @ weight.T.astype(np.int64))


def test_packed_refuses_what_float32_cannot_hold() -> None:
    with pytest.raises(RuntimeError, match=str(FLOAT32_DEPTH)):
        PRODUCTS["packed"].prepare(torch.zeros(8, FLOAT32_DEPTH + 1, dtype=torch.int8))


def test_best_product(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_exact(PRODUCTS[best_product(64)])
    monkeypatch.setattr(products, "_is_exact_here", lambda name, device: name in ("packed", "float64"))
    assert best_product(FLOAT32_DEPTH) == "packed"
    assert best_product(FLOAT32_DEPTH + 1) == "float64"
    monkeypatch.setattr(products, "_is_exact_here", lambda name, device: False)
    with pytest.raises(RuntimeError, match="no exact matrix product on cpu"):
        best_product(64)


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
        (spoil("layers.0.out", values=np.full((64, 64), -64, np.int8)), "beyond 7 bits"),
        (spoil("layers.0.out", values=np.full((64, 64), -128, np.int8)), "beyond 7 bits"),
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


def test_configurations() -> None:
    assert NetworkConfig.from_dict(json.loads(SMALL.to_json())) == SMALL
    with pytest.raises(TypeError, match="mixture"):
        NetworkConfig.from_dict({**dataclasses.asdict(SMALL), "mixture": 8})
    with pytest.raises(ValueError, match="multiple of num_key_value_heads"):
        dataclasses.replace(SMALL, num_key_value_heads=3)
    with pytest.raises(ValueError, match="head_dim must be even"):
        dataclasses.replace(SMALL, head_dim=15)
    assert (SMALL.file_start, SMALL.cut_start) == (61, 62)


# On a GPU.


@pytest.mark.gpu
def test_cuda_gives_the_reference_digest() -> None:
    weights = reference_network()
    names = [None, *(name for name, product in PRODUCTS.items() if is_exact(product, "cuda"))]
    digests = {name: reference_digest(TorchEngine(weights, "cuda", name)) for name in names}
    assert digests == dict.fromkeys(names, REFERENCE_DIGEST)
    assert "int8" in names


@pytest.mark.gpu
@pytest.mark.parametrize("batch", [1, 64, 256])
@pytest.mark.parametrize("steps", [1, 16])
def test_cuda_agrees_with_the_cpu(batch: int, steps: int) -> None:
    config = dataclasses.replace(
        SMALL, vocab_size=1021, hidden_size=256, intermediate_size=768, num_hidden_layers=3, num_key_value_heads=1,
        head_dim=64, sliding_window=32,
    )  # fmt: skip
    weights = make_weights(config, 0)
    ids = make_ids(config, batch, 48)
    assert np.array_equal(evaluate(TorchEngine(weights, "cuda"), ids, steps), evaluate(CPUEngine(weights), ids, 16))
