"""The coder of pixels: everything comes back, the same everywhere, and small."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lmzip.coders import CODERS, CoderError
from lmzip.coders.bits import finish_bits, open_bits
from lmzip.models.image import (
    ImageSettings,
    check_settings,
    choose,
    choose_settings,
    colour_lattice,
    decode_pixels,
    encode_pixels,
    is_trusted,
    network,
    state,
    tables,
    trust,
)

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
PLAIN = ImageSettings(0, 0, 0, 0, 0, 0, 6, 0)


def encode(pixels: Pixels, depth: int, settings: ImageSettings) -> bytes:
    encoder = CODERS[0][0]()
    encode_pixels(pixels, depth, settings, encoder)
    return encoder.finish()


def decode(data: bytes, shape: tuple[int, int, int], depth: int, settings: ImageSettings) -> Pixels:
    reader = open_bits(0, data)
    pixels = decode_pixels(shape, depth, settings, reader)
    finish_bits(reader)
    return pixels


def size_of(pixels: Pixels, depth: int, settings: ImageSettings) -> int:
    """Code pixels, check that they come back, return the size of the code."""
    data = encode(pixels, depth, settings)
    decoded = decode(data, pixels.shape, depth, settings)
    assert decoded.dtype == pixels.dtype
    np.testing.assert_array_equal(decoded, pixels)
    return len(data)


def slopes(height: int, width: int, noise: int) -> NDArray[np.uint8]:
    """Return a picture of slopes with a little noise, three channels that are much alike."""
    y, x = np.mgrid[:height, :width]
    random = np.random.default_rng(5).integers(0, noise, (height, width, 3))
    luma = 60 + 40 * np.sin(x / 17) + 40 * np.cos(y / 11)
    return (luma[:, :, None] + random + np.array([0, 10, 20])).astype(np.uint8)


@st.composite
def pictures(draw: st.DrawFn) -> tuple[Pixels, int]:
    depth = draw(st.integers(1, 16))
    shape = draw(st.integers(1, 12)), draw(st.integers(1, 12)), draw(st.integers(1, 6))
    most = min(draw(st.sampled_from([1, 2, 5, 1 << 16])), (1 << depth) - 1)
    raw = np.random.default_rng(draw(st.integers(0, 1 << 32))).integers(0, most + 1, shape)
    if draw(st.booleans()):
        raw = np.sort(raw.reshape(-1)).reshape(shape)
    return raw.astype(np.uint8 if depth <= 8 else np.uint16), depth


@hypothesis.settings(max_examples=60, deadline=None)
@given(pictures(), st.integers(1, 9), st.booleans())
def test_pixels_come_back(picture: tuple[Pixels, int], effort: int, palette: bool) -> None:
    pixels, depth = picture
    size_of(pixels, depth, choose_settings(pixels, depth, effort, palette))


@hypothesis.settings(max_examples=40, deadline=None)
@given(pictures(), st.integers(0, 1), st.integers(0, 1), st.sampled_from([1, 6, 9]))
def test_pixels_come_back_by_every_mode(picture: tuple[Pixels, int], phases: int, mode: int, effort: int) -> None:
    pixels, depth = picture
    channels = pixels.shape[2]
    network = int(mode == 0 and channels in (1, 3))
    size_of(pixels, depth, ImageSettings(0, 0, 0, int(channels >= 3), phases, mode, effort, network))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 4), (1, 40000, 1), (300, 1, 3), (9, 7, 33)])
@pytest.mark.parametrize("depth", [1, 8, 16])
def test_odd_shapes_come_back(shape: tuple[int, int, int], depth: int) -> None:
    raw = np.random.default_rng(1).integers(0, 1 << depth, shape)
    pixels = raw.astype(np.uint8 if depth <= 8 else np.uint16)
    size_of(pixels, depth, choose_settings(pixels, depth, 6, False))


def test_extreme_values_come_back() -> None:
    extreme = np.random.default_rng(2).choice(np.array([0, 65535], np.uint16), (40, 40, 3))
    size_of(extreme, 16, PLAIN)
    size_of(np.repeat(extreme, 5, axis=1), 16, PLAIN._replace(effort=9))


@pytest.mark.parametrize("kind", [colour_lattice.PHOTO_CD, colour_lattice.JPEG])
def test_pictures_made_of_luma_and_chroma_are_found(kind: int) -> None:
    y, x = np.mgrid[:64, :64]
    random = np.random.default_rng(3).integers(0, 4, (64, 64, 3))
    planes = (random + np.stack([100 + x, 130 + y // 2, 130 + x // 3], axis=2)).astype(np.uint8)
    pixels = colour_lattice.to_pixels(planes, kind)
    settings = choose_settings(pixels, 8, 6, False)
    assert (settings.lattice, settings.corrected) == (kind, 0)
    exact = size_of(pixels, 8, settings)
    assert exact < 0.8 * size_of(pixels, 8, PLAIN)
    pixels[5, 5] = 1, 250, 3
    settings = choose_settings(pixels, 8, 6, False)
    assert (settings.lattice, settings.corrected) == (kind, 1)
    assert size_of(pixels, 8, settings) < exact + 100
    with pytest.raises(ValueError, match="corrections"):
        encode(pixels, 8, settings._replace(corrected=0))


@pytest.mark.parametrize("kind", [colour_lattice.PHOTO_CD, colour_lattice.JPEG])
def test_clipped_colours_are_no_evidence_against_a_lattice(kind: int) -> None:
    y, x = np.mgrid[:64, :64]
    random = np.random.default_rng(8).integers(0, 4, (64, 64, 3))
    planes = (random + np.stack([100 + x, 130 + y // 2, 130 + x // 3], axis=2)).astype(np.uint8)
    pixels = colour_lattice.to_pixels(planes, kind)
    pixels[40:, :, 0] = 255
    pixels[56:, :, 1] = 0
    settings = choose_settings(pixels, 8, 6, False)
    assert (settings.lattice, settings.corrected) == (kind, 1)
    assert size_of(pixels, 8, settings) < 0.95 * size_of(pixels, 8, settings._replace(lattice=0, corrected=0, order=1))


def test_other_pictures_are_on_no_lattice() -> None:
    pixels = slopes(64, 64, 4)
    assert choose_settings(pixels, 8, 6, False).lattice == colour_lattice.NONE
    pixels[:48, :, 2] = 255
    assert choose_settings(pixels, 8, 6, False).lattice == colour_lattice.NONE


@hypothesis.settings(max_examples=50, deadline=None)
@given(st.integers(1, 2), st.integers(0, 1 << 32))
def test_any_colour_comes_back_from_a_lattice(kind: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    planes, _ = colour_lattice.to_planes(pixels, kind)
    np.testing.assert_array_equal(colour_lattice.to_pixels(planes, kind), pixels)


def test_slopes_take_little_more_than_their_noise() -> None:
    pixels = slopes(128, 128, 4)  # 2 bits of noise a sample
    settings = choose_settings(pixels, 8, 6, False)
    assert size_of(pixels, 8, settings) < 1.4 * pixels.size * 2 / 8
    assert size_of(pixels, 8, settings._replace(effort=1)) < 1.6 * pixels.size * 2 / 8


def test_flat_pictures_take_nothing() -> None:
    pixels = np.full((500, 500, 3), 77, np.uint8)
    assert size_of(pixels, 8, choose_settings(pixels, 8, 6, False)) < 100


def test_repeats_cost_little() -> None:
    tile = np.random.default_rng(4).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    pixels = np.tile(tile, (1, 6, 1))
    assert size_of(pixels, 8, PLAIN._replace(mode=1)) < 1.2 * tile.size


@pytest.mark.parametrize("helps", [False, True])
def test_the_network_is_used_where_it_helps(monkeypatch: pytest.MonkeyPatch, helps: bool) -> None:
    monkeypatch.setattr(choose, "_cost", lambda pixels, depth, chosen: 10 + (chosen.network ^ helps) + chosen.colours)
    picture = slopes(40, 40, 30)
    assert choose_settings(picture, 8, 6, False).network == helps
    assert choose_settings(picture[:, :, :1].copy(), 8, 6, False).network == helps
    assert not choose_settings(picture, 8, 3, False).network
    assert not choose_settings(picture[:, :, :2].copy(), 8, 6, False).network
    assert not choose_settings(picture[:, :, :1] & 7, 3, 6, True).network


def test_few_colours_are_listed() -> None:
    colours = np.random.default_rng(6).integers(0, 256, (20, 3)).astype(np.uint8)
    pixels = colours[np.random.default_rng(7).integers(0, 20, (64, 64))]
    settings = choose_settings(pixels, 8, 6, False)
    assert settings.colours == len(np.unique(colours, axis=0))
    assert size_of(pixels, 8, settings) < 1.1 * 64 * 64 * np.log2(20) / 8


def test_progress_counts_pixels() -> None:
    pixels, told = slopes(10, 7, 2), list[int]()
    encoder = CODERS[0][0]()
    encode_pixels(pixels, 8, PLAIN, encoder, told.append)
    assert told == [7 * (y + 1) for y in range(10)]
    heard = list[int]()
    decode_pixels(pixels.shape, 8, PLAIN, open_bits(0, encoder.finish()), heard.append)
    assert heard == told


@hypothesis.settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), pictures(), st.integers(0, 255), st.tuples(*[st.integers(0, 1)] * 4), st.integers(0, 1))
def test_any_data_decodes_or_is_refused(
    data: bytes, picture: tuple[Pixels, int], colours: int, bits: tuple[int, int, int, int], kind: int
) -> None:
    pixels, depth = picture
    order, phases, mode, network = bits
    settings = ImageSettings(kind * 2, kind, colours, order, phases, mode, 6, network)
    try:
        check_settings(settings, pixels.shape, depth)
    except ValueError:
        return
    try:
        decoded = decode_pixels(pixels.shape, depth, settings, open_bits(0, data))
    except CoderError:
        return
    assert decoded.shape == pixels.shape and decoded.dtype == pixels.dtype
    assert not (decoded >> depth).any()


@pytest.mark.parametrize(
    ("settings", "shape", "depth"),
    [
        (PLAIN._replace(effort=0), (2, 2, 3), 8),
        (PLAIN._replace(effort=10), (2, 2, 3), 8),
        (PLAIN._replace(mode=2), (2, 2, 3), 8),
        (PLAIN._replace(lattice=3), (2, 2, 3), 8),
        (PLAIN._replace(lattice=1), (2, 2, 4), 8),
        (PLAIN._replace(lattice=1), (2, 2, 3), 16),
        (PLAIN._replace(lattice=1, order=1), (2, 2, 3), 8),
        (PLAIN._replace(corrected=1), (2, 2, 3), 8),
        (PLAIN._replace(order=1), (2, 2, 2), 8),
        (PLAIN._replace(network=2), (2, 2, 3), 8),
        (PLAIN._replace(network=1), (2, 2, 4), 8),
        (PLAIN._replace(network=1, mode=1), (2, 2, 3), 8),
        (PLAIN._replace(network=1, colours=2), (2, 2, 3), 8),
        (PLAIN._replace(colours=257), (200, 200, 3), 8),
        (PLAIN._replace(colours=5), (2, 2, 3), 8),
        (PLAIN._replace(colours=5, order=1), (20, 20, 3), 8),
        (PLAIN, (0, 2, 3), 8),
        (PLAIN, (2, 2, 65), 8),
        (PLAIN, (2, 2, 3), 17),
        (PLAIN, (1, 1 << 21, 1), 8),
        (PLAIN, (1 << 20, 1 << 10, 1), 8),
    ],
)
def test_settings_that_no_encoder_writes_are_refused(
    settings: ImageSettings, shape: tuple[int, int, int], depth: int
) -> None:
    with pytest.raises(ValueError):
        check_settings(settings, shape, depth)
    with pytest.raises(ValueError):
        decode_pixels(shape, depth, settings, open_bits(0, b""))


def test_pixels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="bits"):
        encode(np.full((2, 2, 1), 16, np.uint8), 4, PLAIN)
    with pytest.raises(ValueError, match="bits"):
        encode(np.zeros((2, 2, 1), np.uint16), 8, PLAIN)
    with pytest.raises(ValueError, match="colours"):
        encode(np.zeros((2, 2, 1), np.uint8), 8, PLAIN._replace(colours=2))


GOLDEN = {
    0: "a0b4c3b2f5c7ca33",
    1: "0866b4740ec946ea",
    2: "118422cafa4d0e3f",
}


def golden_digest(number: int) -> str:
    mode, network = number & 1, number >> 1
    pixels = slopes(40, 40, 6)
    pixels[10:20, 10:] = pixels[0:10, :30]
    pixels[30:] = 9
    return hashlib.sha256(encode(pixels, 8, ImageSettings(0, 0, 0, 1, mode, mode, 6, network))).hexdigest()[:16]


@pytest.mark.parametrize("number", sorted(GOLDEN))
def test_golden_bytes(number: int) -> None:
    assert golden_digest(number) == GOLDEN[number]


@pytest.mark.parametrize(("kind", "channels"), [(network.GREY, 1), (network.COLOUR, 3), (network.LUMA, 3)])
def test_the_network_is_what_the_formulas_say(kind: int, channels: int) -> None:
    networks, sample = network.load_networks(kind), np.zeros(1, state.SAMPLE)[0]
    random = np.random.default_rng(kind)
    unit = 1 << network.UNIT_BITS

    def layer(x: NDArray[np.int64], w: NDArray[np.int32], bias: NDArray[np.int32]) -> NDArray[np.int64]:
        total = w.astype(np.int64) @ x + bias
        assert (np.abs(w.astype(np.int64)) @ np.abs(x) + np.abs(bias)).max() < 1 << 31
        return np.clip(total >> network.WEIGHT_BITS, 0, 8 * unit)

    for c in range(channels):
        n = networks.counts[c] + state.MEAN + 1
        for scale in (12, 1000):
            features = random.integers(-7 * unit, 7 * unit, state.FEATURES)
            features[n:] = 0
            sample["features"][:], sample["predictions"][state.MEAN] = features, 4000
            sample["feature_scale"] = scale
            network.refine(networks, sample, c)
            units = layer(features, networks.first[c], networks.first_bias[c])
            units = layer(units, networks.second[c], networks.second_bias[c])
            change = (units @ networks.last[c] + networks.last_bias[c, 0]) * scale / (unit << network.WEIGHT_BITS)
            assert sample["predictions"][state.REFINED] == 4000 + np.floor(change + 0.5)


def test_no_sum_of_the_network_leaves_32_bits() -> None:
    largest = int(network.squeeze_table().max())
    assert largest * network.WEIGHT_MAX * state.FEATURES < 1 << 31
    assert network.UNIT_MAX * network.WEIGHT_MAX * network.FIRST < 1 << 31
    matrices = [array for name, array in network.weights().items() if "bias" not in name]
    assert max(int(np.abs(array).max()) for array in matrices) <= network.WEIGHT_MAX


def test_damaged_weights_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    network.weights.cache_clear()
    monkeypatch.setattr(network, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ValueError, match=r"damaged.*install lmzip again"):
        network.weights()


def test_the_self_test_passes() -> None:
    assert is_trusted()


def test_tables_are_what_the_formulas_say() -> None:
    x = np.arange(-tables.REACH * tables.STEPS, tables.REACH * tables.STEPS + 1) / tables.STEPS
    np.testing.assert_allclose(tables.distribution(), 1 / (1 + np.exp(-x)), rtol=1e-6, atol=1e-15)
    assert (tables.logs() == np.floor(4 * np.log2(1 + np.arange(4096) / 4) + 1e-9)).all()


def test_another_processor_computes_the_same(tmp_path: Path) -> None:
    script = "from lmzip.models.image import trust; print(trust.reference_digest())"
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == trust.REFERENCE_DIGEST
