"""How to code: levels and options."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from lmzip.coders import CODER_IDS
from lmzip.models.identity import BASE, PIXELS, SMALL, SOUND
from lmzip.models.text.context_subset import ALL, LEAN, ContextSubset

# Called with the number of bytes of a block that are done, now and then, never with fewer than before.
Progress = Callable[[float], None]

METHODS = ("auto", "ensemble", "adaptive", "model", "rank", "fallback", "lm")
KINDS = ("auto", "bytes", "image", "audio")


@dataclasses.dataclass(frozen=True)
class Level:
    """What a level sets.

    block_size: bytes of a block.
    window_size, max_windows: the window plan. A block of `size` bytes has ceil(size / window_size) windows, but at most
    max_windows. Longer windows predict better. More windows decode faster as long as there
    are threads for them: eight keep two threads busy. Without a network there is nothing to share, and one window.
    method: see Options. subset: the contexts and sets of weights that the ensemble uses. model: the id of the model to
    take where none is given.
    """

    block_size: int
    window_size: int
    max_windows: int
    method: str = "ensemble"
    subset: ContextSubset = ALL
    model: str = BASE

    def windows(self, size: int, is_large: bool = False) -> int:
        """Return the number of windows for a block of `size` bytes.

        is_large: of the network. To read the weights of a large one takes longer than to multiply a few rows with them,
        so it may have four times as many windows.
        """
        return max(1, min(-(-size // self.window_size), self.max_windows * (4 if is_large else 1)))


LEVELS = {
    1: Level(1 << 20, 1 << 20, 1, "adaptive", LEAN, SMALL),
    2: Level(1 << 22, 1 << 22, 1, "adaptive", LEAN, SMALL),
    3: Level(1 << 22, 1 << 22, 1, "adaptive", ALL, SMALL),
    4: Level(1 << 21, 4096, 64, "ensemble", LEAN, SMALL),
    5: Level(1 << 22, 8192, 32, "ensemble", ALL, SMALL),
    6: Level(1 << 22, 16384, 16, "ensemble", ALL),
    7: Level(1 << 22, 65536, 8, "ensemble", ALL),
    8: Level(1 << 23, 1 << 18, 4, "ensemble", ALL),
    9: Level(1 << 24, 1 << 24, 1, "ensemble", ALL),
}
DEFAULT_LEVEL = 6


@dataclasses.dataclass(frozen=True)
class Options:
    """How to code blocks.

    method: `ensemble`, `adaptive` (the ensemble without a network), `model` (the network alone),
    `rank` (ranks of the network's predictions, packed by lzma or zstd), `fallback` (lzma and zstd
    alone), `lm` (the network alone whatever the data is: of text tokens, of pixels or of samples, as LMCompress does),
    or `auto`: as the level says, but without the network where it does not know such data.
    verify: decode every block again before it is given out.
    kind: `auto`: a file of pixels or samples is deconstructed where that is smaller, with the methods `auto` and `lm`;
    `bytes`: none is; `image`, `audio`: only such files are coded, LMZError for others.
    """

    level: int = DEFAULT_LEVEL
    coder: str = "range"
    verify: bool = True
    method: str = "auto"
    kind: str = "auto"

    def __post_init__(self) -> None:
        if not isinstance(self.level, int):
            raise TypeError(f"level must be an int, not {type(self.level).__name__}")
        for name in ("coder", "method", "kind"):
            if not isinstance(value := getattr(self, name), str):
                raise TypeError(f"{name} must be a str, not {type(value).__name__}")
        if self.level not in LEVELS:
            raise ValueError(f"level must be 1 to 9, not {self.level!r}")
        if self.coder not in CODER_IDS:
            raise ValueError(f"coder must be one of {', '.join(CODER_IDS)}, not {self.coder!r}")
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, not {self.method!r}")
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {self.kind!r}")
        if self.kind in ("image", "audio") and not self.deconstructs:
            raise ValueError(f"method {self.method!r} codes bytes; it does not go with kind {self.kind!r}")

    @property
    def settings(self) -> Level:
        """What the level sets."""
        return LEVELS[self.level]

    @property
    def wants_model(self) -> bool:
        """Whether a model may be used."""
        return (self.settings.method if self.method == "auto" else self.method) in ("ensemble", "model", "rank", "lm")

    @property
    def deconstructs(self) -> bool:
        """Whether files of pixels or samples are deconstructed."""
        return self.kind != "bytes" and self.method in ("auto", "lm")

    def model_for(self, kind: str) -> str:
        """Return the id of the model to take for `bytes`, and with method `lm` for `image` and `audio`."""
        return {"bytes": self.settings.model, "image": PIXELS, "audio": SOUND}[kind]
