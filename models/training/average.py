"""Average the weights of several runs: `python -m lmzip.models.training.average OUT RUN=SHARE...`.

Runs that went on from the same weights, in other orders of the texts, each carry noise of their own; their mean
has less of it than any one (Wortsman et al. 2022, "Model soups"). OUT/checkpoint.pt can be exported, and other runs can
begin with it (`train --init OUT`).
"""

from __future__ import annotations

from pathlib import Path

import click
import torch
from torch import Tensor

from lmzip.models.exact.config import NetworkConfig
from lmzip.models.training.checkpoint import load_weights, save_weights


def mean_of(runs: list[tuple[Path, float]]) -> tuple[NetworkConfig, dict[str, Tensor]]:
    """Return the config and the weighted mean of the runs' weights; ClickException where they do not fit."""
    total = sum(share for _, share in runs)
    if total <= 0:
        raise click.ClickException("the shares add up to nothing")
    configs, weights = zip(*(load_weights(run) for run, _ in runs), strict=True)
    for (run, _), config in zip(runs, configs, strict=True):
        if config != configs[0]:
            raise click.ClickException(f"{run}: not such a network as that of {runs[0][0]}")
    shares = [share / total for _, share in runs]
    pairs = list(zip(shares, weights, strict=True))
    return configs[0], {name: torch.stack([s * w[name] for s, w in pairs]).sum(dim=0) for name in weights[0]}


def parse(argument: str) -> tuple[Path, float]:
    """Return the folder and the share of RUN=SHARE; RUN alone has one share."""
    folder, equals, share = argument.rpartition("=")
    run = Path(folder if equals else argument)
    try:
        parsed = float(share) if equals else 1.0
    except ValueError as error:
        raise click.BadParameter(f"{argument}: the share is not a number") from error
    return run, parsed


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("runs", metavar="RUN=SHARE...", nargs=-1, required=True)
def main(out: Path, runs: tuple[str, ...]) -> None:
    """Write the mean of the weights of RUNs, each with its SHARE, to OUT/checkpoint.pt."""
    config, weights = mean_of([parse(run) for run in runs])
    save_weights(out, config, weights)


if __name__ == "__main__":
    main()
