"""What an ensemble knows before it has read anything: tables learnt from training text, beside a model's weights.

A prior holds the mixer's weights, how far matches and states of counters can be trusted, and maps
of the network. It belongs to one network and to all contexts and sets of this version.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from lmzip.models.mixing import apm
from lmzip.models.text import context_subset, matches, weight_sets
from lmzip.models.text.state import NETWORK_NODES, Tables, inputs_for

_UNIT = 4  # of a weight in a prior, in units of the mixer's: so that it fits 16 bits


class Prior(NamedTuple):
    """Tables to begin with; those of the mixer only where `rows` says."""

    rows: NDArray[np.uint16]  # (n,) rows of weights
    weights: NDArray[np.int16]  # (n, inputs) in units of 4 / 65536
    final_weights: NDArray[np.int32]  # as the tables of these names in state.py
    match_maps: NDArray[np.int32]
    state_maps: NDArray[np.uint32]  # (CONTEXTS, 256)
    network_maps: NDArray[np.uint16]  # (NETWORK_NODES * STEPS,) of the map by node

    def apply(self, tables: Tables) -> None:
        """Write the prior into tables that use all contexts and sets, and have learnt nothing."""
        tables.weights[self.rows] = self.weights.astype(np.int32) * _UNIT
        tables.final_weights[:] = self.final_weights
        tables.match_maps[:] = self.match_maps
        tables.state_maps[:] = self.state_maps
        tables.network_maps[: len(self.network_maps)] = self.network_maps

    def save(self, path: Path) -> None:
        """Write the prior to a safetensors file."""
        path.write_bytes(save({name: np.ascontiguousarray(array) for name, array in self._asdict().items()}))


def make_prior(tables: Tables, weights: NDArray[np.int64], begun: Tables) -> Prior:
    """Make a prior of tables that have learnt.

    weights: (ROWS, inputs) those to begin with, in the units of the mixer. begun: tables that have learnt nothing.
    """
    rows = np.flatnonzero((tables.weights != begun.weights).any(axis=1))
    limits = np.iinfo(np.int16)
    rounded = np.clip((weights[rows] + _UNIT // 2) // _UNIT, limits.min, limits.max)
    return Prior(
        rows.astype(np.uint16), rounded.astype(np.int16), tables.final_weights.copy(), tables.match_maps.copy(),
        tables.state_maps.copy(), tables.network_maps[: NETWORK_NODES * apm.STEPS].astype(np.uint16),
    )  # fmt: skip


def load_prior(path: Path) -> Prior:
    """Read a prior; ValueError where it is not one of this version."""
    arrays = load_file(path)
    shapes = {
        "rows": (len(arrays.get("rows", ())),),
        "weights": (len(arrays.get("rows", ())), inputs_for(context_subset.CONTEXTS)),
        "final_weights": (weight_sets.FINAL_ROWS, weight_sets.SETS),
        "match_maps": (matches.MATCHES, matches.MISSES * matches.LENGTHS),
        "state_maps": (context_subset.CONTEXTS, 256),
        "network_maps": (NETWORK_NODES * apm.STEPS,),
    }
    dtypes = dict(zip(Prior._fields, ("uint16", "int16", "int32", "int32", "uint32", "uint16"), strict=True))
    if {name: (array.shape, str(array.dtype)) for name, array in arrays.items()} != {
        name: (shapes[name], dtypes[name]) for name in Prior._fields
    }:
        raise ValueError(f"{path}: not a prior for this version's ensemble")
    if len(arrays["rows"]) and arrays["rows"].max() >= weight_sets.ROWS:
        raise ValueError(f"{path}: a row of weights that does not exist")
    return Prior(**arrays)
