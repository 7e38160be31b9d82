"""A GGUF as a source of a model: what it says in the words of Hugging Face's formats."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lmzip.models.extras import version
from lmzip.models.importing.gguf.file import GGUFFile
from lmzip.models.importing.gguf.network import Network
from lmzip.models.importing.gguf.parts import open_file, open_package, open_wheel
from lmzip.models.importing.gguf.tokenizer import read_tokenizer

if TYPE_CHECKING:
    import torch


class GGUFSource:
    """A model in a GGUF file, or in the files of a split one. See Source."""

    def __init__(self, files: Sequence[GGUFFile], origin: str, name: str = "") -> None:
        """files: the first one has the metadata. Raises ValueError where the model is not one that can be read."""
        self._files, self._origin, self.name = files, origin, name
        metadata = files[0].metadata
        count = metadata.get("split.count", len(files))
        if count not in (0, len(files)):
            raise ValueError(f"{files[0].name} is one of {count} files of a split GGUF, whose names must say so")
        self._network = Network(metadata, {name: file for file in files for name in file.tensors})
        self.tokenizer, notes = read_tokenizer(metadata)
        self.config: dict[str, Any] = self._network.config | _marks(metadata)
        self.notes = tuple(notes)

    @functools.cached_property
    def id(self) -> str:
        """The name in the metadata, or else the architecture, and a hash of all files."""
        metadata, digest = self._files[0].metadata, hashlib.sha256()
        for file in self._files:
            digest.update(file.sha256())
        named = (metadata.get(f"general.{key}") for key in ("basename", "size_label"))
        words = "-".join(word for word in named if isinstance(word, str)) or self.config["model_type"]
        return f"{re.sub(r'[^a-z0-9.]+', '-', words.lower()).strip('-')}-{digest.hexdigest()[:12]}"

    @property
    def origin(self) -> str:
        """See Source."""
        return self._origin

    def __contains__(self, name: str) -> bool:
        return name in self._network

    def tensor(self, name: str) -> NDArray[np.float32]:
        """See Source."""
        return self._network.tensor(name)

    def float_network(self) -> torch.nn.Module:
        """See Source."""
        import torch
        import transformers

        transformers.utils.logging.set_verbosity_error()
        config = transformers.AutoConfig.for_model(**self.config)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        tensors = {name: torch.from_numpy(np.array(self.tensor(name))) for name in model.state_dict() if name in self}
        model.load_state_dict(tensors, strict=False)
        return model


def from_file(path: Path) -> GGUFSource:
    """Read a GGUF file, or a split one from its first file."""
    return GGUFSource(open_file(path), f"the file {path.name}")


def from_wheel(path: Path) -> GGUFSource:
    """Read the GGUF in a wheel."""
    return GGUFSource(open_wheel(path), f"the wheel {path.name}")


def from_package(name: str) -> GGUFSource:
    """Read the GGUF in an installed package."""
    return GGUFSource(open_package(name), f"the package {name} {version(name) or ''}".strip(), name)


def _marks(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the ids of the beginning and the end of a text, as config.json has them."""
    keys = {f"{mark}_token_id": f"tokenizer.ggml.{mark}_token_id" for mark in ("bos", "eos")}
    return {ours: metadata[key] for ours, key in keys.items() if key in metadata}
