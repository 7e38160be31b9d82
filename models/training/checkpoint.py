"""The weights in the folder of a run."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from lmzip.models.exact.config import NetworkConfig
from lmzip.models.training.network import Network

CHECKPOINT = "checkpoint.pt"  # of a run, in its folder


def load_weights(path: Path) -> tuple[NetworkConfig, dict[str, Tensor]]:
    """Load the config and the weights of a checkpoint, their mean where the run has averaged."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    return NetworkConfig.from_dict(json.loads(state["config"])), state["mean"] or state["network"]


def load_network(run: Path) -> Network:
    """Load the float network of a run."""
    config, weights = load_weights(run / CHECKPOINT)
    network = Network(config)
    network.load_state_dict(weights)
    return network.eval()


def save_weights(path: Path, config: NetworkConfig, weights: dict[str, Tensor]) -> None:
    """Write a checkpoint of weights alone, from which no run can go on but others can begin."""
    torch.save({"network": weights, "mean": {}, "averaged": 0, "config": config.to_json()}, path)
