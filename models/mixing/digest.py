"""What the self-tests of the models hash: every decision with its probability."""

from __future__ import annotations

import numpy as np
import xxhash
from numpy.typing import NDArray


class DecisionDigest:
    """An encoder of decisions (`coding.DecisionEncoder`) that hashes them with their probabilities."""

    def __init__(self) -> None:
        self._hash = xxhash.xxh3_64()

    def encode_bits(self, bits: NDArray[np.uint8], probabilities: NDArray[np.uint16]) -> None:
        """Hash decisions; the hash depends on how they are cut into calls."""
        self._hash.update(bits.tobytes() + probabilities.astype("<u2").tobytes())

    def hexdigest(self) -> str:
        """Return the hash, the same on every machine."""
        return self._hash.hexdigest()
