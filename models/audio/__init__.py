"""Sounds: samples predicted from those before them, coded without loss."""

from lmzip.models.audio.settings import SoundPlan, check_plan, choose_plan
from lmzip.models.audio.sound import decode_samples, encode_samples
from lmzip.models.audio.trust import is_trusted

__all__ = ["SoundPlan", "check_plan", "choose_plan", "decode_samples", "encode_samples", "is_trusted"]
