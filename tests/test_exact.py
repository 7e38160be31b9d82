"""The exact network: one set of integers, whatever the engine, product, batch, chunk, thread count or processor."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import LARGEST_GAIN, LARGEST_SCALE, SMALL, WIDE, check_finite, evaluate, make_ids, make_weights

from lmzip.models.exact.arithmetic import FREQUENCY_TOTAL
from lmzip.models.exact.backends import TRIALS
from lmzip.models.exact.cpu import engine as cpu_engine
from lmzip.models.exact.cpu.engine import CPUEngine
from lmzip.models.exact.cpu.layers import TransformerLayer
from lmzip.models.exact.engine import REFERENCE_DIGEST, Engine, reference_digest, reference_network
from lmzip.models.exact.torch.engine import TorchEngine
from lmzip.models.exact.torch.products import PRODUCTS, is_exact
from lmzip.models.exact.torch.threads import torch_threads
from lmzip.models.exact.weights import Weights


@pytest.fixture(scope="module", params=["cpu", "torch"])
def engine(request: pytest.FixtureRequest) -> Engine:
    weights = make_weights(WIDE, 0)
    return CPUEngine(weights) if request.param == "cpu" else TorchEngine(weights, "cpu")


@pytest.fixture
def restore_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_torch_keeps_its_threads(restore_threads: None) -> None:
    begun, ended = threading.Event(), threading.Event()
    torch.set_num_threads(3)

    def other() -> None:
        torch.set_num_threads(3)
        with torch_threads(1):
            begun.set()
            assert not ended.wait(0.2) and torch.get_num_threads() == 1
        assert torch.get_num_threads() == 3

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(other)
        begun.wait()
        with torch_threads(2):
            ended.set()
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 3
        future.result()


# One set of integers.


def test_reference_digest() -> None:
    assert reference_digest(CPUEngine(reference_network())) == REFERENCE_DIGEST


def test_reference_digest_with_every_exact_product() -> None:
    weights = reference_network()
    names = [None, *(name for name, product in PRODUCTS.items() if is_exact(product))]
    digests = {name: reference_digest(TorchEngine(weights, "cpu", name)) for name in names}
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
    config = dataclasses.replace(SMALL, num_hidden_layers=1, ngram_rows=0)
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


def test_any_number_of_threads(restore_threads: None) -> None:
    engine = TorchEngine(make_weights(WIDE, 0), "cpu")
    ids = make_ids(WIDE, 300, 4)
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        results.append(evaluate(engine, ids, 2))
    assert np.array_equal(*results)


@pytest.mark.parametrize("weights", [make_weights(WIDE, 0), *(w for make, _ in TRIALS.values() for w in make())])
@pytest.mark.parametrize(("threads", "batch"), [(2, 1), (3, 2), (40, 1)])
def test_threads_that_share_the_positions(weights: Weights, threads: int, batch: int) -> None:
    engine = CPUEngine(weights)
    ids = make_ids(weights.config, batch, 24) % weights.config.vocab_size
    with patch.object(cpu_engine, "ROWS", 1):
        shared = evaluate(engine, ids, 24, threads)
        pieces = evaluate(engine, ids, 7, threads)
    assert np.array_equal(shared, evaluate(engine, ids, 24))
    assert np.array_equal(pieces, shared)


@pytest.mark.parametrize("weights", [make_weights(WIDE, 0), *(w for make, _ in TRIALS.values() for w in make())])
@pytest.mark.parametrize(("threads", "batch"), [(2, 1), (2, 9), (3, 4)])
def test_threads_that_share_a_step(weights: Weights, threads: int, batch: int) -> None:
    engine = CPUEngine(weights)
    ids = make_ids(weights.config, batch, 12) % weights.config.vocab_size
    assert np.array_equal(evaluate(engine, ids, 1, threads), evaluate(engine, ids, 12))


def test_a_thread_that_fails_is_waited_for_by_none() -> None:
    engine = CPUEngine(make_weights(SMALL, 0))
    run, ids = TransformerLayer.run, make_ids(SMALL, 2, 1)

    def fail(layer: TransformerLayer, *arguments: Any) -> None:
        if arguments[-1].part == 1:
            raise MemoryError("none left")
        run(layer, *arguments)

    with patch.object(TransformerLayer, "run", fail), pytest.raises(MemoryError):
        engine.forward(engine.start(2, 1, 3), ids)
    ids = make_ids(SMALL, 1, 64)
    with patch.object(TransformerLayer, "run", side_effect=MemoryError("none left")), pytest.raises(MemoryError):
        engine.forward(engine.start(1, 64, 4), ids)
    assert np.array_equal(evaluate(engine, ids, 64, 4), evaluate(engine, ids, 64))


CONFIGS: list[dict[str, Any]] = [
    {},
    {"tie_word_embeddings": True},
    {"qk_norm": False},
    {"num_key_value_heads": 1},
    {"num_key_value_heads": 4, "qk_norm": False},
    {"head_dim": 64, "hidden_size": 128},
    {"head_dim": 64, "num_attention_heads": 1, "num_key_value_heads": 1, "sliding_window": 1},
    {"head_dim": 40, "num_attention_heads": 10, "sliding_window": 70},
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
    check_finite(monkeypatch)
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


def test_a_call_longer_than_announced_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="at most 4 "):
        engine.forward(engine.start(1, 4), make_ids(SMALL, 1, 5))


def test_a_state_is_for_one_batch() -> None:
    engine = CPUEngine(make_weights(SMALL, 0))
    with pytest.raises(ValueError, match="for 2 windows"):
        engine.forward(engine.start(2, 4), make_ids(SMALL, 1, 4))


REPORT = """
from lmzip.models.exact.backends import BACKENDS, TRIALS, without_end
from lmzip.models.exact.cpu.engine import CPUEngine
from lmzip.models.exact.engine import reference_digest
from lmzip.models.exact.torch.products import PRODUCTS, is_exact
from lmzip.models.exact.torch.engine import TorchEngine
names = [None, *(name for name, product in PRODUCTS.items() if is_exact(product))]
makers = [CPUEngine, *(lambda weights, name=name: TorchEngine(weights, "cpu", name) for name in names)]
for networks, _ in TRIALS.values():
    print(*{reference_digest(*(without_end(make(weights)) for weights in networks())) for make in makers})
"""


@pytest.mark.parametrize(
    "setting",
    [
        "ONEDNN_MAX_CPU_ISA=AVX2",
        "ONEDNN_MAX_CPU_ISA=SSE41",
        "ATEN_CPU_CAPABILITY=default",
        pytest.param("NUMBA_CPU_NAME=generic", marks=pytest.mark.slow),  # compiles everything again
        pytest.param("NUMBA_DISABLE_JIT=1", marks=pytest.mark.slow),
    ],
)
def test_other_instruction_sets(setting: str, tmp_path: Path) -> None:
    name, _, value = setting.partition("=")
    environment = {**os.environ, name: value}
    if name.startswith("NUMBA"):
        environment["NUMBA_CACHE_DIR"] = str(tmp_path)
    result = subprocess.run([sys.executable, "-c", REPORT], env=environment, capture_output=True, text=True)
    assert (result.stdout.split(), result.returncode) == ([digest for _, digest in TRIALS.values()], 0), result.stderr


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
