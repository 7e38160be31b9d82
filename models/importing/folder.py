"""A model in Hugging Face's formats as a source: a folder of files, which the hub may fill."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from lmzip.models.extras import require

if TYPE_CHECKING:
    import torch

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
_PART_OF_COMMIT = re.compile(r"[0-9a-f]{7,39}")


class FolderSource:
    """A model's folder. See Source."""

    notes: tuple[str, ...] = ()

    def __init__(self, folder: Path, name: str = "") -> None:
        """name: what the hub calls it, with its revision; empty for a folder of one's own.

        Raises ValueError where something is missing or damaged, ImportError without torch.
        """
        require("torch", extra="import")  # which knows bfloat16
        self.folder, self.name = folder, name
        self.config = self._json("config.json")
        self.tokenizer = self._json("tokenizer.json")
        self.files = [folder / file for file in weight_files(folder)]
        self._file_of = {}
        for path in self.files:
            try:
                with safe_open(path, "pt") as tensors:
                    self._file_of.update(dict.fromkeys(tensors.keys(), path))
            except (SafetensorError, OSError) as error:
                raise ValueError(f"{path.name} is damaged or only in part here: {error}; get it again") from error

    @property
    def id(self) -> str:
        """The hub's name, or the family and a hash of all files."""
        if self.name:
            return self.name
        digest = hashlib.sha256()
        for path in [self.folder / "config.json", self.folder / "tokenizer.json", *self.files]:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return f"{self.config.get('model_type', 'model')}-{digest.hexdigest()[:12]}"

    @property
    def origin(self) -> str:
        """See Source."""
        return self.name or f"a folder with a model of the type {self.config.get('model_type')}"

    def __contains__(self, name: str) -> bool:
        return name in self._file_of

    def tensor(self, name: str) -> NDArray[np.float32]:
        """Return a tensor in float32. Raises ValueError where it is missing or not finite."""
        if name not in self._file_of:
            raise ValueError(f"the weights lack {name}: another architecture, or a file is missing")
        with safe_open(self._file_of[name], "pt") as tensors:
            value: NDArray[np.float32] = tensors.get_tensor(name).float().numpy()
        if not np.isfinite(value).all():
            raise ValueError(f"the tensor {name} holds numbers that are not finite")
        return value

    def float_network(self) -> torch.nn.Module:
        """See Source."""
        import torch
        import transformers

        transformers.utils.logging.disable_progress_bar()
        return transformers.AutoModelForCausalLM.from_pretrained(
            str(self.folder), dtype=torch.float32, trust_remote_code=False, use_safetensors=True, local_files_only=True
        )

    def _json(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        try:
            values = json.loads(path.read_bytes())
        except FileNotFoundError as error:
            hint = ""
            if name == "tokenizer.json" and self.folder.is_dir():
                hint = (
                    "; transformers makes it from the tokenizer's other files: "
                    "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
                )
            raise ValueError(f"{path} is missing{hint}") from error
        except ValueError as error:
            raise ValueError(f"{path} is damaged: {error}") from error
        if not isinstance(values, dict):
            raise ValueError(f"{path} is not a JSON object")
        return values


def weight_files(folder: Path) -> list[str]:
    """Return the names of a model's safetensors files; ValueError: one is missing, or there is only pickle."""
    if (folder / INDEX).is_file():
        names = _parts(folder / INDEX)
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise ValueError(f"{len(missing)} of {len(names)} weight files are missing: {missing[0]}; get them again")
        return names
    if (folder / WEIGHTS).is_file():
        return [WEIGHTS]
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")) or any(folder.glob("*.pth")):
        raise ValueError(
            "the weights are there as pickle only, which can run any code when it is read. Where you trust it, make "
            "safetensors of it: AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(OTHER)"
        )
    raise ValueError(
        f"{folder / WEIGHTS} is missing; a folder needs it beside config.json and tokenizer.json, or a GGUF"
    )


def _parts(index: Path) -> list[str]:
    """Return the files that an index of weights names."""
    try:
        names: list[str] = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        if any(Path(name).name != name for name in names):
            raise ValueError("it names files outside of its folder")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"{index.name} is damaged: {error}") from error
    return names


def _whole_commit(name: str, digits: str) -> str:
    """Return the commit that begins with digits, as they stand in an id: the hub knows whole ones only."""
    from huggingface_hub import list_repo_commits
    from huggingface_hub.constants import HF_HUB_CACHE

    snapshots = Path(HF_HUB_CACHE, f"models--{name.replace('/', '--')}", "snapshots")
    found = {path.name for path in snapshots.glob(f"{digits}*")}
    found = found or {commit.commit_id for commit in list_repo_commits(name) if commit.commit_id.startswith(digits)}
    if len(found) != 1:
        raise ValueError(f"{len(found)} commits of {name} begin with {digits}")
    return found.pop()


def fetch(name: str, revision: str | None) -> FolderSource:
    """Return a model of the hub; what is not in the cache is fetched. Raises ValueError where it cannot be had."""
    require("huggingface_hub", extra="import")
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    def get(file: str) -> Path:
        return Path(hf_hub_download(name, file, revision=revision))

    try:
        if revision and _PART_OF_COMMIT.fullmatch(revision):
            revision = _whole_commit(name, revision)
        config = get("config.json")
        revision = config.parent.name  # the folder of a snapshot is its commit
        get("tokenizer.json")
        try:
            get(WEIGHTS)
        except EntryNotFoundError:
            for file in _parts(get(INDEX)):
                get(file)
    except LocalEntryNotFoundError as error:
        raise ValueError(f"{name}: not all of it is in the cache, and the hub cannot be reached: {error}") from error
    except EntryNotFoundError as error:
        raise ValueError(
            f"{name}: a file is not on the hub (tokenizer.json and safetensors are needed): {error}"
        ) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from error
    return FolderSource(config.parent, f"{name}@{revision[:12]}")
