"""Model definitions: which model the blocks behind one need (FORMAT.md section 2.3)."""

from __future__ import annotations

from lmzip.container.constants import MAX_DEFINITION_SIZE, MAX_MASK
from lmzip.container.fields import take
from lmzip.errors import CorruptError, UnsupportedError
from lmzip.models import identity
from lmzip.models.identity import ModelIdentity
from lmzip.varint import create_varint, parse_varint


def create_model_definition(model: ModelIdentity) -> bytes:
    """Return the payload of a MODEL_DEFINITION record."""
    if number := identity.number_of(model.id, model.sha256, model.profile):
        return create_varint(0) + create_varint(number)
    strings = [text.encode("utf-8") for text in (model.id, model.profile)]
    return b"".join(create_varint(len(s)) + s for s in strings) + model.sha256


def parse_model_definition(payload: bytes) -> ModelIdentity:
    """Read the payload of a MODEL_DEFINITION record."""
    what, offset = "model definition", 0
    strings: list[bytes] = []
    for _ in range(2):
        length, offset = parse_varint(payload, offset, MAX_DEFINITION_SIZE, what)
        if not length and not strings:
            return shipped_model(parse_varint(payload, offset, MAX_MASK, what)[0])
        strings.append(take(payload, offset, length, what))
        offset += length
    try:
        model_id, profile = (s.decode("utf-8") for s in strings)
    except UnicodeDecodeError as error:
        raise CorruptError(f"{what}: {error}") from error
    return ModelIdentity(model_id, take(payload, offset, 32, what), profile)


def shipped_model(number: int) -> ModelIdentity:
    """Return the model of a number. Raises UnsupportedError where this version ships none of that number."""
    if number not in identity.IDS:
        raise UnsupportedError(f"model definition: model number {number} is one of a newer lmzip; install that")
    model_id = identity.IDS[number]
    return ModelIdentity(model_id, bytes.fromhex(identity.SHIPPED[model_id].sha256), identity.PROFILE)
