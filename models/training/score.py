"""Measure runs on text that no run was trained on: `python -m lmzip.models.training.score TOKENS RUN...`.

What is measured is the float network while it sees weights and activations rounded, on the held-back ends of all pieces
of TOKENS: within 0.3 % what the exact network of the same weights takes, and quick enough to choose among runs.
"""

from __future__ import annotations

import math
from pathlib import Path

import click
import torch
from torch import Tensor

from lmzip.models.training.checkpoint import load_network
from lmzip.models.training.network import Matrix, Network
from lmzip.models.training.tokens import Tokens, symbol_sizes

CROPS_AT_ONCE = 8


@torch.no_grad()
def bits_per_byte(network: Network, tokens: Tokens, token_bytes: Tensor, crops: int, length: int) -> dict[str, float]:
    """Return the code length of some held-back crops of every domain; the network sees rounded products.

    token_bytes (alphabet + 2): bytes of each symbol and of the two marks.
    """
    Matrix.quantised, result = True, {}
    for domain in tokens.held_back:
        nats = size = 0.0
        batches = (t.split(CROPS_AT_ONCE) for t in tokens.validation(domain, crops, length))
        for ids, targets in zip(*batches, strict=True):
            counted = (targets < network.config.vocab_size).sum().item()
            with torch.autocast(tokens.device, torch.bfloat16):
                nats += network.loss(ids, targets).item() * counted
            size += token_bytes[targets].sum().item()
        result[domain] = round(nats / math.log(2) / size, 4)
    Matrix.quantised = False
    return result


@click.command()
@click.argument("tokens", type=click.Path(path_type=Path, exists=True))
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--crops", default=96, help="Crops of each domain, if it has as many.")
@click.option("--length", default=512, help="Tokens in a crop.")
@click.option("--device", default="cuda" if torch.cuda.is_available() else "cpu")
def main(tokens: Path, runs: tuple[Path, ...], crops: int, length: int, device: str) -> None:
    """Print the bits per byte of every RUN on the held-back TOKENS of each domain."""
    sizes = symbol_sizes(tokens / "tokenizer.json")
    token_bytes = torch.tensor([*sizes, 0, 0], device=device)
    for run in runs:
        network = load_network(run).to(device)
        config = network.config
        if config.vocab_size != len(sizes):
            raise click.ClickException(f"{run}: a network of {config.vocab_size} symbols, not {len(sizes)}")
        scores = bits_per_byte(network, Tokens(tokens, config, 0, device=device), token_bytes, crops, length)
        click.echo(f"{run} " + " ".join(f"{domain} {bits:.4f}" for domain, bits in scores.items()))


if __name__ == "__main__":
    main()
