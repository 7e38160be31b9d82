"""What the models of text, pictures and sound share: decisions, least squares, fixed tables."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lmzip.coders import CODERS
from lmzip.coders.bits import finish_bits, open_bits
from lmzip.models.mixing import least_squares, logistic
from lmzip.models.mixing.coding import code_bit, make_coding, take_decisions
from lmzip.models.mixing.jit import kernel


@kernel
def code_all(bits, probabilities, coding):  # type: ignore[no-untyped-def]
    """Code bits as a model does: the kernel sees each bit before the next."""
    for i in range(len(bits)):
        bit = code_bit(coding, bits[i], probabilities[i])
        if bit < 0:
            return False
        bits[i] = bit
    return True


@pytest.mark.parametrize("kind", [0, 1])
def test_decisions_come_back(kind: int) -> None:
    random = np.random.default_rng(kind)
    probabilities = random.integers(1, 65536, 3000).astype(np.uint16)
    bits = (random.integers(0, 65536, 3000) < probabilities).astype(np.uint8)
    coding, encoder = make_coding(2000), CODERS[kind][0]()
    for start in (0, 2000):
        assert code_all(bits[start : start + 2000].copy(), probabilities[start : start + 2000], coding)
        taken = take_decisions(coding)
        assert (taken[0] == bits[start : start + 2000]).all()
        assert (taken[1] == probabilities[start : start + 2000]).all()
        encoder.encode_bits(*taken)
    assert len(take_decisions(coding)[0]) == 0
    reader, found = open_bits(kind, encoder.finish()), np.zeros(3000, np.uint8)
    coding = make_coding(3000, reader)
    assert code_all(found, probabilities, coding) and (found == bits).all()
    assert (take_decisions(coding)[0] == bits).all()
    finish_bits(reader)


def test_impossible_code_is_noticed() -> None:
    probabilities = np.full(20, 32768, np.uint16)
    reader = open_bits(0, b"\xff" * 8)
    reader.state[0] = 1 << 40  # the lower end of the range coder's interval lies above the code
    reader.state[1], reader.state[2] = 1 << 40, 0
    assert not code_all(np.zeros(20, np.uint8), probabilities, make_coding(20, reader))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 11, 30])
def test_least_squares_are_those_of_numpy(n: int) -> None:
    random = np.random.default_rng(n)
    inputs = random.normal(0, 30, (200, n))
    targets = inputs @ random.normal(0, 1, n) + random.normal(0, 5, 200)
    columns, keep = least_squares.columns_of(n), 0.98
    assert columns > n and columns % least_squares.LANES == 0
    sums, sample, work = np.zeros((n, columns)), np.zeros(columns), np.zeros((n, columns))
    for row, target in zip(inputs, targets, strict=True):
        sample[:n], sample[n] = row, target
        least_squares.accumulate(sums, sample, n, keep, 0.5)
    weights, age = np.zeros(n), keep ** np.arange(199, -1, -1) * 0.5
    least_squares.copy_sums(sums, work, n)
    before = sums.copy()
    least_squares.solve(work, weights, n, 3.0, 3.0, 1e9)
    expected = np.linalg.solve((inputs.T * age) @ inputs + 3.0 * np.eye(n), (inputs.T * age) @ targets)
    np.testing.assert_allclose(weights, expected, rtol=1e-9)
    assert (sums == before).all()


def test_weights_of_hopeless_sums_are_finite() -> None:
    for value in (np.inf, np.nan, -1e300, 1e300):
        work, weights = np.full((5, 8), value), np.zeros(5)
        least_squares.solve(work, weights, 5, 1.0, 0.5, 16.0)
        assert (np.abs(weights) <= 16.0).all()


def test_exponentials_are_exact_to_some_60_bits() -> None:
    assert logistic.exp_minus(0, 1) == logistic.EXP_ONE
    for numerator, denominator in ((1, 256), (1, 2), (1, 1), (7, 3), (20, 1), (3072, 256)):
        exact = math.exp(-numerator / denominator)
        assert math.isclose(logistic.exp_minus(numerator, denominator) / logistic.EXP_ONE, exact, rel_tol=1e-9)
    x = np.arange(-logistic.LOGIT_MAX, logistic.LOGIT_MAX + 1) / 256
    np.testing.assert_allclose(logistic.squash_table(), np.clip(65536 / (1 + np.exp(-x)), 1, 65535), atol=1)
    assert logistic.counter_rates()[:3].tolist() == [43690, 26214, 18724]
