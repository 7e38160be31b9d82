"""Making picture networks of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from safetensors.numpy import load_file

from lmzip.models.image import network
from lmzip.models.image.coder import Coder
from lmzip.models.image.state import MEAN
from lmzip.models.training import pictures


def waves(number: int) -> np.ndarray:
    """Return a picture that the predictors leave something of: waves with steps."""
    y, x = np.mgrid[:40, :48]
    shade = 90 + 50 * np.sin(x / (3 + number % 4)) + 40 * np.sign(np.sin(y / 5 + number))
    return (shade[:, :, None] + [0, 20, 40] + np.random.default_rng(number).normal(0, 2, (40, 48, 3))).astype(np.uint8)


@pytest.mark.parametrize(("kind", "channels"), pictures.CHANNELS.items())
def test_what_is_recorded_is_what_the_coder_sees(kind: int, channels: int) -> None:
    image = pictures.planes_of(waves(1), kind, 1)
    inputs, targets = pictures.record(image, kind)
    coder = Coder(image.shape, 8, 1, 0, kind, 6)
    coder.model = coder.model._replace(networks=network.no_networks(channels))  # weights do not change what is seen
    for y in range(len(image)):
        list(coder.row(image, y))
    samples = (len(image) - pictures.SKIPPED) * image.shape[1]
    assert inputs.shape == (samples, channels, network.FEATURES) and targets.shape == (samples, channels, 2)
    assert np.array_equal(inputs[-1, -1], coder.model.sample["features"])
    assert targets[-1, -1, 0] == 16 * int(image[-1, -1, -1]) - coder.model.sample["predictions"][MEAN]


def test_a_trained_network_is_rounded_to_one_that_says_the_same(tmp_path: Path) -> None:
    for number in range(12):
        Image.fromarray(waves(number)).save(tmp_path / f"{number}.png")
    arguments = [str(tmp_path), str(tmp_path / "out.safetensors"), "--minutes", "0.02", "--only", "*.png"]
    result = CliRunner().invoke(pictures.main, arguments, catch_exceptions=False)
    assert result.exit_code == 0 and result.output.count("mean error") == 7, result.output
    made = load_file(tmp_path / "out.safetensors")
    assert {name: array.shape for name, array in made.items()} == {
        name: array.shape for name, array in network.weights().items()
    }
    inputs, targets = pictures.record(pictures.planes_of(waves(2), pictures.COLOUR, 0), pictures.COLOUR)
    count = int(network.neighbours(3)[1][0]) + MEAN + 1
    parent = pictures.train(inputs[:, 0], targets[:, 0], count, 2, 0)
    assert pictures.gain(parent, inputs[:, 0], targets[:, 0]) < -0.01


def test_too_few_pictures(tmp_path: Path) -> None:
    result = CliRunner().invoke(pictures.main, [str(tmp_path), str(tmp_path / "out")])
    assert result.exit_code == 1 and "0 pictures; more than 10 are needed" in result.output
