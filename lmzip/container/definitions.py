"""Model definitions: which model the blocks behind one need (FORMAT.md section 2.3)."""

from __future__ import annotations

from lmzip.container.constants import MAX_DEFINITION_SIZE, MAX_MASK
from lmzip.container.fields import take
from lmzip.errors import CorruptError, UnsupportedError
from lmzip.models import identity
from lmzip.models.identity import ModelIdentity
from lmzip.varint import create_varint, parse_varint

_WHAT = "model definition"


def create_model_definition(model: ModelIdentity) -> bytes:
    """Return the payload of a MODEL_DEFINITION record."""
    if number := identity.number_of(model.id, model.sha256, model.profile):
        return create_varint(0) + create_varint(number)
    strings = [text.encode("utf-8") for text in (model.id, model.profile)]
    return b"".join(create_varint(len(s)) + s for s in strings) + model.sha256


def parse_model_definition(payload: bytes) -> ModelIdentity:
    """Read the payload of a MODEL_DEFINITION record. Raises CorruptError where bytes are left behind it."""
    if payload[:1] == b"\0":
        number, end = parse_varint(payload, 1, MAX_MASK, _WHAT)
        model = shipped_model(number)
    else:
        model_id, offset = _parse_string(payload, 0)
        profile, offset = _parse_string(payload, offset)
        model, end = ModelIdentity(model_id, take(payload, offset, 32, _WHAT), profile), offset + 32
    if len(payload) != end:
        raise CorruptError(f"{_WHAT}: {len(payload) - end} bytes behind it")
    return model


def _parse_string(payload: bytes, offset: int) -> tuple[str, int]:
    """Read the length of a UTF-8 string and the string."""
    length, offset = parse_varint(payload, offset, MAX_DEFINITION_SIZE, _WHAT)
    try:
        return take(payload, offset, length, _WHAT).decode("utf-8"), offset + length
    except UnicodeDecodeError as error:
        raise CorruptError(f"{_WHAT}: {error}") from error


def shipped_model(number: int) -> ModelIdentity:
    """Return the model of a number. Raises UnsupportedError where this version ships none of that number."""
    if number not in identity.IDS:
        raise UnsupportedError(f"{_WHAT}: model number {number} is one of a newer lmzip; install that")
    model_id = identity.IDS[number]
    return ModelIdentity(model_id, bytes.fromhex(identity.SHIPPED[model_id].sha256), identity.PROFILE)
