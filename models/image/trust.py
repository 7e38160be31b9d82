"""Does this machine compute the integers that every other does?"""

from __future__ import annotations

import functools

import numpy as np

from lmzip.models.image.pixels import encode_pixels
from lmzip.models.image.settings import ImageSettings
from lmzip.models.mixing.digest import DecisionDigest

REFERENCE_DIGEST = "a5903d4b3d635baf"


def reference_digest() -> str:
    """Return the hash of the probabilities of a fixed picture: slopes, noise, flat parts and repeats."""
    raw = np.random.PCG64(20261125).random_raw(24 * 24 * 3).reshape(24, 24, 3) >> np.uint64(58)
    y, x = np.mgrid[:24, :24]
    pixels = (raw >> np.uint64(2)).astype(np.int64) + (4 * x + 2 * y)[:, :, None]
    pixels[8:16, :12] = 200
    pixels[16:, 12:] = pixels[:8, 12:]
    digest = DecisionDigest()
    for phases, mode, network in ((0, 0, 1), (1, 0, 0), (0, 1, 0)):
        encode_pixels(pixels.astype(np.uint8), 8, ImageSettings(0, 0, 0, 1, phases, mode, 6, network), digest)
    return digest.hexdigest()


@functools.cache
def is_trusted() -> bool:
    """Code a fixed picture and compare every probability; done once in a process."""
    return reference_digest() == REFERENCE_DIGEST
