"""What names a model in a file, and the models that ship. Needs nothing that is slow to import."""

from __future__ import annotations

import dataclasses

SMALL, BASE = "text-11", "text-12"  # ids of the models that ship
PIXELS, SOUND = "pixels-1", "sound-1"  # whose symbols are pixels and samples
PROFILE = "exact-1"  # of all of them


@dataclasses.dataclass(frozen=True)
class ModelIdentity:
    """What says which model blocks need, and in which arithmetic it is evaluated."""

    id: str
    sha256: bytes
    profile: str


@dataclasses.dataclass(frozen=True)
class Shipped:
    """A model that ships.

    folder: its folder in the package. sha256: the one that it must have. number: what files name it by (FORMAT.md
    section 2.3), at least 1; 0 for a model that files name by its id.
    """

    folder: str
    sha256: str
    number: int = 0


# By id. A changed model gets a new id and a new number, and the old one stays as long as files made with it are read.
SHIPPED = {
    SMALL: Shipped("small", "3667d98879a7b68cd166effc2b1313a2c300052a49da4ed9d293bb6b55f2698c", 1),
    BASE: Shipped("base", "4baeada6ba4adfd9916b957cca7b0672ba14e5066fbfcdd3ebb9317624e6e99f", 2),
    PIXELS: Shipped("pixels", "3bab04b794bcc7b70bad0d14b8740da1daf00c5d413261f72c20799ddf142138", 3),
    SOUND: Shipped("sound", "4de8dfcc0abd6744b22b771ed16e990c34a4a9981ab79e8120a1660933ca76f4", 4),
}
IDS = {shipped.number: model_id for model_id, shipped in SHIPPED.items()}


def number_of(model_id: str, sha256: bytes, profile: str) -> int:
    """Return the number of a model that ships, 0 for any other."""
    shipped = SHIPPED.get(model_id)
    if shipped is None or (shipped.sha256, PROFILE) != (sha256.hex(), profile):
        return 0
    return shipped.number
