"""The picture model: arrays of pixels, coded without loss.

An encoder chooses settings (`choose.py`). Pixels are made simpler where that is possible (`pixels.py`), and then coded
row by row (`coder.py`, `rows.py`): each sample is predicted from its neighbours (`predictions.py`), and coded by binary
decisions (`binarise.py`, `decisions.py`). It learns the picture while it reads.
"""

from lmzip.models.image.choose import choose_settings
from lmzip.models.image.pixels import decode_pixels, encode_pixels
from lmzip.models.image.settings import ImageSettings, check_settings
from lmzip.models.image.trust import is_trusted

__all__ = ["ImageSettings", "check_settings", "choose_settings", "decode_pixels", "encode_pixels", "is_trusted"]
