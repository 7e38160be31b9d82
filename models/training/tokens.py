"""The packed tokens that a network is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lmzip.models.exact.config import NetworkConfig
from lmzip.models.networks.residuals import ALPHABET
from lmzip.models.networks.tokenizer import Tokenizer
from lmzip.models.store import SAMPLE_KINDS, kind_of
from lmzip.models.training.pack import WEIGHTS

DOCUMENT_START_SHARE = 0.05  # crops that begin where a document begins
VALIDATION_SHARE = 0.005  # the end of every piece, never trained on
SYMBOL_BITS = 17  # more than any alphabet's, marks included, where three are one integer
SHARES = {**WEIGHTS, **dict.fromkeys(SAMPLE_KINDS, 1.0)}  # of the crops


def symbol_sizes(path: Path) -> list[int]:
    """Return how many bytes each symbol of an alphabet stands for."""
    if kind_of(path.read_text(encoding="utf-8")) != "bytes":
        return [1] * ALPHABET
    return [len(token) for token in Tokenizer.from_file(path).vocabulary]


def stood_before(values: Tensor) -> Tensor:
    """Say of each of values (crops, length) whether it stands further left in its row too."""
    sorted_, order = values.sort(dim=1, stable=True)
    equal = F.pad(sorted_[:, 1:] == sorted_[:, :-1], (1, 0))
    return torch.zeros_like(equal).scatter(1, order, equal)


def weights_of(ids: Tensor, targets: Tensor, repeated: float) -> Tensor:
    """Return what targets (crops, length) count in the loss, as float32.

    One that has followed the symbol before it earlier in the crop counts `repeated`, one that has followed the last two
    its square: in a file the ensemble's counters know those, so that the network should rather learn the others.
    """
    pairs = ids << SYMBOL_BITS | targets
    triples = F.pad(ids[:, :-1], (1, 0), value=(1 << SYMBOL_BITS) - 1) << 2 * SYMBOL_BITS | pairs
    weights = torch.where(stood_before(pairs), repeated, 1.0)
    return torch.where(stood_before(triples), repeated**2, weights)


def parts(pieces: list[Path], mark: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the tokens of a domain's pieces that are trained on, and their held-back ends with a mark before each."""
    loaded = [np.load(path, mmap_mode="r") for path in pieces]
    ends = [int(len(piece) * (1 - VALIDATION_SHARE)) for piece in loaded]
    trained = [piece[:end] for piece, end in zip(loaded, ends, strict=True)]
    held_back = [part for piece, end in zip(loaded, ends, strict=True) for part in ([mark], piece[end:])]
    return np.concatenate(trained), np.concatenate(held_back).astype(np.int64)


class Tokens:
    """Random crops of the packed tokens, every domain with its share. All of them lie in the device's memory."""

    def __init__(
        self, folder: Path, config: NetworkConfig, seed: int, shares: Mapping[str, float] = SHARES,
        device: str = "cpu",
    ) -> None:  # fmt: skip
        pieces = {domain: sorted(folder.glob(f"{domain}-*.npy")) for domain in shares}
        pieces = {domain: paths for domain, paths in pieces.items() if paths}
        if not pieces:
            raise click.ClickException(f"{folder}: no packed tokens; run lmzip.models.training.pack (or samples) first")
        self.config, self.device = config, device
        self.rng = np.random.default_rng(seed)
        trained, self.held_back = {}, {}
        for domain, paths in pieces.items():
            trained[domain], self.held_back[domain] = parts(paths, config.file_start)
        self.starts = [np.flatnonzero(tokens == config.file_start) for tokens in trained.values()]
        self.ends = np.cumsum([len(tokens) for tokens in trained.values()])
        self.first = self.ends - [len(tokens) for tokens in trained.values()]
        self.shares = np.cumsum([shares[domain] for domain in trained])
        self.tokens = torch.from_numpy(np.concatenate(list(trained.values())).view(np.int16)).to(device)

    def batch(self, crops: int, length: int) -> tuple[Tensor, Tensor]:
        """Return inputs and targets (crops, length) as int64; every batch has of each domain what is its share."""
        points = (self.rng.random() + np.arange(crops)) / crops * self.shares[-1]
        domains = np.searchsorted(self.shares[:-1], points, side="right")
        first, ends = self.first[domains], self.ends[domains]
        begins = first + (self.rng.random(crops) * np.maximum(1, ends - first - length)).astype(np.int64)
        for i in np.flatnonzero(self.rng.random(crops) < DOCUMENT_START_SHARE):
            starts = self.starts[domains[i]]
            begins[i] = first[i] + self.rng.choice(starts) if len(starts) else begins[i]
        at = torch.from_numpy(begins[:, None] + np.arange(length + 1)).to(self.device, non_blocking=True)
        inside = at < torch.from_numpy(ends[:, None]).to(self.device, non_blocking=True)
        ids = self.tokens[at.clamp(max=len(self.tokens) - 1)].long() & 0xFFFF
        return self._split(torch.where(inside, ids, self.config.file_start))

    def validation(self, domain: str, crops: int, length: int) -> tuple[Tensor, Tensor]:
        """Return crops of the held-back ends of a domain's pieces, spread over all of them."""
        tail = self.held_back[domain]
        count = max(1, min(crops, len(tail) // length))
        begins = np.linspace(0, max(0, len(tail) - length - 1), count).astype(np.int64)
        tail = np.pad(tail, (0, length + 1), constant_values=self.config.file_start)
        at = begins[:, None] + np.arange(length + 1)
        return self._split(torch.from_numpy(tail[at]).to(self.device))

    def _split(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return inputs and targets; a crop that does not begin with a file begins with the mark of a cut."""
        begins = ids[:, :1] == self.config.file_start
        ids[:, :1] = torch.where(begins, self.config.file_start, self.config.cut_start)
        return ids[:, :-1], ids[:, 1:]
