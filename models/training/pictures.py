"""Train the picture networks: `python -m lmzip.models.training.pictures PICTURES OUT.safetensors`.

PICTURES is a folder of photographs in any format that Pillow reads. The coder's own predictors go over each picture and
say what the network would see at every sample (`lmzip.models.image.network`). The float parent learns the mean and the
spread of a logistic distribution of what the sample is, relative to the mean prediction, by its code length; in the
coder only the mean counts. The weights are rounded to integers of 16 bits.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save
from torch import Tensor, nn
from tqdm import tqdm

from lmzip.models.image import network
from lmzip.models.image.coder import Coder
from lmzip.models.image.colour_lattice import JPEG, PHOTO_CD, to_planes
from lmzip.models.image.network import COLOUR, GREY, LUMA, UNIT_BITS, WEIGHT_BITS, WEIGHT_MAX
from lmzip.models.image.predictions import close_block, learn_sample, predict_sample
from lmzip.models.image.rows import begin_row, end_row, extend_up
from lmzip.models.image.settings import NATURAL
from lmzip.models.image.state import FEATURES, FIRST, MEAN, SECOND
from lmzip.models.mixing.jit import i64, kernel

UNIT, LARGEST = float(1 << UNIT_BITS), float(network.UNIT_MAX >> UNIT_BITS)
CHANNELS = {GREY: 1, COLOUR: 3, LUMA: 3}
SIDE = 256  # of the piece of a picture, at most
SKIPPED = 4  # rows at the top, where the predictors know nothing yet
BATCH, RATE, WEIGHT_DECAY = 2048, 2e-3, 0.01
HELD_BACK = 10  # pictures that nothing is learnt from


@kernel
def _record_row(model, image, y, inputs, targets):  # type: ignore[no-untyped-def]
    """Go over a row as the coder does.

    inputs: (width, channels, FEATURES) of the network; targets: (width, channels, 2), the sample less the mean
    prediction and the scale of the inputs, in units of 2^-4. Both are written.
    """
    _, width, channels = image.shape
    sample, block_width = model.sample, model.settings.block_width
    begin_row(model.history, y, width, channels)
    for x in range(width):
        if y == 0:
            extend_up(model.history, x, channels)
        for c in range(channels):
            value = i64(image[y, x, c])
            predict_sample(model, y, x, c, i64(0))
            targets[x, c, 0] = 16 * value - i64(sample.predictions[MEAN])
            targets[x, c, 1] = sample.feature_scale
            for i in range(FEATURES):
                inputs[x, c, i] = sample.features[i]
            learn_sample(model, y, x, c, i64(0), value)
        if (x + 1) % block_width == 0 or x + 1 == width:
            close_block(model, x // block_width + 1)
    end_row(model.history, y, width, channels)


def planes_of(rgb: NDArray[np.uint8], kind: int, which: int) -> NDArray[np.uint16]:
    """Return a picture (height, width, 3) as the coder gets one of a kind; which: of the colour lattices."""
    if kind == COLOUR:
        return np.ascontiguousarray(rgb[:, :, [1, 0, 2]], np.uint16)
    planes = to_planes(rgb, (PHOTO_CD, JPEG)[which % 2])[0][:, :, : CHANNELS[kind]]
    return np.ascontiguousarray(planes, np.uint16)


def record(image: NDArray[np.uint16], kind: int) -> tuple[NDArray[np.int16], NDArray[np.int32]]:
    """Return what the network sees of a picture and should say: (samples, channels, ...), see `_record_row`."""
    height, width, channels = image.shape
    blank = network.no_networks(CHANNELS[kind])
    model = Coder(image.shape, int(image.max()).bit_length(), 1, NATURAL, 0, 6).model._replace(networks=blank)
    inputs = np.zeros((height, width, channels, FEATURES), np.int16)
    targets = np.zeros((height, width, channels, 2), np.int32)
    for y in range(height):
        _record_row(model, image, y, inputs[y], targets[y])
    seen = slice(SKIPPED * width, None)
    return inputs.reshape(-1, channels, FEATURES)[seen], targets.reshape(-1, channels, 2)[seen]


class Parent(nn.Module):
    """The float parent of the network of one channel."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.first, self.second = nn.Linear(inputs, FIRST), nn.Linear(FIRST, SECOND)
        self.last = nn.Linear(SECOND, 2)  # the mean, and the logarithm of the spread
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return mean and spread (batch, 2) in units of the scale, of x (batch, inputs)."""
        x = F.relu(self.first(x)).clamp(max=LARGEST)
        return self.last(F.relu(self.second(x)).clamp(max=LARGEST))

    def bits(self, x: Tensor, targets: Tensor) -> Tensor:
        """Return the mean code length of samples; targets: (batch, 2) of `record`."""
        mean, spread = self(x).unbind(-1)
        scale = targets[:, 1]
        inverse, half = torch.exp(1 - spread), 8 / scale
        away = targets[:, 0] / scale - mean
        share = torch.sigmoid((away + half) * inverse) - torch.sigmoid((away - half) * inverse)
        return -share.clamp(min=1e-7).log2().mean()

    def rounded(self) -> dict[str, NDArray[np.int32]]:
        """Return the weights as the coder takes them."""
        unit, fine = float(1 << WEIGHT_BITS), float(1 << (UNIT_BITS + WEIGHT_BITS))
        matrices = {"first": self.first.weight, "second": self.second.weight, "last": self.last.weight[0]}
        biases = {"first_bias": self.first.bias, "second_bias": self.second.bias, "last_bias": self.last.bias[:1]}
        result = {n: w.detach().mul(unit).round().clamp(-WEIGHT_MAX, WEIGHT_MAX) for n, w in matrices.items()}
        result |= {n: b.detach().mul(fine).round() for n, b in biases.items()}
        return {n: np.ascontiguousarray(t.numpy().astype(np.int32)) for n, t in result.items()}


def train(inputs: NDArray[np.int16], targets: NDArray[np.int32], count: int, seconds: float, seed: int) -> Parent:
    """Train the network of one channel; count: of the inputs, those in use."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    parent = Parent(count)
    optimizer = torch.optim.AdamW(parent.parameters(), lr=RATE, weight_decay=WEIGHT_DECAY)
    begun = time.monotonic()
    while (progress := (time.monotonic() - begun) / seconds) < 1:
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, 2 * (1 - progress))
        chosen = rng.integers(0, len(inputs), BATCH)
        x = torch.from_numpy(inputs[chosen, :count].astype(np.float32) / UNIT)
        loss = parent.bits(x, torch.from_numpy(targets[chosen].astype(np.float32)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return parent


@torch.no_grad()
def gain(parent: Parent, inputs: NDArray[np.int16], targets: NDArray[np.int32]) -> float:
    """Return by how much the mean error of samples grows, less than 0 if the network is good."""
    wanted = torch.from_numpy(targets.astype(np.float32))
    mean = parent(torch.from_numpy(inputs[:, : parent.inputs].astype(np.float32) / UNIT))[:, 0] * wanted[:, 1]
    return float((wanted[:, 0] - mean).abs().mean() / wanted[:, 0].abs().mean()) - 1


@click.command()
@click.argument("pictures", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--only", default="*", help="Names of the pictures, as a pattern.")
@click.option("--minutes", default=4.0, help="Time to train the network of a channel for.")
@click.option("--share", default=0.5, help="Share of the samples that are kept.")
@click.option("--most", default=120, help="Pictures at most.")
@click.option("--threads", default=1)
@click.option("--seed", default=0)
def main(
    pictures: Path, out: Path, only: str, minutes: float, share: float, most: int, threads: int, seed: int
) -> None:
    """Train the networks of all kinds of PICTURES and write their weights to OUT."""
    torch.set_num_threads(threads)
    rng = np.random.default_rng(seed)
    found = sorted(pictures.glob(only))
    paths = [found[i] for i in rng.permutation(len(found))][:most]
    if len(paths) <= HELD_BACK:
        raise click.ClickException(f"{pictures}: {len(paths)} pictures; more than {HELD_BACK} are needed")
    images = [np.array(Image.open(path).convert("RGB"))[:SIDE, :SIDE] for path in paths]
    weights: dict[str, NDArray[np.int32]] = {}
    for kind, channels in CHANNELS.items():
        seen = []
        for i, rgb in enumerate(tqdm(images, desc=f"kind {kind}", unit="picture")):
            inputs, targets = record(planes_of(rgb, kind, i), kind)
            kept = rng.random(len(inputs)) < (share if i >= HELD_BACK else 1)
            seen.append((inputs[kept], targets[kept]))
        parts = seen[:HELD_BACK], seen[HELD_BACK:]
        held, learnt = ([np.concatenate(arrays) for arrays in zip(*part, strict=True)] for part in parts)
        for c in range(channels):
            count = int(network.neighbours(channels)[1][c]) + MEAN + 1
            parent = train(learnt[0][:, c], learnt[1][:, c], count, 60 * minutes, seed)
            weights |= {f"{kind}.{c}.{name}": array for name, array in parent.rounded().items()}
            click.echo(f"kind {kind}, channel {c}: mean error {gain(parent, held[0][:, c], held[1][:, c]):+.2%}")
    out.write_bytes(save(weights))


if __name__ == "__main__":
    main()
