"""Exact lossless coding of arrays of pixels."""

from lmzip.models.image.choose import choose_plan
from lmzip.models.image.pixels import decode_pixels, encode_pixels
from lmzip.models.image.settings import ImagePlan, check_plan
from lmzip.models.image.trust import is_trusted

__all__ = ["ImagePlan", "check_plan", "choose_plan", "decode_pixels", "encode_pixels", "is_trusted"]
