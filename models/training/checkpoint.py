"""The weights in the folder of a run."""

from __future__ import annotations

import json
from pathlib import Path

import click
import torch
from torch import Tensor

from lmzip.models.exact.config import NetworkConfig
from lmzip.models.training.network import Network

CHECKPOINT = "checkpoint.pt"  # of a run, in its folder


def load_weights(run: Path) -> tuple[NetworkConfig, dict[str, Tensor]]:
    """Load the config and the weights of a run, their mean where it has averaged; ClickException if it is none."""
    try:
        state = torch.load(run / CHECKPOINT, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise click.ClickException(f"{run}: no run of training; there is no {CHECKPOINT}") from error
    return NetworkConfig.from_dict(json.loads(state["config"])), state["mean"] or state["network"]


def load_network(run: Path) -> Network:
    """Load the float network of a run."""
    config, weights = load_weights(run)
    network = Network(config)
    network.load_state_dict(weights)
    return network.eval()


def save_weights(run: Path, config: NetworkConfig, weights: dict[str, Tensor]) -> None:
    """Make a run of weights alone, which cannot go on but with which others can begin."""
    run.mkdir(parents=True, exist_ok=True)
    torch.save({"network": weights, "mean": {}, "averaged": 0, "config": config.to_json()}, run / CHECKPOINT)
