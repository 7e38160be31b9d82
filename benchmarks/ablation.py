"""What each context and set of weights of the ensemble contributes: `python benchmarks/ablation.py FILES...`.

Prints a Markdown table: the change in bytes, in brackets in percent, when a part is left out and the others learn
all anew; plus means that the part helps. Sizes are code lengths (the sum of -log2 of the probabilities), without
headers. The network's predictions are computed once a file. Records are looked for as the codec does.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lmzip.blocks import lockstep
from lmzip.blocks.text import network_helps
from lmzip.models.networks.text import TextModel
from lmzip.models.registry import load_model
from lmzip.models.text.binarisation import choose_binarisation
from lmzip.models.text.context_subset import ALL, CONTEXTS, LEAN, SETS, ContextSubset
from lmzip.models.text.ensemble import Ensemble
from lmzip.models.text.prior import Prior
from lmzip.models.text.row_length import find_row_length
from lmzip.models.text.tree import make_tree
from lmzip.options import LEVELS

STEPS = 64


class Measured:
    """A file cut into windows, and the network's predictions for it, where the codec would use the network."""

    def __init__(self, path: Path, model: TextModel) -> None:
        self.data = path.read_bytes()
        self.row_length = find_row_length(self.data)
        self.network = network_helps(self.data, model)
        self.windows = LEVELS[6].windows(len(self.data)) if self.network else 1
        bytes_ = np.frombuffer(self.data, np.uint8).astype(np.int32)
        of_bytes = make_tree([bytes([byte]) for byte in range(256)], choose_binarisation(self.data))
        self.tree = model.tree if self.network else of_bytes
        table = lockstep.cut(model.encode(self.data) if self.network else bytes_, self.windows)
        self.table = table[:, :-1] if table.shape[1] > 1 else table  # the last step may lack a window
        self.predictions: list[NDArray[np.uint32] | None] = [None] * len(self._starts())
        if self.network:
            session = model.begin(self.windows, False, STEPS)
            self.predictions = [session.prefill(self.table[:, start : start + STEPS]) for start in self._starts()]

    def _starts(self) -> range:
        return range(0, self.table.shape[1], STEPS)

    def size(self, subset: ContextSubset, prior: Prior | None = None) -> float:
        """Return the code length in bytes."""
        ensemble = Ensemble(self.tree, self.windows, len(self.data), self.row_length, self.network, subset, prior)
        bits = 0.0
        for start, frequencies in zip(self._starts(), self.predictions, strict=True):
            chosen, probabilities = ensemble.encode(self.table[:, start : start + STEPS].T, frequencies)
            ones = probabilities / 65536
            bits -= np.log2(np.where(chosen == 1, ones, 1 - ones)).sum()
        return bits / 8


def main(paths: list[Path]) -> None:
    """Print the table for some files."""
    model = load_model()
    variants = {f"context {i}": ContextSubset(ALL.contexts & ~(1 << i), ALL.sets) for i in range(CONTEXTS)}
    variants |= {f"set {i}": ContextSubset(ALL.contexts, ALL.sets & ~(1 << i)) for i in range(SETS)}
    variants["all but those of the fast levels"] = LEAN
    columns: list[list[str]] = []
    for path in paths:
        measured = Measured(path, model)
        full = measured.size(ALL)
        sizes = {name: measured.size(subset) for name, subset in variants.items()}
        if measured.network and model.prior is not None:  # what it costs to do without the prior
            with_prior = measured.size(ALL, model.prior)
            sizes["prior"] = full + (full - with_prior)
        changes = [f"{size - full:+.0f} ({100 * (size / full - 1):+.2f})" for size in sizes.values()]
        columns.append([path.name, f"{full:,.0f}", *changes, *[""] * (len(variants) + 1 - len(changes))])
        print(path.name, file=sys.stderr, flush=True)
    rows = ["without", "nothing: all bytes, no prior", *variants, "prior"]
    for i, name in enumerate(rows):
        print(f"| {name} | {' | '.join(column[i] for column in columns)} |")
        if i == 0:
            print("|---" * (len(columns) + 1) + "|")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
