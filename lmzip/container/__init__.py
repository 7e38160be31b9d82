"""The frame format as pure functions: FORMAT.md in code. Nothing here does I/O.

`create_x` makes bytes and `parse_x` reads them. A parser takes a buffer and an offset. It returns what it read and the
offset after it, and raises TruncatedError where the buffer ends too early. No field is believed before its check value
was compared.

| module | what it holds |
|---|---|
| `constants` | magic bytes, types of records, limits |
| `fields` | check values, pieces of a buffer |
| `frame` | header, index and footer of a frame of records |
| `records` | records, the pieces of a frame |
| `definitions` | model definitions |
| `heads` | what the payloads of blocks begin with |
| `short` | frames of one block |
"""

from lmzip.container.constants import (
    ADAPTIVE,
    AUDIO,
    DATA_TYPES,
    DECISION_TYPES,
    END_MAGIC,
    ENSEMBLE,
    FIRST_SKIPPABLE,
    FOOTER_SIZE,
    IMAGE,
    INDEX,
    LOCKSTEP_TYPES,
    LZMA,
    MAGIC,
    MAX_BLOCK_SIZE,
    MAX_CONTENT_SIZE,
    MAX_DEFINITION_SIZE,
    MAX_HEAD_SIZE,
    MAX_INDEX_SIZE,
    MAX_MASK,
    MAX_ROW_LENGTH,
    MAX_SETTINGS,
    MAX_SIDE_DATA,
    MAX_SKIPPABLE_SIZE,
    MAX_WINDOWS,
    MEDIA_TYPES,
    MODEL,
    MODEL_DEFINITION,
    MODEL_TYPES,
    OTHER_MAGIC,
    RANK,
    RECORDS,
    SAMPLES,
    SHORT,
    SIDE_DATA_TYPES,
    STORED,
    ZSTD,
)
from lmzip.container.definitions import create_model_definition, parse_model_definition, shipped_model
from lmzip.container.fields import check32, check64, take
from lmzip.container.frame import (
    Header,
    Index,
    create_end,
    create_header,
    find_frame_end,
    index_has_room,
    index_size_bound,
    parse_footer,
    parse_header,
    parse_index,
    parse_layout,
)
from lmzip.container.heads import (
    LockstepHead,
    MediaHead,
    create_lockstep_head,
    create_media_head,
    parse_lockstep_head,
    parse_media_head,
    parse_media_settings,
)
from lmzip.container.records import RecordHeader, create_record, parse_payload, parse_record_header

__all__ = [
    "ADAPTIVE",
    "AUDIO",
    "DATA_TYPES",
    "DECISION_TYPES",
    "END_MAGIC",
    "ENSEMBLE",
    "FIRST_SKIPPABLE",
    "FOOTER_SIZE",
    "IMAGE",
    "INDEX",
    "LOCKSTEP_TYPES",
    "LZMA",
    "MAGIC",
    "MAX_BLOCK_SIZE",
    "MAX_CONTENT_SIZE",
    "MAX_DEFINITION_SIZE",
    "MAX_HEAD_SIZE",
    "MAX_INDEX_SIZE",
    "MAX_MASK",
    "MAX_ROW_LENGTH",
    "MAX_SETTINGS",
    "MAX_SIDE_DATA",
    "MAX_SKIPPABLE_SIZE",
    "MAX_WINDOWS",
    "MEDIA_TYPES",
    "MODEL",
    "MODEL_DEFINITION",
    "MODEL_TYPES",
    "OTHER_MAGIC",
    "RANK",
    "RECORDS",
    "SAMPLES",
    "SHORT",
    "SIDE_DATA_TYPES",
    "STORED",
    "ZSTD",
    "Header",
    "Index",
    "LockstepHead",
    "MediaHead",
    "RecordHeader",
    "check32",
    "check64",
    "create_end",
    "create_header",
    "create_lockstep_head",
    "create_media_head",
    "create_model_definition",
    "create_record",
    "find_frame_end",
    "index_has_room",
    "index_size_bound",
    "parse_footer",
    "parse_header",
    "parse_index",
    "parse_layout",
    "parse_lockstep_head",
    "parse_media_head",
    "parse_media_settings",
    "parse_model_definition",
    "parse_payload",
    "parse_record_header",
    "shipped_model",
    "take",
]
