"""The frame format as pure functions: FORMAT.md in code.

`create_x` makes bytes and `parse_x` reads them. A parser takes a buffer and an offset and returns
what it read and the offset after it; it raises TruncatedError where the buffer ends too early.
Nothing here does I/O and nothing is believed before its check value was compared.
"""

from __future__ import annotations

import dataclasses

import xxhash

from lmzip.errors import CorruptError, LimitError, TruncatedError, UnsupportedError
from lmzip.models import identity
from lmzip.models.identity import ModelIdentity
from lmzip.models.text.context_subset import ALL, LEAN, Parts
from lmzip.varint import create_varint, parse_varint

MAGIC = b"\xb1LM"
END_MAGIC = b"\x01ML\xb1"
RECORDS, SHORT = 1, 2  # layouts: a frame of records, a frame of one block
OTHER_MAGIC = b"LMZ\x01"  # of another project's files

# Record types. Those below 0x40 must be understood; unknown ones above are skipped.
STORED, ZSTD, LZMA, MODEL, ENSEMBLE, ADAPTIVE, RANK = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07
IMAGE, AUDIO, SAMPLES = 0x08, 0x09, 0x0A
MODEL_DEFINITION = 0x10
INDEX = 0x20
FIRST_SKIPPABLE = 0x40
DATA_TYPES = {
    STORED: "stored", ZSTD: "zstd", LZMA: "lzma", MODEL: "model", ENSEMBLE: "ensemble", ADAPTIVE: "adaptive",
    RANK: "rank", IMAGE: "image", AUDIO: "audio", SAMPLES: "samples",
}  # fmt: skip
LOCKSTEP_TYPES = (MODEL, ENSEMBLE, ADAPTIVE, RANK)
MODEL_TYPES = (MODEL, ENSEMBLE, RANK, SAMPLES)  # these need a model
DECISION_TYPES = (ENSEMBLE, ADAPTIVE)  # these code a symbol as binary decisions
MEDIA_TYPES = (IMAGE, AUDIO, SAMPLES)
REST_TYPES = (STORED, ZSTD, LZMA, ADAPTIVE)  # of what stands beside pixels or samples

# How a block says which contexts and sets of weights it uses: a number of these, or _MASKS and the masks themselves.
_NAMED_PARTS = (LEAN, ALL)
_MASKS = 2

MAX_BLOCK_SIZE = 1 << 26
MAX_DEFINITION_SIZE = 1 << 12
MAX_SKIPPABLE_SIZE = 1 << 24
MAX_INDEX_SIZE = 1 << 22
MAX_CONTENT_SIZE = (1 << 62) - 1
MAX_WINDOWS = 1 << 10  # a model keeps memory for each
MAX_RECORD = 1 << 16
MAX_MASK = (1 << 32) - 1
MAX_PLAN_FIELDS = 32
MAX_REST = 1 << 16  # bytes beside pixels or samples, more than the piece of the file has
MAX_HEAD_SIZE = 512  # bytes, more than a frame header or what a record begins with takes
FOOTER_SIZE = 8


@dataclasses.dataclass(frozen=True)
class Header:
    """What a frame begins with.

    block_size bounds the decoded size of every block; content_size is None where it was unknown.
    """

    level: int
    block_size: int
    content_size: int | None = None


@dataclasses.dataclass(frozen=True)
class RecordHeader:
    """What a record begins with; raw_size and raw_check are 0 for records without data."""

    type: int
    payload_size: int
    payload_check: int
    raw_size: int = 0
    raw_check: int = 0

    @property
    def is_data(self) -> bool:
        """Whether the record is a block."""
        return self.type in DATA_TYPES


@dataclasses.dataclass(frozen=True)
class LockstepPlan:
    """How the symbols of a block stand in its code.

    coder: its id; in a block of type RANK what packs the ranks, ZSTD or LZMA.
    record: length in bytes of the records that the data consists of, 0 for none.
    contexts, sets: masks of those that the ensemble uses.
    shape: of the decisions that spell a byte in a block of type ADAPTIVE.
    """

    symbols: int
    windows: int
    coder: int
    file_start: bool
    record: int = 0
    contexts: int = 0
    sets: int = 0
    shape: int = 0


@dataclasses.dataclass(frozen=True)
class MediaHead:
    """What the payload of a block of MEDIA_TYPES begins with.

    plan: how the model codes the array; of SAMPLES the number of windows. rest: the payload of a block of the type
    rest_type, of rest_size bytes.
    """

    coder: int
    plan: tuple[int, ...]
    rest_size: int
    rest_type: int
    rest: bytes


@dataclasses.dataclass(frozen=True)
class Index:
    """What a frame holds: the size of its header, its records, and the sha256 of its content.

    records: (size in the frame, decoded size) of each, in order; the index itself is not among them.
    """

    header_size: int
    records: tuple[tuple[int, int], ...]
    sha256: bytes

    @property
    def content_size(self) -> int:
        """Decoded bytes of the frame."""
        return sum(raw for _, raw in self.records)


def check32(data: bytes | memoryview) -> int:
    """Return the low 32 bits of xxh3-64."""
    return xxhash.xxh3_64_intdigest(data) & 0xFFFFFFFF


def check64(data: bytes | memoryview) -> int:
    """Return xxh3-64."""
    return xxhash.xxh3_64_intdigest(data)


def take(buffer: bytes, offset: int, size: int, what: str) -> bytes:
    """Return buffer[offset : offset + size], or raise TruncatedError."""
    piece = bytes(buffer[offset : offset + size])
    if len(piece) < size:
        raise TruncatedError(f"{what}: the data ends {size - len(piece)} bytes too early")
    return piece


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def create_header(header: Header) -> bytes:
    """Return the frame header."""
    size = 0 if header.content_size is None else header.content_size + 1
    fields = bytes([header.level]) + create_varint(header.block_size) + create_varint(size)
    head = MAGIC + bytes([RECORDS, 0, 0, len(fields)]) + fields
    return head + check32(head).to_bytes(4, "little")


def parse_layout(buffer: bytes, offset: int = 0) -> int:
    """Read what a frame begins with: return its layout, RECORDS or SHORT."""
    what = "frame header"
    magic = bytes(buffer[offset : offset + len(MAGIC) + 1])
    if magic == OTHER_MAGIC:
        raise CorruptError(
            f"{what}: a file of another program that is called lmzip too, a compressor of the weights of models; "
            "this lmzip cannot read it"
        )
    if magic[: len(MAGIC)] != MAGIC[: len(magic)]:
        raise CorruptError(f"{what}: not an lmzip file (it begins with {magic.hex(' ')})")
    layout = take(buffer, offset + len(MAGIC), 1, what)[0]
    if layout not in (RECORDS, SHORT):
        raise UnsupportedError(f"{what}: layout {layout}, which this lmzip does not know; install a newer one")
    return layout


def parse_header(buffer: bytes, offset: int = 0) -> tuple[Header, int]:
    """Read the header of a frame of records."""
    what = "frame header"
    start = offset
    if parse_layout(buffer, offset) != RECORDS:
        raise CorruptError(f"{what}: a frame of one block where one of records was expected")
    _, required, _, length = take(buffer, offset + len(MAGIC), 4, what)
    end = offset + len(MAGIC) + 4 + length
    check = _number(take(buffer, end, 4, what))
    if check != check32(buffer[start:end]):
        raise CorruptError(f"{what}: damaged (its check value differs)")
    if required:
        raise UnsupportedError(f"{what}: needs the features {required:#04x} of a newer lmzip")
    fields = bytes(buffer[:end])  # so that the fields cannot reach beyond their length
    offset += len(MAGIC) + 4
    level = take(fields, offset, 1, what)[0]
    block_size, offset = parse_varint(fields, offset + 1, MAX_BLOCK_SIZE, f"{what}: block size")
    size, offset = parse_varint(fields, offset, MAX_CONTENT_SIZE + 1, f"{what}: content size")
    return Header(level, block_size, size - 1 if size else None), end + 4


def create_record(type_: int, payload: bytes, raw: bytes | memoryview | None = None) -> bytes:
    """Return a record; raw: the decoded data of a block."""
    head = bytes([type_]) + create_varint(len(payload))
    if type_ in DATA_TYPES:
        if raw is None:
            raise ValueError("a block needs its raw data")
        head += create_varint(len(raw)) + check64(raw).to_bytes(8, "little")
    head += check32(payload).to_bytes(4, "little")
    return head + check32(head).to_bytes(4, "little") + payload


def parse_record_header(buffer: bytes, offset: int, block_size: int) -> tuple[RecordHeader, int]:
    """Read a record up to its payload. block_size: that of the frame header."""
    what, start = "record header", offset
    type_ = take(buffer, offset, 1, what)[0]
    limits = {MODEL_DEFINITION: MAX_DEFINITION_SIZE, INDEX: MAX_INDEX_SIZE}
    if type_ in DATA_TYPES:
        limit = block_size  # a block that would take more is stored
    elif type_ in limits:
        limit = limits[type_]
    elif type_ >= FIRST_SKIPPABLE:
        limit = MAX_SKIPPABLE_SIZE
    else:
        raise UnsupportedError(f"{what}: record type {type_:#04x}; it is damaged or of a newer lmzip")
    payload_size, offset = parse_varint(buffer, offset + 1, limit, f"{what}: payload size")
    raw_size = raw_check = 0
    if type_ in DATA_TYPES:
        raw_size, offset = parse_varint(buffer, offset, block_size, f"{what}: decoded size")
        raw_check, offset = _number(take(buffer, offset, 8, what)), offset + 8
    payload_check, offset = _number(take(buffer, offset, 4, what)), offset + 4
    if _number(take(buffer, offset, 4, what)) != check32(buffer[start:offset]):
        raise CorruptError(f"{what}: damaged (its check value differs)")
    return RecordHeader(type_, payload_size, payload_check, raw_size, raw_check), offset + 4


def parse_payload(buffer: bytes, offset: int, header: RecordHeader) -> tuple[bytes, int]:
    """Read and check the payload of a record."""
    what = f"{DATA_TYPES.get(header.type, 'record')} payload"
    payload = take(buffer, offset, header.payload_size, what)
    if check32(payload) != header.payload_check:
        raise CorruptError(f"{what}: damaged (its check value differs)")
    return payload, offset + header.payload_size


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


def create_lockstep_payload(type_: int, plan: LockstepPlan) -> bytes:
    """Return the payload of a block of LOCKSTEP_TYPES up to its code."""
    masks = Parts(plan.contexts, plan.sets)
    named = _NAMED_PARTS.index(masks) if masks in _NAMED_PARTS else _MASKS
    flags = plan.file_start | plan.coder << 1 | (plan.windows != 1) << 3
    fields = [plan.symbols] + [plan.windows] * (plan.windows != 1)
    if type_ in DECISION_TYPES:
        flags |= (plan.record != 0) << 4 | named << 5
        fields += [plan.record] * (plan.record != 0) + list(masks) * (named == _MASKS)
    if type_ == ADAPTIVE:
        flags |= plan.shape << 7
    return bytes([flags]) + b"".join(create_varint(field) for field in fields)


def parse_lockstep_payload(type_: int, payload: bytes, raw_size: int) -> tuple[LockstepPlan, int]:
    """Read the payload up to its code; every symbol stands for at least one byte of raw_size."""
    what = f"{DATA_TYPES[type_]} payload"
    flags = take(payload, 0, 1, what)[0]
    known = 0xFF if type_ == ADAPTIVE else 0x7F if type_ in DECISION_TYPES else 0x0F
    if flags & ~known:
        raise UnsupportedError(f"{what}: flags {flags:#04x} are of a newer lmzip")
    symbols, offset = parse_varint(payload, 1, raw_size, f"{what}: symbols")
    windows, record, masks = 1, 0, Parts(0, 0)
    if flags & 0x08:
        windows, offset = parse_varint(payload, offset, min(symbols, MAX_WINDOWS), f"{what}: windows")
    if symbols == 0 or windows == 0:
        raise CorruptError(f"{what}: {symbols} symbols in {windows} windows")
    if flags & 0x10:
        record, offset = parse_varint(payload, offset, MAX_RECORD, f"{what}: record length")
    if type_ in DECISION_TYPES:
        named = flags >> 5 & 3
        if named > _MASKS:
            raise UnsupportedError(f"{what}: flags {flags:#04x} are of a newer lmzip")
        if named == _MASKS:
            contexts, offset = parse_varint(payload, offset, MAX_MASK, f"{what}: contexts")
            sets, offset = parse_varint(payload, offset, MAX_MASK, f"{what}: sets")
            masks = Parts(contexts, sets)
        else:
            masks = _NAMED_PARTS[named]
    return LockstepPlan(symbols, windows, flags >> 1 & 3, bool(flags & 1), record, *masks, flags >> 7), offset


def create_media_payload(head: MediaHead) -> bytes:
    """Return the payload of a block of MEDIA_TYPES up to its code."""
    plan = b"".join(create_varint(field) for field in head.plan)
    rest = create_varint(head.rest_size) + bytes([head.rest_type]) + create_varint(len(head.rest)) + head.rest
    return bytes([head.coder, len(head.plan)]) + plan + rest


def parse_media_payload(type_: int, payload: bytes, raw_size: int) -> tuple[MediaHead, int]:
    """Read the payload up to its code."""
    what = f"{DATA_TYPES[type_]} payload"
    coder, plan, offset = parse_media_plan(type_, payload)
    rest_size, offset = parse_varint(payload, offset, raw_size + MAX_REST, f"{what}: rest")
    rest_type = take(payload, offset, 1, what)[0]
    if rest_type not in REST_TYPES:
        raise CorruptError(f"{what}: a rest of type {rest_type:#04x}")
    size, offset = parse_varint(payload, offset + 1, len(payload), f"{what}: rest")
    rest = take(payload, offset, size, what)
    return MediaHead(coder, plan, rest_size, rest_type, rest), offset + size


def parse_media_plan(type_: int, payload: bytes) -> tuple[int, tuple[int, ...], int]:
    """Read what a payload begins with: the coder and the plan."""
    what = f"{DATA_TYPES[type_]} payload"
    coder, count = take(payload, 0, 2, what)
    if count > MAX_PLAN_FIELDS:
        raise LimitError(f"{what}: a plan of {count} fields")
    offset, plan = 2, []
    for _ in range(count):
        field, offset = parse_varint(payload, offset, MAX_MASK, f"{what}: plan")
        plan.append(field)
    return coder, tuple(plan), offset


def create_end(index: Index) -> bytes:
    """Return the index record and the footer."""
    payload = create_varint(index.header_size) + create_varint(len(index.records))
    payload += b"".join(create_varint(size) + create_varint(raw) for size, raw in index.records)
    record = create_record(INDEX, payload + index.sha256)
    return record + len(record).to_bytes(4, "little") + END_MAGIC


def index_size_bound(records: list[tuple[int, int]], size: int = 64) -> int:
    """Return the most that the payload of an INDEX record takes with these records beside what takes `size`.

    size: by default that of an index without records.
    """
    return size + sum(len(create_varint(coded)) + len(create_varint(raw)) for coded, raw in records)


def index_has_room(content_size: int, block_size: int) -> bool:
    """Whether the index of one frame has room for a content of which most blocks have half of block_size or more."""
    return 64 + 16 * (2 * content_size // block_size + 1) <= MAX_INDEX_SIZE


def parse_index(payload: bytes) -> Index:
    """Read the payload of the INDEX record."""
    what, records = "index", []
    header_size, offset = parse_varint(payload, 0, 1 << 10, what)
    count, offset = parse_varint(payload, offset, MAX_INDEX_SIZE, what)
    for _ in range(count):
        size, offset = parse_varint(payload, offset, 1 << 62, what)
        raw, offset = parse_varint(payload, offset, MAX_BLOCK_SIZE, what)
        records.append((size, raw))
    if len(payload) != offset + 32:
        raise CorruptError(f"{what}: {len(payload) - offset} bytes where 32 were expected")
    return Index(header_size, tuple(records), payload[offset:])


def parse_footer(buffer: bytes, offset: int = 0) -> tuple[int, int]:
    """Read the footer: return the size of the index record before it."""
    footer = take(buffer, offset, FOOTER_SIZE, "footer")
    if footer[4:] != END_MAGIC:
        raise CorruptError("footer: not the end of an lmzip frame")
    size = _number(footer[:4])
    if size > MAX_INDEX_SIZE + MAX_HEAD_SIZE:
        raise LimitError(f"footer: an index of {size:,} bytes, more than this version allows")
    return size, offset + FOOTER_SIZE


def find_frame_end(buffer: bytes, offset: int = 0) -> int:
    """Return where the frame that begins at `offset` ends; only heads are looked at."""
    header, offset = parse_header(buffer, offset)
    type_ = -1
    while type_ != INDEX:
        record, offset = parse_record_header(buffer, offset, header.block_size)
        type_, offset = record.type, offset + record.payload_size
    return parse_footer(buffer, offset)[1]
