"""What a model to import is: its config, its tokenizer and its float tensors, wherever they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lmzip.models.importing.families import Names

if TYPE_CHECKING:
    import torch


class Source(Protocol):
    """A float model in the words of Hugging Face; its tensors are read one at a time."""

    name: str  # by which `find_source` finds it on other machines too: of the hub or of a package; else empty
    config: dict[str, Any]  # as in config.json
    tokenizer: dict[str, Any]  # as in tokenizer.json
    notes: tuple[str, ...]  # what the user should know

    @property
    def id(self) -> str:
        """What files record: another one for other bytes."""

    @property
    def origin(self) -> str:
        """Where it comes from, in words."""

    def __contains__(self, name: str) -> bool:
        """Return whether there is a tensor of this name."""

    def tensor(self, name: str) -> NDArray[np.float32]:
        """Return a tensor in float32. Raises ValueError where it is missing or not finite."""

    def float_network(self) -> torch.nn.Module:
        """Return the network as transformers evaluates it, in float32. Needs torch and transformers."""


def prefix_of(source: Source, names: Names) -> str:
    """Return what stands before the names of tensors."""
    for prefix in names.prefixes:
        if f"{prefix}{names.embedding}.weight" in source:
            return prefix
    raise ValueError(f"the weights lack {names.prefixes[0]}{names.embedding}.weight: another architecture?")
