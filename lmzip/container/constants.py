"""Magic bytes, types of records, and limits (FORMAT.md sections 2 and 13)."""

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
SIDE_DATA_TYPES = (STORED, ZSTD, LZMA, ADAPTIVE)  # side data may be blocks of these

MAX_BLOCK_SIZE = 1 << 26
MAX_DEFINITION_SIZE = 1 << 12
MAX_SKIPPABLE_SIZE = 1 << 24
MAX_INDEX_SIZE = 1 << 22
MAX_CONTENT_SIZE = (1 << 62) - 1
MAX_WINDOWS = 1 << 10  # a model keeps memory for each
MAX_ROW_LENGTH = 1 << 16
MAX_MASK = (1 << 32) - 1
MAX_SETTINGS = 32  # fields
MAX_SIDE_DATA = 1 << 16  # bytes that side data may have more than the piece of the file
MAX_HEAD_SIZE = 512  # bytes, more than a frame header or what a record begins with takes
FOOTER_SIZE = 8
