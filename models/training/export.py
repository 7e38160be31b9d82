"""Make a model folder from a trained network: `python -m lmzip.models.training.export RUN TOKENS OUT ID`.

RUN is the folder of `train`, TOKENS that of `pack` or `samples`. OUT gets config.json, tokenizer.json and
weights.safetensors; the loss against the float parent is printed for the texts given with --text, of a model of pixels
or samples for the end of TOKENS, which it was not trained on.
"""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import click
import numpy as np
import torch

from lmzip.models.exact import arithmetic
from lmzip.models.exact.weights import Weights
from lmzip.models.networks.load import load_folder
from lmzip.models.networks.text import TextModel
from lmzip.models.protocols import Predictor
from lmzip.models.training.checkpoint import load_network
from lmzip.models.training.network import Network
from lmzip.models.training.tokens import VALIDATION_SHARE, symbol_sizes

LENGTH = 512  # tokens of a window in the comparison
COMPARED = 256  # windows of a model of pixels or samples, about


def windows_of(symbols: np.ndarray) -> np.ndarray:
    """Cut symbols into (windows, LENGTH); what does not fill a window is left out."""
    if len(symbols) < LENGTH:
        raise click.ClickException(f"a text has {len(symbols)} symbols; {LENGTH} are needed for a comparison")
    return symbols[: len(symbols) // LENGTH * LENGTH].reshape(-1, LENGTH).astype(np.int32)


def exact_bits(model: Predictor, symbols: np.ndarray) -> float:
    """Return the exact model's code length of windows of symbols, in bits."""
    bits = 0.0
    for rows in np.array_split(symbols, math.ceil(len(symbols) / 4)):
        frequencies = model.begin(len(rows), False, LENGTH).prefill(rows)
        chosen = np.take_along_axis(frequencies, rows.T[:, :, None], axis=2)
        bits -= np.log2(chosen / arithmetic.FREQUENCY_TOTAL).sum()
    return float(bits)


@torch.no_grad()
def float_bits(network: Network, symbols: np.ndarray) -> float:
    """Return the float network's code length of the same windows, in bits, in float32."""
    bits = 0.0
    for rows in torch.from_numpy(symbols.astype(np.int64)).split(4):
        start = torch.full((len(rows), 1), network.config.cut_start)
        bits += network.loss(torch.cat((start, rows[:, :-1]), dim=1), rows).item() * rows.numel()
    return bits / math.log(2)


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True))
@click.argument("tokens", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("model_id")
@click.option("--text", "texts", multiple=True, type=click.Path(path_type=Path, exists=True), help="Compare here.")
def main(run: Path, tokens: Path, out: Path, model_id: str, texts: tuple[Path, ...]) -> None:
    """Round the network of RUN and write it to OUT under the name MODEL_ID."""
    network = load_network(run)
    tensors = {name: tensor.float().numpy() for name, tensor in network.state_dict().items()}
    out.mkdir(parents=True, exist_ok=True)
    Weights.from_float(network.config, tensors).save(out / "weights.safetensors")
    shutil.copyfile(tokens / "tokenizer.json", out / "tokenizer.json")
    description = {"id": model_id, "profile": arithmetic.PROFILE, "network": json.loads(network.config.to_json())}
    (out / "config.json").write_text(json.dumps(description, indent=1) + "\n")
    model = load_folder(out)
    click.echo(f"{model_id} sha256 {model.sha256.hex()}")
    if isinstance(model, TextModel):
        compared = {path.name: windows_of(model.encode(path.read_bytes())) for path in texts}
    else:
        symbols = np.load(tokens / f"{model.kind}-000.npy", mmap_mode="r")
        held_back = symbols[int(len(symbols) * (1 - VALIDATION_SHARE)) :]
        windows = windows_of(held_back[held_back < model.alphabet])
        compared = {"held back": windows[:: max(1, len(windows) // COMPARED)]}
    sizes = np.array(symbol_sizes(out / "tokenizer.json"))
    for name, windows in compared.items():
        size = sizes[windows].sum()
        exact, parent = exact_bits(model, windows) / size, float_bits(network, windows) / size
        click.echo(f"{name}: float {parent:.4f}, exact {exact:.4f} bits/byte, {exact / parent - 1:+.2%}")


if __name__ == "__main__":
    main()
