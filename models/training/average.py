"""Average the weights of several runs: `python -m lmzip.models.training.average OUT RUN=SHARE...`.

Runs that went on from the same weights, in other orders of the texts, each carry noise of their own; their mean
has less of it than any one (Wortsman et al. 2022, "Model soups"). OUT/checkpoint.pt can be exported, and other runs can
begin with it (`train --init OUT`).
"""

from __future__ import annotations

from pathlib import Path

import click
import torch

from lmzip.models.training.train import load_weights


def mean_of(runs: list[tuple[Path, float]]) -> dict[str, object]:
    """Return a checkpoint with the weighted mean of the runs' weights; ClickException where they do not fit."""
    total = sum(share for _, share in runs)
    first, mean = load_weights(runs[0][0] / "checkpoint.pt")
    mean = {name: tensor * (runs[0][1] / total) for name, tensor in mean.items()}
    for run, share in runs[1:]:
        config, weights = load_weights(run / "checkpoint.pt")
        if config != first:
            raise click.ClickException(f"{run}: not such a network as that of {runs[0][0]}")
        for name, tensor in weights.items():
            mean[name] += tensor * (share / total)
    return {"network": mean, "mean": {}, "averaged": 0, "config": first.to_json()}


def parse(argument: str) -> tuple[Path, float]:
    """Return the folder and the share of RUN=SHARE; RUN alone has one share."""
    folder, _, share = argument.partition("=")
    try:
        return Path(folder), float(share or 1)
    except ValueError as error:
        raise click.BadParameter(f"{argument}: the share is not a number") from error


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("runs", metavar="RUN=SHARE...", nargs=-1, required=True)
def main(out: Path, runs: tuple[str, ...]) -> None:
    """Write the mean of the weights of RUNs, each with its SHARE, to OUT/checkpoint.pt."""
    checkpoint = mean_of([parse(run) for run in runs])
    out.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, out / "checkpoint.pt")


if __name__ == "__main__":
    main()
