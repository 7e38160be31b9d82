"""The sound model: arrays of samples, coded without loss.

The encoder says first what is true of whole channels (`channel_header.py`), then codes piece after piece (`sound.py`):
each sample is predicted from those before it and from its partner channel (`predictions.py`), and coded by binary
decisions (`binarise.py`, `decisions.py`). The model learns the sound while it reads.
"""

from lmzip.models.audio.settings import SoundSettings, check_settings, choose_settings
from lmzip.models.audio.sound import decode_samples, encode_samples
from lmzip.models.audio.trust import is_trusted

__all__ = ["SoundSettings", "check_settings", "choose_settings", "decode_samples", "encode_samples", "is_trusted"]
