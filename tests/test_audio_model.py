"""The sound model: what it codes comes back, small, and the same on every machine."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lmzip.coders import CODERS, CoderError
from lmzip.coders.bits import finish_bits, open_bits
from lmzip.models.audio import (
    SoundSettings,
    check_settings,
    choose_settings,
    decode_samples,
    encode_samples,
    is_trusted,
)
from lmzip.models.audio.settings import STRENGTHS

RANGE, RANS = 0, 1
Samples = NDArray[np.int32]


def encode(samples: Samples, depth: int, settings: SoundSettings, kind: int = RANGE) -> bytes:
    encoder = CODERS[kind][0]()
    encode_samples(samples, depth, settings, encoder)
    return encoder.finish()


def decode(data: bytes, shape: tuple[int, int], depth: int, settings: SoundSettings, kind: int = RANGE) -> Samples:
    reader = open_bits(kind, data)
    samples = decode_samples(shape, depth, settings, reader)
    finish_bits(reader)
    return samples


def assert_round_trip(samples: Samples, depth: int, settings: SoundSettings, kind: int = RANGE) -> bytes:
    data = encode(samples, depth, settings, kind)
    decoded = decode(data, samples.shape, depth, settings, kind)
    assert decoded.dtype == np.int32
    assert np.array_equal(decoded, samples)
    return data


def tones(frames: int, channels: int, depth: int, seed: int = 1) -> Samples:
    """Return a few sines with noise, different but alike in all channels."""
    random = np.random.default_rng(seed)
    t = np.arange(frames)
    base = sum(np.sin(t * f + c)[:, None] * random.normal(1, 0.3, channels) for c, f in enumerate((0.02, 0.07, 0.31)))
    sound = base * 2.0 ** (depth - 4) + random.normal(0, 2.0 ** (depth - 11), (frames, channels))
    half = 2 ** (depth - 1)
    return np.clip(np.rint(sound), -half, half - 1).astype(np.int32)


@pytest.mark.parametrize("strength", range(len(STRENGTHS)))
@pytest.mark.parametrize(("channels", "depth"), [(1, 8), (1, 16), (2, 16), (2, 24), (6, 16), (1, 32), (17, 12)])
def test_round_trip(strength: int, channels: int, depth: int) -> None:
    assert_round_trip(tones(700, channels, depth), depth, SoundSettings(strength))


@pytest.mark.parametrize("kind", [RANGE, RANS])
def test_round_trip_of_several_pieces_with_both_coders(kind: int) -> None:
    assert_round_trip(tones(9001, 2, 16), 16, SoundSettings(0), kind)


@hypothesis.settings(max_examples=40, deadline=None)
@given(data=st.data(), depth=st.integers(1, 32), channels=st.integers(1, 4), frames=st.integers(0, 40))
def test_round_trip_of_anything(data: st.DataObject, depth: int, channels: int, frames: int) -> None:
    half = 1 << depth - 1
    few = data.draw(st.lists(st.integers(-half, half - 1), min_size=1, max_size=4))
    value = st.one_of(st.sampled_from(few), st.integers(-half, half - 1))
    values = data.draw(st.lists(value, min_size=frames * channels, max_size=frames * channels))
    samples = np.array(values, np.int64).astype(np.int32).reshape(frames, channels)
    assert_round_trip(samples, depth, SoundSettings(data.draw(st.integers(0, 2))))


EXTREMES: dict[str, NDArray[Any]] = {
    "silence": np.zeros((5000, 2)),
    "constant": np.full((5000, 1), -(2**31)),
    "square": np.where(np.arange(3000)[:, None] // 50 % 2, 2**31 - 1, -(2**31)),
    "alternating": np.where(np.arange(3000)[:, None] % 2, 2**31 - 1, -(2**31)),
    "noise": np.random.default_rng(1).integers(-(2**31), 2**31, (3000, 2)),
    "impulse": np.eye(2000, 1) * (2**31 - 1),
    "silence, then noise": np.random.default_rng(2).integers(-(2**31), 2**31, (3000, 1))
    * (np.arange(3000) > 2000)[:, None],
    "growth": 2.0 ** (np.arange(3000)[:, None] / 100),
}


@pytest.mark.parametrize("name", EXTREMES)
def test_round_trip_of_extremes(name: str) -> None:
    assert_round_trip(EXTREMES[name].astype(np.int32), 32, SoundSettings(2))


def test_silence_and_constant_channels_cost_nothing() -> None:
    assert len(encode(np.full((100_000, 2), 7, np.int32), 16, SoundSettings(0))) < 32


def test_equal_channels_cost_little_more_than_one() -> None:
    one = tones(8000, 1, 16)
    assert len(encode(np.repeat(one, 2, axis=1), 16, SoundSettings(2))) < 1.05 * len(encode(one, 16, SoundSettings(2)))


def test_low_bits_that_are_never_used_cost_nothing() -> None:
    samples = tones(4000, 1, 16)
    assert abs(len(encode(samples << 8, 24, SoundSettings(2))) - len(encode(samples, 16, SoundSettings(2)))) < 200


def test_low_bits_that_are_not_used_for_a_while_cost_nothing() -> None:
    samples = tones(4096, 2, 16)
    for start in range(0, 4096, 512):
        bits = 3 + start // 512 % 3
        samples[start : start + 512] = samples[start : start + 512] >> bits << bits
    wasteful = samples | np.arange(len(samples))[:, None] % 2  # so that no low bit is always 0
    data = assert_round_trip(samples, 16, SoundSettings(1))
    assert len(data) + 4096 * 2 * 2.5 / 8 < len(encode(wasteful, 16, SoundSettings(1)))


def test_values_that_never_occur_cost_little() -> None:
    samples = tones(20_000, 1, 8)
    louder = np.rint(samples * 37.3).astype(np.int32)
    assert len(encode(louder, 16, SoundSettings(2))) < 1.1 * len(encode(samples, 8, SoundSettings(2))) + 1000


def test_noise_costs_no_more_than_its_bits() -> None:
    noise = np.random.default_rng(3).integers(-(2**15), 2**15, (50_000, 1)).astype(np.int32)
    assert len(encode(noise, 16, SoundSettings(2))) < 1.005 * 2 * noise.size


def test_tones_in_noise_cost_little_more_than_the_noise() -> None:
    # 32 is the deviation of the noise: log2(32 * sqrt(2 pi e)) bits a sample
    samples = tones(30_000, 1, 16)
    assert len(encode(samples, 16, SoundSettings(2))) * 8 / samples.size < 1.06 * (5 + 2.047)


def test_more_effort_makes_it_smaller() -> None:
    samples = tones(6000, 2, 16)
    sizes = [len(encode(samples, 16, choose_settings(samples, 16, effort))) for effort in (1, 6)]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("seed", range(8))
def test_hostile_code_is_an_error_or_gives_samples(seed: int) -> None:
    random = np.random.default_rng(seed)
    settings, depth, shape = SoundSettings(seed % 3), int(random.integers(1, 33)), (500, 1 + seed % 3)
    good = encode(tones(*shape, 16), 16, SoundSettings(settings.strength))
    damaged = bytearray(good)
    damaged[len(good) // 2] ^= 0x55
    for data, bits in (
        (random.bytes(400), depth),
        (good[: len(good) // 8 * 4], 16),
        (bytes(damaged), 16),
        (b"", depth),
    ):
        for kind in (RANGE, RANS):
            try:
                samples = decode_samples(shape, bits, settings, open_bits(kind, data))
            except CoderError:
                continue
            assert samples.shape == shape
            assert -(1 << bits - 1) <= samples.min() <= samples.max() < 1 << bits - 1


def test_bad_arguments_are_refused() -> None:
    samples = tones(10, 1, 8)
    with pytest.raises(ValueError, match="effort is 10"):
        choose_settings(samples, 8, 10)
    with pytest.raises(ValueError, match="strength of the sound model is 5"):
        check_settings(SoundSettings(len(STRENGTHS)), samples.shape, 8)
    with pytest.raises(ValueError, match="33 bits"):
        check_settings(SoundSettings(0), samples.shape, 33)
    with pytest.raises(ValueError, match="have the shape"):
        check_settings(SoundSettings(0), (10, 0), 8)
    with pytest.raises(ValueError, match="must have 2 bits"):
        encode(samples, 2, SoundSettings(0))


def test_progress_counts_frames() -> None:
    for channels in (2, 20):
        told: list[int] = []
        samples = tones(9000 // channels * 2, channels, 16)
        encode_samples(samples, 16, SoundSettings(0), CODERS[RANGE][0](), told.append)
        assert told == sorted(told)
        assert told[-1] == len(samples)
        assert len(told) > 1


def golden_samples() -> Samples:
    """Return samples made by integers alone: they are the same for ever."""
    raw = np.random.PCG64(5).random_raw(6000) >> np.uint64(54)
    noise = raw.astype(np.int64).reshape(-1, 2) - 512
    return (np.cumsum(noise, axis=0) // 4 + noise[:, ::-1]).astype(np.int32)


GOLDEN = {
    0: "79ea820e68469944",
    1: "c7dab6198d6ee4bc",
    2: "3cadb78f7064da53",
    3: "24daaf22933edfd7",
    4: "156fa1a2b07176b9",
}
GOLDEN_CODE = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
import test_audio_model as t
for strength in t.GOLDEN:
    data = t.encode(t.golden_samples(), 24, t.SoundSettings(strength))
    print(hashlib.sha256(data).hexdigest()[:16])
"""


def test_encoding_gives_the_golden_bytes() -> None:
    for strength, expected in GOLDEN.items():
        data = assert_round_trip(golden_samples(), 24, SoundSettings(strength))
        assert hashlib.sha256(data).hexdigest()[:16] == expected


def test_a_simple_processor_gives_the_golden_bytes(tmp_path: Path) -> None:
    environment = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    process = subprocess.run(
        [sys.executable, "-c", GOLDEN_CODE, str(Path(__file__).parent)],
        env={**os.environ, **environment}, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert process.stdout.split() == list(GOLDEN.values())


def test_this_machine_is_trusted() -> None:
    assert is_trusted()
