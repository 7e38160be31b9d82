"""How the shipped weights were made."""

from lmzip.models.extras import require

require("torch", "PIL", "soundfile", extra="train")
