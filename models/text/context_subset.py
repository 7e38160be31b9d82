"""The context subset: which contexts and sets of weights a block uses. More predict better, fewer are faster."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmzip.models.text.weight_sets import BY_AGREEMENT, BY_MATCH, BY_NODE, SETS

CONTEXTS = 30  # see contexts.py


class ContextSubset(NamedTuple):
    """Masks: bit i stands for context number i (contexts.py), or for set number i (weight_sets.py)."""

    contexts: int
    sets: int

    def is_known(self) -> bool:
        """Whether the masks name something, and nothing of a newer version."""
        return 0 < self.contexts < 1 << CONTEXTS and 0 < self.sets < 1 << SETS


def mask(*numbers: int) -> int:
    """Return the mask of some numbers."""
    return sum(1 << number for number in numbers)


def numbers(mask: int) -> NDArray[np.int64]:
    """Return the numbers of a mask in rising order."""
    return np.array([i for i in range(mask.bit_length()) if mask >> i & 1], np.int64)


NONE = ContextSubset(0, 0)  # of blocks without an ensemble
ALL = ContextSubset((1 << CONTEXTS) - 1, (1 << SETS) - 1)
LEAN = ContextSubset(mask(1, 2, 3, 4, 6, 11, 18, 22, 26, 29), mask(BY_NODE, BY_MATCH, BY_AGREEMENT))
