"""The format's pure functions, byte by byte."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmzip import container
from lmzip.container import Header, Index, LockstepHead
from lmzip.errors import CorruptError, LimitError, TruncatedError, UnsupportedError
from lmzip.models import identity
from lmzip.models.identity import ModelIdentity
from lmzip.models.text.context_subset import ALL, NONE, ContextSubset
from lmzip.varint import create_varint

HEADER = Header(6, 1 << 22, 5)


def test_header_literal() -> None:
    data = container.create_header(HEADER)
    assert data[:-4] == bytes.fromhex("b14c4d 01 00 00 06 06 80808002 06")
    assert container.parse_header(b"??" + data, 2) == (HEADER, 2 + len(data))


@given(st.integers(1, 9), st.integers(1, container.MAX_BLOCK_SIZE), st.none() | st.integers(0, 1 << 50))
def test_header_round_trip(level: int, block_size: int, content_size: int | None) -> None:
    header = Header(level, block_size, content_size)
    data = container.create_header(header)
    assert container.parse_header(data) == (header, len(data))


def test_header_errors() -> None:
    data = container.create_header(HEADER)
    with pytest.raises(CorruptError, match="not an lmzip file"):
        container.parse_header(b"\x1f\x8b\x08\x00")
    with pytest.raises(CorruptError, match="another program that is called lmzip too"):
        container.parse_header(b"LMZ\x01" + data[4:])
    with pytest.raises(UnsupportedError, match="layout 3"):
        container.parse_header(data[:3] + b"\x03" + data[4:])
    with pytest.raises(CorruptError, match="one block"):
        container.parse_header(data[:3] + b"\x02" + data[4:])
    with pytest.raises(CorruptError, match="damaged"):
        container.parse_header(data[:-5] + b"\x07" + data[-4:])
    for end in range(len(data)):
        with pytest.raises(TruncatedError):
            container.parse_header(data[:end])


def with_check(head: bytes) -> bytes:
    return head + container.check32(head).to_bytes(4, "little")


def test_unknown_required_feature_is_refused_and_optional_is_not() -> None:
    data = container.create_header(HEADER)[:-4]
    with pytest.raises(UnsupportedError, match="features 0x80"):
        container.parse_header(with_check(data[:4] + b"\x80" + data[5:]))
    assert container.parse_header(with_check(data[:5] + b"\x80" + data[6:]))[0] == HEADER


def test_later_header_fields_are_ignored() -> None:
    data = container.create_header(HEADER)[:-4]
    longer = with_check(data[:6] + bytes([data[6] + 3]) + data[7:] + b"new")
    assert container.parse_header(longer) == (HEADER, len(longer))


def test_absurd_block_size_is_refused() -> None:
    head = container.MAGIC + bytes([container.RECORDS, 0, 0, 7, 6]) + create_varint(1 << 34) + b"\0"
    with pytest.raises(LimitError, match="block size"):
        container.parse_header(with_check(head))


def test_record_round_trip() -> None:
    record = container.create_record(container.ZSTD, b"payload", b"raw data")
    header, offset = container.parse_record_header(record, 0, 1 << 20)
    assert header.is_data and header.raw_size == 8 and header.raw_check == container.check64(b"raw data")
    assert container.parse_payload(record, offset, header) == (b"payload", len(record))


def test_record_errors() -> None:
    record = container.create_record(container.STORED, b"12345", b"12345")
    with pytest.raises(LimitError, match="payload size"):
        container.parse_record_header(record, 0, 4)
    with pytest.raises(UnsupportedError, match="record type 0x3f"):
        container.parse_record_header(b"\x3f" + record[1:], 0, 100)
    with pytest.raises(CorruptError, match="record header"):
        container.parse_record_header(record[:3] + b"\xff" + record[4:], 0, 100)
    header, offset = container.parse_record_header(record, 0, 100)
    with pytest.raises(CorruptError, match="stored payload: damaged"):
        container.parse_payload(record[:-1] + b"6", offset, header)
    with pytest.raises(ValueError, match="raw data"):
        container.create_record(container.STORED, b"12345")


def test_model_definition_round_trip() -> None:
    model = ModelIdentity("modèle", bytes(range(32)), "exact-1")
    payload = container.create_model_definition(model)
    assert container.parse_model_definition(payload) == model
    with pytest.raises(TruncatedError):
        container.parse_model_definition(payload[:-1])
    with pytest.raises(CorruptError, match="utf-8"):
        container.parse_model_definition(b"\x01\xff\x00" + bytes(32))


def test_models_that_ship_have_numbers() -> None:
    for number, model_id in identity.IDS.items():
        model = ModelIdentity(model_id, bytes.fromhex(identity.SHIPPED[model_id].sha256), "exact-1")
        payload = container.create_model_definition(model)
        assert payload == bytes([0, number]) and container.parse_model_definition(payload) == model
        other = dataclasses.replace(model, sha256=bytes(32))
        assert container.parse_model_definition(container.create_model_definition(other)) == other
    with pytest.raises(UnsupportedError, match="number 99"):
        container.parse_model_definition(b"\x00\x63")
    for definition in (bytes([0, 1]), container.create_model_definition(ModelIdentity("a", bytes(32), "b"))):
        with pytest.raises(CorruptError, match="1 bytes behind it"):
            container.parse_model_definition(definition + b"x")


def test_lockstep_payload_literals() -> None:
    head = LockstepHead(27, 1, 0, True, 0, ALL)
    assert container.create_lockstep_head(container.ENSEMBLE, head) == bytes.fromhex("21 1b")
    head = LockstepHead(300, 16, 1, False, 24, ContextSubset(0x300, 5), 1)
    assert container.create_lockstep_head(container.ADAPTIVE, head) == bytes.fromhex("da ac02 10 18 8006 05")


def test_flags_of_a_later_version_are_refused() -> None:
    for type_, flags in (
        (container.MODEL, 0x10),
        (container.RANK, 0x20),
        (container.ENSEMBLE, 0x80),
        (container.ADAPTIVE, 0x60),
    ):
        with pytest.raises(UnsupportedError, match=f"flags {flags:#04x}"):
            container.parse_lockstep_head(type_, bytes([flags, 1]), 1)


def test_lockstep_payload() -> None:
    head = LockstepHead(300, 7, 1, True, 24, ContextSubset(0x300, 5), 1)
    for type_ in (container.ENSEMBLE, container.ADAPTIVE):
        payload = container.create_lockstep_head(type_, head) + b"code"
        found, start = container.parse_lockstep_head(type_, payload, 300)
        kept = head if type_ == container.ADAPTIVE else dataclasses.replace(head, binarisation=0)
        assert found == kept and payload[start:] == b"code"
    payload = container.create_lockstep_head(container.MODEL, head) + b"code"
    found, start = container.parse_lockstep_head(container.MODEL, payload, 300)
    assert found == dataclasses.replace(head, row_length=0, subset=NONE, binarisation=0) and payload[start:] == b"code"


@pytest.mark.parametrize(
    ("head", "size", "error", "message"),
    [
        (LockstepHead(300, 7, 1, True), 299, LimitError, "symbols"),
        (LockstepHead(6, 7, 0, False), 100, LimitError, "windows"),
        (LockstepHead(5000, 1025, 0, False), 5000, LimitError, "windows: more than 1,024"),
        (LockstepHead(6, 0, 0, False), 100, CorruptError, "6 symbols in 0 windows"),
        (LockstepHead(0, 1, 0, False), 100, CorruptError, "0 symbols"),
        (LockstepHead(6, 1, 0, False, 70000), 100, LimitError, "row length"),
        (LockstepHead(6, 1, 0, False, 1), 100, CorruptError, "a row length of 1"),
        (LockstepHead(6, 1, 0, False, 0, ContextSubset(1 << 32, 1)), 100, LimitError, "contexts"),
        (LockstepHead(6, 1, 0, False, 0, ContextSubset(1, 1 << 32)), 100, LimitError, "sets"),
    ],
)
def test_bad_lockstep_payloads(head: LockstepHead, size: int, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        container.parse_lockstep_head(
            container.ENSEMBLE, container.create_lockstep_head(container.ENSEMBLE, head), size
        )


def test_end_round_trip() -> None:
    index = Index(19, ((100, 200), (30, 0)), bytes(range(32)))
    end = container.create_end(index)
    header, offset = container.parse_record_header(end, 0, 0)
    payload, offset = container.parse_payload(end, offset, header)
    assert header.type == container.INDEX and container.parse_index(payload) == index
    assert container.parse_footer(end, offset) == (offset, len(end))
    assert index.content_size == 200
    with pytest.raises(CorruptError, match="index"):
        container.parse_index(payload + b"x")
    with pytest.raises(CorruptError, match="footer"):
        container.parse_footer(end[:-1] + b"?", offset)
