"""Does this machine compute what all others do?"""

from __future__ import annotations

import functools

import numpy as np

from lmzip.models.audio.settings import SoundSettings
from lmzip.models.audio.sound import encode_samples
from lmzip.models.mixing.digest import DecisionDigest

REFERENCE_DIGEST = "3d68e3d368d64146"


def reference_digest() -> str:
    """Return the hash of the decisions of fixed sounds: two swinging channels with noise, a burst and silence."""
    noise = (np.random.PCG64(20261125).random_raw(4000) >> np.uint64(48)).astype(np.int64).reshape(-1, 2) - 32768
    swing, last = np.zeros((2000, 2), np.int64), np.zeros((2, 2), np.int64)
    for t in range(2000):
        swing[t] = (last[0] * 1990 - last[1] * 1000) // 1000 + noise[t] // 256
        last[1], last[0] = last[0], swing[t]
    sound = np.clip(swing + noise[:, ::-1] // 512, -32768, 32767)
    sound[700:800], sound[1200:1210], sound[1500:] = 0, noise[1200:1210], sound[1500:] // 64 * 64
    digest = DecisionDigest()
    encode_samples(sound.astype(np.int32), 16, SoundSettings(2), digest)
    encode_samples(sound[:300, :1].astype(np.int32) * 65536, 32, SoundSettings(0), digest)
    return digest.hexdigest()


@functools.cache
def is_trusted() -> bool:
    """Code fixed sounds and compare every probability; done once in a process."""
    return reference_digest() == REFERENCE_DIGEST
