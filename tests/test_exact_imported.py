"""What only imported networks have: layer norms, biases, GELU, wide activations, scaled RoPE, an end of positions."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import LARGEST_GAIN, LARGEST_SCALE, SMALL, check_finite, evaluate, make_ids, make_weights
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from lmzip.models.exact import backends, rope
from lmzip.models.exact.arithmetic import WEIGHT_MAX, WIDE_MAX, wide_max
from lmzip.models.exact.config import PROJECTIONS, NetworkConfig
from lmzip.models.exact.cpu import kernels, rows
from lmzip.models.exact.cpu.arguments import NO_FLOATS, NO_NORM, FeedForward, Projection
from lmzip.models.exact.cpu.engine import CPUEngine
from lmzip.models.exact.engine import IMPORTED_DIGEST, Engine, imported_networks, reference_digest
from lmzip.models.exact.rereading import RereadingEngine
from lmzip.models.exact.torch import rows as torch_rows
from lmzip.models.exact.torch.engine import TorchEngine
from lmzip.models.exact.torch.products import PRODUCTS, is_exact
from lmzip.models.exact.weights import POST_NORM_LIMIT, Weights
from lmzip.models.mixing.code_length import UNIT, log2_integer

ALL = ("layers.0.qkv", "layers.0.query", "layers.0.key", "layers.0.out", "layers.1.gate_up", "layers.1.down", "head")
GPT = dataclasses.replace(
    SMALL, qk_norm=False, norm="layer", positions="learned", hidden_act="gelu_tanh", gated=False, biases=PROJECTIONS,
    context=40, sliding_window=40, reread=11, tie_word_embeddings=True,
)  # fmt: skip

GEMMA: dict[str, Any] = {
    "norm": "rms", "positions": "rope", "biases": (), "gated": True, "qk_norm": True, "post_norms": True,
    "local_layers": (1,), "local_window": 7, "local_rope_theta": 100.0, "rope_scaling": ("linear", 8.0),
}  # fmt: skip


# One set of integers.


def test_imported_digest() -> None:
    names = [name for name, product in PRODUCTS.items() if is_exact(product)]
    makers = [CPUEngine, *(lambda weights, name=name: TorchEngine(weights, "cpu", name) for name in names)]
    for make in makers:
        engines = [RereadingEngine(make(weights)) for weights in imported_networks()]
        assert reference_digest(*engines) == IMPORTED_DIGEST


CONFIGS: list[dict[str, Any]] = [
    {},
    {"wide": ALL},
    {"wide": ("layers.0.key", "layers.1.query")},
    {"norm": "rms", "positions": "rope", "gated": True, "wide": ALL},
    {"norm": "rms", "qk_norm": True, "hidden_act": "silu", "biases": ("down",)},
    {"hidden_size": 37, "intermediate_size": 51, "head_dim": 6, "tie_word_embeddings": False, "wide": ALL},
    {"positions": "rope", "rope_scaling": ("linear", 4.0), "sliding_window": 8, "gated": True},
    {"context": 10, "sliding_window": 10, "reread": 0},
    {"context": 10, "sliding_window": 10, "reread": 9},
    GEMMA | {"wide": ALL},
    GEMMA | {"wide": (), "local_layers": (0, 1), "local_window": 40},
    {"hidden_size": 2200, "num_hidden_layers": 1, "wide": ALL[:3]},
]


@pytest.mark.parametrize("changes", CONFIGS, ids=str)
def test_engines_agree_on_every_shape(changes: dict[str, Any]) -> None:
    config = dataclasses.replace(GPT, **changes)
    weights = make_weights(config, 1)
    ids = make_ids(config, 3, 2 * config.context + 5)
    cpu, other = RereadingEngine(CPUEngine(weights)), RereadingEngine(TorchEngine(weights, "cpu"))
    rows = evaluate(cpu, ids, 7)
    assert np.array_equal(rows, evaluate(other, ids, 5))
    assert np.array_equal(rows[:, 1:2], evaluate(cpu, ids[1:2], 1))


@given(
    seed=st.integers(0, 2**32 - 1),
    scales=st.tuples(st.integers(-149, 0), st.integers(-149, 0)).map(lambda pair: (min(pair), max(pair))),
    gain=st.sampled_from([0.0, 2.0**-126, 2.0**-40, 1.0, LARGEST_GAIN]),
    wide=st.booleans(),
    layer_norm=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_engines_agree_on_extreme_weights(
    seed: int, scales: tuple[int, int], gain: float, wide: bool, layer_norm: bool
) -> None:
    config = dataclasses.replace(GPT, wide=ALL if wide else (), norm="layer" if layer_norm else "rms")
    weights = make_weights(config, seed, scales, gain)
    ids = make_ids(config, 2, 20)
    assert np.array_equal(evaluate(CPUEngine(weights), ids, 10), evaluate(TorchEngine(weights, "cpu"), ids, 10))


@pytest.mark.parametrize("changes", [{"norm": "rms"}, {}, GEMMA])
def test_the_largest_weights_stay_finite(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    check_finite(monkeypatch)
    weights = make_weights(dataclasses.replace(GPT, wide=ALL, **changes), 0, (0, 0))
    for matrix in weights.matrices.values():
        matrix.values[1::2] = WEIGHT_MAX
        matrix.scale[:] = LARGEST_SCALE
    for vector, largest in ((weights.gains, LARGEST_GAIN), (weights.biases, 65536.0)):
        for name, value in vector.items():
            value[:] = POST_NORM_LIMIT if name.endswith("_post_norm") else largest
    ids = make_ids(GPT, 2, 20)
    assert np.array_equal(evaluate(CPUEngine(weights), ids, 10), evaluate(TorchEngine(weights, "cpu"), ids, 10))


@pytest.mark.gpu
@pytest.mark.parametrize("batch", [1, 64])
def test_cuda_agrees_with_the_cpu(batch: int) -> None:
    for changes in CONFIGS:
        weights = make_weights(dataclasses.replace(GPT, **changes), 1)
        ids = make_ids(weights.config, batch, 2 * weights.config.context + 5)
        cpu, cuda = RereadingEngine(CPUEngine(weights)), RereadingEngine(TorchEngine(weights, "cuda"))
        assert np.array_equal(evaluate(cuda, ids, 1), evaluate(cpu, ids, 7))


def test_only_backends_with_the_right_digest_serve_imported_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "is_trusted", lambda name, kind="plain": name == "torch" or kind == "plain")
    assert backends.make_engine(make_weights(SMALL, 0))[0] == "cpu"
    monkeypatch.setattr(backends, "_warned", False)
    with pytest.warns(RuntimeWarning, match="torch is used, which is slower"):
        name, engine = backends.make_engine(make_weights(GPT, 0))
    assert (name, type(engine)) == ("torch", RereadingEngine)
    said: list[str] = []
    assert backends.make_engine(make_weights(GPT, 0), notify=said.append)[0] == "torch" and said == []  # once
    monkeypatch.setattr(backends, "_warned", False)
    backends.make_engine(make_weights(GPT, 0), notify=said.append)
    assert said == [backends.STANDS_IN]


def test_without_torch_nothing_stands_in_for_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "is_trusted", lambda name, kind="plain": name == "torch")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(RuntimeError, match="the backend cpu does not compute exactly"):
        backends.make_engine(make_weights(SMALL, 0))
    with pytest.raises(ImportError, match=r"pip install 'lmzip-codec\[torch\]'"):
        backends.BACKENDS["torch"](make_weights(SMALL, 0))


# Windows without an end.


def test_a_full_context_is_read_again_from_the_mark_on() -> None:
    weights = make_weights(GPT, 0)
    ids = make_ids(GPT, 2, 3 * GPT.context)
    whole = evaluate(RereadingEngine(CPUEngine(weights)), ids, 13)
    start = 0  # of the context; the mark stands there in all but the first
    for step in range(ids.shape[1]):
        if step - start == GPT.context:
            start = step - GPT.reread
        part = ids[:, start : step + 1].copy()
        part[:, 0] = part[:, 0] if start == 0 else GPT.cut_start
        if step % 9 == 0 or step - start < 12:
            alone = evaluate(CPUEngine(weights), part, part.shape[1])
            assert np.array_equal(alone[-1], whole[step]), step


def test_reading_is_forward_without_predictions() -> None:
    ids = make_ids(GPT, 2, 90)
    for engine in (CPUEngine(make_weights(GPT, 0)), TorchEngine(make_weights(GPT, 0), "cpu")):
        rereading = RereadingEngine(engine)
        state = rereading.start(2, 8)
        rereading.read(state, ids[:, :83])
        assert np.array_equal(rereading.forward(state, ids[:, 83:]), evaluate(rereading, ids, 8)[83:])


@pytest.mark.parametrize("make", [CPUEngine, lambda weights: TorchEngine(weights, "cpu")])
def test_an_engine_alone_ends_with_the_positions(make: Any) -> None:
    engine: Engine = make(make_weights(GPT, 0))
    state = engine.start(1, 40)
    engine.forward(state, make_ids(GPT, 1, 39))
    with pytest.raises(ValueError, match="positions 39 to 40 where there are 40"):
        engine.forward(state, make_ids(GPT, 1, 2))


# The right functions.


def test_layer_norm() -> None:
    x = np.random.default_rng(0).normal(3, 2, (5, 48)).astype(np.float32)
    x[1, 7] = 500
    x[2] = 0
    h = np.empty_like(x)
    for row, out in zip(x, h, strict=True):
        rows.centre(row, np.float64(1e-5), out)
    assert np.array_equal(torch_rows.centre(torch.from_numpy(x), 1e-5).numpy(), h)
    expected = torch.nn.functional.layer_norm(torch.from_numpy(x).double(), (48,), eps=1e-5).numpy()
    np.testing.assert_allclose(h, expected, atol=5e-4)


@pytest.mark.parametrize("gelu", [True, False])
def test_activations(gelu: bool) -> None:
    x = np.concatenate((np.linspace(-12, 12, 999), [1e30, -1e30, 0.0])).astype(np.float32)
    y = np.arange(len(x), dtype=np.int32)[None]
    q, scale = np.empty((1, len(x)), np.int16), np.empty(1, np.float32)
    scales = np.divide(x, y[0], out=np.zeros_like(x), where=y[0] > 0)  # products that stand for x
    panels, most = np.empty((1, 1, 1), np.int16), np.float32(WIDE_MAX)
    for part in (slice(0, 999), slice(999, 1002)):  # of one size each
        projection = Projection(panels, scales[part], NO_FLOATS, most)
        layer = FeedForward(NO_NORM, gelu, False, projection, projection, NO_NORM)
        scale[:] = 1
        kernels._activate(y[:, part], scale, layer, q[:, part], scale)
        exact = torch.from_numpy(scales[part] * y[0, part])
        expected = torch.nn.functional.gelu(exact, approximate="tanh") if gelu else torch.nn.functional.silu(exact)
        np.testing.assert_allclose(q[0, part] * scale[0], expected.numpy(), atol=abs(expected).max().item() / 30_000)


@pytest.mark.parametrize(
    ("scaling", "parameters"),
    [
        (("linear", 4.0), {"rope_type": "linear", "factor": 4.0}),
        (
            ("llama3", 32.0, 1.0, 4.0, 8192),
            {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
             "original_max_position_embeddings": 8192},
        ),
    ],
)  # fmt: skip
def test_scaled_rope(scaling: rope.Scaling, parameters: dict[str, Any]) -> None:
    cos, sin = rope.rope_between(64, 500000.0, scaling, 0, 1000)
    config = LlamaConfig(
        hidden_size=64, num_attention_heads=1, max_position_embeddings=131072,
        rope_parameters={"rope_theta": 500000.0, **parameters},
    )  # fmt: skip
    angles = np.arange(1000)[:, None] * LlamaRotaryEmbedding(config).inv_freq.double().numpy()
    np.testing.assert_allclose(cos, np.cos(angles), rtol=0, atol=1e-4)  # theirs are float32 from the start
    np.testing.assert_allclose(sin, np.sin(angles), rtol=0, atol=1e-4)


@given(depth=st.integers(1, 200_000))
def test_wide_products_fit_32_bits(depth: int) -> None:
    most = wide_max(depth)
    assert 127 < most <= WIDE_MAX and most * WEIGHT_MAX * depth < 1 << 31


@given(values=st.lists(st.integers(1, 2**24), min_size=1))
def test_log2_in_integers(values: list[int]) -> None:
    found = log2_integer(np.array(values, np.uint32))
    expected = np.log2(np.array(values, np.float64)) * UNIT
    assert (found <= expected + 1e-6).all() and (found > expected - 2).all()


# Configurations.


def test_plain_configurations_are_written_as_before() -> None:
    options = {"hidden_act", "gated", "norm", "positions", "rope_scaling", "biases", "context", "reread", "wide"}
    assert SMALL.kind == "plain" and not options & json.loads(SMALL.to_json()).keys()
    assert GPT.kind == "imported" and NetworkConfig.from_dict(json.loads(GPT.to_json())) == GPT


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_act": "relu"}, "hidden_act must be one of silu, gelu_tanh, not 'relu'"),
        ({"norm": "batch"}, "norm must be one of"),
        ({"positions": "alibi"}, "positions must be one of"),
        ({"qk_norm": True}, "layer norms are for networks without qk_norm"),
        ({"context": 0, "reread": 0}, "learned positions need a context"),
        ({"context": 39}, "context must be sliding_window to"),
        ({"reread": 40}, "reread must be less than context"),
        ({"biases": ("qkv", "head")}, "biases has a name twice or one that the network lacks: qkv, head"),
        ({"wide": ("layers.2.out",)}, "wide has a name twice or one that the network lacks: layers.2.out"),
        ({"wide": ("head", "head")}, "wide has a name twice"),
        ({"rope_scaling": ("yarn", 2.0)}, "rope_scaling must be linear or llama3"),
        ({"rope_scaling": ("linear", 0.5)}, "rope_scaling must be linear or llama3"),
        ({"rope_scaling": ("llama3", 8.0, 4.0, 1.0, 32)}, "rope_scaling must be linear or llama3"),
        ({"post_norms": True}, "post_norms are RMS norms"),
        ({"local_layers": (0,), "local_window": 8}, "local_layers are for networks with RoPE"),
        (GEMMA | {"local_layers": (2,)}, "local_layers has a layer twice or one that the network lacks"),
        (GEMMA | {"local_layers": (0, 0)}, "local_layers has a layer twice"),
        (GEMMA | {"local_window": 41}, "local_window must be 1 to sliding_window, and 0 without local layers"),
        (GEMMA | {"local_window": 0}, "local_window must be 1 to sliding_window"),
        (GEMMA | {"local_layers": ()}, "and 0 without local layers"),
        (GEMMA | {"local_rope_theta": 0.5}, "local_rope_theta must be 1 to 1e12"),
    ],
)
def test_configurations_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(GPT, **changes)


def test_local_layers_remember_less() -> None:
    config = dataclasses.replace(GPT, **GEMMA)
    assert NetworkConfig.from_dict(json.loads(config.to_json())) == config
    assert [config.window(i) for i in range(2)] == [40, 7]
    assert [config.capacity(4, i) for i in range(2)] == [40, 10]
    heads = 2 * (config.head_dim + 4) * config.num_key_value_heads
    assert config.window_bytes(4) == heads * (40 + 10)
    weights = make_weights(dataclasses.replace(config, local_layers=(0, 1)), 0)
    ids = make_ids(config, 1, 40)
    rows = evaluate(CPUEngine(weights), ids, 8)
    ids[0, 3] += 1 if ids[0, 3] < 30 else -1
    changed = (evaluate(CPUEngine(weights), ids, 8) != rows).any(axis=(1, 2))
    # Three symbols are embedded together; each of two layers looks six positions back.
    assert changed[3] and changed[11:18].any() and not changed[18:].any()


def test_bad_biases_are_named() -> None:
    weights = make_weights(GPT, 0)
    for bias, message in ((np.full(64, np.inf, np.float32), "has a bias beyond"), (np.ones(64), "not 64 float32")):
        with pytest.raises(ValueError, match=rf"layers\.1\.out .*{message}"):
            Weights(GPT, weights.matrices, weights.gains, weights.biases | {"layers.1.out": bias})


def test_windows_of_thousands_of_positions() -> None:
    config = dataclasses.replace(
        GPT, num_hidden_layers=1, positions="rope", context=2500, sliding_window=2500, reread=100, wide=ALL[2:3]
    )
    weights = make_weights(config, 0)
    ids = make_ids(config, 1, 2600)
    cpu, other = RereadingEngine(CPUEngine(weights)), RereadingEngine(TorchEngine(weights, "cpu"))
    rows = evaluate(cpu, ids, 200)
    assert np.array_equal(rows, evaluate(other, ids, 130))
    ids[0, :300] = ids[0, 300:600]
    changed = (evaluate(cpu, ids, 200) != rows).any(axis=(1, 2))
    assert changed[2400:2500].any() and not changed[2500:].any()


def test_the_largest_sums_of_long_windows() -> None:
    config = dataclasses.replace(
        GPT, num_hidden_layers=1, positions="rope", context=3000, sliding_window=3000, biases=("qkv",)
    )
    weights = make_weights(config, 0)
    # Every key gets the same weight, and all values are the largest there are.
    weights.matrices["layers.0.qkv"].values[:] = 0
    weights.biases["layers.0.qkv"][:] = np.where(np.arange(config.qkv_rows) < 96, 0.0, 5.0)
    ids = make_ids(config, 1, 3000)
    cpu, other = CPUEngine(weights), TorchEngine(weights, "cpu")
    assert np.array_equal(evaluate(cpu, ids, 250), evaluate(other, ids, 250))
